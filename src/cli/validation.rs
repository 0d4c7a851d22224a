//! `--validate`: what becomes of fields in a manifest that its type does not have.

use std::str::FromStr;

use crate::api::Violation;
use serde_json::Value;

/// The most unknown fields of one document that are dropped; those after them are refused. Each costs a reading of the
/// document, and a document with more of them is of another type.
const MOST: usize = 32;

/// What [`crate::api::decode`] says that it found where no field should be.
const UNKNOWN: &str = "an unknown field";

/// What to do about unknown fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validate {
    /// They are mistakes.
    #[default]
    Strict,
    /// They are dropped, with a warning for each.
    Warn,
    /// They are dropped.
    Ignore,
}

impl FromStr for Validate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "strict" | "true" => Ok(Self::Strict),
            "warn" => Ok(Self::Warn),
            "ignore" | "false" => Ok(Self::Ignore),
            _ => Err("expected one of strict (or true), warn, ignore (or false)".to_owned()),
        }
    }
}

impl Validate {
    /// Takes the unknown fields out of a document, unless they are mistakes, and returns their paths. `decode` says what is
    /// wrong with a document; every other rule is left to its caller.
    pub fn settle(self, document: &mut Value, decode: impl Fn(&Value) -> Result<Value, Vec<Violation>>) -> Vec<String> {
        let mut dropped = Vec::new();
        while self != Self::Strict && dropped.len() < MOST {
            let Err(violations) = decode(document) else { break };
            let Some(unknown) = violations.into_iter().find(|v| v.found == UNKNOWN) else { break };
            if !remove(document, &unknown.path) {
                break;
            }
            dropped.push(unknown.path);
        }
        dropped
    }
}

/// Takes out what is at a path such as `spec.services[0].name`. A key may itself hold dots, so each key is tried at each
/// step.
fn remove(value: &mut Value, path: &str) -> bool {
    match value {
        Value::Object(map) => {
            if map.remove(path).is_some() {
                return true;
            }
            let inner = map.iter_mut().find_map(|(key, inner)| {
                let rest = path.strip_prefix(key.as_str())?;
                let rest = rest.strip_prefix('.').or_else(|| rest.starts_with('[').then_some(rest))?;
                remove(inner, rest).then_some(())
            });
            inner.is_some()
        }
        Value::Array(items) => {
            let Some((index, rest)) = path.strip_prefix('[').and_then(|p| p.split_once(']')) else { return false };
            let Some(item) = index.parse::<usize>().ok().and_then(|i| items.get_mut(i)) else { return false };
            remove(item, rest.strip_prefix('.').unwrap_or(rest))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::kind::Kind;
    use serde_json::json;

    fn stack() -> Value {
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"},
            "spec": {"compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}]},
        })
    }

    fn settled(how: Validate, document: &mut Value) -> (Vec<String>, bool) {
        let kind = Kind::find("stack").unwrap();
        let dropped = how.settle(document, |d| kind.decode(d));
        let good = kind.decode(document).is_ok();
        (dropped, good)
    }

    #[test]
    fn unknown_fields_are_dropped_where_that_is_allowed_and_no_others() {
        let mut odd = stack();
        odd["extra"] = json!(1);
        odd["metadata"]["lables"] = json!({});
        odd["spec"]["a.b"] = json!({"deep": 1});
        odd["spec"]["services"][0]["nmae"] = json!("x");
        odd["spec"]["services"][0]["probes"] = json!([{"name": "up", "tcpSocket": {"port": 80, "prt": 1}}]);
        for how in [Validate::Warn, Validate::Ignore] {
            let mut document = odd.clone();
            let (mut dropped, good) = settled(how, &mut document);
            dropped.sort();
            assert!(good, "{document}");
            let expected = [
                "extra",
                "metadata.lables",
                "spec.a.b",
                "spec.services[0].nmae",
                "spec.services[0].probes[0].tcpSocket.prt",
            ];
            assert_eq!(dropped, expected);
            assert_eq!(document["spec"]["services"][0]["name"], "ui");
        }
        let mut document = odd.clone();
        assert_eq!(settled(Validate::Strict, &mut document), (vec![], false));
        assert_eq!(document, odd);
    }

    #[test]
    fn other_mistakes_stay_mistakes() {
        let mut document = stack();
        document["spec"]["desiredState"] = json!("Up");
        assert_eq!(settled(Validate::Ignore, &mut document), (vec![], false));
    }

    #[test]
    fn a_document_of_nothing_but_unknown_fields_ends() {
        let knows_nothing = |document: &Value| match document.as_object().and_then(|map| map.keys().next()) {
            Some(key) => Err(vec![Violation::new(key.clone(), UNKNOWN, "no such field")]),
            None => Ok(json!({})),
        };
        let of = |fields: usize| Value::Object((0..fields).map(|i| (format!("x{i}"), json!(i))).collect());
        for (fields, dropped) in [(MOST, MOST), (MOST + 1, MOST)] {
            let mut document = of(fields);
            assert_eq!(Validate::Ignore.settle(&mut document, knows_nothing).len(), dropped);
            assert_eq!(document.as_object().unwrap().len(), fields - dropped);
        }
        let says_another = |_: &Value| Err(vec![Violation::new("not.there", UNKNOWN, "no such field")]);
        assert!(
            Validate::Ignore.settle(&mut of(2), says_another).is_empty(),
            "what cannot be found is not asked for for ever"
        );
    }

    #[test]
    fn the_words_are_kubectls() {
        for (word, how) in [("true", Validate::Strict), ("warn", Validate::Warn), ("false", Validate::Ignore)] {
            assert_eq!(word.parse(), Ok(how));
        }
        assert!("maybe".parse::<Validate>().is_err());
    }
}
