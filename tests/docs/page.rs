//! A page: its text, its blocks, and what is written into it anew.

use std::path::PathBuf;

use crate::block::Block;

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A page of the documentation.
pub struct Page {
    /// Its file below the repository.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// What a command said that is not what the page says.
#[derive(Debug, PartialEq, Eq)]
pub struct Recorded {
    /// `docs/tasks.md:12`: where the command is.
    pub place: String,
    /// The command.
    pub command: String,
    /// The first of the page's lines that hold what it says, from 1.
    pub first_line: usize,
    /// What the page says.
    pub wanted: String,
    /// What was said.
    pub found: String,
}

impl Recorded {
    /// Both, for people.
    pub fn difference(&self) -> String {
        let Self { place, command, wanted, found, .. } = self;
        format!("{place}: $ {command}\n--- the page says\n{wanted}--- was said\n{found}---")
    }
}

impl Page {
    /// Reads one.
    pub fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { name: name.to_owned(), text }
    }

    /// README.md and every page of docs/, and of the reference below it.
    pub fn all() -> Vec<Self> {
        let mut names = vec!["README.md".to_owned()];
        for directory in ["docs", "docs/reference"] {
            for entry in std::fs::read_dir(root().join(directory)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if std::path::Path::new(&name).extension().is_some_and(|e| e == "md") {
                    names.push(format!("{directory}/{name}"));
                }
            }
        }
        names.sort();
        names.iter().map(|name| Self::read(name)).collect()
    }

    /// Its fenced blocks. A scene holds for all that come after it.
    pub fn blocks(&self, mistakes: &mut Vec<String>) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut scene = None;
        // The block under way, or the marks for the next one.
        let (mut inside, mut next) = (false, Block::default());
        for (index, line) in self.text.lines().enumerate() {
            let place = || format!("{}:{}", self.name, index + 1);
            if inside {
                if line == "```" {
                    inside = false;
                    blocks.push(std::mem::take(&mut next));
                } else {
                    next.text.push_str(line);
                    next.text.push('\n');
                }
            } else if let Some(language) = line.strip_prefix("```") {
                inside = true;
                scene = next.scene.take().or(scene);
                next.scene.clone_from(&scene);
                language.clone_into(&mut next.language);
                self.name.clone_into(&mut next.page);
                next.first_line = index + 2;
            } else if line.trim_start().starts_with("```") {
                mistakes.push(format!("{}: found a fence that is not at the beginning of its line", place()));
            } else if index == 0 && line.starts_with("<!-- ") {
                // About the page, and not about a block.
            } else if let Some(comment) = line.strip_prefix("<!-- ").and_then(|l| l.strip_suffix(" -->")) {
                mistakes.extend(next.take(comment).err().map(|m| format!("{}: {m}", place())));
            } else if next != Block::default() {
                mistakes.push(format!("{}: found a mark that is not directly before a block", place()));
                next = Block::default();
            }
        }
        if inside {
            mistakes.push(format!("{}: found a block that does not end", self.name));
        }
        blocks
    }

    /// Writes what was said into the page.
    pub fn rewrite(&self, recorded: &[Recorded]) {
        if !recorded.is_empty() {
            std::fs::write(root().join(&self.name), self.with(recorded)).unwrap();
        }
    }

    /// The page's text with what was said, from the end to the beginning, so that the numbers of lines stay true.
    fn with(&self, recorded: &[Recorded]) -> String {
        let mut lines: Vec<&str> = self.text.lines().collect();
        let mut ordered: Vec<_> = recorded.iter().collect();
        ordered.sort_by_key(|r| std::cmp::Reverse(r.first_line));
        for one in ordered {
            let from = one.first_line - 1;
            lines.splice(from..from + one.wanted.lines().count(), one.found.lines());
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page { name: "p.md".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn blocks_are_found_with_their_marks_and_the_scene_stays() {
        let text = "a\n<!-- scene: empty -->\n```console\n$ a\n```\nb\n<!-- not run: why -->\n```\nc\n```\n```sh\nd\n```\n";
        let mut mistakes = Vec::new();
        let blocks = page(text).blocks(&mut mistakes);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let seen: Vec<_> = blocks.iter().map(|b| (b.first_line, b.language.as_str(), b.text.as_str())).collect();
        assert_eq!(seen, [(4, "console", "$ a\n"), (9, "", "c\n"), (12, "sh", "d\n")]);
        assert!(blocks.iter().all(|b| b.scene.as_deref() == Some("empty")));
        assert_eq!(blocks[1].not_run.as_deref(), Some("why"));
        assert_eq!(blocks[2].not_run, None);
    }

    #[test]
    fn marks_and_fences_out_of_place_are_mistakes() {
        for text in
            ["a\n<!-- run -->\n\n```sh\n```\n", "a\n<!-- rum -->\n```sh\n```\n", "- a\n  ```sh\n  ```\n", "```sh\na\n"]
        {
            let mut mistakes = Vec::new();
            page(text).blocks(&mut mistakes);
            assert!(!mistakes.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_was_said_takes_the_place_of_what_the_page_says() {
        let recorded = |first_line, wanted: &str, found: &str| Recorded {
            place: String::new(),
            command: String::new(),
            first_line,
            wanted: wanted.to_owned(),
            found: found.to_owned(),
        };
        let text = "```console\n$ a\n1\n2\n$ b\n$ c\n3\n```\n";
        let new = page(text).with(&[recorded(3, "1\n2\n", "x\n"), recorded(6, "", "y\nz\n"), recorded(7, "3\n", "")]);
        assert_eq!(new, "```console\n$ a\nx\n$ b\ny\nz\n$ c\n```\n");
    }
}
