//! Labels and annotations as a command line changes them: `KEY=VALUE` sets one, `KEY-` removes one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Error;
use crate::api::tags::{MOST_ANNOTATIONS, wrong_annotation, wrong_key, wrong_value};

/// Which map of the metadata is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// What objects are chosen by.
    Labels,
    /// Anything else that people and programs write on an object.
    Annotations,
}

impl Tags {
    /// One of them, in words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Labels => "label",
            Self::Annotations => "annotation",
        }
    }

    /// The field of the metadata.
    pub fn field(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Annotations => "annotations",
        }
    }

    /// What an object has of them.
    pub fn of(self, object: &Value) -> Option<&Map<String, Value>> {
        object.pointer(&format!("/metadata/{}", self.field()))?.as_object()
    }
}

/// What is to become of the labels or annotations of objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs {
    set: BTreeMap<String, String>,
    remove: Vec<String>,
}

/// The words of a command line, those that name objects apart from those that change them: the first `KEY=VALUE` or `KEY-`
/// ends the names.
pub(super) fn apart(words: &[String], tags: Tags) -> Result<(&[String], &[String]), Error> {
    let changes = |word: &String| word.contains('=') || word.ends_with('-');
    let at = words.iter().position(changes).unwrap_or(words.len());
    let (names, pairs) = words.split_at(at);
    match pairs.iter().find(|word| !changes(word)) {
        None => Ok((names, pairs)),
        Some(word) => Err(Error::Usage(format!("all resources must be specified before {} changes: {word}", tags.word()))),
    }
}

impl Pairs {
    /// Reads the words that change labels or annotations.
    pub fn parse(words: &[String], tags: Tags) -> Result<Self, Error> {
        let mut pairs = Self::default();
        for word in words {
            let usage = |text: String| Err(Error::Usage(text));
            match (word.split_once('='), word.strip_suffix('-')) {
                (Some((key, value)), _) => {
                    if tags == Tags::Labels && value.contains('=') {
                        return usage(format!("invalid label spec: {word}"));
                    }
                    let wrong = if tags == Tags::Labels { wrong_key(key) } else { wrong_annotation(key) };
                    if let Some(why) = wrong {
                        return usage(format!("invalid {} key: {word:?}: {why}", tags.word()));
                    }
                    if let Some(why) = wrong_value(value).filter(|_| tags == Tags::Labels) {
                        return usage(format!("invalid label value: {word:?}: {why}"));
                    }
                    pairs.set.insert(key.to_owned(), value.to_owned());
                }
                // A key that could never be set may still be there, and is to be got rid of.
                (None, Some(key)) if !key.is_empty() => pairs.remove.push(key.to_owned()),
                (None, _) => return usage(format!("unknown {} spec: {word}", tags.word())),
            }
        }
        let both: Vec<_> = pairs.remove.iter().filter(|key| pairs.set.contains_key(*key)).map(String::as_str).collect();
        if !both.is_empty() {
            return Err(Error::Usage(match tags {
                Tags::Labels => "can not both modify and remove a label in the same command".to_owned(),
                Tags::Annotations => {
                    let both = both.join(", ");
                    format!("can not both modify and remove the following annotation(s) in the same command: {both}")
                }
            }));
        }
        Ok(pairs)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Whether keys are removed and none is set.
    pub fn only_removes(&self) -> bool {
        self.set.is_empty()
    }

    /// The keys to remove that an object does not have.
    pub fn missing<'a>(&'a self, object: &'a Value, tags: Tags) -> impl Iterator<Item = &'a str> {
        self.remove.iter().map(String::as_str).filter(move |key| tags.of(object).is_none_or(|map| !map.contains_key(*key)))
    }

    /// The object with its labels or annotations changed. Another value of a key is not written over unless `overwrite`.
    pub fn apply(&self, object: &Value, tags: Tags, overwrite: bool) -> Result<Value, Error> {
        let mut map = tags.of(object).cloned().unwrap_or_default();
        if !overwrite {
            self.overwrites_nothing(&map, tags)?;
        }
        map.retain(|key, _| !self.remove.contains(key));
        map.extend(self.set.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))));
        let size: usize = map.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
        if tags == Tags::Annotations && size > MOST_ANNOTATIONS {
            let expected = format!("at most {MOST_ANNOTATIONS} bytes");
            return Err(Error::Refused(vec![format!(
                "error: metadata.annotations: found {size} bytes, expected {expected}"
            )]));
        }
        let mut object = object.clone();
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            if map.is_empty() {
                metadata.remove(tags.field());
            } else {
                metadata.insert(tags.field().to_owned(), Value::Object(map));
            }
        }
        Ok(object)
    }

    fn overwrites_nothing(&self, map: &Map<String, Value>, tags: Tags) -> Result<(), Error> {
        let taken: Vec<String> = self
            .set
            .iter()
            .filter_map(|(key, value)| {
                let old = map.get(key)?.as_str().filter(|old| old != value)?;
                Some(format!("'{key}' already has a value ({old})"))
            })
            .collect();
        if taken.is_empty() {
            return Ok(());
        }
        Err(Error::Refused(match tags {
            Tags::Labels => taken.iter().map(|t| format!("error: {t}, and --overwrite is false")).collect(),
            Tags::Annotations => {
                let taken = taken.join("; ");
                vec![format!("error: --overwrite is false but found the following declared annotation(s): {taken}")]
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn parse(line: &str, tags: Tags) -> Result<Pairs, String> {
        let words = words(line);
        let (_, changes) = apart(&words, tags).map_err(|e| e.to_string())?;
        Pairs::parse(changes, tags).map_err(|e| e.to_string())
    }

    #[test]
    fn names_come_before_changes() {
        let line = words("ws a b x=1 y-");
        let (names, changes) = apart(&line, Tags::Labels).unwrap();
        assert_eq!((names.len(), changes.len()), (3, 2));
        assert_eq!(
            parse("ws a x=1 b", Tags::Labels).unwrap_err(),
            "error: all resources must be specified before label changes: b"
        );
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        let long = "x".repeat(64);
        for (line, tags, expected) in [
            ("a=b=c", Tags::Labels, "error: invalid label spec: a=b=c"),
            ("a=??", Tags::Labels, "error: invalid label value: \"a=??\": a valid label must be"),
            (&format!("a={long}"), Tags::Labels, "error: invalid label value"),
            ("a=-x", Tags::Labels, "error: invalid label value"),
            ("a=ü", Tags::Labels, "error: invalid label value"),
            ("=x", Tags::Labels, "error: invalid label key: \"=x\": the name part"),
            ("a/b/c=x", Tags::Labels, "error: invalid label key"),
            ("/a=x", Tags::Annotations, "error: invalid annotation key"),
            ("EXAMPLE.com/a=x", Tags::Labels, "error: invalid label key: \"EXAMPLE.com/a=x\": the prefix part"),
            (&format!("{long}=x"), Tags::Annotations, "error: invalid annotation key"),
            ("-", Tags::Labels, "error: unknown label spec: -"),
            ("a=1 a-", Tags::Labels, "error: can not both modify and remove a label in the same command"),
            ("a=1 a-", Tags::Annotations, "error: can not both modify and remove the following annotation(s) in the same"),
        ] {
            let message = parse(line, tags).expect_err(line);
            assert!(message.starts_with(expected), "{line}: {message}");
        }
        for line in ["a=", "a=b-c_d.E9", "example.com/a=1", "a.b-", "wicap.dev/x-"] {
            assert!(parse(line, Tags::Labels).is_ok(), "{line}");
        }
        assert!(parse("note=any=text/that-you_like?", Tags::Annotations).is_ok());
    }

    #[test]
    fn a_change_sets_and_removes_and_touches_nothing_else() {
        let object = json!({"metadata": {"name": "x", "labels": {"a": "1", "b": "2", "c": "3"}}, "spec": {}});
        let pairs = parse("d=4 b- z-", Tags::Labels).unwrap();
        let changed = pairs.apply(&object, Tags::Labels, false).unwrap();
        assert_eq!(changed["metadata"]["labels"], json!({"a": "1", "c": "3", "d": "4"}));
        assert_eq!(pairs.missing(&object, Tags::Labels).collect::<Vec<_>>(), ["z"]);
        let none = parse("a- b- c-", Tags::Labels).unwrap().apply(&object, Tags::Labels, false).unwrap();
        assert_eq!(none["metadata"], json!({"name": "x"}));
    }

    #[test]
    fn another_value_is_written_over_only_when_that_is_said() {
        let object = json!({"metadata": {"name": "x", "labels": {"a": "1"}, "annotations": {"a": "1", "b": "2"}}});
        let apply = |line, tags, overwrite| {
            let applied = parse(line, tags).unwrap().apply(&object, tags, overwrite);
            applied.map_err(|e| e.to_string()).map(|o| o["metadata"][tags.field()].clone())
        };
        assert_eq!(apply("a=1", Tags::Labels, false), Ok(json!({"a": "1"})));
        assert_eq!(apply("a=2", Tags::Labels, true), Ok(json!({"a": "2"})));
        assert_eq!(
            apply("a=2", Tags::Labels, false),
            Err("error: 'a' already has a value (1), and --overwrite is false".to_owned())
        );
        let expected = "error: --overwrite is false but found the following declared annotation(s): 'a' already has a \
                        value (1); 'b' already has a value (2)";
        assert_eq!(apply("a=2 b=3", Tags::Annotations, false), Err(expected.to_owned()));
    }

    #[test]
    fn annotations_have_a_size_they_may_reach_and_not_pass() {
        let object = json!({"metadata": {"name": "x"}});
        let of = |size: usize| Pairs { set: [("k".to_owned(), "v".repeat(size))].into(), remove: vec![] };
        assert!(of(MOST_ANNOTATIONS - 1).apply(&object, Tags::Annotations, false).is_ok());
        let error = of(MOST_ANNOTATIONS).apply(&object, Tags::Annotations, false).unwrap_err();
        assert_eq!(error.to_string(), "error: metadata.annotations: found 262145 bytes, expected at most 262144 bytes");
    }
}
