//! The reasons that Events carry: short PascalCase words that an operator can search for and a rule can match.

/// Observer: a service went from one state to another.
pub const SERVICE_CHANGED: &str = "ServiceChanged";
/// Observer: the Docker engine does not answer.
pub const ENGINE_SILENT: &str = "EngineSilent";
/// Observer: the Docker engine answers again.
pub const ENGINE_ANSWERS: &str = "EngineAnswers";
/// Planner: a service is not as it should be.
pub const DRIFTED: &str = "Drifted";
/// Planner: an action was asked for.
pub const ACTION_PLANNED: &str = "ActionPlanned";
/// Planner: an action would be taken, but a gate denies it. The message names the gate, the object and what would be done.
pub const ACTION_BLOCKED: &str = "ActionBlocked";
/// Planner: the ladder is exhausted, or the service flaps; a person is needed. There is an Incident.
pub const ESCALATED: &str = "Escalated";
/// Planner: a service that was in drift has been as it should be for its stable spell.
pub const RECOVERED: &str = "Recovered";
/// Actuator: an action was claimed and begins.
pub const ACTION_STARTED: &str = "ActionStarted";
/// Actuator: an action ended and its postcondition holds.
pub const ACTION_SUCCEEDED: &str = "ActionSucceeded";
/// Actuator: an action ended and its postcondition does not hold.
pub const ACTION_FAILED: &str = "ActionFailed";
/// Actuator: an action waits for a person to agree to it.
pub const ACTION_AWAITS_APPROVAL: &str = "ActionAwaitsApproval";
/// Actuator: an action was allowed, and only said, not done.
pub const ACTION_SHADOWED: &str = "ActionShadowed";
/// Actuator: a stop ended an action on its way.
pub const ACTION_INTERRUPTED: &str = "ActionInterrupted";
/// Actuator: an action was refused when it was about to be claimed.
pub const ACTION_DENIED: &str = "ActionDenied";
/// Policy controller: the policy leaves something to do.
pub const POLICY_ACCEPTED: &str = "Accepted";
/// Policy controller: the policy lets nothing happen anywhere.
pub const POLICY_ALLOWS_NOTHING: &str = "AllowsNothing";
/// Policy controller: all policies together let nothing happen on a stack.
pub const POLICIES_CONTRADICT: &str = "Contradiction";
/// Session controller: a session moved to another phase.
pub const SESSION_PHASE: &str = "SessionPhase";
/// Soak controller: a run moved to another phase.
pub const SOAK_PHASE: &str = "SoakPhase";
/// Soak controller: a check failed.
pub const CHECK_FAILED: &str = "CheckFailed";
/// Schedule controller: a run was made for its time.
pub const SOAK_SCHEDULED: &str = "SoakScheduled";
/// Schedule controller: runs were due and were never made.
pub const SOAK_MISSED: &str = "SoakMissed";
/// Signals controller: a log says what a person should know. There is an Incident.
pub const LOG_ALARM: &str = "LogAlarm";
/// Signals controller: lines came faster than they are looked at, and were not.
pub const LOG_DROPPED: &str = "LogDropped";
/// Signals controller: a log cannot be read.
pub const LOG_UNREADABLE: &str = "LogUnreadable";
/// Snapshot controller: a pack was made.
pub const SNAPSHOT_MADE: &str = "SnapshotMade";
/// Snapshot controller: no pack could be made.
pub const SNAPSHOT_FAILED: &str = "SnapshotFailed";
