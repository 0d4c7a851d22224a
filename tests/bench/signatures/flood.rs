//! A stream of lines that are all different, word by word, to see that memory stays bounded.

use std::fs;
use std::time::Instant;

use wicap::signature::mine::{Miner, Settings};

use crate::synth::Dice;

/// Feeds the lines and prints memory as it goes. `words` is the most words of a line; 0 means 20, and 150 in every
/// sixteenth line, so that both bounds are met.
pub fn print(lines: u64, words: u64) {
    println!("before the first line: {}", resident());
    let mut miner = Miner::new(Settings::default());
    let mut dice = Dice::new(17);
    let start = Instant::now();
    let mut most = 0;
    let mut text = String::new();
    for line in 0..lines {
        text.clear();
        let words = match words {
            0 if line % 16 == 0 => 150,
            0 => 20,
            words => words,
        };
        for _ in 0..=dice.below(words) {
            for _ in 0..=dice.below(12) {
                text.push(char::from(b'a' + u8::try_from(dice.below(26)).unwrap_or(0)));
            }
            text.push(' ');
        }
        miner.learn(&text);
        most = most.max(miner.bytes());
        if (line + 1) % (lines / 10).max(1) == 0 {
            println!(
                "{:>9} lines {:>6} templates {:>9} bytes estimated (most {most}) {} in {:.0?}",
                line + 1,
                miner.len(),
                miner.bytes(),
                resident(),
                start.elapsed()
            );
        }
    }
}

/// Memory of this process as the kernel counts it.
fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rows = status.lines().filter(|row| row.starts_with("VmRSS") || row.starts_with("VmHWM"));
    rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
