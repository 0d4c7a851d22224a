//! Names of fields, as `explain` takes them: `wicapstacks.spec.services`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;

use crate::api::registry;

/// What `typed` can go on to, one step further: kinds where there is no dot in it yet, else the fields at that place.
#[must_use]
pub fn below(typed: &str) -> Vec<String> {
    let Some((path, _)) = typed.rsplit_once('.') else {
        return registry::kinds().iter().map(|kind| kind.plural.to_owned()).collect();
    };
    let mut steps = path.split('.');
    let schema = steps.next().and_then(registry::find).and_then(|kind| {
        let versions = (kind.crd)().spec.versions;
        versions.into_iter().next()?.schema?.open_api_v3_schema
    });
    let mut schema = schema.as_ref();
    for step in steps {
        schema = schema.map(element).and_then(|schema| schema.properties.as_ref()?.get(step));
    }
    let properties = schema.map(element).and_then(|schema| schema.properties.as_ref());
    properties.into_iter().flat_map(|fields| fields.keys()).map(|field| format!("{path}.{field}")).collect()
}

/// What a list holds; everything else is itself.
fn element(schema: &JSONSchemaProps) -> &JSONSchemaProps {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray as Items;
    match &schema.items {
        Some(Items::Schema(of)) => element(of),
        _ => schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_leads_to_the_fields_at_that_place() {
        assert!(below("wicap").contains(&"wicapstacks".to_owned()));
        assert!(below("ws.").contains(&"ws.spec".to_owned()));
        assert!(below("wicapstacks.spec.ser").contains(&"wicapstacks.spec.services".to_owned()));
        // Through a list, as explain goes.
        assert!(below("wicapstacks.spec.services.").contains(&"wicapstacks.spec.services.name".to_owned()));
    }

    #[test]
    fn where_nothing_is_nothing_is_offered() {
        for typed in ["pods.", "ws.spec.nothing.", "ws..", "."] {
            assert_eq!(below(typed), Vec::<String>::new(), "{typed}");
        }
    }
}
