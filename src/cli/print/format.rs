//! What `-o` takes.

use clap::ValueEnum;
use std::fs;
use std::str::FromStr;

use super::custom::CustomColumns;
use crate::cli::jsonpath::template::{Results, Template};

/// The most bytes a file of `jsonpath-file` or `custom-columns-file` may have: far more than anybody writes.
const LARGEST_FILE: u64 = 1024 * 1024;

/// What there is, as an error lists it.
const FORMATS: &str = "custom-columns,custom-columns-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,table,wide,yaml";

/// How a verb says what it found that has no object to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A format of `-o`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Columns.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
    /// `kind.group/name`, one a line.
    Name,
    /// What a template makes of the object.
    JsonPath(Template, Results),
    /// Columns of one's own.
    Custom(CustomColumns),
}

impl Format {
    /// Its word on the command line.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Wide => "wide",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Name => "name",
            Self::JsonPath(_, Results::Text) => "jsonpath",
            Self::JsonPath(_, Results::Lists) => "jsonpath-as-json",
            Self::Custom(_) => "custom-columns",
        }
    }

    /// Whether it is the columns of a kind.
    #[must_use]
    pub fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, argument) = text.split_once('=').unwrap_or((text, ""));
        let template = |text: &str, results| {
            if text.is_empty() {
                return Err("template format specified but no template given".to_owned());
            }
            Template::parse(text).map(|template| Self::JsonPath(template, results)).map_err(|e| e.to_string())
        };
        match (word, text == word) {
            ("table" | "", true) => Ok(Self::Table),
            ("wide", true) => Ok(Self::Wide),
            ("json", true) => Ok(Self::Json),
            ("yaml", true) => Ok(Self::Yaml),
            ("name", true) => Ok(Self::Name),
            ("jsonpath", _) => template(argument, Results::Text),
            ("jsonpath-as-json", _) => template(argument, Results::Lists),
            ("jsonpath-file", _) => {
                template(&file(argument, "template format specified but no template given")?, Results::Text)
            }
            ("custom-columns", _) => CustomColumns::parse(argument).map(Self::Custom),
            ("custom-columns-file", _) => {
                let text = file(argument, "custom-columns format specified but no custom columns given")?;
                CustomColumns::parse_file(&text).map(Self::Custom)
            }
            _ => Err(format!(
                "unable to match a printer suitable for the output format {text:?}, allowed formats are: {FORMATS}"
            )),
        }
    }
}

/// The text of a file that a format names.
fn file(path: &str, none: &str) -> Result<String, String> {
    if path.is_empty() {
        return Err(none.to_owned());
    }
    let unreadable = |e: std::io::Error| format!("error reading {path}: {e}");
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST_FILE {
        return Err(format!("error reading {path}: found {size} bytes, expected at most {LARGEST_FILE}"));
    }
    fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_known_by_its_word() {
        for word in FORMATS.split(',') {
            let text = match word {
                "jsonpath" | "jsonpath-as-json" => format!("{word}={{.a}}"),
                "custom-columns" => format!("{word}=A:.a"),
                "jsonpath-file" | "custom-columns-file" => continue,
                other => other.to_owned(),
            };
            assert_eq!(text.parse::<Format>().unwrap().word(), word);
        }
    }

    #[test]
    fn files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "{.a}\n").unwrap();
        let read = |word| format!("{word}={}", path.display()).parse::<Format>();
        assert_eq!(read("jsonpath-file"), "jsonpath={.a}\n".parse());
        fs::write(&path, "A B\n.a .b\n").unwrap();
        assert_eq!(read("custom-columns-file"), "custom-columns=A:.a,B:.b".parse());
    }

    #[test]
    fn what_is_no_format_is_refused_in_kubectls_words() {
        for (text, expected) in [
            (
                "xml",
                "unable to match a printer suitable for the output format \"xml\", allowed formats are: custom-columns,",
            ),
            ("json=x", "unable to match a printer suitable for the output format \"json=x\", allowed"),
            ("jsonpath", "template format specified but no template given"),
            ("jsonpath=", "template format specified but no template given"),
            ("jsonpath={.a", "error parsing jsonpath {.a, unclosed action"),
            ("jsonpath-file=/no/such", "error reading /no/such: No such file or directory"),
            ("custom-columns=", "custom-columns format specified but no custom columns given"),
            ("custom-columns=A", "unexpected custom-columns spec: A, expected <header>:<json-path-expr>"),
            ("custom-columns=A:.a[", "found \".a[\", expected a JSONPath"),
        ] {
            let error = text.parse::<Format>().unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
