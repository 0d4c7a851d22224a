//! From a picture to lines for people.

use crate::api::action::ActionPhase;
use crate::api::session::{Mode, SessionPhase};
use crate::api::soak::Verdict;
use crate::api::stack::{DesiredState, ProbeState, ServiceState};
use crate::api::{Severity, Time};
use crate::cli::print::age::age;
use crate::plan::decide::DecisionKind;

use super::super::paint::Tone;
use super::super::print::page::{Page, Row, Span, plain};
use super::picture::{Action, Decision, Ladder, NextStep, Picture, Service, Session, Sight, Soak, State};

/// What stands for a value that there is none of.
const NONE: &str = "-";

/// The screen of one stack.
#[must_use]
pub fn screen(picture: &Picture, width: usize) -> Page {
    let mut page = Page::new(width);
    head(&mut page, picture);
    page.blank();
    services(&mut page, picture);
    page.blank();
    drift(&mut page, picture);
    doing(&mut page, picture);
    blocked(&mut page, picture);
    sessions(&mut page, picture);
    soaks(&mut page, picture);
    incidents(&mut page, picture);
    stops(&mut page, picture);
    absent(&mut page, picture);
    page.blank();
    next(&mut page, &picture.next);
    page
}

/// One line or two for each of several stacks, worst first, and the next step of the worst.
#[must_use]
pub fn list(pictures: &[Picture], width: usize) -> Page {
    let mut page = Page::new(width);
    let rows = pictures.iter().map(|picture| Row {
        cells: vec![
            Span::new(Tone::Strong, &picture.stack),
            Span::new(tone(picture.state), format!("{:?}", picture.state)),
            plain(picture.ready.as_deref().unwrap_or(NONE)),
            plain(session_in_short(picture)),
        ],
        note: vec![plain(&picture.summary)],
    });
    page.table(&["STACK", "STATE", "READY", "SESSION"], rows.collect());
    page.blank();
    if let Some(worst) = pictures.first() {
        let next = &worst.next;
        next_of(&mut page, &format!("{}: {}", worst.stack, next.why), next.command.as_deref());
    }
    page
}

fn session_in_short(picture: &Picture) -> String {
    let in_force = picture.sessions.iter().find(|s| s.phase == SessionPhase::Active);
    let left = |s: &Session| s.expires_at.map_or_else(String::new, |at| format!(" {}", age(picture.at, at)));
    in_force.map_or_else(|| "none".to_owned(), |s| format!("{:?}{}", s.mode, left(s)))
}

/// What a state means to who reads it.
fn tone(state: State) -> Tone {
    match state {
        State::Healthy => Tone::Good,
        State::Escalated | State::Blocked | State::Stalled => Tone::Bad,
        State::Mending | State::Starting | State::AwaitingApproval | State::Unknown | State::Stopped => Tone::Warn,
        State::Maintenance => Tone::Dim,
    }
}

fn head(page: &mut Page, picture: &Picture) {
    page.text(&[
        Span::new(Tone::Strong, format!("{}: ", picture.stack)),
        Span::new(tone(picture.state), format!("{:?}", picture.state)),
        plain(format!(". {}.", capital(&picture.summary))),
    ]);
    let now = picture.at;
    let since = picture.available_since.map_or_else(String::new, |at| format!(" for {}", age(at, now)));
    let available = match picture.available.as_str() {
        "True" => format!("Available{since}"),
        "False" => format!("not Available{since}"),
        _ => "whether it is Available is not known".to_owned(),
    };
    let ready = picture.ready.as_ref().map(|ready| format!("{} services as desired", ready.replace('/', " of ")));
    let seen =
        picture.observation.at.map_or_else(|| "never seen".to_owned(), |at| format!("last seen {} ago", age(at, now)));
    let stopped = (picture.desired == DesiredState::Stopped).then(|| "meant to be stopped".to_owned());
    let parts = [Some(format!("Host {}", picture.host)), stopped, ready, Some(available), Some(seen)];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let about = format!("{}. Now it is {}.", parts.join(", "), now.strftime("%Y-%m-%d %H:%M:%SZ"));
    page.text(&[Span::new(Tone::Dim, about)]);
}

fn capital(text: &str) -> String {
    // A service's name is written as it is.
    let word = text.split(' ').next().unwrap_or_default();
    if !["every", "nobody", "the", "a"].contains(&word) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn services(page: &mut Page, picture: &Picture) {
    let rows = picture.services.iter().map(|s| row(picture, s));
    page.table(&["SERVICE", "STATE", "SINCE", "HEALTH", "PROBES", "RESTARTS"], rows.collect());
}

fn row(picture: &Picture, service: &Service) -> Row {
    let tone = match (service.state, service.as_desired) {
        (ServiceState::Unknown | ServiceState::Starting, _) | (_, None) => Tone::Warn,
        (_, Some(true)) => Tone::Good,
        (_, Some(false)) => Tone::Bad,
    };
    let probes = match (service.probes, picture.observation.state) {
        (0, _) => NONE.to_owned(),
        (all, Sight::Fresh) => format!("{}/{all}", service.probes_passing),
        (all, _) => format!("?/{all}"),
    };
    let mut note: Vec<String> = Vec::new();
    note.extend(service.last_known.map(|state| format!("was {state:?} when last seen")));
    if !service.managed {
        note.push("not managed".to_owned());
    }
    if service.as_desired != Some(true) {
        note.extend((service.managed && !service.critical).then(|| "not critical".to_owned()));
        let told = picture.drift.iter().find(|d| d.service == service.name).map(|d| &d.evidence);
        note.extend(told.or(service.message.as_ref()).cloned());
        let said = note.join("; ");
        let asked = service.probes_not_passing.iter().filter(|p| !said.contains(&format!("probe {}", p.name)));
        note.extend(asked.filter_map(|p| match (p.state, service.state) {
            (ProbeState::Failing, _) => {
                Some(format!("probe {} fails{}", p.name, p.message.as_ref().map_or_else(String::new, |m| format!(": {m}"))))
            }
            (_, ServiceState::Starting) => Some(format!("probe {} has not passed yet", p.name)),
            _ => None,
        }));
    }
    Row {
        cells: vec![
            Span::new(Tone::Strong, &service.name),
            Span::new(tone, format!("{:?}", service.state)),
            plain(service.since.map_or_else(|| NONE.to_owned(), |at| age(at, picture.at))),
            plain(service.health.map_or_else(|| NONE.to_owned(), |h| format!("{h:?}"))),
            plain(probes),
            plain(service.restarts.to_string()),
        ],
        note: vec![plain(note.join("; "))],
    }
}

fn label(text: &str) -> Span {
    Span::new(Tone::Dim, text)
}

/// A line under a label that is written once for all of its lines.
fn under(page: &mut Page, first: &mut Option<&str>, spans: &[Span]) {
    page.labelled(label(first.take().unwrap_or_default()), spans);
}

/// A time as it is told: when, and how far off.
fn at(time: Time, now: Time) -> String {
    let same_day = time.strftime("%F").to_string() == now.strftime("%F").to_string();
    let clock = time.strftime(if same_day { "%H:%M:%SZ" } else { "%F %H:%M:%SZ" });
    if time > now { format!("{clock}, in {}", age(now, time)) } else { format!("{clock}, {} ago", age(time, now)) }
}

fn drift(page: &mut Page, picture: &Picture) {
    let mut first = Some("Wrong");
    for d in &picture.drift {
        let tone = match d.severity {
            Severity::Critical => Tone::Bad,
            Severity::Info | Severity::Noise => Tone::Dim,
            Severity::Warning | Severity::Error => Tone::Warn,
        };
        let name = if d.service.is_empty() { "the stack" } else { &d.service };
        let spans = [
            Span::new(Tone::Strong, name),
            plain(" "),
            Span::new(tone, format!("{:?}", d.kind)),
            plain(format!(" for {}, {:?}", age(d.since, picture.at), d.severity)),
        ];
        // What was seen stands beside the service already, where there is one.
        let evidence = (d.service.is_empty() || d.severity <= Severity::Info).then(|| plain(format!(": {}", d.evidence)));
        under(page, &mut first, &spans.into_iter().chain(evidence).collect::<Vec<_>>());
    }
    if first.is_some() {
        let known = picture.observation.state == Sight::Fresh;
        let none = if known { "nothing" } else { "not known" };
        under(page, &mut first, &[Span::new(if known { Tone::Dim } else { Tone::Warn }, none)]);
    }
    for claim in &picture.maintenance {
        let services = if claim.services.is_empty() { "every service".to_owned() } else { claim.services.join(", ") };
        let text = format!("{services} until {}: {}", at(claim.until, picture.at), claim.reason);
        page.labelled(label("On purpose"), &[plain(text)]);
    }
}

fn doing(page: &mut Page, picture: &Picture) {
    let now = picture.at;
    let mut first = Some("Doing");
    for action in &picture.actions {
        under(page, &mut first, &open_action(action, now));
    }
    if picture.observation.state != Sight::Fresh {
        return under(page, &mut first, &[plain("nothing is done about what is not seen")]);
    }
    let ladder = |service: &str| picture.ladders.iter().find(|l| l.service == service);
    let mut told = Vec::new();
    for decision in &picture.decisions {
        let blocked = matches!(decision.kind, DecisionKind::Blocked | DecisionKind::Shadow);
        // What is under way says so itself, and what is so on purpose is told above.
        let said = picture.actions.iter().any(|a| decision.reason.contains(&a.name))
            || picture.maintenance.iter().any(|claim| decision.reason.ends_with(&format!(": {}", claim.reason)));
        if !blocked && !said {
            told.push(decision.target.as_str());
            under(page, &mut first, &decided(decision, ladder(&decision.target), now));
        }
    }
    let asked = picture.actions.iter().filter(|a| a.phase == ActionPhase::AwaitingApproval);
    told.extend(asked.map(|a| a.target.as_str()));
    for ladder in picture.ladders.iter().filter(|l| l.next.is_some() && !told.contains(&l.service.as_str())) {
        let spans = [Span::new(Tone::Dim, format!("{}: {}", named(&ladder.service), climbed(ladder, now)))];
        under(page, &mut first, &spans);
    }
    if first.is_some() {
        under(page, &mut first, &[label("nothing")]);
    }
    if let Some(done) = &picture.last_action {
        let message = done.message.as_ref().map_or_else(String::new, |m| format!(": {m}"));
        let when = age(done.at, now);
        let text = format!("last: {}: {:?} {when} ago{message} ({})", done.action.on(&done.target), done.phase, done.name);
        page.labelled(label(""), &[Span::new(Tone::Dim, text)]);
    }
}

fn named(service: &str) -> &str {
    if service.is_empty() { "the stack" } else { service }
}

fn open_action(action: &Action, now: Time) -> Vec<Span> {
    let since = action.since.map_or_else(String::new, |at| format!(" for {}", age(at, now)));
    let phase = match action.phase {
        ActionPhase::AwaitingApproval => "waits for a yes or no",
        ActionPhase::Pending => "asked for, not begun",
        _ => "under way",
    };
    let tone = if action.phase == ActionPhase::AwaitingApproval { Tone::Warn } else { Tone::Plain };
    let mut spans = vec![
        Span::new(Tone::Strong, action.action.on(&action.target)),
        plain(": "),
        Span::new(tone, format!("{phase}{since}")),
    ];
    spans.extend(action.answer_by.map(|by| plain(format!(", and is refused when there is no answer by {}", at(by, now)))));
    spans.push(Span::new(Tone::Dim, format!(" ({})", action.name)));
    spans
}

fn decided(decision: &Decision, ladder: Option<&Ladder>, now: Time) -> Vec<Span> {
    if let Some((ladder, at_)) = ladder.and_then(|l| Some((l, l.escalated_at?))) {
        let tried = many(ladder.actions, "action has", "actions have");
        let text = format!(": {tried} not mended it, a person was called at {}", at(at_, now));
        return vec![Span::new(Tone::Strong, named(&decision.target)), Span::new(Tone::Bad, " is given up"), plain(text)];
    }
    let what = decision.action.map_or_else(|| named(&decision.target).to_owned(), |a| a.on(&decision.target));
    let mut spans = vec![Span::new(Tone::Strong, what)];
    match decision.kind {
        DecisionKind::Act if decision.overdue => spans.push(Span::new(Tone::Bad, ": due, and nobody asks for it")),
        DecisionKind::Act => spans.push(plain(": due now")),
        DecisionKind::Escalate => spans.push(Span::new(Tone::Bad, ": nothing is left to try, a person is called")),
        _ => spans.push(plain(format!(": not yet: {}", decision.reason))),
    }
    spans.extend(decision.until.map(|until| plain(format!(" (until {})", at(until, now)))));
    spans.extend(ladder.map(|l| Span::new(Tone::Dim, format!("; {}", place(l)))));
    spans
}

/// How far up its ladder a service is.
fn place(ladder: &Ladder) -> String {
    let what = if ladder.rollback { "rollback" } else { "ladder" };
    let actions = many(ladder.actions, "action", "actions");
    format!("step {} of {} of its {what}, {actions} so far", ladder.step, ladder.steps)
}

fn climbed(ladder: &Ladder, now: Time) -> String {
    let next = ladder.next.map_or_else(String::new, |next| format!("; if it stays wrong, {next} is next"));
    let until = ladder.backoff_until.filter(|until| ladder.next.is_some() && *until > now);
    let until = until.map_or_else(String::new, |until| format!(", not before {}", at(until, now)));
    format!("{}{next}{until}", place(ladder))
}

fn blocked(page: &mut Page, picture: &Picture) {
    let mut first = Some("Blocked");
    for blocked in &picture.blocked {
        let mut spans = vec![
            Span::new(Tone::Strong, blocked.action.on(&blocked.target)),
            plain(" by gate "),
            Span::new(Tone::Bad, &blocked.gate),
            plain(format!(": {}", blocked.message)),
        ];
        spans.extend(blocked.until.map(|until| plain(format!(" (until {})", at(until, picture.at)))));
        if !blocked.also.is_empty() {
            spans.push(plain(format!("; shut too: {}", blocked.also.join(", "))));
        }
        under(page, &mut first, &spans);
        if let Some(fix) = &blocked.fix {
            under(page, &mut first, &[label("to open it: "), plain(fix)]);
        }
    }
}

fn sessions(page: &mut Page, picture: &Picture) {
    let now = picture.at;
    let mut first = Some("Session");
    if !picture.sessions.iter().any(|s| s.phase == SessionPhase::Active) {
        let last = picture.last_session.as_ref().map_or_else(String::new, |s| {
            let when = s.expires_at.map_or_else(String::new, |ended| format!(" {} ago", age(ended, now)));
            let how = match s.phase {
                SessionPhase::Expired => "ran out",
                SessionPhase::Stopped => "was stopped by its rules",
                _ => "was ended",
            };
            format!(", the last one, {}, {how}{when}", s.name)
        });
        let text = format!("none in force: nothing may be done{last}");
        under(page, &mut first, &[Span::new(Tone::Warn, text)]);
    }
    for session in &picture.sessions {
        under(page, &mut first, &in_force(session, now));
    }
}

fn in_force(session: &Session, now: Time) -> Vec<Span> {
    let mut spans =
        vec![Span::new(Tone::Strong, &session.name), plain(format!(" ({:?}) by {}", session.mode, session.operator))];
    if session.phase == SessionPhase::Pending {
        let why = session.message.as_ref().map_or_else(String::new, |m| format!(": {m}"));
        spans.push(Span::new(Tone::Warn, format!(", Pending{why}")));
        return spans;
    }
    if let Some(end) = session.expires_at {
        spans.push(plain(format!(", {} left", age(now, end))));
    }
    spans.push(plain(match &session.budget {
        Some(budget) => format!(", {} of {} actions used in {}", budget.used, budget.of, budget.window),
        None => format!(", {} taken, no budget", many(session.actions, "action", "actions")),
    }));
    if session.asks && session.acts() {
        spans.push(plain(", asks before each"));
    }
    if matches!(session.mode, Mode::Monitor | Mode::Shadow) {
        spans.push(Span::new(Tone::Warn, ", takes no action"));
    }
    spans
}

fn soaks(page: &mut Page, picture: &Picture) {
    let mut first = Some("Soak");
    for soak in &picture.soaks {
        under(page, &mut first, &soaking(soak, picture.at));
    }
}

fn soaking(soak: &Soak, now: Time) -> Vec<Span> {
    let (tone, word) = match soak.verdict {
        Some(Verdict::Passed) => (Tone::Good, "Passed".to_owned()),
        Some(verdict) => (Tone::Bad, format!("{verdict:?}")),
        None => (Tone::Plain, format!("{:?}", soak.phase)),
    };
    let mut text = soak.percent.map_or_else(String::new, |percent| format!(" {percent}%"));
    if let Some(end) = soak.ends_at.filter(|end| soak.verdict.is_none() && *end > now) {
        text.push_str(&format!(", {} left", age(now, end)));
    }
    text.push_str(&format!("; checks: {} passed, {} failed", soak.passed, soak.failed));
    text.push_str(&format!(
        "; {}, {}",
        many(soak.restarts, "restart", "restarts"),
        many(soak.recoveries, "recovery", "recoveries")
    ));
    text.extend(soak.message.iter().map(|m| format!("; {m}")));
    vec![Span::new(Tone::Strong, &soak.name), plain(": "), Span::new(tone, word), plain(text)]
}

fn many(n: u32, one: &str, more: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {more}") }
}

/// So many incidents are told: what is gravest fits, and a screen stays a screen.
const INCIDENTS: usize = 5;

fn incidents(page: &mut Page, picture: &Picture) {
    let mut first = Some("Incidents");
    for incident in picture.incidents.iter().take(INCIDENTS) {
        let tone = if incident.severity >= Severity::Error { Tone::Bad } else { Tone::Warn };
        let since = incident.since.map_or_else(String::new, |at| format!(" for {}", age(at, picture.at)));
        let mut spans = vec![
            Span::new(Tone::Strong, &incident.name),
            plain(": "),
            Span::new(tone, format!("{:?}, {:?}{since}", incident.severity, incident.phase)),
            plain(format!(", {}: {}", incident.service, incident.signature)),
        ];
        spans.extend(incident.remedy.iter().map(|remedy| plain(format!("; remedy: {remedy}"))));
        under(page, &mut first, &spans);
    }
    let more = picture.incidents.len().saturating_sub(INCIDENTS);
    if more > 0 {
        under(page, &mut first, &[plain(format!("and {more} more: wicapctl get incidents"))]);
    }
}

fn stops(page: &mut Page, picture: &Picture) {
    let mut first = Some("Stops");
    for stop in &picture.stops {
        let whom = if stop.name == crate::api::stop::ALL { "every stack" } else { "this stack" };
        let since = stop.since.map_or_else(String::new, |since| format!(" for {}", age(since, picture.at)));
        let text = format!(" is stopped by {}{since}: {}", stop.by, stop.reason);
        under(page, &mut first, &[Span::new(Tone::Bad, whom), plain(text)]);
    }
}

/// What there is none of, in one line: that it was looked for is worth knowing, and a screen is low.
fn absent(page: &mut Page, picture: &Picture) {
    let all = [
        (picture.blocked.is_empty() && picture.observation.state == Sight::Fresh, "blocked actions"),
        (picture.soaks.is_empty(), "soak runs"),
        (picture.incidents.is_empty(), "incidents"),
        (picture.stops.is_empty(), "stops"),
    ];
    let none: Vec<_> = all.into_iter().filter(|(is_empty, _)| *is_empty).map(|(_, name)| name).collect();
    if !none.is_empty() {
        page.labelled(label("None"), &[Span::new(Tone::Dim, none.join(", "))]);
    }
}

fn next(page: &mut Page, next: &NextStep) {
    next_of(page, &next.why, next.command.as_deref());
}

fn next_of(page: &mut Page, why: &str, command: Option<&str>) {
    page.labelled(Span::new(Tone::Strong, "Next step"), &[plain(why)]);
    if let Some(command) = command {
        page.unbroken(Tone::Strong, command);
    }
}
