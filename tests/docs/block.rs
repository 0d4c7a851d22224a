//! A fenced block and the marks before it.

/// Where in a manifest of `manifests/wicap/` the block's object belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The manifest's file.
    pub file: String,
    /// A JSON pointer; one that ends with `/-` appends to a list.
    pub pointer: String,
}

/// A fenced block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The page's file, such as `docs/tasks.md`.
    pub page: String,
    /// The number of the line after the fence, from 1.
    pub first_line: usize,
    /// The word behind the fence.
    pub language: String,
    /// What is between the fences.
    pub text: String,
    /// `<!-- scene: NAME -->`: where it is played, and all blocks of the page after it.
    pub scene: Option<String>,
    /// `<!-- run -->`: a block of commands without output is run.
    pub run: bool,
    /// `<!-- file: NAME -->`: it is a file in the scene's directory.
    pub file: Option<String>,
    /// `<!-- part of: FILE POINTER -->`: its object belongs there.
    pub part_of: Option<Part>,
    /// `<!-- not run: REASON -->`.
    pub not_run: Option<String>,
}

/// What is done with a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Its commands are run, and what they say is compared.
    Play,
    /// Its commands are run.
    Run,
    /// Its commands are looked at.
    Check,
    /// Its objects are read, and it may be a file.
    Read,
    /// It is a file and nothing else.
    Write,
    /// Nothing, for this reason.
    Nothing(String),
}

impl Block {
    /// Takes a comment before the block.
    pub fn take(&mut self, comment: &str) -> Result<(), String> {
        let (key, value) = comment.split_once(':').unwrap_or((comment, ""));
        let value = value.trim();
        let some = || {
            if value.is_empty() {
                Err(format!("found the mark {key:?} without a value"))
            } else {
                Ok(Some(value.to_owned()))
            }
        };
        match key.trim() {
            "run" if value.is_empty() => self.run = true,
            "scene" => self.scene = some()?,
            "file" => self.file = some()?,
            "not run" => self.not_run = some()?,
            // A part that another test makes, and checks.
            other if other.starts_with("generated") => {}
            "part of" => {
                let (file, pointer) = value.split_once(' ').unwrap_or((value, ""));
                self.part_of = Some(Part { file: file.to_owned(), pointer: pointer.trim().to_owned() });
            }
            other => {
                return Err(format!("found the mark {other:?}, expected one of run, scene, file, part of, not run"));
            }
        }
        Ok(())
    }

    /// `docs/tasks.md:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.first_line)
    }

    /// What is done with it, or why that cannot be said.
    pub fn task(&self) -> Result<Task, String> {
        if let Some(reason) = &self.not_run {
            return Ok(Task::Nothing(reason.clone()));
        }
        match self.language.as_str() {
            "console" | "sh" if self.scene.is_none() && (self.run || self.language == "console") => {
                Err("found a block that is run, and no scene before it on the page".to_owned())
            }
            "console" if self.text.starts_with("$ ") => Ok(Task::Play),
            "console" => Err("found a console block that does not begin with \"$ \"".to_owned()),
            "sh" if self.run => Ok(Task::Run),
            "sh" => Ok(Task::Check),
            "json" | "yaml" => Ok(Task::Read),
            _ if self.file.is_some() => Ok(Task::Write),
            other => Err(format!(
                "found a block of {other:?} that is neither run nor checked; expected console, sh, json or yaml, or before it \
                 <!-- not run: REASON -->"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(language: &str, text: &str, comments: &[&str]) -> Block {
        let mut block = Block { language: language.to_owned(), text: text.to_owned(), ..Block::default() };
        for comment in comments {
            block.take(comment).unwrap();
        }
        block
    }

    #[test]
    fn language_and_marks_say_what_is_done() {
        let table = [
            ("console", "$ a\n", &["scene: empty"][..], Task::Play),
            ("sh", "a\n", &["scene: empty", "run"], Task::Run),
            ("sh", "a\n", &[], Task::Check),
            ("json", "{}", &[], Task::Read),
            ("yaml", "", &["file: a.yaml"], Task::Read),
            ("ini", "", &["file: .env"], Task::Write),
            ("", "", &["not run: a drawing"], Task::Nothing("a drawing".to_owned())),
        ];
        for (language, text, comments, task) in table {
            assert_eq!(block(language, text, comments).task(), Ok(task), "{language} {comments:?}");
        }
    }

    #[test]
    fn what_nobody_can_place_is_a_mistake() {
        for (language, text, comments) in [
            ("", "a", &[][..]),
            ("text", "a", &[]),
            ("console", "a\n", &["scene: empty"]),
            ("console", "$ a\n", &[]),
            ("sh", "a", &["run"]),
        ] {
            assert!(block(language, text, comments).task().is_err(), "{language} {comments:?}");
        }
        for comment in ["not run", "not run:", "sceen: empty", "run: now"] {
            assert!(Block::default().take(comment).is_err(), "{comment}");
        }
    }
}
