//! What is stored, logged and shown: fit to be seen, and proof of what was done.
//!
//! # Layout
//! - [`redact`]: takes secrets out of a text
//! - [`chain`]: whether the audit log is what was written
//! - [`segment`]: the files that old records of the audit log are moved to
//! - [`trail`]: the whole log, from segments and store

pub mod chain;
pub mod redact;
pub mod segment;
pub mod trail;
