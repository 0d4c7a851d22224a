//! Incidents of checks that fail: one a spell of failures, opened with the first of them and over when the check has passed again for a
//! while, or the run has ended. Pure: a spell is found in the results, whoever looks at them when.

use super::evidence::{Checks, Evidence};
use super::report::{CheckEntry, CheckOutcome};
use crate::api::incident::{Incident, IncidentPhase, IncidentSpec, IncidentStatus, SignalKind};
use crate::api::soak::{SoakPhase, SoakRun};
use crate::api::stack::WicapStack;
use crate::api::stack::naming::named;
use crate::api::{Object, Severity, Time};
use crate::signature::incident::Change;

/// Results in a row that pass before a spell is over: one may be luck.
const PASSES: usize = 3;

/// Messages of failures that are kept.
const SAMPLES: usize = 4;

/// Why an incident is over whose run is.
const ENDED: &str = "the soak has ended";

/// A spell of failures.
struct Spell<'a> {
    failures: Vec<&'a CheckEntry>,
    is_over: bool,
    /// Which one it is, from 1.
    number: i64,
}

impl Spell<'_> {
    fn since(&self) -> Option<Time> {
        self.failures.first().map(|entry| entry.at)
    }
}

/// The last spell of failures of a check.
fn last_spell(checks: &Checks) -> Option<Spell<'_>> {
    let mut spell: Option<Spell<'_>> = None;
    let mut passes = 0;
    for entry in &checks.results {
        if entry.outcome == CheckOutcome::Passed {
            passes += 1;
            if passes >= PASSES
                && let Some(spell) = &mut spell
            {
                spell.is_over = true;
            }
            continue;
        }
        passes = 0;
        match &mut spell {
            Some(spell) if !spell.is_over => spell.failures.push(entry),
            other => {
                let number = other.as_ref().map_or(1, |spell| spell.number + 1);
                *other = Some(Spell { failures: vec![entry], is_over: false, number });
            }
        }
    }
    spell
}

/// What is to be written of the incidents of a run's checks.
#[must_use]
pub fn changes(run: &SoakRun, stack: &WicapStack, evidence: &Evidence, incidents: &[Incident], now: Time) -> Vec<Change> {
    let ours: Vec<&Incident> = incidents
        .iter()
        .filter(|i| i.spec.soak.as_deref() == Some(run.name()) && i.spec.kind.signal() == Some(SignalKind::CheckFailed))
        .filter(|i| i.metadata.deletion_timestamp.is_none())
        .collect();
    let mut changes = Vec::new();
    for check in &run.spec.checks {
        let spell = evidence.checks.get(&check.name).and_then(last_spell);
        let of_check: Vec<&&Incident> = ours.iter().filter(|i| i.spec.service == check.name).collect();
        if let Some(spell) = &spell
            && !of_check.iter().any(|i| i.spec.since == spell.since())
        {
            changes.push(Change::Open(Box::new(open(run, stack, &check.name, spell))));
        }
        for incident in of_check {
            let before = incident.status.clone().unwrap_or_default();
            if before.phase == IncidentPhase::Resolved {
                continue;
            }
            let own = spell.as_ref().filter(|spell| spell.since() == incident.spec.since);
            let next = follow(&before, incident, own, evidence.phase() > SoakPhase::Soaking, now);
            if incident.status.as_ref() != Some(&next) {
                let mut incident = (**incident).clone();
                incident.status = Some(next);
                changes.push(Change::Follow(Box::new(incident)));
            }
        }
    }
    changes
}

/// What is to be written when a run is over: no incident of its checks outlives it, whatever came in between.
#[must_use]
pub fn ended(run: &SoakRun, incidents: &[Incident], now: Time) -> Vec<Change> {
    let is_open = |i: &&Incident| {
        i.spec.soak.as_deref() == Some(run.name())
            && i.spec.kind.signal() == Some(SignalKind::CheckFailed)
            && i.status.as_ref().is_none_or(|s| s.phase != IncidentPhase::Resolved)
    };
    let resolved = |incident: &Incident| {
        let mut incident = incident.clone();
        let status = incident.status.get_or_insert_default();
        (status.phase, status.resolved_at) = (IncidentPhase::Resolved, Some(now));
        status.message = Some(ENDED.to_owned());
        Change::Follow(Box::new(incident))
    };
    incidents.iter().filter(is_open).map(resolved).collect()
}

fn open(run: &SoakRun, stack: &WicapStack, check: &str, spell: &Spell<'_>) -> Incident {
    let first = spell.failures.first();
    let said = first.and_then(|entry| entry.message.clone()).unwrap_or_default();
    let signature = format!("check {check}: {said}");
    let spec = IncidentSpec {
        since: spell.since(),
        soak: Some(run.name().to_owned()),
        ..IncidentSpec::about(stack.name(), check, SignalKind::CheckFailed, spell.number, &signature, Severity::Error)
    };
    let uid: String = run.metadata.uid.iter().flat_map(|uid| uid.chars()).take(8).collect();
    Incident::new(&named(stack, check, &format!("check-failed-{uid}"), &spell.number.to_string()), spec)
}

fn follow(
    before: &IncidentStatus,
    incident: &Incident,
    spell: Option<&Spell<'_>>,
    is_ended: bool,
    now: Time,
) -> IncidentStatus {
    let mut next = before.clone();
    next.first_seen = incident.spec.since;
    if let Some(spell) = spell {
        next.last_seen = spell.failures.last().map(|entry| entry.at);
        next.count = u32::try_from(spell.failures.len()).unwrap_or(u32::MAX);
        let mut said: Vec<String> = spell.failures.iter().filter_map(|entry| entry.message.clone()).collect();
        said.dedup();
        next.evidence = said.last().cloned();
        if said.len() > SAMPLES {
            said.drain(1..=said.len() - SAMPLES);
        }
        next.samples = said;
    }
    let over = if incident.spec.acknowledged {
        let by = incident.spec.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        Some(format!("acknowledged{by}"))
    } else if spell.is_none_or(|spell| spell.is_over) {
        Some(format!("the check has passed {PASSES} times in a row"))
    } else {
        is_ended.then(|| ENDED.to_owned())
    };
    if over.is_some() {
        (next.phase, next.message, next.resolved_at) = (IncidentPhase::Resolved, over, Some(now));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::ServiceState;
    use crate::plan::fixtures::{self, at};
    use crate::soak::record::{Record, What};
    use serde_json::json;

    /// A run with one check whose results were these: `.` passed, `x` failed, `?` could not be made; a second apart.
    fn told(results: &str) -> (SoakRun, Evidence) {
        let mut run: SoakRun = serde_json::from_value(json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "SoakRun", "metadata": {"name": "night", "uid": "0a1b2c3d4e"},
            "spec": {"stack": "wicap", "duration": "1h", "checks": [
                {"name": "page", "httpGet": {"port": 8080}, "period": "1s"}]},
        }))
        .unwrap();
        run.status = Some(crate::api::soak::SoakRunStatus::default());
        let mut evidence = Evidence::default();
        evidence.add(&Record { at: at(0), what: What::Phase { phase: SoakPhase::Soaking } });
        for (number, sign) in (0..).zip(results.chars()) {
            let outcome = match sign {
                '.' => CheckOutcome::Passed,
                'x' => CheckOutcome::Failed,
                _ => CheckOutcome::Error,
            };
            let message = (sign != '.').then(|| format!("answered {sign}{number}"));
            let what = What::Check {
                name: "page".into(),
                number,
                outcome,
                latency_ms: 1.0,
                message,
                screenshot: None,
                captured: std::collections::BTreeMap::new(),
            };
            evidence.add(&Record { at: at(1000 * i64::from(number)), what });
        }
        (run, evidence)
    }

    fn stack() -> WicapStack {
        fixtures::stack(&[("ui", ServiceState::Running)])
    }

    /// The incidents after all that is to be written was written.
    fn settled(told: &(SoakRun, Evidence), mut incidents: Vec<Incident>) -> Vec<Incident> {
        loop {
            let changes = changes(&told.0, &stack(), &told.1, &incidents, at(99_000));
            if changes.is_empty() {
                return incidents;
            }
            for change in changes {
                match change {
                    Change::Open(incident) => {
                        assert!(incident.validate().is_empty() && incidents.iter().all(|i| i.name() != incident.name()));
                        incidents.push(*incident);
                    }
                    Change::Follow(incident) => {
                        let there = incidents.iter_mut().find(|i| i.name() == incident.name()).unwrap();
                        *there = *incident;
                    }
                }
            }
        }
    }

    fn shape(incidents: &[Incident]) -> Vec<(i64, IncidentPhase, u32)> {
        let of = |i: &Incident| (i.spec.episode, i.status.as_ref().unwrap().phase, i.status.as_ref().unwrap().count);
        incidents.iter().map(of).collect()
    }

    #[test]
    fn a_spell_of_failures_is_one_incident_until_the_check_has_passed_three_times() {
        use IncidentPhase::{Open, Resolved};
        for (results, expected) in [
            ("....", vec![]),
            ("..x", vec![(1, Open, 1)]),
            ("..x?x..x", vec![(1, Open, 4)]),
            ("..xx...", vec![(1, Resolved, 2)]),
        ] {
            assert_eq!(shape(&settled(&told(results), vec![])), expected, "{results}");
        }
    }

    #[test]
    fn what_fails_again_after_that_is_another_and_the_first_is_over() {
        let first = settled(&told("xx"), vec![]);
        let both = settled(&told("xx...x"), first);
        assert_eq!(shape(&both), [(1, IncidentPhase::Resolved, 2), (2, IncidentPhase::Open, 1)]);
        let message = both[1].spec.signature.as_str();
        assert_eq!((message, both[1].spec.soak.as_deref()), ("check page: answered x5", Some("night")));
    }

    #[test]
    fn the_end_of_the_soak_and_an_operator_end_it_too() {
        let mut told = told("xx");
        let open = settled(&told, vec![]);
        let mut seen = open.clone();
        (seen[0].spec.acknowledged, seen[0].spec.by) = (true, Some("ann@host".into()));
        assert_eq!(settled(&told, seen)[0].status.as_ref().unwrap().message.as_deref(), Some("acknowledged by ann@host"));
        told.1.add(&Record { at: at(5000), what: What::Phase { phase: SoakPhase::Finalizing } });
        assert_eq!(settled(&told, open.clone())[0].status.as_ref().unwrap().message.as_deref(), Some("the soak has ended"));
        let Change::Follow(late) = ended(&told.0, &open, at(9000)).remove(0) else { panic!("it is there already") };
        assert_eq!(late.status.as_ref().unwrap().phase, IncidentPhase::Resolved);
        assert_eq!(ended(&told.0, &[*late], at(9000)), []);
    }

    #[test]
    fn of_many_failures_the_first_and_the_last_are_shown() {
        let incidents = settled(&told("xxxxxxxx"), vec![]);
        let samples = &incidents[0].status.as_ref().unwrap().samples;
        assert_eq!(samples, &["answered x0", "answered x5", "answered x6", "answered x7"]);
    }
}
