//! What of a stack's logs is a curve: the lines of each signature of note since the soak began.
//!
//! | series | |
//! |---|---|
//! | `log:SERVICE/NAME` | lines since the soak began; NAME is the rule that knows them, else the id of the signature |
//! | `logbase:SERVICE/NAME` | one point: how many there had been before that |
//! | `log:all/lines` | all lines since the soak began: that logs were read at all |

use std::collections::BTreeMap;

use super::evidence::Evidence;
use crate::api::log_report::LogReportStatus;
use crate::api::{Severity, Time};

/// What a series of lines is called by, before its service.
const LINES: &str = "log:";

/// What there was before.
const BASE: &str = "logbase:";

/// Every line of every log.
const ALL: &str = "all/lines";

/// What was recorded so far.
#[derive(Clone, Debug)]
pub struct Said {
    since: Time,
    bases: BTreeMap<String, f64>,
}

impl Said {
    /// Of a run that soaks since then.
    #[must_use]
    pub fn so_far(evidence: &Evidence, since: Time) -> Self {
        let base =
            |(name, points): (&String, &Vec<(Time, f64)>)| Some((name.strip_prefix(BASE)?.to_owned(), points.first()?.1));
        Self { since, bases: evidence.series.iter().filter_map(base).collect() }
    }

    /// What is to be recorded of a report.
    #[must_use]
    pub fn values(&self, report: &LogReportStatus) -> BTreeMap<String, f64> {
        let mut counts: BTreeMap<String, (u64, bool)> = BTreeMap::from([(ALL.to_owned(), (report.lines, false))]);
        let by_rule = report.rules.iter().map(|of| (&of.service, &of.rule, of.count, of.first_seen));
        let by_id = report.signatures.iter().filter(|s| s.severity >= Severity::Warning);
        let by_id = by_id.map(|s| (&s.service, &s.id, s.count, s.first_seen));
        for (service, what, lines, first) in by_rule.chain(by_id) {
            let (count, all_born) = counts.entry(format!("{service}/{what}")).or_insert((0, true));
            *count += lines;
            *all_born &= first >= self.since;
        }
        let mut values = BTreeMap::new();
        for (name, (count, born)) in counts {
            // Far below 2^53.
            #[allow(clippy::cast_precision_loss)]
            let count = count as f64;
            let base = self.bases.get(&name).copied().unwrap_or_else(|| {
                let base = if born { 0.0 } else { count };
                values.insert(format!("{BASE}{name}"), base);
                base
            });
            // What was forgotten meanwhile counts from the beginning again.
            values.insert(format!("{LINES}{name}"), (count - base).max(0.0));
        }
        values
    }
}

/// Whether a series only says what there was before the soak.
#[must_use]
pub fn is_base(series: &str) -> bool {
    series.starts_with(BASE)
}

/// Lines of a rule or of a signature's id since the soak began, over all services; none when the logs were not read.
#[must_use]
pub fn lines_of(series: &BTreeMap<String, Vec<(Time, f64)>>, name: &str) -> Option<f64> {
    if !series.contains_key(&format!("{LINES}{ALL}")) {
        return None;
    }
    let meant = |series: &str| {
        let of = series.strip_prefix(LINES).and_then(|rest| rest.rsplit_once('/'));
        of.is_some_and(|(_, what)| what == name)
    };
    // The last is not always the most: what the logs' reader has forgotten begins anew.
    let most = |points: &Vec<(Time, f64)>| points.iter().map(|(_, v)| *v).fold(0.0, f64::max);
    Some(series.iter().filter(|(name, _)| meant(name)).map(|(_, points)| most(points)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::at;
    use crate::soak::record::{Record, What};
    use serde_json::json;

    fn report(lines: u64, signatures: &[(&str, Option<&str>, &str, u64, i64)]) -> LogReportStatus {
        let mut report = json!({"lines": lines, "signatures": [], "rules": []});
        for (service, rule, severity, count, first) in signatures {
            let mut told = json!({
                "service": service, "severity": severity, "count": count, "firstSeen": at(*first).to_string(),
                "lastSeen": at(*first).to_string(), "id": "00c0ffee00c0ffee", "template": "t",
            });
            if let Some(rule) = rule {
                told["rule"] = json!(rule);
                report["rules"].as_array_mut().unwrap().push(told.clone());
            }
            report["signatures"].as_array_mut().unwrap().push(told);
        }
        serde_json::from_value(report).unwrap()
    }

    /// The curves after these reports, a second apart.
    fn sampled(reports: &[LogReportStatus]) -> BTreeMap<String, Vec<(Time, f64)>> {
        let mut evidence = Evidence::default();
        for (number, report) in (0..).zip(reports) {
            let values = Said::so_far(&evidence, at(1000)).values(report);
            evidence.add(&Record { at: at(2000 + 1000 * i64::from(number)), what: What::Sample { number, values } });
        }
        evidence.series
    }

    #[test]
    fn what_was_said_before_the_soak_does_not_count_and_what_is_new_counts_whole() {
        let series = sampled(&[
            report(100, &[("a", Some("lost"), "Error", 7, 0)]),
            report(150, &[("a", Some("lost"), "Error", 9, 0), ("b", Some("lost"), "Error", 4, 2500)]),
        ]);
        assert_eq!(lines_of(&series, "lost"), Some(6.0));
        assert_eq!(series["log:all/lines"].last().map(|(_, lines)| lines.to_string()).as_deref(), Some("50"));
    }

    #[test]
    fn what_never_came_is_none_and_nothing_is_known_of_logs_that_were_not_read() {
        assert_eq!(lines_of(&sampled(&[report(1, &[])]), "lost"), Some(0.0));
        assert_eq!(lines_of(&sampled(&[]), "lost"), None);
    }

    #[test]
    fn what_is_of_no_note_is_no_curve() {
        let series = sampled(&[report(9, &[("a", None, "Info", 5, 2000), ("a", None, "Warning", 2, 2000)])]);
        let names: Vec<&str> = series.keys().map(String::as_str).filter(|name| name.starts_with("log:a/")).collect();
        assert_eq!(names, ["log:a/00c0ffee00c0ffee"]);
    }

    #[test]
    fn a_reader_of_logs_that_begins_anew_takes_nothing_back() {
        let first = report(100, &[("a", Some("lost"), "Error", 5, 2000)]);
        let series = sampled(&[first, report(3, &[("a", Some("lost"), "Error", 1, 4000)])]);
        assert_eq!(lines_of(&series, "lost"), Some(5.0));
    }
}
