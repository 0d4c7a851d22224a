//! What is made for a stack is the stack's, and goes with it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use crate::api::stack::WicapStack;
use crate::api::{API_VERSION, Object};

/// Label on what is made for a stack: the stack's name.
pub const STACK_LABEL: &str = "wicap.dev/stack";

/// Labels an object with its stack, and lets it go with it.
pub(super) fn belongs_to(stack: &WicapStack, meta: &mut ObjectMeta) {
    meta.labels = Some([(STACK_LABEL.to_owned(), stack.name().to_owned())].into());
    meta.owner_references = Some(vec![OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: WicapStack::kind(&()).into_owned(),
        name: stack.name().to_owned(),
        uid: stack.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
}
