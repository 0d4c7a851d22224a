//! From a flood of log lines to the few things that are new, growing or known to hurt. Pure: no I/O, no clock, no randomness.
//!
//! ```text
//!   raw lines ─► envelope (prefix, time, level, logger; stack traces folded) ─► mine (templates, stable ids)
//!                   └─► severity, rules (how grave, which known issue)              └─► rates (new, spike, silence)
//!                                                                       register ◄──┘ └─► report, alarms ─► incident
//! ```
//!
//! # Layout
//! - [`envelope`]: what is around a message, and which lines are one record
//! - [`mine`]: which messages are the same but for their values
//! - [`severity`]: how grave a record is by its own words; [`rules`]: what is known of records
//! - [`rates`]: how often each comes, and when that is worth telling
//! - [`register`]: all of that for the logs of one stack
//! - [`incident`]: what becomes of what a person should know
//! - [`classify`]: what lines say that are all there at once, such as those of a pack

pub mod classify;
pub mod envelope;
pub mod incident;
pub mod mine;
pub mod rates;
pub mod register;
pub mod rules;
pub mod severity;
