//! What a verb is about: `KIND[,KIND…] [NAME…]`, `KIND/NAME…` or `all`.

use super::Error;
use super::kind::Kind;

/// The objects that a command line means.
#[derive(Debug, PartialEq)]
pub(crate) enum Target {
    /// Every object of these kinds.
    Kinds(Vec<Kind>),
    /// These objects, in this order.
    Named(Vec<(Kind, String)>),
}

impl Target {
    /// Reads the arguments of a verb.
    pub fn parse(words: &[String]) -> Result<Self, Error> {
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        let Some((first, names)) = words.split_first() else {
            return usage("you must specify the kind of resource: KIND, KIND NAME or KIND/NAME");
        };
        if words.iter().any(String::is_empty) {
            return usage("a kind or name may not be empty");
        }
        if first.contains('/') {
            return words.iter().map(|word| named(word)).collect::<Result<_, _>>().map(Self::Named);
        }
        let kinds = kinds(first)?;
        if names.is_empty() {
            return Ok(Self::Kinds(kinds));
        }
        if let Some(word) = names.iter().find(|n| n.contains('/')) {
            return usage(&format!("{word:?} names a kind, and {first:?} does too: write either KIND NAME… or KIND/NAME…"));
        }
        if kinds.len() > 1 && first == "all" {
            return usage("a name needs one kind; \"all\" means every kind");
        }
        // As kubectl does: each name of each kind.
        let pairs = first.split(',').flat_map(|kind| names.iter().map(move |name| Ok((Kind::find(kind)?, name.clone()))));
        pairs.collect::<Result<_, Error>>().map(Self::Named)
    }

    /// The named objects, for a verb that works on nothing else.
    pub fn named(words: &[String]) -> Result<Vec<(Kind, String)>, Error> {
        match Self::parse(words)? {
            Self::Named(named) => Ok(named),
            Self::Kinds(_) => Err(Error::Usage("resource name may not be empty: write KIND NAME or KIND/NAME".to_owned())),
        }
    }
}

fn kinds(word: &str) -> Result<Vec<Kind>, Error> {
    if word == "all" {
        return Ok(Kind::all());
    }
    let mut kinds: Vec<Kind> = Vec::new();
    for part in word.split(',') {
        let kind = Kind::find(part)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

fn named(word: &str) -> Result<(Kind, String), Error> {
    match word.split_once('/') {
        Some((kind, name)) if !name.is_empty() && !name.contains('/') => Ok((Kind::find(kind)?, name.to_owned())),
        _ => Err(Error::Usage(format!("found {word:?}, expected KIND/NAME with one slash"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match Target::parse(&words) {
            Ok(Target::Kinds(kinds)) => Ok(kinds.iter().map(|k| k.info.plural).collect::<Vec<_>>().join(" ")),
            Ok(Target::Named(named)) => {
                Ok(named.iter().map(|(k, n)| format!("{}/{n}", k.info.plural)).collect::<Vec<_>>().join(" "))
            }
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn each_way_of_naming_things_is_understood() {
        for (line, expected) in [
            ("ws", "wicapstacks"),
            ("ws,session,stacks", "wicapstacks controlsessions"),
            ("ws a b", "wicapstacks/a wicapstacks/b"),
            ("ws,cs a", "wicapstacks/a controlsessions/a"),
            ("stack/a cs/b", "wicapstacks/a controlsessions/b"),
        ] {
            assert_eq!(parse(line).as_deref(), Ok(expected), "{line}");
        }
        assert!(parse("all").unwrap().starts_with("wicapstacks controlsessions "));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in ["", "pods", "ws,", "ws/", "ws/a/b", "ws/a b", "ws ws/a", "all x", "/a"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
