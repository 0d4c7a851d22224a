//! A set of keys as etcd's requests name it: one key, a range, or everything from a key on.

use std::ops::Bound;

/// One key, or all keys from one on, up to an end that is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: Vec<u8>,
    pub(crate) end: End,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum End {
    /// The start alone.
    Key,
    /// Everything before this.
    Before(Vec<u8>),
    /// No end.
    Open,
}

impl Span {
    /// As `key` and `range_end` say it: no end is the key alone, an end of one zero byte is none at all.
    pub(crate) fn new(key: &[u8], range_end: &[u8]) -> Self {
        let end = match range_end {
            [] => End::Key,
            [0] => End::Open,
            end => End::Before(end.to_vec()),
        };
        Self { start: key.to_vec(), end }
    }

    /// The same, but with an end of one zero byte taken as it stands: etcd looks for keys that are written twice in this way.
    pub(crate) fn literal(key: &[u8], range_end: &[u8]) -> Self {
        let end = if range_end.is_empty() { End::Key } else { End::Before(range_end.to_vec()) };
        Self { start: key.to_vec(), end }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Key => key == self.start,
            End::Before(end) => self.start.as_slice() <= key && key < end.as_slice(),
            End::Open => self.start.as_slice() <= key,
        }
    }

    /// Whether no key can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.end, End::Before(end) if *end <= self.start)
    }

    /// Whether it is all keys that begin with its start.
    pub(crate) fn is_prefix(&self) -> bool {
        self.end == after_prefix(&self.start)
    }

    /// For an ordered map. An empty span must be asked for by [`Span::is_empty`] first: maps refuse an inverted range.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = match &self.end {
            End::Key => Bound::Included(self.start.as_slice()),
            End::Before(end) => Bound::Excluded(end.as_slice()),
            End::Open => Bound::Unbounded,
        };
        (Bound::Included(self.start.as_slice()), end)
    }
}

/// Where the keys with a prefix end: before the prefix with its last byte made one larger, if there is a larger one.
pub(crate) fn after_prefix(prefix: &[u8]) -> End {
    match prefix.iter().rposition(|byte| *byte < 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            End::Before(end)
        }
        None => End::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_holds_what_etcd_would_return_for_it() {
        for (key, end, inside, outside) in [
            ("b", "", vec!["b"], vec!["a", "ba", "c"]),
            ("b", "d", vec!["b", "b\0", "c\u{7f}"], vec!["a", "d", "e"]),
            ("b", "\0", vec!["b", "zzz"], vec!["a", ""]),
            ("\0", "\0", vec!["\0", "a"], vec![]),
            ("b", "b", vec![], vec!["b"]),
            ("d", "b", vec![], vec!["b", "c", "d"]),
        ] {
            let span = Span::new(key.as_bytes(), end.as_bytes());
            assert!(inside.iter().all(|k| span.contains(k.as_bytes())), "{span:?}");
            assert!(!outside.iter().any(|k| span.contains(k.as_bytes())), "{span:?}");
            assert_eq!(span.is_empty(), inside.is_empty());
        }
    }
}
