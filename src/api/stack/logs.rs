//! How the logs of a stack's containers are read, and what an operator knows of their lines.

use std::collections::HashSet;

use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::action::ActionKind;
use crate::api::validate::{Check, is_service, quoted};
use crate::api::{Duration, Severity};

/// How the logs of a stack's containers are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// False: they are not read. Probes that look into a log do so all the same.
    #[serde(default = "super::yes")]
    pub follow: bool,
    /// The sets of rules that come with the program and are to be used, those of a later one before those of an earlier one.
    #[serde(default = "RuleSet::all")]
    pub rule_sets: Vec<RuleSet>,
    /// What else is known of lines. A rule with the name of one of a set takes its place. At most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<IssueRule>,
    /// An incident that was opened because of lines is over when none has come for so long: from a second to a day.
    #[serde(default = "ten_minutes")]
    pub quiet: Duration,
}

/// The most rules that a stack may have of its own. Each costs time for every line.
pub const RULES_MOST: usize = 200;

/// The longest quiet: a day.
const QUIET_MOST: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The longest title, in bytes: one line of a list.
const TITLE_MOST: usize = 120;

/// The longest remedy, in bytes: three long sentences.
const REMEDY_MOST: usize = 1024;

/// The longest text that a rule looks for, in bytes.
const TEXT_MOST: usize = 256;

/// The most texts in one list of a rule. What needs more is a pattern.
const TEXTS_MOST: usize = 32;

/// The most services that a rule names.
const SERVICES_MOST: usize = 64;

/// The longest pattern, in bytes.
const PATTERN_MOST: usize = 512;

/// The largest compiled pattern, in bytes: 500 of them are 32 MiB. Classes are those of ASCII, so that this is a lot.
pub(crate) const COMPILED_MOST: usize = 64 * 1024;

/// How much a pattern may remember while it runs, in bytes. What needs more runs slower, not wrong.
pub(crate) const CACHE_MOST: usize = 256 * 1024;

/// How deep the brackets of a pattern may be nested.
const NESTING_MOST: u32 = 16;

fn ten_minutes() -> Duration {
    std::time::Duration::from_secs(600).into()
}

impl Default for Logs {
    fn default() -> Self {
        Self { follow: true, rule_sets: RuleSet::all(), rules: Vec::new(), quiet: ten_minutes() }
    }
}

impl Logs {
    /// Whether nothing is said that would not hold anyway.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A set of rules that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RuleSet {
    /// What hurts any stack, such as a full disk, and what is noise in any.
    General,
    /// The known failures of WICAP.
    Wicap,
}

impl RuleSet {
    /// All of them, in the order in which they are used.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::General, Self::Wicap]
    }
}

/// What is known of lines: an issue with its remedy, or noise, or (`off`) that the rule of that name is not used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssueRule {
    /// What it is called by incidents, by criteria and by rules that take its place: a DNS label.
    pub name: String,
    /// What has happened, in one line. Every known issue has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Which records it is about.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<LineMatch>,
    /// How much it matters, from Info to Critical. From Warning on, a match opens an Incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// True: what it matches is worth no look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noise: bool,
    /// What an operator does about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The action on the service that may help. It is suggested, and never taken on this ground alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionKind>,
    /// True: the rule of that name is not used. It has nothing else then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
}

/// Which records a rule is about: those for which all that is given holds. At least one part beside `services` is given.
///
/// Texts and patterns are looked for in the message, in class and message of the exception, and in what a structured line gives as its
/// `error`; in the account of a request only if there is a `status` too, for what a path holds is for the client to choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineMatch {
    /// Texts that are there, all of them, capitals told apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// Texts of which at least one is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<String>,
    /// A regular expression with the classes of ASCII.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The class of the exception, or the last part of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// The status of the HTTP answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusRange>,
    /// The line's own level is that or more. A line without one has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Who logs it, or the beginning of that up to a joint: `wicap` for `wicap.sql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// Services whose records are meant; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

/// How grave a line says it is, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LogLevel {
    /// The finest grain, for following a program step by step.
    Trace,
    /// For the people who write the program.
    Debug,
    /// The usual course of things.
    Info,
    /// Usual, but worth reading.
    Notice,
    /// Something is off, the work goes on.
    Warn,
    /// Some work failed.
    Error,
    /// The program or the whole machine cannot go on. Also "critical", "alert", "emergency" and "panic".
    Fatal,
}

/// Statuses of HTTP answers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusRange {
    /// The lowest, from 100.
    pub from: u16,
    /// The highest, up to 599.
    pub to: u16,
}

/// Every rule that this part of a spec breaks.
pub(in crate::api) fn validate(check: &mut Check, path: &str, logs: &Logs) {
    let quiet = logs.quiet.to_std();
    check.that(
        !logs.quiet.is_negative() && quiet.as_secs() >= 1 && quiet <= QUIET_MOST,
        format!("{path}.quiet"),
        format!("\"{}\"", logs.quiet),
        "a duration from 1s to 24h",
    );
    for (i, set) in logs.rule_sets.iter().enumerate() {
        let again = logs.rule_sets[..i].contains(set);
        check.that(!again, format!("{path}.ruleSets[{i}]"), format!("\"{set:?}\""), "each set once");
    }
    let count = logs.rules.len();
    check.that(
        count <= RULES_MOST,
        format!("{path}.rules"),
        format!("{count} rules"),
        format!("at most {RULES_MOST} rules"),
    );
    validate_rules(check, &format!("{path}.rules"), &logs.rules);
}

/// Every mistake in a list of rules.
pub(crate) fn validate_rules(check: &mut Check, path: &str, rules: &[IssueRule]) {
    let mut names = HashSet::new();
    for (i, rule) in rules.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let unique = names.insert(rule.name.as_str());
        check.that(unique, format!("{path}.name"), format!("{} a second time", quoted(&rule.name)), "each name once");
        rule.validate(check, &path);
    }
}

impl IssueRule {
    fn validate(&self, check: &mut Check, path: &str) {
        check.that(
            is_label(&self.name),
            format!("{path}.name"),
            quoted(&self.name),
            "1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit (a DNS label)",
        );
        let fields = [
            ("title", self.title.is_some()),
            ("match", self.matches.is_some()),
            ("severity", self.severity.is_some()),
            ("noise", self.noise),
            ("remedy", self.remedy.is_some()),
            ("action", self.action.is_some()),
        ];
        if self.off {
            for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
                let expected = "nothing: a rule that is off has a name and nothing else";
                check.that(false, format!("{path}.{field}"), "a value", expected);
            }
            return;
        }
        let verdict = match (self.severity, self.noise) {
            (Some(Severity::Noise), _) => Some("\"Noise\""),
            (Some(_), true) => Some("both severity and noise"),
            (None, false) => Some("neither severity nor noise"),
            _ => None,
        };
        let expected = "a severity from \"Info\" to \"Critical\", or \"noise\": true";
        check.that(verdict.is_none(), format!("{path}.severity"), verdict.unwrap_or_default(), expected);
        let untitled = !self.noise && self.title.is_none();
        check.that(!untitled, format!("{path}.title"), "nothing", format!("a text of 1 to {TITLE_MOST} bytes"));
        for (field, value, most) in [("title", &self.title, TITLE_MOST), ("remedy", &self.remedy, REMEDY_MOST)] {
            if let Some(value) = value {
                check.text(&format!("{path}.{field}"), value, most);
            }
        }
        if let Some(action) = self.action {
            let expected = "nothing: what is noise is not acted on";
            check.that(!self.noise, format!("{path}.action"), quoted(action.as_str()), expected);
            let fits = action.can_target_service() && !action.targets_job();
            let expected = "an action on the one service that wrote the line";
            check.that(fits, format!("{path}.action"), quoted(action.as_str()), expected);
        }
        let path = format!("{path}.match");
        match &self.matches {
            Some(matches) => matches.validate(check, &path),
            None => check.that(false, path, "nothing", "a value: the field is required"),
        }
    }
}

impl LineMatch {
    fn validate(&self, check: &mut Check, path: &str) {
        let texts = !self.contains.is_empty() || !self.any_of.is_empty() || self.pattern.is_some();
        let facts = self.exception.is_some() || self.status.is_some() || self.level.is_some() || self.logger.is_some();
        let expected = "at least one of contains, anyOf, pattern, exception, status, level, logger";
        check.that(texts || facts, path, "nothing to go by", expected);
        for (field, list) in [("contains", &self.contains), ("anyOf", &self.any_of)] {
            let expected = format!("at most {TEXTS_MOST} texts");
            check.that(list.len() <= TEXTS_MOST, format!("{path}.{field}"), format!("{} texts", list.len()), expected);
            for (i, text) in list.iter().enumerate() {
                check.text(&format!("{path}.{field}[{i}]"), text, TEXT_MOST);
            }
        }
        for (field, name) in [("exception", &self.exception), ("logger", &self.logger)] {
            if let Some(name) = name {
                check.text(&format!("{path}.{field}"), name, TEXT_MOST);
            }
        }
        if let Some(StatusRange { from, to }) = self.status {
            let fits = (100..=599).contains(&from) && (from..=599).contains(&to);
            let expected = "100 to 599, \"from\" not over \"to\"";
            check.that(fits, format!("{path}.status"), format!("{from} to {to}"), expected);
        }
        let expected = format!("at most {SERVICES_MOST} names");
        let found = format!("{} names", self.services.len());
        check.that(self.services.len() <= SERVICES_MOST, format!("{path}.services"), found, expected);
        for (i, service) in self.services.iter().enumerate() {
            let ok = is_service(service);
            check.that(ok, format!("{path}.services[{i}]"), quoted(service), "the name of a compose service");
        }
        if let (Some(pattern), Err(expected)) = (&self.pattern, self.regex()) {
            check.that(false, format!("{path}.pattern"), quoted(pattern), expected);
        }
    }

    /// The compiled pattern, when one is given.
    ///
    /// # Errors
    /// What would be one.
    pub(crate) fn regex(&self) -> Result<Option<Regex>, String> {
        let Some(pattern) = &self.pattern else { return Ok(None) };
        if pattern.is_empty() || pattern.len() > PATTERN_MOST {
            return Err(format!("a regular expression of 1 to {PATTERN_MOST} bytes"));
        }
        let mut builder = RegexBuilder::new(pattern);
        builder.unicode(false).size_limit(COMPILED_MOST).dfa_size_limit(CACHE_MOST).nest_limit(NESTING_MOST);
        builder.build().map(Some).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("a regular expression that takes at most {COMPILED_MOST} bytes compiled")
            }
            other => {
                // The last line says what is wrong; those before it point at the place.
                let text = other.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("a regular expression ({reason})")
            }
        })
    }
}

/// Whether a name is a DNS label (RFC 1123).
fn is_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| inner(byte) || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode;
    use serde_json::{Value, json};

    fn mistakes(logs: &Value) -> Vec<String> {
        let mut check = Check::new();
        match decode::value::<Logs>(logs) {
            Ok(logs) => validate(&mut check, "spec.logs", &logs),
            Err(violation) => return vec![violation.to_string()],
        }
        check.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_said_is_sound_and_the_default() {
        let logs: Logs = serde_json::from_value(json!({})).unwrap();
        assert!(logs.is_default() && logs.follow && mistakes(&json!({})).is_empty());
    }

    #[test]
    fn what_is_wrong_with_the_rest_is_told_too() {
        let logs = json!({"rules": [{"name": "a", "off": true}, {"name": "a", "off": true}], "quiet": "0s", "ruleSets": ["Wicap", "Wicap"]});
        let told = mistakes(&logs);
        for path in ["spec.logs.quiet: ", "spec.logs.ruleSets[1]: ", "spec.logs.rules[1].name: "] {
            assert!(told.iter().any(|mistake| mistake.starts_with(path)), "{path} {told:?}");
        }
        assert_eq!(told.len(), 3);
        let many: Vec<Value> = (0..=RULES_MOST).map(|i| json!({"name": format!("r{i}"), "off": true})).collect();
        assert_eq!(mistakes(&json!({"rules": many})), ["spec.logs.rules: found 201 rules, expected at most 200 rules"]);
    }

    /// What is said about a set with one good rule and this one.
    fn said(rule: Value) -> String {
        let good = json!({"name": "good", "title": "t", "match": {"contains": ["x"]}, "severity": "Error"});
        mistakes(&json!({"rules": [good, rule]})).join("\n")
    }

    /// A good rule with one field changed.
    fn with(field: &str, value: Value) -> Value {
        let mut rule = json!({"name": "a", "title": "t", "match": {"contains": ["x"]}, "severity": "Error"});
        rule[field] = value;
        rule
    }

    #[test]
    fn what_is_wrong_is_told_with_its_path() {
        for (rule, expected) in [
            (with("name", json!("A_b")), "rules[1].name: found \"A_b\", expected 1 to 63 of a-z"),
            (with("name", json!("a.b")), "rules[1].name: found \"a.b\""),
            (with("name", json!("good")), "rules[1].name: found \"good\" a second time, expected each name once"),
            (with("title", json!("t".repeat(121))), "rules[1].title: found \"ttt"),
            (with("title", Value::Null), "rules[1].title: found nothing, expected a text of 1 to 120 bytes"),
            (with("remedy", json!("r".repeat(1025))), "rules[1].remedy: found \"rrr"),
            (with("action", json!("rm -rf")), "rules[1].action: found \"rm -rf\", expected one of"),
            (
                with("action", json!("compose_down")),
                "rules[1].action: found \"compose_down\", expected an action on the one",
            ),
            (with("action", json!("compose_down_volumes")), "rules[1].action: found"),
            (with("action", json!("run_job")), "rules[1].action: found \"run_job\""),
            (with("severity", json!("Bad")), "rules[1].severity: found \"Bad\", expected one of"),
            (with("severity", json!("Noise")), "rules[1].severity: found \"Noise\", expected a severity from \"Info\""),
            (with("severity", Value::Null), "rules[1].severity: found neither severity nor noise"),
            (with("noise", json!(true)), "rules[1].severity: found both severity and noise"),
            (with("noise", json!("yes")), "rules[1].noise: found \"yes\", expected true or false"),
            (with("colour", json!(1)), "rules[1].colour: found an unknown field, expected"),
            (with("match", Value::Null), "rules[1].match: found nothing, expected a value"),
            (with("match", json!({})), "rules[1].match: found nothing to go by, expected at least one of"),
            (with("match", json!({"services": ["ui"]})), "rules[1].match: found nothing to go by"),
            (with("match", json!({"contain": ["x"]})), "rules[1].match.contain: found an unknown field"),
            (with("match", json!({"contains": [""]})), "rules[1].match.contains[0]: found \"\", expected a text of 1 to"),
            (with("match", json!({"contains": "x"})), "rules[1].match.contains: found \"x\", expected a list"),
            (with("match", json!({"anyOf": vec!["x"; 33]})), "rules[1].match.anyOf: found 33 texts, expected at most 32"),
            (
                with("match", json!({"pattern": "("})),
                "rules[1].match.pattern: found \"(\", expected a regular expression (unc",
            ),
            (
                with("match", json!({"pattern": ""})),
                "rules[1].match.pattern: found \"\", expected a regular expression of 1",
            ),
            (
                with("match", json!({"pattern": "(a{100}){1000}"})),
                "rules[1].match.pattern: found \"(a{100}){1000}\", expected a regular expression that takes at most 65536",
            ),
            (with("match", json!({"pattern": "(".repeat(40) + &")".repeat(40)})), "rules[1].match.pattern: found \"((("),
            (with("match", json!({"level": "Loud"})), "rules[1].match.level: found \"Loud\", expected one of"),
            (with("match", json!({"status": {"from": 500}})), "rules[1].match.status.to: found nothing"),
            (with("match", json!({"status": {"from": 500, "to": 499}})), "rules[1].match.status: found 500 to 499"),
            (with("match", json!({"status": {"from": 1, "to": 499}})), "rules[1].match.status: found 1 to 499"),
            (with("match", json!({"status": {"from": 500, "to": 70000}})), "rules[1].match.status.to: found 70000"),
            (with("match", json!({"level": "Error", "services": ["-v"]})), "rules[1].match.services[0]: found \"-v\""),
            (with("off", json!(true)), "rules[1].title: found a value, expected nothing: a rule that is off"),
            (json!({"title": "t"}), "rules[1].name: found nothing, expected a value: the field is required"),
            (
                json!({"name": "n", "match": {"level": "Info"}, "noise": true, "action": "status_check"}),
                "rules[1].action: found",
            ),
        ] {
            let told = said(rule.clone());
            let told = told.trim_start_matches("spec.logs.");
            assert!(told.starts_with(expected), "{rule}\n{told}\nshould begin\n{expected}");
        }
    }
}
