//! Golden chains. `WICAP_TEST_ACCEPT=1` writes them anew.

use std::path::Path;

use serde_json::Value;

use super::super::status::tests::{expect, objects_of, read};
use super::*;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/why");

fn case(name: &str) -> Chain {
    let (objects, now, file) = read(&Path::new(DIRECTORY).join(format!("{name}.json")));
    let all = file["objects"].as_array().unwrap();
    let events = file.get("events").map_or_else(Vec::new, |events| serde_json::from_value(events.clone()).unwrap());
    let known = Known { objects: objects.clone(), approvals: objects_of(all), snapshots: objects_of(all), events };
    let about = file["about"].as_str().unwrap();
    let (kind, wanted) = about.split_once('/').unwrap();
    match kind {
        "stack" => stack::chain(of(&objects.stacks, wanted), &known, now),
        "action" => action::chain(of(&objects.actions, wanted), &known, now),
        "incident" => incident::chain(of(&objects.incidents, wanted), &known, now),
        "soak" => soak::chain(of(&objects.soaks, wanted), &known, now),
        "session" => session::chain(of(&objects.sessions, wanted), &known, now),
        other => panic!("{other}"),
    }
}

fn of<'a, K: Object>(all: &'a [K], name: &str) -> &'a K {
    all.iter().find(|o| o.name() == name).unwrap_or_else(|| panic!("no {name}"))
}

fn names() -> Vec<String> {
    let files = std::fs::read_dir(DIRECTORY).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|e| e == "json"));
    let mut names: Vec<_> = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn each_question_has_its_answer_at_80_and_at_120_columns() {
    assert!(names().len() >= 10);
    for name in names() {
        for width in [80, 120] {
            expect(&case(&name).page(width), &Path::new(DIRECTORY).join(format!("{name}.{width}.txt")));
        }
    }
}

#[test]
fn every_chain_goes_by_time_and_what_holds_now_comes_last() {
    for name in names() {
        let times: Vec<_> = case(&name).links.iter().map(|l| l.at.unwrap_or(crate::api::Time::MAX)).collect();
        assert!(times.is_sorted(), "{name}: {times:?}");
    }
}

#[test]
fn the_machine_form_names_the_steps_and_the_objects() {
    let chain = serde_json::to_value(case("action-failed")).unwrap();
    let steps: Vec<_> = chain["links"].as_array().unwrap().iter().filter_map(|l| l["step"].as_str()).collect();
    assert_eq!(steps.first(), Some(&"Seen"));
    assert!(steps.contains(&"Permitted") && steps.contains(&"Verified"), "{steps:?}");
    let objects: Vec<&Value> = chain["links"].as_array().unwrap().iter().filter_map(|l| l.get("object")).collect();
    assert!(objects.iter().any(|o| o.as_str().unwrap().starts_with("actionrun/")), "{objects:?}");
}
