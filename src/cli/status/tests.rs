//! Golden screens, read as a stranger would read them: is the next step obvious? `WICAP_TEST_ACCEPT=1` writes them anew.

mod shell;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::super::paint::Paint;
use super::objects::Objects;
use super::picture::{NextStep, State};
use super::*;
use crate::api::action::ActionPhase;
use crate::api::{Object, decode};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/status");

pub(crate) fn objects_of<K: Object>(all: &[Value]) -> Vec<K> {
    let of_kind = all.iter().filter(|o| o["kind"] == *K::kind(&()));
    let read = |document: &Value| {
        decode::recorded::<K>(document).map(|read| K::clone(&read)).map(|mut read| {
            // Of the metadata a manifest has no say in these.
            *read.meta_mut() = serde_json::from_value(document["metadata"].clone()).unwrap();
            read
        })
    };
    of_kind.map(|document| read(document).unwrap_or_else(|e| panic!("{}: {e:?}", document["metadata"]["name"]))).collect()
}

/// The objects of a file, each read strictly, and the time at which they are looked at.
pub(crate) fn read(path: &Path) -> (Objects, Time, Value) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value = serde_json::from_str(&text).unwrap();
    let all = file["objects"].as_array().unwrap();
    let objects = Objects {
        stacks: objects_of(all),
        sessions: objects_of(all),
        policies: objects_of(all),
        stops: objects_of(all),
        actions: objects_of(all),
        incidents: objects_of(all),
        soaks: objects_of(all),
    };
    let now = file["now"].as_str().unwrap().parse().unwrap();
    (objects, now, file)
}

/// A case of this directory.
pub(crate) fn fixture(name: &str) -> (Objects, Time) {
    let (objects, now, _) = read(&Path::new(DIRECTORY).join(format!("{name}.json")));
    (objects, now)
}

/// Compares a page with its golden file, or writes it.
pub(crate) fn expect(page: &Page, golden: &Path) {
    let mut shown = Vec::new();
    page.write(&mut shown, Paint::default()).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    if std::env::var_os("WICAP_TEST_ACCEPT").is_some() {
        std::fs::write(golden, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap_or_default();
    assert_eq!(shown, expected, "{} is not what is shown", golden.display());
}

fn cases() -> Vec<(String, PathBuf)> {
    let files = std::fs::read_dir(DIRECTORY).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files.into_iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path)).collect()
}

fn shown(objects: &Objects, now: Time, width: usize) -> Page {
    page(&pictures(objects, now), width)
}

#[test]
fn each_situation_has_its_screen_at_80_and_at_120_columns() {
    assert!(cases().len() > 10);
    for (name, path) in cases() {
        let (objects, now, _) = read(&path);
        for width in [80, 120] {
            expect(&shown(&objects, now, width), &path.with_file_name(format!("{name}.{width}.txt")));
        }
    }
}

#[test]
fn a_store_that_is_down_has_its_screen() {
    for (name, local, holder, stop_file) in [
        ("down", true, None, None),
        (
            "down-held",
            true,
            Some("process 812 (wicapd run), since 2026-01-01T20:00:00Z"),
            Some("smoke in the rack (by bob@edge-1)"),
        ),
        ("down-remote", false, None, None),
    ] {
        let down = Down {
            data_dir_hidden: false,
            as_root: true,
            store: if local { "embedded" } else { "https://etcd-1:2379,https://etcd-2:2379" }.to_owned(),
            local,
            reason: "connection refused".to_owned(),
            data_dir: "/var/lib/wicap".to_owned(),
            data_dir_exists: local,
            holder: holder.map(str::to_owned),
            stop_file: stop_file.map(str::to_owned),
            next: NextStep { why: String::new(), command: None },
        };
        let down = Down { next: down.step(), ..down };
        for width in [80, 120] {
            expect(&down.screen(width), &Path::new(DIRECTORY).join(format!("{name}.{width}.txt")));
        }
    }
}

#[test]
fn each_situation_is_named_for_what_it_is() {
    for (name, expected) in [
        ("healthy", State::Healthy),
        ("healthy-unattended", State::Healthy),
        ("healthy-soak-fails", State::Healthy),
        ("healthy-soak-outlives", State::Healthy),
        ("mending", State::Mending),
        ("mending-waits", State::Mending),
        ("planner-silent", State::Stalled),
        ("blocked-by-policy", State::Blocked),
        ("blocked-by-session", State::Blocked),
        ("awaiting-approval", State::AwaitingApproval),
        ("stopped", State::Stopped),
        ("stopped-everywhere", State::Stopped),
        ("observer-silent", State::Unknown),
        ("engine-silent", State::Unknown),
        ("escalated", State::Escalated),
        ("starting", State::Starting),
        ("maintenance", State::Maintenance),
        ("unmanaged", State::Healthy),
        ("blocked-by-shadow", State::Blocked),
    ] {
        let (objects, now) = fixture(name);
        assert_eq!(pictures(&objects, now)[0].state, expected, "{name}");
    }
}

#[test]
fn each_situation_has_its_next_step() {
    for (name, expected) in [
        ("healthy", None),
        ("healthy-unattended", Some("wicapctl session start wicap")),
        ("healthy-soak-fails", Some("wicapctl why soak/soak-night")),
        ("healthy-soak-outlives", Some("wicapctl session start wicap")),
        ("mending", Some("wicapctl status wicap -w")),
        ("mending-waits", Some("wicapctl status wicap -w")),
        ("starting", Some("wicapctl status wicap -w")),
        ("planner-silent", Some("wicapd run --host edge-1")),
        ("observer-silent", Some("wicapd run --host edge-1")),
        ("engine-silent", Some("docker info")),
        ("blocked-by-session", Some("wicapctl session start wicap")),
        ("pending-session", Some("wicapctl why session/late")),
        ("blocked-by-monitor", Some("wicapctl session start wicap")),
        ("blocked-by-shadow", Some("wicapctl session start wicap")),
        ("blocked-by-canary", Some("wicapctl session end night && wicapctl session start wicap")),
        ("blocked-by-budget", Some("wicapctl status wicap -w")),
        ("healthy-soon-unattended", Some("wicapctl session extend night --by 8h")),
        ("maintenance", Some("wicapctl status wicap -w")),
        ("unmanaged", Some("cd /opt/wicap && docker compose -p wicap -f compose.yaml up -d processor")),
        ("awaiting-approval", Some("wicapctl approve wicap-processor-start-service-0f1e2-1-1")),
        ("escalated", Some("wicapctl why incident/wicap-processor-not-running-0f1e2-1")),
        ("stopped", Some("wicapctl resume wicap")),
        ("stopped-everywhere", Some("wicapctl resume --all")),
        ("stopped-by-file", Some("rm -f /var/lib/wicap/STOP && wicapctl resume --all")),
    ] {
        let (objects, now) = fixture(name);
        assert_eq!(pictures(&objects, now)[0].next.command.as_deref(), expected, "{name}");
    }
}

#[test]
fn an_observation_is_too_old_one_millisecond_after_three_heartbeats() {
    let (objects, _) = fixture("mending");
    let seen = objects.stacks[0].status.as_ref().unwrap().observed_at.unwrap();
    let state = |milliseconds| pictures(&objects, seen + jiff::SignedDuration::from_millis(milliseconds))[0].state;
    assert_eq!(state(90_000), State::Mending);
    assert_eq!(state(90_001), State::Unknown);
}

#[test]
fn what_is_not_known_is_said_before_a_stop_and_before_an_action_that_waits() {
    for name in ["stopped", "stopped-everywhere", "awaiting-approval"] {
        let (objects, now) = fixture(name);
        let picture = &pictures(&objects, now + jiff::SignedDuration::from_hours(1))[0];
        assert_eq!((picture.state, picture.available.as_str()), (State::Unknown, "Unknown"), "{name}");
    }
}

#[test]
fn an_action_that_nobody_takes_up_is_stalled_one_millisecond_after_its_time() {
    let (mut objects, _) = fixture("awaiting-approval");
    objects.actions[0].status.as_mut().unwrap().phase = ActionPhase::Pending;
    let asked = objects.actions[0].metadata.creation_timestamp.clone().unwrap().0;
    let state = |milliseconds| pictures(&objects, asked + jiff::SignedDuration::from_millis(milliseconds))[0].state;
    assert_eq!(state(15_000), State::Mending);
    assert_eq!(state(15_001), State::Stalled);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn whatever_is_stored_names_are_whole_and_nothing_steers_the_terminal(text in any::<String>(), width in 40_usize..160) {
        for name in ["mending", "escalated", "stopped", "awaiting-approval", "several"] {
            let (mut objects, now) = fixture(name);
            for stack in &mut objects.stacks {
                let status = stack.status.as_mut().unwrap();
                status.services.iter_mut().for_each(|s| s.message = Some(text.clone()));
                status.drift.iter_mut().for_each(|d| d.evidence.clone_from(&text));
            }
            objects.stops.iter_mut().for_each(|s| s.spec.reason.clone_from(&text));
            objects.incidents.iter_mut().for_each(|i| i.spec.signature.clone_from(&text));
            objects.actions.iter_mut().for_each(|a| a.spec.cause.summary.clone_from(&text));
            let lines: Vec<_> = shown(&objects, now, width).painted(|_, text| text.to_owned()).collect();
            prop_assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{:?}", lines);
            for picture in pictures(&objects, now) {
                prop_assert!(lines.iter().any(|line| line.contains(&picture.stack)));
                if name != "several" {
                    prop_assert!(picture.services.iter().all(|s| lines.iter().any(|line| line.contains(&s.name))));
                }
            }
        }
    }
}

#[test]
fn no_line_is_wider_than_the_page_but_for_a_single_word_or_a_command() {
    for (name, path) in cases() {
        let (objects, now, _) = read(&path);
        for width in [40, 60, 80, 120, 200] {
            let commands: Vec<_> = pictures(&objects, now).into_iter().filter_map(|p| p.next.command).collect();
            for line in shown(&objects, now, width).painted(|_, text| text.to_owned()) {
                let free = line.trim_start();
                let allowed = line.chars().count() <= width || commands.iter().any(|c| c == free) || !free.contains(' ');
                // A table's columns are what they are.
                assert!(allowed || width < 80, "{name} at {width}: {line}");
            }
        }
    }
}

#[test]
fn the_machine_form_has_the_fields_that_scripts_rely_on() {
    let (objects, now) = fixture("blocked-by-policy");
    let report = report(&pictures(&objects, now), now).unwrap();
    assert_eq!(report["reached"], true);
    let stack = &report["stacks"][0];
    assert_eq!((&stack["state"], &stack["ready"]), (&"Blocked".into(), &"3/4".into()));
    assert_eq!(stack["blocked"][0]["gate"], "toolPolicy");
    assert!(stack["next"]["command"].as_str().unwrap().starts_with("wicapctl policy explain "));
    assert_eq!(stack["services"][2]["asDesired"], false);
}

#[test]
fn several_stacks_come_worst_first() {
    let (objects, now) = fixture("several");
    let names: Vec<_> = pictures(&objects, now).into_iter().map(|p| p.state).collect();
    assert!(names.is_sorted(), "{names:?}");
}
