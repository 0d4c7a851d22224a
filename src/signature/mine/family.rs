//! Finds templates that differ in two or three places at once.
//!
//! ```text
//! user «alice» may read table «orders» now ─┐
//! user «bob» may read table «bills» now    ─┴─ family: 7 words, "user" first
//! ```
//!
//! A family holds the templates of one length whose first constant and places of values agree. When it has grown large,
//! the places with many different words are wiped; templates that are then alike, and enough of them, are one.
//! Sentences that only begin alike differ in more places than that and stay apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::signature::mine::hash::{self, VALUE};
use crate::signature::mine::settings::Settings;

/// Most places that become variables together. More is another sentence.
const MOST_PLACES: usize = 3;

/// Least constants that must stay. Two words agree by chance too often in a large family.
const LEAST_CONSTANTS: usize = 3;

/// A family is looked at each time it has grown by so many times the words needed in one place: then half of its
/// members may be something else, and the search is paid by the lines that made it grow.
const GROWTH: u32 = 2;

/// The key of the family of a row of hashes.
pub(crate) fn key(hashes: &[u64]) -> u64 {
    let start = hash::chain(0, hashes.len() as u64);
    let first = hashes.iter().find(|hash| **hash != VALUE).copied().unwrap_or(VALUE);
    let values = hashes.iter().enumerate().filter(|(_, hash)| **hash == VALUE);
    values.fold(hash::chain(start, first), |key, (place, _)| hash::chain(key, place as u64))
}

/// True when a family of this size is to be looked at.
pub(crate) fn is_due(count: u32, settings: &Settings) -> bool {
    let step = settings.most_words_in_place.saturating_mul(GROWTH);
    count >= step && count.is_multiple_of(step)
}

/// The members of a family that are one template, and the places that become values. `members` are rows of hashes of one
/// length. The largest such part is given; of equal ones the one whose first member comes first.
pub(crate) fn alike(members: &[Vec<u64>], settings: &Settings) -> Option<(Vec<usize>, Vec<usize>)> {
    let needed = settings.most_words_in_place as usize;
    let length = members.first()?.len();
    let places: Vec<_> = (0..length).filter(|place| different(members.iter(), *place) >= needed).collect();
    if places.len() < 2 || places.len() > MOST_PLACES {
        return None;
    }
    let mut parts: BTreeMap<Vec<u64>, Vec<usize>> = BTreeMap::new();
    for (member, row) in members.iter().enumerate() {
        let mut row = row.clone();
        for place in &places {
            row[*place] = VALUE;
        }
        if row.iter().filter(|hash| **hash != VALUE).count() >= LEAST_CONSTANTS {
            parts.entry(row).or_default().push(member);
        }
    }
    let is_wide = |part: &&Vec<usize>| {
        let varied = |place: &usize| different(part.iter().map(|member| &members[*member]), *place) * 2 >= needed;
        part.len() >= needed && places.iter().all(varied)
    };
    let part = parts.values().filter(is_wide).max_by_key(|part| (part.len(), std::cmp::Reverse(part[0])))?;
    Some((part.clone(), places))
}

/// How many different words stand in a place.
fn different<'a>(rows: impl Iterator<Item = &'a Vec<u64>>, place: usize) -> usize {
    rows.filter_map(|row| row.get(place)).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_varying_places_are_found_and_a_stranger_stays_out() {
        let mut members: Vec<Vec<u64>> = (0..24).map(|n| vec![1, 100 + n, 2, 3, 200 + n * 7 % 24, 4]).collect();
        members.push(vec![1, 5, 6, 7, 8, 9]);
        let (part, places) = alike(&members, &Settings::default()).expect("24 members are enough");
        assert_eq!((part.len(), places), (24, vec![1, 4]));
    }

    #[test]
    fn sentences_that_only_begin_alike_stay_apart() {
        let members: Vec<Vec<u64>> = (0..48).map(|n| vec![1, 100 + n, 200 + n, 300 + n, 400 + n, 500 + n]).collect();
        assert_eq!(alike(&members, &Settings::default()), None);
    }
}
