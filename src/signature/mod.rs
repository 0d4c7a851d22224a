//! From a flood of log lines to the few things that are new, growing or known to hurt. Pure: no I/O, no clock, no randomness.
//!
//! ```text
//!   raw lines ─► envelope (prefix, time, level, logger; stack traces folded) ─► mine (templates, stable ids)
//!                                                                                 └─► rates (new, spike, silence)
//! ```
//!
//! # Layout
//! - [`envelope`]: what is around a message, and which lines are one record
//! - [`mine`]: which messages are the same but for their values
//! - [`rates`]: how often each comes, and when that is worth telling

pub mod envelope;
pub mod mine;
pub mod rates;
