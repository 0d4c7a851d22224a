//! The key of the bucket `key`.

use std::fmt;

/// Bytes of a revision: two numbers, most significant byte first, and [`SEPARATOR`] between them.
const BYTES: usize = 17;

/// What is between the two numbers.
const SEPARATOR: u8 = b'_';

/// What follows the revision of a deletion.
const TOMBSTONE: u8 = b't';

/// A change of one key, as etcd counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The transaction that changed the key. The first one of a cluster is 2.
    pub main: i64,
    /// The change's number in its transaction, from 0.
    pub sub: i64,
    /// Whether the key was deleted. The value then names the key and nothing else.
    pub tombstone: bool,
}

impl Revision {
    /// The revision as a key. Keys are in the order of revisions as long as these are not negative.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(BYTES + 1);
        key.extend(self.main.to_be_bytes());
        key.push(SEPARATOR);
        key.extend(self.sub.to_be_bytes());
        key.extend(self.tombstone.then_some(TOMBSTONE));
        key
    }

    /// The revision that a key says, or `None` if it is not one, or negative.
    #[must_use]
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (main, rest) = key.split_first_chunk()?;
        let (separator, rest) = rest.split_first()?;
        let (sub, mark) = rest.split_first_chunk()?;
        let (main, sub) = (i64::from_be_bytes(*main), i64::from_be_bytes(*sub));
        let tombstone = match mark {
            [] => false,
            [TOMBSTONE] => true,
            _ => return None,
        };
        (*separator == SEPARATOR && main >= 0 && sub >= 0).then_some(Self { main, sub, tombstone })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.main, self.sub, if self.tombstone { " (deletion)" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::Revision;

    #[test]
    fn a_revision_is_17_bytes_and_a_deletion_one_more() {
        let put = Revision { main: 2, sub: 1, tombstone: false };
        assert_eq!(put.encode(), b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x01");
        assert_eq!(Revision { tombstone: true, ..put }.encode(), b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x01t");
        assert_eq!(Revision::decode(&put.encode()), Some(put));
    }

    #[test]
    fn what_is_no_revision_is_not_read_as_one() {
        let key = Revision { main: 2, sub: 1, tombstone: true }.encode();
        for end in 0..17 {
            assert_eq!(Revision::decode(&key[..end]), None);
        }
        assert_eq!(Revision::decode(b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x01x"), None);
        assert_eq!(Revision::decode(b"\0\0\0\0\0\0\0\x02-\0\0\0\0\0\0\0\x01"), None);
        assert_eq!(Revision::decode(b"\xff\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x01"), None);
        assert_eq!(Revision::decode(&[&key[..], b"t"].concat()), None);
    }
}
