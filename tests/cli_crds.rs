//! The files in `crds/` are those that the types give.

use std::fs;
use std::path::Path;

use wicap::cli::crds::{definitions, text};

const MEND: &str = "cargo run --bin wicapctl -- crds --dir crds";

#[test]
fn the_definitions_in_the_repository_are_current() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let wanted = definitions().unwrap();
    for (file, definition) in &wanted {
        let found = fs::read_to_string(dir.join(file)).unwrap_or_default();
        assert!(found == text(definition).unwrap(), "crds/{file} is stale: {MEND}");
    }
    let mut found: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|e| panic!("crds/: {e}: {MEND}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| std::path::Path::new(name).extension().is_some_and(|e| e == "json"))
        .collect();
    let mut expected: Vec<_> = wanted.into_iter().map(|(file, _)| file).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "crds/ holds definitions of kinds that are not: remove them");
}
