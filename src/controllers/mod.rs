//! The reconcilers: one file each. Wiring only: what is true is found out in `observe`, what to do is decided in `plan`, and it
//! is done in `act`.
//!
//! Each runs as a role of `wicapd run --controllers`, alone or with others, in any number of processes: a lease elects the one
//! that works. Observer, actuator, soak, signals and snapshot serve the stacks of one host, and are elected per host.
//!
//! # Layout
//! - [`observer`], [`planner`], [`actuator`], [`session`], [`policy`], [`soak`], [`signals`], [`snapshot`],
//!   [`schedule`], [`audit`], [`gc`]: the reconcilers
//! - [`local_stop`]: what is no reconciler: the stop file of this host, for everybody
//! - [`owner`]: what is made for a stack goes with it
//! - `incidents`: how what was decided of incidents is written
//! - `runtime`: leadership, watches, queue, backoff: what they are all made of

pub mod actuator;
pub mod audit;
mod backoff;
pub mod gc;
mod incidents;
pub mod local_stop;
pub mod observer;
pub mod owner;
pub mod planner;
pub mod policy;
mod queue;
mod runtime;
pub mod schedule;
pub mod session;
pub mod signals;
pub mod snapshot;
pub mod soak;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::observe::compose::ComposeCli;
use crate::observe::dial::Dialer;
use crate::observe::engine::Engine;
use crate::stop_file::StopFile;
use crate::store::Store;

/// The reconcilers that a process can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Writes what is true of stacks.
    Observer,
    /// Decides what to do about them.
    Planner,
    /// Does it.
    Actuator,
    /// Opens and closes sessions.
    Session,
    /// Says of policies whether they leave anything to do.
    Policy,
    /// Carries out soak runs.
    Soak,
    /// Reads the logs of stacks.
    Signals,
    /// Packs what is known of them when something has gone wrong.
    Snapshot,
    /// Makes soak runs by the clock.
    Schedule,
    /// Moves old records of the audit log out of the store.
    Audit,
    /// Removes what nobody owns any more.
    Gc,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 11] = [
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

    /// Its name on the command line and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
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
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The value of `--controllers`: `all`, or names separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(pub BTreeSet<Controller>);

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        if names == ["all"] {
            return Ok(Self(Controller::ALL.into()));
        }
        names
            .into_iter()
            .map(|name| {
                Controller::ALL.into_iter().find(|c| c.as_str() == name).ok_or_else(|| {
                    let all: Vec<_> = Controller::ALL.iter().map(|c| c.as_str()).collect();
                    format!("found {name:?}, expected \"all\" or some of {}", all.join(", "))
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// What the reconcilers of a process share.
#[derive(Clone, Debug)]
pub struct Context {
    /// The store.
    pub store: Store,
    /// The host whose stacks the observer and the actuator serve.
    pub host: String,
    /// The engine of that host.
    pub engine: Engine,
    /// Compose, for that engine.
    pub compose: ComposeCli,
    /// How probes and checks connect.
    pub dialer: Dialer,
    /// Who this process is, for leader keys and claims.
    pub identity: String,
    /// This host's data directory: what leaves the store is kept there.
    pub data_dir: PathBuf,
    /// Records of each lane of the audit log that stay in the store. When there are half as many more, the oldest are moved.
    pub audit_kept: u64,
    /// What stops this host even when the store cannot be reached.
    pub stop_file: StopFile,
}

/// Runs the chosen reconcilers until `shutdown`, then ends them in good order.
pub async fn run(context: Context, selection: &Selection, shutdown: CancellationToken) {
    let mut running = JoinSet::new();
    let (store, file) = (context.store.clone(), context.stop_file.clone());
    running.spawn(local_stop::run(store, file, context.host.clone(), shutdown.clone()));
    for controller in &selection.0 {
        let (context, shutdown) = (context.clone(), shutdown.clone());
        match controller {
            Controller::Observer => running.spawn(observer::run(context, shutdown)),
            Controller::Planner => running.spawn(planner::run(context, shutdown)),
            Controller::Actuator => running.spawn(actuator::run(context, shutdown)),
            Controller::Session => running.spawn(session::run(context, shutdown)),
            Controller::Policy => running.spawn(policy::run(context, shutdown)),
            Controller::Soak => running.spawn(soak::run(context, shutdown)),
            Controller::Signals => running.spawn(signals::run(context, shutdown)),
            Controller::Snapshot => running.spawn(snapshot::run(context, shutdown)),
            Controller::Schedule => running.spawn(schedule::run(context, shutdown)),
            Controller::Audit => running.spawn(audit::run(context, shutdown)),
            Controller::Gc => running.spawn(gc::run(context, shutdown)),
        };
    }
    running.join_all().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_controller_has_a_role_in_the_store_and_people_have_the_other_two() {
        use crate::store::roles::Role;
        let mut names: Vec<_> = Controller::ALL.map(Controller::as_str).into();
        names.extend(["operator", "viewer"]);
        let mut roles: Vec<_> = Role::ALL.map(Role::as_str).into();
        names.sort_unstable();
        roles.sort_unstable();
        assert_eq!(names, roles);
    }

    #[test]
    fn controllers_are_chosen_by_name() {
        assert_eq!("all".parse::<Selection>().unwrap().0.len(), 11);
        let some = "soak, planner".parse::<Selection>().unwrap();
        assert_eq!(some.0.into_iter().collect::<Vec<_>>(), [Controller::Planner, Controller::Soak]);
        assert!("planer".parse::<Selection>().unwrap_err().contains("found \"planer\""));
        assert!("".parse::<Selection>().is_err());
    }
}
