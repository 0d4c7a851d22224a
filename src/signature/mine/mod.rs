//! Finds the templates of log lines, one line after the other, and gives each a stable id.
//!
//! ```text
//! Connection from 10.0.0.1 closed ─┐
//! Connection from 10.0.0.7 closed ─┴─► group 1, id 3f0c…, "Connection from <*> closed"
//! ```
//!
//! [`Miner`] is the entry. It is deterministic, bounded in memory and free of clocks, chance and input or output. Its
//! state can be saved and restored at any line.
//!
//! Two steps make a template. First each line is masked by itself: the form of a word says whether it is a value (see
//! `word` and `line`). Then words that look constant become a variable when many different ones are seen in one place
//! (see `sibling`). The first step decides nearly all, so ids settle with the first line.
//!
//! Caveats: two messages that differ in punctuation or in values only are one. A message whose variable part is a text
//! of several words gives one template for each number of words, or for each text while there are few.

mod byte;
mod cache;
mod family;
mod hash;
mod id;
mod line;
mod miner;
mod settings;
mod sibling;
mod state;
mod store;
mod template;
mod word;

pub use id::{NoSignatureId, SignatureId};
pub use miner::{Found, Group, Miner};
pub use settings::Settings;
pub use state::State;
