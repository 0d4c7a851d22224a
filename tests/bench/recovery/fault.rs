//! The ways in which a service is hurt, and what a person would call to mend it.

use std::time::Duration;

use wicap::observe::engine::Engine;

use crate::stage::Stage;
use crate::support::docker::docker;

/// A way to be hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Crash,
    Kill,
    Stop,
    Removed,
    Unhealthy,
    Paused,
    Frozen,
    ListenerDead,
    Http503,
    Disconnected,
    HungStop,
    BaseDeath,
}

/// The call that mends it, by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    Start,
    Restart,
    Up,
    Recreate,
}

impl Fault {
    pub const ALL: [Self; 12] = [
        Self::Crash,
        Self::Kill,
        Self::Stop,
        Self::Removed,
        Self::Unhealthy,
        Self::Paused,
        Self::Frozen,
        Self::ListenerDead,
        Self::Http503,
        Self::Disconnected,
        Self::HungStop,
        Self::BaseDeath,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "process crash",
            Self::Kill => "docker kill",
            Self::Stop => "docker stop",
            Self::Removed => "container removed",
            Self::Unhealthy => "unhealthy",
            Self::Paused => "paused",
            Self::Frozen => "frozen PID 1",
            Self::ListenerDead => "listener dead",
            Self::Http503 => "HTTP 503, check blind",
            Self::Disconnected => "network disconnected",
            Self::HungStop => "hung stop",
            Self::BaseDeath => "base dies, 3 dependents",
        }
    }

    /// The service that is hurt.
    pub fn service(self) -> &'static str {
        if self == Self::BaseDeath { "base" } else { "app" }
    }

    pub fn remedy(self) -> Remedy {
        match self {
            Self::Crash | Self::Kill | Self::Stop | Self::BaseDeath => Remedy::Start,
            Self::Removed => Remedy::Up,
            Self::Disconnected => Remedy::Recreate,
            _ => Remedy::Restart,
        }
    }

    /// Whether the engine tells of it, so that nothing has to be asked to know of it.
    pub fn is_told(self) -> bool {
        matches!(
            self,
            Self::Crash | Self::Kill | Self::Stop | Self::Removed | Self::Paused | Self::BaseDeath | Self::Unhealthy
        )
    }

    /// Hurts.
    pub fn apply(self, stage: &Stage) {
        let container = stage.container(self.service());
        let tell = |words: &[&str]| {
            docker(&[&["exec", &container, "wicap-sim", "tell"][..], words].concat());
        };
        match self {
            Self::Crash => tell(&["die", "1"]),
            Self::Kill | Self::BaseDeath => drop(docker(&["kill", &container])),
            Self::Stop => drop(docker(&["stop", &container])),
            Self::Removed => drop(docker(&["rm", "--force", &container])),
            Self::Unhealthy => tell(&["unhealthy"]),
            Self::Paused => {
                // Docker 20.10 never lets go of a container that is paused while its health check runs: not by anybody's call.
                let checked = || docker(&["inspect", "--format", "{{range .State.Health.Log}}{{.End}} {{end}}", &container]);
                let before = checked();
                while checked() == before {
                    std::thread::sleep(Duration::from_millis(10));
                }
                docker(&["pause", &container]);
            }
            Self::Frozen => {
                let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &container]);
                let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("it runs");
                rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it can be stopped");
            }
            Self::ListenerDead => tell(&["hang"]),
            Self::Http503 => tell(&["http-503"]),
            Self::Disconnected => drop(docker(&["network", "disconnect", &stage.network(), &container])),
            Self::HungStop => tell(&["hang", "deaf"]),
        }
    }
}

impl Remedy {
    /// The call, by hand, through the same client as wicap's.
    pub async fn apply(self, engine: &Engine, stage: &Stage, service: &'static str) {
        let anew = |option: &'static str| {
            stage.compose(&["up", "--detach", "--no-deps", "--no-build", "--pull", "never", option, service]);
        };
        match self {
            Self::Start => engine.start(&stage.container(service)).await.expect("it can be started"),
            Self::Restart => {
                engine.restart(&stage.container(service), Duration::from_secs(2)).await.expect("it can be restarted");
            }
            Self::Up => anew("--no-recreate"),
            Self::Recreate => anew("--force-recreate"),
        }
    }
}
