//! What must be allowed to differ between two runs of the same story, and nothing else: what a server chose for itself, and
//! the time at which it ran.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use regex::Regex;

use super::world::{REFERENCE, World};

/// The names of one run.
pub struct Normaliser {
    start: Timestamp,
    /// What this run alone has, and what stands for it in recordings: the longest first.
    texts: Vec<(String, String)>,
}

/// A rule: the form that is looked for, and what is written instead, of the same width where it may stand in a table.
const RULES: &[(&str, &str)] = &[
    // The ids of the objects of the world are fixed; any other was chosen when the object was made.
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b", "99999999-9999-4999-9999-999999999999"),
    (r#"("?resourceVersion"?: ?)"?\d+"?"#, "${1}N"),
    (r"(Resource Version: +)\d+", "${1}N"),
    // The age of what was just made, in a column (under AGE, which is as wide as two digits), and how long something was
    // waited for. Nothing in the world is younger than 100 seconds; what follows a colon is a setting.
    (r"(?m)([^:\s] {2,}|\bfor )\d\ds( )", "${1}0s ${2}"),
    (r"(?m)([^:\s] {2,}|\bfor )\d{1,2}s( |$|,)", "${1}0s${2}"),
    // Where an editor finds its file.
    (r"-edit-\w+\.", "-edit-N."),
    // Where diff finds the two sides.
    (r"(LIVE|MERGED)-\d+", "$1"),
    // What a library of kubectl logs of its own retries.
    (r"(?m)^[IWE]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \w+\.go:\d+\] .*\n", ""),
];

static COMPILED: LazyLock<Vec<(Regex, &str)>> =
    LazyLock::new(|| RULES.iter().map(|(rule, form)| (Regex::new(rule).unwrap(), *form)).collect());

/// Times as the API writes them, and as diff does.
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z| \+0000)").unwrap());

/// How long a story may take: a time between its start and then is now.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);

impl Normaliser {
    /// For a run on a world, in a directory, against a server.
    pub fn new(world: &World, directory: &str, server: &str) -> Self {
        let mut texts = world.times.clone();
        texts.push((directory.to_owned(), "DIR".to_owned()));
        texts.push((server.to_owned(), "SERVER".to_owned()));
        if let Some((_, host)) = server.split_once("://") {
            texts.push((host.to_owned(), "SERVER".to_owned()));
        }
        texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self { start: world.now, texts }
    }

    /// The same text as any run would have said it.
    pub fn normalise(&self, said: &str) -> String {
        let mut said = TIME
            .replace_all(said, |found: &regex::Captures<'_>| {
                let time: Option<Timestamp> = format!("{}T{}Z", &found[1], &found[2]).parse().ok();
                let now = time.is_some_and(|time| time >= self.start && time <= self.start + LONGEST);
                if now { REFERENCE.to_owned() } else { found[0].to_owned() }
            })
            .into_owned();
        for (text, name) in &self.texts {
            said = said.replace(text.as_str(), name);
        }
        // The ids of the world pass.
        said = said.replace("00000000-0000-4000-8", "FIXED-");
        said = COMPILED.iter().fold(said, |said, (rule, form)| rule.replace_all(&said, *form).into_owned());
        said.replace("FIXED-", "00000000-0000-4000-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normaliser() -> Normaliser {
        let now = "2026-11-01T09:00:00Z".parse().unwrap();
        let times = vec![("2026-10-27T09:00:00Z".into(), "2026-01-05T00:00:00Z".into())];
        let world = World { now, objects: Vec::new(), times };
        Normaliser::new(&world, "/tmp/story-1", "http://127.0.0.1:4711")
    }

    #[test]
    fn what_a_run_chose_gets_a_name() {
        for (said, expected) in [
            ("  uid: 0b3c5f0e-93f5-4cf0-9a0e-6b1f2f3a4c5d", "  uid: 99999999-9999-4999-9999-999999999999"),
            ("uid: 00000000-0000-4000-8000-000000000001", "uid: 00000000-0000-4000-8000-000000000001"),
            ("resourceVersion: \"12\"", "resourceVersion: N"),
            ("\"resourceVersion\": \"12\",", "\"resourceVersion\": N,"),
            ("creationTimestamp: \"2026-10-27T09:00:00Z\"", "creationTimestamp: \"2026-01-05T00:00:00Z\""),
            ("creationTimestamp: \"2026-11-01T09:00:01Z\"", "creationTimestamp: \"2026-01-10T00:00:00Z\""),
            ("fresh   1s", "fresh   0s"),
            ("fresh   1s    app=fresh", "fresh   0s    app=fresh"),
            ("fresh   11s   app=fresh", "fresh   0s    app=fresh"),
            ("it is Terminating, for 2s", "it is Terminating, for 0s"),
            ("E1129 00:26:14.123456   12345 memcache.go:265] \"Unhandled Error\"\nrefused", "refused"),
            ("DIR/kubectl-edit-47.yaml", "DIR/kubectl-edit-N.yaml"),
            ("dial tcp 127.0.0.1:4711: refused", "dial tcp SERVER: refused"),
            ("--- /tmp/story-1/tmp/LIVE-4711/x\t2026-11-01 09:00:01.5 +0000", "--- DIR/tmp/LIVE/x\t2026-01-10T00:00:00Z"),
        ] {
            assert_eq!(normaliser().normalise(said), expected);
        }
    }

    #[test]
    fn what_must_not_differ_still_differs() {
        let normaliser = normaliser();
        for (one, other) in [
            ("fresh   1s", "fresh  1s"),
            ("fresh   1s", "fresh   1m"),
            ("generation: 1", "generation: 2"),
            ("holdOff: 1s", "holdOff: 2s"),
            ("Hold Off:    1s", "Hold Off:    2s"),
            ("uid: 00000000-0000-4000-8000-000000000001", "uid: 00000000-0000-4000-8000-000000000002"),
            ("creationTimestamp: \"2026-10-27T09:00:00Z\"", "creationTimestamp: \"2026-10-27T09:00:01Z\""),
            ("creationTimestamp: \"2026-11-01T09:00:00Z\"", "creationTimestamp: \"2026-11-01T10:00:00Z\""),
            ("a  b", "a b"),
            ("a\n", "a"),
        ] {
            assert_ne!(normaliser.normalise(one), normaliser.normalise(other));
        }
    }
}
