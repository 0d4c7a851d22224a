//! `top services`: states and restarts as they are in the store; CPU and memory from this host's engine, which are not
//! stored.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::stack::{HEARTBEAT, ServiceState, WicapStack, default_host};
use crate::api::{Object, Time, elapsed};
use crate::cli::print::age::age;
use crate::cli::print::table::Table;
use crate::cli::progress::progress;
use crate::cli::{Error, Io};
use crate::observe::engine::{ContainerState, Engine, EngineError, Usage};
use crate::store::{ListParams, Store};
use clap::{Args, ValueEnum};
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use super::UNKNOWN;

/// Between the two looks that a rate is told by: processor time is counted in milliseconds, so that a second is exact to a
/// thousandth.
const INTERVAL: Duration = Duration::from_secs(1);

/// Containers that are asked at once: the engine answers each in milliseconds, and more would only wait inside it.
const PARALLEL: usize = 16;

/// Arguments of `top services`.
#[derive(Debug, Args)]
pub struct Services {
    /// The stack; all of them when absent
    #[arg(value_name = "STACK")]
    stack: Option<String>,
    /// What uses most of this comes first; the order of the manifest when absent
    #[arg(long, value_enum, value_name = "cpu|memory|restarts", hide_possible_values = true)]
    sort_by: Option<Order>,
    /// The name of this host, as stacks have it in spec.host
    #[arg(long, env = "WICAP_HOST", default_value_t = default_host(), value_name = "NAME")]
    host: String,
    /// The Docker engine of this host
    #[arg(long, env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock", value_name = "URL")]
    docker: String,
    /// No line with the names of the columns
    #[arg(long)]
    no_headers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    Cpu,
    Memory,
    Restarts,
}

/// What a service's containers use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Use {
    /// Thousandths of a processor; none where it was not there for both looks.
    millicores: Option<u64>,
    /// Bytes.
    memory: Option<u64>,
}

/// A container, and how often it has used what at a moment.
#[derive(Clone, Debug)]
struct Look {
    service: String,
    at: Instant,
    usage: Usage,
}

/// By stack and service.
type Measured = BTreeMap<(String, String), Use>;

impl Services {
    pub async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let stacks = match &self.stack {
            Some(name) => vec![store.api::<WicapStack>().get(name).await?],
            None => store.api::<WicapStack>().list(&ListParams::default()).await?.items,
        };
        let (ours, others): (Vec<_>, Vec<_>) = stacks.iter().partition(|stack| stack.spec.host == self.host);
        let measured =
            if ours.is_empty() { Ok(Measured::new()) } else { progress(io, "measuring", self.measure(&ours)).await };
        let used = measured.as_ref().cloned().unwrap_or_default();
        let rows = rows(&stacks, &used, self.sort_by, store.clock().now());
        if rows.is_empty() {
            let of = self.stack.as_ref().map(|name| format!(" of the stack {name}")).unwrap_or_default();
            writeln!(io.err, "No services{of} found")?;
        } else {
            let header = ["STACK", "SERVICE", "STATE", "CPU(cores)", "MEMORY(bytes)", "RESTARTS", "SINCE"];
            let header = if self.no_headers { Vec::new() } else { vec![header.map(str::to_owned).into()] };
            Table::list().write(io.out, &[header, rows].concat())?;
        }
        for stack in others {
            let (name, host) = (stack.name(), &stack.spec.host);
            writeln!(
                io.err,
                "the containers of {name} are on {host}: what they use is known there only (this one is {}; see --host)",
                self.host
            )?;
        }
        measured.map(drop).map_err(|e| Error::No(format!("what containers use is not known: {e}")))
    }

    /// Looks twice at every container that runs.
    async fn measure(&self, stacks: &[&WicapStack]) -> Result<Measured, EngineError> {
        let engine = Engine::new(&self.docker)?;
        let mut wanted = Vec::new();
        for stack in stacks {
            for container in engine.containers(&stack.spec.compose.project).await? {
                if matches!(container.status, ContainerState::Running | ContainerState::Paused) {
                    wanted.push((stack.name().to_owned(), container.service, container.id));
                }
            }
        }
        let begun = Instant::now();
        let first = look(&engine, &wanted).await;
        sleep_until(begun + INTERVAL).await;
        let second = look(&engine, &wanted).await;
        let mut measured = Measured::new();
        for ((stack, ..), (before, after)) in wanted.into_iter().zip(first.into_iter().zip(second)) {
            // One that has gone meanwhile uses nothing.
            let Some(after) = after else { continue };
            let (service, used) = (after.service.clone(), used(before.as_ref(), &after));
            let sum = measured.entry((stack, service)).or_default();
            *sum = add(*sum, used);
        }
        Ok(measured)
    }
}

async fn look(engine: &Engine, wanted: &[(String, String, String)]) -> Vec<Option<Look>> {
    let looks = stream::iter(wanted).map(|(_, service, id)| async move {
        let usage = engine.usage(id).await.ok()?;
        Some(Look { service: service.clone(), at: Instant::now(), usage })
    });
    looks.buffered(PARALLEL).collect().await
}

/// What a container used between two looks. One that was restarted in between counts from nothing, and gives no rate.
fn used(before: Option<&Look>, after: &Look) -> Use {
    let rate = || {
        let before = before?;
        let spent = after.usage.processor?.checked_sub(before.usage.processor?)?;
        let passed = after.at.duration_since(before.at).as_nanos();
        u64::try_from((u128::from(spent) * 1000 + passed / 2).checked_div(passed)?).ok()
    };
    Use { millicores: rate(), memory: after.usage.memory }
}

/// The sum, as far as both are known.
fn add(a: Use, b: Use) -> Use {
    let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (one, other) => one.or(other),
    };
    Use { millicores: sum(a.millicores, b.millicores), memory: sum(a.memory, b.memory) }
}

fn rows(stacks: &[WicapStack], measured: &Measured, order: Option<Order>, now: Time) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for stack in stacks {
        let status = stack.status.clone().unwrap_or_default();
        // What was seen too long ago is not known any more.
        let seen = status.observed_at.is_some_and(|at| elapsed(at, now) <= 3 * HEARTBEAT);
        for service in &stack.spec.services {
            let found = status.service(&service.name).filter(|_| seen);
            let used = measured.get(&(stack.name().to_owned(), service.name.clone())).copied();
            let state = found.map(|s| s.state).unwrap_or_default();
            let restarts = found.map(|s| s.restarts);
            rows.push((
                used.unwrap_or_default(),
                restarts,
                vec![
                    stack.name().to_owned(),
                    service.name.clone(),
                    format!("{state:?}"),
                    cell(used.and_then(|u| u.millicores), state, |m| format!("{m}m")),
                    cell(used.and_then(|u| u.memory), state, mebibytes),
                    restarts.map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string()),
                    found.and_then(|s| s.since).map_or_else(|| UNKNOWN.to_owned(), |at| age(at, now)),
                ],
            ));
        }
    }
    // What is not known comes last, as in kubectl; equal ones stay in the order of the manifest.
    match order {
        None => {}
        Some(Order::Cpu) => rows.sort_by_key(|(used, ..)| std::cmp::Reverse(used.millicores)),
        Some(Order::Memory) => rows.sort_by_key(|(used, ..)| std::cmp::Reverse(used.memory)),
        Some(Order::Restarts) => rows.sort_by_key(|(_, restarts, _)| std::cmp::Reverse(*restarts)),
    }
    rows.into_iter().map(|(.., row)| row).collect()
}

/// A value; `<none>` for a service that does not run, and so uses nothing.
fn cell(value: Option<u64>, state: ServiceState, shown: impl Fn(u64) -> String) -> String {
    match (value, state) {
        (Some(value), _) => shown(value),
        (None, ServiceState::Exited | ServiceState::Missing | ServiceState::Dead) => "<none>".to_owned(),
        (None, _) => UNKNOWN.to_owned(),
    }
}

/// Whole mebibytes, as `kubectl top` has them.
fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stack() -> WicapStack {
        serde_json::from_value(json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"},
            "spec": {"compose": {"project": "p", "directory": "/srv/p"}, "services": [
                {"name": "a"}, {"name": "b"}, {"name": "c"},
            ]},
            "status": {"observedAt": "1970-01-01T00:01:00Z", "services": [
                {"name": "a", "state": "Running", "restarts": 1, "since": "1970-01-01T00:00:30Z"},
                {"name": "b", "state": "Exited", "restarts": 3},
                {"name": "c", "state": "Running", "restarts": 0},
            ]},
        }))
        .unwrap()
    }

    fn shown(order: Option<Order>, seconds: i64) -> Vec<String> {
        let of = |name: &str, millicores, memory| (("s".to_owned(), name.to_owned()), Use { millicores, memory });
        let measured = [of("a", Some(5), Some(30 << 20)), of("c", Some(250), None)].into_iter().collect();
        let rows = rows(&[stack()], &measured, order, Time::from_second(seconds).unwrap());
        rows.into_iter().map(|row| row.join(" ")).collect()
    }

    #[test]
    fn what_is_known_is_shown_as_kubectl_does_and_nothing_is_made_up() {
        let expected =
            ["s a Running 5m 30Mi 1 30s", "s b Exited <none> <none> 3 <unknown>", "s c Running 250m <unknown> 0 <unknown>"];
        assert_eq!(shown(None, 60), expected);
        let stale = shown(None, 60 + 91);
        assert_eq!(stale[1], "s b Unknown <unknown> <unknown> <unknown> <unknown>", "after three heartbeats");
        assert!(shown(None, 60 + 90)[1].contains("Exited"));
    }

    #[test]
    fn what_uses_most_comes_first_and_what_is_not_known_last() {
        let first = |order| shown(Some(order), 60)[0].clone();
        assert!(first(Order::Cpu).starts_with("s c"));
        assert!(first(Order::Memory).starts_with("s a"));
        assert!(first(Order::Restarts).starts_with("s b"));
        assert!(shown(Some(Order::Cpu), 60)[2].starts_with("s b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_of_two_looks_at_the_same_life() {
        let look = |processor: Option<u64>| Look {
            service: "a".to_owned(),
            at: Instant::now(),
            usage: Usage { processor, memory: Some(7), ..Usage::default() },
        };
        let before = look(Some(1_000_000_000));
        tokio::time::advance(Duration::from_secs(2)).await;
        let rate = |before: Option<&Look>, processor| used(before, &look(processor)).millicores;
        assert_eq!(rate(Some(&before), Some(1_500_000_000)), Some(250));
        assert_eq!(rate(Some(&before), Some(1_000_000_000)), Some(0));
        assert_eq!(rate(Some(&before), Some(5)), None, "it was restarted");
        assert_eq!(rate(None, Some(5)), None);
        assert_eq!(rate(Some(&before), None), None);
        assert_eq!(used(Some(&before), &before).millicores, None, "no time has passed");
        assert_eq!(add(used(None, &before), used(None, &before)).memory, Some(14));
    }
}
