//! Who may write what: the roles of an etcd, as ranges of keys. A table; [`super::access`] makes an etcd's roles be what it says.
//!
//! ```text
//!                     <kind>/   <kind>.status/   audit/intent   audit/control   events/   leader/
//!  operator           all       ·                append         ·               ·         ·
//!  a controller       ·         its own           ·             append          most      its own
//!  planner            actions,  stacks,           ·             append          yes       its own
//!                     incidents incidents
//!  soak               actions,  soakruns,         ·             append          yes       its own
//!                     incidents incidents
//!  signals            incidents, incidents,       ·             append          yes       its own
//!                     log reports log reports
//!  snapshot           snapshots snapshots         ·             append          yes       its own
//!  schedule           soakruns  scheduledsoaks   ·             append          yes       its own
//!  audit              ·         ·                remove         remove          ·         its own
//!  gc                 all       all               ·             append          ·         its own
//!  viewer             ·         ·                 ·             ·               ·         ·
//! ```
//!
//! Every role may read everything under the prefix: a transaction compares what it was decided on, wherever that is.
//!
//! Caveats: for etcd a write is a write. Whoever may put a key may delete it, and the other way round: gc could change intent, the
//! audit controller could change records, and who appends to a lane could overwrite what is there. What is done to records is
//! found out by the chain ([`super::audit`]).

use super::audit::Lane;
use super::keys::Keys;
use super::transaction::plural_of;
use crate::api::action::ActionRun;
use crate::api::approval::Approval;
use crate::api::elevation::Elevation;
use crate::api::incident::Incident;
use crate::api::log_report::LogReport;
use crate::api::policy::ControlPolicy;
use crate::api::registry::kinds;
use crate::api::schedule::ScheduledSoak;
use crate::api::session::ControlSession;
use crate::api::snapshot::Snapshot;
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;

/// Somebody who comes to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A person who declares, permits and stops.
    Operator,
    /// A person or a tool that only looks.
    Viewer,
    /// The controller of that name, as the others below.
    Observer,
    /// Asks for actions.
    Planner,
    /// Carries them out.
    Actuator,
    /// Opens and closes sessions.
    Session,
    /// Says of policies whether they leave anything to do.
    Policy,
    /// Carries out soak runs.
    Soak,
    /// Reads logs, and calls for people.
    Signals,
    /// Packs what is known of stacks.
    Snapshot,
    /// Makes soak runs by the clock.
    Schedule,
    /// Moves old records of the audit log out of the store.
    Audit,
    /// Removes what nobody owns any more.
    Gc,
}

/// A part of the store that is written by some and not by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Area {
    /// The spec halves of a kind.
    Spec(&'static str),
    /// The status halves of a kind.
    Status(&'static str),
    /// Events.
    Events,
    /// The leader key of a controller that is elected once.
    Leader(&'static str),
    /// The leader keys of a controller that is elected on each host.
    LeaderOfHosts(&'static str),
    /// The records of a lane of the audit log.
    Records(Lane),
    /// How far a lane is.
    Head(Lane),
}

/// Whether a permission is for looking or for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Get and watch.
    Read,
    /// Put and delete.
    Write,
    /// Both. None of the roles here has it in one piece; others may.
    ReadWrite,
}

/// What one permission of a role covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first key.
    pub key: String,
    /// The key after the last; empty when it is that one key.
    pub end: String,
}

/// A permission of a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// On which keys.
    pub range: Range,
    /// To do what.
    pub access: Access,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Operator,
        Self::Viewer,
        Self::Observer,
        Self::Planner,
        Self::Actuator,
        Self::Session,
        Self::Policy,
        Self::Soak,
        Self::Signals,
        Self::Snapshot,
        Self::Schedule,
        Self::Audit,
        Self::Gc,
    ];

    /// Its name, without what the names of all have in front.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Observer => "observer",
            Self::Planner => "planner",
            Self::Actuator => "actuator",
            Self::Session => "session",
            Self::Policy => "policy",
            Self::Soak => "soak",
            Self::Signals => "signals",
            Self::Snapshot => "snapshot",
            Self::Schedule => "schedule",
            Self::Audit => "audit",
            Self::Gc => "gc",
        }
    }

    /// Its permissions under a prefix, in the order of their keys.
    pub(super) fn permissions(self, keys: &Keys) -> Vec<Permission> {
        let write = |area: Area| Permission { range: area.range(keys), access: Access::Write };
        let all = Permission { range: range(keys.all()), access: Access::Read };
        let mut permissions: Vec<_> = self.writes().into_iter().map(write).chain([all]).collect();
        permissions.sort();
        permissions
    }

    /// What it may write. What a controller writes is seen in its own file; whoever changes that changes this.
    fn writes(self) -> Vec<Area> {
        use Area::{Events, Head, Leader, LeaderOfHosts, Records, Spec, Status};
        let (of_stack, of_session) = (Status(plural_of::<WicapStack>()), Status(plural_of::<ControlSession>()));
        // A change of a status is on record, but for a stack's, which is observation.
        let recorded = [Records(Lane::Control), Head(Lane::Control)];
        match self {
            Self::Viewer => Vec::new(),
            // Whatever people write is on record too.
            Self::Operator => {
                let specs = kinds().into_iter().map(|kind| Spec(kind.plural));
                specs.chain([Records(Lane::Intent), Head(Lane::Intent)]).collect()
            }
            Self::Observer => vec![LeaderOfHosts("observer"), Events, of_stack],
            // It asks for actions, and calls for people, by making objects.
            Self::Planner => {
                let incidents = plural_of::<Incident>();
                let own = [Leader("planner"), Events, of_stack, Spec(plural_of::<ActionRun>())];
                [&recorded[..], &own, &[Spec(incidents), Status(incidents)]].concat()
            }
            // A claim counts what it uses up.
            Self::Actuator => {
                let used = [Status(plural_of::<Elevation>()), Status(plural_of::<Approval>()), of_session];
                let own = [LeaderOfHosts("actuator"), Events, Status(plural_of::<ActionRun>())];
                [&recorded[..], &own, &used].concat()
            }
            Self::Session => [&recorded[..], &[Leader("session"), Events, of_session]].concat(),
            Self::Policy => [&recorded[..], &[Leader("policy"), Status(plural_of::<ControlPolicy>())]].concat(),
            // It asks for the steps of its runs, and tells of checks that fail, by making objects.
            Self::Soak => {
                let incidents = plural_of::<Incident>();
                let own = [LeaderOfHosts("soak"), Events, Status(plural_of::<SoakRun>()), Spec(plural_of::<ActionRun>())];
                [&recorded[..], &own, &[Spec(incidents), Status(incidents)]].concat()
            }
            Self::Signals => {
                let (incidents, reports) = (plural_of::<Incident>(), plural_of::<LogReport>());
                let own = [LeaderOfHosts("signals"), Events, Spec(reports), Status(reports)];
                [&recorded[..], &own, &[Spec(incidents), Status(incidents)]].concat()
            }
            // It makes them for what calls for one, and deletes those that are too many.
            Self::Snapshot => {
                let snapshots = plural_of::<Snapshot>();
                let own = [LeaderOfHosts("snapshot"), Events, Spec(snapshots), Status(snapshots)];
                [&recorded[..], &own].concat()
            }
            // It makes runs, aborts those that are replaced and deletes those that are too many.
            Self::Schedule => {
                let own = [Leader("schedule"), Events, Status(plural_of::<ScheduledSoak>()), Spec(plural_of::<SoakRun>())];
                [&recorded[..], &own].concat()
            }
            // It removes what it has moved away.
            Self::Audit => vec![Leader("audit"), Records(Lane::Intent), Records(Lane::Control)],
            // It deletes objects, both halves of them.
            Self::Gc => {
                let halves = kinds().into_iter().flat_map(|kind| [Spec(kind.plural), Status(kind.plural)]);
                halves.chain(recorded).chain([Leader("gc")]).collect()
            }
        }
    }
}

impl Area {
    fn range(self, keys: &Keys) -> Range {
        let one = |key: String| Range { key, end: String::new() };
        match self {
            Self::Spec(plural) => range(keys.specs(plural)),
            Self::Status(plural) => range(keys.statuses(plural)),
            Self::Events => range(keys.events()),
            Self::Leader(controller) => one(keys.leader(controller)),
            Self::LeaderOfHosts(controller) => range(keys.leaders_of_hosts(controller)),
            Self::Records(lane) => range(keys.audit_records(lane)),
            Self::Head(lane) => one(keys.audit_head(lane)),
        }
    }
}

fn range((key, end): (String, String)) -> Range {
    Range { key, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&"http://h:1/site".parse().unwrap())
    }

    /// Who may write a key, by the permissions, and who may read it.
    fn who(key: &str, wanted: Access) -> Vec<&'static str> {
        let may = |role: &Role| {
            let covers =
                |r: &Range| if r.end.is_empty() { r.key == key } else { r.key.as_str() <= key && key < r.end.as_str() };
            role.permissions(&keys()).iter().any(|p| p.access == wanted && covers(&p.range))
        };
        Role::ALL.into_iter().filter(may).map(Role::as_str).collect()
    }

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    /// The whole of it, written down a second time: of each kind, who may write its intent, and who its status.
    const KINDS: &[(&str, &str, &str)] = &[
        ("wicapstacks", "operator gc", "observer planner gc"),
        ("controlsessions", "operator gc", "actuator session gc"),
        ("controlpolicies", "operator gc", "policy gc"),
        ("elevations", "operator gc", "actuator gc"),
        ("actionruns", "operator planner soak gc", "actuator gc"),
        ("approvals", "operator gc", "actuator gc"),
        ("emergencystops", "operator gc", "gc"),
        ("soakruns", "operator schedule gc", "soak gc"),
        ("scheduledsoaks", "operator gc", "schedule gc"),
        ("incidents", "operator planner soak signals gc", "planner soak signals gc"),
        ("logreports", "operator signals gc", "signals gc"),
        ("snapshots", "operator snapshot gc", "snapshot gc"),
    ];

    #[test]
    fn each_half_of_each_kind_has_the_writers_that_it_should_and_no_kind_is_forgotten() {
        let known: Vec<_> = KINDS.iter().map(|(plural, _, _)| *plural).collect();
        let all: Vec<_> = kinds().into_iter().map(|kind| kind.plural).collect();
        assert_eq!(known, all, "a kind that is added is to say who writes it");
        for (plural, spec, status) in KINDS {
            for name in ["a", "zz.z-9"] {
                assert_eq!(who(&keys().spec(plural, name), Access::Write), words(spec), "{plural}");
                assert_eq!(who(&keys().status(plural, name), Access::Write), words(status), "{plural}.status");
            }
        }
    }

    #[test]
    fn what_is_no_object_has_the_writers_that_it_should() {
        for (key, writers) in [
            ("audit/intent/00000000000000000001", "operator audit"),
            (
                "audit/control/00000000000000000001",
                "planner actuator session policy soak signals snapshot schedule audit gc",
            ),
            ("audit-head/intent", "operator"),
            ("audit-head/control", "planner actuator session policy soak signals snapshot schedule gc"),
            ("events/wicapstack.a.0", "observer planner actuator session soak signals snapshot schedule"),
            ("leader/observer.h", "observer"),
            ("leader/actuator.h.example", "actuator"),
            ("leader/planner", "planner"),
            ("leader/session", "session"),
            ("leader/policy", "policy"),
            ("leader/soak.h", "soak"),
            ("leader/signals.h", "signals"),
            ("leader/snapshot.h", "snapshot"),
            ("leader/schedule", "schedule"),
            ("leader/soak", ""),
            ("leader/audit", "audit"),
            ("leader/gc", "gc"),
            ("leader/observer", ""),
            ("leader/planner2", ""),
            ("leader/", ""),
            ("audit/", ""),
            ("audit-head/control2", ""),
            ("something-new/a", ""),
        ] {
            assert_eq!(who(&keys().absolute(key), Access::Write), words(writers), "{key}");
        }
    }

    #[test]
    fn everybody_reads_everything_under_the_prefix_and_nothing_else() {
        let all: Vec<_> = Role::ALL.map(Role::as_str).into();
        for key in ["/site/wicap.dev/wicapstacks/a", "/site/wicap.dev/audit-head/control", "/site/wicap.dev/zzz"] {
            assert_eq!(who(key, Access::Read), all, "{key}");
        }
        for key in ["/wicap.dev/wicapstacks/a", "/site/wicap.devil/a", "/site/wicap.dev", "/site/other", "/other"] {
            assert_eq!(who(key, Access::Read), [""; 0], "{key}");
            assert_eq!(who(key, Access::Write), [""; 0], "{key}");
        }
    }

    #[test]
    fn no_role_has_two_permissions_on_one_range() {
        // etcd keeps one of the two.
        for role in Role::ALL {
            let permissions = role.permissions(&keys());
            let mut ranges: Vec<_> = permissions.iter().map(|p| p.range.clone()).collect();
            ranges.dedup();
            assert_eq!(ranges.len(), permissions.len(), "{role:?}");
            assert!(permissions.iter().all(|p| p.range.end.is_empty() || p.range.key < p.range.end), "{permissions:?}");
        }
    }
}
