//! `top controllers`: who leads, what waits for whom, and how long what was done had waited. All of it from what is in the
//! store; what a reconciler has in its own queue, and how long it works, is not there.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::api::action::{ActionPhase, ActionRun};
use crate::api::log_report::LogReport;
use crate::api::policy::ControlPolicy;
use crate::api::schedule::ScheduledSoak;
use crate::api::session::ControlSession;
use crate::api::snapshot::Snapshot;
use crate::api::soak::SoakRun;
use crate::api::stack::{HEARTBEAT, WicapStack};
use crate::api::{Duration as Written, Object, Time, elapsed};
use crate::cli::print::age::age;
use crate::cli::print::table::Table;
use crate::cli::{Error, Io};
use crate::controllers::Controller;
use crate::store::{ListParams, Store};
use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::UNKNOWN;
use crate::cli::doctor::controllers::{is_per_host, leaders_of};
use crate::store::health::Leader;

/// What was done longer ago says nothing of now.
const LATELY: Duration = Duration::from_secs(3600);

/// Arguments of `top controllers`.
#[derive(Debug, Args)]
pub struct Controllers {
    /// No line with the names of the columns
    #[arg(long)]
    no_headers: bool,
}

/// What is in the store.
#[derive(Clone, Debug, Default)]
struct Known {
    leaders: Vec<Leader>,
    stacks: Vec<WicapStack>,
    sessions: Vec<ControlSession>,
    policies: Vec<ControlPolicy>,
    actions: Vec<ActionRun>,
    soaks: Vec<SoakRun>,
    schedules: Vec<ScheduledSoak>,
    snapshots: Vec<Snapshot>,
    reports: Vec<LogReport>,
}

/// What a controller has before it and behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Work {
    /// Since when each object has waited for it; none where that is not to be seen.
    waiting: Option<Vec<Time>>,
    /// How long what it has done lately had waited; none where that is not to be seen.
    waited: Option<Vec<Duration>>,
    /// When it was last seen to do something.
    last: Option<Time>,
}

impl Controllers {
    pub async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let known = Known::of(store).await?;
        let header = ["CONTROLLER", "HOST", "LEADER", "LEASE", "WAITING", "OLDEST", "WAITED(p50/max)", "LAST"];
        let header = if self.no_headers { Vec::new() } else { vec![header.map(str::to_owned).into()] };
        Table::list().write(io.out, &[header, rows(&known, store.clock().now())].concat())?;
        writeln!(
            io.err,
            "WAITING, OLDEST and WAITED are of objects, as the store has them; {UNKNOWN} is what it does not show. A \
             reconciler's own queue and the time that it works are not recorded."
        )?;
        Ok(())
    }
}

impl Known {
    async fn of(store: &Store) -> Result<Self, Error> {
        let everything = ListParams::default();
        let (stacks, sessions, policies, actions) = (store.api(), store.api(), store.api(), store.api());
        let (soaks, schedules, snapshots, reports) = (store.api(), store.api(), store.api(), store.api());
        let (leaders, stacks, sessions, policies, actions, soaks, schedules, snapshots, reports) = tokio::try_join!(
            store.leaders(),
            stacks.list(&everything),
            sessions.list(&everything),
            policies.list(&everything),
            actions.list(&everything),
            soaks.list(&everything),
            schedules.list(&everything),
            snapshots.list(&everything),
            reports.list(&everything),
        )?;
        Ok(Self {
            leaders,
            stacks: stacks.items,
            sessions: sessions.items,
            policies: policies.items,
            actions: actions.items,
            soaks: soaks.items,
            schedules: schedules.items,
            snapshots: snapshots.items,
            reports: reports.items,
        })
    }

    /// Whether a stack is on that host. One that is not there is on none.
    fn is_on(&self, stack: &str, host: Option<&str>) -> bool {
        self.stacks.iter().any(|s| s.name() == stack && Some(s.spec.host.as_str()) == host)
    }
}

fn rows(known: &Known, now: Time) -> Vec<Vec<String>> {
    let mut hosts: BTreeSet<&str> = known.stacks.iter().map(|stack| stack.spec.host.as_str()).collect();
    // Also those that are served and have no stack.
    let served = known.leaders.iter().filter_map(|leader| leader.controller.split_once('.'));
    hosts.extend(served.filter(|(name, _)| Controller::ALL.iter().any(|c| c.as_str() == *name)).map(|(_, host)| host));
    let hosts: Vec<&str> = hosts.into_iter().collect();
    let mut rows = Vec::new();
    for controller in Controller::ALL {
        let places: Vec<Option<&str>> =
            if is_per_host(controller) { hosts.iter().copied().map(Some).collect() } else { vec![None] };
        for (name, host) in leaders_of(controller, &hosts).into_iter().zip(places) {
            let leader = known.leaders.iter().find(|leader| leader.controller == name);
            rows.push(row(controller, host, leader, work(controller, host, known, now), now));
        }
    }
    rows
}

fn row(controller: Controller, host: Option<&str>, leader: Option<&Leader>, work: Work, now: Time) -> Vec<String> {
    let unknown = || UNKNOWN.to_owned();
    let lease = match leader {
        None => "<none>".to_owned(),
        Some(leader) => leader.lease.map_or_else(unknown, |left| Written::from(left).to_string()),
    };
    let (waiting, oldest) = match work.waiting {
        None => (unknown(), unknown()),
        Some(all) => (all.len().to_string(), all.into_iter().min().map_or_else(String::new, |since| age(since, now))),
    };
    let waited = work.waited.map_or_else(unknown, |mut all| {
        all.sort_unstable();
        match (all.get(all.len() / 2), all.last()) {
            (Some(median), Some(most)) => format!("{}/{}", short(*median), short(*most)),
            _ => String::new(),
        }
    });
    vec![
        controller.to_string(),
        host.unwrap_or_default().to_owned(),
        leader.map_or_else(|| "<none>".to_owned(), |leader| leader.identity.clone()),
        lease,
        waiting,
        oldest,
        waited,
        work.last.map_or_else(unknown, |at| age(at, now)),
    ]
}

/// A duration for a column. Creation times are whole seconds, so that less is not known.
fn short(duration: Duration) -> String {
    Written::from(Duration::from_secs(duration.as_secs())).to_string()
}

/// What the store shows of a controller's work.
fn work(controller: Controller, host: Option<&str>, known: &Known, now: Time) -> Work {
    match controller {
        Controller::Observer => {
            let stacks = known.stacks.iter().filter(|stack| Some(stack.spec.host.as_str()) == host);
            let seen: Vec<_> = stacks.map(|stack| (stack, stack.status.clone().unwrap_or_default())).collect();
            let late = |at: Time| elapsed(at, now) > 3 * HEARTBEAT;
            let behind = seen.iter().filter(|(stack, status)| {
                status.observed_generation != stack.metadata.generation || status.observed_at.is_none_or(late)
            });
            let waiting = behind.filter_map(|(stack, status)| status.observed_at.or(created(&stack.metadata)));
            Work {
                waiting: Some(waiting.collect()),
                waited: None,
                last: seen.iter().filter_map(|(_, status)| status.observed_at).max(),
            }
        }
        // It writes what it decides when that is something else than before: silence says nothing of it.
        Controller::Planner => {
            let decided = known.stacks.iter().filter_map(|stack| stack.status.as_ref()?.decided_at);
            Work { last: decided.max(), ..Work::default() }
        }
        Controller::Actuator => actuator(host, known, now),
        Controller::Session => {
            let of = |s: &ControlSession| s.status.as_ref().and_then(|status| status.observed_generation);
            Work { waiting: Some(behind(&known.sessions, of)), ..Work::default() }
        }
        Controller::Policy => {
            let of = |p: &ControlPolicy| p.status.as_ref().and_then(|status| status.observed_generation);
            Work { waiting: Some(behind(&known.policies, of)), ..Work::default() }
        }
        Controller::Soak => {
            let ours: Vec<SoakRun> = known.soaks.iter().filter(|run| known.is_on(&run.spec.stack, host)).cloned().collect();
            let of = |run: &SoakRun| run.status.as_ref().and_then(|status| status.observed_generation);
            let began = ours.iter().filter_map(|run| Some((created(&run.metadata)?, run.status.as_ref()?.started_at?)));
            Work { waiting: Some(behind(&ours, of)), waited: Some(lately(began, now)), last: None }
        }
        Controller::Signals => {
            let ours = known.reports.iter().filter(|report| known.is_on(&report.spec.stack, host));
            Work { last: ours.filter_map(|report| report.status.as_ref()?.reported_at).max(), ..Work::default() }
        }
        Controller::Snapshot => {
            let ours: Vec<&Snapshot> = known.snapshots.iter().filter(|s| known.is_on(&s.spec.stack, host)).collect();
            let open = ours.iter().filter(|s| s.status.as_ref().is_none_or(|status| !status.phase.is_final()));
            let made = |s: &&Snapshot| Some((created(&s.metadata)?, s.status.as_ref()?.made_at?));
            Work {
                waiting: Some(open.filter_map(|s| created(&s.metadata)).collect()),
                waited: Some(lately(ours.iter().filter_map(made), now)),
                last: ours.iter().filter_map(made).map(|(_, at)| at).max(),
            }
        }
        Controller::Schedule => {
            let wanted = known.schedules.iter().filter(|schedule| !schedule.spec.suspend);
            let due = wanted.filter_map(|schedule| schedule.status.as_ref()?.next_schedule_time).filter(|at| *at <= now);
            Work { waiting: Some(due.collect()), ..Work::default() }
        }
        Controller::Audit => Work::default(),
        Controller::Gc => {
            let deleted = |meta: &ObjectMeta| meta.deletion_timestamp.as_ref().map(|t| t.0);
            let metas = known.stacks.iter().map(|o| &o.metadata);
            let metas = metas.chain(known.sessions.iter().map(|o| &o.metadata));
            let metas = metas.chain(known.policies.iter().map(|o| &o.metadata));
            let metas = metas.chain(known.actions.iter().map(|o| &o.metadata));
            let metas = metas.chain(known.soaks.iter().map(|o| &o.metadata));
            let metas = metas.chain(known.schedules.iter().map(|o| &o.metadata));
            let metas = metas.chain(known.snapshots.iter().map(|o| &o.metadata));
            let metas = metas.chain(known.reports.iter().map(|o| &o.metadata));
            Work { waiting: Some(metas.filter_map(deleted).collect()), ..Work::default() }
        }
    }
}

fn actuator(host: Option<&str>, known: &Known, now: Time) -> Work {
    let ours: Vec<_> = known
        .actions
        .iter()
        .filter(|run| known.is_on(&run.spec.stack, host))
        .map(|run| (run, run.status.clone().unwrap_or_default()))
        .collect();
    // One that waits for a person waits for no actuator.
    let waiting = ours.iter().filter(|(_, status)| status.phase == ActionPhase::Pending);
    let claimed = ours.iter().filter(|(_, status)| status.approval_deadline.is_none());
    let claimed = claimed.filter_map(|(run, status)| Some((created(&run.metadata)?, status.started_at?)));
    Work {
        waiting: Some(waiting.filter_map(|(run, _)| created(&run.metadata)).collect()),
        waited: Some(lately(claimed, now)),
        last: ours.iter().filter_map(|(_, status)| status.finished_at.max(status.started_at)).max(),
    }
}

fn created(meta: &ObjectMeta) -> Option<Time> {
    meta.creation_timestamp.as_ref().map(|t| t.0)
}

/// Since when objects wait whose newest spec the controller has not written of yet. When that was changed is not known; when
/// the object was made is.
fn behind<K: Object>(objects: &[K], observed: impl Fn(&K) -> Option<i64>) -> Vec<Time> {
    let waits = |object: &&K| observed(object) != object.meta().generation;
    objects.iter().filter(waits).filter_map(|object| created(object.meta())).collect()
}

/// How long what began lately had waited.
fn lately(pairs: impl Iterator<Item = (Time, Time)>, now: Time) -> Vec<Duration> {
    pairs.filter(|(_, began)| elapsed(*began, now) <= LATELY).map(|(asked, began)| elapsed(asked, began)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_second(seconds).unwrap()
    }

    fn object<T: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: Value, status: Value) -> T {
        serde_json::from_value(json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": kind, "spec": spec, "status": status,
            "metadata": {"name": name, "generation": 2, "creationTimestamp": at(1000)},
        }))
        .unwrap()
    }

    fn stack(observed: i64, generation: i64) -> WicapStack {
        let spec = json!({"host": "h", "compose": {"project": "s", "directory": "/srv/s"}, "services": []});
        object("WicapStack", "s", spec, json!({"observedAt": at(observed), "observedGeneration": generation}))
    }

    fn action(name: &str, status: Value) -> ActionRun {
        let spec = json!({"stack": "s", "action": "restart_service", "target": "ui", "session": "n",
            "cause": {"kind": "Drift", "summary": "x"}});
        object("ActionRun", name, spec, status)
    }

    fn known() -> Known {
        let leader = |name: &str| Leader {
            controller: name.to_owned(),
            identity: "h-1-abc".to_owned(),
            token: 1,
            lease: Some(Duration::from_secs(4)),
        };
        Known {
            leaders: vec![leader("observer.h"), leader("planner"), leader("actuator.web1")],
            stacks: vec![stack(1990, 2)],
            ..Known::default()
        }
    }

    fn shown(known: &Known, name: &str) -> Vec<String> {
        let of = |row: &Vec<String>| row[..2].join(" ").trim_end() == name;
        rows(known, at(2000)).into_iter().find(of).unwrap()[2..].to_vec()
    }

    #[test]
    fn each_controller_has_a_row_for_each_place_where_it_is_elected() {
        let rows = rows(&known(), at(2000));
        let hosts = |name: &str| rows.iter().filter(|row| row[0] == name).map(|row| row[1].clone()).collect::<Vec<_>>();
        assert_eq!(hosts("actuator"), ["h", "web1"], "also where no stack is");
        assert_eq!(hosts("planner"), [""]);
        assert_eq!(rows.len(), 6 + 2 * 5);
    }

    #[test]
    fn who_leads_and_what_is_not_known_is_said() {
        assert_eq!(shown(&known(), "observer h"), ["h-1-abc", "4s", "0", "", UNKNOWN, "10s"]);
        assert_eq!(shown(&known(), "gc"), ["<none>", "<none>", "0", "", UNKNOWN, UNKNOWN]);
        assert_eq!(shown(&known(), "audit")[2..], [UNKNOWN; 4]);
    }

    #[test]
    fn a_stack_waits_for_its_observer_when_its_spec_or_its_heartbeat_is_old() {
        let waiting = |stack| shown(&Known { stacks: vec![stack], ..known() }, "observer h")[2].clone();
        assert_eq!(waiting(stack(1910, 2)), "0");
        assert_eq!(waiting(stack(1909, 2)), "1");
        assert_eq!(waiting(stack(1999, 1)), "1");
    }

    #[test]
    fn an_actuators_queue_is_what_was_asked_for_and_not_what_waits_for_a_person() {
        let actions = vec![
            action("a", json!({"phase": "Pending"})),
            action("b", json!({"phase": "AwaitingApproval"})),
            action("c", json!({"phase": "Succeeded", "startedAt": at(1002), "finishedAt": at(1900)})),
            action("d", json!({"phase": "Succeeded", "startedAt": at(1004), "finishedAt": at(1005)})),
            action("e", json!({"phase": "Succeeded", "startedAt": at(1900), "approvalDeadline": at(1950)})),
        ];
        let row = shown(&Known { actions, ..known() }, "actuator h");
        assert_eq!(row, ["<none>", "<none>", "1", "16m", "4s/4s", "100s"]);
        let old = vec![action("c", json!({"phase": "Succeeded", "startedAt": at(1002)}))];
        let known = Known { actions: old, stacks: vec![stack(1990, 2)], ..Known::default() };
        let long_after = work(Controller::Actuator, Some("h"), &known, at(1003 + 3600));
        assert_eq!(long_after.waited, Some(vec![]), "what began more than an hour ago says nothing of now");
    }
}
