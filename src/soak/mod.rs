//! What a soak run records, and everything that follows from it.
//!
//! ```text
//!  clock ─► schedule (what is due) ─► course (which phase, which step) ─► records ─► journal (append-only, chained)
//!                                                                                       │
//!                                  status ◄── evidence (all records, added up) ◄────────┘
//!                                               └─► judge (criteria) ─► verdict ─► report (JSON, HTML, JUnit, text)
//! ```
//!
//! Only `journal` does I/O. The rest are pure functions of the records: a verdict and a report can be made again from them at any
//! time, byte for byte. Guarantee: a record is on disk before anything that follows from it is told. Assumption: the data directory
//! is the host's own, as every run is carried out on the host of its stack.
//!
//! # Layout
//! - [`schedule`]: when checks and samples are due; [`cron`]: when whole runs are; [`timetable`]: what a
//!   ScheduledSoak makes of that
//! - [`record`]: one line of the evidence, and the chain that binds the lines
//! - [`journal`]: the file
//! - [`evidence`]: what the records add up to
//! - [`series`]: what can be asked of a curve; [`logs`]: what of a stack's logs is a curve
//! - [`course`]: the phases, and what moves a run from one to the next
//! - [`observed`]: what of other objects is recorded
//! - [`jobs`]: checks that are asked for as actions
//! - [`incident`]: what becomes of checks that fail
//! - [`permit`]: the session that a run needs
//! - [`judge`]: the criteria and the verdict
//! - [`report`]: everything that is told about a run

pub mod course;
pub mod cron;
pub mod evidence;
pub mod incident;
pub mod jobs;
pub mod journal;
pub mod judge;
pub mod logs;
pub mod observed;
pub mod permit;
pub mod record;
pub mod report;
pub mod schedule;
pub mod series;
pub mod timetable;
