//! What is in a pack of a stack, and whether it still leads to what was decided. Pure: the same inputs give the same bytes.
//!
//! | entry | what |
//! |---|---|
//! | `objects/KIND.json` | what bears on the stack: its spec and status, sessions, policies, stops, incidents, soak runs, the report on its logs |
//! | `actions.jsonl` | its ActionRuns, with decisions and traces, oldest first |
//! | `events.jsonl`, `audit.jsonl` | what happened lately |
//! | `replay/recording.json` | its history, as `wicapctl replay` takes it |
//! | `replay/decisions.jsonl` | what the planner decides on it, step by step; `replay/problems.txt`: what of it was decided otherwise |
//! | `engine.json` | what the engine says of itself |
//! | `containers/SERVICE/NAME/inspect.json` | the container, without the values of its environment |
//! | `containers/SERVICE/NAME/usage.json` | what it uses |
//! | `containers/SERVICE/NAME/log.txt` | its last lines: time, output, text |
//! | `containers/SERVICE/NAME/signatures.jsonl` | what they say |
//! | `soaks/NAME.jsonl` | the last records of a soak run |
//! | `missing.txt` | what could not be had, and why |

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::PackError;
use super::about::About;
use super::builder::{Builder, Built};
use super::cap::{Cap, Weight};
use super::commands::redact_commands;
use super::path::{name, segment};
use super::reader::Pack;
use crate::api::Time;
use crate::api::stack::WicapStack;
use crate::audit::redact::{redact, redact_lines};
use crate::audit::replay::file::{self, Recording};
use crate::audit::replay::line::line;
use crate::audit::replay::record::History;
use crate::signature::classify::{Classified, classify};
use crate::signature::rules::{self, Rules};

/// Bytes of each log: some thousands of lines.
const LOG: Cap = Cap::new(1024 * 1024, Weight::Log);
const SIGNATURES: Cap = Cap::new(2 * 1024 * 1024, Weight::Event);
const SAMPLES: Cap = Cap::new(4 * 1024 * 1024, Weight::Sample);
const EVENTS: Cap = Cap::new(1024 * 1024, Weight::Event);
const INSPECT: Cap = Cap::new(256 * 1024, Weight::Inspect);
const DECISIONS: Cap = Cap::new(16 * 1024 * 1024, Weight::Decision);
const STATE: Cap = Cap::new(16 * 1024 * 1024, Weight::State);

const RECORDING: &str = "replay/recording.json";
const DECIDED: &str = "replay/decisions.jsonl";
const PROBLEMS: &str = "replay/problems.txt";

/// What a pack is made of.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Whose it is, and why it is made.
    pub about: About,
    /// What bears on the stack, by kind: `wicapstack` and so on.
    pub objects: BTreeMap<String, Vec<Value>>,
    /// ActionRuns of the stack.
    pub actions: Vec<Value>,
    /// Events.
    pub events: Vec<Value>,
    /// Records of the audit log.
    pub audit: Vec<Value>,
    /// What the engine says of itself.
    pub engine: Value,
    /// The containers.
    pub containers: Vec<ContainerInput>,
    /// By name, the last records of soak runs.
    pub soaks: BTreeMap<String, Vec<Value>>,
    /// The stack's history.
    pub history: Option<History>,
    /// What could not be had, and why.
    pub missing: Vec<String>,
}

/// What is known of a container.
#[derive(Clone, Debug)]
pub struct ContainerInput {
    /// The compose service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// What the engine says of it.
    pub inspect: Value,
    /// What it uses.
    pub usage: Value,
    /// Its last lines, oldest first.
    pub log: Vec<LogLine>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Time,
    /// Whether to the standard error output.
    pub is_error: bool,
    /// Its text.
    pub text: String,
}

/// Makes the pack.
///
/// # Errors
/// [`PackError`] of the library; nothing is refused for its size.
pub fn pack(mut inputs: Inputs) -> Result<Built, PackError> {
    let clean = |text: &str| redact(text).into_owned();
    let rules = rules_of(inputs.objects.get("wicapstack").and_then(|stacks| stacks.first()));
    let mut builder = Builder::new(inputs.about, &clean)?;
    for (kind, objects) in &inputs.objects {
        builder.document(&format!("objects/{}.json", segment(kind)), objects, STATE)?;
    }
    builder.records("actions.jsonl", &inputs.actions, DECISIONS)?;
    builder.records("events.jsonl", &inputs.events, EVENTS)?;
    builder.records("audit.jsonl", &inputs.audit, DECISIONS)?;
    builder.document("engine.json", &inputs.engine, INSPECT)?;
    for (name, records) in &inputs.soaks {
        let path = format!("soaks/{}.jsonl", segment(name));
        if super::path::check(&path).is_err() {
            inputs.missing.push(format!("the records of the soak run {name}: its name is no path"));
            continue;
        }
        builder.records(&path, records, SAMPLES)?;
    }
    let mut taken = BTreeSet::new();
    for container in &mut inputs.containers {
        let place = format!("containers/{}/{}", segment(&container.service), segment(&container.name));
        // Names that are too long to be told apart in a path, or to be one.
        if super::path::check(&format!("{place}/signatures.jsonl")).is_err() || !taken.insert(place.clone()) {
            inputs.missing.push(format!("the container {}: its name is no path", container.name));
            continue;
        }
        let (log, lost) = newest(log_text(&container.log), LOG.bytes);
        if lost > 0 {
            // What is classified is what is in the pack, or nobody could do it again.
            inputs
                .missing
                .push(format!("the first {lost} lines of the log of {}: they are over {} bytes", container.name, LOG.bytes));
        }
        let said = classify_log(&container.service, &log, &rules);
        builder.text(&format!("{place}/log.txt"), log, LOG)?;
        builder.records(&format!("{place}/signatures.jsonl"), said, SIGNATURES)?;
        redact_commands(&mut container.inspect, clean);
        builder.document(&format!("{place}/inspect.json"), &container.inspect, INSPECT)?;
        builder.document(&format!("{place}/usage.json"), &container.usage, SAMPLES)?;
    }
    if let Some(history) = &inputs.history {
        match decisions(&history.text) {
            Ok(lines) => {
                let recording: Value = serde_json::from_str(&history.text).unwrap_or_default();
                builder.document(RECORDING, &recording, STATE)?;
                builder.records(DECIDED, lines, DECISIONS)?;
                builder.text(PROBLEMS, history.problems.join("\n") + "\n", DECISIONS)?;
            }
            Err(why) => inputs.missing.push(format!("the stack's history: {why}")),
        }
    }
    builder.text("missing.txt", inputs.missing.join("\n") + "\n", STATE)?;
    builder.finish()
}

/// The rules by which the stack's logs are read.
fn rules_of(stack: Option<&Value>) -> Rules {
    let stack = stack.and_then(|stack| WicapStack::deserialize(stack).ok());
    stack.map_or_else(Rules::default, |stack| rules::of(&stack))
}

/// A log as it is in a pack, without secrets. A line that a secret of several lines has swallowed is left out.
fn log_text(lines: &[LogLine]) -> String {
    // Redacted together: what is secret may have many lines.
    let whole = |is_error: bool| -> Vec<String> {
        let texts: Vec<&str> = lines.iter().filter(|l| l.is_error == is_error).map(|l| l.text.as_str()).collect();
        redact_lines(&texts.join("\n")).split('\n').map(str::to_owned).collect()
    };
    let mut cleaned = [false, true].map(|is_error| whole(is_error).into_iter());
    let mut text = String::new();
    for line in lines {
        let clean = cleaned[usize::from(line.is_error)].next().unwrap_or_default();
        if clean.is_empty() && !line.text.is_empty() {
            continue;
        }
        let output = if line.is_error { "stderr" } else { "stdout" };
        text.push_str(&format!("{} {output} {}\n", line.at, clean.trim_end_matches('\r')));
    }
    redact(&text).into_owned()
}

/// The last lines of a text that are no more than `most` bytes together, and how many are lost.
fn newest(text: String, most: u64) -> (String, usize) {
    let over = text.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
    if over == 0 {
        return (text, 0);
    }
    let from = memchr::memchr(b'\n', &text.as_bytes()[over - 1..]).map_or(text.len(), |at| over + at);
    (text[from..].to_owned(), text[..from].matches('\n').count())
}

/// What a log that is in a pack says.
fn classify_log(service: &str, log: &str, rules: &Rules) -> Vec<Classified> {
    let lines: Vec<(bool, &str)> = log
        .lines()
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            let (_, output, text) = (parts.next(), parts.next(), parts.next());
            (output == Some("stderr"), text.unwrap_or_default())
        })
        .collect();
    classify(service, &lines, rules)
}

/// What the planner decides on a recording, a line a step.
fn decisions(recording: &str) -> Result<Vec<Value>, String> {
    let document: Value = serde_json::from_str(recording).map_err(|e| e.to_string())?;
    let Recording { mut replay, steps } = file::read(&document).map_err(|violation| violation.to_string())?;
    let lines = steps.iter().map(|step| line(step.at, &replay.step(step)));
    lines.map(|line| serde_json::from_str(&line).map_err(|e| e.to_string())).collect()
}

/// What a pack leads to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rerun {
    /// Decisions that were made again.
    pub decisions: usize,
    /// Records of logs that were looked at again.
    pub records: usize,
    /// What is not what it was, for people.
    pub differences: Vec<String>,
    /// What could not be looked at again, because the pack does not have it.
    pub left_out: Vec<String>,
}

/// Decides and classifies again what is in a pack, from the pack alone.
///
/// # Errors
/// [`PackError`] when what is in it is not what this program has written.
pub fn rerun(pack: &Pack) -> Result<Rerun, PackError> {
    let mut rerun = Rerun::default();
    let cut =
        |path: &str| pack.manifest().entries.iter().find(|entry| entry.path == path).is_none_or(|entry| entry.cut.is_some());
    if cut(RECORDING) || cut(DECIDED) {
        rerun.left_out.push("what was decided: its history is not in the pack".to_owned());
    } else {
        let then: Vec<Value> = pack.records(DECIDED)?;
        let text = String::from_utf8_lossy(pack.part(RECORDING)?).into_owned();
        match decisions(&text) {
            Ok(now) => {
                rerun.decisions = now.len();
                if then.len() != now.len() {
                    rerun.differences.push(format!("{} steps were decided on, and now {}", then.len(), now.len()));
                }
                let differ = then.iter().zip(&now).filter(|(then, now)| then != now);
                rerun.differences.extend(differ.map(|(then, now)| format!("decided then: {then}; now: {now}")));
            }
            Err(why) => rerun.differences.push(format!("{RECORDING}: {why}")),
        }
        // What the planner itself had decided otherwise was found when the pack was made.
        let problems = String::from_utf8_lossy(pack.part(PROBLEMS)?).into_owned();
        rerun.differences.extend(problems.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    let stacks: Vec<Value> =
        if cut("objects/wicapstack.json") { Vec::new() } else { pack.document("objects/wicapstack.json")? };
    let rules = rules_of(stacks.first());
    for entry in pack.manifest().entries.iter().filter(|entry| entry.path.ends_with("/log.txt")) {
        let Some(place) = entry.path.strip_suffix("/log.txt") else { continue };
        let said = format!("{place}/signatures.jsonl");
        if entry.cut.is_some() || cut(&said) {
            rerun.left_out.push(format!("{place}: a part of its log or of its signatures was cut off"));
            continue;
        }
        let service = place.split('/').nth(1).and_then(name).unwrap_or_default();
        let then: Vec<Classified> = pack.records(&said)?;
        let now = classify_log(&service, &String::from_utf8_lossy(pack.part(&entry.path)?), &rules);
        rerun.records += now.len();
        if then.len() != now.len() {
            rerun.differences.push(format!("{place}: {} records, and now {}", then.len(), now.len()));
        }
        let differ = then.iter().zip(&now).filter(|(then, now)| then != now);
        rerun.differences.extend(differ.map(|(then, now)| format!("{place}: then {then:?}; now {now:?}")));
    }
    Ok(rerun)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::pack::about::Reason;
    use crate::audit::pack::fixtures::repacked;
    use serde_json::json;

    fn log(lines: &[(&str, bool)]) -> Vec<LogLine> {
        let at = |n: usize| Time::from_second(1_770_000_000 + i64::try_from(n).unwrap()).unwrap();
        let line = |(n, (text, is_error)): (usize, &(&str, bool))| LogLine {
            at: at(n),
            is_error: *is_error,
            text: (*text).to_owned(),
        };
        lines.iter().enumerate().map(line).collect()
    }

    fn inputs() -> Inputs {
        let stack = json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "wicap", "uid": "0f1e2d3c"},
            "spec": {
                "compose": {"project": "p", "directory": "/srv/p"}, "defaults": {"recovery": {"holdOff": "1s"}},
                "services": [{"name": "ui"}],
                "logs": {"rules": [{"name": "own", "title": "Ours", "match": {"contains": ["our own words"]}, "severity": "Error"}]},
            },
        });
        let recording = json!({
            "stack": stack, "policies": [], "steps": [
                {"at": "2026-01-01T20:00:00Z", "observed": {"services": {"ui": "Running"}}},
                {"at": "2026-01-01T20:00:10Z", "observed": {"services": {"ui": "Exited"}}},
                {"at": "2026-01-01T20:00:20Z", "observed": {"services": {"ui": "Exited"}}},
            ],
        });
        Inputs {
            about: About {
                stack: "wicap".into(),
                uid: "0f1e2d3c".into(),
                reason: Reason::Requested,
                object: None,
                at: "2026-02-10T10:00:00Z".parse().unwrap(),
                version: "0.1.0".into(),
            },
            objects: BTreeMap::from([("wicapstack".to_owned(), vec![stack])]),
            actions: vec![json!({"metadata": {"name": "a"}})],
            events: vec![json!({"reason": "Drifted"})],
            audit: vec![json!({"seq": 1})],
            engine: json!({"version": "20.10"}),
            containers: vec![ContainerInput {
                service: "ui_1".into(),
                name: "wicap-ui".into(),
                inspect: json!({"Id": "c0ffee"}),
                usage: json!({"memory": 1}),
                log: log(&[
                    ("INFO:     127.0.0.1:5 - \"GET /health HTTP/1.1\" 200 OK", false),
                    ("Traceback (most recent call last):", true),
                    ("  File \"a.py\", line 3, in f", true),
                    ("ValueError: password=hunter2-quagmire", true),
                    ("these are our own words", false),
                ]),
            }],
            soaks: BTreeMap::from([("Night_1".to_owned(), vec![json!({"record": "finish"})])]),
            history: Some(History { text: recording.to_string(), problems: vec![] }),
            missing: vec![],
        }
    }

    fn read(built: &Built) -> Pack {
        Pack::read(&built.bytes[..]).unwrap()
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes() {
        assert_eq!(pack(inputs()).unwrap().bytes, pack(inputs()).unwrap().bytes);
    }

    #[test]
    fn what_was_decided_and_said_is_found_again_from_the_pack_alone() {
        let rerun = rerun(&read(&pack(inputs()).unwrap())).unwrap();
        assert_eq!((rerun.decisions, rerun.records), (3, 3));
        assert_eq!((rerun.differences, rerun.left_out), (vec![], vec![]));
    }

    #[test]
    fn the_log_is_there_without_its_secret_and_judged_by_the_stacks_own_rules() {
        let pack = read(&pack(inputs()).unwrap());
        let place = "containers/ui_5f1/wicap-ui";
        let log = String::from_utf8_lossy(pack.part(&format!("{place}/log.txt")).unwrap()).into_owned();
        assert!(log.contains(" stderr ValueError: password=[redacted]") && !log.contains("hunter2"), "{log}");
        let said: Vec<Classified> = pack.records(&format!("{place}/signatures.jsonl")).unwrap();
        let shape: Vec<_> = said.iter().map(|c| (c.line, c.lines, c.rule.as_deref())).collect();
        assert_eq!(shape, [(0, 1, Some("health-ok")), (1, 3, None), (4, 1, Some("own"))]);
    }

    #[test]
    fn a_decision_or_a_signature_that_is_another_one_is_told() {
        let built = pack(inputs()).unwrap();
        for (path, from, to) in [
            (DECIDED, "Wait", "Act"),
            (DECIDED, "{\"at\":\"2026-01-01T20:00:10Z\"", "{\"at\":\"2026-01-01T20:00:11Z\""),
            ("containers/ui_5f1/wicap-ui/signatures.jsonl", "\"rule\":\"own\"", "\"rule\":\"their\""),
        ] {
            let changed = repacked(&built, path, |text| {
                assert!(text.contains(from), "{path}: {text}");
                text.replacen(from, to, 1)
            });
            let rerun = rerun(&read(&changed)).unwrap();
            assert_eq!(rerun.differences.len(), 1, "{path}: {rerun:?}");
        }
    }

    #[test]
    fn what_the_planner_itself_had_decided_otherwise_is_a_difference() {
        let mut inputs = inputs();
        inputs.history.as_mut().unwrap().problems.push("what was decided at noon cannot be explained".to_owned());
        let rerun = rerun(&read(&pack(inputs).unwrap())).unwrap();
        assert_eq!(rerun.differences, ["what was decided at noon cannot be explained"]);
    }

    #[test]
    fn lines_around_a_secret_of_many_lines_keep_their_times() {
        let key = [
            "-----BEGIN RSA PRIVATE KEY-----",
            "MIIEpAIBAAKCAQEA7bq",
            "U3Vw+/ersecretbody0",
            "-----END RSA PRIVATE KEY-----",
        ];
        let lines = [("before", false), (key[0], false), (key[1], false), ("aside", true), (key[2], false), (key[3], false)];
        let lines = [&lines[..], &[("", false), ("after", false)]].concat();
        let text = log_text(&log(&lines));
        let shown: Vec<String> = text.lines().map(|line| line.rsplit(':').next().unwrap().to_owned()).collect();
        let expected = ["00Z stdout before", "01Z stdout [redacted]", "03Z stderr aside", "06Z stdout ", "07Z stdout after"];
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn a_log_that_is_too_long_loses_its_oldest_lines_and_what_is_left_is_classified_again() {
        let mut inputs = inputs();
        let long = "x".repeat(1000);
        let texts: Vec<String> = (0..1500).map(|n| format!("line {n} {long}")).collect();
        let lines: Vec<(&str, bool)> = texts.iter().map(|text| (text.as_str(), false)).collect();
        inputs.containers[0].log = log(&lines);
        let pack = read(&pack(inputs).unwrap());
        assert!(String::from_utf8_lossy(pack.part("missing.txt").unwrap()).contains(" lines of the log of wicap-ui: "));
        let log = String::from_utf8_lossy(pack.part("containers/ui_5f1/wicap-ui/log.txt").unwrap()).into_owned();
        assert!(log.contains("line 1499 ") && !log.contains("line 0 "));
        let rerun = rerun(&pack).unwrap();
        assert_eq!((rerun.differences, rerun.left_out), (vec![], vec![]));
        assert!(rerun.records > 900, "{}", rerun.records);
    }

    #[test]
    fn a_soak_run_whose_name_is_too_long_for_a_path_does_not_cost_the_pack() {
        let mut inputs = inputs();
        inputs.soaks.insert("a".repeat(253), vec![json!({"record": "finish"})]);
        let pack = read(&pack(inputs).unwrap());
        assert!(String::from_utf8_lossy(pack.part("missing.txt").unwrap()).contains("its name is no path"));
    }

    #[test]
    fn a_pack_without_a_history_says_that_nothing_was_decided_again() {
        let mut inputs = inputs();
        inputs.history = None;
        let rerun = rerun(&read(&pack(inputs).unwrap())).unwrap();
        assert_eq!((rerun.decisions, rerun.records, rerun.left_out.len()), (0, 3, 1));
    }

    #[test]
    fn containers_whose_names_are_no_paths_are_left_out_and_told() {
        let mut inputs = inputs();
        let mut long = inputs.containers[0].clone();
        long.name = "ü".repeat(90);
        inputs.containers.push(long);
        let pack = read(&pack(inputs).unwrap());
        assert!(String::from_utf8_lossy(pack.part("missing.txt").unwrap()).contains("its name is no path"));
    }
}
