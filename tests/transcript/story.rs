//! A story: commands, one after the other on the same objects, and what is said to each. One file of `cases/`.
//!
//! ```text
//! # a remark
//! file NAME <<END … END          makes a file in the directory in which the commands run
//! status KIND/NAME <<END … END   what a controller writes
//! controllers gc                 controllers that run from here on; the API server has the like built in
//! $ get ws lab                   a command line without the name of the program; pipes and VARIABLE=value work
//! $ apply -f - <<END … END       with standard input
//! & get ws -w                    one that goes on until `end`, beside those that follow
//! end
//!   a line of standard output
//! \                              the last line of the output has no end
//! ! a line of standard error
//! ? 1                            kubectl's exit code, unless it is 0
//! ? 1 4                          and wicapctl's, where it is finer
//! differs: why                   then what wicapctl says instead, in the same form
//! instead: events                the command line of wicapctl, where it is another
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where each keeps what was applied last.
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
const OUR_ANNOTATION: &str = wicap::cli::merge::LAST_APPLIED;

/// A file of `cases/`.
#[derive(Debug)]
pub struct Story {
    pub path: PathBuf,
    pub parts: Vec<Part>,
}

/// A part of a story.
#[derive(Debug)]
pub enum Part {
    /// A remark, or an empty line.
    Remark(String),
    File {
        name: String,
        text: String,
    },
    Status {
        kind: String,
        name: String,
        text: String,
    },
    /// Controllers, as `wicapd run` takes their names.
    Controllers(String),
    Step(Step),
    /// The end of what goes on beside the others.
    End,
}

/// A command line and what is said to it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it stands in the file, from 1.
    pub line: usize,
    pub command: String,
    pub input: Option<String>,
    /// Whether it goes on beside those that follow.
    pub beside: bool,
    /// What kubectl says.
    pub kubectl: Said,
    /// wicapctl's exit code, where it is finer.
    pub finer_code: Option<i32>,
    pub difference: Option<Difference>,
}

/// What a command said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub out: String,
    pub err: String,
    /// `None` of one that had to be ended.
    pub code: Option<i32>,
}

/// A deliberate difference.
#[derive(Clone, Debug)]
pub struct Difference {
    pub reason: String,
    /// The command line, where it is another.
    pub instead: Option<String>,
    /// What wicapctl says.
    pub wicapctl: Said,
}

impl Said {
    fn nothing() -> Self {
        Self { code: Some(0), ..Self::default() }
    }

    /// What kubectl says, as wicapctl says the same: they have different names.
    pub fn renamed(&self) -> Self {
        let renamed = |text: &str| text.replace(ANNOTATION, OUR_ANNOTATION).replace("kubectl", "wicapctl");
        Self { out: renamed(&self.out), err: renamed(&self.err), code: self.code }
    }

    /// In the form of a story.
    pub fn shown(&self, finer_code: Option<i32>) -> String {
        let mut shown = String::new();
        for line in self.out.lines() {
            let _ = writeln!(shown, "  {line}");
        }
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            shown.push_str("\\\n");
        }
        for line in self.err.lines() {
            let _ = writeln!(shown, "! {line}");
        }
        match (self.code, finer_code) {
            (Some(0), None) => {}
            (Some(code), None) => {
                let _ = writeln!(shown, "? {code}");
            }
            (Some(code), Some(finer)) => {
                let _ = writeln!(shown, "? {code} {finer}");
            }
            (None, _) => shown.push_str("? ended\n"),
        }
        shown
    }
}

impl Step {
    /// The command line of wicapctl.
    pub fn of_wicapctl(&self) -> &str {
        self.difference.as_ref().and_then(|difference| difference.instead.as_deref()).unwrap_or(&self.command)
    }

    /// What wicapctl is to say.
    pub fn expected(&self) -> Said {
        match &self.difference {
            Some(difference) => difference.wicapctl.clone(),
            None => Said { code: self.finer_code.or(self.kubectl.code), ..self.kubectl.renamed() },
        }
    }
}

impl Story {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        Self { path: path.to_owned(), parts: parse(&text).unwrap_or_else(|e| panic!("{}:{e}", path.display())) }
    }

    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.parts.iter().filter_map(|part| match part {
            Part::Step(step) => Some(step),
            _ => None,
        })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Remark(line) => text += &format!("{line}\n"),
                Part::File { name, text: content } => text += &format!("file {name}{}\n", here(content)),
                Part::Status { kind, name, text: content } => text += &format!("status {kind}/{name}{}\n", here(content)),
                Part::Controllers(names) => text += &format!("controllers {names}\n"),
                Part::End => text += "end\n",
                Part::Step(step) => {
                    let mark = if step.beside { '&' } else { '$' };
                    let input = step.input.as_deref().map(here).unwrap_or_default();
                    text += &format!("{mark} {}{input}\n", step.command);
                    text += &step.kubectl.shown(step.finer_code);
                    if let Some(difference) = &step.difference {
                        text += &format!("differs: {}\n", difference.reason);
                        if let Some(command) = &difference.instead {
                            text += &format!("instead: {command}\n");
                        }
                        text += &difference.wicapctl.shown(None);
                    }
                }
            }
        }
        text
    }
}

fn here(text: &str) -> String {
    format!(" <<END\n{text}END")
}

fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let number = number + 1;
        let bad = |what: &str| format!("{number}: {what}: {line}");
        let (head, input) = match line.strip_suffix(" <<END") {
            Some(head) => {
                let mut input = String::new();
                loop {
                    match lines.next() {
                        Some((_, "END")) => break,
                        Some((_, line)) => input += &format!("{line}\n"),
                        None => return Err(bad("this never ends")),
                    }
                }
                (head, Some(input))
            }
            None => (line, None),
        };
        let step = |command: &str, beside| {
            Part::Step(Step {
                line: number,
                command: command.to_owned(),
                input: input.clone(),
                beside,
                kubectl: Said::nothing(),
                finer_code: None,
                difference: None,
            })
        };
        if head.is_empty() || head.starts_with('#') {
            parts.push(Part::Remark(line.to_owned()));
        } else if let Some(name) = head.strip_prefix("file ") {
            parts.push(Part::File { name: name.to_owned(), text: input.ok_or_else(|| bad("where is its text?"))? });
        } else if let Some(target) = head.strip_prefix("status ") {
            let (kind, name) = target.split_once('/').ok_or_else(|| bad("expected KIND/NAME"))?;
            let text = input.ok_or_else(|| bad("where is it?"))?;
            parts.push(Part::Status { kind: kind.to_owned(), name: name.to_owned(), text });
        } else if let Some(names) = head.strip_prefix("controllers ") {
            parts.push(Part::Controllers(names.to_owned()));
        } else if let Some(command) = head.strip_prefix("$ ") {
            parts.push(step(command, false));
        } else if let Some(command) = head.strip_prefix("& ") {
            parts.push(step(command, true));
        } else if head == "end" {
            parts.push(Part::End);
        } else {
            let Some(Part::Step(step)) = parts.last_mut() else { return Err(bad("this belongs to no command")) };
            answer(step, head).map_err(|what| bad(&what))?;
        }
    }
    Ok(parts)
}

/// A line of what is said to a step.
fn answer(step: &mut Step, line: &str) -> Result<(), String> {
    if let Some(reason) = line.strip_prefix("differs: ") {
        step.difference = Some(Difference { reason: reason.to_owned(), instead: None, wicapctl: Said::nothing() });
        return Ok(());
    }
    if let Some(command) = line.strip_prefix("instead: ") {
        step.difference.as_mut().ok_or("how does it differ?")?.instead = Some(command.to_owned());
        return Ok(());
    }
    let said = match &mut step.difference {
        Some(difference) => &mut difference.wicapctl,
        None => &mut step.kubectl,
    };
    if let Some(text) = line.strip_prefix("  ") {
        said.out += &format!("{text}\n");
    } else if line == "\\" {
        said.out.truncate(said.out.trim_end_matches('\n').len());
    } else if let Some(text) = line.strip_prefix('!') {
        said.err += &format!("{}\n", text.strip_prefix(' ').unwrap_or(text));
    } else if line == "? ended" {
        said.code = None;
    } else if let Some(codes) = line.strip_prefix("? ") {
        let mut codes = codes.split(' ').map(|code| code.parse().map_err(|_| format!("no exit code: {code}")));
        said.code = Some(codes.next().ok_or("where is the exit code?")??);
        step.finer_code = codes.next().transpose()?;
    } else {
        return Err("this is no part of a story".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = "\
# A story.
controllers gc
file a.json <<END
{\"a\": 1}
END
$ get ws \"a b\" | apply -f -
  NAME
  wicap
$ apply -f - <<END
x

y
END
! error: no
? 1 4
& get ws -w
  NAME
\\
? ended
end
$ get nope
! error: kubectl's
? 1
differs: because
instead: got nope
! error: ours
? 2
";

    #[test]
    fn a_story_is_written_as_it_was_read() {
        let story = Story { path: PathBuf::new(), parts: parse(STORY).unwrap() };
        assert_eq!(story.text(), STORY);
    }

    #[test]
    fn wicapctl_is_to_say_the_same_unless_the_story_says_otherwise() {
        let story = Story { path: PathBuf::new(), parts: parse(STORY).unwrap() };
        let steps: Vec<&Step> = story.steps().collect();
        assert_eq!(steps[0].expected(), Said { out: "NAME\nwicap\n".into(), err: String::new(), code: Some(0) });
        assert_eq!(steps[1].expected().code, Some(4));
        assert_eq!(steps[1].input.as_deref(), Some("x\n\ny\n"));
        assert_eq!((steps[2].expected().out.as_str(), steps[2].expected().code), ("NAME", None));
        assert_eq!((steps[3].expected().err.as_str(), steps[3].of_wicapctl()), ("error: ours\n", "got nope"));
        assert_eq!((steps[2].command.as_str(), steps[2].of_wicapctl()), ("get ws -w", "get ws -w"));
    }

    #[test]
    fn what_is_no_story_is_refused_with_its_line() {
        for (text, said) in [
            ("  out of nowhere", "1: this belongs to no command:   out of nowhere"),
            ("$ get\nwhat", "2: this is no part of a story: what"),
            ("file a <<END\nx", "1: this never ends: file a <<END"),
            ("status a <<END\nEND", "1: expected KIND/NAME: status a <<END"),
            ("$ get\ninstead: x", "2: how does it differ?: instead: x"),
            ("$ get\n? x", "2: no exit code: x: ? x"),
        ] {
            assert_eq!(parse(text).unwrap_err(), said);
        }
    }
}
