//! `-f`: files, directories and standard input to documents, each knowing where it came from.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::kind::{Kind, name_of};
use super::{Error, document};
use crate::api::decode;

/// The most bytes a manifest file may have: more than anybody writes, little enough to hold in memory.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What a directory is searched for, as kubectl does.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

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
    /// The manifests, if nothing at all is wrong.
    ///
    /// # Errors
    /// [`Error::No`] for a path that is not there; [`Error::Refused`] for mistakes.
    pub fn finish(mut self) -> Result<Vec<Manifest>, Error> {
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
    if manifests.is_empty() && mistakes.is_empty() && errors.is_empty() {
        mistakes.push("error: no objects passed".to_owned());
    }
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
    if path == Path::new("-") { "(standard input)".to_owned() } else { path.display().to_string() }
}

/// The files that a path means: itself, or those of a directory in the order of their names.
fn files(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, Error> {
    if path == Path::new("-") {
        return Ok(vec![path.to_owned()]);
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

fn text(path: &Path) -> Result<String, Error> {
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
        assert!(mistakes(&[dir.path().join("none").as_path(), &large]).lines().count() == 2);
    }
}
