//! An entry of the bucket `lease`: `leasepb.Lease`, three numbers in protobuf.

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its identifier.
    pub id: i64,
    /// Seconds that it was granted for.
    pub ttl: i64,
    /// Seconds that were left at the last checkpoint; 0 if there was none, which is usual. A server that starts gives a
    /// lease its whole [`ttl`](Self::ttl) again, unless it is told to trust checkpoints.
    pub remaining: i64,
}

impl Lease {
    /// The identifier as a key.
    pub(super) fn key(self) -> [u8; 8] {
        self.id.to_be_bytes()
    }

    /// The value. As in proto3, what is 0 is not there.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut value = Vec::new();
        for (field, number) in [(1, self.id), (2, self.ttl), (3, self.remaining)] {
            if number != 0 {
                value.push(field << 3);
                varint(number.cast_unsigned(), &mut value);
            }
        }
        value
    }

    /// The lease that a value says, or `None` if it says none. Fields of later versions are passed over.
    pub(super) fn decode(mut value: &[u8]) -> Option<Self> {
        let mut lease = Self { id: 0, ttl: 0, remaining: 0 };
        while !value.is_empty() {
            let tag = take_varint(&mut value)?;
            match (tag >> 3, tag & 7) {
                (1, 0) => lease.id = take_varint(&mut value)?.cast_signed(),
                (2, 0) => lease.ttl = take_varint(&mut value)?.cast_signed(),
                (3, 0) => lease.remaining = take_varint(&mut value)?.cast_signed(),
                (_, 0) => _ = take_varint(&mut value)?,
                (_, 1) => value = value.get(8..)?,
                (_, 2) => {
                    let length = usize::try_from(take_varint(&mut value)?).ok()?;
                    value = value.get(length..)?;
                }
                (_, 5) => value = value.get(4..)?,
                _ => return None,
            }
        }
        Some(lease)
    }
}

/// Appends a number, seven bits a byte.
fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

/// Takes a number of ten bytes at most off the front.
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
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
    fn fields_of_later_versions_are_passed_over_and_broken_ones_refused() {
        let later = [0x08, 7, 0x22, 2, 1, 2, 0x2d, 1, 2, 3, 4, 0x31, 1, 2, 3, 4, 5, 6, 7, 8, 0x38, 1, 0x10, 9];
        assert_eq!(Lease::decode(&later), Some(Lease { id: 7, ttl: 9, remaining: 0 }));
        assert_eq!(Lease::decode(&[0x08]), None);
        assert_eq!(Lease::decode(&[0x22, 5, 1]), None);
        assert_eq!(Lease::decode(&[0xff; 11]), None);
        assert_eq!(Lease::decode(&[0x0b]), None);
    }
}
