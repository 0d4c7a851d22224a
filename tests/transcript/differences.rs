//! docs/kubectl.md: its list of deliberate differences and its section of complaints, out of the stories.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::story::{Part, Said, Step, Story};

/// The page with both as the stories have them now.
pub fn page(written: &str, stories: &[Story]) -> String {
    let listed = between(written, "differences", &table(stories));
    let complaints = stories.iter().find(|story| story.path.ends_with("complaints.txt"));
    between(&listed, "complaints", &complaints.map(sections).unwrap_or_default())
}

/// The page with the text between the marks of that name replaced.
fn between(page: &str, name: &str, text: &str) -> String {
    let [begin, end] =
        ["begin", "end"].map(|what| format!("<!-- generated from tests/transcript/cases: {name}: {what} -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no place for {name}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("the place for {name} has no end"));
    format!("{before}{begin}\n{text}{end}{after}")
}

/// A row a reason, with the first command that shows it.
fn table(stories: &[Story]) -> String {
    let mut reasons: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for step in stories.iter().flat_map(Story::steps) {
        if let Some(difference) = &step.difference {
            reasons.entry(&difference.reason).or_insert((step.of_wicapctl(), 0)).1 += 1;
        }
    }
    let rows = reasons.iter().map(|(reason, (command, count))| {
        let more = if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        format!("| {reason} | `{}`{more} |\n", command.replace('|', "\\|"))
    });
    format!("\n| here | shown by |\n|---|---|\n{}\n", rows.collect::<String>())
}

/// A section a complaint: its title, the issue, the answer, and both programs at work.
fn sections(story: &Story) -> String {
    let mut text = String::from("\n");
    for part in &story.parts {
        match part {
            Part::Remark(line) => {
                let words = line.trim_start_matches("# ");
                let is_title = words.split_once(". ").is_some_and(|(number, _)| number.chars().all(|c| c.is_ascii_digit()));
                match words.split_once('#') {
                    _ if line.is_empty() || line.starts_with("# Fifteen") => {}
                    _ if is_title => {
                        let _ = writeln!(text, "### {words}\n");
                    }
                    Some((repository, number)) if number.chars().all(|c| c.is_ascii_digit()) => {
                        let link = format!("https://github.com/{repository}/issues/{number}");
                        let _ = writeln!(text, "[{repository}#{number}]({link}).");
                    }
                    _ => {
                        let _ = writeln!(text, "{words}\n");
                    }
                }
            }
            Part::Step(step) => text += &both(step),
            Part::File { .. } | Part::Status { .. } | Part::Controllers(_) | Part::End => {}
        }
    }
    text
}

/// What is printed at most of an output: its end, where a description has its tables. The stories have the whole.
const LINES: usize = 30;

/// A step of both programs.
fn both(step: &Step) -> String {
    let shown = |command: &str, said: &Said| {
        let lines = lines(said);
        let skipped = lines.len().saturating_sub(LINES);
        let mut shown = format!("$ {command}\n");
        if skipped > 0 {
            shown += "…\n";
        }
        lines.iter().skip(skipped).for_each(|line| shown += &format!("{line}\n"));
        shown
    };
    let kubectl = shown(&format!("kubectl {}", step.command), &step.kubectl);
    let wicapctl = shown(&format!("wicapctl {}", step.of_wicapctl()), &step.expected());
    format!("<!-- not run: tests/transcript.rs runs and checks it -->\n```\n{kubectl}{wicapctl}```\n\n")
}

/// Both outputs, and the exit code of a failure, as they are read on a terminal.
fn lines(said: &Said) -> Vec<String> {
    let mut lines: Vec<String> = said.out.lines().chain(said.err.lines()).map(|line| line.trim_end().to_owned()).collect();
    if let Some(code) = said.code.filter(|code| *code != 0) {
        lines.push(format!("(exit code {code})"));
    }
    lines
}
