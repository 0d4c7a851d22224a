//! Objects for tests, with defaults under which everything is allowed.

use crate::api::action::{
    ActionKind, ActionPhase, ActionRun, ActionRunSpec, ActionRunStatus, Cause, CauseKind, Params, Tier,
};
use crate::api::incident::Incident;
use crate::api::policy::{ControlPolicy, ControlPolicySpec, PolicyRule};
use crate::api::session::{ApprovalRules, ControlSession, ControlSessionSpec, ControlSessionStatus, Mode, SessionPhase};
use crate::api::soak::{SoakRun, SoakRunStatus};
use crate::api::stack::{
    Compose, Defaults, DesiredState, Logs, Maintenance, ServiceSpec, ServiceState, ServiceStatus, WicapStack,
    WicapStackSpec, WicapStackStatus,
};
use crate::api::stop::{EmergencyStop, EmergencyStopSpec};
use crate::api::{Duration, Object, Time};
use crate::plan::decide::Plan;

/// Milliseconds after the beginning of 2026, at which everything in a test begins.
pub fn at(milliseconds: i64) -> Time {
    Time::from_millisecond(1_767_225_600_000 + milliseconds).unwrap()
}

pub fn seconds(n: u64) -> Duration {
    std::time::Duration::from_secs(n).into()
}

/// A stack `wicap` with these services in these states since `at(0)`, observed at `at(0)`.
pub fn stack(services: &[(&str, ServiceState)]) -> WicapStack {
    let mut stack = WicapStack::new(
        "wicap",
        WicapStackSpec {
            host: "localhost".into(),
            compose: Compose { project: "wicap".into(), directory: "/srv/wicap".into(), ..Compose::default() },
            desired_state: DesiredState::Running,
            services: services.iter().map(|(name, _)| ServiceSpec::named(name)).collect(),
            jobs: Vec::new(),
            defaults: Defaults::default(),
            logs: Logs::default(),
            maintenance: None,
        },
    );
    stack.metadata.uid = Some("0f1e2d3c-0000-4000-8000-000000000000".into());
    let status = |(name, state): &(&str, ServiceState)| ServiceStatus {
        name: (*name).to_owned(),
        state: *state,
        since: Some(at(0)),
        ..ServiceStatus::default()
    };
    stack.status = Some(WicapStackStatus {
        observed_at: Some(at(0)),
        services: services.iter().map(status).collect(),
        ..WicapStackStatus::default()
    });
    stack
}

/// The observation of a service, to change it.
pub fn service<'a>(stack: &'a mut WicapStack, name: &str) -> &'a mut ServiceStatus {
    stack.status.as_mut().unwrap().services.iter_mut().find(|s| s.name == name).unwrap()
}

/// An Assist session for `wicap` that allows everything, in force from `at(0)` for a day.
pub fn session(name: &str) -> ControlSession {
    let spec = ControlSessionSpec {
        stack: "wicap".into(),
        mode: Mode::Assist,
        ttl: seconds(86_400),
        max_tier: Tier::Caution,
        allowed_actions: ActionKind::ALL.to_vec(),
        approval: ApprovalRules::default(),
        canary: None,
        budget: None,
        operator: "ann@host".into(),
        reason: "night".into(),
        end: false,
    };
    let mut session = ControlSession::new(name, spec);
    session.status = Some(ControlSessionStatus {
        phase: SessionPhase::Active,
        started_at: Some(at(0)),
        expires_at: Some(at(86_400_000)),
        ..ControlSessionStatus::default()
    });
    session
}

pub fn rule(actions: &[&str], targets: &[&str]) -> PolicyRule {
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    PolicyRule { actions: owned(actions), targets: owned(targets), stacks: vec!["*".into()], stack_selector: None }
}

/// A policy that allows everything in `/srv` on every host.
pub fn policy(name: &str) -> ControlPolicy {
    let spec = ControlPolicySpec {
        allow: vec![rule(&["*"], &["*"])],
        deny: Vec::new(),
        allowed_roots: vec!["/srv".into()],
        hosts: vec!["*".into()],
        cooldowns: std::collections::BTreeMap::new(),
        timeouts: std::collections::BTreeMap::new(),
        budget: None,
    };
    ControlPolicy::new(name, spec)
}

pub fn stop(name: &str) -> EmergencyStop {
    EmergencyStop::new(name, EmergencyStopSpec { reason: "smoke".into(), by: "ann@host".into() })
}

/// An action on `wicap` in that phase, asked for in session `night`.
pub fn action(name: &str, action: ActionKind, target: &str, phase: ActionPhase) -> ActionRun {
    let cause =
        Cause { kind: CauseKind::Operator, summary: "test".into(), drift: None, since: None, object: None, attempt: None };
    let spec = ActionRunSpec {
        stack: "wicap".into(),
        action,
        target: target.into(),
        params: Params::default(),
        session: "night".into(),
        cause,
        timeout: None,
        dry_run: false,
    };
    let mut run = ActionRun::new(name, spec);
    run.status = Some(ActionRunStatus { phase, ..ActionRunStatus::default() });
    run
}

/// A soak run of `wicap` that claims the stack.
pub fn soak(maintenance: Maintenance) -> SoakRun {
    let spec = serde_json::json!({
        "stack": "wicap", "duration": "60s", "checks": [{"name": "ui", "period": "10s", "httpGet": {"port": 80}}],
    });
    let mut soak = SoakRun::new("soak", serde_json::from_value(spec).unwrap());
    soak.status = Some(SoakRunStatus { maintenance: Some(maintenance), ..SoakRunStatus::default() });
    soak
}

/// Writes down what a plan says of incidents, as the planner's controller does.
pub fn write_down(incidents: &mut Vec<Incident>, plan: &Plan) {
    for followed in &plan.followed {
        let incident = incidents.iter_mut().find(|i| i.name() == followed.name).unwrap();
        incident.status = Some(followed.status.clone());
    }
    for opened in &plan.opened {
        assert!(!incidents.iter().any(|i| i.name() == opened.name), "{} comes twice", opened.name);
        let incident = Incident::new(&opened.name, opened.spec.clone());
        assert_eq!(incident.validate(), vec![]);
        incidents.push(incident);
    }
}
