//! What the API server makes of an object by the schema of its CRD: unknown fields, defaults, mistakes.

use serde_json::Value;

use super::refusal::Cause;

/// Takes out the fields that the schema does not know, and returns their paths.
pub fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let Value::Object(fields) = object else { return unknown };
    let known = ["apiVersion", "kind", "metadata"];
    fields.retain(|field, _| {
        let keep = known.contains(&field.as_str()) || schema["properties"].get(field).is_some();
        if !keep {
            unknown.push(field.clone());
        }
        keep
    });
    for (field, value) in fields.iter_mut().filter(|(field, _)| !known.contains(&field.as_str())) {
        prune_at(&schema["properties"][field], value, field, &mut unknown);
    }
    unknown
}

fn prune_at(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        Value::Object(fields) => {
            let open = schema.get("additionalProperties").filter(|schema| schema.is_object());
            let properties = schema.get("properties");
            fields.retain(|field, value| {
                let at = format!("{path}.{field}");
                match properties.and_then(|all| all.get(field)).or(open) {
                    Some(schema) => {
                        prune_at(schema, value, &at, unknown);
                        true
                    }
                    None => {
                        unknown.push(at);
                        false
                    }
                }
            });
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                prune_at(&schema["items"], item, &format!("{path}[{i}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Fills in the defaults.
pub fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
                let removable = schema["nullable"] != true && fields.get(field).is_some_and(Value::is_null);
                if removable {
                    fields.remove(field);
                }
                if let Some(default) = schema.get("default").filter(|_| !fields.contains_key(field)) {
                    fields.insert(field.clone(), default.clone());
                }
                if let Some(value) = fields.get_mut(field) {
                    fill(schema, value);
                }
            }
            if let Some(schema) = schema.get("additionalProperties").filter(|schema| schema.is_object()) {
                fields.values_mut().for_each(|value| fill(schema, value));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}

/// The mistakes of the object's spec and status.
pub fn mistakes(schema: &Value, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_fields(schema, object, "", &mut causes);
    causes
}

fn check_fields(schema: &Value, object: &Value, path: &str, causes: &mut Vec<Cause>) {
    let at = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if object.get(field).is_none() {
            causes.push(Cause { reason: "FieldValueRequired", field: at(field), message: "Required value".into() });
        }
    }
    for (field, value) in object.as_object().into_iter().flatten() {
        let open = schema.get("additionalProperties").filter(|schema| schema.is_object());
        if let Some(schema) = schema["properties"].get(field).or(open) {
            check(schema, value, &at(field), causes);
        }
    }
}

fn check(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let invalid = |reason, shown: &str, said: String| Cause {
        reason,
        field: path.to_owned(),
        message: format!("Invalid value: {shown}: {said}"),
    };
    let wrong = |type_: &&str| *type_ != found && !(*type_ == "number" && found == "integer");
    if let Some(type_) = schema["type"].as_str().filter(wrong) {
        let said = format!("{path} in body must be of type {type_}: \"{found}\"");
        causes.push(invalid("FieldValueTypeInvalid", &format!("\"{found}\""), said));
        return;
    }
    if let Some(all) = schema["enum"].as_array().filter(|all| !all.contains(value)) {
        let supported: Vec<String> = all.iter().map(ToString::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        causes.push(Cause { reason: "FieldValueNotSupported", field: path.to_owned(), message });
    }
    if let Some(found) = value.as_f64() {
        if let Some(least) = schema["minimum"].as_f64().filter(|least| found < *least) {
            let said = format!("{path} in body should be greater than or equal to {least}");
            causes.push(invalid("FieldValueInvalid", &value.to_string(), said));
        }
        if let Some(most) = schema["maximum"].as_f64().filter(|most| found > *most) {
            let said = format!("{path} in body should be less than or equal to {most}");
            causes.push(invalid("FieldValueInvalid", &value.to_string(), said));
        }
    }
    if schema["format"] == "date-time" && value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_err()) {
        let said = format!("{path} in body must be of type date-time: {value}");
        causes.push(invalid("FieldValueInvalid", &value.to_string(), said));
    }
    match value {
        Value::Object(_) => check_fields(schema, value, path, causes),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{path}[{i}]"), causes);
            }
        }
        _ => {}
    }
}

/// The mistakes of its metadata.
pub fn metadata_mistakes(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut invalid = |field: &str, value: &str, said: &str| {
        let message = format!("Invalid value: {}: {said}", Value::from(value));
        causes.push(Cause { reason: "FieldValueInvalid", field: field.to_owned(), message });
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let part = |part: &str| {
        let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && part.chars().all(inside) && !part.starts_with('-') && !part.ends_with('-')
    };
    if !name.split('.').all(part) {
        invalid(
            "metadata.name",
            name,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
             and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        );
    }
    for map in ["labels", "annotations"] {
        for key in object["metadata"][map].as_object().into_iter().flatten().map(|(key, _)| key) {
            let name = key.split_once('/').map_or(key.as_str(), |(_, name)| name);
            if name.is_empty() || !is_token(name) {
                invalid(
                    &format!("metadata.{map}"),
                    key,
                    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                );
            }
        }
    }
    for value in object["metadata"]["labels"].as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str()) {
        if !is_token(value) {
            invalid(
                "metadata.labels",
                value,
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
                 start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
                 validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            );
        }
    }
    causes
}

/// Whether a label may have that value, or that for its name.
fn is_token(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.chars().all(inside) && ends(text.chars().next()) && ends(text.chars().last())
}
