//! Keeping what is stored, logged and shown fit to be seen.
//!
//! # Layout
//! - [`redact`]: takes secrets out of a text

pub mod redact;
