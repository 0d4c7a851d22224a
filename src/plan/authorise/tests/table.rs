//! The table of authorisation: `table.txt` says in words how things stand, and which gate denies.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as MetaTime;

use super::super::digest;
use super::*;
use crate::api::action::ActionRunStatus;
use crate::api::approval::{ApprovalSpec, ApprovalVerdict};
use crate::api::elevation::ElevationSpec;
use crate::api::session::{Canary, SessionPhase};

const TABLE: &str = include_str!("table.txt");

/// Less than this would leave combinations out that have gone wrong in other systems.
const ROWS: usize = 300;

#[test]
fn every_row_of_the_table_holds() {
    let lines = TABLE.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (mut rows, mut wrong) = (0, Vec::new());
    for (number, line) in lines {
        let (words, expected) = line.rsplit_once(" -> ").unwrap_or_else(|| panic!("line {}: no arrow", number + 1));
        let decision = world(words).decide();
        let found = decision.denied_by.as_deref().unwrap_or("allowed");
        if found != expected {
            let said = decision.trace.iter().find(|v| v.gate == found).map_or("", |v| v.reason.as_str());
            wrong.push(format!("line {}: {words}: found {found}, expected {expected}; {said}", number + 1));
        }
        assert_eq!(decision.allowed, decision.denied_by.is_none());
        for verdict in decision.trace {
            let shut = !verdict.allowed;
            assert!(!verdict.reason.is_empty() && shut == verdict.fix.is_some(), "line {}: {verdict:?}", number + 1);
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows >= ROWS, "{rows} rows");
}

fn names<T: serde::de::DeserializeOwned>(word: &str) -> Vec<T> {
    let names = word.split(',').filter(|w| *w != "none");
    names.map(|w| serde_json::from_value(w.into()).unwrap_or_else(|e| panic!("{w:?}: {e}"))).collect()
}

fn name<T: serde::de::DeserializeOwned>(word: &str) -> T {
    names(word).pop().expect("a name")
}

fn target(word: &str) -> &str {
    if word == "-" { "" } else { word }
}

/// The world that the words of a row describe. Words that refer to others are read last.
fn world(words: &str) -> World {
    let mut w = World::new();
    let pairs: Vec<(&'static str, &'static str)> = words
        .split_whitespace()
        .map(|word| word.split_once('=').unwrap_or((word, "")))
        .map(|(key, value)| (&*key.to_owned().leak(), &*value.to_owned().leak()))
        .collect();
    for (key, value) in &pairs {
        word(&mut w, key, value);
    }
    for (key, value) in &pairs {
        late_word(&mut w, key, value);
    }
    w
}

fn policy_of<'w>(w: &'w mut World, key: &str) -> &'w mut ControlPolicy {
    if key.ends_with('2') && w.policies.len() < 2 {
        w.policies.push(policy("second"));
    }
    w.policies.last_mut().expect("a policy")
}

fn rule_of(value: &str) -> Vec<crate::api::policy::PolicyRule> {
    let (actions, targets) = value.split_once('@').unwrap_or((value, "*"));
    if actions == "none" { Vec::new() } else { vec![rule(&[actions], &[targets])] }
}

fn list(value: &str) -> Vec<String> {
    if value == "none" { Vec::new() } else { vec![value.to_owned()] }
}

fn budget(value: &str) -> Budget {
    Budget { max_actions: value.parse().unwrap(), window: seconds(60) }
}

fn word(w: &mut World, key: &str, value: &'static str) {
    let deleted = || Some(MetaTime(at(0)));
    match key {
        "action" => w.action = name(value),
        "target" => w.target = target(value),
        "at" => w.now = at(value.parse().unwrap()),
        "planning" => w.planning = true,
        "run" => w.run = Some(value),
        "stop" => w.stops.push(stop(value)),
        "stack" => w.stack.metadata.deletion_timestamp = deleted(),
        "unmanaged" => {
            for service in w.stack.spec.services.iter_mut().filter(|s| value.split(',').any(|v| v == s.name)) {
                service.managed = false;
            }
        }
        "session" => match value {
            "none" => w.session = "",
            "unknown" => w.session = "unknown",
            "deleting" => w.sessions[0].metadata.deletion_timestamp = deleted(),
            _ => w.sessions[0].spec.stack = value.to_owned(),
        },
        "mode" => w.sessions[0].spec.mode = name(value),
        "phase" => w.sessions[0].status.as_mut().unwrap().phase = name::<SessionPhase>(value),
        "end" => w.sessions[0].spec.end = true,
        "canary" => w.sessions[0].spec.canary = Some(Canary { actions: names(value), ..Canary::default() }),
        "claimed" => w.sessions[0].status.as_mut().unwrap().usage.actions = value.parse().unwrap(),
        "failed" => w.actions.extend((0..value.parse().unwrap()).map(|n| {
            let mut failed = action(&format!("failed-{n}"), ActionKind::StatusCheck, "redis", ActionPhase::Failed);
            failed.status.as_mut().unwrap().started_at = Some(at(0));
            failed
        })),
        "max" => w.sessions[0].spec.max_tier = name(value),
        "listed" => w.sessions[0].spec.allowed_actions = names(value),
        "budget" => w.sessions[0].spec.budget = Some(budget(value)),
        "used" => w.sessions[0].status.as_mut().unwrap().usage.recent = vec![at(0); value.parse().unwrap()],
        "other" => w.sessions[0].spec.approval.require_other = true,
        "approve" => {
            let (tier, mode) = value.split_once(':').unwrap();
            let rules = &mut w.sessions[0].spec.approval;
            match tier {
                "Caution" => rules.caution = name(mode),
                "Destructive" => rules.destructive = name(mode),
                _ => {}
            }
        }
        "policies" => w.policies.clear(),
        "allow" | "allow2" => policy_of(w, key).spec.allow = rule_of(value),
        "deny" | "deny2" => policy_of(w, key).spec.deny = rule_of(value),
        "hosts" => w.policies[0].spec.hosts = list(value),
        "roots" => w.policies[0].spec.allowed_roots = list(value),
        "resolved" => {
            w.roots = vec![("/srv".to_owned(), PathBuf::from("/srv"))];
            w.directory = Some(if value == "broken" { Err("no such file") } else { Ok(Path::new(value).join("wicap")) });
        }
        "pbudget" => w.policies[0].spec.budget = Some(budget(value)),
        "claimed_by_stack" => {
            for n in 0..value.parse().unwrap() {
                let mut old = action(&format!("old-{n}"), ActionKind::StopService, "redis", ActionPhase::Failed);
                old.status.as_mut().unwrap().started_at = Some(at(0));
                w.actions.push(old);
            }
        }
        "asked" => w.actions.push(action("asked", ActionKind::StopService, value, ActionPhase::Pending)),
        "cooldown" => {
            w.policies[0].spec.cooldowns.insert(ActionKind::RestartService, seconds(value.parse().unwrap()));
        }
        "last" => {
            let mut old = action("old", ActionKind::RestartService, value, ActionPhase::Failed);
            old.status.as_mut().unwrap().started_at = Some(at(0));
            w.actions.push(old);
        }
        "busy" => {
            let (what, phase) = value.split_once(':').unwrap();
            let kind = if what == "-" { ActionKind::ComposeUp } else { ActionKind::StopService };
            w.actions.push(action("busy", kind, target(what), name(phase)));
            // So that two may be at work, and a single service meets only its own.
            w.stack.spec.defaults.max_concurrent = 1;
        }
        "job" => {
            let (what, phase) = value.split_once(':').unwrap();
            w.actions.push(action("job", ActionKind::RunJob, what, name(phase)));
            w.stack.spec.defaults.max_concurrent = 1;
        }
        "elevation" | "uses" | "rules" | "answer" | "deadline" | "wrong" | "by" | "changed" | "dry" | "most" => {}
        _ => panic!("{key:?} is no word of the table"),
    }
}

/// What is about something that another word has made.
fn late_word(w: &mut World, key: &str, value: &'static str) {
    match key {
        "most" => w.stack.spec.defaults.max_concurrent = value.parse().unwrap(),
        "elevation" => w.elevations.extend(value.split(',').enumerate().map(|(n, how)| elevation(w.action, n, how))),
        "uses" => {
            let (uses, most) = value.split_once(':').unwrap();
            w.elevations[0].spec.max_uses = most.parse().unwrap();
            w.elevations[0].status.get_or_insert_default().uses = uses.parse().unwrap();
        }
        "rules" => {
            let rules = &mut w.sessions[0].spec.canary.get_or_insert_default().stop_rules;
            let (rule, most) = value.split_once(':').unwrap();
            match rule {
                "maxActions" => rules.max_actions = most.parse().ok(),
                _ => rules.max_failures = most.parse().ok(),
            }
        }
        "run" => {
            let mut run = action(value, w.action, w.target, ActionPhase::AwaitingApproval);
            run.status = Some(ActionRunStatus { phase: ActionPhase::AwaitingApproval, ..ActionRunStatus::default() });
            w.actions.push(run);
        }
        "answer" => {
            let run = w.actions.last().expect("a run before its answer");
            let spec = ApprovalSpec {
                verdict: name::<ApprovalVerdict>(value),
                digest: digest(run, &w.stack),
                by: "bob@host".to_owned(),
                reason: None,
                expires: at(60_000),
            };
            w.approvals.push(Approval::new(run.name(), spec));
        }
        "deadline" => {
            let run = w.actions.last_mut().expect("a run");
            run.status.as_mut().unwrap().approval_deadline = Some(at(value.parse().unwrap()));
        }
        "by" => w.approvals[0].spec.by = value.to_owned(),
        "wrong" if value == "digest" => w.approvals[0].spec.digest = "0".repeat(64),
        "wrong" => w.approvals[0].metadata.deletion_timestamp = Some(MetaTime(at(0))),
        "changed" => {
            let run = w.actions.last_mut().expect("a run");
            match value {
                "target" => run.spec.target = "redis".to_owned(),
                "action" => run.spec.action = ActionKind::StopService,
                "timeout" => run.spec.timeout = Some(seconds(1)),
                "session" => run.spec.session = "another".to_owned(),
                _ => w.stack.metadata.generation = Some(7),
            }
        }
        "dry" => w.actions.last_mut().expect("a run").spec.dry_run = true,
        _ => {}
    }
}

/// One that is good for the action, or not: for a reason.
fn elevation(action: ActionKind, n: usize, how: &str) -> Elevation {
    let spec = ElevationSpec {
        session: if how == "session" { "another" } else { "night" }.to_owned(),
        action: if how == "action" { ActionKind::ComposeDown } else { action },
        target: if how == "target" { "ui" } else { "" }.to_owned(),
        approver: "bob@host".to_owned(),
        reason: "r".to_owned(),
        ttl: seconds(600),
        max_uses: 1,
    };
    let mut elevation = Elevation::new(&format!("e{n}"), spec);
    elevation.metadata.creation_timestamp = (how != "unstored").then(|| MetaTime(at(0)));
    elevation.metadata.deletion_timestamp = (how == "deleting").then(|| MetaTime(at(0)));
    elevation.status.get_or_insert_default().uses = u32::from(how == "used");
    elevation
}
