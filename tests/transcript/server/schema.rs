//! `/openapi/v3`: the document that kubectl reads for `explain` and for what a request may ask.

use k8s_openapi::schemars;
use serde_json::{Value, json};

use super::resource::Resource;

const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should \
    convert recognized schemas to the latest internal value, and may reject unrecognized values.";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this \
    from the endpoint the client submits requests to. Cannot be updated. In CamelCase.";
const METADATA: &str = "Standard object's metadata.";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// `/openapi/v3`.
pub fn index(resources: &[Resource]) -> Value {
    let mut paths = serde_json::Map::new();
    for resource in resources {
        let path = prefix(resource).trim_start_matches('/').to_owned();
        let url = format!("/openapi/v3/{path}?hash=0");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

fn prefix(resource: &Resource) -> String {
    let root = if resource.group.is_empty() { "/api" } else { "/apis" };
    format!("{root}/{}", resource.api_version())
}

/// The document of one group and version.
pub fn document(resources: &[Resource], api_version: &str) -> Value {
    let (mut paths, mut schemas) = (serde_json::Map::new(), meta_schemas());
    // kubectl asks for what a Namespace takes when it has a List in its hands.
    let namespaces =
        Resource { plural: "namespaces".into(), kind: "Namespace".into(), namespaced: false, ..Resource::events() };
    let all = resources.iter().chain([&namespaces]);
    for resource in all.filter(|r| r.api_version() == api_version) {
        let gvk = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
        let space = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let list = format!("{}{space}/{}", prefix(resource), resource.plural);
        let operation = |action: &str, parameters: &[&str]| {
            let parameters: Vec<Value> = parameters
                .iter()
                .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
                .collect();
            json!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk, "parameters": parameters,
                "responses": {"200": {"description": "OK"}}})
        };
        let writing = ["dryRun", "fieldManager", "fieldValidation"];
        paths.insert(
            format!("{list}/{{name}}"),
            json!({
                "get": operation("get", &["pretty"]),
                "put": operation("put", &writing),
                "patch": operation("patch", &writing),
                "delete": operation("delete", &["dryRun", "propagationPolicy"]),
            }),
        );
        paths.insert(
            list,
            json!({
                "get": operation("list", &["fieldSelector", "labelSelector", "limit", "continue", "watch"]),
                "post": operation("post", &writing),
            }),
        );
        let name = if resource.group.is_empty() {
            format!("io.k8s.api.core.v1.{}", resource.kind)
        } else {
            let group: Vec<&str> = resource.group.split('.').rev().collect();
            format!("{}.{}.{}", group.join("."), resource.version, resource.kind)
        };
        let mut schema = if resource.schema.is_null() { json!({"type": "object"}) } else { resource.schema.clone() };
        schema["x-kubernetes-group-version-kind"] = json!([gvk]);
        let described = |text: &str, anchor: &str| format!("{text} More info: {CONVENTIONS}#{anchor}");
        schema["properties"]["apiVersion"] = json!({"description": described(API_VERSION, "resources"), "type": "string"});
        schema["properties"]["kind"] = json!({"description": described(KIND, "types-kinds"), "type": "string"});
        let reference = format!("#/components/schemas/{OBJECT_META}");
        schema["properties"]["metadata"] =
            json!({"description": described(METADATA, "metadata"), "allOf": [{"$ref": reference}]});
        schemas.insert(name, schema);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// ObjectMeta and what it is made of.
fn meta_schemas() -> serde_json::Map<String, Value> {
    let schema = schemars::generate::SchemaSettings::openapi3()
        .into_generator()
        .into_root_schema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>();
    let mut schema = schema.to_value();
    let fields = schema.as_object_mut().unwrap();
    let mut all = match fields.remove("components") {
        Some(mut components) => components["schemas"].take().as_object().cloned().unwrap_or_default(),
        None => serde_json::Map::new(),
    };
    fields.remove("$schema");
    fields.remove("title");
    all.insert(OBJECT_META.to_owned(), schema);
    all
}

/// `/openapi/v2`, in protobuf: a document without paths, which is all that kubectl needs to see that a kind is not served.
/// Fields of `openapi.v2.Document`: 1 swagger, 2 info (1 title, 2 version), 8 paths.
pub fn document_v2() -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).expect("short texts");
        [&[number << 3 | 2, length], bytes].concat()
    };
    let info = [field(1, b"wicap.dev"), field(2, b"v1alpha1")].concat();
    [field(1, b"2.0"), field(2, &info), field(8, b"")].concat()
}
