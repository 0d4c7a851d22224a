//! What is done beside the reconciles of a run, because it may take its time: checks, and samples.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::log_report::LogReport;
use crate::api::soak::{SoakCheck, SoakRun};
use crate::api::stack::WicapStack;
use crate::api::{Object, Time, elapsed};
use crate::audit::redact::redact;
use crate::controllers::Context;
use crate::observe::browser::{self, RunResult};
use crate::observe::engine::{Engine, Usage};
use crate::observe::probe::{Outcome, ask_http};
use crate::plan::drift::is_stale;
use crate::soak::logs::Said;
use crate::soak::report::CheckOutcome;

/// What an errand comes back with.
#[derive(Debug)]
pub(super) enum Done {
    /// A check was made.
    Check { name: String, number: u32, made: Made },
    /// A check was tried while the stack warms up.
    Warm { name: String, passed: Result<(), String> },
    /// Something was measured.
    Sample { number: u32, at: Time, values: BTreeMap<String, f64>, measured: BTreeMap<String, Measured> },
}

/// A check that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) at: Time,
    pub(super) outcome: CheckOutcome,
    pub(super) latency_ms: f64,
    pub(super) message: Option<String>,
    pub(super) picture: Option<Vec<u8>>,
    pub(super) captured: BTreeMap<String, f64>,
}

/// A look at a container, to tell rates by at the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    at: Time,
    usage: Usage,
}

/// The way back of an errand.
#[derive(Clone, Debug)]
pub(super) struct Back {
    pub(super) sender: mpsc::UnboundedSender<Done>,
    pub(super) waker: mpsc::UnboundedSender<ObjectRef<SoakRun>>,
    pub(super) run: ObjectRef<SoakRun>,
}

impl Back {
    fn with(self, done: Done) {
        // Nobody waits any more when the run is over or led elsewhere.
        let _ = self.sender.send(done);
        let _ = self.waker.send(self.run);
    }
}

/// Makes a check, again when it could not be made and may be retried.
pub(super) async fn check(check: SoakCheck, number: u32, context: Context, back: Back) {
    let mut made = make(&check, &context).await;
    for _ in 0..check.retries {
        if made.outcome != CheckOutcome::Error {
            break;
        }
        made = make(&check, &context).await;
    }
    back.with(Done::Check { name: check.name, number, made });
}

/// Tries a check.
pub(super) async fn warm(check: SoakCheck, context: Context, back: Back) {
    let made = make(&check, &context).await;
    let passed = match made.outcome {
        CheckOutcome::Passed => Ok(()),
        CheckOutcome::Failed | CheckOutcome::Error => Err(made.message.unwrap_or_default()),
    };
    back.with(Done::Warm { name: check.name, passed });
}

async fn make(check: &SoakCheck, context: &Context) -> Made {
    let at = context.store.clock().now();
    let made = AssertUnwindSafe(ask(check, context)).catch_unwind().await.unwrap_or_else(|_| Made::nothing());
    Made { at, ..made }
}

async fn ask(check: &SoakCheck, context: &Context) -> Made {
    let timeout = check.timeout.to_std();
    let of = |outcome, message, captured| Made { outcome, message, captured, ..Made::nothing() };
    if let Some(script) = &check.webdriver {
        let came = browser::run(script, timeout).await;
        let (outcome, message) = match came.result {
            RunResult::Passed => (CheckOutcome::Passed, None),
            // A page may show what no message may have in it.
            RunResult::Failed { message } => (CheckOutcome::Failed, Some(redact(&message).into_owned())),
            RunResult::Error { message } => (CheckOutcome::Error, Some(redact(&message).into_owned())),
        };
        return Made { latency_ms: milliseconds(came.took), picture: came.picture, ..of(outcome, message, BTreeMap::new()) };
    }
    let Some(http) = &check.http_get else {
        let what = "nothing is asked: this version knows no such check";
        return of(CheckOutcome::Error, Some(what.to_owned()), BTreeMap::new());
    };
    let begun = Instant::now();
    let attempt = ask_http(&context.dialer, http, timeout).await;
    let (outcome, message) = match attempt.outcome {
        Outcome::Passed(_) => (CheckOutcome::Passed, None),
        Outcome::Failed(said) => (CheckOutcome::Failed, Some(said.shown())),
        Outcome::Unasked(said) => (CheckOutcome::Error, Some(said.shown())),
    };
    Made { latency_ms: milliseconds(begun.elapsed()), ..of(outcome, message, attempt.samples) }
}

/// To a thousandth: what is less is noise.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1000.0
}

impl Made {
    /// A check that broke down before it could ask anything.
    fn nothing() -> Self {
        Self {
            at: Time::UNIX_EPOCH,
            outcome: CheckOutcome::Error,
            latency_ms: 0.0,
            message: Some("the check broke down".to_owned()),
            picture: None,
            captured: BTreeMap::new(),
        }
    }
}

/// Measures the containers of a stack, and takes the numbers that its probes have captured.
pub(super) async fn sample(
    stack: WicapStack,
    number: u32,
    before: BTreeMap<String, Measured>,
    said: Said,
    context: Context,
    back: Back,
) {
    let clock = context.store.clock().clone();
    let at = clock.now();
    let mut values = BTreeMap::new();
    let services = stack.status.as_ref().map_or(&[][..], |s| &s.services);
    if !is_stale(stack.status.as_ref(), at) {
        for service in services {
            for (name, value) in service.probes.iter().flat_map(|p| &p.samples) {
                values.insert(format!("{}/{name}", service.name), *value);
            }
        }
    }
    let running = services.iter().filter_map(|s| Some((s.name.clone(), s.container_id.clone()?)));
    let looks = running.map(|(service, id)| {
        let engine = context.engine.clone();
        async move { (service, engine.usage(&id).await, id) }
    });
    let mut measured = BTreeMap::new();
    let reports = context.store.api::<LogReport>();
    let (looked, report) = tokio::join!(join_all(looks), reports.get_opt(stack.name()));
    for (service, looked, id) in looked {
        match looked {
            Ok(usage) => {
                let now = Measured { at: clock.now(), usage };
                values.extend(now.values(before.get(&id)).map(|(name, value)| (format!("{service}/{name}"), value)));
                measured.insert(id, now);
            }
            Err(error) => tracing::debug!(service, %error, "a container could not be measured"),
        }
    }
    match report {
        Ok(report) => values.extend(report.and_then(|r| r.status).map(|status| said.values(&status)).unwrap_or_default()),
        Err(error) => tracing::debug!(stack = stack.name(), %error, "what the logs say is not known"),
    }
    back.with(Done::Sample { number, at, values, measured });
}

impl Measured {
    /// What is told of a container: levels, and rates where there was a look before.
    fn values(self, before: Option<&Self>) -> impl Iterator<Item = (&'static str, f64)> {
        // Bytes and nanoseconds below 2^53: 9 petabytes, 104 days of one core.
        #[allow(clippy::cast_precision_loss)]
        let level = self.usage.memory.filter(|bytes| *bytes > 0).map(|bytes| ("memory", bytes as f64));
        let rate = move |name, of: fn(&Usage) -> Option<u64>, scale: f64| {
            let before = before?;
            let span = elapsed(before.at, self.at).as_secs_f64();
            // What counts from the beginning again has started again.
            let rise = of(&self.usage)?.checked_sub(of(&before.usage)?)?;
            #[allow(clippy::cast_precision_loss)]
            (span > 0.0).then(|| (name, rise as f64 * scale / span))
        };
        let rates = [
            rate("cpu", |u| u.processor, 1e-9),
            rate("network.received", |u| u.received, 1.0),
            rate("network.sent", |u| u.sent, 1.0),
            rate("disk.read", |u| u.read, 1.0),
            rate("disk.written", |u| u.written, 1.0),
        ];
        level.into_iter().chain(rates.into_iter().flatten())
    }
}

/// The images of a stack's services, by service: name and id.
pub(super) async fn images(engine: &Engine, stack: &WicapStack) -> BTreeMap<String, String> {
    let mut images = BTreeMap::new();
    for service in stack.status.iter().flat_map(|s| &s.services) {
        let Some(name) = &service.image else { continue };
        let id = engine.image_id(name).await.ok().flatten();
        images.insert(service.name.clone(), id.map_or_else(|| name.clone(), |id| format!("{name} {id}")));
    }
    images
}

/// The versions of what carries a run out.
pub(super) async fn versions(engine: &Engine) -> BTreeMap<String, String> {
    let wicap = ("wicap".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let docker = engine.version().await.ok().map(|version| ("docker".to_owned(), version));
    [Some(wicap), docker].into_iter().flatten().collect()
}
