//! The layout of the keys.
//!
//! ```text
//! /wicap.dev/<plural>/<name>            {apiVersion, kind, metadata, spec}   written by operators
//! /wicap.dev/<plural>.status/<name>     {uid, finalized, status}             written by controllers
//! /wicap.dev/leader/<controller>        the holder, bound to a lease
//! /wicap.dev/events/<name>              an Event, bound to a lease
//! ```
//!
//! `.` and `/` are neighbours in ASCII, so one range holds both halves of a kind and nothing else.

use super::StoreUrl;

/// Makes keys, under the prefix of the store's URL.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    root: String,
}

/// Which half of an object a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Spec,
    Status,
}

impl Keys {
    pub(crate) fn new(url: &StoreUrl) -> Self {
        Self { root: format!("{}/{}", url.prefix, crate::api::GROUP) }
    }

    pub(crate) fn spec(&self, plural: &str, name: &str) -> String {
        format!("{}/{plural}/{name}", self.root)
    }

    pub(crate) fn status(&self, plural: &str, name: &str) -> String {
        format!("{}/{plural}.status/{name}", self.root)
    }

    /// First key and the key after the last of the spec halves of a kind.
    pub(crate) fn specs(&self, plural: &str) -> (String, String) {
        (format!("{}/{plural}/", self.root), format!("{}/{plural}0", self.root))
    }

    /// The same for both halves.
    pub(crate) fn both(&self, plural: &str) -> (String, String) {
        (format!("{}/{plural}.", self.root), format!("{}/{plural}0", self.root))
    }

    pub(crate) fn leader(&self, controller: &str) -> String {
        format!("{}/leader/{controller}", self.root)
    }

    pub(crate) fn event(&self, name: &str) -> String {
        format!("{}/events/{name}", self.root)
    }

    /// The half and the name that a key of [`Keys::both`] holds. `None` for a key that is neither.
    pub(crate) fn parse<'a>(&self, plural: &str, key: &'a [u8]) -> Option<(Half, &'a str)> {
        let rest =
            std::str::from_utf8(key).ok()?.strip_prefix(self.root.as_str())?.strip_prefix('/')?.strip_prefix(plural)?;
        match rest.strip_prefix(".status/") {
            Some(name) => Some((Half::Status, name)),
            None => rest.strip_prefix('/').map(|name| (Half::Spec, name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_holds_both_halves_and_no_other_kind() {
        let keys = Keys::new(&"http://h:1/t".parse().unwrap());
        let (from, to) = keys.both("wicapstacks");
        let inside = |k: &str| from.as_str() <= k && k < to.as_str();
        assert!(inside(&keys.spec("wicapstacks", "a")) && inside(&keys.status("wicapstacks", "zzz")));
        assert!(!inside(&keys.spec("wicapstacksx", "a")) && !inside(&keys.spec("wicapstack", "a")));
        assert_eq!(keys.parse("wicapstacks", b"/t/wicap.dev/wicapstacks.status/a.b"), Some((Half::Status, "a.b")));
        assert_eq!(keys.parse("wicapstacks", b"/t/wicap.dev/wicapstacks/a"), Some((Half::Spec, "a")));
        assert_eq!(keys.parse("wicapstacks", b"/wicap.dev/wicapstacks/a"), None);
    }
}
