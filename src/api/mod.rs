//! The nouns: one file a kind, with its data, its defaults and `validate()`. No I/O.
//!
//! Every kind derives [`kube::CustomResource`], so that its Rust type, its JSON schema and its CustomResourceDefinition are
//! one thing. All kinds are cluster-scoped, in group [`GROUP`], version [`VERSION`].
//!
//! # Layout
//! - [`stack`], [`session`], [`policy`], [`elevation`], [`action`], [`approval`], [`stop`], [`soak`],
//!   [`schedule`], [`incident`], [`log_report`], [`snapshot`]: the kinds
//! - [`registry`]: the table of kinds, for code that does not know the kind beforehand
//! - [`decode`]: strict reading of what people wrote, with the path of every mistake
//! - [`duration`]: durations as they are written, such as `"30s"`
//! - [`tags`]: what labels and annotations must look like
//! - [`validate`]: what a name, a path, a duration must look like, and the [`Violation`] that says so
//! - [`condition`]: condition types and reasons, documented like an API
//! - [`reason`]: the reasons that Events carry

pub mod action;
pub mod approval;
pub mod condition;
pub mod decode;
pub mod duration;
pub mod elevation;
pub mod incident;
pub mod log_report;
pub mod policy;
pub mod reason;
pub mod registry;
pub mod schedule;
pub mod session;
mod severity;
pub mod snapshot;
pub mod soak;
pub mod stack;
pub mod stop;
pub mod tags;
pub mod validate;

use std::fmt::Debug;

use kube::CustomResourceExt;
use kube::core::ClusterResourceScope;
use kube::core::object::{HasSpec, HasStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use duration::Duration;
pub use severity::Severity;
pub use validate::Violation;

/// API group of every kind.
pub const GROUP: &str = "wicap.dev";

/// The one version served and stored.
pub const VERSION: &str = "v1alpha1";

/// `apiVersion` as it is written in a manifest.
pub const API_VERSION: &str = "wicap.dev/v1alpha1";

/// The most bytes an object may have, both halves together, as JSON.
///
/// etcd refuses a request over 1.5 MiB (`--max-request-bytes`); a transaction here carries at most one object and small keys
/// beside it, so 1 MiB leaves room for both halves and the compares.
pub const MAX_OBJECT_BYTES: usize = 1024 * 1024;

/// A time as it is stored: RFC 3339, UTC.
pub type Time = jiff::Timestamp;

/// What every kind of ours is: a cluster-scoped custom resource with a spec, a status and rules of its own.
pub trait Object:
    kube::Resource<DynamicType = (), Scope = ClusterResourceScope>
    + CustomResourceExt
    + HasSpec<Spec: Serialize + PartialEq>
    + HasStatus<Status: Serialize + DeserializeOwned + Default + PartialEq + Clone + Send + Sync>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Whether the audit log has a record of each change of its status. That of a stack is what was observed, and changes all
    /// the time; what is decided and done on the ground of it is an ActionRun.
    const AUDITED_STATUS: bool = true;

    /// What a schema cannot say: every rule this object breaks, in the order of the fields. Empty when it is valid.
    fn validate(&self) -> Vec<Violation>;

    /// Rules about a change from `old` to `self`, such as immutable fields. Called after [`Object::validate`].
    fn validate_update(&self, _old: &Self) -> Vec<Violation> {
        Vec::new()
    }

    /// Whether something is being done on the ground of it at this moment, so that it must be there for others to see. The garbage collector
    /// leaves it alone meanwhile.
    fn is_under_way(&self) -> bool {
        false
    }

    /// The object's name, or the empty string before it has one.
    fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }
}

/// `time + duration`, at the end of time where it would pass that.
#[must_use]
pub fn after(time: Time, duration: std::time::Duration) -> Time {
    time.checked_add(duration).unwrap_or(Time::MAX)
}

/// From `earlier` to `later`; zero when `later` is not later.
#[must_use]
pub fn elapsed(earlier: Time, later: Time) -> std::time::Duration {
    later.duration_since(earlier).try_into().unwrap_or_default()
}
