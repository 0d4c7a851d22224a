//! `explain`: what a kind and its fields mean, from the schema of its definition. No store is asked.
//!
//! # Layout
//! - [`schema`]: the schema of a kind, and the way to a field in it
//! - [`text`]: kubectl's layout of it

mod schema;
mod text;

use clap::Args;

use super::kind::Kind;
use super::{Error, Io, hint};
use crate::api::{API_VERSION, GROUP, VERSION};
use schema::{Lost, Schema};

/// kubectl's words for a command line without a kind.
const NO_KIND: &str = "You must specify the type of resource to explain. Use \"wicapctl api-resources\" for a \
    complete list of supported resources.";

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// KIND or KIND.FIELD[.FIELD…], as in ws.spec.services
    #[arg(value_name = "KIND[.FIELD…]")]
    what: Option<String>,
    /// All fields below it, one a line
    #[arg(long)]
    recursive: bool,
    /// The version that is meant; there is one
    #[arg(long, value_name = "GROUP/VERSION")]
    api_version: Option<String>,
    /// plaintext
    #[arg(short, long, value_name = "FORMAT", default_value = "plaintext", hide_default_value = true)]
    output: String,
}

impl Explain {
    /// Explains it.
    pub(super) fn run(&self, io: &mut Io<'_>) -> Result<(), Error> {
        if self.output != "plaintext" {
            let error = Error::Usage(format!("unrecognized format: {}", self.output));
            return Err(error.with_hint("--output: expected plaintext"));
        }
        if let Some(version) = &self.api_version
            && version != API_VERSION
        {
            return Err(Error::Usage(format!("--api-version: found {version:?}, expected {API_VERSION:?}")));
        }
        let (kind, fields) = self.parts()?;
        let root = Schema::of(&kind.info);
        let explained = root.find(&fields).map_err(|lost| no_such_field(&fields, &lost))?;
        let mut text = format!("GROUP:      {GROUP}\nKIND:       {}\nVERSION:    {VERSION}\n\n", kind.info.kind);
        if let Some(name) = fields.last() {
            text::field(&mut text, name, explained);
        }
        text::described(&mut text, explained, self.recursive);
        writeln!(io.out, "{text}")?;
        Ok(())
    }

    /// The kind, and the fields on the way. The kind may have its group behind it, and its version before that.
    fn parts(&self) -> Result<(Kind, Vec<&str>), Error> {
        let what = self.what.as_deref().ok_or_else(|| Error::Usage(NO_KIND.to_owned()))?;
        let (word, rest) = what.split_once('.').unwrap_or((what, ""));
        let kind = Kind::find(word)?;
        let prefixes = [format!("{VERSION}.{GROUP}"), GROUP.to_owned()];
        let behind = prefixes
            .iter()
            .find_map(|prefix| rest.strip_prefix(prefix.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('.')));
        let rest = behind.map_or(rest, |rest| rest.trim_start_matches('.'));
        Ok((kind, rest.split('.').filter(|field| !field.is_empty()).collect()))
    }
}

/// kubectl's words, which name the last field whichever is wrong; the line below names the one that is.
fn no_such_field(fields: &[&str], lost: &Lost<'_>) -> Error {
    let error = Error::No(format!("field {:?} does not exist", fields.last().copied().unwrap_or_default()));
    let before = &fields[..lost.at];
    let wrong = fields.get(lost.at).copied().unwrap_or_default();
    let place = |field: &str| before.iter().copied().chain([field]).collect::<Vec<_>>().join(".");
    match hint::nearest(wrong, lost.known.iter().copied()) {
        Some(meant) => error.with_hint(hint::line(&place(meant))),
        None if lost.known.is_empty() => error.with_hint(format!("{:?} has no fields", before.join("."))),
        None => error.with_hint(format!("found {:?}, expected one of {}", place(wrong), lost.known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        verb: Explain,
    }

    fn shown(line: &str) -> Result<String, String> {
        let words = std::iter::once("explain").chain(line.split_whitespace());
        let verb = Line::try_parse_from(words).unwrap().verb;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        verb.run(&mut Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() })
            .map_err(|e| e.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_field_of_words_is_explained_as_kubectl_does() {
        let expected = "\
GROUP:      wicap.dev
KIND:       ControlSession
VERSION:    v1alpha1

FIELD: mode <string>
ENUM:
    Monitor
    Shadow
    Canary
    Assist

DESCRIPTION:
    What may be done.
    

";
        assert_eq!(shown("cs.spec.mode").unwrap(), expected);
        assert_eq!(shown("controlsessions.wicap.dev.spec.mode").unwrap(), expected);
        assert_eq!(shown("ControlSession.v1alpha1.wicap.dev.spec.mode --api-version=wicap.dev/v1alpha1").unwrap(), expected);
    }

    #[test]
    fn a_kind_is_explained_with_its_fields() {
        let text = shown("stop").unwrap();
        let head = "GROUP:      wicap.dev\nKIND:       EmergencyStop\nVERSION:    v1alpha1\n\nDESCRIPTION:\n    ";
        assert!(text.starts_with(head), "{text}");
        for part in [
            "\nFIELDS:\n  apiVersion\t<string>\n    ",
            "\n\n  metadata\t<ObjectMeta>\n    ",
            "\n\n  spec\t<Object> -required-\n    ",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(text.ends_with("\n\n\n"), "{text:?}");
    }

    #[test]
    fn recursion_shows_one_field_a_line() {
        let text = shown("stop.spec --recursive").unwrap();
        assert!(text.ends_with("FIELDS:\n  by\t<string> -required-\n  reason\t<string> -required-\n\n"), "{text:?}");
        let text = shown("ws.spec --recursive").unwrap();
        assert!(text.contains("\n  services\t<[]Object> -required-\n    critical\t<boolean>\n"), "{text}");
        assert!(text.contains("\n  desiredState\t<string>\n  enum: Running, Stopped\n"), "{text}");
    }

    #[test]
    fn a_list_is_passed_through() {
        let text = shown("ws.spec.services.probes").unwrap();
        assert!(text.contains("\nFIELD: probes <[]Object>\n\n\nDESCRIPTION:\n"), "{text}");
        assert!(shown("ws.metadata.labels").unwrap().contains("FIELD: labels <map[string]string>\n"));
    }

    #[test]
    fn a_field_that_there_is_not_is_named_and_the_nearest_is_offered() {
        for (line, expected) in [
            ("ws.spec.servces", "error: field \"servces\" does not exist\ndid you mean \"spec.services\"?"),
            ("ws.spce.services", "error: field \"services\" does not exist\ndid you mean \"spec\"?"),
            ("ws.spec.services.name.x", "error: field \"x\" does not exist\n\"spec.services.name\" has no fields"),
            ("stop.spec.zzz", "error: field \"zzz\" does not exist\nfound \"spec.zzz\", expected one of by, reason"),
            ("sotp", "error: the server doesn't have a resource type \"sotp\"\ndid you mean \"stop\"?"),
            ("ws -o xml", "error: unrecognized format: xml\n--output: expected plaintext"),
            ("ws --api-version=v1", "error: --api-version: found \"v1\", expected \"wicap.dev/v1alpha1\""),
        ] {
            assert_eq!(shown(line).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn every_field_of_every_kind_can_be_explained() {
        for info in crate::api::registry::kinds() {
            let all = shown(&format!("{} --recursive", info.plural)).unwrap();
            assert!(!all.contains("<no type>") && all.lines().count() > 10, "{all}");
        }
    }
}
