//! What the server serves: the kinds of the CustomResourceDefinitions, and the Events of core/v1.

use std::path::Path;

use serde_json::{Value, json};

/// One kind.
#[derive(Clone, Debug)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub columns: Vec<Column>,
    /// The OpenAPI schema, structural. Null for Events, which are not checked.
    pub schema: Value,
}

/// A printer column.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub type_: String,
    pub description: String,
    pub priority: i64,
    pub path: String,
}

impl Resource {
    /// All kinds of a directory of CRDs, and Events.
    pub fn all(crds: &Path) -> Vec<Self> {
        let mut files: Vec<_> = std::fs::read_dir(crds).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let crds = files.iter().map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            Self::of_crd(&serde_json::from_str(&text).unwrap())
        });
        crds.chain([Self::events()]).collect()
    }

    fn of_crd(crd: &Value) -> Self {
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |pointer: &str| -> Vec<String> {
            let all = crd.pointer(pointer).and_then(Value::as_array);
            all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let columns = crd.pointer("/spec/versions/0/additionalPrinterColumns").and_then(Value::as_array);
        Self {
            group: text("/spec/group"),
            version: text("/spec/versions/0/name"),
            plural: text("/spec/names/plural"),
            singular: text("/spec/names/singular"),
            kind: text("/spec/names/kind"),
            short_names: list("/spec/names/shortNames"),
            categories: list("/spec/names/categories"),
            namespaced: text("/spec/scope") == "Namespaced",
            columns: columns.into_iter().flatten().map(Column::of).collect(),
            schema: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone(),
        }
    }

    /// The Events of core/v1.
    pub fn events() -> Self {
        Self {
            group: String::new(),
            version: "v1".into(),
            plural: "events".into(),
            singular: "event".into(),
            kind: "Event".into(),
            short_names: vec!["ev".into()],
            categories: Vec::new(),
            namespaced: true,
            columns: Vec::new(),
            schema: Value::Null,
        }
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `wicapstacks.wicap.dev`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `details` of a Status about one of its objects.
    pub fn details(&self, name: &str) -> Value {
        let mut details = json!({"name": name, "kind": self.plural});
        if !self.group.is_empty() {
            details["group"] = self.group.as_str().into();
        }
        details
    }

    /// As discovery lists it.
    pub fn discovered(&self) -> Value {
        let mut entry = json!({
            "name": self.plural,
            "singularName": self.singular,
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
            "shortNames": self.short_names,
        });
        if !self.categories.is_empty() {
            entry["categories"] = json!(self.categories);
        }
        entry
    }
}

impl Column {
    fn of(column: &Value) -> Self {
        let text = |field: &str| column[field].as_str().unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            type_: text("type"),
            description: text("description"),
            priority: column["priority"].as_i64().unwrap_or(0),
            path: text("jsonPath"),
        }
    }
}
