//! The table of kinds, for code that does not know the kind beforehand: the store's layout, `wicapctl get`, the schemas.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::action::ActionRun;
use super::approval::Approval;
use super::elevation::Elevation;
use super::incident::Incident;
use super::log_report::LogReport;
use super::policy::ControlPolicy;
use super::schedule::ScheduledSoak;
use super::session::ControlSession;
use super::snapshot::Snapshot;
use super::soak::SoakRun;
use super::stack::WicapStack;
use super::stop::EmergencyStop;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo {
    /// `WicapStack`.
    pub kind: &'static str,
    /// `wicapstacks`: the key in the store and the name on the command line.
    pub plural: &'static str,
    /// What else the command line accepts.
    pub short_names: &'static [&'static str],
    /// Its definition, schema included, made out of the types: that takes milliseconds.
    pub crd: fn() -> CustomResourceDefinition,
    /// The same as text, for what must be quick: its file in `crds/`, which a test holds to be what the types give. Of a kind that is
    /// added an empty file is enough until it is written.
    pub definition: &'static str,
}

/// Calls a macro with every kind: the one list from which all tables are made.
///
/// `for_each_kind!(m)` expands to `m!(WicapStack, ControlSession, …)`; the types must be in scope.
#[macro_export]
macro_rules! for_each_kind {
    ($m:ident) => {
        $m!(
            $crate::api::stack::WicapStack,
            $crate::api::session::ControlSession,
            $crate::api::policy::ControlPolicy,
            $crate::api::elevation::Elevation,
            $crate::api::action::ActionRun,
            $crate::api::approval::Approval,
            $crate::api::stop::EmergencyStop,
            $crate::api::soak::SoakRun,
            $crate::api::schedule::ScheduledSoak,
            $crate::api::incident::Incident,
            $crate::api::log_report::LogReport,
            $crate::api::snapshot::Snapshot
        )
    };
}

/// Every kind, in the order in which they are listed for people.
#[must_use]
pub fn kinds() -> Vec<KindInfo> {
    macro_rules! row {
        ($kind:ident, $plural:literal) => {
            KindInfo {
                kind: stringify!($kind),
                plural: $plural,
                short_names: $kind::shortnames(),
                crd: $kind::crd,
                definition: include_str!(concat!("../../crds/", $plural, ".json")),
            }
        };
    }
    vec![
        row!(WicapStack, "wicapstacks"),
        row!(ControlSession, "controlsessions"),
        row!(ControlPolicy, "controlpolicies"),
        row!(Elevation, "elevations"),
        row!(ActionRun, "actionruns"),
        row!(Approval, "approvals"),
        row!(EmergencyStop, "emergencystops"),
        row!(SoakRun, "soakruns"),
        row!(ScheduledSoak, "scheduledsoaks"),
        row!(Incident, "incidents"),
        row!(LogReport, "logreports"),
        row!(Snapshot, "snapshots"),
    ]
}

/// The kind that `word` means: kind, plural, singular or short name, in any case, with or without `.wicap.dev`.
#[must_use]
pub fn find(word: &str) -> Option<KindInfo> {
    let word = word.to_ascii_lowercase();
    // As kubectl: also PLURAL.GROUP and PLURAL.VERSION.GROUP.
    let word = word.strip_suffix(".wicap.dev").map_or(&*word, |rest| rest.strip_suffix(".v1alpha1").unwrap_or(rest));
    kinds().into_iter().find(|k| k.plural == word || k.kind.eq_ignore_ascii_case(word) || k.short_names.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_definitions() {
        for info in kinds() {
            let crd = (info.crd)();
            assert_eq!(crd.spec.names.plural, info.plural);
            assert_eq!(crd.spec.names.kind, info.kind);
            assert_eq!(crd.spec.scope, "Cluster");
        }
    }

    #[test]
    fn every_word_of_the_design_means_its_kind() {
        for (words, kind) in [
            (
                "wicapstacks wicapstack stack stacks ws WicapStack wicapstacks.wicap.dev wicapstacks.v1alpha1.wicap.dev",
                "WicapStack",
            ),
            ("soakruns soakrun soak soaks sr", "SoakRun"),
            ("controlsessions session sessions cs", "ControlSession"),
            ("controlpolicies policy policies cp", "ControlPolicy"),
            ("actionruns action actions ar", "ActionRun"),
            ("elevations elevation elev", "Elevation"),
            ("approvals approval", "Approval"),
            ("emergencystops stop stops", "EmergencyStop"),
            ("incidents incident inc", "Incident"),
            ("logreports logreport lr", "LogReport"),
            ("snapshots snapshot snap", "Snapshot"),
        ] {
            for word in words.split(' ') {
                assert_eq!(find(word).map(|k| k.kind), Some(kind), "{word}");
            }
        }
        assert!(find("pods").is_none());
    }
}
