//! Shows what is wrong in one set: true groups that were split, and found groups that hold several true ones.

use std::collections::BTreeMap;

use crate::data::Labelled;
use crate::mine;

/// Prints all wrong groups, the largest first.
pub fn print(set: &Labelled) {
    let (_, settled, miner) = mine(&set.lines);
    let names: BTreeMap<u64, String> =
        miner.groups().into_iter().map(|group| (group.number(), miner.template(group))).collect();
    let mut of_truth: BTreeMap<u64, BTreeMap<u64, usize>> = BTreeMap::new();
    let mut of_found: BTreeMap<u64, BTreeMap<u64, usize>> = BTreeMap::new();
    let mut example: BTreeMap<u64, &str> = BTreeMap::new();
    for ((found, truth), line) in settled.iter().zip(&set.truth).zip(&set.lines) {
        *of_truth.entry(*truth).or_default().entry(*found).or_default() += 1;
        *of_found.entry(*found).or_default().entry(*truth).or_default() += 1;
        example.entry(*truth).or_insert(line);
    }
    let name = |group: &u64| names.get(group).map_or("?", String::as_str);
    println!("== split");
    for (truth, parts) in of_truth.iter().filter(|(_, parts)| parts.len() > 1) {
        println!("{} lines: {}", parts.values().sum::<usize>(), example[truth]);
        for (group, count) in parts {
            println!("    {count:>5} {}", name(group));
        }
    }
    println!("== mixed");
    for (group, parts) in of_found.iter().filter(|(_, parts)| parts.len() > 1) {
        println!("{} lines: {}", parts.values().sum::<usize>(), name(group));
        for (truth, count) in parts {
            println!("    {count:>5} {}", example[truth]);
        }
    }
}
