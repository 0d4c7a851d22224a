//! A list as one JSON or YAML document, written while its objects arrive: it never is in memory as a whole.
//!
//! When the store fails in the middle, the document is left without its end, so that nobody takes a part for the whole.

use std::io::{self, Write};

use serde_json::Value;

use super::{json, yaml};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
}

/// A `List` in the making.
#[derive(Debug)]
pub struct Items {
    language: Language,
    written: bool,
}

impl Items {
    /// Nothing written yet.
    #[must_use]
    pub fn new(language: Language) -> Self {
        Self { language, written: false }
    }

    /// Writes one more object.
    ///
    /// # Errors
    /// What the output says.
    pub fn push(&mut self, out: &mut dyn Write, object: &Value) -> io::Result<()> {
        let first = !std::mem::replace(&mut self.written, true);
        match self.language {
            Language::Json => {
                let begin: &[u8] = if first { b"{\n    \"apiVersion\": \"v1\",\n    \"items\": [" } else { b"," };
                let mut text = begin.to_vec();
                text.extend_from_slice(b"\n        ");
                json::at_depth(&mut text, object, 2)?;
                out.write_all(&text)
            }
            Language::Yaml => {
                let mut text = if first { "apiVersion: v1\nitems:\n".to_owned() } else { String::new() };
                yaml::element(&mut text, object);
                out.write_all(text.as_bytes())
            }
        }
    }

    /// Writes the end, and the beginning too when there was no object.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        let begin = match (self.language, self.written) {
            (Language::Json, true) => "\n    ]",
            (Language::Json, false) => "{\n    \"apiVersion\": \"v1\",\n    \"items\": []",
            (Language::Yaml, true) => "",
            (Language::Yaml, false) => "apiVersion: v1\nitems: []\n",
        };
        let end = match self.language {
            Language::Json => {
                ",\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n"
            }
            Language::Yaml => "kind: List\nmetadata:\n  resourceVersion: \"\"\n",
        };
        out.write_all(begin.as_bytes())?;
        out.write_all(end.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::print::list;
    use serde_json::json;

    #[test]
    fn it_is_what_the_whole_list_would_be() {
        let objects = [json!({"metadata": {"name": "a"}, "l": [1, {}]}), json!({"k": "a\nb\n"}), json!({})];
        for count in 0..=objects.len() {
            for language in [Language::Json, Language::Yaml] {
                let (mut streamed, mut whole) = (Vec::new(), Vec::new());
                let mut items = Items::new(language);
                objects[..count].iter().for_each(|object| items.push(&mut streamed, object).unwrap());
                items.finish(&mut streamed).unwrap();
                match language {
                    Language::Json => json::pretty(&mut whole, &list(objects[..count].to_vec())).unwrap(),
                    Language::Yaml => yaml::document(&mut whole, &list(objects[..count].to_vec())).unwrap(),
                }
                assert_eq!(String::from_utf8(streamed).unwrap(), String::from_utf8(whole).unwrap(), "{language:?} {count}");
            }
        }
    }
}
