//! `replay`: runs the planner over observations that were recorded or written by hand, with no store and no Docker, and prints what it
//! decides; and writes such a recording of a live stack.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Error, Io, document};
use crate::audit::pack::contents::rerun;
use crate::audit::pack::reader::Pack;
use crate::audit::replay::RecordError;
use crate::audit::replay::file::{self, Recording};
use crate::audit::replay::line::line;
use crate::audit::replay::record::record;
use crate::store::Store;

/// The most bytes a recording may have: days of observations of a large stack, little enough to hold in memory.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// What a pack begins with: the magic number of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// What to replay, JSON or YAML, or a pack of wicapctl snapshot; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "record")]
    file: Option<PathBuf>,
    /// Print what is decided between the steps too, when time alone makes something due
    #[arg(long, conflicts_with = "record")]
    between: bool,
    /// Write what happened to a stack, as far as the store still knows it, as a file that can be replayed
    #[arg(long, value_name = "STACK", conflicts_with = "file")]
    record: Option<String>,
    /// Where the recording is written to; to standard output when absent
    #[arg(short, long, value_name = "FILE", requires = "record", conflicts_with = "file")]
    output: Option<PathBuf>,
}

impl Replay {
    /// The stack whose history is to be read from the store.
    pub(super) fn records(&self) -> Option<&str> {
        self.record.as_deref()
    }

    /// Replays a file.
    pub(super) fn run(&self, io: &mut Io<'_>) -> Result<(), Error> {
        let path = self.file.as_deref().unwrap_or(Path::new("-"));
        let bytes = read(path)?;
        if bytes.starts_with(&ZSTD) {
            return rerun_pack(path, &bytes, io);
        }
        let Recording { mut replay, steps } = recording(&bytes).map_err(|e| refused(path, e))?;
        for (i, step) in steps.iter().enumerate() {
            if self.between {
                let due = replay.between(step.at);
                for (at, plan) in due.map_err(|e| refused(path, format!("steps[{i}].at: found {}, {e}", step.at)))? {
                    writeln!(io.out, "{}", line(at, &plan))?;
                }
            }
            writeln!(io.out, "{}", line(step.at, &replay.step(step)))?;
        }
        Ok(())
    }

    /// Records the history of a stack.
    pub(super) async fn record(&self, stack: &str, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let history = record(stack, store).await.map_err(|error| match error {
            RecordError::Store(error) => Error::from(error),
            RecordError::Unplayable(why) => Error::No(why),
        })?;
        for problem in &history.problems {
            writeln!(io.err, "warning: {problem}")?;
        }
        let text = history.text;
        match &self.output {
            None => io.out.write_all(text.as_bytes())?,
            Some(path) => {
                std::fs::write(path, text).map_err(|e| Error::No(format!("{}: {e}", path.display())))?;
            }
        }
        Ok(())
    }
}

/// Decides and classifies again what is in a pack, and says what is not what it was.
fn rerun_pack(path: &Path, bytes: &[u8], io: &mut Io<'_>) -> Result<(), Error> {
    let pack = Pack::read(bytes).map_err(|e| refused(path, e.to_string()))?;
    let rerun = rerun(&pack).map_err(|e| refused(path, e.to_string()))?;
    for what in &rerun.left_out {
        writeln!(io.err, "warning: not looked at again: {what}")?;
    }
    for difference in &rerun.differences {
        writeln!(io.out, "{difference}")?;
    }
    let (decisions, records) = (rerun.decisions, rerun.records);
    let again = format!("{decisions} steps were decided on again, and {records} records of logs were looked at again");
    match (rerun.differences.len(), rerun.left_out.len()) {
        (0, 0) => Ok(writeln!(io.out, "{again}: all as they were")?),
        (0, _) => Err(Error::No(format!("{again}: these as they were, and not all could be"))),
        (differ, _) => Err(Error::No(format!("{again}: {differ} differ from what was"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| refused(path, e.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused(path, format!("found more than {MAX_FILE} bytes, expected at most {MAX_FILE}")));
    }
    Ok(bytes)
}

/// What the bytes of a file say, or its first mistake.
fn recording(bytes: &[u8]) -> Result<Recording, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| format!("found a byte that is not UTF-8 (offset {}), expected UTF-8 text", e.valid_up_to()))?;
    let documents = document::parse(text).map_err(|e| e.to_string())?;
    let [document] = documents.as_slice() else {
        return Err(format!("found {} documents, expected one", documents.len()));
    };
    file::read(document).map_err(|violation| violation.to_string())
}

fn refused(path: &Path, what: String) -> Error {
    let shown = if path == Path::new("-") { "(standard input)".to_owned() } else { path.display().to_string() };
    Error::Usage(format!("{shown}: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn sound() -> Value {
        json!({
            "stack": {
                "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s", "uid": "0f1e2d3c"},
                "spec": {
                    "compose": {"project": "p", "directory": "/srv/p"}, "defaults": {"recovery": {"holdOff": "1s"}},
                    "services": [{"name": "redis"}, {"name": "ui", "dependsOn": ["redis"]}],
                },
                "status": {"recovery": [{"service": "ui", "episode": 1, "total": 1, "lastAction": "x"}]},
            },
            "session": {
                "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "night"},
                "spec": {
                    "stack": "s", "mode": "Assist", "ttl": "8h", "operator": "ann@host", "reason": "night",
                    "allowedActions": ["start_service", "restart_service"], "budget": {"maxActions": 3, "window": "1h"},
                },
            },
            "policies": [{
                "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlPolicy", "metadata": {"name": "all"},
                "spec": {"allow": [{"actions": ["group:caution"]}], "allowedRoots": ["/srv"], "hosts": ["*"]},
            }],
            "stops": [],
            "steps": [
                {"at": "2026-01-01T20:00:00Z", "observed": {"services": {"ui": "Exited", "redis": "Running"}}},
                {"at": "2026-01-01T20:00:10Z", "results": {"start_service/ui": "Failed"}, "unobserved": true},
                {
                    "at": "2026-01-01T20:00:20Z", "observedAt": "2026-01-01T20:00:19Z", "session": null,
                    "observed": {"services": {"ui": {"state": "Exited", "exitCode": 1, "since": "2026-01-01T20:00:19Z"}}},
                },
                {
                    "at": "2026-01-01T20:30:00Z", "observed": {"services": {"ui": "Unhealthy", "redis": "Running"}},
                    "stops": [{
                        "apiVersion": "wicap.dev/v1alpha1", "kind": "EmergencyStop", "metadata": {"name": "all"},
                        "spec": {"reason": "smoke", "by": "ann@host"},
                    }],
                },
                {"at": "2026-01-01T20:31:00Z", "observed": {"services": {}}},
            ],
        })
    }

    /// What is printed, or the mistake.
    fn played(bytes: &[u8]) -> Result<String, String> {
        let Recording { mut replay, steps } = recording(bytes)?;
        let mut out = String::new();
        for step in &steps {
            for (at, plan) in replay.between(step.at).unwrap_or_default() {
                out += &(line(at, &plan) + "\n");
            }
            out += &(line(step.at, &replay.step(step)) + "\n");
        }
        Ok(out)
    }

    /// Every value of a document that is not a part of another one that is named before it.
    fn paths(value: &Value, path: &str, all: &mut Vec<String>) {
        all.push(path.to_owned());
        match value {
            Value::Object(fields) => {
                fields
                    .iter()
                    .for_each(|(k, v)| paths(v, &format!("{path}/{}", k.replace('~', "~0").replace('/', "~1")), all));
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| paths(v, &format!("{path}/{i}"), all)),
            _ => {}
        }
    }

    fn strange() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(null)),
            Just(json!([])),
            Just(json!({})),
            Just(json!(-1)),
            Just(json!(1e300)),
            Just(json!("")),
            Just(json!("-9999-01-01T00:00:00Z")),
            Just(json!("9999-12-30T22:00:00Z")),
            Just(json!("2026-01-01T20:00:15Z")),
            Just(json!("292y")),
            Just(json!("2562047h")),
            Just(json!("Exited")),
            Just(json!(true)),
            Just(json!(u64::MAX)),
            Just(json!(i64::MIN)),
            any::<String>().prop_map(Value::String),
            Just(json!({"ui": "Missing", "redis": "Missing"})),
        ]
    }

    #[test]
    fn a_sound_file_plays() {
        let out = played(sound().to_string().as_bytes()).unwrap();
        assert!(out.lines().count() >= 4 && out.contains("\"Act\"") && out.contains("\"Blocked\""), "{out}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn whatever_is_altered_it_plays_or_says_what_is_wrong(
            changes in prop::collection::vec((any::<prop::sample::Index>(), strange(), any::<bool>()), 1..4)
        ) {
            let mut document = sound();
            for (index, value, remove) in changes {
                let mut all = Vec::new();
                paths(&document, "", &mut all);
                let path = index.get(&all).clone();
                if let (true, Some((parent, key))) = (remove, path.rsplit_once('/')) {
                    match document.pointer_mut(parent) {
                        Some(Value::Object(fields)) => drop(fields.remove(key)),
                        Some(Value::Array(items)) => drop(key.parse().map(|i: usize| items.remove(i))),
                        _ => {}
                    }
                } else if let Some(there) = document.pointer_mut(&path) {
                    *there = value;
                }
            }
            let bytes = document.to_string();
            match played(bytes.as_bytes()) {
                Ok(out) => prop_assert_eq!(out, played(bytes.as_bytes()).unwrap()),
                Err(mistake) => prop_assert!(mistake.contains("expected") && !mistake.contains('\n'), "{}", mistake),
            }
        }

        #[test]
        fn whatever_byte_is_wrong_it_plays_or_says_so(at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = sound().to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = played(&bytes);
        }
    }
}
