//! Incidents of alarms: opened, followed and resolved. Pure, and level-triggered: what is to be written follows from the alarms that are
//! raised and the incidents that there are, whatever was written before.
//!
//! One alarm is one incident, known by the time of the alarm's first line. So whoever decides after a crash finds it, and an incident that
//! was acknowledged is not opened again while its log goes on.

use std::time::Duration;

use super::register::alarm::Alarm;
use crate::api::action::{ActionPhase, ActionRun};
use crate::api::incident::{Incident, IncidentAction, IncidentPhase, IncidentSpec, IncidentStatus, SignalKind};
use crate::api::stack::WicapStack;
use crate::api::stack::naming::named;
use crate::api::{Object, Time, elapsed};

/// How often the status of an incident says that its log goes on.
const FOLLOW: Duration = Duration::from_secs(60);

/// How long after it was opened an incident's status follows each look: the first seconds tell how bad it is.
const FRESH: Duration = Duration::from_secs(10);

/// The most actions that an incident lists: the last ones.
const ACTIONS_MOST: usize = 20;

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An Incident to be created. Its status is told when it is there.
    Open(Box<Incident>),
    /// An Incident whose status is to be written.
    Follow(Box<Incident>),
}

/// What is known of a stack's logs, and of what was done meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The alarms that are raised.
    pub alarms: &'a [Alarm],
    /// Those that have just ended.
    pub over: &'a [Alarm],
    /// The incidents that there are.
    pub incidents: &'a [Incident],
    /// The actions that there are.
    pub actions: &'a [ActionRun],
    /// The soak run that is under way.
    pub soak: Option<&'a str>,
    /// Since when the logs are read, this time: what was printed before that may not be read yet.
    pub reading_since: Time,
    /// The time.
    pub now: Time,
}

/// What is to be written of the incidents of a stack's logs.
#[must_use]
pub fn changes(stack: &WicapStack, look: Look<'_>) -> Vec<Change> {
    let Look { alarms, over, soak, now, .. } = look;
    let ours: Vec<&Incident> = look
        .incidents
        .iter()
        .filter(|i| i.spec.stack == stack.name() && i.spec.kind.signal().is_some_and(is_of_log))
        .filter(|i| i.metadata.deletion_timestamp.is_none())
        .collect();
    let mut changes = Vec::new();
    for alarm in alarms.iter().chain(over) {
        match ours.iter().find(|i| is_of(i, alarm)) {
            None => changes.push(Change::Open(Box::new(open(stack, alarm, &ours, soak)))),
            Some(incident) => changes.extend(follow(incident, alarm, look)),
        }
    }
    for incident in ours.iter().filter(|i| !is_resolved(i)) {
        let alarm = alarms.iter().find(|alarm| is_of(incident, alarm));
        let why = match alarm {
            _ if incident.spec.acknowledged => {
                let by = incident.spec.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                format!("acknowledged{by}")
            }
            Some(_) => continue,
            // Whoever reads the logs may just have begun, and not be there yet.
            None if lately(incident, stack.spec.logs.quiet.to_std(), look) => continue,
            None => format!("its log has been quiet for {}", stack.spec.logs.quiet),
        };
        changes.retain(|change| !matches!(change, Change::Follow(other) if other.name() == incident.name()));
        let mut resolved = (*incident).clone();
        let last = over.iter().find(|alarm| is_of(incident, alarm));
        let status = resolved.status.get_or_insert_default();
        if let Some(alarm) = last.or(alarm) {
            tell(status, alarm);
        }
        status.actions = actions_of(incident, look.actions);
        (status.phase, status.message, status.resolved_at) = (IncidentPhase::Resolved, Some(why), Some(now));
        changes.push(Change::Follow(Box::new(resolved)));
    }
    changes
}

/// Whether the last line that is known of is not so long ago that the log is quiet, or what came since may not be read yet.
fn lately(incident: &Incident, quiet: Duration, look: Look<'_>) -> bool {
    let last = incident.status.as_ref().and_then(|s| s.last_seen).or(incident.spec.since);
    last.is_some_and(|last| elapsed(last.max(look.reading_since), look.now) < quiet)
}

/// What was done to the service since the incident began, oldest first: because of it or not, it bears on what the log says.
fn actions_of(incident: &Incident, actions: &[ActionRun]) -> Vec<IncidentAction> {
    let began = incident.spec.since;
    let asked = |run: &ActionRun| run.metadata.creation_timestamp.as_ref().map(|at| at.0);
    // Objects are stamped with whole seconds.
    let after =
        |run: &ActionRun| asked(run).zip(began).is_some_and(|(at, began)| elapsed(at, began) < Duration::from_secs(1));
    let mut ours: Vec<&ActionRun> = actions
        .iter()
        .filter(|run| run.spec.stack == incident.spec.stack && run.spec.target == incident.spec.service && after(run))
        .collect();
    ours.sort_by_key(|run| (asked(run), run.name()));
    ours.drain(..ours.len().saturating_sub(ACTIONS_MOST));
    ours.into_iter()
        .map(|run| IncidentAction {
            name: run.name().to_owned(),
            action: run.spec.action,
            outcome: run.status.as_ref().map_or(ActionPhase::Pending, |s| s.phase),
        })
        .collect()
}

fn is_of_log(kind: SignalKind) -> bool {
    match kind {
        SignalKind::KnownIssue | SignalKind::NewSignature | SignalKind::Spike => true,
        SignalKind::CheckFailed => false,
    }
}

/// Whether an incident is that alarm's.
fn is_of(incident: &Incident, alarm: &Alarm) -> bool {
    let spec = &incident.spec;
    let same = match (&spec.rule, &alarm.rule) {
        (Some(a), Some(b)) => a == b,
        (None, None) => spec.signature_id.as_ref().is_some_and(|id| alarm.ids.contains(id)),
        _ => false,
    };
    same && spec.service == alarm.service && spec.since == Some(alarm.first)
}

fn is_resolved(incident: &Incident) -> bool {
    incident.status.as_ref().is_some_and(|s| s.phase == IncidentPhase::Resolved)
}

fn open(stack: &WicapStack, alarm: &Alarm, incidents: &[&Incident], soak: Option<&str>) -> Incident {
    let id = alarm.ids.first().map_or("", String::as_str);
    let what = alarm.rule.clone().unwrap_or_else(|| id.chars().take(8).collect());
    let same = |i: &&&Incident| {
        let spec = &i.spec;
        spec.service == alarm.service
            && spec.rule == alarm.rule
            && (spec.rule.is_some() || spec.signature_id.as_deref() == Some(id))
    };
    let episode = incidents.iter().filter(same).map(|i| i.spec.episode).max().unwrap_or(0).saturating_add(1);
    let spec = IncidentSpec {
        since: Some(alarm.first),
        signature_id: Some(id.to_owned()),
        rule: alarm.rule.clone(),
        remedy: alarm.remedy.clone(),
        suggested_action: alarm.action,
        soak: soak.map(str::to_owned),
        ..IncidentSpec::about(stack.name(), &alarm.service, alarm.kind, episode, &alarm.title, alarm.severity)
    };
    Incident::new(&named(stack, &alarm.service, &what, &episode.to_string()), spec)
}

fn tell(status: &mut IncidentStatus, alarm: &Alarm) {
    status.first_seen = Some(alarm.first);
    status.last_seen = Some(alarm.last);
    status.count = u32::try_from(alarm.count).unwrap_or(u32::MAX);
    status.evidence = alarm.samples.last().cloned();
    status.samples.clone_from(&alarm.samples);
}

/// Its status, when there is something to tell of it.
fn follow(incident: &Incident, alarm: &Alarm, look: Look<'_>) -> Option<Change> {
    let before = incident.status.clone().unwrap_or_default();
    let told = before.last_seen.is_some_and(|last| elapsed(last, look.now) < FOLLOW);
    let fresh = elapsed(alarm.first, look.now) < FRESH;
    let actions = actions_of(incident, look.actions);
    if before.phase == IncidentPhase::Resolved || (told && !fresh && actions == before.actions) {
        return None;
    }
    let mut next = IncidentStatus { actions, ..before.clone() };
    tell(&mut next, alarm);
    (next != before).then(|| {
        let mut incident = incident.clone();
        incident.status = Some(next);
        Change::Follow(Box::new(incident))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Severity;
    use crate::api::stack::ServiceState;
    use crate::plan::fixtures::{self, at};
    use serde_json::json;

    fn alarm(rule: Option<&str>, first: i64, last: i64) -> Alarm {
        Alarm {
            service: "processor".into(),
            kind: SignalKind::KnownIssue,
            rule: rule.map(str::to_owned),
            ids: vec!["00c0ffee00c0ffee".into()],
            title: "rows are lost".into(),
            severity: Severity::Critical,
            remedy: Some("mend the database".into()),
            action: None,
            first: at(first),
            last: at(last),
            count: 3,
            samples: vec!["Cannot flush".into()],
            keys: Vec::new(),
            came: None,
        }
    }

    fn changes(
        stack: &WicapStack,
        alarms: &[Alarm],
        over: &[Alarm],
        incidents: &[Incident],
        soak: Option<&str>,
        now: Time,
    ) -> Vec<Change> {
        let look = Look { alarms, over, incidents, actions: &[], soak, reading_since: Time::MIN, now };
        super::changes(stack, look)
    }

    fn stack() -> WicapStack {
        fixtures::stack(&[("processor", ServiceState::Running)])
    }

    /// The incidents after all that is to be written at a time was written.
    fn settled(stack: &WicapStack, alarms: &[Alarm], mut incidents: Vec<Incident>, now: i64) -> Vec<Incident> {
        loop {
            let changes = changes(stack, alarms, &[], &incidents, None, at(now));
            if changes.is_empty() {
                return incidents;
            }
            incidents = written(changes, incidents);
        }
    }

    /// The incidents after what was to be written was written.
    fn written(changes: Vec<Change>, mut incidents: Vec<Incident>) -> Vec<Incident> {
        for change in changes {
            match change {
                Change::Open(incident) => {
                    assert!(incidents.iter().all(|i| i.name() != incident.name()), "{} is there already", incident.name());
                    incidents.push(*incident);
                }
                Change::Follow(incident) => {
                    let there = incidents.iter_mut().find(|i| i.name() == incident.name()).unwrap();
                    *there = *incident;
                }
            }
        }
        incidents
    }

    #[test]
    fn an_alarm_is_one_incident_whatever_is_decided_how_often() {
        let (stack, alarms) = (stack(), [alarm(Some("flush-lost"), 0, 500)]);
        let incidents = written(changes(&stack, &alarms, &[], &[], Some("night"), at(1000)), vec![]);
        assert_eq!(incidents.len(), 1);
        let spec = &incidents[0].spec;
        assert_eq!((incidents[0].name(), spec.soak.as_deref()), ("wicap-processor-flush-lost-0f1e2-1", Some("night")));
        assert!(spec.remedy.is_some() && incidents[0].validate().is_empty());
        let incidents = settled(&stack, &alarms, incidents, 1000);
        assert_eq!((incidents.len(), incidents[0].status.as_ref().unwrap().count), (1, 3));
        assert_eq!(changes(&stack, &alarms, &[], &incidents, None, at(2000)), []);
    }

    #[test]
    fn what_goes_on_is_told_at_first_at_once_and_then_every_minute() {
        let stack = stack();
        let incidents = settled(&stack, &[alarm(Some("r"), 0, 0)], vec![], 0);
        let incidents = settled(&stack, &[alarm(Some("r"), 0, 900)], incidents, 9_999);
        assert_eq!(incidents[0].status.as_ref().unwrap().last_seen, Some(at(900)));
        let more = [alarm(Some("r"), 0, 50_000)];
        assert_eq!(changes(&stack, &more, &[], &incidents, None, at(60_899)), []);
        assert_eq!(changes(&stack, &more, &[], &incidents, None, at(60_900)).len(), 1);
    }

    #[test]
    fn a_quiet_log_resolves_it_and_what_comes_later_is_another() {
        let (stack, first) = (stack(), alarm(None, 0, 500));
        let incidents = settled(&stack, std::slice::from_ref(&first), vec![], 0);
        let last = Alarm { count: 7, ..first };
        let incidents = written(changes(&stack, &[], &[last], &incidents, None, at(700_000)), incidents);
        let status = incidents[0].status.as_ref().unwrap();
        assert_eq!((status.phase, status.resolved_at, status.count), (IncidentPhase::Resolved, Some(at(700_000)), 7));
        assert_eq!(status.message.as_deref(), Some("its log has been quiet for 10m"));
        let incidents = settled(&stack, &[alarm(None, 800_000, 800_001)], incidents, 800_001);
        let names: Vec<_> = incidents.iter().map(Object::name).collect();
        assert_eq!(names, ["wicap-processor-00c0ffee-0f1e2-1", "wicap-processor-00c0ffee-0f1e2-2"]);
    }

    #[test]
    fn a_reader_that_has_just_begun_does_not_take_the_log_for_quiet() {
        let stack = stack();
        let opened = written(changes(&stack, &[alarm(Some("r"), 0, 500)], &[], &[], None, at(1000)), vec![]);
        assert_eq!(settled(&stack, &[], opened.clone(), 2000), opened);
        let told = settled(&stack, &[alarm(Some("r"), 0, 500)], opened, 1000);
        assert_eq!(settled(&stack, &[], told.clone(), 600_499), told);
        assert_eq!(settled(&stack, &[], told, 600_500)[0].status.as_ref().unwrap().phase, IncidentPhase::Resolved);
    }

    #[test]
    fn what_was_printed_while_nobody_read_is_waited_for() {
        let stack = stack();
        let opened = settled(&stack, &[alarm(Some("r"), 0, 500)], vec![], 1000);
        let look = |now: i64| Look {
            alarms: &[],
            over: &[],
            incidents: &opened,
            actions: &[],
            soak: None,
            reading_since: at(9_000_000),
            now: at(now),
        };
        assert_eq!(super::changes(&stack, look(9_599_999)), []);
        assert_eq!(super::changes(&stack, look(9_600_000)).len(), 1);
    }

    #[test]
    fn what_was_done_to_the_service_since_is_listed_in_order() {
        let (stack, alarms) = (stack(), [alarm(Some("r"), 10_500, 10_500)]);
        let run = |name: &str, target: &str, second: i64| -> ActionRun {
            let spec = json!({"stack": "wicap", "action": "restart_service", "target": target, "session": "s",
                "cause": {"kind": "Operator", "summary": "test"}});
            let mut run: ActionRun = serde_json::from_value(json!({
                "apiVersion": "wicap.dev/v1alpha1", "kind": "ActionRun", "metadata": {"name": name}, "spec": spec,
            }))
            .unwrap();
            run.metadata.creation_timestamp = Some(at(second * 1000).into());
            run
        };
        let actions = [
            run("second", "processor", 12),
            run("first", "processor", 10),
            run("before", "processor", 9),
            run("elsewhere", "ui", 12),
        ];
        let incidents = settled(&stack, &alarms, vec![], 10_500);
        let look = |now: i64| Look {
            alarms: &alarms,
            over: &[],
            incidents: &incidents,
            actions: &actions,
            soak: None,
            reading_since: at(0),
            now: at(now),
        };
        // At once, though its log was told of a moment ago.
        let changes = super::changes(&stack, look(30_000));
        let [Change::Follow(told)] = changes.as_slice() else { panic!("{changes:?}") };
        let names: Vec<&str> = told.status.as_ref().unwrap().actions.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["first", "second"]);
    }

    #[test]
    fn one_that_was_acknowledged_is_over_and_stays_so_while_its_log_goes_on() {
        let (stack, alarms) = (stack(), [alarm(Some("r"), 0, 500)]);
        let mut incidents = settled(&stack, &alarms, vec![], 1000);
        (incidents[0].spec.acknowledged, incidents[0].spec.by) = (true, Some("ann@host".into()));
        let incidents = settled(&stack, &alarms, incidents, 2000);
        assert_eq!(incidents[0].status.as_ref().unwrap().message.as_deref(), Some("acknowledged by ann@host"));
        assert_eq!(settled(&stack, &[alarm(Some("r"), 0, 90_000)], incidents.clone(), 90_000), incidents);
    }

    #[test]
    fn one_that_came_and_went_between_two_looks_is_opened_and_resolved() {
        let (stack, short) = (stack(), alarm(Some("r"), 0, 500));
        let incidents = written(changes(&stack, &[], std::slice::from_ref(&short), &[], None, at(700_000)), vec![]);
        assert_eq!(incidents.len(), 1);
        let incidents = settled(&stack, &[], incidents, 700_500);
        assert_eq!(incidents[0].status.as_ref().unwrap().phase, IncidentPhase::Resolved);
    }

    #[test]
    fn incidents_of_drifts_and_of_other_stacks_are_left_alone() {
        let stack = stack();
        let mut other = settled(&stack, &[alarm(Some("r"), 0, 0)], vec![], 0);
        other[0].spec.stack = "elsewhere".into();
        let mut drift = other[0].clone();
        (drift.spec.stack, drift.spec.kind) = ("wicap".into(), crate::api::stack::DriftKind::NotRunning.into());
        other.push(drift);
        assert_eq!(changes(&stack, &[], &[], &other, None, at(10_000_000)), []);
    }
}
