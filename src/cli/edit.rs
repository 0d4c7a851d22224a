//! `edit`: changes objects in the operator's editor.
//!
//! ```text
//!  read ──▶ editor ──▶ what changed, as a patch ──▶ judge, write ──▶ done
//!             ▲                                        │ refused
//!             └──── the same text, the reasons on top ─┘
//! ```
//!
//! Only what was changed in the editor is written: what others write meanwhile in other fields stays. When the command
//! cannot go on, the file with the changes is kept, and its name said.
//!
//! # Layout
//! - `buffer`: the text in the editor: objects under comments

mod buffer;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::change::{self, Changed};
use super::dry_run::DryRun;
use super::kind::{Kind, name_of};
use super::print::format::Format;
use super::report::Report;
use super::selection;
use super::{Error, Io, editor, manifest, merge};
use crate::api::GROUP;
use crate::store::{self, Store};
use buffer::Reason;

/// Arguments of `edit`.
#[derive(Debug, Args)]
pub struct Edit {
    /// KIND NAME… or KIND/NAME…
    #[arg(value_name = "KIND", required_unless_present = "filename", conflicts_with = "filename")]
    target: Vec<String>,
    /// The objects that a file, a directory or - (standard input) describes
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    filename: Vec<PathBuf>,
    /// Search directories for manifests in depth
    #[arg(short = 'R', long)]
    recursive: bool,
    /// How the objects are written in the editor, and shown afterwards: json or yaml
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true, value_enum)]
    output: Option<Form>,
    /// Keep the object in the annotation that apply compares with
    #[arg(long)]
    save_config: bool,
}

/// How objects are written in the editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

/// An object in the editor.
struct Edited {
    kind: Kind,
    /// As it was shown first: what changed is told from this.
    shown: Value,
}

/// What became of a text that came back from the editor.
enum Verdict {
    /// All is written, or there was nothing to write.
    Done,
    /// Some is refused: these objects and this text go back to the editor, with the reasons.
    Again { left: Vec<Edited>, text: String, reasons: Vec<Reason> },
}

impl Edit {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let mut objects = Vec::new();
        for (kind, name) in selection::named(&self.target, &self.filename, self.recursive)? {
            let live = kind.get(store, &name).await?.ok_or_else(|| kind.not_found(&name))?;
            objects.push(Edited { kind, shown: buffer::editable(&live) });
        }
        let file = tempfile::Builder::new().prefix("wicapctl-edit-").suffix(self.suffix()).tempfile()?;
        let shown: Vec<&Value> = objects.iter().map(|o| &o.shown).collect();
        let text = buffer::text(&shown, self.output == Some(Form::Json))?;
        let done = self.rounds(objects, text.clone(), &file, store, io).await;
        // Whatever went wrong: what was typed is not lost. An editor may have taken the file away.
        let typed = std::fs::read_to_string(file.path()).is_ok_and(|now| buffer::body(&now) != text);
        if done.is_err() && typed {
            let kept = file.into_temp_path().keep().map_err(|e| e.error)?;
            writeln!(io.err, "A copy of your changes has been stored to {:?}", kept.display().to_string())?;
        }
        done
    }

    fn suffix(&self) -> &'static str {
        match self.output {
            Some(Form::Json) => ".json",
            _ => ".yaml",
        }
    }

    /// Opens the editor until what comes back is written, or given up.
    async fn rounds(
        &self,
        mut objects: Vec<Edited>,
        mut text: String,
        file: &NamedTempFile,
        store: &Store,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let mut reasons: Vec<Reason> = Vec::new();
        loop {
            std::fs::write(file.path(), buffer::with_comments(&text, &reasons))?;
            editor::open(file.path(), io).await?;
            // Many editors put another file in its place, so it is the name that counts.
            let back = manifest::text(file.path())?;
            let body = buffer::body(&back);
            if !reasons.is_empty() && body == text {
                return Err(Error::Refused(vec!["error: Edit cancelled, no valid changes were saved.".to_owned()]));
            }
            if body.trim().is_empty() {
                writeln!(io.err, "Edit cancelled, saved file was empty.")?;
                return Ok(());
            }
            match self.take_back(objects, body, store, io).await? {
                Verdict::Done => return Ok(()),
                Verdict::Again { left, text: again, reasons: why } => {
                    for reason in &why {
                        writeln!(io.err, "error: {}", super::print::table::harmless(&reason.to_string()))?;
                    }
                    (objects, text, reasons) = (left, again, why);
                }
            }
        }
    }

    /// Writes what changed.
    async fn take_back(&self, objects: Vec<Edited>, body: &str, store: &Store, io: &mut Io<'_>) -> Result<Verdict, Error> {
        let new = match buffer::read(body) {
            Ok(new) => new,
            Err(why) => return Ok(again(objects, body, why)),
        };
        if let Some(why) = stranger(&objects, &new) {
            return Ok(again(objects, body, why.to_owned()));
        }
        let total = objects.len();
        let format = self.output.map(|form| if form == Form::Json { Format::Json } else { Format::Yaml });
        let mut report = Report::new(format.as_ref(), DryRun::None);
        let (mut left, mut refused, mut reasons, mut written) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for object in objects {
            // One that was taken out of the text is left as it is.
            let Some(new) = new.iter().find(|new| same_object(&object.shown, new)) else { continue };
            let patch = merge::difference(&object.shown, new);
            if patch == json!({}) {
                if total > 1 {
                    report.object(&object.kind, &object.shown, "skipped", io)?;
                }
                continue;
            }
            match self.write(&object, &patch, store).await {
                Ok(changed) => {
                    written += 1;
                    let word = if changed.anything() { "edited" } else { "edited (no change)" };
                    report.object(&object.kind, &changed.after, word, io)?;
                }
                Err(Error::Store(store::Error::Invalid { kind, name, violations })) => {
                    let why = violations.iter().map(ToString::to_string).collect();
                    reasons.push(Reason { what: format!("{kind}.{GROUP} {name:?}"), why });
                    refused.push(new.clone());
                    left.push(object);
                }
                Err(e) => return Err(e),
            }
        }
        if reasons.is_empty() {
            if written == 0 {
                writeln!(io.err, "Edit cancelled, no changes made.")?;
            }
            return Ok(Verdict::Done);
        }
        // The text of the operator comes back as it is, unless a part of it is done with.
        let text = if left.len() == total {
            body.to_owned()
        } else {
            buffer::text(&refused.iter().collect::<Vec<_>>(), self.output == Some(Form::Json))?
        };
        Ok(Verdict::Again { left, text, reasons })
    }

    async fn write(&self, object: &Edited, patch: &Value, store: &Store) -> Result<Changed, Error> {
        let uid = object.shown.pointer("/metadata/uid").cloned().unwrap_or_default();
        let edit = |live: &Value| {
            if list_moved(patch, &object.shown, live) {
                return Err(store::Error::Conflict { what: object.kind.line(name_of(&object.shown)) }.into());
            }
            let mut edited = live.clone();
            // Another object of the name is not the one that was edited.
            json_patch::merge(&mut edited, &json!({"metadata": {"uid": uid}}));
            json_patch::merge(&mut edited, patch);
            Ok(if self.save_config { merge::saved(&edited, true) } else { edited })
        };
        change::change(&object.kind, name_of(&object.shown), store, DryRun::None, edit).await
    }
}

/// Whether a list that the patch replaces is another by now than the one that was shown: what somebody else put into it would be lost.
fn list_moved(patch: &Value, shown: &Value, live: &Value) -> bool {
    let Value::Object(fields) = patch else { return false };
    fields.iter().any(|(key, new)| {
        let (shown, live) = (&shown[key], &live[key]);
        match new {
            Value::Object(_) => list_moved(new, shown, live),
            _ => (new.is_array() || shown.is_array()) && shown != live,
        }
    })
}

/// Whether two documents are about the same object.
fn same_object(a: &Value, b: &Value) -> bool {
    ["/apiVersion", "/kind", "/metadata/name"].into_iter().all(|field| a.pointer(field) == b.pointer(field))
}

/// Why a text is not about the objects that were shown.
fn stranger(objects: &[Edited], new: &[Value]) -> Option<&'static str> {
    let known = |document: &Value| objects.iter().any(|object| same_object(&object.shown, document));
    let strange = new.iter().any(|document| !known(document));
    strange
        .then_some("at least one of apiVersion, kind and name was changed, or an object added: edit changes what is there")
}

/// All of it goes back to the editor.
fn again(left: Vec<Edited>, body: &str, why: String) -> Verdict {
    let reason = Reason { what: "the edited text".to_owned(), why: vec![why] };
    Verdict::Again { left, text: body.to_owned(), reasons: vec![reason] }
}
