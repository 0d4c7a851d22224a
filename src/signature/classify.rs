//! What lines say, all of them seen at once: the same lines give the same answer wherever and whenever they are looked at.

use serde::{Deserialize, Serialize};

use super::envelope::{Folder, Limits, Record};
use super::mine::{Group, Miner, Settings};
use super::rules::Rules;
use crate::api::Severity;

/// What is said of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classified {
    /// Number of its first line, from 0.
    pub line: usize,
    /// Its lines.
    pub lines: usize,
    /// Id of its signature.
    pub id: String,
    /// Its template.
    pub template: String,
    /// How much it matters.
    pub severity: Severity,
    /// The rule that knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// Says of the records of a service's log what they are. A line is of the standard output, or (`true`) of the standard error output; those
/// of each are put together by themselves.
#[must_use]
pub fn classify(service: &str, lines: &[(bool, &str)], rules: &Rules) -> Vec<Classified> {
    let mut folders = [false, true].map(|_| (Folder::new(Limits::default()), Vec::new()));
    let mut records: Vec<(usize, Record)> = Vec::new();
    for (number, (is_error, text)) in lines.iter().enumerate() {
        let (folder, open) = &mut folders[usize::from(*is_error)];
        if let Some(record) = folder.push(text) {
            let first = std::mem::take(open).first().copied().unwrap_or(number);
            records.push((first, record));
        }
        open.push(number);
    }
    for (folder, open) in &mut folders {
        if let Some(record) = folder.flush() {
            records.push((open.first().copied().unwrap_or(0), record));
        }
    }
    records.sort_by_key(|(first, _)| *first);
    let mut miner = Miner::new(Settings::default());
    let groups: Vec<Group> = records.iter().map(|(_, record)| miner.learn(&record.mined()).group).collect();
    let told = |((line, record), group): (&(usize, Record), Group)| {
        let judged = rules.judge(service, record);
        Classified {
            line: *line,
            lines: record.lines,
            id: miner.id(group).to_string(),
            template: miner.template(group),
            severity: judged.severity,
            rule: judged.rule.map(|rule| rule.name.clone()),
        }
    };
    records.iter().zip(groups).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::RuleSet;
    use crate::signature::rules::compiled;

    #[test]
    fn the_records_of_both_outputs_are_told_in_the_order_of_their_lines() {
        let rules = compiled(&RuleSet::all(), &[]).unwrap();
        let lines = [
            (false, "2026-02-10 10:00:00 [INFO] wicap.ui: ready after 10 ms"),
            (true, "Traceback (most recent call last):"),
            (false, "2026-02-10 10:00:00 [INFO] wicap.ui: ready after 12 ms"),
            (true, "  File \"a.py\", line 3, in f"),
            (true, "    g()"),
            (true, "ValueError: no"),
            (false, "2026-02-10 10:00:01 [ERROR] wicap.sql: Cannot flush: database connection failed"),
        ];
        let told = classify("processor", &lines, &rules);
        let shape: Vec<_> = told.iter().map(|c| (c.line, c.lines)).collect();
        assert_eq!(shape, [(0, 1), (1, 4), (2, 1), (6, 1)]);
        assert_eq!(told[0].id, told[2].id);
        assert!(told[3].rule.is_some() && told[3].severity == Severity::Critical);
        assert_eq!(classify("processor", &lines, &rules), told);
    }
}
