//! Counts signatures of log lines by minute, and says when one is new, when it spikes and when one that
//! should keep coming has fallen silent.
//!
//! Everything here is pure: the time is an argument, there is no input or output and no randomness. The
//! same lines in the same minutes give the same events, whatever the order of the signatures.
//!
//! - [`Watch`] is the whole: feed it lines and ticks, and it hands back [`Event`]s.
//! - [`Counts`] is the memory: lines by signature and minute for six hours, bounded, saved and restored.
//! - [`Baseline`] says how many lines would still be usual for a signature.
//! - [`Spike`], [`New`] and [`Silence`] are what can be told of one.
//!
//! ```
//! use jiff::{SignedDuration, Timestamp};
//! use wicap::api::Severity;
//! use wicap::signature::rates::{Key, Watch, What};
//!
//! let mut watch = Watch::default();
//! let mut now = Timestamp::UNIX_EPOCH;
//! for _ in 0..120 {
//!     now += SignedDuration::from_mins(1);
//!     watch.line(Key(1), Severity::Info, now, now);
//!     watch.tick(now);
//! }
//! let told: Vec<_> = (0..50).filter_map(|_| watch.line(Key(1), Severity::Info, now, now)).collect();
//! assert!(matches!(told[..], [wicap::signature::rates::Event { what: What::Spike(_), .. }]));
//! ```

mod baseline;
mod clock;
mod counts;
mod event;
mod minute;
mod novelty;
mod quantile;
mod rate;
mod ring;
mod silence;
mod spike;
mod view;
mod watch;

pub use baseline::{Baseline, REACHES};
pub use clock::STALL;
pub use counts::{CAPACITY, CAPACITY_MAX, Counts, Key, LATE, Place, SavedCounts, Totals};
pub use event::{Event, What};
pub use minute::{Minute, Stretch};
pub use novelty::{New, WARM_UP};
pub use rate::Rate;
pub use ring::WINDOW;
pub use silence::{Expected, Resumed, Silence};
pub use spike::{Over, Spike, SpikeOver};
pub use watch::{SavedWatch, Watch};
