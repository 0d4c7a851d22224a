//! Packs for tests.

use super::about::{About, Reason};
use super::builder::{Builder, Built};
use super::cap::{Cap, Weight};

/// A cap that cuts nothing.
pub(super) const ENOUGH: Cap = Cap::new(1 << 30, Weight::Log);

pub(super) fn about() -> About {
    About {
        stack: "wicap".to_owned(),
        uid: "6f1c1c9e-5a0e-4c7e-8d6a-0d7a3c0b9f11".to_owned(),
        reason: Reason::Incident,
        object: Some("incident/wicap-ui-1".to_owned()),
        at: "2026-02-10T10:00:00.5Z".parse().unwrap(),
        version: "0.1.0".to_owned(),
    }
}

/// A redactor that finds nothing.
pub(super) fn keep(text: &str) -> String {
    text.to_owned()
}

/// A pack with one part of each kind.
pub(super) fn small() -> Built {
    let mut builder = Builder::new(about(), &keep).unwrap();
    builder.text("logs/ui.log", "one\ntwo\nthree\n", Cap::new(10, Weight::Log)).unwrap();
    builder.document("spec.json", &serde_json::json!({"b": [1, 2], "a": null}), ENOUGH).unwrap();
    builder.records("events.jsonl", [1, 2, 3], ENOUGH).unwrap();
    builder.finish().unwrap()
}

/// A pack that differs from another in the text of one part.
pub(super) fn repacked(built: &Built, path: &str, change: impl Fn(&str) -> String) -> Built {
    use super::manifest::Kind;
    use super::reader::Pack;
    let pack = Pack::read(&built.bytes[..]).unwrap();
    let mut builder = Builder::new(pack.manifest().about.clone(), &keep).unwrap();
    for entry in &pack.manifest().entries {
        let text = String::from_utf8(pack.part(&entry.path).unwrap().to_vec()).unwrap();
        let text = if entry.path == path { change(&text) } else { text };
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        match entry.kind {
            Kind::Text => builder.text(&entry.path, text, ENOUGH).unwrap(),
            Kind::Document => builder.document(&entry.path, &json(&text), ENOUGH).unwrap(),
            Kind::Records => builder.records(&entry.path, text.lines().map(json), ENOUGH).unwrap(),
        }
    }
    builder.finish().unwrap()
}
