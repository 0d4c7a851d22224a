//! What there is: versions, groups, resources.

use serde_json::{Value, json};

use super::resource::Resource;

/// `/version`: that of the kubectl which the recordings are of.
pub fn version() -> Value {
    json!({
        "major": "1", "minor": "32", "gitVersion": "v1.32.4", "gitCommit": "0", "gitTreeState": "clean",
        "buildDate": "2025-04-22T16:03:00Z", "goVersion": "go1.23.6", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// `/api`.
pub fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`.
pub fn groups(resources: &[Resource]) -> Value {
    let custom = resources.iter().find(|r| !r.group.is_empty());
    let groups: Vec<Value> = custom.map(group).into_iter().collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub fn group(resource: &Resource) -> Value {
    let version = json!({"groupVersion": resource.api_version(), "version": resource.version});
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": resource.group, "versions": [version], "preferredVersion": version,
    })
}

/// `/apis/GROUP/VERSION` and `/api/v1`.
pub fn resources(resources: &[Resource], api_version: &str) -> Value {
    let served = resources.iter().filter(|r| r.api_version() == api_version);
    let listed: Vec<Value> = served
        .flat_map(|resource| {
            let status = json!({
                "name": format!("{}/status", resource.plural), "singularName": "", "namespaced": resource.namespaced,
                "kind": resource.kind, "verbs": ["get", "patch", "update"],
            });
            let status = (!resource.group.is_empty()).then_some(status);
            std::iter::once(resource.discovered()).chain(status)
        })
        .collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed})
}
