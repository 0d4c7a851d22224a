//! Feeds the same lines in other orders and compares ids.

use std::collections::{BTreeMap, BTreeSet};

use wicap::signature::mine::{Miner, Settings, SignatureId};

use crate::data::Labelled;
use crate::score::score;
use crate::synth::Dice;
use crate::synth_sets;

/// Orders tried for each set.
const ORDERS: u64 = 10;

/// Prints, for each set, the least share of lines that keep id and company in another order, the least share that keep
/// the id they got at once, and the least accuracy.
#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
pub fn print(real: &[Labelled]) {
    println!("{:14} {:>16} {:>14} {:>10}", "set", "id and company", "id at once", "GA");
    for set in real.iter().chain(&synth_sets::all()) {
        let straight: Vec<usize> = (0..set.lines.len()).collect();
        let (known, _, _) = run(set, &straight);
        let mut worst = (1.0_f64, 1.0_f64, 1.0_f64);
        for seed in 0..ORDERS {
            let (ids, kept, accuracy) = run(set, &shuffled(&straight, seed));
            let same = same_company(&known, &ids) as f64 / ids.len() as f64;
            worst = (worst.0.min(same), worst.1.min(kept), worst.2.min(accuracy));
        }
        println!("{:14} {:>16.4} {:>14.4} {:>10.4}", set.name, worst.0, worst.1, worst.2);
    }
}

/// The final id of each line, the share of lines whose first id was final, and the accuracy.
#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
fn run(set: &Labelled, order: &[usize]) -> (Vec<SignatureId>, f64, f64) {
    let mut miner = Miner::new(Settings::default());
    let found: Vec<_> = order.iter().map(|line| miner.learn(&set.lines[*line])).collect();
    let mut ids = vec![miner.id(wicap::signature::mine::Group::REST); order.len()];
    let mut groups = vec![0; order.len()];
    for (line, found) in order.iter().zip(&found) {
        ids[*line] = miner.id(found.group);
        groups[*line] = miner.resolve(found.group).number();
    }
    let kept = found.iter().filter(|found| miner.id(found.group) == found.id).count();
    (ids, kept as f64 / order.len() as f64, score(&groups, &set.truth).accuracy)
}

fn same_company(left: &[SignatureId], right: &[SignatureId]) -> usize {
    let sets = |ids: &[SignatureId]| {
        let mut sets: BTreeMap<SignatureId, BTreeSet<usize>> = BTreeMap::new();
        for (line, id) in ids.iter().enumerate() {
            sets.entry(*id).or_default().insert(line);
        }
        sets
    };
    let right = sets(right);
    sets(left).iter().filter(|(id, lines)| right.get(id) == Some(lines)).map(|(_, lines)| lines.len()).sum()
}

fn shuffled(order: &[usize], seed: u64) -> Vec<usize> {
    let mut dice = Dice::new(seed + 1_000);
    let mut order = order.to_vec();
    for at in (1..order.len()).rev() {
        order.swap(at, usize::try_from(dice.below(at as u64 + 1)).unwrap_or(0));
    }
    order
}
