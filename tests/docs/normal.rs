//! What differs from one run to the next and means the same, and whether two texts agree apart from that.
//!
//! A page may leave out what is long: `…` in a line stands for any text, and a line that is nothing but `…` for any lines.

use std::sync::LazyLock;

use regex::Regex;

/// What stands for what differs. The order matters: a time holds what looks like an age.
const FORMS: [(&str, &str); 12] = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ?\b", "TIME"),
    (r"\b\d\d:\d\d:\d\dZ?\b", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UID"),
    // What a process calls itself, and the number of its leadership.
    (r"\b[a-zA-Z][\w.-]*-\d+-[0-9a-f]{8}\b", "PROCESS"),
    (r"\bfencing token \d+", "fencing token N"),
    // The middle of the name that the planner gives an episode, before the numbers of episode and step.
    (r"-[0-9a-f]{5}(-\d+)", "-EPISODE$1"),
    // The ends of the names of Snapshots and their files.
    (r"\b\d{8}-\d{6}\b", "TIME"),
    (r"\b\d{8}T\d{6}Z-[0-9a-f]{8}\b", "TIME"),
    // Digests and ids of containers.
    (r"\b[0-9a-f]{12,}\b", "ID"),
    // What a container uses of memory.
    (r"\b\d+Mi\b", "MEMORY"),
    // Ages and durations.
    (r"(^|[\s(])\d+(\.\d+)?(ms|s|m|h|d)(\d+(ms|s|m|h))*\b", "${1}AGE"),
];

static PATTERNS: LazyLock<Vec<(Regex, &str)>> =
    LazyLock::new(|| FORMS.iter().map(|(pattern, name)| (Regex::new(pattern).unwrap(), *name)).collect());

/// A line as it is compared: columns are as wide as what is in them, so the number of blanks says nothing.
fn normal(line: &str) -> String {
    let replaced =
        PATTERNS.iter().fold(line.to_owned(), |text, (pattern, name)| pattern.replace_all(&text, *name).into_owned());
    let mut blanks = 0;
    let mut out = String::new();
    for c in replaced.trim_end().chars() {
        blanks = if c == ' ' { blanks + 1 } else { 0 };
        if blanks <= 2 {
            out.push(c);
        }
    }
    out
}

/// What `wicapctl doctor` counted, in its last line but one.
static COUNTS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?P<ok>\d+) ok, (?P<warnings>\d+) warnings?(?P<rest>.*)$").unwrap());

/// What was said without what `wicapctl doctor` warns of this machine's disks: how full they are is no matter of the page.
/// What is left out counts as ok.
fn of_any_disk(text: &str) -> Vec<String> {
    let mut left_out = 0;
    let mut kept = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("warn  disk ") {
            left_out += 1;
            lines.next_if(|next| next.trim_start().starts_with("mend: "));
        } else if let (1.., Some(counts)) = (left_out, COUNTS.captures(line)) {
            let number = |name: &str| counts[name].parse::<usize>().unwrap_or(0);
            let warnings = match number("warnings").saturating_sub(left_out) {
                0 => String::new(),
                1 => ", 1 warning".to_owned(),
                many => format!(", {many} warnings"),
            };
            kept.push(format!("{} ok{warnings}{}", number("ok") + left_out, &counts["rest"]));
        } else {
            kept.push(line.to_owned());
        }
    }
    kept
}

/// Whether what was said is what the page says.
pub fn agree(wanted: &str, found: &str) -> bool {
    let wanted: Vec<String> = of_any_disk(wanted).iter().map(|line| normal(line)).collect();
    let found: Vec<String> = of_any_disk(found).iter().map(|line| normal(line)).collect();
    // `reached[n]`: what was looked at of the page so far fits the first n lines that were said.
    let mut reached = vec![false; found.len() + 1];
    reached[0] = true;
    for line in &wanted {
        let mut next = vec![false; found.len() + 1];
        for at in 0..=found.len() {
            next[at] = if line.trim() == "…" {
                reached[at] || (at > 0 && next[at - 1])
            } else {
                at > 0 && reached[at - 1] && fits(line, &found[at - 1])
            };
        }
        reached = next;
    }
    reached[found.len()]
}

/// Whether a line is as the page has it.
fn fits(wanted: &str, found: &str) -> bool {
    let mut parts = wanted.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_the_same() {
        for (one, other) in [
            ("seen 2026-11-22T20:01:29Z and", "seen 2027-01-02T03:04:05.678Z and"),
            ("wicap-ui-restart-service-e2d6c-1-1   wicap   5s", "wicap-ui-restart-service-00a1f-1-1     wicap   1m10s"),
            ("uid 5f0c1d3e-0000-4000-8000-00000000000a", "uid 6f0c1d3e-0000-4000-8000-00000000000b"),
            ("since 20:01:29", "since 00:00:00"),
            ("Now it is 2026-11-29 01:52:57Z.", "Now it is 2026-11-30 00:05:34Z."),
            ("wicap-20261129-004900", "wicap-20271230-115911"),
            ("wicap-20261129T004900Z-71ff4672.tar.zst", "wicap-20261129T004901Z-d178eabc.tar.zst"),
            ("redis   Running   3m   3Mi    0", "redis   Running   12m   17Mi   0"),
            ("a\n…\nz", "a\nb\nc\nz"),
            ("a\n…\nz", "a\nz"),
            ("a … c … e", "a b c d e"),
            (
                "fail  x  y\n18 ok, 2 warnings, 1 failed",
                "warn  disk  of /a: full\n      mend: df -h\nwarn  disk  of /b\nfail  x  y\n16 ok, 4 warnings, 1 failed",
            ),
            ("21 ok", "warn  disk  of /a: full\n      mend: df -h\n20 ok, 1 warning"),
            ("…", ""),
        ] {
            assert!(agree(one, other), "{one} / {other}");
        }
    }

    #[test]
    fn what_says_something_else_is_not() {
        for (one, other) in [
            ("Running", "Exited"),
            ("wicap-ui-restart-service-e2d6c-1-1", "wicap-ui-restart-service-e2d6c-1-2"),
            ("wicap-ui-restart-service-e2d6c-1-1", "wicap-ui-start-service-e2d6c-1-1"),
            ("2 actions", "3 actions"),
            ("a", "a\nb"),
            ("a\nb", "a"),
            ("", "a"),
            ("a\n…\nz", "a\nb"),
            ("a … c", "a c"),
            ("a … c", "a b d"),
            ("a b", "a  b"),
            ("18 ok, 2 warnings", "18 ok, 3 warnings"),
            ("18 ok, 2 warnings", "warn  disk  of /a: full\n18 ok, 2 warnings"),
        ] {
            assert!(!agree(one, other), "{one} / {other}");
        }
    }
}
