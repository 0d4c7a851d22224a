//! What the store holds that can be the cause of something.

use k8s_openapi::api::core::v1::Event;

use super::super::status::objects::Objects;
use crate::api::action::ActionRun;
use crate::api::approval::Approval;
use crate::api::session::ControlSession;
use crate::api::snapshot::Snapshot;
use crate::api::stack::WicapStack;
use crate::api::{Object, Time};
use crate::store::{self, ListParams, Store};

/// The objects about one stack, and what is told of the one that is asked about.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What a picture is drawn from.
    pub objects: Objects,
    /// Answers to actions.
    pub approvals: Vec<Approval>,
    /// Packs that were made.
    pub snapshots: Vec<Snapshot>,
    /// Events of the object that is asked about.
    pub events: Vec<Event>,
}

impl Known {
    /// Reads what there is about a stack, which may be gone, and the Events of one object.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(store: &Store, stack: &str, kind: &str, name: &str) -> Result<Self, store::Error> {
        let everything = ListParams::default();
        let of_stack = ListParams { fields: Some(format!("spec.stack={stack}")), ..ListParams::default() };
        let (approvals, snapshots) = (store.api(), store.api());
        let (objects, approvals, snapshots, events) = tokio::try_join!(
            Objects::about(store, Some(stack)),
            approvals.list(&everything),
            snapshots.list(&of_stack),
            store.events_for(kind, name),
        )?;
        Ok(Self { objects, approvals: approvals.items, snapshots: snapshots.items, events })
    }

    /// The stack, when it is there.
    pub(super) fn stack(&self, name: &str) -> Option<&WicapStack> {
        self.objects.stacks.iter().find(|s| s.name() == name)
    }

    /// The session of that name.
    pub(super) fn session(&self, name: &str) -> Option<&ControlSession> {
        self.objects.sessions.iter().find(|s| s.name() == name)
    }

    /// The action of that name.
    pub(super) fn action(&self, name: &str) -> Option<&ActionRun> {
        self.objects.actions.iter().find(|a| a.name() == name)
    }

    /// Packs made for an object.
    pub(super) fn packs<'a>(&'a self, kind: &str, name: &str) -> impl Iterator<Item = &'a Snapshot> {
        let object = format!("{kind}/{name}");
        self.snapshots.iter().filter(move |s| s.spec.object.as_deref() == Some(&object))
    }

    /// Events of that reason, with their times.
    pub(super) fn told<'a>(&'a self, reason: &str) -> impl Iterator<Item = (Option<Time>, &'a str)> {
        let of_reason = self.events.iter().filter(move |e| e.reason.as_deref() == Some(reason));
        of_reason.map(|e| (e.last_timestamp.as_ref().map(|t| t.0), e.message.as_deref().unwrap_or_default()))
    }
}

/// When an object was made.
pub(super) fn made<K: Object>(object: &K) -> Option<Time> {
    object.meta().creation_timestamp.as_ref().map(|t| t.0)
}
