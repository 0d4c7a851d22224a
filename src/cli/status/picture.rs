//! What there is to be known of a stack at a glance: pure data, and the form of `status -o json`.
//!
//! The fields of these types are what scripts may rely on: fields are added, and neither renamed nor removed. Times are RFC 3339, UTC;
//! what does not apply is absent or an empty list.

use serde::Serialize;

use crate::api::action::{ActionKind, ActionPhase};
use crate::api::incident::{IncidentKind, IncidentPhase};
use crate::api::session::{Mode, SessionPhase};
use crate::api::soak::{SoakPhase, Verdict};
use crate::api::stack::{DesiredState, Drift, Health, Maintenance, ProbeState, ServiceState};
use crate::api::{Severity, Time};
use crate::cli::called::Called;
use crate::plan::decide::DecisionKind;

/// How a stack is, in one word. From worst to best: what needs a person most comes first in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum State {
    /// All that may be tried has been tried. A person must mend it.
    Escalated,
    /// An action would mend it and waits for a person's yes or no.
    AwaitingApproval,
    /// An action would mend it, and a gate denies it.
    Blocked,
    /// Something is wrong, an action is due or asked for, and nobody takes it up: a part of the daemon does not run.
    Stalled,
    /// It is not known how it is: it was never looked at, or too long ago, or its engine does not answer.
    Unknown,
    /// An EmergencyStop holds: whatever breaks stays broken.
    Stopped,
    /// Something is wrong, and it is being mended.
    Mending,
    /// Nothing is wrong, and it is not yet as desired.
    Starting,
    /// Something is not as desired on purpose, for a time.
    Maintenance,
    /// It is as desired.
    Healthy,
}

/// All there is to be known of one stack at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// When it was drawn.
    pub at: Time,
    /// Name of the WicapStack.
    pub stack: String,
    /// The host whose engine runs it.
    pub host: String,
    /// Its compose project.
    pub project: String,
    /// The project's directory, on its host.
    pub directory: String,
    /// Its compose files, as the stack names them.
    pub files: Vec<String>,
    /// How it is.
    pub state: State,
    /// The same in a sentence.
    pub summary: String,
    /// How it should be.
    pub desired: DesiredState,
    /// Managed services that are as desired of all of them, as `3/4`; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// Status of the condition Available: True, False or Unknown. Unknown too when the observation is too old.
    pub available: String,
    /// Since when it has been that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_since: Option<Time>,
    /// The last look at it.
    pub observation: Observation,
    /// Its services, in the order of its spec.
    pub services: Vec<Service>,
    /// What is not as it should be.
    pub drift: Vec<Drift>,
    /// Actions that are asked for or under way.
    pub actions: Vec<Action>,
    /// The action that was over last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_action: Option<Done>,
    /// What the planner decides now about each service that is not as it should be.
    pub decisions: Vec<Decision>,
    /// Actions that a gate denies.
    pub blocked: Vec<Blocked>,
    /// Where each service that is being mended, or was lately, stands on its ladder.
    pub ladders: Vec<Ladder>,
    /// Sessions in force, the one that may do most first; then those that wait to be.
    pub sessions: Vec<Session>,
    /// When there is none in force: the one that was over last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_session: Option<Session>,
    /// Soak runs that are not over.
    pub soaks: Vec<Soak>,
    /// Incidents that are not resolved.
    pub incidents: Vec<Trouble>,
    /// Stops that hold for it.
    pub stops: Vec<Stop>,
    /// What is not as desired on purpose.
    pub maintenance: Vec<Maintenance>,
    /// What an operator would do now.
    pub next: NextStep,
}

/// The last look at a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// What it is worth.
    pub state: Sight,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Why nothing could be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What an observation is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sight {
    /// It is recent.
    Fresh,
    /// It is older than three heartbeats of the observer.
    Stale,
    /// There is none.
    Never,
    /// It is recent, and the engine did not answer.
    EngineSilent,
}

/// A service at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its key in the compose file.
    pub name: String,
    /// What it is; Unknown when the observation is too old.
    pub state: ServiceState,
    /// What it was when it was last seen, when that is too long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_known: Option<ServiceState>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Whether it is as it should be; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_desired: Option<bool>,
    /// Docker's health word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Restarts by the engine's own policy.
    pub restarts: i64,
    /// Probes that pass.
    pub probes_passing: usize,
    /// All its probes.
    pub probes: usize,
    /// The probes that do not pass.
    pub probes_not_passing: Vec<Question>,
    /// Whether the stack is not Available without it.
    pub critical: bool,
    /// Whether anything is done for it.
    pub managed: bool,
    /// What explains its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A probe at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Its name in the spec.
    pub name: String,
    /// Its verdict.
    pub state: ProbeState,
    /// What was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An action that is asked for or under way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "an action is what an ActionRun does, as in its spec")]
pub struct Action {
    /// Name of the ActionRun.
    pub name: String,
    /// What it does.
    pub action: ActionKind,
    /// To what; empty for the whole stack.
    pub target: String,
    /// How far it is.
    pub phase: ActionPhase,
    /// Since when: when it was claimed, or asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Why it was asked for.
    pub cause: String,
    /// Until when an answer is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<Time>,
}

/// An action that is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Name of the ActionRun.
    pub name: String,
    /// What it did.
    pub action: ActionKind,
    /// To what; empty for the whole stack.
    pub target: String,
    /// How it ended.
    pub phase: ActionPhase,
    /// When.
    pub at: Time,
    /// The result in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is decided about a service now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The service; empty for the whole stack.
    pub target: String,
    /// In one word.
    pub kind: DecisionKind,
    /// The action that is asked for, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionKind>,
    /// Why, in words.
    pub reason: String,
    /// When time alone may change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Whether it should have been asked for by now, and was not: the planner does not run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
}

/// An action that a gate denies.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// The service; empty for the whole stack.
    pub target: String,
    /// The action.
    pub action: ActionKind,
    /// The first gate that denies it.
    pub gate: String,
    /// Why, with the object and the field that decided.
    pub message: String,
    /// What would have to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Other gates that deny it too. Where there is no session none is told: most gates ask for one.
    pub also: Vec<String>,
    /// When time alone may open the gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Where a service stands on its ladder.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ladder {
    /// The service; empty for the whole stack.
    pub service: String,
    /// Actions that were taken in this episode.
    pub actions: u32,
    /// The step that was taken last, from 1.
    pub step: u32,
    /// How many steps there are.
    pub steps: usize,
    /// Whether it is being rolled back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// The action that is next, if what is wrong stays wrong; absent when none is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<ActionKind>,
    /// Nothing is done before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_until: Option<Time>,
    /// Since when a person has been called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalated_at: Option<Time>,
    /// Name of the last ActionRun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_action: Option<String>,
}

/// A session at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Name of the ControlSession.
    pub name: String,
    /// What may be done in it.
    pub mode: Mode,
    /// Where in its life it is, by the clock too.
    pub phase: SessionPhase,
    /// Who opened it.
    pub operator: String,
    /// When it runs out, or ran out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Actions taken in its name.
    pub actions: u32,
    /// Whether a person has to agree to each of them.
    pub asks: bool,
    /// What its budget leaves; absent without a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Allowance>,
    /// Why it is in its phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a budget leaves.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowance {
    /// Actions claimed within the window.
    pub used: usize,
    /// The most that may be.
    pub of: u32,
    /// Length of the window, as `1h`.
    pub window: String,
}

/// A soak run at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Soak {
    /// Name of the SoakRun.
    pub name: String,
    /// Name of the session that it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Where in its life it is.
    pub phase: SoakPhase,
    /// Share of the soak that is over, in percent; absent before it soaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// When the soak will be over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
    /// Results of checks that passed.
    pub passed: u32,
    /// Results that failed, or could not be had.
    pub failed: u32,
    /// Restarts while soaking.
    pub restarts: u32,
    /// Actions of others while soaking.
    pub recoveries: u32,
    /// The verdict, once it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An incident at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// Name of the Incident.
    pub name: String,
    /// The service, or the check.
    pub service: String,
    /// What it is about.
    pub kind: IncidentKind,
    /// How much it matters.
    pub severity: Severity,
    /// Where in its life it is.
    pub phase: IncidentPhase,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What was wrong.
    pub signature: String,
    /// What is to be done about it, where a rule knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A stop at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// Its name: `all`, or the stack's.
    pub name: String,
    /// Who stopped it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What an operator would do now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextStep {
    /// What it is good for, in a sentence.
    pub why: String,
    /// The command; absent when nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl NextStep {
    /// The same, for the store that was meant when this command was called.
    #[must_use]
    pub(crate) fn with_flags_of(self, called: &Called) -> Self {
        Self { why: called.again(&self.why), command: self.command.map(|command| called.again(&command)) }
    }
}
