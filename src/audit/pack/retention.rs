//! Which packs go.

use jiff::{SignedDuration, Timestamp};

/// A pack that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// When what it shows has happened.
    pub at: Timestamp,
    /// Its size.
    pub bytes: u64,
    /// Whether somebody still needs it: its incident is not resolved.
    pub pinned: bool,
}

/// How many, for how long, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packs.
    pub count: usize,
    /// Age, up to and including which they stay.
    pub age: SignedDuration,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// The names of the packs to remove, oldest first.
///
/// Those go that are older than the age, and those that are not among the newest by count; a pinned one does not go for
/// either. When the rest takes too many bytes, the oldest go until it does not, pinned or not: a full disk helps nobody. The
/// newest always stays. Of two packs of one time, the one whose name comes first counts as older.
#[must_use]
pub fn to_remove(packs: &[Kept], limits: Limits, now: Timestamp) -> Vec<String> {
    let mut packs: Vec<&Kept> = packs.iter().collect();
    packs.sort_by_key(|pack| (pack.at, &pack.name));
    let after = |rank: usize| packs.len() - 1 - rank;
    let late = |rank: usize| {
        let pack = packs[rank];
        let over = now.duration_since(pack.at) > limits.age || after(rank) >= limits.count;
        over && !pack.pinned && after(rank) > 0
    };
    let (mut gone, stay): (Vec<usize>, Vec<usize>) = (0..packs.len()).partition(|rank| late(*rank));
    let mut bytes: u128 = stay.iter().map(|rank| u128::from(packs[*rank].bytes)).sum();
    for rank in stay.into_iter().filter(|rank| after(*rank) > 0) {
        if bytes <= u128::from(limits.bytes) {
            break;
        }
        bytes -= u128::from(packs[rank].bytes);
        gone.push(rank);
    }
    gone.sort_unstable();
    gone.into_iter().map(|rank| packs[rank].name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-02-10T12:00:00Z".parse().unwrap()
    }

    /// A pack of so many hours ago, which is its name, and so many bytes.
    fn pack(hours: i64, bytes: u64, pinned: bool) -> Kept {
        Kept { name: hours.to_string(), at: now() - SignedDuration::from_hours(hours), bytes, pinned }
    }

    fn limits(count: usize, hours: i64, bytes: u64) -> Limits {
        Limits { count, age: SignedDuration::from_hours(hours), bytes }
    }

    #[test]
    fn the_oldest_go_and_what_is_needed_stays_while_there_is_room() {
        let packs = [pack(1, 10, false), pack(5, 10, true), pack(3, 10, false), pack(2, 10, true), pack(4, 10, false)];
        let table: [(&str, Limits, &[&str]); 11] = [
            ("everything is within its limits", limits(5, 5, 50), &[]),
            ("one too many, and it is pinned", limits(4, 9, 99), &[]),
            ("two too many, and one is pinned", limits(3, 9, 99), &["4"]),
            ("one is enough", limits(1, 9, 99), &["4", "3"]),
            ("none is enough", limits(0, 9, 99), &["4", "3"]),
            ("older than three hours", limits(9, 3, 99), &["4"]),
            ("older than no time", limits(9, 0, 99), &["4", "3"]),
            ("a byte too many", limits(9, 9, 49), &["5"]),
            ("the newest stays, whatever it takes", limits(9, 9, 0), &["5", "4", "3", "2"]),
            ("what goes for its age makes room", limits(9, 3, 40), &["4"]),
            ("and then the pinned ones go", limits(9, 0, 19), &["5", "4", "3", "2"]),
        ];
        for (what, limits, expected) in table {
            assert_eq!(to_remove(&packs, limits, now()), expected, "{what}");
        }
    }

    #[test]
    fn age_is_counted_to_the_nanosecond_and_a_pack_of_tomorrow_is_new() {
        let mut packs = [pack(0, 1, false), pack(3, 1, false)];
        assert_eq!(to_remove(&packs, limits(9, 3, 9), now()), [""; 0]);
        packs[1].at -= SignedDuration::from_nanos(1);
        assert_eq!(to_remove(&packs, limits(9, 3, 9), now()), ["3"]);
        packs[1].at = Timestamp::MAX;
        packs[0].at = Timestamp::MIN;
        assert_eq!(to_remove(&packs, limits(9, 3, 9), now()), ["0"]);
    }

    proptest! {
        #[test]
        fn what_stays_is_within_its_limits_and_no_more_goes_than_must(
            packs in proptest::collection::vec((0..12_i64, 0..20_u64, any::<bool>()), 0..12),
            count in 0..8_usize,
            hours in 0..12_i64,
            bytes in 0..120_u64,
        ) {
            let packs: Vec<Kept> = packs
                .into_iter()
                .enumerate()
                .map(|(n, (hours, bytes, pinned))| Kept { name: format!("{n:02}"), ..pack(hours, bytes, pinned) })
                .collect();
            let limits = limits(count, hours, bytes);
            let gone = to_remove(&packs, limits, now());
            let mut order: Vec<&Kept> = packs.iter().collect();
            order.sort_by_key(|pack| (pack.at, pack.name.clone()));
            let in_order: Vec<&String> = order.iter().map(|pack| &pack.name).filter(|name| gone.contains(name)).collect();
            prop_assert_eq!(in_order, gone.iter().collect::<Vec<_>>());
            let (mut newer, mut packs_newer, mut full) = (0, 0, false);
            for pack in order.iter().rev() {
                let late = now().duration_since(pack.at) > limits.age || packs_newer >= count;
                let goes = packs_newer > 0 && late && !pack.pinned;
                if !goes {
                    newer += pack.bytes;
                    full = full || newer > bytes;
                }
                let goes = goes || (full && packs_newer > 0);
                prop_assert_eq!(gone.contains(&pack.name), goes, "{}", &pack.name);
                packs_newer += 1;
            }
            // It is done in one go.
            let left: Vec<Kept> = packs.iter().filter(|pack| !gone.contains(&pack.name)).cloned().collect();
            prop_assert_eq!(to_remove(&left, limits, now()), Vec::<String>::new());
        }
    }
}
