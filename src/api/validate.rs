//! What a name, a path or a duration must look like.
//!
//! These patterns stand between a manifest and the Docker engine or a process: what does not match never reaches either. They
//! are stricter than Docker's and Compose's own, so that no value can be taken for an option, a path or a second argument.

use std::fmt;
use std::path::{Component, Path};

use super::Duration;
use super::action::{ActionKind, MAX_TIMEOUT};

/// One broken rule: which field, what was found there and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, as `spec.services[1].name`.
    pub path: String,
    /// What stands there, quoted when it is text.
    pub found: String,
    /// What should.
    pub expected: String,
}

impl Violation {
    /// A violation at `path`.
    pub fn new(path: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { path: path.into(), found: found.into(), expected: expected.into() }
    }

    /// The same in a part of a larger document, which lies there at `path`.
    #[must_use]
    pub fn under(mut self, path: &str) -> Self {
        let beyond = self.path.starts_with('[');
        self.path = match self.path.as_str() {
            "" | "." | "(document)" => path.to_owned(),
            inner if beyond => format!("{path}{inner}"),
            inner => format!("{path}.{inner}"),
        };
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.path, self.found, self.expected)
    }
}

/// Longest text shown of a refused value; the rest is cut, so that an error stays one line.
const SHOWN: usize = 80;

/// A value as an error shows it: quoted, escaped, cut when it is long.
#[must_use]
pub fn quoted(value: &str) -> String {
    if value.chars().count() > SHOWN {
        let head: String = value.chars().take(SHOWN).collect();
        format!("{head:?}… ({} bytes)", value.len())
    } else {
        format!("{value:?}")
    }
}

/// Collects violations under a path that grows and shrinks with the walk through an object.
#[derive(Debug, Default)]
pub struct Check {
    violations: Vec<Violation>,
}

impl Check {
    /// Nothing found yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All that was found.
    #[must_use]
    pub fn finish(self) -> Vec<Violation> {
        self.violations
    }

    /// Records what was found elsewhere.
    pub fn all(&mut self, violations: Vec<Violation>) {
        self.violations.extend(violations);
    }

    /// Records a violation unless `ok`.
    pub fn that(&mut self, ok: bool, path: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) {
        if !ok {
            self.violations.push(Violation::new(path, found, expected));
        }
    }

    /// `metadata.name`: an RFC 1123 subdomain, as Kubernetes asks for most objects.
    pub fn object_name(&mut self, path: &str, name: &str) {
        self.that(
            is_object_name(name),
            path,
            quoted(name),
            "1 to 253 of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit (RFC 1123 subdomain)",
        );
    }

    /// A compose project name, by Compose's own rule.
    pub fn project(&mut self, path: &str, name: &str) {
        self.that(
            is_project(name),
            path,
            quoted(name),
            "1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit (a compose project name)",
        );
    }

    /// A compose service name.
    pub fn service(&mut self, path: &str, name: &str) {
        self.that(
            is_service(name),
            path,
            quoted(name),
            "1 to 63 of A-Z, a-z, 0-9, '.', '-' and '_', beginning with a letter or digit (a compose service name)",
        );
    }

    /// An absolute, normal path: the directory of a project.
    pub fn directory(&mut self, path: &str, value: &str) {
        self.that(is_directory(value), path, quoted(value), "an absolute path without '..', '.' or empty components");
    }

    /// A path below the project's directory.
    pub fn inner_path(&mut self, path: &str, value: &str) {
        self.that(
            is_inner_path(value),
            path,
            quoted(value),
            "a relative path that stays inside spec.compose.directory (no '..', not absolute, no leading '-')",
        );
    }

    /// A duration that is not negative.
    pub fn not_negative(&mut self, path: &str, value: Duration) {
        self.that(!value.is_negative(), path, shown(value), "a duration of 0s or more, such as \"30s\"");
    }

    /// A duration over zero.
    pub fn positive(&mut self, path: &str, value: Duration) {
        self.that(value.to_std() > std::time::Duration::ZERO, path, shown(value), "a duration over 0s, such as \"30s\"");
    }

    /// The target of an action: a service, or nothing where the action is about the whole stack.
    pub fn target(&mut self, path: &str, action: ActionKind, target: &str) {
        if target.is_empty() {
            let one = if action.targets_job() {
                "a job: run_job runs one".to_owned()
            } else {
                format!("a service: {action} acts on one")
            };
            self.that(action.can_target_stack(), path, "nothing", one);
            return;
        }
        self.service(path, target);
        let fits = action.can_target_service();
        self.that(fits, path, quoted(target), format!("nothing: {action} acts on the whole stack"));
    }

    /// The time that an action is given.
    pub fn action_timeout(&mut self, path: &str, timeout: Duration) {
        self.positive(path, timeout);
        let expected = "at most \"30m\": nothing else is done for the service meanwhile";
        self.that(timeout.to_std() <= MAX_TIMEOUT, path, shown(timeout), expected);
    }

    /// The services that an action is told to act on together, each once.
    pub fn services(&mut self, path: &str, action: ActionKind, services: &[String]) {
        let found = || services.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(", ");
        let fits = services.is_empty() || action.can_name_services();
        self.that(fits, path, found(), format!("nothing: {action} is not told services"));
        for (i, service) in services.iter().enumerate() {
            self.service(&format!("{path}[{i}]"), service);
            self.that(
                !services[..i].contains(service),
                format!("{path}[{i}]"),
                format!("{} a second time", quoted(service)),
                "each service once",
            );
        }
    }

    /// A text that says something and fits on a line or a few.
    pub fn text(&mut self, path: &str, value: &str, most: usize) {
        self.that(
            !value.trim().is_empty() && value.len() <= most && !value.contains('\0'),
            path,
            quoted(value),
            format!("a text of 1 to {most} bytes"),
        );
    }
}

fn shown(value: Duration) -> String {
    format!("\"{value}\"")
}

fn is_alphanumeric_edge(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(name.chars().next()) && edge(name.chars().next_back())
}

/// RFC 1123 subdomain of at most 253 bytes.
#[must_use]
pub fn is_object_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            is_alphanumeric_edge(label) && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// Compose's rule for project names: `[a-z0-9][a-z0-9_-]*`; the length is ours.
#[must_use]
pub fn is_project(name: &str) -> bool {
    name.len() <= 63
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Compose's rule for service names, `[a-zA-Z0-9._-]+`, less those that begin like an option; the length is ours.
#[must_use]
pub fn is_service(name: &str) -> bool {
    name.len() <= 63
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// An absolute path in its normal form, without control characters.
#[must_use]
pub fn is_directory(value: &str) -> bool {
    value.len() <= 4096
        && value.starts_with('/')
        && value.len() > 1
        && !value.contains("//")
        && !value.contains("/./")
        && !value.ends_with("/.")
        && !value.chars().any(char::is_control)
        && Path::new(value).components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
}

/// A relative path of normal components only, not to be mistaken for an option.
#[must_use]
pub fn is_inner_path(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= 4096
        && !value.starts_with('-')
        && !value.chars().any(char::is_control)
        && Path::new(value).components().all(|c| matches!(c, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_match_no_pattern() {
        for name in
            ["", "-v", "--help", "a b", "a;b", "$(x)", "a\0b", "../x", "a/b", "ü", "а", "a\n", &"a".repeat(300), "\u{202e}a"]
        {
            assert!(!is_service(name), "service {name:?}");
            assert!(!is_project(name), "project {name:?}");
            assert!(!is_object_name(name), "object {name:?}");
        }
    }

    #[test]
    fn ordinary_names_match() {
        for name in ["redis", "intel-worker", "ui2", "a"] {
            assert!(is_service(name) && is_project(name) && is_object_name(name), "{name}");
        }
        assert!(is_object_name("a.b-c.d"));
        assert!(!is_object_name("a..b") && !is_object_name("a.") && !is_object_name("A"));
        assert!(is_service("A.b_c") && !is_project("A"));
    }

    #[test]
    fn directories_are_absolute_and_normal() {
        for ok in ["/srv/wicap", "/a", "/a b/c"] {
            assert!(is_directory(ok), "{ok}");
        }
        for bad in ["", "/", "srv", "./a", "/srv/../etc", "/srv/./a", "/srv//a", "/a\0", "/a/.", "/a/.."] {
            assert!(!is_directory(bad), "{bad}");
        }
    }

    #[test]
    fn inner_paths_stay_inside() {
        for ok in ["compose.yaml", "a/b.yml", ".env"] {
            assert!(is_inner_path(ok), "{ok}");
        }
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "-f", "a\0", "./a"] {
            assert!(!is_inner_path(bad), "{bad}");
        }
    }

    #[test]
    fn a_long_value_is_cut_in_an_error() {
        assert!(quoted(&"x".repeat(10_000)).len() < 120);
    }
}
