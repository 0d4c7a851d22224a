//! Why a soak run has its verdict, or what it is waiting for.

use super::super::status::picture::NextStep;
use super::action::told;
use super::chain::{Chain, Link, Step};
use super::known::{Known, made};
use crate::api::action::ActionRun;
use crate::api::reason::SOAK_PHASE;
use crate::api::soak::{SoakPhase, SoakRun, SoakRunStatus, Verdict};
use crate::api::{Object, Time};

/// So many failures of each check are told: the last ones. The report has them all.
const FAILURES: usize = 3;

/// So many actions of others are told.
const RECOVERIES: usize = 5;

/// The chain of a run.
#[must_use]
pub fn chain(run: &SoakRun, known: &Known, now: Time) -> Chain {
    let status = run.status.clone().unwrap_or_default();
    let spec = &run.spec;
    let checks: Vec<_> = spec.checks.iter().map(|c| c.name.as_str()).collect();
    let asked = format!("to soak {} for {}, checked by {}", spec.stack, spec.duration, checks.join(", "));
    let mut links = vec![Link::new(made(run), Step::Asked, asked)];
    links.extend(phases(&status, known));
    links.extend(failures(&status));
    links.extend(recoveries(run, &status, known));
    let opened = known.objects.incidents.iter().filter(|i| i.spec.soak.as_deref() == Some(run.name()));
    links.extend(opened.map(|i| {
        Link::new(made(i), Step::Seen, format!("{}: {}", i.spec.service, i.spec.signature)).of("incident", i.name())
    }));
    let restarts = status.restarts.iter().filter(|r| r.count > 0).map(|r| format!("{} {}", r.service, r.count));
    let restarts: Vec<_> = restarts.collect();
    if !restarts.is_empty() {
        let step = if status.soaked_until.is_some() { Step::Seen } else { Step::Now };
        links.push(Link::new(status.soaked_until, step, format!("restarts while soaking: {}", restarts.join(", "))));
    }
    for pack in known.packs("soakrun", run.name()) {
        links.push(Link::new(made(pack), Step::Then, "what was known was packed").of("snapshot", pack.name()));
    }
    match status.verdict {
        Some(verdict) => {
            // What decided comes first.
            let (held, against): (Vec<_>, Vec<_>) = status.reasons.iter().cloned().partition(|reason| holds(reason));
            let end = Link::new(status.finished_at, Step::Ended, format!("{verdict:?}"));
            links.push(end.with(against.into_iter().chain(held)));
        }
        None => {
            let waits = waits(&status);
            let progress = status.progress.as_ref().map_or_else(String::new, |p| format!(" {p}"));
            links.push(Link::now(format!("{:?}{progress}{waits}", status.phase)));
        }
    }
    Chain::new(format!("soakrun/{}", run.name()), now, answer(&status), links, next(run, &status))
}

fn answer(status: &SoakRunStatus) -> String {
    let waits = waits(status);
    match status.verdict {
        Some(Verdict::Passed) => "Passed, because every criterion holds".to_owned(),
        Some(verdict) => {
            let against: Vec<_> = status.reasons.iter().filter(|reason| !holds(reason)).collect();
            let why = against.first().map_or("no reason is recorded", |reason| said(reason));
            let more = match against.len() {
                0 | 1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            format!("{verdict:?}, because of {why}{more}")
        }
        None => format!("it has no verdict yet, it is {:?}{waits}", status.phase),
    }
}

/// What it waits for, behind its phase, with which its message may begin.
fn waits(status: &SoakRunStatus) -> String {
    let begin = format!("{:?}: ", status.phase);
    let message = status.message.as_deref().map(|m| m.strip_prefix(&begin).unwrap_or(m));
    message.map_or_else(String::new, |m| format!(": {m}"))
}

/// Whether a reason is of a criterion that holds. The judge writes each as a word, a colon and what it found.
fn holds(reason: &str) -> bool {
    reason.starts_with("ok: ")
}

/// A reason without its word.
fn said(reason: &str) -> &str {
    reason.split_once(": ").map_or(reason, |(_, said)| said)
}

/// Its phases: by its Events where there are some still, and by what its status keeps of them otherwise.
fn phases(status: &SoakRunStatus, known: &Known) -> Vec<Link> {
    let told: Vec<_> = known.told(SOAK_PHASE).map(|(at, text)| Link::new(at, Step::Then, text)).collect();
    if !told.is_empty() {
        return told;
    }
    let kept =
        [(status.started_at, "it begins"), (status.soaking_since, "it soaks"), (status.soaked_until, "the soak is over")];
    kept.into_iter().filter(|(at, _)| at.is_some()).map(|(at, text)| Link::new(at, Step::Then, text)).collect()
}

fn failures(status: &SoakRunStatus) -> Vec<Link> {
    let of_check = status.checks.iter().flat_map(|check| {
        let skipped = check.failures.len().saturating_sub(FAILURES);
        check
            .failures
            .iter()
            .skip(skipped)
            .map(|f| Link::new(Some(f.at), Step::Seen, format!("check {} failed: {}", check.name, f.message)))
    });
    of_check.collect()
}

/// What others did to the stack while it soaked.
fn recoveries(run: &SoakRun, status: &SoakRunStatus, known: &Known) -> Vec<Link> {
    let Some(since) = status.soaking_since else { return Vec::new() };
    let until = status.soaked_until.unwrap_or(Time::MAX);
    let during = |a: &&ActionRun| {
        let at = a.status.as_ref().and_then(|s| s.started_at);
        !run.owns(a) && a.spec.action.changes() && at.is_some_and(|at| since <= at && at <= until)
    };
    let all: Vec<_> = known.objects.actions_of(&run.spec.stack).into_iter().filter(during).collect();
    let skipped = all.len().saturating_sub(RECOVERIES);
    all.into_iter().skip(skipped).map(|a| told(a, Step::Done, "meanwhile ")).collect()
}

fn next(run: &SoakRun, status: &SoakRunStatus) -> Option<NextStep> {
    let name = run.name();
    let (why, command) = match (status.phase, status.verdict) {
        (_, Some(Verdict::Passed)) => return None,
        (_, Some(_)) => ("See what was measured and what every check said:", format!("wicapctl soak report {name}")),
        (SoakPhase::Pending | SoakPhase::Preflight, None) => {
            ("See how the stack is that it waits for:", format!("wicapctl status {}", run.spec.stack))
        }
        _ => ("Nothing. To look on:", format!("wicapctl soak watch {name}")),
    };
    Some(NextStep { why: why.to_owned(), command: Some(command) })
}
