//! The generated pages of `docs/` are those that the types and the arguments give.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use wicap::cli::reference::pages;

const MEND: &str = "hack/reference";

#[test]
fn the_reference_in_the_repository_is_current() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut wanted = pages().unwrap();
    // Only the daemon knows its arguments.
    let said = Command::new(env!("CARGO_BIN_EXE_wicapd")).arg("reference").output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    wanted.push(("reference/wicapd.md".to_owned(), String::from_utf8(said.stdout).unwrap()));
    for (file, text) in &wanted {
        let found = std::fs::read_to_string(docs.join(file)).unwrap_or_default();
        assert!(found == *text, "docs/{file} is stale: {MEND}");
    }
    let files = std::fs::read_dir(docs.join("reference")).unwrap();
    let found: BTreeSet<_> =
        files.map(|entry| format!("reference/{}", entry.unwrap().file_name().to_string_lossy())).collect();
    let expected: BTreeSet<_> = wanted.into_iter().map(|(file, _)| file).filter(|file| file.contains('/')).collect();
    assert_eq!(found, expected, "docs/reference/ holds pages of what is not: remove them");
}
