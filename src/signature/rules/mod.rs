//! The failures that are known, what to do about each, and the noise.
//!
//! ```text
//!   general.json ─┐
//!   wicap.json   ─┼─► Set::read ─► Rules::new ─► judge(service, record) ─► severity, rule
//!   an operator's ┘   checks it    one table,    the first in order that holds,
//!                                  in order      else the severity of the words
//! ```
//!
//! A rule is written down, not programmed:
//!
//! ```json
//! {"name": "disk-full", "title": "The disk is full", "match": {"anyOf": ["No space left on device"]},
//!  "severity": "Critical", "remedy": "Free space on the disk that the service writes to.", "action": "status_check"}
//! ```
//!
//! # Parts
//! All parts of a `match` must hold, and there is at least one beside `services`:
//!
//! - `contains`, `anyOf`: all of these texts, and one of these, capitals told apart;
//! - `pattern`: a regular expression with the classes of ASCII;
//! - `exception`: the class of the exception, or the last part of its name;
//! - `status`: the HTTP status lies `from` … `to`;
//! - `level`: the line's own level is that or more; a line without one has none;
//! - `logger`: the logger's name, or the beginning of it up to a joint: `wicap` for `wicap.sql`;
//! - `services`: the names of the services that it is about; none means all.
//!
//! Texts and patterns are looked for in the message, the class and the message of the exception, and what a structured line
//! gives as its `error`. In an access line they are looked for only if the rule has a `status`, for what a path holds is for the
//! client to choose.
//!
//! # Order
//! 1. A known issue wins over noise, and the graver issue over the less grave.
//! 2. Among equals a later set's rule wins over an earlier one's, and in a set the one that is written first.
//! 3. Noise wins over the severity that the record has by itself.
//!
//! A later set's rule with the name of an earlier one takes its place, and `{"name": "x", "off": true}` takes it out. To take out
//! what is not there is no mistake: the wish is fulfilled.

mod rule;
mod set;
#[cfg(test)]
mod tests;
mod text;

use std::cmp::Reverse;
use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use regex::bytes::{RegexSet, RegexSetBuilder};

pub use rule::Rule;
pub use set::{MAX_DOCUMENT, MAX_RULES, Set, VERSION};

use crate::api::stack::logs::{CACHE_MOST, COMPILED_MOST};
use crate::api::stack::{IssueRule, RuleSet, WicapStack};
use crate::api::{Severity, Violation};
use crate::signature::envelope::Record;
use crate::signature::severity::severity;
use text::Event;

/// The most bytes of texts to look for, in all rules together. The table that finds them takes about 20 times as much.
const MAX_LITERALS: usize = 256 * 1024;

/// How large the patterns that no text goes before may be together, compiled: as large as each may be by itself.
const MAX_PATTERNS: usize = 2 * MAX_RULES * COMPILED_MOST;

/// Words of a set of bits, one for each rule.
const WORDS: usize = MAX_RULES.div_ceil(64);

/// Rules, ready to judge.
#[derive(Debug)]
pub struct Rules {
    /// In the order in which they win.
    table: Vec<Rule>,
    /// Finds the texts that rules look for.
    literals: AhoCorasick,
    /// By the number of a text: the rules that may hold when it is found, in order.
    by_literal: Vec<Vec<usize>>,
    /// The patterns of rules that look for no text.
    patterns: RegexSet,
    /// By the number of such a pattern: its rule, in order.
    by_pattern: Vec<usize>,
    /// The rules that look for neither, in order.
    others: Vec<usize>,
}

/// How grave a record is, and by what rule.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// How grave it is.
    pub severity: Severity,
    /// The rule that says so: a known issue, or noise. None where the record speaks for itself.
    pub rule: Option<&'a Rule>,
}

/// The rules of these sets, in their order, and then those of an operator.
///
/// # Errors
/// What is wrong with the operator's, or that all together are too many or too large.
pub fn compiled(sets: &[RuleSet], own: &[IssueRule]) -> Result<Rules, Violation> {
    let shipped = sets.iter().map(|set| match set {
        RuleSet::General => Set::general(),
        RuleSet::Wicap => Set::wicap(),
    });
    let own = Set::of(own.to_vec()).map_err(|mut violations| violations.remove(0))?;
    Rules::new(&shipped.chain([own]).collect::<Vec<_>>())
}

/// The rules by which the logs of a stack are read. Its own are sound when its validation has let them through; else none of them is used.
#[must_use]
pub fn of(stack: &WicapStack) -> Rules {
    let logs = &stack.spec.logs;
    compiled(&logs.rule_sets, &logs.rules).or_else(|_| compiled(&logs.rule_sets, &[])).unwrap_or_default()
}

impl Default for Rules {
    /// No rules.
    fn default() -> Self {
        Self::new(&[]).expect("no rules are not too many")
    }
}

impl Rules {
    /// Puts sets together, the later over the earlier.
    ///
    /// # Errors
    /// When all rules together are too many or too large.
    pub fn new(sets: &[Set]) -> Result<Self, Violation> {
        let mut entries: Vec<(usize, IssueRule)> = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            for entry in set.rules() {
                entries.retain(|(_, earlier)| earlier.name != entry.name);
                if !entry.off {
                    entries.push((number, entry.clone()));
                }
            }
        }
        let refused = |found: String, most: String| Violation::new("rules", found, most);
        if entries.len() > MAX_RULES {
            let found = format!("{} rules in {} sets", entries.len(), sets.len());
            return Err(refused(found, format!("at most {MAX_RULES}")));
        }
        let mut rules: Vec<(usize, Rule)> = entries.into_iter().map(|(number, entry)| (number, Rule::new(entry))).collect();
        // Stable: in a set, the order in which they are written stays.
        rules.sort_by_key(|(number, rule)| (Reverse(rule.severity), Reverse(*number)));
        let table: Vec<Rule> = rules.into_iter().map(|(_, rule)| rule).collect();

        let mut index = Index::default();
        for (number, rule) in table.iter().enumerate() {
            index.add(number, rule);
        }
        let size: usize = index.literals.iter().map(|literal| literal.len()).sum();
        if size > MAX_LITERALS {
            return Err(refused(format!("{size} bytes of texts"), format!("at most {MAX_LITERALS}")));
        }
        let literals = AhoCorasick::new(&index.literals);
        let literals = literals.map_err(|e| refused(e.to_string(), "texts that fit into one table".to_owned()))?;
        let mut patterns = RegexSetBuilder::new(&index.patterns);
        patterns.unicode(false).size_limit(MAX_PATTERNS).dfa_size_limit(CACHE_MOST);
        let patterns = patterns.build().map_err(|e| refused(e.to_string(), "patterns that fit together".to_owned()))?;
        let Index { by_literal, by_pattern, others, .. } = index;
        Ok(Self { table, literals, by_literal, patterns, by_pattern, others })
    }

    /// The rule of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Rule> {
        self.table.iter().find(|rule| rule.name == name)
    }

    /// How grave a record of a service is.
    #[must_use]
    pub fn judge(&self, service: &str, record: &Record) -> Judged<'_> {
        match self.first(&Event::new(service, record)) {
            Some(rule) => Judged { severity: rule.severity, rule: Some(rule) },
            None => Judged { severity: severity(record), rule: None },
        }
    }

    /// The first rule that holds.
    fn first(&self, event: &Event<'_>) -> Option<&Rule> {
        let holds = |number: &usize| self.table[*number].holds(event);
        let mut first = self.others.iter().copied().find(holds).unwrap_or(self.table.len());
        // A text may be found a thousand times; each rule is looked at once.
        let mut tried = [0_u64; WORDS];
        for text in event.texts() {
            if !self.by_pattern.is_empty() {
                let found = self.patterns.matches(text.as_bytes());
                let earlier = found.iter().map(|pattern| self.by_pattern[pattern]).take_while(|number| *number < first);
                first = earlier.into_iter().find(holds).unwrap_or(first);
            }
            for found in self.literals.find_overlapping_iter(text) {
                for number in &self.by_literal[found.pattern().as_usize()] {
                    let (word, bit) = (&mut tried[number / 64], 1 << (number % 64));
                    if *number >= first || *word & bit != 0 {
                        continue;
                    }
                    *word |= bit;
                    if holds(number) {
                        first = *number;
                    }
                }
            }
        }
        self.table.get(first)
    }
}

/// What [`Rules`] are found by, while it is put together.
#[derive(Default)]
struct Index<'a> {
    literals: Vec<&'a str>,
    by_literal: Vec<Vec<usize>>,
    /// The numbers of the texts that are known.
    known: HashMap<&'a str, usize>,
    patterns: Vec<&'a str>,
    by_pattern: Vec<usize>,
    others: Vec<usize>,
}

impl<'a> Index<'a> {
    /// Adds a rule under what announces it.
    fn add(&mut self, number: usize, rule: &'a Rule) {
        let heralds = rule.heralds();
        for literal in heralds {
            let at = *self.known.entry(literal).or_insert(self.literals.len());
            if at == self.literals.len() {
                self.literals.push(literal);
                self.by_literal.push(Vec::new());
            }
            self.by_literal[at].push(number);
        }
        match rule.pattern() {
            _ if !heralds.is_empty() => {}
            Some(pattern) => {
                self.patterns.push(pattern);
                self.by_pattern.push(number);
            }
            None => self.others.push(number),
        }
    }
}
