//! The layout of the keys.
//!
//! ```text
//! /wicap.dev/<plural>/<name>            {apiVersion, kind, metadata, spec}   written by operators
//! /wicap.dev/<plural>.status/<name>     {uid, finalized, status}             written by controllers
//! /wicap.dev/leader/<controller>        the holder, bound to a lease
//! /wicap.dev/audit/<lane>/<20-digit seq> a record of a change
//! /wicap.dev/audit-head/<lane>          the last record's number and hash
//! /wicap.dev/events/<name>              an Event, bound to a lease
//! ```
//!
//! `.` and `/` are neighbours in ASCII, so one range holds both halves of a kind and nothing else.

use super::StoreUrl;
use super::audit::Lane;

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

    /// The same for the status halves.
    pub(crate) fn statuses(&self, plural: &str) -> (String, String) {
        (format!("{}/{plural}.status/", self.root), format!("{}/{plural}.status0", self.root))
    }

    /// The same for both halves.
    pub(crate) fn both(&self, plural: &str) -> (String, String) {
        (format!("{}/{plural}.", self.root), format!("{}/{plural}0", self.root))
    }

    pub(crate) fn leader(&self, controller: &str) -> String {
        format!("{}/leader/{controller}", self.root)
    }

    pub(crate) fn audit_head(&self, lane: Lane) -> String {
        format!("{}/audit-head/{lane}", self.root)
    }

    pub(crate) fn audit_record(&self, lane: Lane, seq: u64) -> String {
        format!("{}/audit/{lane}/{seq:020}", self.root)
    }

    /// The lane of a record that has this key, under whatever prefix.
    pub(crate) fn lane_of_record(key: &[u8]) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| {
            let records = format!("/{}/audit/{lane}/", crate::api::GROUP);
            key.windows(records.len()).any(|part| part == records.as_bytes())
        })
    }

    /// First key and the key after the last of a lane's records.
    pub(crate) fn audit_records(&self, lane: Lane) -> (String, String) {
        (format!("{}/audit/{lane}/", self.root), format!("{}/audit/{lane}0", self.root))
    }

    pub(crate) fn event(&self, name: &str) -> String {
        format!("{}/events/{name}", self.root)
    }

    /// First key and the key after the last of all Events.
    pub(crate) fn events(&self) -> (String, String) {
        (format!("{}/events/", self.root), format!("{}/events0", self.root))
    }

    /// First key and the key after the last of the leaders of a controller that is elected on each host, as `observer.HOST`.
    pub(crate) fn leaders_of_hosts(&self, controller: &str) -> (String, String) {
        (format!("{}/leader/{controller}.", self.root), format!("{}/leader/{controller}/", self.root))
    }

    /// First key and the key after the last of all that is kept under the prefix.
    pub(crate) fn all(&self) -> (String, String) {
        (format!("{}/", self.root), format!("{}0", self.root))
    }

    /// The same for who leads.
    pub(crate) fn leaders(&self) -> (String, String) {
        (format!("{}/leader/", self.root), format!("{}/leader0", self.root))
    }

    /// The same for everything else: what comes before the leaders, and what after.
    pub(crate) fn but_leaders(&self) -> [(String, String); 2] {
        let ((first, end), (leader, after)) = (self.all(), self.leaders());
        [(first, leader), (after, end)]
    }

    /// What comes before every key.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// A key without what comes before every key. `None` for a key that does not belong here.
    pub(crate) fn relative<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(self.root.as_str())?.strip_prefix('/')
    }

    /// The key that [`Keys::relative`] makes that of.
    pub(crate) fn absolute(&self, relative: &str) -> String {
        format!("{}/{relative}", self.root)
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

    #[test]
    fn every_key_but_a_leaders_is_in_one_of_two_ranges() {
        let keys = Keys::new(&"http://h:1/t".parse().unwrap());
        let inside = |key: &str| keys.but_leaders().iter().filter(|(from, to)| &**from <= key && key < &**to).count();
        for key in [
            keys.spec("a", "b"),
            keys.spec("leaders", "b"),
            keys.status("leader", "b"),
            keys.event("e"),
            keys.spec("z", "z"),
        ] {
            assert_eq!(inside(&key), 1, "{key}");
        }
        assert_eq!(inside(&keys.leader("gc")), 0);
        assert_eq!(inside("/t/wicap.devx/a/b"), 0);
        let key = keys.event("e");
        assert_eq!(keys.relative(&key), Some("events/e"));
        assert_eq!(keys.absolute("events/e"), key);
        assert_eq!(keys.relative("/wicap.dev/events/e"), None);
    }
}
