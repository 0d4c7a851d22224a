//! Why an action was asked for, why it was or was not done, and what came of it.

use super::super::status::picture::NextStep;
use super::chain::{Chain, Link, Step};
use super::known::{Known, made};
use crate::api::action::{ActionPhase, ActionRun, CauseKind, Decision, GateVerdict, StepKind, Verification};
use crate::api::approval::ApprovalVerdict;
use crate::api::{Object, Time, elapsed};
use crate::cli::print::age::age;

/// So many lines of what a command printed are shown: the last ones say how it ended. `describe` has them all.
const OUTPUT: usize = 4;

/// The chain of one action.
#[must_use]
pub fn chain(run: &ActionRun, known: &Known, now: Time) -> Chain {
    let mut links = vec![cause(run)];
    links.extend(earlier(run, known));
    links.push(asked(run, known));
    links.extend(decision(run, known));
    links.extend(execution(run));
    links.extend(end(run));
    links.extend(followed(run, known));
    Chain::new(format!("actionrun/{}", run.name()), now, answer(run), links, next(run, now))
}

fn phase(run: &ActionRun) -> ActionPhase {
    run.status.as_ref().map_or(ActionPhase::Pending, |s| s.phase)
}

/// What it did and how that ended, in a sentence.
fn answer(run: &ActionRun) -> String {
    let what = run.spec.action.on(&run.spec.target);
    let message = run.status.as_ref().and_then(|s| s.message.clone());
    let because = message.map_or_else(String::new, |m| format!(": {m}"));
    match phase(run) {
        ActionPhase::Pending => format!("{what} is asked for, and nobody has taken it up yet"),
        ActionPhase::AwaitingApproval => format!("{what} waits for a person's yes or no"),
        ActionPhase::Running => format!("{what} is under way"),
        ActionPhase::Succeeded => format!("{what} was done, and it helped{because}"),
        ActionPhase::Failed => format!("{what} has failed{because}"),
        ActionPhase::Denied => format!("{what} was refused, and nothing was done{because}"),
        ActionPhase::Shadowed => format!("{what} would have been done; it was only said{because}"),
        ActionPhase::Interrupted => format!("{what} was stopped on its way{because}"),
    }
}

/// What it is about, without the time, which stands beside it.
fn evidence(run: &ActionRun) -> String {
    let cause = &run.spec.cause;
    let Some((drift, since)) = cause.drift.zip(cause.since) else { return cause.summary.clone() };
    let who = if run.spec.target.is_empty() { "stack" } else { &run.spec.target };
    let told = format!("{who} {drift:?} since {since:.0}: ");
    cause.summary.strip_prefix(&told).map_or_else(|| cause.summary.clone(), |rest| format!("{who} is {drift:?}: {rest}"))
}

fn cause(run: &ActionRun) -> Link {
    let cause = &run.spec.cause;
    let object = |mut link: Link| {
        link.object.clone_from(&cause.object);
        link
    };
    match cause.kind {
        CauseKind::Drift => object(Link::new(cause.since, Step::Seen, evidence(run))),
        CauseKind::Soak => {
            object(Link::new(cause.since.or(made(run)), Step::Asked, format!("by a soak run: {}", cause.summary)))
        }
        CauseKind::Operator => {
            object(Link::new(cause.since.or(made(run)), Step::Asked, format!("by a person: {}", cause.summary)))
        }
    }
}

/// The episode that an action is of, and its number in it.
fn place(run: &ActionRun) -> Option<(&str, u32)> {
    let (episode, number) = run.spec.cause.attempt.as_deref()?.split_once(", action ")?;
    Some((episode, number.parse().ok()?))
}

/// The other actions of its episode, with their numbers.
fn episode<'a>(run: &ActionRun, known: &'a Known) -> Vec<(u32, &'a ActionRun)> {
    let Some((episode, _)) = place(run) else { return Vec::new() };
    let same = |other: &&ActionRun| {
        other.spec.stack == run.spec.stack
            && other.spec.target == run.spec.target
            && other.spec.cause.kind == CauseKind::Drift
            && other.name() != run.name()
    };
    let numbered = known.objects.actions.iter().filter(same).filter_map(|other| {
        let (of, number) = place(other)?;
        (of == episode).then_some((number, other))
    });
    let mut all: Vec<_> = numbered.collect();
    all.sort_by_key(|(number, _)| *number);
    all
}

/// What was tried before it.
fn earlier(run: &ActionRun, known: &Known) -> Vec<Link> {
    let Some((_, number)) = place(run) else { return Vec::new() };
    let before = episode(run, known).into_iter().filter(|(n, _)| *n < number);
    before.map(|(n, other)| told(other, Step::Done, &format!("action {n} was "))).collect()
}

/// Another action in a line.
pub(super) fn told(run: &ActionRun, step: Step, begin: &str) -> Link {
    let status = run.status.clone().unwrap_or_default();
    let message = status.message.map_or_else(String::new, |m| format!(": {m}"));
    let text = format!("{begin}{}: {:?}{message}", run.spec.action.on(&run.spec.target), status.phase);
    Link::new(status.started_at.or(made(run)), step, text).of("actionrun", run.name())
}

fn asked(run: &ActionRun, known: &Known) -> Link {
    let what = run.spec.action.on(&run.spec.target);
    let place = run.spec.cause.attempt.as_ref().map_or_else(String::new, |place| format!(", {place}"));
    let together = match run.spec.params.services.as_slice() {
        [] => String::new(),
        services => format!(" (together: {})", services.join(", ")),
    };
    let session = known.session(&run.spec.session);
    let whose = session.map_or_else(String::new, |s| format!(" ({:?}) of {}", s.spec.mode, s.spec.operator));
    let dry = if run.spec.dry_run { ", as a dry run" } else { "" };
    let text = format!("{what}{together}{place}, in session {}{whose}{dry}", run.spec.session);
    Link::new(made(run), Step::Decided, text)
}

fn decision(run: &ActionRun, known: &Known) -> Vec<Link> {
    let status = run.status.clone().unwrap_or_default();
    let mut links = Vec::new();
    if let Some(deadline) = status.approval_deadline {
        let text = format!("a person has to agree by {deadline:.0}");
        links.push(Link::new(made(run), Step::Asked, text));
    }
    if let Some(answer) = known.approvals.iter().find(|a| a.name() == run.name()) {
        let verdict = match answer.spec.verdict {
            ApprovalVerdict::Approve => "yes",
            ApprovalVerdict::Deny => "no",
        };
        let why = answer.spec.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let text = format!("{verdict}, by {}{why}", answer.spec.by);
        links.push(Link::new(made(answer), Step::Answered, text).of("approval", answer.name()));
    }
    links.extend(status.decision.map(|decision| gates(&decision, status.started_at.or(status.finished_at).or(made(run)))));
    if let (Some(at), Some(claim)) = (status.started_at, status.claim) {
        links.push(Link::new(Some(at), Step::Claimed, format!("by {} (fencing token {})", claim.holder, claim.token)));
    }
    links
}

/// What every gate said: what decided when it is a yes, and all that stands in the way when it is a no.
fn gates(decision: &Decision, at: Option<Time>) -> Link {
    let decided = |v: &GateVerdict| format!("{}: {}", v.gate, v.reason);
    if decision.allowed {
        let shadow = if decision.shadow { ", for what is said and not done" } else { "" };
        let gates: Vec<_> = decision.trace.iter().map(|v| v.gate.as_str()).collect();
        return Link::new(at, Step::Permitted, format!("every gate is open{shadow}")).with([gates.join(", ")]);
    }
    let shut = decision.trace.iter().filter(|v| !v.allowed);
    let first = decision.denied_by.as_deref().unwrap_or("one");
    let said = shut.flat_map(|v| std::iter::once(decided(v)).chain(v.fix.iter().map(|fix| format!("  to open it: {fix}"))));
    Link::new(at, Step::Denied, format!("gate {first} is shut")).with(said)
}

fn execution(run: &ActionRun) -> Vec<Link> {
    let status = run.status.clone().unwrap_or_default();
    let mut links = Vec::new();
    for step in &status.steps {
        if step.kind == StepKind::Verify && status.verification.is_some() {
            continue;
        }
        let how = match (step.finished_at, step.exit_code) {
            (None, _) if status.phase.is_final() => ", and it is not known how it ended".to_owned(),
            (None, _) => ", not ended yet".to_owned(),
            (Some(end), code) => {
                let code = code.map_or_else(String::new, |code| format!(", exit code {code}"));
                format!(", took {:.1}s{code}", elapsed(step.started_at, end).as_secs_f64())
            }
        };
        let what = match step.kind {
            StepKind::Execute => step.command.join(" "),
            StepKind::Verify => "waiting for its effect".to_owned(),
        };
        let output: Vec<String> = step.output.iter().flat_map(|o| o.lines()).map(str::to_owned).collect();
        let last = output.len().saturating_sub(OUTPUT);
        links.push(Link::new(Some(step.started_at), Step::Done, what + &how).with(output.into_iter().skip(last)));
    }
    if let Some(verification) = &status.verification {
        let at = status.steps.iter().rev().find(|s| s.kind == StepKind::Verify).and_then(|s| s.finished_at);
        links.push(verified(run, verification, at.or(status.finished_at)));
    }
    links
}

fn verified(run: &ActionRun, verification: &Verification, at: Option<Time>) -> Link {
    let before = run.status.iter().flat_map(|s| &s.before);
    let changes = before.filter_map(|was| {
        let is = verification.after.iter().find(|is| is.service == was.service)?;
        (is.state != was.state).then(|| format!("{} was {:?}, is {:?}", was.service, was.state, is.state))
    });
    let word = if verification.holds { "it has had its effect" } else { "it has not had its effect" };
    let mut details: Vec<String> = changes.collect();
    if let Some(job) = &verification.job {
        details.push(format!(
            "{} passed, {} failed, {} broke down, {} skipped",
            job.passed, job.failed, job.errors, job.skipped
        ));
        details.extend(job.failures.iter().take(OUTPUT).cloned());
    }
    Link::new(at, Step::Verified, format!("{word}: {}", verification.message)).with(details)
}

fn end(run: &ActionRun) -> Option<Link> {
    let status = run.status.as_ref().filter(|s| s.phase.is_final())?;
    // What was seen of its effect, or the gate that denied it, has said so already.
    let said = status.verification.as_ref().is_some_and(|v| status.message.as_ref() == Some(&v.message))
        || status.decision.as_ref().is_some_and(|d| !d.allowed);
    let message = status.message.as_ref().filter(|_| !said).map_or_else(String::new, |m| format!(": {m}"));
    Some(Link::new(status.finished_at, Step::Ended, format!("{:?}{message}", status.phase)))
}

fn followed(run: &ActionRun, known: &Known) -> Vec<Link> {
    let mut links = Vec::new();
    let number = place(run).map_or(u32::MAX, |(_, number)| number);
    if let Some((_, after)) = episode(run, known).into_iter().find(|(n, _)| *n > number) {
        links.push(told(after, Step::Then, "the next action of the episode was "));
    }
    // What a log says meanwhile did not come of the action.
    let of_drift = known.objects.incidents.iter().filter(|i| i.spec.kind.drift().is_some());
    let named = of_drift.filter(|i| {
        let actions = i.status.iter().flat_map(|s| &s.actions);
        actions.into_iter().any(|a| a.name == run.name())
    });
    for incident in named {
        let text = format!("a person was called: {}", incident.spec.signature);
        links.push(Link::new(made(incident), Step::Then, text).of("incident", incident.name()));
    }
    for pack in known.packs("actionrun", run.name()) {
        links.push(Link::new(made(pack), Step::Then, "what was known was packed").of("snapshot", pack.name()));
    }
    if phase(run) == ActionPhase::Succeeded && links.is_empty() {
        let stack = known.stack(&run.spec.stack).and_then(|s| s.status.as_ref());
        let state = stack.and_then(|s| s.service(&run.spec.target)).map(|s| s.state);
        links.extend(state.map(|state| Link::now(format!("{} is {state:?}", run.spec.target))));
    }
    links
}

fn next(run: &ActionRun, now: Time) -> Option<NextStep> {
    let name = run.name();
    let (why, command) = match phase(run) {
        ActionPhase::AwaitingApproval => {
            let deadline = run.status.as_ref().and_then(|s| s.approval_deadline);
            let within = deadline.map_or_else(String::new, |at| format!(" within {}", age(now, at)));
            (format!("Say yes{within}, or no with `wicapctl deny {name}`:"), format!("wicapctl approve {name}"))
        }
        ActionPhase::Pending => {
            ("See what would be said of it now, gate by gate:".to_owned(), format!("wicapctl policy explain --run {name}"))
        }
        ActionPhase::Running => (
            "Nothing, it ends by itself or by its time limit. To look on:".to_owned(),
            format!("wicapctl status {} -w", run.spec.stack),
        ),
        ActionPhase::Denied => {
            ("See what would be said of it now, gate by gate:".to_owned(), format!("wicapctl policy explain --run {name}"))
        }
        ActionPhase::Failed | ActionPhase::Interrupted => {
            ("See how the stack is now, and what is done next:".to_owned(), format!("wicapctl status {}", run.spec.stack))
        }
        ActionPhase::Succeeded | ActionPhase::Shadowed => return None,
    };
    Some(NextStep { why, command: Some(command) })
}
