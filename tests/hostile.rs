//! Names, paths and values that mean harm, in every field that reaches Docker or a process: refused, or one harmless word there.
//!
//! `WICAP_FUZZ_SECONDS` is how long manifests are drawn by chance; `hack/fuzz` sets it.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use wicap::act::{Actor, Deed};
use wicap::api::Object;
use wicap::api::action::{ActionKind, ActionRun, ContainerFact};
use wicap::api::decode::manifest;
use wicap::api::stack::{ServiceState, WicapStack};
use wicap::observe::compose::ComposeCli;
use wicap::observe::engine::Engine;

/// How long chance is given by the suite.
const FUZZED: Duration = Duration::from_secs(3);

/// What means harm somewhere: to a shell, a path, an argument parser, a terminal, a reader.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        "",
        " ",
        ".",
        "..",
        "../..",
        "../../etc",
        "/",
        "//",
        "/etc/../etc",
        "a/../../b",
        "-",
        "--",
        "-v",
        "--privileged",
        "--file=/etc/passwd",
        "-f/etc/passwd",
        "$(id)",
        "`id`",
        "${HOME}",
        "$HOME",
        "a;id",
        "a&id",
        "a|id",
        "a>b",
        "a<b",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\0b",
        "\0",
        "\u{1b}[2J",
        "'",
        "\"",
        "\\",
        "a b",
        "*",
        "?",
        "[a]",
        "{a,b}",
        "~root",
        "~",
        "%00",
        "%2e%2e%2f",
        "%n%s",
        "а",
        "ｕｉ",
        "u\u{200b}i",
        "u\u{202e}i",
        "\u{feff}ui",
        "ui\u{301}",
        "K",
        "İ",
        "con",
        "NUL",
        "ui.",
        ".ui",
        "_ui",
        "-ui",
        "http://[::1",
        "host:2375",
        "127.0.0.1:22@h",
        "a=b",
        "a:b",
        "@file",
        "|sh",
        "#",
        "!",
        "\u{7f}",
        "\u{80}",
        "/containers/x/start?",
        "x?force=1",
        "x#y",
        "x/../../images/prune",
    ]
    .map(str::to_owned)
    .into();
    all.extend([65, 256, 5_000, 200_000].map(|n| "a".repeat(n)));
    all.push("../".repeat(2_000));
    all
}

fn stack() -> Value {
    json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "wicap", "labels": {"a": "b"}},
        "spec": {
            "host": "here",
            "compose": {
                "project": "p", "directory": "/srv/p", "files": ["compose.yaml"], "profiles": ["x"], "envFiles": [".env"],
            },
            "services": [
                {"name": "ui", "probes": [
                    {"name": "p", "httpGet": {"host": "h", "port": 80, "path": "/x"}},
                    {"name": "q", "tcpSocket": {"host": "h", "port": 80}}]},
                {"name": "redis", "dependsOn": ["ui"]},
            ],
        },
    })
}

fn action() -> Value {
    json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "ActionRun", "metadata": {"name": "r"},
        "spec": {
            "stack": "wicap", "action": "restart_service", "target": "ui", "session": "night",
            "cause": {"kind": "Operator", "summary": "x"},
        },
    })
}

/// Every place in a document that holds a string.
fn strings(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| strings(v, &format!("{at}/{i}"), found)),
        Value::Object(fields) => fields.iter().for_each(|(k, v)| strings(v, &format!("{at}/{k}"), found)),
        _ => {}
    }
}

fn actor() -> Actor {
    Actor::new(Engine::new("/nonexistent.sock").unwrap(), ComposeCli::new("/nonexistent.sock"))
}

/// The options that any command of ours has, and how many words each takes with it.
const OPTIONS: [(&str, usize); 15] = [
    ("--project-name", 1),
    ("--project-directory", 1),
    ("--file", 1),
    ("--profile", 1),
    ("--env-file", 1),
    ("--ansi", 1),
    ("--detach", 0),
    ("--no-deps", 0),
    ("--no-build", 0),
    ("--pull", 1),
    ("--no-recreate", 0),
    ("--force-recreate", 0),
    ("--volumes", 0),
    ("--timeout", 1),
    ("--progress", 1),
];

/// What is wrong with what would be called, if anything is.
fn harm(command: &[String], stack: &WicapStack) -> Option<String> {
    if let Some(word) = command.iter().find(|w| w.chars().any(char::is_control)) {
        return Some(format!("a control character in {word:?}"));
    }
    let spec = &stack.spec;
    if command.first().is_some_and(|w| w == "docker") {
        let mut words = command[2..].iter();
        let mut verb = false;
        while let Some(word) = words.next() {
            if let Some((_, taken)) = OPTIONS.iter().find(|(option, _)| word == option) {
                for _ in 0..*taken {
                    let value = words.next()?;
                    if value.starts_with('-') {
                        return Some(format!("{value:?} could be taken for an option"));
                    }
                    if value.split('/').any(|part| part == "..") {
                        return Some(format!("{value:?} leads elsewhere"));
                    }
                }
            } else if verb {
                if !spec.services.iter().any(|s| s.name == *word) {
                    return Some(format!("{word:?} is no service"));
                }
            } else if matches!(word.as_str(), "up" | "down") {
                verb = true;
            } else {
                return Some(format!("{word:?} is no option of ours"));
            }
        }
        return None;
    }
    // A call to the engine: a method and a path in which nothing of ours stands but an id.
    let path = command.get(1)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/?=&._-{}%\":,[]".contains(c);
    (!path.chars().all(plain) || path.contains("..")).then(|| format!("the path {path:?}"))
}

/// What would be called for a stack, by every action on every target it could be asked for.
fn commands(stack: &WicapStack, targets: &[&str]) -> Vec<Vec<String>> {
    let actor = actor();
    let mut all = Vec::new();
    for action in ActionKind::ALL {
        for target in targets {
            let before = vec![ContainerFact {
                service: (*target).to_owned(),
                state: ServiceState::Exited,
                container_id: Some("0a1b".to_owned()),
                started_at: None,
                replicas: None,
            }];
            if let Ok(command) = actor.command(&stack.spec, Deed::new(action, target), &before) {
                all.push(command);
            }
        }
    }
    all
}

/// Takes a document as a manifest is taken, and says what harm it would do.
fn try_stack(document: &Value) -> Result<bool, String> {
    let Ok(stack) = manifest::<WicapStack>(document) else { return Ok(false) };
    if !stack.validate().is_empty() {
        return Ok(false);
    }
    let names: Vec<&str> = stack.spec.services.iter().map(|s| s.name.as_str()).chain([""]).collect();
    for command in commands(&stack, &names) {
        if let Some(harm) = harm(&command, &stack) {
            return Err(format!("{harm} in {command:?}"));
        }
    }
    Ok(true)
}

#[test]
fn no_field_of_a_stack_brings_harm_to_a_command() {
    assert_eq!(try_stack(&stack()), Ok(true));
    let mut places = Vec::new();
    strings(&stack(), "", &mut places);
    assert!(places.len() > 15, "{places:?}");
    let (mut tried, mut taken) = (0, Vec::new());
    for place in &places {
        for value in hostile() {
            let mut document = stack();
            *document.pointer_mut(place).unwrap() = Value::String(value.clone());
            tried += 1;
            match try_stack(&document) {
                Ok(false) => {}
                Ok(true) => taken.push(format!("{place} {value:.40?}")),
                Err(harm) => panic!("{place} = {value:.60?}: {harm}"),
            }
        }
    }
    println!("{tried} tried, {} taken and harmless", taken.len());
    // What is a name is a name. A file may be called `$(id)`: it is one word behind the directory, and no shell reads it.
    let names = ["/spec/compose/project", "/spec/compose/profiles", "/spec/services/0/name", "/metadata/name", "/spec/host"];
    let nowhere = ["a\\nb", "a\\0b", "..", "../..", "\\u{1b}"];
    let in_no_name = ["$(id)", "a;id", "a|id", "a b", "-v", "--privileged", "\\u{202e}", "/"];
    for (places, bad) in [(&names[..], &in_no_name[..]), (&names, &nowhere), (&["/spec/compose"], &nowhere)] {
        for (place, bad) in places.iter().flat_map(|place| bad.iter().map(move |bad| (place, bad))) {
            let found = taken.iter().find(|t| t.starts_with(place) && t.contains(&format!("\"{bad}")));
            assert_eq!(found, None);
        }
    }
}

#[test]
fn a_target_is_a_service_of_the_stack_or_refused() {
    let good: WicapStack = manifest(&stack()).unwrap();
    for value in hostile().iter().filter(|v| !v.is_empty()) {
        assert_eq!(commands(&good, &[value.as_str()]), Vec::<Vec<String>>::new(), "{value:.60?}");
        let mut document = action();
        document["spec"]["target"] = value.clone().into();
        if let Ok(run) = manifest::<ActionRun>(&document)
            && run.validate().is_empty()
        {
            assert!(wicap::api::validate::is_service(&run.spec.target), "{value:.60?}");
        }
    }
}

#[test]
fn what_chance_makes_of_a_manifest_brings_no_harm_either() {
    let seconds = std::env::var("WICAP_FUZZ_SECONDS").ok();
    let span = seconds.map_or(FUZZED, |text| {
        Duration::from_secs(text.parse().unwrap_or_else(|_| panic!("WICAP_FUZZ_SECONDS: found {text:?}, expected a number")))
    });
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let pool = hostile();
    let mut places = Vec::new();
    strings(&stack(), "", &mut places);
    let (began, mut tried, mut taken) = (Instant::now(), 0_u64, 0_u64);
    while began.elapsed() < span {
        let mut document = stack();
        for _ in 0..dice.random_range(1..4) {
            let place = places.choose(&mut dice).unwrap();
            let old = document.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
            let new = mutate(&old, &pool, &mut dice);
            *document.pointer_mut(place).unwrap() = new;
        }
        // The text is what people send: it goes through the reader too.
        let text = document.to_string();
        let read: Value = serde_json::from_str(&text).unwrap();
        tried += 1;
        match try_stack(&read) {
            Ok(ok) => taken += u64::from(ok),
            Err(harm) => panic!("{harm}, from {text:.2000}"),
        }
    }
    println!("{tried} manifests, {taken} taken");
    assert!(taken > 0, "all were refused: nothing was shown");
}

fn mutate(old: &str, pool: &[String], dice: &mut StdRng) -> Value {
    let odd = pool.choose(dice).expect("there are some");
    let cut = |s: &str, dice: &mut StdRng| {
        let ends: Vec<usize> = s.char_indices().map(|(i, _)| i).chain([s.len()]).collect();
        *ends.choose(dice).expect("an end at least")
    };
    match dice.random_range(0..8) {
        0 => Value::String(odd.clone()),
        1 => Value::String(format!("{old}{odd}")),
        2 => Value::String(format!("{odd}{old}")),
        3 => {
            let at = cut(old, dice);
            Value::String(format!("{}{odd}{}", &old[..at], &old[at..]))
        }
        4 => {
            let at = cut(old, dice);
            let any: char = dice.random();
            Value::String(format!("{}{any}{}", &old[..at], &old[at..]))
        }
        5 => Value::String((0..dice.random_range(0..12)).map(|_| dice.random_range(0x20..0x7f_u8) as char).collect()),
        6 => Value::String(old.to_owned() + &old.chars().rev().collect::<String>()),
        _ => [Value::Null, json!(7), json!([]), json!({}), json!(true)].choose(dice).expect("there are some").clone(),
    }
}
