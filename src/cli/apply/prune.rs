//! `--prune`: objects go that were applied once and that no manifest describes any more.
//!
//! Which ones is said by labels, by `--all`, or by a set. A set is a name that `apply --applyset` writes on every object as
//! the label [`SET`]; an object is in one set at most. Only what `apply` made, or has taken over, is ever removed.

use std::str::FromStr;

use clap::Args;
use serde_json::{Value, json};

use super::super::kind::{Kind, name_of};
use super::super::manifest::Manifest;
use super::super::selection::selector;
use super::super::{Error, merge};
use crate::api::tags::wrong_value;
use crate::api::{GROUP, VERSION, Violation, registry};
use crate::store::{ListParams, Store};

/// The label that holds the name of the set that an object belongs to.
pub const SET: &str = "wicap.dev/applyset";

/// The one kind that is not pruned unless it is named: to remove a stop is to resume, which nobody should do by leaving a
/// file out.
const KEPT: &str = "EmergencyStop";

/// What is removed.
#[derive(Debug, Args)]
pub struct Pruning {
    /// Delete the objects that were applied before and are in no manifest now; with -l, --all or --applyset
    #[arg(long)]
    prune: bool,
    /// Prune among all objects
    #[arg(long)]
    all: bool,
    /// Only manifests and objects with these labels, as in app=wicap,tier!=db
    #[arg(short = 'l', long = "selector", value_name = "LABELS", value_parser = selector)]
    labels: Option<String>,
    /// Prune only objects of this kind, as in wicap.dev/v1alpha1/WicapStack; of every kind but EmergencyStop otherwise
    #[arg(long = "prune-allowlist", value_name = "GROUP/VERSION/KIND")]
    allowlist: Vec<Allowed>,
    /// Write this set's name on each object as the label wicap.dev/applyset, and prune among those that bear it
    #[arg(long = "applyset", value_name = "NAME")]
    set: Option<Set>,
}

/// A kind as `--prune-allowlist` names it.
#[derive(Clone, Debug)]
struct Allowed(registry::KindInfo);

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = text.strip_prefix(&format!("{GROUP}/{VERSION}/"));
        let info = kind.and_then(|kind| registry::kinds().into_iter().find(|info| info.kind == kind));
        info.map(Self)
            .ok_or_else(|| format!("expected <group/version/kind> of a kind there is, as in {GROUP}/{VERSION}/WicapStack"))
    }
}

/// A set of objects that are applied together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set(String);

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match wrong_value(text) {
            None if !text.is_empty() => Ok(Self(text.to_owned())),
            _ => Err("expected a name that can be the value of a label, such as wicap-prod".to_owned()),
        }
    }
}

impl Set {
    /// Makes a manifest say that its object is of this set; what is wrong when it says that it is of another.
    pub fn take_in(&self, manifest: &mut Manifest) -> Option<String> {
        if let Some(violation) = self.contradicted_by(&manifest.document) {
            return manifest.mistakes(vec![violation]).pop();
        }
        // What is no map of labels is refused for that when it is decoded.
        let labels = manifest.document.pointer("/metadata/labels");
        if manifest.document.get("metadata").is_some_and(Value::is_object)
            && labels.is_none_or(|labels| labels.is_object() || labels.is_null())
        {
            json_patch::merge(&mut manifest.document, &json!({"metadata": {"labels": {SET: self.0}}}));
        }
        None
    }

    fn contradicted_by(&self, object: &Value) -> Option<Violation> {
        let found = label(object).filter(|set| *set != self.0)?;
        let expected = format!("nothing or {:?}: an object is in one set at most", self.0);
        Some(Violation::new(format!("metadata.labels[{SET:?}]"), format!("{found:?}"), expected))
    }
}

fn label(object: &Value) -> Option<&str> {
    object.pointer("/metadata/labels")?.get(SET)?.as_str()
}

/// Whether what is wanted may have the object that is there: one of another set is not taken away from it.
pub(super) fn may_be_taken_in(wanted: &Value, live: &Value) -> Result<(), Vec<Violation>> {
    let wrong = label(wanted).and_then(|name| Set(name.to_owned()).contradicted_by(live));
    wrong.map_or(Ok(()), |violation| Err(vec![violation]))
}

impl Pruning {
    /// Whether the flags make sense together.
    pub fn check(&self) -> Result<(), Error> {
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        match &self.set {
            Some(_) if !self.prune => return usage("--applyset requires --prune"),
            Some(_) if self.all || self.labels.is_some() || !self.allowlist.is_empty() => {
                return usage(
                    "--applyset cannot be used with --all, --selector or --prune-allowlist: the set says what is pruned",
                );
            }
            _ => {}
        }
        if self.all && self.labels.is_some() {
            return usage("cannot set --all and --selector at the same time");
        }
        if self.prune && !self.all && self.labels.is_none() && self.set.is_none() {
            return usage(
                "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all \
                 flag. If you did not mean to prune all resources, specify a label selector",
            );
        }
        Ok(())
    }

    /// The same for `diff`, which shows what all would be pruned when nothing is said.
    pub fn check_for_diff(&self) -> Result<(), Error> {
        let unsaid = self.prune && !self.all && self.labels.is_none() && self.set.is_none();
        if unsaid { Ok(()) } else { self.check() }
    }

    /// The labels that manifests must have to be looked at.
    pub fn labels(&self) -> Option<&str> {
        self.labels.as_deref()
    }

    /// The set that is applied.
    pub fn set(&self) -> Option<&Set> {
        self.set.as_ref()
    }

    /// The objects to remove: applied once, selected, and not among those that are described. None unless it is asked for.
    pub async fn candidates(&self, described: &[&Manifest], store: &Store) -> Result<Vec<(Kind, Value)>, Error> {
        let mut found = Vec::new();
        for info in self.kinds() {
            let Some(kind) = Kind::of(info) else { continue };
            let labels = self.set.as_ref().map(|set| format!("{SET}={}", set.0)).or_else(|| self.labels.clone());
            let params = ListParams { labels, ..ListParams::default() };
            for object in kind.list(store, &params).await? {
                let kept = described.iter().any(|m| m.kind == kind && m.name == name_of(&object));
                if !kept && prunable(&object) {
                    found.extend(Kind::of(info).map(|kind| (kind, object)));
                }
            }
        }
        Ok(found)
    }

    fn kinds(&self) -> Vec<registry::KindInfo> {
        if !self.prune {
            return Vec::new();
        }
        let all = registry::kinds().into_iter();
        if self.allowlist.is_empty() {
            return all.filter(|info| info.kind != KEPT).collect();
        }
        all.filter(|info| self.allowlist.iter().any(|allowed| allowed.0.kind == info.kind)).collect()
    }
}

/// Whether `apply` has a say in an object that is there and not on its way out already.
fn prunable(object: &Value) -> bool {
    let going = object.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string);
    !going && merge::last_applied(object).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pruning(line: &str) -> Pruning {
        use clap::Parser;
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            pruning: Pruning,
        }
        Line::parse_from(std::iter::once("x").chain(line.split_whitespace())).pruning
    }

    #[test]
    fn flags_that_contradict_are_refused() {
        for (line, ok) in [
            ("", true),
            ("-l a=b", true),
            ("--prune --all", true),
            ("--prune -l a=b", true),
            ("--prune --applyset=a", true),
            ("--prune", false),
            ("--prune --all -l a=b", false),
            ("--applyset=a", false),
            ("--prune --applyset=a --all", false),
            ("--prune --applyset=a --prune-allowlist=wicap.dev/v1alpha1/SoakRun", false),
        ] {
            assert_eq!(pruning(line).check().is_ok(), ok, "{line}");
        }
        assert!("a b".parse::<Set>().is_err() && "".parse::<Set>().is_err());
    }

    #[test]
    fn a_stop_is_pruned_only_by_name() {
        let kinds = |line| pruning(line).kinds().into_iter().map(|k| k.kind).collect::<Vec<_>>();
        assert!(kinds("").is_empty());
        assert_eq!(kinds("--prune --all").len(), registry::kinds().len() - 1);
        assert!(!kinds("--prune --all").contains(&KEPT));
        assert_eq!(kinds("--prune --all --prune-allowlist wicap.dev/v1alpha1/EmergencyStop"), [KEPT]);
    }

    #[test]
    fn an_object_of_one_set_is_not_taken_into_another() {
        let object = |set: Value| json!({"metadata": {"name": "x", "labels": {SET: set}}});
        assert!(may_be_taken_in(&object(json!("a")), &object(json!("a"))).is_ok());
        assert!(may_be_taken_in(&object(json!("a")), &object(Value::Null)).is_ok());
        assert!(may_be_taken_in(&object(Value::Null), &object(json!("b"))).is_ok());
        let wrong = may_be_taken_in(&object(json!("a")), &object(json!("b"))).unwrap_err();
        assert_eq!(
            wrong[0].to_string(),
            "metadata.labels[\"wicap.dev/applyset\"]: found \"b\", expected nothing or \"a\": an object is in one set at \
             most"
        );
    }

    #[test]
    fn only_what_was_applied_and_stays_is_pruned() {
        let applied = merge::annotated(&json!({"metadata": {"name": "x"}}));
        assert!(prunable(&applied));
        assert!(!prunable(&json!({"metadata": {"name": "x"}})));
        let mut going = applied;
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!prunable(&going));
    }
}
