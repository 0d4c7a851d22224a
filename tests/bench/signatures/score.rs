//! Scores a grouping against the truth.

use std::collections::HashMap;

/// How good a grouping is. Both figures are between 0 and 1.
#[derive(Clone, Copy)]
pub struct Score {
    /// Grouping accuracy: the share of lines whose group holds exactly the lines of their true group.
    pub accuracy: f64,
    /// F1 over pairs of lines that are in one group.
    pub pairs: f64,
    /// Number of groups found.
    pub groups: usize,
}

/// Compares group numbers of lines with true ones.
#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
pub fn score(found: &[u64], truth: &[u64]) -> Score {
    let mut both: HashMap<(u64, u64), usize> = HashMap::new();
    let mut of_found: HashMap<u64, usize> = HashMap::new();
    let mut of_truth: HashMap<u64, usize> = HashMap::new();
    for (found, truth) in found.iter().zip(truth) {
        *both.entry((*found, *truth)).or_default() += 1;
        *of_found.entry(*found).or_default() += 1;
        *of_truth.entry(*truth).or_default() += 1;
    }
    let right: usize =
        both.iter().filter(|((f, t), n)| of_found[f] == **n && of_truth[t] == **n).map(|(_, count)| count).sum();
    let pairs = |counts: &mut dyn Iterator<Item = usize>| counts.map(|n| n * (n - 1) / 2).sum::<usize>() as f64;
    let common = pairs(&mut both.values().copied());
    let all = pairs(&mut of_found.values().copied()) + pairs(&mut of_truth.values().copied());
    Score {
        accuracy: right as f64 / truth.len().max(1) as f64,
        pairs: if all == 0.0 { 1.0 } else { 2.0 * common / all },
        groups: of_found.len(),
    }
}
