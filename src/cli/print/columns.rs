//! The columns of a kind: its CustomResourceDefinition's printer columns, after the name.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;
use serde::Deserialize;
use serde_json::Value;

use super::age::age_of;
use crate::api::Time;
use crate::api::registry::KindInfo;
use crate::cli::jsonpath::{Path, text_of};

/// The columns of one kind.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<(String, Option<Path>, bool)>,
}

impl Columns {
    /// Those of a definition; the ones of a priority over 0 only when `wide`.
    #[must_use]
    pub fn of(info: &KindInfo, wide: bool) -> Self {
        let all = written(info.definition).unwrap_or_else(|| of_types(info));
        let shown = |c: &CustomResourceColumnDefinition| wide || c.priority.unwrap_or(0) == 0;
        let columns = all
            .into_iter()
            .filter(shown)
            .map(|c| (c.name.to_uppercase(), Path::parse(&c.json_path).ok(), c.type_ == "date"))
            .collect();
        Self { columns }
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> Vec<String> {
        std::iter::once("NAME".to_owned()).chain(self.columns.iter().map(|(name, ..)| name.clone())).collect()
    }

    /// An object's row. A value that is missing is an empty cell, as kubectl shows a custom resource.
    #[must_use]
    pub fn row(&self, name: String, object: &Value, now: Time) -> Vec<String> {
        let cell = |(_, path, date): &(String, Option<Path>, bool)| {
            let value = path.as_ref().and_then(|p| p.find(object).first().copied()).map(text_of).unwrap_or_default();
            if *date && !value.is_empty() { age_of(&value, now) } else { value }
        };
        std::iter::once(name).chain(self.columns.iter().map(cell)).collect()
    }
}

/// The columns that the text of a definition names. Its schema, which is nearly all of it, is passed over.
fn written(definition: &str) -> Option<Vec<CustomResourceColumnDefinition>> {
    #[derive(Deserialize)]
    struct Definition {
        spec: Versions,
    }
    #[derive(Deserialize)]
    struct Versions {
        versions: Vec<Version>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        #[serde(default)]
        additional_printer_columns: Vec<CustomResourceColumnDefinition>,
    }
    let definition: Definition = serde_json::from_str(definition).ok()?;
    definition.spec.versions.into_iter().next().map(|version| version.additional_printer_columns)
}

fn of_types(info: &KindInfo) -> Vec<CustomResourceColumnDefinition> {
    (info.crd)().spec.versions.into_iter().next().and_then(|v| v.additional_printer_columns).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::registry::find;
    use serde_json::json;

    #[test]
    fn a_stack_has_the_columns_of_its_definition() {
        let info = find("stack").unwrap();
        assert_eq!(Columns::of(&info, false).header(), ["NAME", "DESIRED", "AVAILABLE", "READY", "PLANNED", "AGE"]);
        let wide = Columns::of(&info, true);
        assert_eq!(
            wide.header(),
            ["NAME", "DESIRED", "AVAILABLE", "READY", "PLANNED", "BLOCKED-BY", "HOST", "PROJECT", "AGE"]
        );
        let stack = json!({
            "metadata": {"name": "s", "creationTimestamp": "1970-01-01T00:00:00Z"},
            "spec": {"desiredState": "Running", "host": "h", "compose": {"project": "p"}},
            "status": {"conditions": [{"type": "Available", "status": "True"}], "ready": "2/2"},
        });
        let row = wide.row("s".into(), &stack, Time::from_second(90).unwrap());
        assert_eq!(row, ["s", "Running", "True", "2/2", "", "", "h", "p", "90s"]);
    }

    #[test]
    fn what_is_written_is_what_the_types_give() {
        for info in crate::api::registry::kinds() {
            assert_eq!(written(info.definition), Some(of_types(&info)), "{}", info.kind);
        }
        assert_eq!(written(""), None);
    }

    #[test]
    fn every_column_of_every_kind_has_a_path_that_can_be_read() {
        for info in crate::api::registry::kinds() {
            assert!(Columns::of(&info, true).columns.iter().all(|(_, path, _)| path.is_some()), "{}", info.kind);
        }
    }
}
