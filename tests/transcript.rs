//! wicapctl says what kubectl says: words, columns, spacing, exit codes, for each command line of the stories in
//! `transcript/cases`, on the same objects, apart from deliberate differences, each with its reason.
//!
//! What kubectl says was recorded from the real one, against a small API server of the test's own. `WICAP_RECORD=1 cargo
//! test --test transcript` records it anew, and what wicapctl says where the story says that it differs, and writes
//! docs/kubectl.md (`WICAP_RECORD=kubectl`: kubectl's half only). Without that, the recordings serve, and no kubectl is
//! needed. `WICAP_STORY=wait.txt` tells one story, `WICAPCTL=PATH` has it told to another wicapctl.

#[path = "transcript/differences.rs"]
mod differences;
#[path = "transcript/normalise.rs"]
mod normalise;
#[path = "transcript/server/mod.rs"]
mod server;
#[path = "transcript/side.rs"]
mod side;
#[path = "transcript/story.rs"]
mod story;
mod support;
#[path = "transcript/words.rs"]
mod words;
#[path = "transcript/world.rs"]
mod world;

use std::path::{Path, PathBuf};

use futures::StreamExt;
use side::{Beside, Side};
use story::{Part, Said, Step, Story};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What of the recordings is made anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    Nothing,
    /// What kubectl says.
    Kubectl,
    /// Also what wicapctl says where it is to differ, its finer exit codes, and the page of differences.
    Both,
}

fn recording() -> Record {
    match std::env::var("WICAP_RECORD").as_deref() {
        Err(_) => Record::Nothing,
        Ok("kubectl") => Record::Kubectl,
        Ok("1") => Record::Both,
        Ok(other) => panic!("WICAP_RECORD: found {other:?}, expected 1 or kubectl"),
    }
}

fn stories() -> Vec<Story> {
    let directory = Path::new(ROOT).join("tests/transcript/cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = std::env::var("WICAP_STORY").unwrap_or_default();
    paths.iter().filter(|path| path.to_string_lossy().contains(&wanted)).map(|path| Story::read(path)).collect()
}

fn wicapctl() -> PathBuf {
    std::env::var_os("WICAPCTL").map_or_else(|| env!("CARGO_BIN_EXE_wicapctl").into(), PathBuf::from)
}

/// Where kubectl is, if it is installed.
fn kubectl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join("kubectl")).find(|file| file.is_file())
}

/// Tells a story to one side: what it says to each step, in their order.
async fn tell(story: &Story, mut side: Side, wanted: impl Fn(&Step) -> Option<Said>) -> Vec<Said> {
    let mut answers: Vec<Said> = Vec::new();
    let mut beside: Option<(usize, Beside)> = None;
    let steps: Vec<&Step> = story.steps().collect();
    for part in &story.parts {
        match part {
            Part::Remark(_) => {}
            Part::Controllers(names) => side.controllers(names),
            Part::File { name, text } => side.file(name, text),
            Part::Status { kind, name, text } => side.status(kind, name, text).await,
            Part::End => {
                let (at, running) = beside.take().unwrap_or_else(|| panic!("{}: nothing to end", story.path.display()));
                answers[at] = side.end(running, wanted(steps[at]).as_ref()).await;
            }
            Part::Step(step) if step.beside => {
                beside = Some((answers.len(), side.begin(step).await));
                answers.push(Said::default());
            }
            Part::Step(step) => answers.push(side.run(step).await),
        }
    }
    assert!(beside.is_none(), "{}: what goes on beside the others must be ended", story.path.display());
    answers
}

/// Makes the recordings of a story anew.
async fn record(story: &mut Story) {
    let Some(kubectl) = kubectl() else { panic!("kubectl is not installed: nothing can be recorded") };
    let side = Side::kubectl(&kubectl, &Path::new(ROOT).join("crds")).await;
    let of_kubectl = tell(story, side, |_| None).await;
    let of_wicapctl = match recording() {
        Record::Both => Some(tell(story, Side::wicapctl(&wicapctl()).await, |_| None).await),
        Record::Kubectl | Record::Nothing => None,
    };
    let steps = story.parts.iter_mut().filter_map(|part| match part {
        Part::Step(step) => Some(step),
        _ => None,
    });
    for (i, (step, said)) in steps.zip(of_kubectl).enumerate() {
        step.kubectl = said;
        let Some(said) = of_wicapctl.as_ref().map(|all| all[i].clone()) else { continue };
        match &mut step.difference {
            Some(difference) => difference.wicapctl = said,
            // The same failure with a finer exit code; anything else stays a failure of the test.
            None => {
                let same = step.kubectl.renamed() == Said { code: step.kubectl.code, ..said.clone() };
                let both_fail = step.kubectl.code.is_some_and(|code| code > 0) && said.code.is_some_and(|code| code > 0);
                step.finer_code = said.code.filter(|_| same && both_fail && said.code != step.kubectl.code);
            }
        }
    }
    std::fs::write(&story.path, story.text()).unwrap();
}

/// Tells a story to wicapctl, and returns how it differs from what it is to say.
async fn check(story: &Story) -> Vec<String> {
    let side = Side::wicapctl(&wicapctl()).await;
    let answers = tell(story, side, |step| Some(step.expected())).await;
    let differing = story.steps().zip(answers).filter_map(|(step, said)| {
        let expected = step.expected();
        (said != expected).then(|| {
            let place = format!("{}:{}", story.path.display(), step.line);
            let (expected, said) = (expected.shown(None), said.shown(None));
            format!("{place}: wicapctl {}\n--- expected\n{expected}+++ said\n{said}", step.of_wicapctl())
        })
    });
    differing.collect()
}

/// How many stories are told at a time. More would make them slow, and ages old.
const AT_A_TIME: usize = 2;

#[tokio::test]
async fn wicapctl_says_what_kubectl_says() {
    let told = futures::stream::iter(stories()).map(|mut story| async move {
        if recording() != Record::Nothing {
            record(&mut story).await;
            return (0, Vec::new());
        }
        (story.steps().count(), check(&story).await)
    });
    let told: Vec<(usize, Vec<String>)> = told.buffered(AT_A_TIME).collect().await;
    if recording() != Record::Nothing && std::env::var_os("WICAP_STORY").is_none() {
        let (path, _, current) = page();
        std::fs::write(path, current).unwrap();
    }
    let count: usize = told.iter().map(|(count, _)| count).sum();
    let failures: Vec<String> = told.into_iter().flat_map(|(_, failures)| failures).collect();
    assert!(failures.is_empty(), "{}\n{} of {count} command lines differ", failures.join("\n"), failures.len());
}

#[test]
fn there_are_at_least_120_command_lines() {
    let count: usize = stories().iter().map(|story| story.steps().count()).sum();
    assert!(count >= 120 || std::env::var_os("WICAP_STORY").is_some(), "{count}");
}

/// What wicapctl says of a failure, and the exit code that goes with it. The first that fits counts.
const CODES: &[(&str, i32)] = &[
    ("Unable to connect to the store", 3),
    ("Usage: ", 2),
    ("For more information, try '--help'", 2),
    ("doesn't have a resource type", 2),
    ("(AlreadyExists)", 4),
    ("(Conflict)", 4),
    (" is invalid: ", 4),
    ("already has a value", 4),
    ("(NotFound)", 1),
    ("timed out waiting", 1),
    ("can no longer come to", 1),
    ("found an unknown field", 4),
];

#[test]
fn exit_codes_tell_failures_apart() {
    let stories = stories();
    for (story, step) in stories.iter().flat_map(|story| story.steps().map(move |step| (story, step))) {
        let expected = step.expected();
        // diff has codes of its own, as kubectl's: 1 for differences, more for failures.
        let is_diff = step.command.starts_with("diff") || step.command.contains("| diff");
        if let Some((said, code)) = CODES.iter().find(|(said, _)| expected.err.contains(said) && !is_diff) {
            let place = format!("{}:{}", story.path.display(), step.line);
            assert_eq!(expected.code, Some(*code), "{place}: what says {said:?} ends with {code}: {}", step.of_wicapctl());
        }
    }
}

/// The page of differences and complaints, as it is and as the stories have it.
fn page() -> (PathBuf, String, String) {
    let path = Path::new(ROOT).join("docs/kubectl.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let current = differences::page(&written, &stories());
    (path, written, current)
}

#[test]
fn the_page_of_differences_is_current() {
    let (path, written, current) = page();
    // A recording writes it when it is done.
    let is_free = recording() != Record::Nothing || std::env::var_os("WICAP_STORY").is_some();
    assert!(written == current || is_free, "{} is not current: WICAP_RECORD=1 writes it", path.display());
}

/// The server alone, for trying commands by hand, on the port of `WICAP_SERVE`.
#[tokio::test]
async fn the_server_serves_alone_when_asked_to() {
    let Some(port) = std::env::var("WICAP_SERVE").ok().and_then(|port| port.parse().ok()) else { return };
    let world = world::World::new(jiff::Timestamp::now());
    let server = server::Server::start(&Path::new(ROOT).join("crds"), &world.objects, port, true).await;
    eprintln!("serving at {}", server.url());
    server.ended().await;
}
