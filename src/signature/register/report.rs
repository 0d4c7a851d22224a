//! What is told of a stack's logs: the few signatures that matter most.

use std::collections::BTreeSet;

use super::entry::Entry;
use super::{Known, NEW, Register, Service};
use crate::api::log_report::{
    LogReportStatus, MINUTES, RULES_MOST, RuleCount, SIGNATURES_MOST, SignatureState, SignatureStatus,
};
use crate::api::{Severity, Time, elapsed};
use crate::signature::mine::Group;
use crate::signature::rates::Key;

/// The longest template that is shown, in characters: a line of a list.
const TEMPLATE_MOST: usize = 200;

impl Register {
    /// The report as of `now`. Whoever reads the logs adds what was dropped and what cannot be read.
    #[must_use]
    pub fn report(&self, now: Time) -> LogReportStatus {
        let of = |keys: Vec<Key>| keys.into_iter().collect::<BTreeSet<_>>();
        let spikes = of(self.watch.spikes().into_iter().map(|(key, _)| key).collect());
        let silences = of(self.watch.silences().into_iter().map(|(key, _)| key).collect());
        let state = |entry: &Entry| match entry.new_since {
            _ if spikes.contains(&entry.key) => SignatureState::Spike,
            Some(since) if elapsed(since, now) < NEW => SignatureState::New,
            _ if silences.contains(&entry.key) => SignatureState::Silent,
            _ => SignatureState::Steady,
        };
        let mut all: Vec<(&str, &Service, Group, &Entry, SignatureState)> = self
            .services
            .iter()
            .flat_map(|(name, service)| {
                service.entries.iter().map(move |(group, entry)| (name.as_str(), service, *group, entry))
            })
            .map(|(name, service, group, entry)| (name, service, group, entry, state(entry)))
            .collect();
        let known = all.len();
        all.sort_by(|a, b| {
            let rank = |(_, _, _, entry, state): &(_, _, _, &Entry, _)| (entry.severity, *state, entry.count);
            rank(b).cmp(&rank(a)).then_with(|| (a.0, a.3.key).cmp(&(b.0, b.3.key)))
        });
        all.truncate(SIGNATURES_MOST);
        let told = |(name, service, group, entry, state): (&str, &Service, Group, &Entry, SignatureState)| SignatureStatus {
            service: name.to_owned(),
            id: entry.id.to_string(),
            template: service.miner.template(group).chars().take(TEMPLATE_MOST).collect(),
            severity: entry.severity,
            state,
            rule: entry.rule.clone(),
            count: entry.count,
            minutes: self.minutes(entry.key, now),
            first_seen: entry.first,
            last_seen: entry.last,
        };
        LogReportStatus {
            reported_at: Some(now),
            lines: self.lines,
            dropped: 0,
            known: known as u64,
            unreadable: Vec::new(),
            signatures: all.into_iter().map(told).collect(),
            rules: self.rules_told(),
        }
    }

    /// What rules have known, the gravest first when there is too much of it, in the order of services and rules.
    fn rules_told(&self) -> Vec<RuleCount> {
        let told = |((service, rule), known): (&(String, String), &Known)| RuleCount {
            service: service.clone(),
            rule: rule.clone(),
            severity: known.severity,
            count: known.count,
            first_seen: known.first,
            last_seen: known.last,
        };
        let mut all: Vec<RuleCount> = self.known.iter().map(told).collect();
        all.sort_by_key(|of| std::cmp::Reverse((of.severity, of.last_seen)));
        all.truncate(RULES_MOST);
        all.sort_by(|a, b| (&a.service, &a.rule).cmp(&(&b.service, &b.rule)));
        all
    }

    /// Lines in each of the last full minutes, the latest last.
    fn minutes(&self, key: Key, now: Time) -> Vec<u32> {
        let at = |back: usize| {
            let seconds = i64::try_from(back * 60).unwrap_or(i64::MAX);
            now.checked_sub(jiff::SignedDuration::from_secs(seconds)).map_or(0, |at| self.watch.lines(key, at))
        };
        (1..=MINUTES).rev().map(at).collect()
    }
}

/// Whether a report has something that a person would want to see at once.
#[must_use]
pub fn is_worth_telling(before: &LogReportStatus, next: &LogReportStatus) -> bool {
    let of_note = |status: &LogReportStatus| -> Vec<(String, SignatureState, Severity)> {
        let signatures = status.signatures.iter();
        let of_note = signatures.filter(|s| s.severity >= Severity::Warning || s.state != SignatureState::Steady);
        of_note.map(|s| (s.id.clone(), s.state, s.severity)).collect()
    };
    before.reported_at.is_none()
        || before.dropped != next.dropped
        || before.unreadable != next.unreadable
        || of_note(before) != of_note(next)
}
