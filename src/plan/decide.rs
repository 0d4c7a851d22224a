//! The plan: what is wrong with a stack, what is to be done about it now, and when to look again.

use std::time::Duration;

use serde::Serialize;

use super::drift::is_stale;
use super::incident::{Followed, Opened};
use super::pass::{Pass, escalated};
use crate::api::action::{ActionKind, ActionRun, ActionRunSpec};
use crate::api::incident::Incident;
use crate::api::policy::ControlPolicy;
use crate::api::reason;
use crate::api::session::{ControlSession, Mode};
use crate::api::soak::SoakRun;
use crate::api::stack::{BlockedBy, Drift, DriftKind, RecoveryState, WicapStack};
use crate::api::stop::EmergencyStop;
use crate::api::{Object, Time};

/// How long an action that was asked for may take to appear in the list of actions. A watch delivers it within milliseconds; two
/// seconds leave room for a slow store.
pub const SETTLE: Duration = Duration::from_secs(2);

/// All a plan depends on. The order of the lists does not matter; objects of other stacks do no harm.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The stack, with its status.
    pub stack: &'a WicapStack,
    /// The sessions.
    pub sessions: &'a [ControlSession],
    /// The policies.
    pub policies: &'a [ControlPolicy],
    /// The stops.
    pub stops: &'a [EmergencyStop],
    /// The actions.
    pub actions: &'a [ActionRun],
    /// The incidents.
    pub incidents: &'a [Incident],
    /// The soak runs.
    pub soaks: &'a [SoakRun],
    /// The time.
    pub now: Time,
}

/// An ActionRun to be created, after the plan's recovery states are persisted.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Its name: the same for the same attempt, however often it is planned.
    pub name: String,
    /// What is asked for.
    pub spec: ActionRunSpec,
}

/// What is wrong, and what is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What is not as it should be.
    pub drift: Vec<Drift>,
    /// Where each service stands on its ladder, the proposals counted.
    pub recovery: Vec<RecoveryState>,
    /// What to ask for.
    pub proposals: Vec<Proposal>,
    /// Incidents to create, no earlier than the plan's recovery states are persisted.
    pub opened: Vec<Opened>,
    /// Statuses of incidents that have changed.
    pub followed: Vec<Followed>,
    /// The first action that is proposed, or else blocked, or else waited for: `start_service processor`.
    pub planned_action: Option<String>,
    /// Why the planned action is not proposed, when a gate denies it.
    pub blocked_by: Option<BlockedBy>,
    /// What changed against the stack's status. Empty when nothing did.
    pub notes: Vec<Note>,
    /// The managed services for which a person is called.
    pub escalated: Vec<String>,
    /// The earliest moment at which time alone changes the plan.
    pub next: Option<Time>,
    /// What was decided about each service that is not as it should be, in the order in which they were looked at. Empty when
    /// all is as it should be.
    pub decisions: Vec<Decision>,
}

/// What was decided about a service, or about the whole stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// In one word.
    pub kind: DecisionKind,
    /// The action that is asked for, blocked, or waited with.
    pub action: Option<ActionKind>,
    /// The service; `""` for the whole stack.
    pub target: String,
    /// In one line, for people.
    pub reason: String,
    /// When time alone may change it.
    pub until: Option<Time>,
}

/// A decision in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DecisionKind {
    /// The action is asked for.
    Act,
    /// Nothing is done yet, or any more.
    Wait,
    /// A person is called, once.
    Escalate,
    /// The action is asked for in a Shadow session: it will be said, and not done.
    Shadow,
    /// A gate denies the action.
    Blocked,
}

/// Something to tell people about. The service is `""` for the whole stack.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A service is not as it should be.
    Drifted {
        /// The service.
        service: String,
        /// What is wrong with it.
        kind: DriftKind,
        /// In one line.
        message: String,
    },
    /// An action is asked for.
    Planned {
        /// The service.
        service: String,
        /// The action.
        action: ActionKind,
        /// Name of the ActionRun.
        name: String,
        /// In one line.
        message: String,
    },
    /// An action would be asked for, and a gate denies it.
    Blocked {
        /// The service.
        service: String,
        /// The action.
        action: ActionKind,
        /// The gate.
        gate: String,
        /// In one line.
        message: String,
    },
    /// The ladder is exhausted.
    Escalated {
        /// The service.
        service: String,
        /// In one line.
        message: String,
    },
    /// A service that was in drift has been well for its stable spell.
    Recovered {
        /// The service.
        service: String,
    },
}

impl Note {
    /// The service it is about; `""` for the whole stack.
    #[must_use]
    pub fn service(&self) -> &str {
        match self {
            Self::Drifted { service, .. }
            | Self::Planned { service, .. }
            | Self::Blocked { service, .. }
            | Self::Escalated { service, .. }
            | Self::Recovered { service } => service,
        }
    }

    /// The reason its Event carries.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Drifted { .. } => reason::DRIFTED,
            Self::Planned { .. } => reason::ACTION_PLANNED,
            Self::Blocked { .. } => reason::ACTION_BLOCKED,
            Self::Escalated { .. } => reason::ESCALATED,
            Self::Recovered { .. } => reason::RECOVERED,
        }
    }

    /// What it says, in one line.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Drifted { message, .. }
            | Self::Planned { message, .. }
            | Self::Blocked { message, .. }
            | Self::Escalated { message, .. } => message.clone(),
            Self::Recovered { service } => format!("{service} has been as desired for its stable spell"),
        }
    }
}

/// The session in whose name is planned for a stack: of those in force the one that may do most.
pub fn session_for<'a>(
    stack: &str,
    sessions: impl IntoIterator<Item = &'a ControlSession>,
    now: Time,
) -> Option<&'a ControlSession> {
    let rank = |mode: Mode| match mode {
        Mode::Assist => 0,
        Mode::Canary => 1,
        Mode::Shadow => 2,
        Mode::Monitor => 3,
    };
    let in_force = sessions.into_iter().filter(|s| s.spec.stack == stack && s.in_force(now));
    in_force.min_by_key(|s| (rank(s.spec.mode), s.name()))
}

/// Decides what is to be done about the stack now.
///
/// A stack that was never observed, or too long ago, is left alone: its recovery states stay as they are.
#[must_use]
pub fn decide(inputs: &Inputs<'_>) -> Plan {
    let status = inputs.stack.status.as_ref();
    match status.filter(|s| !is_stale(Some(s), inputs.now)) {
        Some(status) => Pass::new(inputs, status).run(),
        None => {
            let recovery = status.map(|s| s.recovery.clone()).unwrap_or_default();
            let drift = status.map(|s| s.drift.as_slice()).unwrap_or_default();
            let decisions = vec![Decision {
                kind: DecisionKind::Wait,
                action: None,
                target: String::new(),
                reason: "the stack was not observed, or too long ago to say anything".to_owned(),
                until: None,
            }];
            Plan { escalated: escalated(&inputs.stack.spec, &recovery, drift), recovery, decisions, ..Plan::default() }
        }
    }
}

#[cfg(test)]
mod tests;
