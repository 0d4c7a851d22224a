//! Why there is an incident, what was done about it, and why it is over or not.

use super::super::status::picture::NextStep;
use super::action::told;
use super::chain::{Chain, Link, Step};
use super::known::{Known, made};
use crate::api::incident::{Incident, IncidentPhase};
use crate::api::{Object, Time};

/// The chain of an incident.
#[must_use]
pub fn chain(incident: &Incident, known: &Known, now: Time) -> Chain {
    let spec = &incident.spec;
    let status = incident.status.clone().unwrap_or_default();
    let mut links = Vec::new();
    let often = if status.count > 1 { format!(", {} times by now", status.count) } else { String::new() };
    let seen =
        Link::new(status.first_seen.or(made(incident)), Step::Seen, format!("{}: {}{often}", spec.service, spec.signature));
    links.push(seen.with(status.samples.iter().cloned()));
    for action in &status.actions {
        links.push(match known.action(&action.name) {
            Some(run) => told(run, Step::Done, ""),
            // Removed by now, as old ones are: what is known of it is what the incident says.
            None => Link::new(
                status.first_seen,
                Step::Done,
                format!("{} on {}: {:?}", action.action, spec.service, action.outcome),
            )
            .of("actionrun", &action.name),
        });
    }
    links.push(opened(incident));
    if let Some(soak) = &spec.soak {
        links.push(Link::new(made(incident), Step::Then, "it counts against the soak run under way").of("soakrun", soak));
    }
    for pack in known.packs("incident", incident.name()) {
        links.push(Link::new(made(pack), Step::Then, "what was known was packed").of("snapshot", pack.name()));
    }
    if status.count > 1 {
        links.push(Link::new(
            status.last_seen,
            Step::Seen,
            if spec.kind.drift().is_some() { "it last began or ended" } else { "it was seen for the last time" },
        ));
    }
    links.push(match status.phase {
        IncidentPhase::Resolved => {
            let why = status.message.clone().unwrap_or_default();
            Link::new(status.resolved_at, Step::Ended, format!("Resolved: {why}"))
        }
        phase => {
            let why = status.message.as_ref().map_or_else(String::new, |m| format!(": {m}"));
            Link::now(format!("{phase:?}{why}"))
        }
    });
    let object = format!("incident/{}", incident.name());
    Chain::new(object, now, answer(incident), links, next(incident))
}

fn answer(incident: &Incident) -> String {
    let spec = &incident.spec;
    let status = incident.status.clone().unwrap_or_default();
    let tried = match (spec.kind.drift(), status.actions.len()) {
        (None, _) => "it was opened because a person should know",
        (Some(_), 0) => "nothing was tried, a person is called",
        (Some(_), 1) => "1 action has not mended it, a person is called",
        (Some(_), _) => "all that may be tried has not mended it, a person is called",
    };
    let over = if status.phase == IncidentPhase::Resolved { "; it is over" } else { "" };
    format!("{} {}; {tried}{over}", spec.service, spec.signature)
}

fn opened(incident: &Incident) -> Link {
    let spec = &incident.spec;
    let by = if spec.kind.drift().is_some() { "the planner" } else { "what watches logs and checks" };
    let mut details = Vec::new();
    details.extend(spec.rule.iter().map(|rule| format!("rule: {rule}")));
    details.extend(spec.remedy.iter().map(|remedy| format!("remedy: {remedy}")));
    details.extend(
        spec.suggested_action.iter().map(|action| format!("may help, and is not taken on this ground alone: {action}")),
    );
    let text = format!("{by} opens the incident: {:?}, episode {}", spec.severity, spec.episode);
    Link::new(made(incident), Step::Decided, text).with(details)
}

fn next(incident: &Incident) -> Option<NextStep> {
    let open = incident.status.as_ref().is_none_or(|s| s.phase != IncidentPhase::Resolved);
    let anew = if incident.spec.kind.drift().is_some() { "have its ladder begin anew" } else { "say that it is seen to" };
    let command =
        format!("wicapctl patch incident {} --type merge -p '{{\"spec\":{{\"acknowledged\":true}}}}'", incident.name());
    (open && !incident.spec.acknowledged).then(|| NextStep {
        why: format!(
            "Mend {}. Once it is well for a while the incident is resolved by itself. To {anew} at once:",
            incident.spec.service
        ),
        command: Some(command),
    })
}
