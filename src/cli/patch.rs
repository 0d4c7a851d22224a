//! `patch`: changes fields of objects, by a merge patch (RFC 7386) or a JSON patch (RFC 6902).

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::report::Outcome;
use super::selection;
use super::{Error, Io, change, document, manifest};
use crate::store::Store;

/// Arguments of `patch`.
#[derive(Debug, Args)]
pub struct Patch {
    /// KIND NAME… or KIND/NAME…
    #[arg(value_name = "KIND", required_unless_present = "filename", conflicts_with = "filename")]
    target: Vec<String>,
    /// The objects that a file, a directory or - (standard input) describes
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    filename: Vec<PathBuf>,
    /// Search directories for manifests in depth
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The change, as JSON or YAML
    #[arg(short = 'p', long = "patch", value_name = "PATCH")]
    change: Option<String>,
    /// A file with the change, as JSON or YAML; - is standard input
    #[arg(long = "patch-file", value_name = "FILE")]
    change_file: Option<PathBuf>,
    /// How the change is written: merge (fields as they should be, null removes one) or json (a list of operations)
    #[arg(long = "type", value_name = "TYPE", default_value = "merge", hide_possible_values = true)]
    form: Form,
    #[command(flatten)]
    outcome: Outcome,
}

/// How a change is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Merge,
    Json,
    Strategic,
}

/// A change that was read.
#[derive(Debug)]
enum Operations {
    Merge(Value),
    Json(json_patch::Patch),
}

impl Patch {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let operations = Operations::read(self.form, &self.text()?)?;
        let named = selection::named(&self.target, &self.filename, self.recursive)?;
        let (mut report, mut errors) = (self.outcome.report(), Vec::new());
        for (kind, name) in named {
            let edit = |live: &Value| operations.apply(live);
            match change::change(&kind, &name, store, self.outcome.dry_run, edit).await {
                Ok(changed) => {
                    let outcome = if changed.anything() { "patched" } else { "patched (no change)" };
                    report.object(&kind, &changed.after, outcome, io)?;
                }
                Err(e) => errors.push(e.unless_fatal()?),
            }
        }
        Error::all(errors)
    }

    fn text(&self) -> Result<String, Error> {
        match (&self.change, &self.change_file) {
            (Some(_), Some(_)) => Err(Error::Usage("cannot specify --patch and --patch-file together".to_owned())),
            (Some(text), None) => Ok(text.clone()),
            (None, Some(path)) => manifest::text(path),
            (None, None) => {
                let missing = "must specify --patch or --patch-file containing the contents of the patch";
                Err(Error::Usage(missing.to_owned()))
            }
        }
    }
}

impl Operations {
    fn read(form: Form, text: &str) -> Result<Self, Error> {
        let unreadable = |why: String| Error::Usage(format!("unable to parse {text:?}: {why}"));
        if form == Form::Strategic {
            let why = "the resources here are custom ones, which have no merge keys; use --type=merge or --type=json";
            return Err(Error::Usage(format!("--type=strategic is not supported: {why}")));
        }
        let mut documents = document::parse(text).map_err(|e| unreadable(e.to_string()))?;
        let (Some(value), true) = (documents.pop(), documents.is_empty()) else {
            return Err(unreadable("expected one document".to_owned()));
        };
        match form {
            Form::Json => serde_json::from_value(value).map(Self::Json).map_err(|e| {
                unreadable(format!(
                    "{e}, expected a list of operations, as in [{{op: replace, path: /spec/ttl, value: 1h}}]"
                ))
            }),
            _ if value.is_object() => Ok(Self::Merge(value)),
            _ => Err(unreadable("expected an object with the fields to change, as in {spec: {ttl: 1h}}".to_owned())),
        }
    }

    /// The object with the change in it.
    fn apply(&self, live: &Value) -> Result<Value, Error> {
        let mut object = live.clone();
        match self {
            Self::Merge(patch) => json_patch::merge(&mut object, patch),
            Self::Json(operations) => json_patch::patch(&mut object, operations)
                .map_err(|e| Error::Refused(vec![format!("error: the patch does not fit the object: {e}")]))?,
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(form: Form, text: &str) -> Result<Value, String> {
        let live = json!({"spec": {"a": 1, "list": [1, 2]}});
        Operations::read(form, text).and_then(|o| o.apply(&live)).map_err(|e| format!("{} {e}", e.exit_code()))
    }

    #[test]
    fn a_patch_is_json_or_yaml_of_either_form() {
        for (form, text, expected) in [
            (Form::Merge, r#"{"spec":{"a":null,"b":2}}"#, json!({"spec": {"b": 2, "list": [1, 2]}})),
            (Form::Merge, "spec: {list: [3]}", json!({"spec": {"a": 1, "list": [3]}})),
            (Form::Json, r#"[{"op":"remove","path":"/spec/list/0"}]"#, json!({"spec": {"a": 1, "list": [2]}})),
            (Form::Json, "- {op: add, path: /spec/list/-, value: 3}", json!({"spec": {"a": 1, "list": [1, 2, 3]}})),
        ] {
            assert_eq!(patched(form, text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_patch_is_refused_with_the_reason() {
        for (form, text, expected) in [
            (Form::Merge, "{", "2 error: unable to parse \"{\": line 1"),
            (Form::Merge, "[]", "2 error: unable to parse \"[]\": expected an object"),
            (Form::Merge, "", "2 error: unable to parse \"\": expected one document"),
            (Form::Json, "{}", "2 error: unable to parse \"{}\": "),
            (Form::Json, r#"[{"op":"frob","path":"/a"}]"#, "2 error: unable to parse"),
            (Form::Json, r#"[{"op":"test","path":"/spec/a","value":2}]"#, "4 error: the patch does not fit the object: "),
            (Form::Json, r#"[{"op":"remove","path":"/no"}]"#, "4 error: the patch does not fit the object: "),
            (Form::Strategic, "{}", "2 error: --type=strategic is not supported"),
        ] {
            let message = patched(form, text).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
