//! `-f`: files, directories and standard input to documents, each knowing where it came from.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;

use super::kind::{Kind, name_of};
use super::validation::Validate;
use super::{Error, Io, document};
use crate::api::{Violation, decode, tags};
use crate::store::selector::labels_match;

/// The most bytes a manifest file may have: more than anybody writes, little enough to hold in memory.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What a directory is searched for, as kubectl does.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// What standard input is called where a file's name would stand.
const STDIN: &str = "(standard input)";

/// Which files.
#[derive(Debug, Args)]
pub struct Files {
    /// File, directory or - for standard input, in JSON or YAML
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true)]
    filename: Vec<PathBuf>,
    /// Search directories for manifests in depth
    #[arg(short = 'R', long)]
    recursive: bool,
}

impl Files {
    pub(super) fn read(&self) -> Reading {
        read(&self.filename, self.recursive)
    }
}

/// Which files, and what to do about fields that no type has.
#[derive(Debug, Args)]
pub struct Source {
    #[command(flatten)]
    files: Files,
    /// What to do about unknown fields: strict (or true) refuses them, warn says so and drops them, ignore (or false) drops
    /// them
    #[arg(long, value_name = "HOW", default_value = "strict")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
}

impl Source {
    /// Reads the files; warns of each unknown field that is dropped.
    pub(super) fn read(&self, io: &mut Io<'_>) -> Result<Reading, Error> {
        let mut reading = self.files.read();
        for manifest in &mut reading.manifests {
            let dropped = self.validate.settle(&mut manifest.document, |document| manifest.kind.decode(document));
            for field in dropped.iter().filter(|_| self.validate == Validate::Warn) {
                writeln!(io.err, "Warning: unknown field {field:?}")?;
            }
        }
        let tagged = |manifest: &Manifest| manifest.mistakes(manifest.wrong_tags());
        let mistakes: Vec<_> = reading.manifests.iter().flat_map(tagged).collect();
        reading.mistakes.extend(mistakes);
        Ok(reading)
    }
}

/// A document as it was written.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// `FILE` or `FILE: document N`.
    pub origin: String,
    pub kind: Kind,
    pub name: String,
    pub document: Value,
}

impl Manifest {
    /// How an error line begins: where it was written and what it is about.
    pub fn place(&self) -> String {
        format!("{}: {} {:?}", self.origin, self.kind.info.kind, self.name)
    }

    /// Where it was written, as kubectl says it inside an error of the server's.
    pub fn source(&self) -> String {
        self.origin.replace(STDIN, "STDIN")
    }

    /// What is wrong with its labels and annotations. Where they are none at all, its kind says so.
    pub fn wrong_tags(&self) -> Vec<Violation> {
        let meta = self.document.get("metadata").and_then(|metadata| ObjectMeta::deserialize(metadata).ok());
        meta.map(|meta| tags::violations(&meta)).unwrap_or_default()
    }

    /// What is wrong with it, a line for each.
    pub fn mistakes(&self, violations: Vec<Violation>) -> Vec<String> {
        violations.into_iter().map(|v| format!("{}: {v}", self.place())).collect()
    }
}

/// What was read, the good and the bad: all mistakes are told at once.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub manifests: Vec<Manifest>,
    /// What cannot be read as documents of known kinds, one line each.
    pub mistakes: Vec<String>,
    /// Paths that are not there or cannot be read.
    pub errors: Vec<Error>,
}

impl Reading {
    /// Leaves out the manifests whose labels a selector does not select, and returns them.
    ///
    /// # Errors
    /// A selector that cannot be read.
    pub fn keep_selected(&mut self, selector: Option<&str>) -> Result<Vec<Manifest>, Error> {
        let Some(selector) = selector else { return Ok(Vec::new()) };
        let mut others = Vec::new();
        for manifest in std::mem::take(&mut self.manifests) {
            let kept = labels_match(selector, &labels_of(&manifest.document))?;
            if kept { self.manifests.push(manifest) } else { others.push(manifest) }
        }
        Ok(others)
    }

    /// The manifests, if nothing at all is wrong.
    ///
    /// # Errors
    /// [`Error::No`] for a path that is not there; [`Error::Refused`] for mistakes, and for nothing at all.
    pub fn finish(self) -> Result<Vec<Manifest>, Error> {
        self.finish_or("error: no objects passed")
    }

    /// The same for a verb, which is named when there is nothing to do.
    pub fn finish_for(self, verb: &str) -> Result<Vec<Manifest>, Error> {
        self.finish_or(&format!("error: no objects passed to {verb}"))
    }

    fn finish_or(mut self, nothing: &str) -> Result<Vec<Manifest>, Error> {
        if self.manifests.is_empty() && self.mistakes.is_empty() && self.errors.is_empty() {
            self.mistakes.push(nothing.to_owned());
        }
        if !self.mistakes.is_empty() {
            self.errors.push(Error::Refused(self.mistakes));
        }
        Error::all(self.errors)?;
        Ok(self.manifests)
    }
}

/// Reads every file to the end before it says anything.
pub(crate) fn read(paths: &[PathBuf], recursive: bool) -> Reading {
    let (mut manifests, mut mistakes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let files = match files(path, recursive) {
            Ok(files) => files,
            Err(e) => {
                errors.push(e);
                continue;
            }
        };
        for file in files {
            match text(&file) {
                Err(Error::Refused(lines)) => mistakes.extend(lines),
                Err(e) => errors.push(e),
                Ok(text) => {
                    for document in documents(&shown(&file), &text) {
                        match document {
                            Ok(manifest) => manifests.push(manifest),
                            Err(mistake) => mistakes.push(mistake),
                        }
                    }
                }
            }
        }
    }
    mistakes.extend(twice(&manifests));
    Reading { manifests, mistakes, errors }
}

/// An object that is described twice: which description is meant cannot be known.
fn twice(manifests: &[Manifest]) -> Vec<String> {
    let mut lines = Vec::new();
    for (i, manifest) in manifests.iter().enumerate() {
        let same = |m: &&Manifest| m.kind == manifest.kind && m.name == manifest.name;
        if let Some(first) = manifests[..i].iter().find(same) {
            let found = format!("{:?} a second time", manifest.name);
            lines.push(format!(
                "{}: metadata.name: found {found}, expected each object once (it is in {})",
                manifest.place(),
                first.origin
            ));
        }
    }
    lines
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { STDIN.to_owned() } else { path.display().to_string() }
}

/// The files that a path means: itself, or those of a directory in the order of their names.
fn files(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, Error> {
    if path == Path::new("-") {
        return Ok(vec![path.to_owned()]);
    }
    if path.to_str().is_some_and(|p| p.starts_with("http://") || p.starts_with("https://")) {
        let expected = "a file, a directory or -: nothing is fetched; pipe it in (curl … | wicapctl … -f -)";
        return Err(Error::Usage(format!(
            "--filename: found the URL {:?}, expected {expected}",
            path.display().to_string()
        )));
    }
    let unreadable = |path: &Path, e: &io::Error| {
        Error::No(match e.kind() {
            io::ErrorKind::NotFound => format!("the path {:?} does not exist", path.display().to_string()),
            _ => format!("{}: {e}", path.display()),
        })
    };
    if !fs::metadata(path).map_err(|e| unreadable(path, &e))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(|e| unreadable(&directory, &e))? {
            let entry = entry.map_err(|e| unreadable(&directory, &e))?;
            // A link to a directory is not followed: it could lead round in a circle.
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                if recursive {
                    directories.push(entry.path());
                }
            } else if entry.path().extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e)) {
                found.push(entry.path());
            }
        }
    }
    if found.is_empty() {
        let expected = "recognized file extensions are [.json .yaml .yml]";
        return Err(Error::Refused(vec![format!("error: error reading [{}]: {expected}", path.display())]));
    }
    found.sort();
    Ok(found)
}

/// What a file holds, or standard input for `-`.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Error::No(format!("{}: {e}", shown(path))))?;
    let refused = |what: String| Error::Refused(vec![format!("{}: {what}", shown(path))]);
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused(format!("(file): found more than {MAX_FILE} bytes, expected at most {MAX_FILE}")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1;
        refused(format!("line {line}: found a byte that is not UTF-8 (offset {at}), expected UTF-8 text"))
    })
}

/// The documents of a text, the items of a List each for itself. A mistake is one line.
fn documents(file: &str, text: &str) -> Vec<Result<Manifest, String>> {
    let documents = match document::parse(text) {
        Ok(documents) => documents,
        Err(e) => return vec![Err(format!("{file}: {e}"))],
    };
    let several = documents.len() > 1;
    let mut manifests = Vec::new();
    for (i, document) in documents.into_iter().enumerate() {
        let origin = if several { format!("{file}: document {}", i + 1) } else { file.to_owned() };
        match items(&document) {
            Some(items) => manifests
                .extend(items.iter().enumerate().map(|(n, item)| manifest(format!("{origin}: items[{n}]"), item.clone()))),
            None => manifests.push(manifest(origin, document)),
        }
    }
    manifests
}

/// The items of what `get -o json` prints of several objects.
fn items(document: &Value) -> Option<&Vec<Value>> {
    let is = |field: &str, value: &str| document.get(field).and_then(Value::as_str) == Some(value);
    if is("apiVersion", "v1") && is("kind", "List") { document.get("items")?.as_array() } else { None }
}

fn manifest(origin: String, document: Value) -> Result<Manifest, String> {
    match decode::kind_of(&document) {
        Ok(info) => match Kind::of(info) {
            Some(kind) => Ok(Manifest { name: name_of(&document).to_owned(), origin, kind, document }),
            None => Err(format!("{origin}: kind: found {:?}, expected a kind of this version", info.kind)),
        },
        Err(violation) => Err(format!("{origin}: {violation}")),
    }
}

/// The labels of a document, without those that are no text.
fn labels_of(document: &Value) -> BTreeMap<String, String> {
    let labels = document.pointer("/metadata/labels").and_then(Value::as_object);
    labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: &str =
        "apiVersion: wicap.dev/v1alpha1\nkind: EmergencyStop\nmetadata: {name: NAME}\nspec: {reason: r, by: b}\n";

    fn mistakes(paths: &[&Path]) -> String {
        let paths: Vec<_> = paths.iter().map(|p| (*p).to_owned()).collect();
        read(&paths, false).finish().unwrap_err().to_string()
    }

    #[test]
    fn a_directory_gives_its_manifests_in_the_order_of_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.yaml"), STOP.replace("NAME", "b")).unwrap();
        fs::write(dir.path().join("a.yml"), STOP.replace("NAME", "a")).unwrap();
        fs::write(dir.path().join("README"), "not a manifest: [").unwrap();
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(dir.path().join("deep/c.json"), r#"{"apiVersion": "v1", "kind": "List", "items": []}"#).unwrap();
        let names = |recursive| {
            let found = read(&[dir.path().to_owned()], recursive).finish().unwrap();
            found.into_iter().map(|m| m.name).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["a", "b"]);
        fs::write(dir.path().join("deep/c.yaml"), STOP.replace("NAME", "c")).unwrap();
        assert_eq!(names(true), ["a", "b", "c"]);
    }

    #[test]
    fn a_list_is_its_items() {
        let item = r#"{"apiVersion":"wicap.dev/v1alpha1","kind":"EmergencyStop","metadata":{"name":"x"},"spec":{}}"#;
        let text = format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{item}, {{"kind": "Pod"}}]}}"#);
        let found = documents("f", &text);
        assert_eq!(found[0].as_ref().unwrap().place(), "f: items[0]: EmergencyStop \"x\"");
        assert!(found[1].as_ref().unwrap_err().starts_with("f: items[1]: apiVersion: found nothing, expected"));
    }

    #[test]
    fn a_selector_leaves_out_what_it_does_not_select() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), STOP.replace("NAME}", "a, labels: {tier: x}}")).unwrap();
        fs::write(dir.path().join("b.yaml"), STOP.replace("NAME", "b")).unwrap();
        let names = |manifests: &[Manifest]| manifests.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        let mut reading = read(&[dir.path().to_owned()], false);
        assert_eq!(names(&reading.keep_selected(None).unwrap()), [""; 0]);
        assert_eq!(names(&reading.keep_selected(Some("tier=x")).unwrap()), ["b"]);
        assert_eq!(names(&reading.manifests), ["a"]);
        assert_eq!(reading.keep_selected(Some("a b")).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn every_mistake_of_every_file_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("latin1.yaml"), b"a: 1\nb: \xe9\n").unwrap();
        fs::write(path("broken.yaml"), "a: [1\n").unwrap();
        fs::write(path("other.yaml"), "---\nkind: Pod\napiVersion: v1\n---\nwords\n").unwrap();
        fs::write(path("twice.yaml"), [STOP, STOP].join("---\n")).unwrap();
        let text = mistakes(&[dir.path()]).replace(&dir.path().display().to_string(), "D");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].starts_with("D/broken.yaml: line "), "{text}");
        assert_eq!(lines[1], "D/latin1.yaml: line 2: found a byte that is not UTF-8 (offset 8), expected UTF-8 text");
        assert_eq!(lines[2], "D/other.yaml: document 1: apiVersion: found \"v1\", expected \"wicap.dev/v1alpha1\"");
        assert!(lines[3].starts_with("D/other.yaml: document 2: (document): found"), "{text}");
        assert!(
            lines[4].starts_with("D/twice.yaml: document 2: EmergencyStop \"NAME\": metadata.name: found \"NAME\" a"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_is_too_large_or_not_there_is_one_error() {
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large.yaml");
        File::create(&large).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(mistakes(&[&large]).ends_with("found more than 16777216 bytes, expected at most 16777216"));
        assert_eq!(mistakes(&[Path::new("/no/such/file")]), "error: the path \"/no/such/file\" does not exist");
        assert!(mistakes(&[Path::new("https://host/a.yaml")]).starts_with("error: --filename: found the URL"));
        assert!(mistakes(&[dir.path().join("none").as_path(), &large]).lines().count() == 2);
    }
}
