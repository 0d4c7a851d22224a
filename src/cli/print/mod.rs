//! What is shown, and how: tables, JSON, YAML, names.
//!
//! # Layout
//! - [`mod@format`]: what `-o` takes; [`custom`]: columns of one's own
//! - [`mod@json`], [`yaml`]: documents; [`items`]: a list of any length as one document
//! - [`table`]: rows in columns
//! - [`columns`]: which columns a kind has
//! - [`page`]: text with a meaning, laid out for a width
//! - [`natural`]: the order of texts with numbers in them
//! - [`age`]: times as people read them
//! - [`tree`]: an object's fields as `describe` shows them
//! - [`sections`]: the parts of a description that are tables

pub mod age;
#[cfg(test)]
pub mod any;
pub mod columns;
pub mod custom;
pub mod format;
pub mod items;
pub mod json;
pub mod natural;
pub mod page;
pub mod sections;
pub mod table;
pub mod tree;
pub mod yaml;

use std::io::Write;

use serde_json::{Value, json};

use crate::cli::Error;
use format::Format;

/// Writes a document in a format that knows no kinds; a table is asked for elsewhere. A template that lacks a field says nothing for it.
///
/// # Errors
/// What the output says; [`Error::No`] when a template does not fit.
pub fn document(out: &mut dyn Write, format: &Format, value: &Value) -> Result<(), Error> {
    match format {
        Format::Yaml => yaml::document(out, value)?,
        Format::JsonPath(template, results) => template.write(out, value, *results, true)?,
        _ => json::pretty(out, value)?,
    }
    Ok(())
}

/// Several objects as one document.
#[must_use]
pub fn list(items: Vec<Value>) -> Value {
    let mut list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}});
    list["items"] = Value::Array(items);
    list
}
