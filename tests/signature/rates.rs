//! Properties that hold whatever lines come.

use std::collections::HashMap;

use jiff::Timestamp;
use proptest::prelude::*;
use wicap::api::Severity;
use wicap::signature::rates::{Counts, Event, Key, SavedWatch, Watch};

/// A step of time and a line: seconds since the last one, id, seconds by which the stamp lies back or ahead.
type Step = (i64, u64, i64);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// Lines of a few ids, mostly close together, with pauses and bad stamps.
fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![20 => 0..3_i64, 6 => 3..60_i64, 1 => 60..2_000_i64];
    let back = prop_oneof![10 => Just(0_i64), 2 => -20..400_i64];
    prop::collection::vec((pause, 0..5_u64, back), 0..most)
}

/// Feeds the steps, with a tick before each, and returns what was told.
fn feed(watch: &mut Watch, begin: i64, steps: &[Step]) -> (i64, Vec<Event>) {
    let mut now = begin;
    let mut told = Vec::new();
    for &(pause, id, back) in steps {
        now += pause;
        told.extend(watch.tick(at(now)));
        told.extend(watch.line(Key(id), Severity::Info, at(now - back), at(now)));
    }
    (now, told)
}

/// Lines that make spikes likely: long steady minutes, then bursts.
fn minutes() -> impl Strategy<Value = Vec<u32>> {
    let lines = prop_oneof![30 => 0..6_u32, 1 => 20..300_u32];
    prop::collection::vec(lines, 60..300)
}

/// Feeds lines by minute to one signature, and returns what was told. The watch is saved and restored before the
/// line of the given number.
fn by_minutes(minutes: &[u32], cut: Option<u32>) -> (Vec<Event>, SavedWatch) {
    let mut watch = Watch::default();
    let mut told = Vec::new();
    let mut number = 0;
    for (minute, &lines) in (0..).zip(minutes) {
        for line in 0..i64::from(lines) {
            if cut == Some(number) {
                watch = Watch::restore(watch.save());
            }
            number += 1;
            let now = at(minute * 60 + line * 59 / i64::from(lines));
            told.extend(watch.line(Key(1), Severity::Info, now, now));
        }
        told.extend(watch.tick(at(minute * 60 + 59)));
    }
    (told, watch.save())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_conserved(steps in steps(400), capacity in 1..6_usize) {
        let mut counts: Counts = Counts::new(capacity);
        let mut now = 0;
        for &(pause, id, back) in &steps {
            now += pause * 10;
            counts.advance(at(now));
            counts.count(Key(id), at(now - back));
        }
        let totals = counts.totals();
        prop_assert_eq!(totals.counted + totals.late, steps.len() as u64);
        prop_assert_eq!(totals.counted, counts.held() + totals.aged + totals.dropped_lines);
    }

    #[test]
    fn memory_is_bounded_whatever_comes(ids in prop::collection::vec(any::<u64>(), 0..500), capacity in 0..40_usize) {
        let mut watch = Watch::new(capacity);
        for (now, &id) in (0..).zip(&ids) {
            watch.line(Key(id), Severity::Error, at(now), at(now));
            prop_assert!(watch.signatures() <= capacity.max(1));
        }
        let distinct = ids.iter().collect::<std::collections::HashSet<_>>().len() as u64;
        prop_assert!(watch.totals().dropped + watch.signatures() as u64 >= distinct);
    }

    #[test]
    fn the_order_of_ids_within_a_second_does_not_matter(
        seconds in prop::collection::vec(prop::collection::vec(0..6_u64, 0..30), 0..60)
    ) {
        let mut one = Watch::default();
        let mut other = Watch::default();
        for (turn, ids) in (0..).zip(&seconds) {
            let now = at(turn * 40);
            let line = |watch: &mut Watch, id: u64| watch.line(Key(id), Severity::Info, now, now);
            let mut first: Vec<Event> = ids.iter().filter_map(|&id| line(&mut one, id)).collect();
            let mut sorted = ids.clone();
            sorted.sort_unstable();
            let second: Vec<Event> = sorted.iter().rev().filter_map(|&id| line(&mut other, id)).collect();
            first.sort_by_key(|event| std::cmp::Reverse(event.id));
            prop_assert_eq!(first, second);
            prop_assert_eq!(one.tick(now), other.tick(now));
        }
        prop_assert_eq!(one.save(), other.save());
    }

    #[test]
    fn saving_and_restoring_in_the_middle_changes_nothing(before in steps(300), after in steps(300)) {
        let mut straight = Watch::default();
        straight.expect(Key(2), 90, at(0));
        let (now, _) = feed(&mut straight, 0, &before);
        let text = serde_json::to_string(&straight.save()).unwrap();
        let mut restored = Watch::restore(serde_json::from_str::<SavedWatch>(&text).unwrap());
        prop_assert_eq!(restored.save(), straight.save());
        prop_assert_eq!(feed(&mut straight, now, &after), feed(&mut restored, now, &after));
        prop_assert_eq!(restored.save(), straight.save());
    }

    #[test]
    fn saving_and_restoring_amid_spikes_changes_nothing(minutes in minutes(), cut in 0..20_000_u32) {
        prop_assert_eq!(by_minutes(&minutes, None), by_minutes(&minutes, Some(cut)));
    }

    #[test]
    fn a_line_is_found_where_it_was_put(steps in steps(200)) {
        let mut counts: Counts = Counts::new(100);
        let mut expected: HashMap<(u64, i64), u32> = HashMap::new();
        let mut now = 0;
        for &(pause, id, back) in &steps {
            now += pause;
            let stamp = (now - back).min(now);
            counts.advance(at(now));
            counts.count(Key(id), at(now - back));
            if now.div_euclid(60) - stamp.div_euclid(60) <= 5 {
                *expected.entry((id, stamp.div_euclid(60))).or_default() += 1;
            }
        }
        for (&(id, minute), &lines) in &expected {
            if now.div_euclid(60) - minute < 360 {
                prop_assert_eq!(counts.lines(Key(id), at(minute * 60)), lines);
            }
        }
    }
}
