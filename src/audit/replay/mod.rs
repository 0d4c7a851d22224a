//! What was decided, decided again: recordings of what happened to a stack, and what the planner makes of them.
//!
//! # Layout
//! - [`mod@file`]: a recording, read strictly
//! - [`record`]: a stack's history as a recording; `past`: what bears on the stack, revision by revision
//! - [`mod@line`]: what is told of a moment

pub mod file;
pub mod line;
mod past;
pub mod record;

use crate::store;

/// Why the history of a stack cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is stored is not what this version of the planner can be given. Nothing can be done about the past.
    #[error("{0}")]
    Unplayable(String),
}
