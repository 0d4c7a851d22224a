//! What is found out before anything is judged. Data only.

use std::path::PathBuf;
use std::time::Duration;

use crate::api::Time;
use crate::api::elevation::Elevation;
use crate::api::policy::ControlPolicy;
use crate::api::schedule::ScheduledSoak;
use crate::api::session::ControlSession;
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::stop::EmergencyStop;

use crate::observe::engine::About;
use crate::store::health::{Health, Leader};

/// What was found out, or in words why it could not be.
pub type Gathered<T> = Result<T, String>;

/// All that is judged.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When it was found out.
    pub now: Time,
    /// Whose eyes it was seen with.
    pub who: Who,
    /// Which store is meant.
    pub meant: Meant,
    /// Whether its address and its certificates can be used at all.
    pub connection: Gathered<()>,
    /// The store.
    pub store: Gathered<StoreFacts>,
    /// Its objects.
    pub objects: Gathered<Objects>,
    /// The newest copy of it where copies are looked for; none where there is none.
    pub backup: Gathered<Option<Backup>>,
    /// The engine.
    pub docker: Gathered<About>,
    /// The address it was asked at.
    pub docker_url: String,
    /// Its socket, when it has one.
    pub docker_socket: Option<Gathered<FileFacts>>,
    /// The version of the compose plugin.
    pub compose: Gathered<String>,
    /// Files and directories that must be for their owner alone.
    pub files: Vec<Guarded>,
    /// Disks.
    pub disks: Vec<Disk>,
    /// How far our clock and our stopwatch were apart in the end, when they were set going together: a clock that was set
    /// meanwhile.
    pub jumped: Duration,
    /// What the stop file of this host says, when there is one.
    pub stop_file: Option<(PathBuf, String)>,
    /// The projects of the stacks of this host, as they are on its disk.
    pub projects: Gathered<Vec<Project>>,
    /// The allowed roots of all policies, as written and as they are on this host's disk.
    pub roots: Vec<(String, Gathered<PathBuf>)>,
}

/// Whose eyes it was seen with.
#[derive(Clone, Debug)]
pub struct Who {
    /// The user's name.
    pub user: String,
    /// The name of this host, as stacks have it in `spec.host`.
    pub host: String,
}

/// Which store is meant.
#[derive(Clone, Debug)]
pub struct Meant {
    /// Its URL.
    pub url: String,
    /// Who said so, such as `by --store`.
    pub reason: String,
    /// Whether it is on this host.
    pub local: bool,
    /// The files of TLS that are read for it.
    pub tls_files: Vec<PathBuf>,
    /// The data directory of this host, which need not exist.
    pub data_dir: PathBuf,
    /// The socket of root's store, where that is another one and there is one.
    pub of_root: Option<PathBuf>,
    /// Where copies of it are looked for.
    pub backups: PathBuf,
}

/// What the store said.
#[derive(Clone, Debug)]
pub struct StoreFacts {
    /// How long each of several reads took.
    pub reads: Vec<Duration>,
    /// What it says of itself, which an etcd with authentication tells root only.
    pub health: Gathered<Health>,
    /// Who leads.
    pub leaders: Vec<Leader>,
}

/// Objects that bear on one another.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The stacks.
    pub stacks: Vec<WicapStack>,
    /// The sessions.
    pub sessions: Vec<ControlSession>,
    /// The policies.
    pub policies: Vec<ControlPolicy>,
    /// The elevations.
    pub elevations: Vec<Elevation>,
    /// The stops.
    pub stops: Vec<EmergencyStop>,
    /// The soak runs.
    pub soaks: Vec<SoakRun>,
    /// The schedules.
    pub schedules: Vec<ScheduledSoak>,
}

/// A copy of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The file.
    pub file: PathBuf,
    /// When it was last written.
    pub written: Time,
}

/// What the file system says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Id of the owner.
    pub owner: u32,
    /// Name of the group, or its id.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether the user may read and write it.
    pub usable: bool,
}

/// A file that must not be everybody's.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// What it is, for people.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Permission bits that it may have.
    pub may: u32,
    /// What was found; `None` when it is not there.
    pub found: Gathered<Option<FileFacts>>,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What is kept there, for people.
    pub what: &'static str,
    /// Where.
    pub path: PathBuf,
    /// How full it is.
    pub space: Gathered<Space>,
}

/// How full a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the file system.
    pub total: u64,
    /// Bytes that an ordinary user may still write.
    pub free: u64,
    /// Files that can still be made; `None` where the file system does not count them.
    pub files_free: Option<u64>,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// A compose project on this host's disk.
#[derive(Clone, Debug)]
pub struct Project {
    /// The stack's name.
    pub stack: String,
    /// The directory with its links resolved.
    pub directory: Gathered<PathBuf>,
    /// Compose and env files that cannot be read, each with the reason.
    pub unreadable: Vec<(String, String)>,
}

#[cfg(test)]
pub(super) mod fixtures {
    //! Facts of which nothing is wrong, to be changed by a test.

    use crate::api::stack::{HEARTBEAT, WicapStackStatus};
    use crate::api::{after, condition};
    use crate::controllers::Controller;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::doctor::controllers::leaders_of;

    pub fn now() -> Time {
        after(Time::UNIX_EPOCH, Duration::from_secs(1_000_000))
    }

    pub fn object<T: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: Value) -> T {
        let object = json!({"apiVersion": "wicap.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    pub fn stack(name: &str) -> WicapStack {
        let spec = json!({"host": "h", "compose": {"project": name, "directory": format!("/srv/{name}")},
            "services": [{"name": "ui"}, {"name": "redis"}]});
        let mut stack: WicapStack = object("WicapStack", name, spec);
        let mut status = WicapStackStatus { observed_at: Some(now() - HEARTBEAT / 2), ..Default::default() };
        let status_true = condition::Status::True;
        condition::set(&mut status.conditions, condition::OBSERVED, status_true, "EngineAnswers", "", None, now());
        stack.status = Some(status);
        stack
    }

    pub fn policy(name: &str) -> ControlPolicy {
        let spec = json!({"allow": [{"actions": ["group:caution"]}], "allowedRoots": ["/srv"], "hosts": ["*"]});
        object("ControlPolicy", name, spec)
    }

    pub fn session(name: &str, stack: &str) -> ControlSession {
        let spec = json!({"stack": stack, "mode": "Assist", "ttl": "1h", "allowedActions": ["restart_service"],
            "operator": "a@h", "reason": "r"});
        let mut session: ControlSession = object("ControlSession", name, spec);
        let expires = after(now(), Duration::from_secs(1800));
        session.status = serde_json::from_value(json!({"phase": "Active", "expiresAt": expires})).unwrap();
        session
    }

    pub fn file(mode: u32) -> FileFacts {
        FileFacts { owner: 1000, group: "docker".to_owned(), mode, usable: true }
    }

    pub fn well() -> Facts {
        let leader = |controller: String| Leader {
            controller,
            identity: "h-1-abc".to_owned(),
            token: 7,
            lease: Some(Duration::from_secs(4)),
        };
        let leaders = Controller::ALL.into_iter().flat_map(|c| leaders_of(c, &["h"])).map(leader).collect();
        let health = Health { version: "3.5.16".to_owned(), bytes: 1 << 20, has_leader: true, ..Health::default() };
        let space = Space { total: 1 << 40, free: 1 << 39, files_free: Some(1 << 20), read_only: false };
        Facts {
            now: now(),
            who: Who { user: "ann".to_owned(), host: "h".to_owned() },
            meant: Meant {
                url: "embedded".to_owned(),
                reason: "by default".to_owned(),
                local: true,
                tls_files: Vec::new(),
                data_dir: "/var/lib/wicap".into(),
                of_root: None,
                backups: "/var/lib/wicap/backups".into(),
            },
            connection: Ok(()),
            store: Ok(StoreFacts { reads: vec![Duration::from_millis(1); 5], health: Ok(health), leaders }),
            objects: Ok(Objects {
                stacks: vec![stack("wicap")],
                sessions: vec![session("night", "wicap")],
                policies: vec![policy("one")],
                ..Objects::default()
            }),
            backup: Ok(Some(Backup {
                file: "/var/lib/wicap/backups/a.db".into(),
                written: now() - Duration::from_secs(3600),
            })),
            docker: Ok(About { version: "28.0.1".to_owned(), api_version: "1.48".to_owned(), root: None, clock: None }),
            docker_url: "unix:///var/run/docker.sock".to_owned(),
            docker_socket: Some(Ok(file(0o660))),
            compose: Ok("2.26.1".to_owned()),
            files: vec![Guarded {
                what: "data directory",
                path: "/var/lib/wicap".into(),
                may: 0o755,
                found: Ok(Some(file(0o700))),
            }],
            disks: vec![Disk { what: "data directory", path: "/var/lib/wicap".into(), space: Ok(space) }],
            jumped: Duration::ZERO,
            stop_file: None,
            projects: Ok(vec![Project {
                stack: "wicap".to_owned(),
                directory: Ok("/srv/wicap".into()),
                unreadable: Vec::new(),
            }]),
            roots: vec![("/srv".to_owned(), Ok("/srv".into()))],
        }
    }

    pub fn objects(facts: &mut Facts) -> &mut Objects {
        facts.objects.as_mut().unwrap()
    }
}
