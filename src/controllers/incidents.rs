//! How what was decided of incidents is written, whoever decided it.

use kube::Resource;

use super::owner::belongs_to;
use crate::api::stack::WicapStack;
use crate::signature::incident::Change;
use crate::store::election::Fence;
use crate::store::{Error, Store};

/// Writes it; what is opened belongs to the stack. False when the cache that it was decided on lags behind: the next look decides again.
pub(super) async fn write(store: &Store, fence: &Fence, stack: Option<&WicapStack>, change: Change) -> Result<bool, Error> {
    let written = match change {
        Change::Open(mut incident) => {
            if let Some(stack) = stack {
                belongs_to(stack, incident.meta_mut());
            }
            store.transaction().fence(fence).create(incident.as_ref())?.commit().await.map(|_| ())
        }
        Change::Follow(incident) => store.api().replace_status(incident.as_ref(), Some(fence)).await.map(|_| ()),
    };
    match written {
        Ok(()) => Ok(true),
        Err(Error::Conflict { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
