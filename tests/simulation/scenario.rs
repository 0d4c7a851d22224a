//! What a history is about: a stack, how its services behave, and what goes wrong when. All of it is drawn from the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use wicap::dice;

use super::docker::{Program, Trouble, chance};
use super::wire::Weather;

/// Processes that run every controller.
pub const PROCESSES: usize = 2;

/// What happens to the world.
#[derive(Clone, Debug)]
pub enum Fault {
    Kill(String),
    Crash(String, i64),
    StopByHand(String),
    Remove(String),
    RemoveAll,
    Pause(String),
    Freeze(String),
    Deafen(String),
    /// It ends right after each start, until it is mended; not at all where that is never.
    CrashLoop(String, Option<Duration>),
    /// The engine is in trouble for that long.
    Engine(Trouble, Duration),
    /// The connection of a process to the store is.
    Store(usize, Weather, Duration),
    /// It is cut, and goes on at once, or only after a compaction.
    Cut(usize, bool),
    /// The process dies on the spot.
    Die(usize),
    /// An operator stops everything for that long.
    Stop(Duration),
    /// Another session takes the place of the one in force, that much later.
    NextSession(Duration),
    /// An operator wants the stack stopped for that long.
    Park(Duration),
    /// An operator changes the spec in a way that changes nothing for the services.
    Edit,
    /// The stack is deleted, and declared again that much later.
    Delete(Duration),
    /// The engine answers and does nothing that is about that service's containers for that long.
    Mute(String, Duration),
    /// A session that only says what it would do takes the place of the one in force for that long.
    Shadow(Duration),
    /// The policy denies such actions for that long.
    Forbid(&'static str, Duration),
    /// The actuator's leadership ends, and whoever leads is not told.
    Depose,
}

/// What a history is about.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub programs: BTreeMap<String, Program>,
    pub stack: Value,
    /// Whether the services run at the beginning.
    pub up: bool,
    /// When what happens.
    pub faults: Vec<(Duration, Fault)>,
    /// A service that is killed at a time, and what happens while the claim of the next action is on its way.
    pub ambush: Option<(Duration, String, Fault)>,
    /// After it nothing goes wrong any more.
    pub calm: Duration,
    /// The longest that a request to the store is on its way, and its answer.
    pub distance: Duration,
    /// Actions that the policy denies all the time.
    pub forbidden: Option<&'static str>,
    /// At its n-th write or deed the first life of a process ends: before it or after it.
    pub dies_at_write: Vec<Option<(u64, bool)>>,
    pub dies_at_deed: Vec<Option<(u64, bool)>>,
}

/// Steps of the ladder.
const STEPS: [&str; 4] = ["start_service", "restart_service", "compose_up", "recreate_service"];

/// How long a drift is waited for.
const HOLD_OFFS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)];

fn pick<T: Clone>(of: &[T]) -> T {
    of[dice::draw(0..of.len())].clone()
}

fn between(least: u64, most: u64) -> Duration {
    Duration::from_millis(dice::draw(least..=most))
}

impl Scenario {
    /// Draws one.
    pub fn draw() -> Self {
        let count = dice::draw(1..=4_usize);
        let names: Vec<String> = (0..count).map(|n| format!("s{n}")).collect();
        let mut programs = BTreeMap::new();
        for (n, name) in names.iter().enumerate() {
            let program = Program {
                serves_after: between(50, 2000),
                deaf: chance(0.1),
                needs: (n > 0 && chance(0.5)).then(|| names[0].clone()),
                checked: chance(0.4),
                restarts: chance(0.5),
                port: 1000 + u16::try_from(n).expect("four at most"),
                config: 1,
                more: if chance(0.2) { dice::draw(1..=2) } else { 0 },
                ..Program::default()
            };
            programs.insert(name.clone(), program);
        }
        let stack = Self::stack(&names, &programs);
        let calm = between(10_000, 45_000);
        let mut faults: Vec<(Duration, Fault)> = Vec::new();
        for _ in 0..dice::draw(1..=8) {
            // Half of them come when the last one is just being mended: at once, or after one of the hold-offs.
            let soon = faults.last().filter(|_| chance(0.5)).map(|(at, _)| *at + pick(&HOLD_OFFS) + between(0, 400));
            let at = soon.filter(|at| *at < calm).unwrap_or_else(|| calm.mul_f64(dice::draw(0.05..0.95)));
            faults.push((at, Self::fault(&names, calm)));
        }
        faults.sort_by_key(|(at, _)| *at);
        let ambush = chance(0.3).then(|| {
            let long = between(500, 20_000).min(calm / 3);
            let what = match dice::draw(0..4) {
                0 => Fault::Stop(long),
                1 => Fault::NextSession(long),
                2 => Fault::Forbid("*", long),
                _ => Fault::Depose,
            };
            (calm.mul_f64(dice::draw(0.05..0.5)), pick(&names), what)
        });
        let fatal = |most: u64, share: f64| {
            (0..PROCESSES).map(|_| chance(share).then(|| (dice::draw(1..=most), chance(0.5)))).collect()
        };
        let distance = Duration::from_millis(pick(&[0, 1, 10, 100]));
        Self {
            programs,
            stack,
            up: chance(0.8),
            faults,
            ambush,
            calm,
            distance,
            forbidden: chance(0.1).then(|| pick(&STEPS)),
            dies_at_write: fatal(60, 0.3),
            dies_at_deed: fatal(3, 0.2),
        }
    }

    /// One in which nothing happens by itself: those services run and serve, and one process watches over them.
    pub fn quiet(programs: BTreeMap<String, Program>, services: &[Value], defaults: &Value) -> Self {
        let stack = json!({
            "host": "here", "compose": {"project": "p", "directory": "DIRECTORY"}, "services": services, "defaults": defaults,
        });
        Self {
            programs,
            stack,
            up: true,
            faults: Vec::new(),
            ambush: None,
            calm: Duration::ZERO,
            distance: Duration::ZERO,
            forbidden: None,
            dies_at_write: vec![None],
            dies_at_deed: vec![None],
        }
    }

    fn stack(names: &[String], programs: &BTreeMap<String, Program>) -> Value {
        let services: Vec<Value> = names
            .iter()
            .map(|name| {
                let mut service = json!({"name": name});
                // Only one container of a service can have a port of the host.
                if programs[name].more == 0 && chance(0.6) {
                    let port = programs[name].port;
                    let ask = if chance(0.5) { json!({"port": port}) } else { json!({"port": port, "path": "/health"}) };
                    let kind = if ask.get("path").is_some() { "httpGet" } else { "tcpSocket" };
                    service["probes"] = json!([{
                        "name": "up", kind: ask, "period": pick(&["1s", "2s", "5s"]), "timeout": "1s",
                        "failureThreshold": dice::draw(1..=3_u32),
                    }]);
                }
                service
            })
            .collect();
        json!({
            "host": "here", "compose": {"project": "p", "directory": "DIRECTORY"}, "services": services,
            "defaults": {
                "maxConcurrent": dice::draw(1..=3_u32),
                "recovery": {
                    "holdOff": format!("{}s", pick(&HOLD_OFFS).as_secs()), "resetAfter": "30s",
                    "backoff": {"initial": pick(&["0s", "1s", "5s"]), "max": pick(&["5s", "20s"])},
                },
            },
        })
    }

    fn fault(names: &[String], calm: Duration) -> Fault {
        let service = pick(names);
        let process = dice::draw(0..PROCESSES);
        let long = between(500, 20_000).min(calm / 3);
        match dice::draw(0..28) {
            0 | 1 => Fault::Kill(service),
            2 | 3 => Fault::Crash(service, pick(&[0, 1, 137])),
            4 => Fault::StopByHand(service),
            5 | 6 => Fault::Remove(service),
            7 => Fault::RemoveAll,
            8 => Fault::Pause(service),
            9 => Fault::Freeze(service),
            10 => Fault::Deafen(service),
            11 => Fault::CrashLoop(service, Some(long)),
            12 => {
                // Not for ever, more often than not: what cannot be mended ends in an escalation, and that ends the history.
                let long = (!chance(0.3)).then_some(long);
                Fault::CrashLoop(service, long)
            }
            13..=15 => Fault::Engine(Self::trouble(), long),
            16 | 17 => Fault::Store(process, Self::weather(), long),
            18 => Fault::Cut(process, chance(0.5)),
            19 => Fault::Die(process),
            20 => Fault::Stop(long),
            21 => Fault::NextSession(long),
            22 => Fault::Park(long),
            23 => Fault::Mute(service, long),
            24 => Fault::Shadow(long),
            25 | 26 => {
                let what = if chance(0.3) { "*" } else { pick(&STEPS) };
                Fault::Forbid(what, long)
            }
            _ => {
                if chance(0.5) {
                    Fault::Edit
                } else {
                    Fault::Delete(long)
                }
            }
        }
    }

    fn trouble() -> Trouble {
        let share = dice::draw(0.1..0.9);
        let quiet = Trouble::default();
        match dice::draw(0..7) {
            0 => Trouble { refuses: true, ..quiet },
            1 => Trouble { fails: share, ..quiet },
            2 => Trouble { lies: share, ..quiet },
            3 => Trouble { hangs: share, ..quiet },
            4 => Trouble { late: share, ..quiet },
            5 => Trouble { loses: 1.0, ..quiet },
            _ => Trouble { repeats: share, delays: between(10, 5000), ..quiet },
        }
    }

    fn weather() -> Weather {
        let share = dice::draw(0.1..0.9);
        let fine = Weather::default();
        match dice::draw(0..7) {
            0 => Weather { loses: share, ..fine },
            1 => Weather { refuses: share, ..fine },
            2 => Weather { delays: between(10, 3000), ..fine },
            3 | 4 => Weather { strays: share, silent: chance(0.7), ..fine },
            5 => Weather { strays: share, deposes: true, ..fine },
            _ => Weather { silent: true, ..fine },
        }
    }
}
