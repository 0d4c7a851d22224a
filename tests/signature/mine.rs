//! What holds for any lines.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wicap::signature::mine::{Found, Miner, Settings, SignatureId};

/// Lines as services write them: a verb with a few values, and now and then anything at all.
fn lines(most: usize) -> impl Strategy<Value = Vec<String>> {
    let noun = prop::sample::select(vec!["volume", "container", "network", "image", "session", "job"]);
    let verb = prop::sample::select(vec!["started", "stopped", "failed", "was removed", "timed out"]);
    let line = prop_oneof![
        6 => (noun.clone(), any::<u32>(), verb.clone()).prop_map(|(noun, n, verb)| format!("{noun} {n} {verb} at once")),
        3 => (noun, "[a-z]{3,6}", verb).prop_map(|(noun, name, verb)| format!("{noun} {name} {verb} by the other side")),
        2 => ("[a-z]{3}", any::<u16>()).prop_map(|(key, n)| format!("{key}={n} retry in {n} ms")),
        1 => any::<String>(),
        1 => "[ -~]{0,60}",
    ];
    prop::collection::vec(line, 1..most)
}

fn learn(miner: &mut Miner, lines: &[String]) -> Vec<Found> {
    lines.iter().map(|line| miner.learn(line)).collect()
}

/// The lines of each id after all lines.
fn by_id(lines: &[String]) -> BTreeMap<SignatureId, BTreeSet<String>> {
    let mut miner = Miner::new(Settings::default());
    let found = learn(&mut miner, lines);
    let mut sets: BTreeMap<SignatureId, BTreeSet<String>> = BTreeMap::new();
    for (found, line) in found.iter().zip(lines) {
        sets.entry(miner.id(found.group)).or_default().insert(line.clone());
    }
    sets
}

fn small() -> Settings {
    Settings { most_templates: 16, most_bytes: 64 << 10, most_words_in_place: 3, cache_slots: 4, ..Settings::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn the_same_lines_give_the_same_groups(lines in lines(120)) {
        let (mut one, mut other) = (Miner::new(small()), Miner::new(small()));
        prop_assert_eq!(learn(&mut one, &lines), learn(&mut other, &lines));
        prop_assert_eq!(one.save(), other.save());
    }

    #[test]
    fn a_restored_miner_goes_on_as_if_not_interrupted(lines in lines(160), share in 0.0..1.0_f64, few in any::<bool>()) {
        let settings = if few { small() } else { Settings::default() };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
        let middle = (lines.len() as f64 * share) as usize;
        let mut whole = Miner::new(settings);
        learn(&mut whole, &lines[..middle]);
        let text = serde_json::to_string(&whole.save()).expect("a state is plain data");
        let mut restored = Miner::restore(serde_json::from_str(&text).expect("it was written by us"));
        prop_assert_eq!(restored.save(), whole.save());
        prop_assert_eq!(learn(&mut restored, &lines[middle..]), learn(&mut whole, &lines[middle..]));
        prop_assert_eq!(restored.save(), whole.save());
    }

    #[test]
    fn ids_do_not_depend_on_the_order_of_most_lines(
        (lines, shuffled) in lines(200).prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle()))
    ) {
        let (one, other) = (by_id(&lines), by_id(&shuffled));
        let same: usize = one.iter().filter(|(id, set)| other.get(id) == Some(set)).map(|(_, set)| set.len()).sum();
        let all: usize = one.values().map(BTreeSet::len).sum();
        prop_assert!(same * 10 >= all * 9, "{same} of {all} lines have the same id and the same company");
    }

    #[test]
    fn bounds_hold_and_answers_agree(lines in lines(300)) {
        let mut miner = Miner::new(small());
        for line in &lines {
            let found = miner.learn(line);
            prop_assert!(miner.len() <= 16);
            prop_assert!(miner.bytes() <= 64 << 10 || miner.len() == 1);
            prop_assert_eq!(miner.resolve(found.group), found.group);
            prop_assert_eq!(miner.id(found.group), found.id);
            let known = miner.learn(line);
            prop_assert_eq!((known.group, known.id, known.is_new), (found.group, found.id, false));
        }
        for group in miner.groups() {
            prop_assert_eq!(miner.resolve(group), group);
        }
    }

    #[test]
    fn numbers_do_not_change_the_id(noun in "[a-z]{2,9}", one in any::<u64>(), other in any::<u64>()) {
        let mut miner = Miner::new(Settings::default());
        let found = [one, other].map(|number| miner.learn(&format!("the {noun} took {number} ms of time")));
        prop_assert_eq!(found[0].id, found[1].id);
    }

    #[test]
    fn any_text_as_a_state_is_refused_or_repaired(groups in 0_u64..5, at in 0_u32..9, into in 0_u64..5) {
        let text = format!(
            r#"{{"settings":{{}},"lines":3,"groups":{groups},"merges":[[{into},{at}],[{at},{into}]],
                "templates":[{{"group":1,"text":"añb","words":[[0,{at}],[{at},2]],"is_general":true,
                "weight":1,"last":1,"id":"0000000000000000"}}]}}"#
        );
        if let Ok(state) = serde_json::from_str(&text) {
            let mut miner = Miner::restore(state);
            miner.learn("a b");
            for group in miner.groups() {
                prop_assert!(!miner.id(group).to_string().is_empty() && miner.template(group).len() < 64);
            }
        }
    }
}
