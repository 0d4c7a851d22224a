//! What a verb is about: `KIND[,KIND…] [NAME…]`, `KIND/NAME…`, `all` or `wicap`.

use super::Error;
use super::kind::{CATEGORIES, Kind};

/// The objects that a command line means.
#[derive(Debug, PartialEq)]
pub(crate) enum Target {
    /// Every object of these kinds.
    Kinds(Vec<Kind>),
    /// These objects, in this order.
    Named(Vec<(Kind, String)>),
}

/// kubectl's words for a kind without a name, where one is needed.
pub(super) const NO_NAME: &str = "resource(s) were provided, but no name was specified";

/// kubectl's words for `ws ws/wicap` and `ws/wicap wicap`, the missing bracket at their end included.
const KIND_TWICE: &str = "there is no need to specify a resource type as a separate argument when passing arguments in \
    resource/name form (e.g. 'wicapctl get resource/<resource_name>' instead of \
    'wicapctl get resource resource/<resource_name>'";

impl Target {
    /// Reads the arguments of a verb.
    pub fn parse(words: &[String]) -> Result<Self, Error> {
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        let Some((first, names)) = words.split_first() else {
            return usage("you must specify the kind of resource: KIND, KIND NAME or KIND/NAME");
        };
        if words.iter().any(String::is_empty) {
            return usage("resource name may not be empty");
        }
        if words.iter().any(|word| word.contains('/')) {
            if !words.iter().all(|word| word.contains('/')) {
                return usage(KIND_TWICE);
            }
            return words.iter().map(|word| named(word)).collect::<Result<_, _>>().map(Self::Named);
        }
        let kinds = kinds(first)?;
        if names.is_empty() {
            return Ok(Self::Kinds(kinds));
        }
        if let Some(word) = first.split(',').find(|word| CATEGORIES.contains(word)) {
            return usage(&format!("a name needs one kind; {word:?} means every kind"));
        }
        // As kubectl does: each name of each kind.
        let pairs = first.split(',').flat_map(|kind| names.iter().map(move |name| Ok((Kind::find(kind)?, name.clone()))));
        pairs.collect::<Result<_, Error>>().map(Self::Named)
    }

    /// The named objects, for a verb that works on nothing else.
    pub fn named(words: &[String]) -> Result<Vec<(Kind, String)>, Error> {
        match Self::parse(words)? {
            Self::Named(named) => Ok(named),
            Self::Kinds(_) => Err(Error::Usage(NO_NAME.to_owned())),
        }
    }
}

fn kinds(word: &str) -> Result<Vec<Kind>, Error> {
    let mut kinds: Vec<Kind> = Vec::new();
    for part in word.split(',') {
        let meant = if CATEGORIES.contains(&part) { Kind::all() } else { vec![Kind::find(part)?] };
        for kind in meant {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    Ok(kinds)
}

fn named(word: &str) -> Result<(Kind, String), Error> {
    let bad = |words: &str| Error::Usage(words.to_owned()).with_hint(format!("found {word:?}, expected KIND/NAME"));
    match word.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((Kind::find(kind)?, name.to_owned()))
        }
        Some((_, rest)) if rest.contains('/') => {
            Err(bad("arguments in resource/name form may not have more than one slash"))
        }
        _ => Err(bad("arguments in resource/name form must have a single resource and name")),
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
        let all = parse("all").unwrap();
        assert!(all.starts_with("wicapstacks controlsessions "));
        assert_eq!(parse("wicap").unwrap(), all);
        assert_eq!(parse("ws,wicap,cs").unwrap(), all);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let twice = KIND_TWICE.split(" (e.g.").next().unwrap();
        for (line, words) in [
            ("", "you must specify the kind of resource"),
            ("pods", "the server doesn't have a resource type \"pods\""),
            ("ws,", "the server doesn't have a resource type \"\""),
            ("ws/", "arguments in resource/name form must have a single resource and name"),
            ("/a", "arguments in resource/name form must have a single resource and name"),
            ("ws/a/b", "arguments in resource/name form may not have more than one slash"),
            ("ws/a b", twice),
            ("ws ws/a", twice),
            ("all x", "a name needs one kind; \"all\" means every kind"),
            ("ws,wicap x", "a name needs one kind; \"wicap\" means every kind"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.starts_with(&format!("error: {words}")), "{line}: {error}");
        }
    }
}
