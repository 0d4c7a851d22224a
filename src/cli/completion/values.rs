//! Which flag or argument has which values. The verbs themselves know nothing of completion: an argument is known by what
//! its help calls its value, and by the verb where that is not enough.

use std::ffi::OsStr;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use clap_complete::CompletionCandidate;
use clap_complete::engine::{ArgValueCompleter, PathCompleter, ValueCompleter};

use super::super::config::file::ConfigFile;
use super::super::config::resolve::{Chosen, resolve};
use super::super::kind::Kind;
use super::super::paint::When;
use super::{Shell, fields, live};
use crate::api::action::ActionKind;

/// What `-o` of `get` takes. Those that end in `=` go on.
const GET_FORMATS: &[&str] = &[
    "custom-columns=",
    "custom-columns-file=",
    "json",
    "jsonpath=",
    "jsonpath-as-json=",
    "jsonpath-file=",
    "name",
    "table",
    "wide",
    "yaml",
];

/// What `-o` of a verb takes that prints what it has changed.
const CHANGE_FORMATS: &[&str] = &["json", "name", "yaml"];

/// What `-o` of every other verb takes that has no list of its own.
const FORMATS: &[&str] = &["json", "yaml"];

/// What `wait --for` takes. Those that end in `=` go on.
const GOALS: &[&str] = &["condition=", "create", "delete", "jsonpath="];

/// What a store URL begins with.
const STORES: &[&str] = &["embedded", "http://", "https://", "unix:///"];

/// Where the values of an argument come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Kinds, then names; or kinds and names with a slash between.
    Targets,
    /// A kind, or a kind and a name with a slash between.
    Object,
    /// Kinds, then their fields.
    Fields,
    /// Names of objects of this kind.
    Names(&'static str),
    Words(&'static [&'static str]),
    Goals,
    Actions,
    Contexts,
    Files,
    Directories,
}

impl Source {
    /// Of an argument of the verb at `path`, such as `policy explain`. None where clap knows the values, or nobody does.
    fn of(path: &str, arg: &Arg) -> Option<Self> {
        if !arg.get_possible_values().is_empty() {
            return None;
        }
        let value = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        Some(match (path, arg.get_id().as_str(), value) {
            ("wait", _, "WHAT") => Self::Goals,
            ("completion", _, "SHELL") => Self::Words(&Shell::WORDS),
            (_, "color", _) => Self::Words(&When::WORDS),
            ("get", "output", _) => Self::Words(GET_FORMATS),
            ("apply" | "create" | "replace" | "delete" | "edit" | "patch" | "label" | "annotate", "output", _) => {
                Self::Words(CHANGE_FORMATS)
            }
            ("api-resources", "output", _) => Self::Words(&["name", "wide"]),
            ("explain", "output", _) => Self::Words(&["plaintext"]),
            ("status" | "why" | "doctor", "output", _) => Self::Words(&["json", "text"]),
            ("config get-contexts", "output", _) => Self::Words(&["name"]),
            ("replay", "output", _) => Self::Files,
            (_, "output", _) => Self::Words(FORMATS),
            ("explain", ..) if arg.is_positional() => Self::Fields,
            ("approve" | "deny", _, "ACTION") | (_, _, "ACTION-RUN") => Self::Names("actionruns"),
            ("soak report" | "soak watch" | "soak promote", _, "NAME") => Self::Names("soakruns"),
            ("session end" | "session extend", _, "NAME" | "SESSION") => Self::Names("controlsessions"),
            (_, "context", _) => Self::Contexts,
            (path, _, "NAME" | "CONTEXT_NAME") if path.starts_with("config ") => Self::Contexts,
            (_, _, "NAME|FILE") => Self::Names("snapshots"),
            (_, _, "STACK") => Self::Names("wicapstacks"),
            (_, _, "SESSION") => Self::Names("controlsessions"),
            (_, _, "ACTION" | "ACTIONS") => Self::Actions,
            ("why", _, "OBJECT") | (_, _, "KIND" | "KIND|KEY=VALUE|KEY-") => Self::Targets,
            ("events", _, "TYPE") => Self::Words(&["Normal", "Warning"]),
            (_, _, "KIND/NAME" | "KIND[/NAME]") => Self::Object,
            (_, _, "URL") => Self::Words(STORES),
            (_, _, "DIR") => Self::Directories,
            (_, _, value) if value.contains("FILE") || value.contains("DIR") => Self::Files,
            _ => return None,
        })
    }

    fn candidates(self, arg: &str, typed: &OsStr, asked: &Asked) -> Vec<CompletionCandidate> {
        match self {
            Self::Files => return PathCompleter::any().stdio().complete(typed),
            Self::Directories => return PathCompleter::dir().complete(typed),
            _ => {}
        }
        let Some(typed) = typed.to_str() else { return Vec::new() };
        let all = match self {
            Self::Targets => targets(typed, &asked.before(arg), asked),
            Self::Object => object(typed, asked),
            Self::Fields => fields::below(typed),
            Self::Names(kind) => names(kind, &asked.before(arg), asked),
            Self::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            Self::Goals => goals(typed, asked),
            Self::Actions => listed(typed, ActionKind::ALL.iter().map(|action| action.as_str().to_owned())),
            Self::Contexts => live::contexts(),
            Self::Files | Self::Directories => Vec::new(),
        };
        all.into_iter().filter(|word| word.starts_with(typed)).map(CompletionCandidate::new).collect()
    }
}

/// What is on the line already.
struct Asked {
    matches: ArgMatches,
}

impl Asked {
    /// Reads all words but the last, which is the one to be completed.
    fn of(command: &Command, words: &[String]) -> Self {
        let before = words.split_last().map_or(&[][..], |(_, before)| before);
        let matches = command.clone().ignore_errors(true).try_get_matches_from(before).unwrap_or_default();
        Self { matches }
    }

    /// What was given for an argument, of the verb that is farthest down.
    fn before(&self, arg: &str) -> Vec<String> {
        let mut matches = &self.matches;
        while let Some((_, deeper)) = matches.subcommand() {
            matches = deeper;
        }
        let given = matches.try_get_raw(arg).ok().flatten();
        given.into_iter().flatten().filter_map(|value| value.to_str()).map(str::to_owned).collect()
    }

    /// The store that is meant, if that can be said of a line that is not whole yet.
    fn store(&self) -> Option<Chosen> {
        let (store, context) = (self.before("store").pop(), self.before("context").pop());
        let store = store.map(|url| url.parse()).transpose().ok()?;
        let variable = |name: &str| std::env::var_os(name);
        let file = ConfigFile::locate(variable);
        resolve(store.as_ref(), context.as_deref(), &variable, &file, || file.read()).ok()
    }
}

/// `command` with a source behind each argument that has one. `words` are those of the line, the last one being completed.
#[must_use]
pub fn attached(command: Command, words: &[String]) -> Command {
    let asked = Arc::new(Asked::of(&command, words));
    walk(command, "", &asked)
}

fn walk(command: Command, path: &str, asked: &Arc<Asked>) -> Command {
    let attach = |arg: Arg| match Source::of(path, &arg) {
        None => arg,
        Some(source) => {
            let (asked, id) = (Arc::clone(asked), arg.get_id().to_string());
            arg.add(ArgValueCompleter::new(move |typed: &OsStr| source.candidates(&id, typed, &asked)))
        }
    };
    command.mut_args(attach).mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        walk(verb, path.trim_start(), asked)
    })
}

fn kinds() -> impl Iterator<Item = String> {
    Kind::all().into_iter().map(|kind| kind.info.plural.to_owned())
}

/// `typed` up to its last comma before each of the words.
fn listed(typed: &str, words: impl Iterator<Item = String>) -> Vec<String> {
    let before = typed.rfind(',').map_or("", |comma| &typed[..=comma]);
    let given: Vec<&str> = before.split(',').collect();
    words.filter(|word| !given.contains(&word.as_str())).map(|word| format!("{before}{word}")).collect()
}

fn targets(typed: &str, before: &[String], asked: &Asked) -> Vec<String> {
    match before.first() {
        None if !typed.contains('/') => listed(typed, kinds()),
        None => object(typed, asked),
        Some(first) if first.contains('/') => {
            object(typed, asked).into_iter().filter(|object| !before.contains(object)).collect()
        }
        Some(first) => first.split(',').flat_map(|kind| names(kind, before, asked)).collect(),
    }
}

/// Kinds with a slash behind, or the names of the one that was typed.
fn object(typed: &str, asked: &Asked) -> Vec<String> {
    match typed.split_once('/') {
        None => kinds().map(|kind| format!("{kind}/")).collect(),
        Some((kind, _)) => names(kind, &[], asked).into_iter().map(|name| format!("{kind}/{name}")).collect(),
    }
}

fn names(kind: &str, given: &[String], asked: &Asked) -> Vec<String> {
    let (Ok(kind), Some(store)) = (Kind::find(kind), asked.store()) else { return Vec::new() };
    live::names(&kind, &store).into_iter().filter(|name| !given.contains(name)).collect()
}

fn goals(typed: &str, asked: &Asked) -> Vec<String> {
    if !typed.starts_with("condition=") {
        return GOALS.iter().map(|goal| (*goal).to_owned()).collect();
    }
    let target = asked.before("target");
    let kind = target.first().map(|first| first.split(['/', ',']).next().unwrap_or(first));
    let (Some(Ok(kind)), Some(store)) = (kind.map(Kind::find), asked.store()) else { return Vec::new() };
    live::conditions(&kind, &store).into_iter().map(|condition| format!("condition={condition}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, arg: &str) -> Option<Source> {
        let mut command = crate::cli::command();
        command.build();
        let mut verb = &command;
        for step in path.split_whitespace() {
            verb = verb.find_subcommand(step).unwrap();
        }
        Source::of(path, verb.get_arguments().find(|a| a.get_id() == arg).unwrap())
    }

    #[test]
    fn each_argument_has_the_source_that_its_help_speaks_of() {
        for (path, arg, expected) in [
            ("get", "target", Some(Source::Targets)),
            ("get", "output", Some(Source::Words(GET_FORMATS))),
            ("get", "store", Some(Source::Words(STORES))),
            ("get", "labels", None),
            ("wait", "goals", Some(Source::Goals)),
            ("approve", "actions", Some(Source::Names("actionruns"))),
            ("stop", "stacks", Some(Source::Names("wicapstacks"))),
            ("policy explain", "run", Some(Source::Names("actionruns"))),
            ("policy explain", "action", Some(Source::Actions)),
            ("policy explain", "session", Some(Source::Names("controlsessions"))),
            // clap knows these.
            ("policy explain", "output", None),
            ("soak watch", "name", Some(Source::Names("soakruns"))),
            ("soak watch", "data_dir", Some(Source::Directories)),
            ("snapshot", "name", None),
            ("snapshot show", "pack", Some(Source::Names("snapshots"))),
            ("apply", "filename", Some(Source::Files)),
            ("replay", "output", Some(Source::Files)),
            ("audit list", "object", Some(Source::Object)),
        ] {
            assert_eq!(source(path, arg), expected, "{path}: {arg}");
        }
    }

    #[test]
    fn what_was_listed_is_not_offered_again() {
        let words = ["a", "b"].map(str::to_owned);
        assert_eq!(listed("", words.clone().into_iter()), ["a", "b"]);
        assert_eq!(listed("a,", words.into_iter()), ["a,b"]);
    }

    #[test]
    fn the_line_so_far_is_read_though_it_is_not_whole() {
        let command = crate::cli::command();
        let words: Vec<String> =
            "wicapctl wait --store unix:///x ws/a --for delete ws/".split(' ').map(str::to_owned).collect();
        let asked = Asked::of(&command, &words);
        assert_eq!(asked.before("target"), ["ws/a"]);
        assert_eq!(asked.store().unwrap().url.to_string(), "unix:///x");
        let words = ["wicapctl", "get", "ws", "--zzz", ""].map(str::to_owned);
        assert_eq!(Asked::of(&command, &words).before("target"), ["ws"]);
    }
}
