//! What a verb that writes says of each object: a line, or the object as `-o` asks for it.

use clap::Args;
use serde_json::Value;

use super::dry_run::DryRun;
use super::kind::{Kind, name_of};
use super::print::{self, format::Format};
use super::{Error, Io};

/// How the outcome is shown, and whether there is one.
#[derive(Debug, Args)]
pub struct Outcome {
    /// Show the objects as json, yaml, name or jsonpath={.PATH} instead of what became of them
    #[arg(short, long, value_name = "FORMAT", value_parser = format)]
    output: Option<Format>,
    /// Write nothing: client asks the store only what must be asked, server has all checked
    #[arg(long, value_name = "HOW", default_value = "none", hide_possible_values = true, value_enum)]
    pub dry_run: DryRun,
}

/// A format that shows an object: tables show lists.
fn format(text: &str) -> Result<Format, String> {
    match text.parse()? {
        Format::Table | Format::Wide => Err("expected one of json, yaml, name, jsonpath={.PATH}".to_owned()),
        format => Ok(format),
    }
}

impl Outcome {
    /// A report of which nothing has been written.
    pub(super) fn report(&self) -> Report<'_> {
        Report::new(self.output.as_ref(), self.dry_run)
    }

    /// Whether there is a line for each object, for people.
    #[must_use]
    pub fn shows_lines(&self) -> bool {
        self.output.is_none()
    }

    /// Whether objects are shown in full, and not a line for each.
    #[must_use]
    pub fn shows_objects(&self) -> bool {
        self.output.as_ref().is_some_and(|format| *format != Format::Name)
    }
}

/// What was reported so far.
pub(super) struct Report<'a> {
    format: Option<&'a Format>,
    dry_run: DryRun,
    objects: usize,
}

impl<'a> Report<'a> {
    /// One in a format of `-o`, or lines; of which nothing has been written.
    pub fn new(format: Option<&'a Format>, dry_run: DryRun) -> Self {
        Self { format, dry_run, objects: 0 }
    }

    /// Tells of one object: `wicapstack.wicap.dev/wicap created`.
    pub fn object(&mut self, kind: &Kind, object: &Value, outcome: &str, io: &mut Io<'_>) -> Result<(), Error> {
        let line = kind.line(name_of(object));
        match self.format {
            None => writeln!(io.out, "{line} {outcome}{}", self.dry_run.suffix())?,
            Some(Format::Name) => writeln!(io.out, "{line}")?,
            Some(_) => self.document(object, io)?,
        }
        Ok(())
    }

    /// Shows a document in full, apart from those before it.
    pub fn document(&mut self, document: &Value, io: &mut Io<'_>) -> Result<(), Error> {
        let format = self.format.unwrap_or(&Format::Json);
        if self.objects > 0 && *format == Format::Yaml {
            writeln!(io.out, "---")?;
        }
        self.objects += 1;
        print::document(io.out, format, document)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(format: Option<&str>, dry_run: DryRun) -> String {
        let outcome = Outcome { output: format.map(|f| super::format(f).unwrap()), dry_run };
        let (kind, mut out, mut err) = (Kind::find("ws").unwrap(), Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() };
        let mut report = outcome.report();
        for name in ["a", "b"] {
            report.object(&kind, &json!({"metadata": {"name": name}}), "created", &mut io).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_outcome_is_a_line_a_name_or_a_document() {
        assert_eq!(shown(None, DryRun::None), "wicapstack.wicap.dev/a created\nwicapstack.wicap.dev/b created\n");
        assert!(shown(None, DryRun::Client).ends_with("wicapstack.wicap.dev/b created (dry run)\n"));
        assert!(shown(None, DryRun::Server).ends_with("wicapstack.wicap.dev/b created (server dry run)\n"));
        assert_eq!(shown(Some("name"), DryRun::Server), "wicapstack.wicap.dev/a\nwicapstack.wicap.dev/b\n");
        assert_eq!(shown(Some("yaml"), DryRun::None), "metadata:\n  name: a\n---\nmetadata:\n  name: b\n");
        assert_eq!(shown(Some("jsonpath={.metadata.name}"), DryRun::None), "ab", "as kubectl: nothing between");
        assert!(format("wide").is_err() && format("xml").is_err());
    }
}
