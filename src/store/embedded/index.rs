//! Which watches a key is watched by, found without looking at the others: a host may have thousands of them, and each commit
//! asks, while everybody waits for it.

use std::collections::{BTreeMap, HashMap};

use super::span::{End, Span};

/// Watches by what they watch.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Of one key.
    keys: HashMap<Vec<u8>, Vec<u64>>,
    /// Of all keys with a prefix, which is what nearly every range is.
    prefixes: HashMap<Vec<u8>, Vec<u64>>,
    /// How many different prefixes of each length there are: each length is one look.
    lengths: BTreeMap<usize, usize>,
    /// Of other ranges. Those that begin at or before a key are looked at one by one.
    ranges: BTreeMap<Span, Vec<u64>>,
}

impl Index {
    pub(crate) fn add(&mut self, span: &Span, watch: u64) {
        if span.end == End::Key {
            self.keys.entry(span.start.clone()).or_default().push(watch);
        } else if span.is_prefix() {
            let watches = self.prefixes.entry(span.start.clone()).or_default();
            if watches.is_empty() {
                *self.lengths.entry(span.start.len()).or_default() += 1;
            }
            watches.push(watch);
        } else {
            self.ranges.entry(span.clone()).or_default().push(watch);
        }
    }

    pub(crate) fn remove(&mut self, span: &Span, watch: u64) {
        let last = |watches: &mut Vec<u64>| {
            watches.retain(|other| *other != watch);
            watches.is_empty()
        };
        if span.end == End::Key {
            if self.keys.get_mut(&span.start).is_some_and(last) {
                self.keys.remove(&span.start);
            }
        } else if span.is_prefix() {
            if self.prefixes.get_mut(&span.start).is_some_and(last) {
                self.prefixes.remove(&span.start);
                let length = span.start.len();
                if let Some(count) = self.lengths.get_mut(&length) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
            }
        } else if self.ranges.get_mut(span).is_some_and(last) {
            self.ranges.remove(span);
        }
    }

    /// The watches of a key, each once, in no order.
    pub(crate) fn of(&self, key: &[u8]) -> impl Iterator<Item = u64> {
        let prefixes = self.lengths.range(..=key.len()).filter_map(|(length, _)| self.prefixes.get(&key[..*length]));
        let up_to = Span { start: key.to_vec(), end: End::Open };
        let ranges = self.ranges.range(..=up_to).filter(|(span, _)| span.contains(key)).map(|(_, watches)| watches);
        self.keys.get(key).into_iter().chain(prefixes).chain(ranges).flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Short keys of few bytes, so that they meet; 0xff has no byte after it.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0_u8), Just(b'a'), Just(b'b'), Just(0xff)], 1..4)
    }

    fn span() -> impl Strategy<Value = Span> {
        let prefix = bytes().prop_map(|start| {
            let end = crate::store::embedded::span::after_prefix(&start);
            Span { start, end }
        });
        prop_oneof![
            bytes().prop_map(|key| Span::new(&key, &[])),
            prefix,
            (bytes(), bytes()).prop_map(|(start, end)| Span::new(&start, &end)),
            bytes().prop_map(|start| Span::new(&start, &[0])),
        ]
    }

    proptest! {
        #[test]
        fn a_key_is_watched_by_those_whose_span_holds_it(spans in vec(span(), 0..12), gone in vec(any::<bool>(), 12), key in bytes()) {
            let mut index = Index::default();
            for (watch, span) in spans.iter().enumerate() {
                index.add(span, watch as u64);
            }
            let mut expected = Vec::new();
            for (watch, span) in spans.iter().enumerate() {
                if gone[watch] {
                    index.remove(span, watch as u64);
                } else if span.contains(&key) {
                    expected.push(watch as u64);
                }
            }
            let mut found: Vec<u64> = index.of(&key).collect();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
            for (watch, span) in spans.iter().enumerate() {
                index.remove(span, watch as u64);
            }
            prop_assert!(index.keys.is_empty() && index.prefixes.is_empty() && index.lengths.is_empty() && index.ranges.is_empty());
        }
    }
}
