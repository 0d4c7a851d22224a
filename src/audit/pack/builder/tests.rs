use proptest::prelude::*;
use serde_json::json;

use super::super::cap::Weight;
use super::super::fixtures::{ENOUGH, about, keep, small};
use super::super::manifest::{Cut, Kind};
use super::super::reader::{Pack, verify};
use super::*;
use crate::audit::redact::redact;

/// A part as a test draws it.
#[derive(Clone, Debug)]
enum Drawn {
    Text(Vec<u8>),
    Document(Value),
    Records(Vec<Value>),
}

fn drawn() -> impl Strategy<Value = (Drawn, Cap)> {
    let value = || {
        prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|x| json!(x)),
            ".{0,40}".prop_map(|text| json!({ "text": text, "a": [text] })),
        ]
    };
    let content = prop_oneof![
        proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..3000).prop_map(Drawn::Text),
        value().prop_map(Drawn::Document),
        proptest::collection::vec(value(), 0..60).prop_map(Drawn::Records),
    ];
    let cap = (0..4000_u64, 0..6_usize).prop_map(|(bytes, weight)| Cap::new(bytes, Weight::ALL[weight]));
    (content, cap)
}

fn add(builder: &mut Builder<'_>, path: &str, (content, cap): &(Drawn, Cap)) {
    match content {
        Drawn::Text(bytes) => builder.text(path, bytes.clone(), *cap),
        Drawn::Document(value) => builder.document(path, value, *cap),
        Drawn::Records(values) => builder.records(path, values, *cap),
    }
    .unwrap();
}

fn unpacked(built: &Built) -> Vec<u8> {
    zstd::decode_all(&built.bytes[..]).unwrap()
}

proptest! {
    // Each case makes two packs and reads one.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_in_any_order_make_the_same_bytes(
        parts in proptest::collection::btree_map("[a-z0-9._]/x[a-z]{1,3}", drawn(), 0..8)
            .prop_map(|parts| parts.into_iter().filter(|(path, _)| path::check(path).is_ok()).collect::<Vec<_>>()),
        seed in any::<u64>(),
        whole in 0..20_000_u64,
    ) {
        let build = |parts: &[(String, (Drawn, Cap))]| {
            let mut builder = Builder::new(about(), &keep).unwrap().whole(whole);
            for (path, part) in parts {
                add(&mut builder, path, part);
            }
            builder.finish().unwrap()
        };
        let mut shuffled = parts.clone();
        shuffled.sort_by_key(|(path, _)| path.bytes().fold(seed, |h, b| h.wrapping_mul(31).wrapping_add(b.into())));
        let (one, other) = (build(&parts), build(&shuffled));
        prop_assert_eq!(&one.bytes, &other.bytes);
        prop_assert_eq!(sha256(&one.bytes), one.digest.clone());

        // What was built is a pack, with these parts in it.
        let pack = Pack::read(&one.bytes[..]).unwrap();
        prop_assert_eq!(pack.manifest(), &one.manifest);
        prop_assert_eq!(pack.manifest().entries.len(), parts.len());
        for entry in &pack.manifest().entries {
            let cap = parts.iter().find(|(path, _)| *path == entry.path).unwrap().1.1;
            match entry.cut {
                Some(Cut::LeftOut { bytes }) => prop_assert!(entry.bytes <= NOTE_MOST && bytes > 0),
                _ => prop_assert!(entry.bytes <= cap.bytes && pack.part(&entry.path).unwrap().len() as u64 == entry.bytes),
            }
        }
        // The whole is kept: what cannot give way is about a kilobyte of frame and half of one in the manifest for each part.
        let least = 8192 + parts.len() as u64 * 2048;
        prop_assert!(unpacked(&one).len() as u64 <= whole.max(least));
    }
}

#[test]
fn a_part_is_read_as_it_was_added() {
    let built = small();
    let pack = Pack::read(&built.bytes[..]).unwrap();
    let paths: Vec<_> = pack.manifest().entries.iter().map(|entry| (entry.path.as_str(), entry.kind)).collect();
    let expected = [("events.jsonl", Kind::Records), ("logs/ui.log", Kind::Text), ("spec.json", Kind::Document)];
    assert_eq!(paths, expected);
    assert_eq!(pack.part("logs/ui.log").unwrap(), b"two\nthree\n");
    assert_eq!(pack.document::<Value>("spec.json").unwrap(), json!({"a": null, "b": [1, 2]}));
    assert_eq!(pack.records::<u8>("events.jsonl").unwrap(), [1, 2, 3]);
    assert_eq!(pack.part("spec.json").unwrap(), b"{\n  \"a\": null,\n  \"b\": [\n    1,\n    2\n  ]\n}\n");
    assert!(matches!(pack.part("spec"), Err(PackError::Missing { .. })));
    assert!(matches!(pack.document::<u8>("spec.json"), Err(PackError::Unexpected { .. })));
}

#[test]
fn the_same_parts_are_the_same_tar_in_every_version() {
    // Change these only together with the version of the format.
    let tar = unpacked(&small());
    assert_eq!(tar.len(), 5632);
    assert_eq!(sha256(&tar), "9ba21d85149fbde2fd0079f60d992556ff52d10e8ee34c7cfb626cf5e33b6cad");
}

#[test]
fn what_is_shown_is_what_is_there_and_what_was_lost() {
    let built = small();
    let pack = Pack::read(&built.bytes[..]).unwrap();
    let shown = serde_json::to_value(pack.show()).unwrap();
    let about = json!({
        "stack": "wicap", "uid": "6f1c1c9e-5a0e-4c7e-8d6a-0d7a3c0b9f11", "reason": "Incident",
        "object": "incident/wicap-ui-1", "at": "2026-02-10T10:00:00.5Z", "version": "0.1.0"
    });
    assert_eq!(shown["about"], about);
    assert_eq!(shown["digest"], built.digest.as_str());
    assert_eq!(shown["packed"], built.bytes.len());
    assert_eq!(shown["unpacked"], unpacked(&built).len());
    assert_eq!(shown["cut"], json!({"entries": 1, "bytes": 4, "lines": 1}));
    assert_eq!(shown["entries"][1]["cut"], json!({"how": "Front", "bytes": 4, "lines": 1}));
}

#[test]
fn a_path_is_taken_once_and_is_a_file_or_a_directory() {
    let mut builder = Builder::new(about(), &keep).unwrap();
    builder.text("a/b", "x", ENOUGH).unwrap();
    let table = [
        ("a/b", "another name: there is a part of this one"),
        ("a/b/c", "another name: \"a/b\" is a part, and cannot be a directory"),
        ("a", "another name: this is a directory with parts in it"),
        ("manifest.json", "another name: this is the manifest's"),
    ];
    for (path, expected) in table {
        let error = builder.text(path, "y", ENOUGH).unwrap_err();
        assert_eq!(error.to_string(), format!("path: found {path:?}, expected {expected}"));
    }
    builder.text("a/bc", "x", ENOUGH).unwrap();
    builder.text("ab", "x", ENOUGH).unwrap();
    assert_eq!(builder.finish().unwrap().manifest.entries.len(), 3);
}

#[test]
fn a_part_that_cannot_be_written_costs_itself_only() {
    let mut builder = Builder::new(about(), &keep).unwrap();
    let map = std::collections::HashMap::from([((1, 2), 3)]);
    let error = builder.document("a.json", &map, ENOUGH).unwrap_err();
    assert!(matches!(error, PackError::Json { .. }), "{error}");
    assert!(builder.records("a.json", [&map], ENOUGH).is_err());
    builder.document("a.json", &1, ENOUGH).unwrap();
    assert_eq!(builder.finish().unwrap().manifest.entries.len(), 1);
}

#[test]
fn a_pack_has_as_many_parts_as_it_may_and_no_more() {
    let mut builder = Builder::new(about(), &keep).unwrap();
    for n in 0..ENTRIES_MOST {
        builder.text(&format!("p{n}"), "", ENOUGH).unwrap();
    }
    assert!(matches!(builder.text("q", "", ENOUGH), Err(PackError::TooMany { .. })));
    let built = builder.finish().unwrap();
    assert_eq!(Pack::read(&built.bytes[..]).unwrap().manifest().entries.len(), ENTRIES_MOST);
}

#[test]
fn what_is_too_large_is_cut_and_said_and_never_refused() {
    let mut builder = Builder::new(about(), &keep).unwrap().whole(64 << 10);
    builder.text("logs/a.log", "0123456789\n".repeat(20_000), Cap::new(100_000, Weight::Log)).unwrap();
    builder.text("logs/b.log", "0123456789\n".repeat(100), ENOUGH).unwrap();
    builder.records("samples.jsonl", 0..10_000, Cap::new(1 << 20, Weight::Sample)).unwrap();
    builder.document("huge.json", &vec![1; 10_000], Cap::new(1000, Weight::State)).unwrap();
    builder.document("spec.json", &vec![1; 4000], Cap::new(1 << 20, Weight::State)).unwrap();
    let built = builder.finish().unwrap();
    assert!(unpacked(&built).len() <= 64 << 10);
    let pack = Pack::read(&built.bytes[..]).unwrap();
    let cut = |path: &str| built.manifest.entries.iter().find(|entry| entry.path == path).unwrap().cut;
    assert_eq!(cut("spec.json"), None);
    assert_eq!(cut("huge.json"), Some(Cut::LeftOut { bytes: 50_003 }));
    assert!(matches!(pack.part("huge.json"), Err(PackError::LeftOut { bytes: 50_003, .. })));
    let Some(Cut::Front { bytes, lines }) = cut("logs/a.log") else { panic!("{:?}", cut("logs/a.log")) };
    let left = pack.part("logs/a.log").unwrap().len() as u64;
    assert_eq!((bytes + left, lines + left / 11), (220_000, 20_000));
    let samples: Vec<u32> = pack.records("samples.jsonl").unwrap();
    assert_eq!(samples.last(), Some(&9999), "the newest are there");
}

#[test]
fn no_byte_of_a_pack_has_a_planted_secret() {
    let redact = |text: &str| redact(text).into_owned();
    let mut builder = Builder::new(about(), &redact).unwrap();
    let secrets =
        ["Zq8vT1xW4k", "hunter2xyz", "s3cr3tV4lue", "9K2mP7qRt5", "AKIAIOSFODNN7EXAMPLE", "kX93jd82Lq", "81942355"];
    let lines = "2026-02-10 10:00:00 [ERROR] db: SQL connection failed: password=Zq8vT1xW4k\n\
                 redis://:hunter2xyz@localhost:6380/0 refused\n\
                 {\"token\": \"s3cr3tV4lue\", \"n\": 1}\n\
                 Authorization: Bearer 9K2mP7qRt5\n\
                 curl -u admin:kX93jd82Lq http://h/\n";
    let inspect = json!({
        "Config": {"Env": ["DB_PASSWORD=Zq8vT1xW4k", "PATH=/bin"], "Cmd": ["redis-server", "--requirepass", "hunter2xyz"]},
        "env": [{"name": "API_TOKEN", "value": "s3cr3tV4lue"}],
        "labels": {"password": 81_942_355, "url": "amqp://u:kX93jd82Lq@h"},
        "aws": "AKIAIOSFODNN7EXAMPLE",
        "said": lines,
    });
    builder.text("logs/db.log", lines, ENOUGH).unwrap();
    builder.text("logs/cut.log", lines.repeat(50), Cap::new(700, Weight::Log)).unwrap();
    builder.document("containers/db.json", &inspect, ENOUGH).unwrap();
    builder.records("events.jsonl", [&inspect, &json!({"message": lines}), &json!(lines)], ENOUGH).unwrap();
    let built = builder.finish().unwrap();
    assert_eq!(verify(&built.bytes[..], None).unwrap(), []);
    let tar = String::from_utf8(unpacked(&built)).unwrap();
    for secret in secrets {
        assert!(!tar.contains(secret), "{secret}");
    }
    let pack = Pack::read(&built.bytes[..]).unwrap();
    let inspect: Value = pack.document("containers/db.json").unwrap();
    assert_eq!(inspect["Config"]["Env"], json!(["DB_PASSWORD=[redacted]", "PATH=/bin"]), "and the rest is there");
    assert_eq!(inspect["env"], json!([{"name": "API_TOKEN", "value": "[redacted]"}]));
    assert!(tar.contains("SQL connection failed") && tar.contains("localhost:6380"));
}

#[test]
fn what_is_cut_was_redacted_before() {
    // A key without its beginning would not be known for one.
    let key =
        format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", "MIIEvQIBADANBgkqhkiG9w0BAQEF\n".repeat(30));
    let redact = |text: &str| redact(text).into_owned();
    let mut builder = Builder::new(about(), &redact).unwrap();
    builder.text("a.log", format!("{key}after\n"), Cap::new(400, Weight::Log)).unwrap();
    let built = builder.finish().unwrap();
    assert!(!String::from_utf8(unpacked(&built)).unwrap().contains("MIIEvQ"));
    assert!(Pack::read(&built.bytes[..]).unwrap().part("a.log").unwrap().ends_with(b"after\n"));
}
