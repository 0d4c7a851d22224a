//! The tasks that ask: one for each probe of a container that runs, none for one that does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::pace::{Next, Pace, QUICK_FOR};
use super::{Asker, Outcome, Question, Subject, Verdict};
use crate::api::stack::{Health, Probe, ProbeStatus, WicapStackSpec};
use crate::api::{Time, after, elapsed};
use crate::dice;
use crate::observe::engine::{Container, ContainerState};

/// The first attempt is put off by a random part of this or of the period, whichever is shorter, so that the probes of a stack
/// do not ask all at once for ever. The kubelet spreads over the whole period; a verdict would then be ten seconds late.
const JITTER: Duration = Duration::from_secs(1);

/// The same for a container that has just started, whose recovery somebody waits for: that it serves is to be known within 0.1 s.
const START_JITTER: Duration = Duration::from_millis(50);

/// The probes of one stack. Dropping it ends them all.
#[derive(Debug)]
pub struct ProbeSet {
    asker: Asker,
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
    health: watch::Sender<Option<Health>>,
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
    pub fn new(asker: Asker, wake: Arc<Notify>) -> Self {
        Self { asker, wake, running: BTreeMap::new() }
    }

    /// Makes the tasks fit what the spec declares and what runs: begins, ends and begins anew. To be called whenever either may
    /// have changed, from within a Tokio runtime. When several containers of a service run, the first decides.
    pub fn sync(&mut self, spec: &WicapStackSpec, containers: &[Container]) {
        let mut kept = BTreeMap::new();
        for service in spec.services.iter().filter(|s| !s.probes.is_empty()) {
            let runs = |c: &&Container| c.service == service.name && c.status == ContainerState::Running;
            let Some(container) = containers.iter().filter(runs).min_by_key(|c| c.number) else {
                // Of one that the engine does not answer for, what was found out stays until it does.
                let is_silent = |c: &Container| c.service == service.name && c.status == ContainerState::Unanswered;
                for probe in service.probes.iter().filter(|_| containers.iter().any(is_silent)) {
                    let key = (service.name.clone(), probe.name.clone());
                    let running = self.running.remove(&key).filter(|r| r.probe == *probe);
                    kept.extend(running.map(|running| (key, running)));
                }
                continue;
            };
            let identity = (container.id.clone(), container.started_at);
            for probe in &service.probes {
                let key = (service.name.clone(), probe.name.clone());
                let same = |r: &Running| r.container == identity && r.probe == *probe && !r.task.is_finished();
                let running = match self.running.remove(&key).filter(same) {
                    Some(running) => running,
                    None => self.begin(probe, container),
                };
                running.health.send_if_modified(|health| {
                    let changed = *health != container.health;
                    *health = container.health;
                    changed
                });
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

    fn begin(&self, probe: &Probe, container: &Container) -> Running {
        let mut verdict = Verdict::new(probe);
        let (sender, status) = watch::channel(verdict.status());
        let (health, mut word) = watch::channel(container.health);
        let mut pace = self.pace(probe, container.started_at);
        let question = Question::new(probe);
        let mut subject = Subject::of(container);
        let (asker, wake) = (self.asker.clone(), self.wake.clone());
        let task = tokio::spawn(async move {
            loop {
                let Next { at, counts } = pace.next(Instant::now());
                let counts = tokio::select! {
                    biased;
                    () = sleep_until(at) => counts,
                    // That it is healthy now need not wait for the period; that it is not does, as for any probe.
                    Ok(()) = word.changed(), if question.is_health() => false,
                };
                subject.health = *word.borrow_and_update();
                let begun = Instant::now();
                let attempt = question.ask(&asker, &subject).await;
                pace.made(begun, counts, matches!(attempt.outcome, Outcome::Passed(_)));
                if verdict.feed(attempt, counts, asker.clock.now()) {
                    sender.send_replace(verdict.status());
                    wake.notify_one();
                } else {
                    // Samples alone wake nobody.
                    sender.send_if_modified(|status| {
                        let changed = status.samples != *verdict.samples();
                        if changed {
                            status.samples.clone_from(verdict.samples());
                        }
                        changed
                    });
                }
            }
        });
        Running { container: (container.id.clone(), container.started_at), probe: probe.clone(), health, status, task }
    }

    /// When the probe is asked of a container that started then.
    fn pace(&self, probe: &Probe, started_at: Option<Time>) -> Pace {
        let (now, instant) = (self.asker.clock.now(), Instant::now());
        let due = after(started_at.unwrap_or(now), probe.initial_delay.to_std());
        let (late, left) = (elapsed(due, now), elapsed(now, due));
        let jitter = if late < QUICK_FOR { START_JITTER } else { JITTER };
        let first = instant + left + jitter.min(probe.period.to_std()).mul_f64(dice::draw(0.0..1.0));
        Pace::new(first, instant + left + QUICK_FOR.saturating_sub(late), probe.period.to_std())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::ProbeState;
    use crate::clock::Clock;
    use crate::observe::dial::Dialer;
    use crate::observe::engine::Engine;
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
            image_id: None,
            networks: Vec::new(),
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

    /// Reaches the network, and no engine.
    fn asker() -> Asker {
        let engine = Engine::new("unix:///nonexistent/docker.sock").unwrap();
        Asker { dialer: Dialer::kernel(), engine, clock: Clock::system(), rules: Arc::default() }
    }

    async fn woken(wake: &Notify) {
        tokio::time::timeout(Duration::from_secs(5), wake.notified()).await.expect("a change of verdict");
    }

    #[tokio::test]
    async fn a_probe_lives_and_dies_with_its_container() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spec = spec(listener.local_addr().unwrap().port());
        let wake = Arc::new(Notify::new());
        let mut set = ProbeSet::new(asker(), wake.clone());
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

    #[test]
    fn a_log_is_of_this_start_from_half_way_between_the_last_end_and_it() {
        let at = |ms| Some(Time::from_millisecond(ms).unwrap());
        let mut again = container("a", ContainerState::Running);
        (again.finished_at, again.started_at) = (at(1000), at(1200));
        assert_eq!(Subject::of(&again).log_from, at(1100));
        again.finished_at = None;
        assert_eq!(Subject::of(&again).log_from, None, "its first start");
    }

    #[tokio::test]
    async fn the_initial_delay_counts_from_the_start_of_the_container() {
        let mut spec = spec(1);
        spec.services[0].probes[0].initial_delay = Duration::from_secs(3600).into();
        let wake = Arc::new(Notify::new());
        let mut set = ProbeSet::new(asker(), wake.clone());
        let mut new = container("a", ContainerState::Running);
        new.started_at = Some(Time::now());
        set.sync(&spec, &[new]);
        assert!(tokio::time::timeout(Duration::from_millis(300), wake.notified()).await.is_err());
        // One that started long ago is asked at once.
        set.sync(&spec, &[container("a", ContainerState::Running)]);
        woken(&wake).await;
    }

    /// A paused clock, and a dialler that notes when it was called and refuses until `from`; each connection is at once at its end.
    fn simulated(from: Duration) -> (Asker, Arc<std::sync::Mutex<Vec<Duration>>>) {
        let (began, dialled) = (Instant::now(), Arc::new(std::sync::Mutex::new(Vec::new())));
        let noted = Arc::clone(&dialled);
        let dialer = Dialer::simulated(Arc::new(move |_: &str, _| {
            noted.lock().unwrap().push(began.elapsed());
            let refused = || Err(std::io::ErrorKind::ConnectionRefused.into());
            let answer = if began.elapsed() < from { refused() } else { Ok(tokio::io::duplex(1).0) };
            Box::pin(async { answer })
        }));
        (Asker { dialer, clock: Clock::of_runtime(Time::UNIX_EPOCH), ..asker() }, dialled)
    }

    #[tokio::test(start_paused = true)]
    async fn a_fresh_start_is_asked_within_100_ms_and_known_to_serve_within_200_ms_of_doing_so() {
        for seed in 0..20 {
            dice::seed(seed);
            let (asker, dialled) = simulated(Duration::from_millis(730));
            let mut spec = spec(1);
            spec.services[0].probes[0].period = Duration::from_secs(10).into();
            let wake = Arc::new(Notify::new());
            let mut set = ProbeSet::new(asker, wake.clone());
            let began = Instant::now();
            set.sync(&spec, &[container("a", ContainerState::Running)]);
            woken(&wake).await;
            let known = began.elapsed();
            assert_eq!(set.statuses("ui")[0].state, ProbeState::Passing);
            let first = dialled.lock().unwrap()[0];
            assert!(first <= Duration::from_millis(100), "first asked after {first:?}");
            assert!(known <= Duration::from_millis(930), "known after {known:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn quick_attempts_make_nothing_fail_sooner() {
        dice::seed(1);
        let (asker, dialled) = simulated(Duration::MAX);
        let mut spec = spec(1);
        spec.services[0].probes[0].period = Duration::from_secs(10).into();
        let wake = Arc::new(Notify::new());
        let mut set = ProbeSet::new(asker, wake.clone());
        let began = Instant::now();
        set.sync(&spec, &[container("a", ContainerState::Running)]);
        tokio::time::timeout(Duration::from_secs(60), wake.notified()).await.expect("a verdict");
        assert_eq!(set.statuses("ui")[0].state, ProbeState::Failing);
        let (known, attempts) = (began.elapsed(), dialled.lock().unwrap().len());
        // The threshold is two: the second that counts is a period after the first.
        assert!(known >= Duration::from_secs(10) && attempts > 8, "{attempts} attempts, failing after {known:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_engines_word_is_a_probe_of_its_own_and_its_becoming_healthy_is_no_matter_of_the_period() {
        let mut spec = spec(1);
        let probe = &mut spec.services[0].probes[0];
        (probe.tcp_socket, probe.health) = (None, Some(crate::api::stack::HealthWord {}));
        probe.period = Duration::from_secs(10).into();
        let (asker, _) = simulated(Duration::ZERO);
        let wake = Arc::new(Notify::new());
        let mut set = ProbeSet::new(asker, wake.clone());
        let with = |health| Container { health, ..container("a", ContainerState::Running) };
        let state = |set: &ProbeSet| set.statuses("ui")[0].state;

        set.sync(&spec, &[with(Some(Health::Starting))]);
        woken(&wake).await;
        assert_eq!(state(&set), ProbeState::Unknown);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(state(&set), ProbeState::Unknown, "starting says nothing, however long");
        let began = Instant::now();
        set.sync(&spec, &[with(Some(Health::Healthy))]);
        woken(&wake).await;
        assert_eq!((state(&set), began.elapsed()), (ProbeState::Passing, Duration::ZERO));
        set.sync(&spec, &[with(Some(Health::Unhealthy))]);
        tokio::time::timeout(Duration::from_secs(60), wake.notified()).await.expect("a verdict");
        assert_eq!(state(&set), ProbeState::Failing);
        assert!(began.elapsed() > Duration::from_secs(10), "two failures a period apart: {:?}", began.elapsed());
    }
}
