//! What is stored, logged and shown: fit to be seen, and proof of what was done.
//!
//! # Layout
//! - [`redact`]: takes secrets out of a text
//! - [`chain`]: whether the audit log is what was written
//! - [`segment`]: the files that old records of the audit log are moved to
//! - [`pack`]: all that is known of a stack at a time, in one file; [`snapshots`]: when one is made
//! - [`replay`]: what was decided, decided again
//! - [`trail`]: the whole log, from segments and store

pub mod chain;
pub mod pack;
pub mod redact;
pub mod replay;
pub mod segment;
pub mod snapshots;
pub mod trail;
