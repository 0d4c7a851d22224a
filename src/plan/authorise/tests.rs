//! Each gate on its own, then what holds of all of them.

use super::*;
use crate::api::action::Tier;
use crate::api::session::Budget;
use crate::api::stack::ServiceState;
use crate::plan::fixtures::{action, at, policy, rule, seconds, session, stack, stop};

mod table;

/// A world in which a restart of `ui` is allowed, to be spoiled in one place.
struct World {
    stack: WicapStack,
    action: ActionKind,
    target: &'static str,
    services: Vec<String>,
    session: &'static str,
    run: Option<&'static str>,
    planning: bool,
    sessions: Vec<ControlSession>,
    policies: Vec<ControlPolicy>,
    stops: Vec<EmergencyStop>,
    elevations: Vec<Elevation>,
    approvals: Vec<Approval>,
    actions: Vec<ActionRun>,
    directory: Option<Result<PathBuf, &'static str>>,
    roots: Vec<(String, PathBuf)>,
    now: Time,
}

/// The stack with the jobs `e2e` and `smoke`.
fn with_jobs(mut stack: WicapStack) -> WicapStack {
    let job = |name| serde_json::json!({"name": name, "image": "suite:1", "junit": "/out/junit.xml"});
    stack.spec.jobs = serde_json::from_value(serde_json::json!([job("e2e"), job("smoke")])).unwrap();
    stack
}

impl World {
    fn new() -> Self {
        Self {
            stack: with_jobs(stack(&[("ui", ServiceState::Exited), ("redis", ServiceState::Running)])),
            action: ActionKind::RestartService,
            target: "ui",
            services: vec![],
            session: "night",
            run: None,
            planning: false,
            sessions: vec![session("night")],
            policies: vec![policy("base")],
            stops: vec![],
            elevations: vec![],
            approvals: vec![],
            actions: vec![],
            directory: None,
            roots: vec![],
            now: at(0),
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new();
        change(&mut world);
        world
    }

    fn decide(&self) -> Decision {
        authorise(&self.request(), &self.facts())
    }

    fn request(&self) -> Request<'_> {
        Request {
            stack: &self.stack,
            action: self.action,
            target: self.target,
            services: &self.services,
            session: self.session,
            run: self.run,
            planning: self.planning,
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            sessions: &self.sessions,
            policies: &self.policies,
            stops: &self.stops,
            elevations: &self.elevations,
            approvals: &self.approvals,
            actions: &self.actions,
            directory: self.directory.as_ref().map(|d| d.as_deref().map_err(|e| *e)),
            roots: &self.roots,
            now: self.now,
        }
    }
}

#[track_caller]
fn denied(gate: &str, reason: &str, change: impl FnOnce(&mut World)) {
    let decision = World::with(change).decide();
    let verdict = decision.trace.iter().find(|v| v.gate == gate).unwrap();
    assert!(!verdict.allowed, "{gate} let it pass: {}", verdict.reason);
    assert!(verdict.reason.contains(reason), "{}\n  should say\n{reason}", verdict.reason);
    assert_eq!(decision.denied_by.as_deref(), Some(gate));
    assert_eq!(decision.trace.iter().map(|v| v.gate.as_str()).collect::<Vec<_>>(), GATES);
    assert!(!decision.allowed);
}

#[track_caller]
fn allowed(change: impl FnOnce(&mut World)) {
    let decision = World::with(change).decide();
    assert!(decision.allowed, "{:?}", decision.trace.iter().filter(|v| !v.allowed).collect::<Vec<_>>());
    assert_eq!(decision.denied_by, None);
    assert!(decision.trace.iter().all(|v| !v.reason.is_empty()));
}

#[test]
fn a_stop_for_all_or_for_this_stack_denies() {
    allowed(|_| {});
    allowed(|w| w.stops = vec![stop("other")]);
    denied(EMERGENCY_STOP, "EmergencyStop \"all\" holds: \"smoke\"", |w| w.stops = vec![stop("wicap"), stop("all")]);
    denied(EMERGENCY_STOP, "EmergencyStop \"wicap\"", |w| w.stops = vec![stop("wicap")]);
}

#[test]
fn the_session_must_be_there_for_this_stack_in_force_and_assist() {
    denied(SESSION, "no ControlSession is in force", |w| w.session = "");
    denied(SESSION, "there is no ControlSession \"night\"", |w| w.sessions.clear());
    denied(SESSION, "spec.stack is \"other\"", |w| w.sessions[0].spec.stack = "other".into());
    denied(SESSION, "observes only", |w| w.sessions[0].spec.mode = Mode::Monitor);
    denied(SESSION, "spec.end", |w| w.sessions[0].spec.end = true);
    denied(SESSION, "status.phase is Pending", |w| w.sessions[0].status = None);
    denied(SESSION, "ran out at 2026-01-02T00:00:00Z", |w| w.now = at(86_400_000));
    allowed(|w| w.now = at(86_399_999));
    denied(SESSION, "being deleted", |w| {
        w.sessions[0].metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    });
    denied(SESSION, "no ControlSession", |w| (w.session, w.action) = ("", ActionKind::StatusCheck));
}

#[test]
fn every_policy_must_hold_the_host() {
    for hosts in [&[][..], &["other"], &["local"], &["[localhost"], &[""]] {
        denied(RUNTIME_PLANE, "spec.hosts has no match for spec.host \"localhost\"", |w| {
            w.policies.push(policy("second"));
            w.policies[1].spec.hosts = hosts.iter().map(|h| (*h).to_owned()).collect();
        });
    }
    allowed(|w| w.policies[0].spec.hosts = vec!["other".into(), "local*".into()]);
}

#[test]
fn the_directory_must_lie_in_a_root_of_every_policy_by_components() {
    let table = [
        ("/srv", "/srv/wicap", true),
        ("/srv/wicap", "/srv/wicap", true),
        ("/srv/wi", "/srv/wicap", false),
        ("/srv/wicap/a", "/srv/wicap", false),
        ("/srv", "/srv/../etc", false),
        ("/srv/..", "/srv", false),
        ("/", "/srv/wicap", false),
        ("", "/srv/wicap", false),
        ("srv", "srv/wicap", false),
    ];
    for (root, directory, expected) in table {
        let change = |w: &mut World| {
            w.policies[0].spec.allowed_roots = vec!["/opt".into(), root.into()];
            w.stack.spec.compose.directory = directory.into();
        };
        if expected { allowed(change) } else { denied(RUNTIME_PLANE, "spec.allowedRoots has none that holds", change) }
    }
    denied(RUNTIME_PLANE, "ControlPolicy \"second\"", |w| {
        w.policies.push(policy("second"));
        w.policies[1].spec.allowed_roots.clear();
    });
}

#[test]
fn where_links_are_resolved_only_the_resolved_paths_count() {
    let roots = || vec![("/srv".to_owned(), PathBuf::from("/data/srv"))];
    allowed(|w| (w.directory, w.roots) = (Some(Ok("/data/srv/wicap".into())), roots()));
    denied(RUNTIME_PLANE, "holds \"/etc\"", |w| (w.directory, w.roots) = (Some(Ok("/etc".into())), roots()));
    denied(RUNTIME_PLANE, "none that holds", |w| (w.directory, w.roots) = (Some(Ok("/data/srv2".into())), roots()));
    denied(RUNTIME_PLANE, "none that holds", |w| w.directory = Some(Ok("/srv/wicap".into())));
    denied(RUNTIME_PLANE, "could not be resolved: \"no such file\"", |w| w.directory = Some(Err("no such file")));
}

#[test]
fn a_deny_anywhere_denies_and_every_policy_must_allow() {
    denied(TOOL_POLICY, "there is no ControlPolicy", |w| w.policies.clear());
    denied(TOOL_POLICY, "ControlPolicy \"base\" spec.deny[1] denies restart_service on ui", |w| {
        w.policies[0].spec.deny = vec![rule(&["start_service"], &["*"]), rule(&["restart_*"], &["ui"])];
    });
    denied(TOOL_POLICY, "ControlPolicy \"second\" spec.allow has no rule for restart_service on ui", |w| {
        w.policies.push(policy("second"));
        w.policies[1].spec.allow = vec![rule(&["*"], &["redis"])];
    });
    denied(TOOL_POLICY, "spec.allow has no rule", |w| w.policies[0].spec.allow = vec![rule(&["["], &["*"])]);
    denied(TOOL_POLICY, "spec.deny[0]", |w| w.policies[0].spec.deny = vec![rule(&["["], &["*"])]);
    denied(TOOL_POLICY, "spec.allowedActions does not list", |w| w.sessions[0].spec.allowed_actions.clear());
    allowed(|w| w.policies[0].spec.deny = vec![rule(&["*"], &["redis"]), rule(&["group:safe"], &["*"])]);
}

#[test]
fn only_listed_managed_services_and_fitting_targets_can_be_acted_on() {
    denied(TOOL_POLICY, "spec.services does not list \"sql\"", |w| w.target = "sql");
    denied(TOOL_POLICY, "managed is false", |w| w.stack.spec.services[0].managed = false);
    denied(TOOL_POLICY, "none is named", |w| w.target = "");
    denied(TOOL_POLICY, "acts on the whole stack", |w| w.action = ActionKind::ComposeDown);
    denied(TOOL_POLICY, "compose_down touches it", |w| {
        (w.action, w.target) = (ActionKind::ComposeDown, "");
        w.stack.spec.services[1].managed = false;
    });
    denied(TOOL_POLICY, "none that is managed", |w| {
        (w.action, w.target) = (ActionKind::ComposeUp, "");
        w.stack.spec.services.iter_mut().for_each(|s| s.managed = false);
    });
    denied(TOOL_POLICY, "spec.deny[0] denies compose_up on the whole stack", |w| {
        (w.action, w.target) = (ActionKind::ComposeUp, "");
        w.policies[0].spec.deny = vec![rule(&["*"], &["redis"])];
    });
    allowed(|w| {
        (w.action, w.target) = (ActionKind::ComposeUp, "");
        w.stack.spec.services[1].managed = false;
    });
}

#[test]
fn every_service_that_is_named_is_judged_like_a_target() {
    let up = |services: &[&str]| {
        let services: Vec<String> = services.iter().map(|s| (*s).to_owned()).collect();
        move |w: &mut World| (w.action, w.services) = (ActionKind::ComposeUp, services.clone())
    };
    allowed(up(&["redis", "ui"]));
    denied(TOOL_POLICY, "restart_service is not told services", |w| w.services = vec!["redis".into()]);
    denied(TOOL_POLICY, "spec.services does not list \"sql\"", up(&["redis", "sql"]));
    denied(TOOL_POLICY, "\"redis\": managed is false", |w| {
        up(&["redis"])(w);
        w.stack.spec.services[1].managed = false;
    });
    denied(TOOL_POLICY, "spec.deny[0] denies compose_up on redis, ui", |w| {
        up(&["redis", "ui"])(w);
        w.policies[0].spec.deny = vec![rule(&["*"], &["redis"])];
    });
    denied(TOOL_POLICY, "spec.allow has no rule for compose_up on redis", |w| {
        up(&["redis"])(w);
        w.policies[0].spec.allow = vec![rule(&["*"], &["ui"])];
    });
    denied(TOOL_POLICY, "spec.allow has no rule for compose_up on ui", |w| {
        up(&["redis"])(w);
        w.policies[0].spec.allow = vec![rule(&["*"], &["redis"])];
    });
    let busy = |w: &mut World, target: &str, services: &[&str]| {
        w.stack.spec.defaults.max_concurrent = 9;
        let mut run = action("x", ActionKind::ComposeUp, target, ActionPhase::Running);
        run.spec.params.services = services.iter().map(|s| (*s).to_owned()).collect();
        w.actions = vec![run];
    };
    denied(PRECONDITION, "touches the same service", |w| {
        up(&["redis"])(w);
        busy(w, "redis", &[]);
    });
    denied(PRECONDITION, "touches the same service", |w| busy(w, "redis", &["ui"]));
    allowed(|w| busy(w, "redis", &["redis"]));
}

#[test]
fn what_is_named_beside_the_target_is_part_of_what_is_agreed_to() {
    let world = World::new();
    let mut run = action("x", ActionKind::ComposeUp, "ui", ActionPhase::Pending);
    let before = digest(&run, &world.stack);
    run.spec.params.services = vec!["redis".into()];
    assert_ne!(digest(&run, &world.stack), before);
}

#[test]
fn the_tier_must_not_be_over_the_sessions() {
    denied(TIER, "spec.maxTier is Safe, restart_service is Caution", |w| w.sessions[0].spec.max_tier = Tier::Safe);
    allowed(|w| (w.sessions[0].spec.max_tier, w.action) = (Tier::Safe, ActionKind::StatusCheck));
}

#[test]
fn a_claim_leaves_the_budget_exactly_when_it_is_as_old_as_the_window() {
    let spend = |w: &mut World, most, now| {
        w.sessions[0].spec.budget = Some(Budget { max_actions: most, window: seconds(60) });
        w.sessions[0].status.as_mut().unwrap().usage.recent = vec![at(5000), at(0)];
        w.now = at(now);
    };
    denied(BUDGET, "2 of 2 actions used", |w| spend(w, 2, 59_999));
    allowed(|w| spend(w, 2, 60_000));
    denied(BUDGET, "0 of 0", |w| spend(w, 0, 3_600_000));
    allowed(|w| spend(w, 3, 5000));
    let world = World::with(|w| spend(w, 2, 59_999));
    assert_eq!(opens_at(&world.request(), &world.facts()), Some(at(60_000)));
    let world = World::with(|w| spend(w, 1, 59_999));
    assert_eq!(opens_at(&world.request(), &world.facts()), Some(at(65_000)));
    let world = World::with(|w| spend(w, 0, 59_999));
    assert_eq!(opens_at(&world.request(), &world.facts()), None);
}

#[test]
fn what_is_asked_for_counts_in_the_budget_of_the_planner_only() {
    let change = |planning| {
        move |w: &mut World| {
            w.sessions[0].spec.budget = Some(Budget { max_actions: 1, window: seconds(60) });
            w.actions = vec![action("x", ActionKind::StatusCheck, "redis", ActionPhase::Pending)];
            w.planning = planning;
        }
    };
    denied(BUDGET, "1 of 1", change(true));
    allowed(change(false));
}

#[test]
fn a_cooldown_ends_exactly() {
    let change = |target: &'static str, now| {
        move |w: &mut World| {
            w.policies[0].spec.cooldowns.insert(ActionKind::RestartService, seconds(10));
            w.policies.push(policy("second"));
            w.policies[1].spec.cooldowns.insert(ActionKind::RestartService, seconds(30));
            let mut old = action("old", ActionKind::RestartService, target, ActionPhase::Failed);
            old.status.as_mut().unwrap().started_at = Some(at(0));
            w.actions = vec![old];
            w.now = at(now);
        }
    };
    denied(COOLDOWN, "ControlPolicy \"second\" spec.cooldowns.restart_service", change("ui", 29_999));
    allowed(change("ui", 30_000));
    allowed(change("redis", 1));
    allowed(|w| {
        change("ui", 1)(w);
        w.run = Some("old");
    });
    let world = World::with(change("ui", 1));
    assert_eq!(opens_at(&world.request(), &world.facts()), Some(at(30_000)));
}

#[test]
fn at_most_one_hand_on_a_service_and_as_many_on_a_stack_as_it_bears() {
    use ActionKind::{ComposeUp, RestartService, StatusCheck};
    use ActionPhase::{Pending, Running, Succeeded};
    // (what is under way, its phase, max_concurrent, planning, expected)
    let table = [
        (RestartService, "ui", Running, 9, false, false),
        (RestartService, "ui", Pending, 9, false, true),
        (RestartService, "ui", Pending, 9, true, false),
        (RestartService, "ui", Succeeded, 1, true, true),
        (RestartService, "redis", Running, 1, false, false),
        (RestartService, "redis", Running, 2, false, true),
        (RestartService, "redis", Pending, 1, true, false),
        (ComposeUp, "", Running, 9, false, false),
        (StatusCheck, "ui", Running, 1, true, true),
    ];
    for (kind, target, phase, most, planning, expected) in table {
        let change = |w: &mut World| {
            w.actions = vec![action("x", kind, target, phase)];
            w.stack.spec.defaults.max_concurrent = most;
            w.planning = planning;
        };
        if expected { allowed(change) } else { denied(PRECONDITION, "", change) }
    }
    denied(PRECONDITION, "ActionRun \"x\" status.phase is Running", |w| {
        (w.action, w.target) = (ComposeUp, "");
        w.stack.spec.defaults.max_concurrent = 9;
        w.actions = vec![action("x", RestartService, "redis", Running)];
    });
    allowed(|w| {
        w.actions = vec![action("x", RestartService, "ui", Running)];
        w.run = Some("x");
    });
    allowed(|w| {
        w.actions = vec![action("x", RestartService, "ui", Running)];
        w.actions[0].spec.dry_run = true;
    });
}

#[test]
fn a_person_is_asked_until_the_deadline_and_only_if_nothing_else_denies() {
    let asked = |now, change: fn(&mut World)| {
        let world = World::with(|w| {
            w.sessions[0].spec.approval.caution = ApprovalMode::Ask;
            let mut run = action("x", ActionKind::RestartService, "ui", ActionPhase::AwaitingApproval);
            run.status.as_mut().unwrap().approval_deadline = Some(at(1000));
            (w.actions, w.run, w.now) = (vec![run], Some("x"), at(now));
            change(w);
        });
        awaits_approval(&world.request(), &world.facts(), &world.decide())
    };
    assert!(asked(999, |_| {}));
    assert!(!asked(1000, |_| {}));
    assert!(!asked(0, |w| w.stops = vec![stop("all")]));
    assert!(!asked(0, |w| w.sessions[0].spec.approval.caution = ApprovalMode::Auto));
}

#[test]
fn every_gate_is_in_the_trace_and_the_first_deny_is_named() {
    let decision = World::with(|w| {
        w.stops = vec![stop("all")];
        w.session = "";
        w.policies.clear();
    })
    .decide();
    assert_eq!(decision.denied_by.as_deref(), Some(EMERGENCY_STOP));
    let denying: Vec<_> = decision.trace.iter().filter(|v| !v.allowed).map(|v| v.gate.as_str()).collect();
    assert_eq!(denying, [EMERGENCY_STOP, SESSION, TOOL_POLICY, TIER, APPROVAL, BUDGET]);
}
