//! The example stack, up without any help of ours, so that whatever the engine tells later has its cause in the test.

use serde_json::Value;
use wicap::api::stack::WicapStack;
use wicap::store::Store;

use super::docker::{EngineLog, docker};
use super::server::Server;
use super::{Daemon, Example, Said, apply, available, connect, until, wicapctl};

/// What the engine tells when the processor is killed, and when it is mended after that.
pub const KILLED: [&str; 2] = ["kill processor", "die processor"];
pub const MENDED: [&str; 3] = ["kill processor", "die processor", "start processor"];

/// Every controller but the one that acts.
pub const ALL_BUT_ACTUATOR: [&str; 2] = ["--controllers", "observer,planner,session,policy,soak,audit,gc"];

pub struct Scene {
    pub daemons: Vec<Daemon>,
    pub log: EngineLog,
    pub example: Example,
    pub store: Store,
    pub url: String,
    pub server: Server,
}

impl Scene {
    /// A stack `wicap` and an Assist session `night`, changed as the test wants them, and a daemon with these arguments.
    pub async fn new(
        name: &str,
        arguments: &[&str],
        stack: impl FnOnce(&mut Value),
        session: impl FnOnce(&mut Value),
    ) -> Self {
        let server = Server::start().await;
        let example = Example::new(name);
        example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
        let url = server.url();
        let daemons = vec![Daemon::start(&url, example.path(), arguments)];
        let store = connect(&url).await;
        let mut night = example.session("night", "Assist");
        session(&mut night["spec"]);
        apply(&url, &[example.stack(stack), example.policy(), night]);
        until::<WicapStack>(&store, "wicap", "Available", available).await;
        let log = EngineLog::of(&example);
        Self { daemons, log, example, store, url, server }
    }

    pub fn kill(&self, service: &str) {
        docker(&["kill", &self.example.container(service)]);
    }

    pub fn ctl(&self, arguments: &[&str]) -> Said {
        wicapctl(&self.url, arguments, "")
    }

    /// What must succeed.
    pub fn do_ctl(&self, arguments: &[&str]) {
        let said = self.ctl(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    }

    pub async fn until(&self, what: &str, wanted: impl Fn(&WicapStack) -> bool) -> WicapStack {
        until(&self.store, "wicap", what, wanted).await
    }

    /// What the engine has told so far, with all that happened before now.
    pub fn told(&self) -> Vec<String> {
        self.log.settle(&self.example, "ui");
        self.log.told()
    }

    /// The one ActionRun that the planner asked for.
    pub async fn asked_for(&self) -> wicap::api::action::ActionRun {
        let asked = |s: &WicapStack| s.status.as_ref().is_some_and(|s| s.recovery.iter().any(|r| r.last_action.is_some()));
        self.until("being mended", asked).await;
        let mut runs = super::action_runs(&self.store).await;
        assert_eq!(runs.len(), 1, "{runs:#?}");
        runs.remove(0)
    }
}
