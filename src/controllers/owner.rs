//! What is made for a stack is the stack's, and goes with it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use crate::api::stack::WicapStack;
use crate::api::tags::wrong_value;
use crate::api::{API_VERSION, Object};

/// Label on what is made for a stack: the stack's name, where it is short enough for the value of a label.
pub const STACK_LABEL: &str = "wicap.dev/stack";

/// The labels of what is made for the stack of that name.
pub(super) fn labels(stack: &str) -> Option<BTreeMap<String, String>> {
    wrong_value(stack).is_none().then(|| [(STACK_LABEL.to_owned(), stack.to_owned())].into())
}

/// Labels an object with its stack, and lets it go with it.
pub(super) fn belongs_to(stack: &WicapStack, meta: &mut ObjectMeta) {
    meta.labels = labels(stack.name());
    meta.owner_references = Some(vec![OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: WicapStack::kind(&()).into_owned(),
        name: stack.name().to_owned(),
        uid: stack.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_whose_name_no_label_can_hold_is_in_none() {
        assert_eq!(labels("edge"), Some([(STACK_LABEL.to_owned(), "edge".to_owned())].into()));
        assert_eq!(labels(&"s".repeat(64)), None, "a stack may have a longer name than a label a value");
    }
}
