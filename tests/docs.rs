//! The documentation is true: every fenced block of README.md and docs/ is played, checked, or says why it is neither.
//!
//! A block's language says what is done with it, and HTML comments before it say what else there is to say (`docs/block.rs`):
//!
//! | language | what is done |
//! |---|---|
//! | `console` | its commands (`$ …`) are run in a scene, and what they say is compared with what the page says |
//! | `sh` | its commands are checked: programs, scripts, verbs and flags exist; after `<!-- run -->` they are run in the scene |
//! | `json`, `yaml` | its objects are read as strictly as `wicapctl apply` does; after `<!-- file: NAME -->` it is also a file of the scene |
//! | another, or none | `<!-- not run: REASON -->` says why nothing is done |
//!
//! `WICAP_RECORD=1` writes what was said into the pages instead, to be reviewed like code.

#[path = "docs/block.rs"]
mod block;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/normal.rs"]
mod normal;
#[path = "docs/object.rs"]
mod object;
#[path = "docs/page.rs"]
mod page;
#[path = "support/ports.rs"]
mod ports;
#[path = "docs/scene.rs"]
mod scene;
#[path = "docs/shell.rs"]
mod shell;

use block::{Block, Task};
use page::Page;

/// The pages that have blocks to play. Each is a test of its own, so that they are played side by side.
const PLAYED: [&str; 8] = [
    "README.md",
    "docs/install.md",
    "docs/operating.md",
    "docs/signals.md",
    "docs/store.md",
    "docs/tasks.md",
    "docs/troubleshooting.md",
    "docs/tutorial.md",
];

#[test]
fn every_block_is_played_or_holds_or_says_why_not() {
    let pages = Page::all();
    let mut mistakes = Vec::new();
    let (mut played, mut checked, mut not_run) = (0, 0, Vec::new());
    let blocks: Vec<_> = pages.iter().flat_map(|page| page.blocks(&mut mistakes)).collect();
    for block in blocks {
        let place = block.place();
        match block.task() {
            Ok(Task::Play | Task::Run) if !PLAYED.contains(&block.page.as_str()) => {
                mistakes.push(format!("{place}: is to be played, but its page is not among those that are"));
            }
            Ok(Task::Play | Task::Run) => played += 1,
            Ok(Task::Check) => {
                checked += 1;
                mistakes.extend(shell::mistakes(&block.text).into_iter().map(|m| format!("{place}: {m}")));
            }
            Ok(Task::Read) => {
                checked += 1;
                mistakes.extend(read(&block).err().map(|m| format!("{place}: {m}")));
            }
            Ok(Task::Write) => checked += 1,
            Ok(Task::Nothing(reason)) => not_run.push(format!("{place}: {reason}")),
            Err(mistake) => mistakes.push(format!("{place}: {mistake}")),
        }
    }
    println!("{played} blocks are played, {checked} checked, {} are not run", not_run.len());
    for place in not_run {
        println!("  not run {place}");
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// Reads the objects of a block.
fn read(block: &Block) -> Result<(), String> {
    match &block.part_of {
        Some(part) => object::part(&block.text, part),
        None => object::whole(&block.text),
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages = Page::all();
    let broken: Vec<_> = pages.iter().flat_map(links::broken).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Plays a page from its first block to its last.
fn play(name: &str) {
    let page = Page::read(name);
    let mut mistakes = Vec::new();
    let blocks = page.blocks(&mut mistakes);
    let report = scene::play(&blocks);
    mistakes.extend(report.mistakes);
    if std::env::var_os("WICAP_RECORD").is_some_and(|v| v == "1") {
        page.rewrite(&report.recorded);
    } else {
        mistakes.extend(report.recorded.iter().map(page::Recorded::difference));
    }
    println!("{name}: {} commands were run", report.commands);
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n\n"));
    assert!(report.commands > 0, "{name} has nothing to play: take it out of the list");
}

#[test]
fn the_readme_shows_what_happens() {
    play(PLAYED[0]);
}

#[test]
fn what_is_installed_says_what_it_is() {
    play(PLAYED[1]);
}

#[test]
fn the_page_on_operating_shows_what_happens() {
    play(PLAYED[2]);
}

#[test]
fn the_page_on_signals_shows_what_happens() {
    play(PLAYED[3]);
}

#[test]
fn the_page_on_the_store_shows_what_happens() {
    play(PLAYED[4]);
}

#[test]
fn the_tasks_are_done_as_they_are_written() {
    play(PLAYED[5]);
}

#[test]
fn the_troubles_look_as_they_are_written() {
    play(PLAYED[6]);
}

#[test]
fn the_tutorial_goes_as_it_is_written() {
    play(PLAYED[7]);
}
