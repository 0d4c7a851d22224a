//! The deciding core: what is wrong, what may be done about it, and what is done next.
//!
//! ```text
//!  WicapStack.spec ──┐
//!  WicapStack.status ┼─► drift::detect ─► ladder (which action is next?) ─► authorise (may it?) ─► Plan
//!  sessions, policies│                       ▲                                  ▲
//!  stops, actions ───┘                       └ RecoveryState, persisted         └ asked again at the claim
//! ```
//!
//! Everything here is a pure function of its arguments: no I/O, no clock (`now` is an argument), no randomness. The same
//! inputs give the same plan in any process, whatever the order in which objects are listed.
//!
//! The caller persists [`decide::Plan::recovery`] no later than it creates the [`decide::Plan::proposals`] and opens the
//! [`decide::Plan::opened`] incidents: a crash in between costs one attempt and never repeats one. The name of a proposal is unique to its stack, service, episode and action, so
//! that creating it twice is one action.
//!
//! # Layout
//! - [`drift`]: what is not as it should be
//! - [`ladder`]: the next action for a service, when it is due, and how long to wait after it
//! - [`authorise`]: every gate, for planner, actuator and people
//! - [`canary`]: when a Canary session is over
//! - [`decide`]: the plan
//! - [`incident`]: what a person is called for, and what becomes of it
//! - [`cause`]: whether an action's cause still stands at its claim
//! - [`policies`]: whether the policies leave anything to do
//! - [`replay`]: plans over observations that were recorded or written by hand

pub mod authorise;
pub mod canary;
pub mod cause;
pub mod decide;
pub mod drift;
pub mod incident;
pub mod ladder;
pub mod policies;
pub mod replay;

mod episode;
mod maintenance;
mod order;
mod pass;
pub(crate) mod rules;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod properties;
