//! The tasks that ask: one for each probe of a container that runs, none for one that does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::Verdict;
use crate::api::stack::{Probe, ProbeStatus, WicapStackSpec};
use crate::api::{Time, after, elapsed};
use crate::clock::Clock;
use crate::dice;
use crate::observe::dial::Dialer;
use crate::observe::engine::{Container, ContainerState};

/// The first attempt is put off by a random part of this or of the period, whichever is shorter, so that the probes of a stack
/// do not ask all at once for ever. The kubelet spreads over the whole period; a verdict would then be ten seconds late.
const JITTER: Duration = Duration::from_secs(1);

/// The probes of one stack. Dropping it ends them all.
#[derive(Debug)]
pub struct ProbeSet {
    dialer: Dialer,
    clock: Clock,
    wake: Arc<Notify>,
    /// By service and name of the probe.
    running: BTreeMap<(String, String), Running>,
}

/// A probe that is being asked.
#[derive(Debug)]
struct Running {
    /// What it is asked of: another container, or another start of the same one, begins anew.
    container: (String, Option<Time>),
    probe: Probe,
    status: watch::Receiver<ProbeStatus>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProbeSet {
    /// No probes yet. `wake` is notified when a verdict changes.
    #[must_use]
    pub fn new(dialer: Dialer, clock: Clock, wake: Arc<Notify>) -> Self {
        Self { dialer, clock, wake, running: BTreeMap::new() }
    }

    /// Makes the tasks fit what the spec declares and what runs: begins, ends and begins anew. To be called whenever either may
    /// have changed, from within a Tokio runtime. When several containers of a service run, the first decides.
    pub fn sync(&mut self, spec: &WicapStackSpec, containers: &[Container]) {
        let mut kept = BTreeMap::new();
        for service in spec.services.iter().filter(|s| !s.probes.is_empty()) {
            let runs = |c: &&Container| c.service == service.name && c.status == ContainerState::Running;
            let Some(container) = containers.iter().filter(runs).min_by_key(|c| c.number) else { continue };
            let identity = (container.id.clone(), container.started_at);
            for probe in &service.probes {
                let key = (service.name.clone(), probe.name.clone());
                let same = |r: &Running| r.container == identity && r.probe == *probe && !r.task.is_finished();
                let running = match self.running.remove(&key).filter(same) {
                    Some(running) => running,
                    None => self.begin(probe, identity.clone()),
                };
                kept.insert(key, running);
            }
        }
        // What is left in the old map is over, and ends as it is dropped.
        self.running = kept;
    }

    /// The verdicts of a service's probes that are being asked, sorted by name.
    #[must_use]
    pub fn statuses(&self, service: &str) -> Vec<ProbeStatus> {
        let of_service = self.running.iter().filter(|((name, _), _)| name == service);
        let mut statuses: Vec<_> = of_service.map(|(_, running)| running.status.borrow().clone()).collect();
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        statuses
    }

    fn begin(&self, probe: &Probe, container: (String, Option<Time>)) -> Running {
        let mut verdict = Verdict::new(probe);
        let (sender, status) = watch::channel(verdict.status());
        let now = self.clock.now();
        let due = after(container.1.unwrap_or(now), probe.initial_delay.to_std());
        let wait = elapsed(now, due) + JITTER.min(probe.period.to_std()).mul_f64(dice::draw(0.0..1.0));
        let (asked, wake) = (probe.clone(), self.wake.clone());
        let (dialer, clock) = (self.dialer.clone(), self.clock.clone());
        let task = tokio::spawn(async move {
            let period = asked.period.to_std().max(Duration::from_millis(1));
            let mut ticks = tokio::time::interval_at(Instant::now() + wait, period);
            // An attempt that was late does not make the next one early.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let result = super::ask(&dialer, &asked).await;
                if verdict.feed(result, clock.now()) {
                    sender.send_replace(verdict.status());
                    wake.notify_one();
                }
            }
        });
        Running { container, probe: probe.clone(), status, task }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::ProbeState;
    use serde_json::json;
    use tokio::net::TcpListener;

    fn spec(port: u16) -> WicapStackSpec {
        serde_json::from_value(json!({
            "compose": {"project": "p", "directory": "/srv/p"},
            "services": [{"name": "ui", "probes": [{"name": "port", "period": "50ms", "timeout": "50ms",
                "failureThreshold": 2, "tcpSocket": {"port": port}}]}],
        }))
        .unwrap()
    }

    fn container(id: &str, status: ContainerState) -> Container {
        Container {
            service: "ui".to_owned(),
            id: id.to_owned(),
            name: "p-ui-1".to_owned(),
            image: "ui".to_owned(),
            config_hash: None,
            status,
            health: None,
            restart_count: 0,
            started_at: Some(Time::UNIX_EPOCH),
            finished_at: None,
            exit_code: None,
            oom_killed: false,
            number: 1,
        }
    }

    async fn woken(wake: &Notify) {
        tokio::time::timeout(Duration::from_secs(5), wake.notified()).await.expect("a change of verdict");
    }

    #[tokio::test]
    async fn a_probe_lives_and_dies_with_its_container() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spec = spec(listener.local_addr().unwrap().port());
        let wake = Arc::new(Notify::new());
        let mut set = ProbeSet::new(Dialer::kernel(), Clock::system(), wake.clone());
        set.sync(&spec, &[container("a", ContainerState::Paused)]);
        assert!(set.statuses("ui").is_empty());

        set.sync(&spec, &[container("a", ContainerState::Running)]);
        assert_eq!(set.statuses("ui")[0].state, ProbeState::Unknown);
        woken(&wake).await;
        assert_eq!(set.statuses("ui")[0].state, ProbeState::Passing);

        set.sync(&spec, &[container("a", ContainerState::Running)]);
        assert_eq!(set.statuses("ui")[0].state, ProbeState::Passing, "the same container goes on");
        drop(listener);
        woken(&wake).await;
        assert_eq!(set.statuses("ui")[0].state, ProbeState::Failing);

        set.sync(&spec, &[container("b", ContainerState::Running)]);
        assert_eq!(set.statuses("ui")[0].state, ProbeState::Unknown, "another container begins anew");
        set.sync(&spec, &[container("b", ContainerState::Exited)]);
        assert!(set.statuses("ui").is_empty());
        assert!(set.statuses("other").is_empty());
    }

    #[tokio::test]
    async fn the_initial_delay_counts_from_the_start_of_the_container() {
        let mut spec = spec(1);
        spec.services[0].probes[0].initial_delay = Duration::from_secs(3600).into();
        let wake = Arc::new(Notify::new());
        let mut set = ProbeSet::new(Dialer::kernel(), Clock::system(), wake.clone());
        let mut new = container("a", ContainerState::Running);
        new.started_at = Some(Time::now());
        set.sync(&spec, &[new]);
        assert!(tokio::time::timeout(Duration::from_millis(300), wake.notified()).await.is_err());
        // One that started long ago is asked at once.
        set.sync(&spec, &[container("a", ContainerState::Running)]);
        woken(&wake).await;
    }
}
