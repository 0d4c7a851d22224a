//! An entry of the bucket `lease`: `leasepb.Lease`.

use prost::Message;

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its identifier.
    pub id: i64,
    /// Seconds that it was granted for, at least 1.
    pub ttl: i64,
    /// Seconds that were left at the last checkpoint; 0 if there was none, which is usual. A server that starts gives a
    /// lease its whole [`ttl`](Self::ttl) again, unless it is told to trust checkpoints.
    pub remaining: i64,
}

/// The message that is stored (etcd: `server/lease/leasepb/lease.proto`).
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl: i64,
    #[prost(int64, tag = "3")]
    remaining: i64,
}

impl Lease {
    /// The identifier as a key.
    pub(super) fn key(self) -> [u8; 8] {
        self.id.to_be_bytes()
    }

    /// The value.
    pub(super) fn encode(self) -> Vec<u8> {
        let Self { id, ttl, remaining } = self;
        Stored { id, ttl, remaining }.encode_to_vec()
    }

    /// The lease that a value says, or `None` if it says none that could have been granted. Fields of later versions are passed
    /// over.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let Stored { id, ttl, remaining } = Stored::decode(value).ok()?;
        (ttl > 0 && remaining >= 0).then_some(Self { id, ttl, remaining })
    }
}

#[cfg(test)]
mod tests {
    use super::Lease;

    #[test]
    fn a_lease_is_what_etcd_writes() {
        let lease = Lease { id: 300, ttl: 60, remaining: 0 };
        assert_eq!(lease.encode(), [0x08, 0xac, 0x02, 0x10, 60]);
        assert_eq!(lease.key(), [0, 0, 0, 0, 0, 0, 1, 44]);
    }

    #[test]
    fn a_lease_is_read_as_it_was_written() {
        for id in [1, 127, 128, i64::MAX, i64::MIN, -1] {
            let lease = Lease { id, ttl: 9_000_000_000, remaining: 5 };
            assert_eq!(Lease::decode(&lease.encode()), Some(lease));
        }
    }

    #[test]
    fn fields_of_later_versions_are_passed_over_and_what_was_never_granted_refused() {
        let later = [0x08, 7, 0x22, 2, 1, 2, 0x2d, 1, 2, 3, 4, 0x31, 1, 2, 3, 4, 5, 6, 7, 8, 0x38, 1, 0x10, 9];
        assert_eq!(Lease::decode(&later), Some(Lease { id: 7, ttl: 9, remaining: 0 }));
        assert_eq!(Lease::decode(&[0x08]), None);
        for (ttl, remaining) in [(0, 0), (-1, 0), (5, -1)] {
            assert_eq!(Lease::decode(&Lease { id: 7, ttl, remaining }.encode()), None);
        }
    }
}
