//! What holds of every plan and every decision, tried on worlds drawn at random.

use proptest::prelude::*;

use super::authorise::{Facts, Request, authorise, digest};
use super::decide::{Inputs, Note, Plan, decide};
use super::fixtures::{action, at, policy, rule, seconds, service, session, soak, stack, stop, write_down};
use crate::api::action::{ActionKind, ActionPhase, ActionRun, ActionRunSpec, ActionRunStatus, Tier};
use crate::api::approval::{Approval, ApprovalSpec, ApprovalVerdict};
use crate::api::elevation::{Elevation, ElevationSpec};
use crate::api::incident::{Incident, IncidentSpec, IncidentStatus};
use crate::api::policy::{ControlPolicy, PolicyRule};
use crate::api::session::{ApprovalMode, Budget, Canary, ControlSession, Mode, StopRules};
use crate::api::soak::SoakRun;
use crate::api::stack::{DesiredState, DriftKind, Maintenance, OnConfigDrift, RecoveryState, ServiceState, WicapStack};
use crate::api::stop::EmergencyStop;
use crate::api::{Object, Time, after};

mod settling;

const NAMES: [&str; 4] = ["redis", "processor", "ui", "scout"];
const STATES: [ServiceState; 9] = [
    ServiceState::Running,
    ServiceState::Starting,
    ServiceState::Restarting,
    ServiceState::Exited,
    ServiceState::Paused,
    ServiceState::Dead,
    ServiceState::Missing,
    ServiceState::Unhealthy,
    ServiceState::Unknown,
];
const PHASES: [ActionPhase; 4] = [ActionPhase::Pending, ActionPhase::Running, ActionPhase::Succeeded, ActionPhase::Failed];

#[derive(Clone, Debug)]
struct World {
    stack: WicapStack,
    sessions: Vec<ControlSession>,
    policies: Vec<ControlPolicy>,
    stops: Vec<EmergencyStop>,
    elevations: Vec<Elevation>,
    approvals: Vec<Approval>,
    actions: Vec<ActionRun>,
    incidents: Vec<Incident>,
    soaks: Vec<SoakRun>,
    now: Time,
}

impl World {
    fn plan(&self) -> Plan {
        let Self { stack, sessions, policies, stops, actions, incidents, soaks, now, .. } = self;
        decide(&Inputs { stack, sessions, policies, stops, actions, incidents, soaks, now: *now })
    }

    fn allows(&self, kind: ActionKind, target: &str, run: Option<&str>, planning: bool) -> bool {
        let session = self.sessions.first().map_or("", Object::name);
        let request = Request { stack: &self.stack, action: kind, target, services: &[], session, run, planning };
        authorise(&request, &self.facts()).allowed
    }

    /// Whether the action that was asked for as `asked` may be claimed.
    fn claims(&self, directory: Option<Result<&std::path::Path, &str>>) -> bool {
        let asked = self.actions.iter().find(|a| a.name() == ASKED).unwrap();
        let ActionRunSpec { action, target, session, params, .. } = &asked.spec;
        let request = Request {
            stack: &self.stack,
            action: *action,
            target,
            services: &params.services,
            session,
            run: Some(ASKED),
            planning: false,
        };
        authorise(&request, &Facts { directory, ..self.facts() }).allowed
    }

    fn facts(&self) -> Facts<'_> {
        let Self { sessions, policies, stops, elevations, approvals, actions, now, .. } = self;
        Facts { sessions, policies, stops, elevations, approvals, actions, directory: None, roots: &[], now: *now }
    }

    fn in_flight(&self) -> usize {
        self.actions
            .iter()
            .filter(|a| !a.status.as_ref().unwrap().phase.is_final() && a.spec.action.changes_services())
            .count()
    }

    /// Writes the plan down as the planner's controller does, and has its actions done: each ends a second later, and mends
    /// its target or does not.
    fn live(&mut self, mends: bool) -> Plan {
        self.stack.status.as_mut().unwrap().observed_at = Some(self.now);
        let plan = self.plan();
        let begun = self.now;
        let status = self.stack.status.as_mut().unwrap();
        (status.drift, status.recovery) = (plan.drift.clone(), plan.recovery.clone());
        (status.planned_action, status.blocked_by) = (plan.planned_action.clone(), plan.blocked_by.clone());
        write_down(&mut self.incidents, &plan);
        for proposal in &plan.proposals {
            let mut run = ActionRun::new(&proposal.name, proposal.spec.clone());
            run.status = Some(ActionRunStatus::default());
            assert!(!self.actions.iter().any(|a| a.name() == run.name()), "{} comes twice", run.name());
            self.actions.push(run);
        }
        for proposal in &plan.proposals {
            assert!(self.allows(proposal.spec.action, &proposal.spec.target, Some(&proposal.name), false));
            self.now = after(self.now, std::time::Duration::from_secs(1));
            let run = self.actions.iter_mut().find(|a| a.name() == proposal.name).unwrap();
            let phase = if mends { ActionPhase::Succeeded } else { ActionPhase::Failed };
            let (started_at, finished_at) = (Some(begun), Some(self.now));
            run.status = Some(ActionRunStatus { phase, started_at, finished_at, ..ActionRunStatus::default() });
            let becomes = match self.stack.spec.desired_state {
                DesiredState::Running => ServiceState::Running,
                DesiredState::Stopped => ServiceState::Exited,
            };
            let target = proposal.spec.target.as_str();
            for name in
                self.stack.spec.services.iter().filter(|s| mends && s.managed).map(|s| s.name.clone()).collect::<Vec<_>>()
            {
                if target.is_empty() || target == name {
                    let service = service(&mut self.stack, &name);
                    (service.state, service.since, service.config_drift) = (becomes, Some(self.now), Some(false));
                    service.image_drift = None;
                    service.missing_networks.clear();
                }
            }
        }
        plan
    }

    /// Lives from one moment of interest to the next until nothing is left to wait for. Gives every plan.
    fn live_on(&mut self, mends: bool) -> Vec<Plan> {
        let mut plans = Vec::new();
        for _ in 0..200 {
            let plan = self.live(mends);
            // The observer keeps observing, so that nothing goes stale and the last look is half a minute away.
            let soon = after(self.now, std::time::Duration::from_secs(30));
            self.now = plan.next.map_or(soon, |next| next.min(soon)).max(self.now);
            plans.push(plan);
        }
        plans
    }
}

fn rules() -> impl Strategy<Value = PolicyRule> {
    let actions =
        prop::sample::select(&["*", "restart_*", "start_service", "group:safe", "group:caution", "compose_up", "["][..]);
    let targets = prop::sample::select(&["*", "ui", "re*", "processor", "", "["][..]);
    (prop::collection::vec(actions, 0..3), prop::collection::vec(targets, 0..3)).prop_map(|(a, t)| rule(&a, &t))
}

fn policies() -> impl Strategy<Value = ControlPolicy> {
    let allow = prop_oneof![3 => Just(vec![rule(&["*"], &["*"])]), 2 => prop::collection::vec(rules(), 0..4)];
    let deny = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(rules(), 0..2)];
    let roots = prop_oneof![6 => Just(vec!["/srv".to_owned()]), 1 => Just(vec!["/opt".to_owned(), "/srv/wicap".to_owned()])];
    let cooldown = prop::option::weighted(0.2, 1..60_u64);
    ("[a-f]", allow, deny, roots, cooldown).prop_map(|(name, allow, deny, roots, cooldown)| {
        let mut p = policy(&name);
        (p.spec.allow, p.spec.deny, p.spec.allowed_roots) = (allow, deny, roots);
        p.spec.cooldowns.extend(cooldown.map(|c| (ActionKind::RestartService, seconds(c))));
        p
    })
}

fn sessions() -> impl Strategy<Value = ControlSession> {
    let mode =
        prop_oneof![8 => Just(Mode::Assist), 1 => Just(Mode::Monitor), 1 => Just(Mode::Shadow), 1 => Just(Mode::Canary)];
    let asks = (prop::bool::weighted(0.3), prop::bool::weighted(0.3), any::<bool>());
    ("[a-f]", mode, asks, prop::option::weighted(0.2, 0..4_u32), prop::bool::weighted(0.1)).prop_map(
        |(name, mode, (caution, destructive, harm), budget, end)| {
            let mut s = session(&name);
            s.spec.mode = mode;
            s.spec.canary = (mode == Mode::Canary)
                .then(|| Canary { actions: ActionKind::ALL[..6].to_vec(), stop_rules: StopRules::default() });
            let approval = |ask| if ask { ApprovalMode::Ask } else { ApprovalMode::Auto };
            s.spec.approval.caution = approval(caution);
            s.spec.approval.destructive = approval(destructive);
            s.spec.approval.require_other = harm;
            s.spec.max_tier = if harm { Tier::Destructive } else { Tier::Caution };
            s.spec.budget = budget.map(|max_actions| Budget { max_actions, window: seconds(60) });
            s.spec.end = end;
            s
        },
    )
}

fn actions() -> impl Strategy<Value = ActionRun> {
    let kinds = prop::sample::select(&ActionKind::ALL[..]);
    (kinds, prop::sample::select(&NAMES[..]), prop::sample::select(&PHASES[..]), 0..60_000_i64).prop_map(
        |(kind, target, phase, begun)| {
            let target = if kind.can_target_service() { target } else { "" };
            let mut run = action(&format!("x-{begun}"), kind, target, phase);
            let status = run.status.as_mut().unwrap();
            status.started_at = (phase != ActionPhase::Pending).then(|| at(begun));
            status.finished_at = phase.is_final().then(|| at(begun + 500));
            run
        },
    )
}

prop_compose! {
    fn stacks()(
        states in prop::collection::vec(
            (prop::sample::select(&STATES[..]), prop::bool::weighted(0.9), any::<Option<bool>>(), 0..8_u8), 1..=4
        ),
        edges in prop::collection::vec((0..4_usize, 0..4_usize), 0..4),
        stopped in prop::bool::weighted(0.3),
        recreate: bool,
        max_concurrent in 1..4_u32,
        hold_off in 0..20_u64,
        initial in 0..20_u64,
    ) -> WicapStack {
        let named: Vec<_> = states.iter().enumerate().map(|(i, (state, ..))| (NAMES[i], *state)).collect();
        let mut s = stack(&named);
        for (i, (_, managed, config_drift, more)) in states.iter().enumerate() {
            (s.spec.services[i].managed, s.spec.services[i].critical) = (*managed, more % 2 == 0);
            let service = service(&mut s, NAMES[i]);
            (service.config_drift, service.image_drift) = (*config_drift, Some(*more > 5));
            service.missing_networks.extend((*more == 3).then(|| "back".to_owned()));
        }
        for (from, to) in edges {
            if from < states.len() {
                service(&mut s, NAMES[from]).depends_on.push(NAMES[to].to_owned());
            }
        }
        s.spec.desired_state = if stopped { DesiredState::Stopped } else { DesiredState::Running };
        s.spec.defaults.max_concurrent = max_concurrent;
        let recovery = &mut s.spec.defaults.recovery;
        recovery.hold_off = seconds(hold_off);
        recovery.backoff.initial = seconds(initial);
        recovery.on_config_drift = if recreate { OnConfigDrift::Recreate } else { OnConfigDrift::Report };
        recovery.on_image_drift = recovery.on_config_drift;
        s
    }
}

prop_compose! {
    fn worlds()(
        stack in stacks(),
        sessions in prop::collection::vec(sessions(), 0..3),
        policies in prop::collection::vec(policies(), 0..3),
        stopped in prop::bool::weighted(0.1),
        actions in prop::collection::vec(actions(), 0..4),
        now in 0..100_000_i64,
        starts in prop::collection::vec(0..12_i64, 4),
        orphan in prop::bool::weighted(0.2),
        states in prop::collection::vec((0..4_u32, prop::bool::weighted(0.2), any::<bool>(), prop::bool::weighted(0.2)), 4),
        claims in prop::collection::vec((prop::option::weighted(0.7, 0..4_usize), 0..150_000_i64), 0..2),
        acknowledged in prop::collection::vec((0..4_usize, any::<bool>(), any::<bool>()), 0..3),
    ) -> World {
        let mut stack = stack;
        let status = stack.status.as_mut().unwrap();
        for (service, starts) in status.services.iter_mut().zip(starts) {
            service.starts = (0..starts).map(|n| at(n * 1000)).collect();
        }
        status.orphans.extend(orphan.then(|| "old".to_owned()));
        for (name, (total, escalated, known, rollback)) in NAMES.iter().zip(states).filter(|(_, (total, ..))| *total > 0) {
            let exhausted = if escalated && known { vec![DriftKind::NotRunning, DriftKind::Unhealthy] } else { vec![] };
            status.recovery.push(RecoveryState {
                service: (*name).to_owned(),
                episode: 1,
                total,
                attempts: total.min(1),
                rollback,
                escalated_at: escalated.then(|| at(0)),
                exhausted,
                ..RecoveryState::default()
            });
        }
        let claim = |(service, until): &(Option<usize>, i64)| Maintenance {
            until: at(*until),
            reason: format!("claim {until}"),
            services: service.map(|i| NAMES[i].to_owned()).into_iter().collect(),
        };
        let soaks = claims.iter().map(|c| soak(claim(c))).collect();
        let incidents = acknowledged.iter().enumerate().map(|(n, (service, acknowledged, told))| {
            let spec = IncidentSpec {
                acknowledged: *acknowledged,
                ..IncidentSpec::about("wicap", NAMES[*service], DriftKind::NotRunning, 1, "s", crate::api::Severity::Critical)
            };
            let mut incident = Incident::new(&format!("i{n}"), spec);
            incident.status = told.then(IncidentStatus::default);
            incident
        }).collect();
        let (stops, elevations, approvals) = (vec![stop("other")], vec![], vec![]);
        let now = at(now);
        let mut w =
            World { stack, sessions, policies, stops, elevations, approvals, actions, incidents, soaks, now };
        w.stops.extend(stopped.then(|| stop("wicap")));
        // Names are unique in a store.
        w.sessions.sort_by(|a, b| a.name().cmp(b.name()));
        w.sessions.dedup_by(|a, b| a.name() == b.name());
        w.policies.sort_by(|a, b| a.name().cmp(b.name()));
        w.policies.dedup_by(|a, b| a.name() == b.name());
        w.actions.sort_by(|a, b| a.name().cmp(b.name()));
        w.actions.dedup_by(|a, b| a.name() == b.name());
        w
    }
}

fn requests() -> impl Strategy<Value = (ActionKind, &'static str)> {
    (prop::sample::select(&ActionKind::ALL[..]), prop::sample::select(&["redis", "processor", "ui", "scout", "sql", ""][..]))
}

/// A world in which everything is allowed, and only the stack is drawn.
fn permitted(stack: WicapStack) -> World {
    World {
        stack,
        sessions: vec![session("night")],
        policies: vec![policy("base")],
        stops: vec![],
        elevations: vec![],
        approvals: vec![],
        actions: vec![],
        incidents: vec![],
        soaks: vec![],
        now: at(0),
    }
}

/// Name of the action that is claimed.
const ASKED: &str = "asked";

prop_compose! {
    /// A world in which an action is asked for, often with what it needs.
    fn asked()(
        mut w in worlds(),
        (kind, target) in requests(),
        destroys: bool,
        elevations in prop::collection::vec((0..2_u32, 0..120_u64), 0..3),
        answer in prop::option::weighted(0.8, (prop::bool::weighted(0.8), "(ann|bob)@host", 0..120_000_i64)),
    ) -> World {
        let (kind, target) = if destroys { (ActionKind::ComposeDownVolumes, "") } else { (kind, target) };
        let mut run = action(ASKED, kind, target, ActionPhase::AwaitingApproval);
        run.spec.session = w.sessions.first().map_or("none", Object::name).to_owned();
        for (n, (uses, ttl)) in elevations.into_iter().enumerate() {
            let (session, approver, reason) = (run.spec.session.clone(), "bob@host".to_owned(), "r".to_owned());
            let (target, ttl) = (target.to_owned(), seconds(ttl));
            let spec = ElevationSpec { session, action: kind, target, approver, reason, ttl, max_uses: 1 };
            let mut elevation = Elevation::new(&format!("e{n}"), spec);
            elevation.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
            elevation.status.get_or_insert_default().uses = uses;
            w.elevations.push(elevation);
        }
        if let Some((yes, by, expires)) = answer {
            let verdict = if yes { ApprovalVerdict::Approve } else { ApprovalVerdict::Deny };
            let spec = ApprovalSpec { verdict, digest: digest(&run, &w.stack), by, reason: None, expires: at(expires) };
            w.approvals.push(Approval::new(ASKED, spec));
        }
        w.actions.push(run);
        w
    }
}

proptest! {
    // Of the worlds that are drawn only one in some dozens lets the action be claimed.
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn taking_anything_away_that_permits_never_turns_a_no_into_a_yes(w in asked(), which in any::<prop::sample::Index>()) {
        let before = w.claims(None);
        let without: [fn(&mut World); 9] = [
            |w| w.sessions.clear(),
            |w| w.sessions.iter_mut().for_each(|s| s.status = None),
            |w| w.policies.clear(),
            |w| w.elevations.clear(),
            |w| w.elevations.iter_mut().for_each(|e| e.metadata.creation_timestamp = None),
            |w| w.approvals.retain(|a| a.spec.verdict == ApprovalVerdict::Deny),
            |w| w.approvals.iter_mut().for_each(|a| a.spec.digest = "0".repeat(64)),
            |w| w.stack.spec.services.clear(),
            |w| w.policies.iter_mut().for_each(|p| p.spec.allow.iter_mut().for_each(|r| r.targets.clear())),
        ];
        let mut less = w.clone();
        without[which.index(without.len())](&mut less);
        prop_assert!(before || !less.claims(None));
        prop_assert!(!w.claims(Some(Err("it could not be looked at"))) || w.policies.is_empty());
    }

    #[test]
    fn what_destroys_data_needs_an_elevation_that_is_neither_used_up_nor_too_old(w in asked()) {
        let run = w.actions.iter().find(|a| a.name() == ASKED).unwrap();
        if run.spec.action.tier() == Tier::Destructive && w.claims(None) {
            let usable = |e: &Elevation| e.uses() < e.spec.max_uses && e.expires_at().is_some_and(|end| w.now < end);
            prop_assert!(w.elevations.iter().any(usable));
        }
    }

    #[test]
    fn where_a_person_has_to_agree_nothing_is_claimed_that_he_has_not_agreed_to(w in asked()) {
        let run = w.actions.iter().find(|a| a.name() == ASKED).unwrap();
        let session = w.sessions.iter().find(|s| s.name() == run.spec.session);
        let asks = session.is_some_and(|s| {
            s.spec.mode != Mode::Shadow && s.spec.approval.of(run.spec.action.tier()) == ApprovalMode::Ask
        });
        if asks && w.claims(None) {
            let answer = &w.approvals[0].spec;
            prop_assert!(answer.verdict == ApprovalVerdict::Approve && w.now < answer.expires);
            let another = answer.by != session.unwrap().spec.operator;
            prop_assert!(another || !session.unwrap().spec.approval.require_other);
        }
    }
}

proptest! {
    #[test]
    fn another_deny_rule_never_turns_a_no_into_a_yes(
        w in worlds(), deny in rules(), at in any::<prop::sample::Index>(), request in requests()
    ) {
        if w.policies.is_empty() {
            return Ok(());
        }
        let before = w.allows(request.0, request.1, None, false);
        let mut more = w.clone();
        let i = at.index(more.policies.len());
        more.policies[i].spec.deny.push(deny);
        prop_assert!(before || !more.allows(request.0, request.1, None, false));
    }

    #[test]
    fn another_stop_or_policy_never_turns_a_no_into_a_yes(
        w in worlds(), name in "all|wicap|else", another in policies(), request in requests()
    ) {
        let before = w.allows(request.0, request.1, None, true);
        let mut more = w.clone();
        more.stops.push(stop(&name));
        prop_assert!(before || !more.allows(request.0, request.1, None, true));
        prop_assert!(name == "else" || !more.allows(request.0, request.1, None, true));
        prop_assert!(name == "else" || more.plan().proposals.is_empty());
        let mut more = w.clone();
        more.policies.push(another);
        prop_assert!(before || w.policies.is_empty() || !more.allows(request.0, request.1, None, true));
    }

    #[test]
    fn shorter_allow_lists_never_turn_a_no_into_a_yes(w in worlds(), keep in any::<[bool; 4]>(), request in requests()) {
        let before = w.allows(request.0, request.1, None, false);
        let mut less = w.clone();
        for policy in &mut less.policies {
            let mut i = 0;
            policy.spec.allow.retain(|_| { i += 1; keep[i - 1] });
            let mut i = 0;
            policy.spec.allowed_roots.retain(|_| { i += 1; keep[i] });
            policy.spec.hosts.retain(|_| keep[0]);
        }
        for session in &mut less.sessions {
            session.spec.allowed_actions.retain(|a| keep[*a as usize % 4]);
        }
        prop_assert!(before || !less.allows(request.0, request.1, None, false));
    }

    #[test]
    fn the_order_of_lists_never_matters(w in worlds(), request in requests()) {
        let mut turned = w.clone();
        turned.policies.reverse();
        turned.stops.reverse();
        turned.actions.reverse();
        turned.incidents.reverse();
        turned.soaks.reverse();
        let status = turned.stack.status.as_mut().unwrap();
        status.services.reverse();
        status.orphans.reverse();
        status.services.iter_mut().for_each(|s| s.starts.reverse());
        prop_assert_eq!(w.allows(request.0, request.1, None, true), turned.allows(request.0, request.1, None, true));
        turned.sessions.reverse();
        prop_assert_eq!(w.plan(), turned.plan());
    }

    #[test]
    fn every_plan_keeps_the_promises(w in worlds()) {
        let plan = w.plan();
        let stack = &w.stack;
        prop_assert!(plan.next.is_none_or(|next| next > w.now));
        let room = (stack.spec.defaults.max_concurrent as usize).saturating_sub(w.in_flight());
        prop_assert!(plan.proposals.len() <= room);
        for proposal in &plan.proposals {
            let ActionRun { spec, .. } = ActionRun::new(&proposal.name, proposal.spec.clone());
            prop_assert!(ActionRun::new(&proposal.name, spec.clone()).validate().is_empty());
            prop_assert!(crate::api::validate::is_object_name(&proposal.name));
            let session = w.sessions.iter().find(|s| s.name() == spec.session).unwrap();
            prop_assert!(session.in_force(w.now) && session.spec.mode != Mode::Monitor);
            prop_assert!(!w.stops.iter().any(|s| s.name() == "wicap"));
            if !spec.target.is_empty() {
                prop_assert!(stack.spec.service(&spec.target).unwrap().managed);
                let state = stack.status.as_ref().unwrap().service(&spec.target).unwrap().state;
                let stopping = stack.spec.desired_state == DesiredState::Stopped;
                prop_assert!(state != ServiceState::Unknown && (stopping || state != ServiceState::Starting));
                let drift = plan.drift.iter().find(|d| d.service == spec.target).unwrap();
                prop_assert!(super::drift::calls_for_action(&stack.spec, &spec.target, drift.kind));
                prop_assert!(super::ladder::helps(spec.action, drift.kind), "{} about {:?}", spec.action, drift.kind);
                let alone = w.in_flight() == 0 && plan.proposals.iter().all(|p| !p.spec.target.is_empty());
                prop_assert!(!super::drift::is_voluntary(drift.kind) || alone);
            }
            let claimed = |claim: &Maintenance| w.now < claim.until
                && (claim.services.is_empty() || spec.target.is_empty() || claim.services.contains(&spec.target));
            let claims: Vec<_> = w.soaks.iter().filter_map(|s| s.status.as_ref()?.maintenance.clone()).collect();
            prop_assert!(!claims.iter().any(claimed), "{} is under maintenance", spec.target);
            let counted = plan.recovery.iter().find(|r| r.service == spec.target).unwrap();
            prop_assert_eq!(counted.last_action.as_deref(), Some(proposal.name.as_str()));
        }
        prop_assert!(plan.proposals.is_empty() || plan.blocked_by.is_none());
    }

    #[test]
    fn unknown_never_yields_a_proposal(mut w in worlds(), stale: bool) {
        if stale {
            w.now = at(90_001);
        } else {
            let status = w.stack.status.as_mut().unwrap();
            status.services.iter_mut().for_each(|s| s.state = ServiceState::Unknown);
        }
        let plan = w.plan();
        prop_assert!(plan.proposals.is_empty() && plan.drift.is_empty());
        prop_assert!(plan.notes.is_empty() && plan.planned_action.is_none());
    }

    #[test]
    fn a_plan_that_was_written_down_gives_no_further_notes(w in worlds()) {
        let mut w = w;
        let write = |w: &mut World, plan: &Plan| {
            let status = w.stack.status.as_mut().unwrap();
            (status.drift, status.recovery) = (plan.drift.clone(), plan.recovery.clone());
            (status.planned_action, status.blocked_by) = (plan.planned_action.clone(), plan.blocked_by.clone());
            write_down(&mut w.incidents, plan);
        };
        // Whom a person is called for stands in nobody's way any more, and an incident that was just opened gets its status.
        let mut plan = w.plan();
        while !(plan.opened.is_empty() && plan.followed.is_empty()) && plan.proposals.is_empty() {
            write(&mut w, &plan);
            plan = w.plan();
        }
        if !plan.proposals.is_empty() {
            return Ok(());
        }
        write(&mut w, &plan);
        let again = w.plan();
        prop_assert!(again.notes.is_empty(), "{:?}", again.notes);
        prop_assert_eq!(Plan { notes: vec![], ..plan }, again);
    }
}
