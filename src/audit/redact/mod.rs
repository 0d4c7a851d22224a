//! Takes secrets out of a text, whatever form they have there.
//!
//! ```text
//! text ──> one automaton over all hints ──> hint: the form it belongs to looks around itself ──> spans ──> [redacted]
//!          ("pass", "://", "ghp_", "curl")                (keys, urls, tokens, commands)
//! ```
//!
//! A text without hints costs one walk through the automaton. A form reads only what is near its hint, so that a secret costs
//! the same in a long text as in a short one.
//!
//! # Layout
//!
//! - [`names`]: which keys are secret, `keys`: where they are, and what parts them from their values
//! - `values`: where a value begins and ends, `harmless`: which values are no secrets
//! - `urls`, `pem`, `tokens`: secrets that announce themselves
//! - `commands`: arguments of programs, statements of redis and SQL
//! - [`literals`]: values that are known to be secret, in all their encodings; [`known`]: those that this process knows
//!
//! It works on the tail of an output as well, where a form may have lost its end. When in doubt it takes out: a word too many
//! costs less than a secret. What it cannot do: know a secret in prose that has neither a known form nor a key beside it; for
//! those of a stack's own environment there is [`literals::Redactor`].

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

mod commands;
mod harmless;
mod keys;
pub mod known;
pub mod literals;
pub mod names;
pub mod pem;
mod tokens;
mod urls;
mod values;

#[cfg(test)]
mod tests;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Rounds after which redacting a text again is given up. A second round is needed where taking out one secret uncovers the end
/// of another; each round takes out more, and no text that we know of needs a third.
const ROUNDS_MOST: usize = 8;

/// The text with every secret that was recognised replaced by [`REDACTED`]; the very same text when there is none. Redacting
/// twice is redacting once.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let known = known::redactor();
    settle(text, Lines::Lost, |text| known.spans(text))
}

/// As [`redact`], and each line of the result is what became of that line of the text: a secret of several lines leaves empty ones.
#[must_use]
pub fn redact_lines(text: &str) -> Cow<'_, str> {
    let known = known::redactor();
    settle(text, Lines::Kept, |text| known.spans(text))
}

/// What becomes of the line ends in a secret of several lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    Lost,
    Kept,
}

/// Replaces what `find` finds until it finds nothing more.
fn settle(text: &str, lines: Lines, find: impl Fn(&str) -> Vec<Range<usize>>) -> Cow<'_, str> {
    let Some(mut settled) = replace(text, lines, find(text)) else { return Cow::Borrowed(text) };
    for _ in 1..ROUNDS_MOST {
        let Some(next) = replace(&settled, lines, find(&settled)) else { break };
        if next == settled {
            break;
        }
        settled = next;
    }
    Cow::Owned(settled)
}

/// Where the secrets of a text are, in no order.
fn spans(text: &str) -> Vec<Range<usize>> {
    let mut found = Found::default();
    for hint in HINTS.automaton.find_overlapping_iter(text) {
        let at = hint.start()..hint.end();
        match &HINTS.forms[hint.pattern().as_usize()] {
            Form::Look(look) => look(text, at, &mut found),
            Form::Token(token) => token.find(text, at, &mut found),
            Form::Command(command) => command.find(text, at, &mut found),
        }
    }
    found.spans
}

/// What was found so far.
#[derive(Default)]
struct Found {
    spans: Vec<Range<usize>>,
    /// The end of the last key that was looked at: a key with two hints in it is looked at once.
    key_end: usize,
    /// The end of the last PEM block, likewise.
    pem_end: usize,
    /// The end of the last Kubernetes Secret, likewise.
    manifest_end: usize,
}

impl Found {
    fn push(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.spans.push(span);
        }
    }
}

/// Looks around a hint for the form that it belongs to.
type Look = fn(&str, Range<usize>, &mut Found);

/// What a hint may be a part of.
enum Form {
    Look(Look),
    Token(&'static tokens::Token),
    Command(&'static commands::Command),
}

/// All hints, and for each its form.
struct Hints {
    automaton: AhoCorasick,
    forms: Vec<Form>,
}

static HINTS: LazyLock<Hints> = LazyLock::new(|| {
    let looks = [keys::LOOKS, urls::LOOKS, pem::LOOKS, tokens::LOOKS, commands::LOOKS];
    let mut hints: Vec<(&str, Form)> = Vec::new();
    hints.extend(looks.into_iter().flatten().map(|(hint, look)| (*hint, Form::Look(*look))));
    hints.extend(tokens::TOKENS.iter().map(|token| (token.prefix, Form::Token(token))));
    hints.extend(commands::COMMANDS.iter().map(|command| (command.name, Form::Command(command))));
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        // The fastest kind; a few hundred short hints make it some hundred kilobytes.
        .kind(Some(AhoCorasickKind::DFA))
        .build(hints.iter().map(|(hint, _)| hint))
        .expect("the hints of this module, which every test builds");
    Hints { automaton, forms: hints.into_iter().map(|(_, form)| form).collect() }
});

/// The text with the spans replaced, those that touch each other as one; none when there is nothing to replace.
fn replace(text: &str, lines: Lines, mut spans: Vec<Range<usize>>) -> Option<String> {
    spans.retain(|span| !is_redacted(text, span));
    spans.sort_by_key(|span| (span.start, span.end));
    let mut spans = spans.into_iter();
    let mut open = spans.next()?;
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut put = |span: &Range<usize>| {
        out.push_str(&text[done..span.start]);
        out.push_str(REDACTED);
        if lines == Lines::Kept {
            out.extend(text[span.clone()].matches('\n'));
        }
        done = span.end;
    };
    for span in spans {
        if span.start <= open.end {
            open.end = open.end.max(span.end);
        } else {
            put(&open);
            open = span;
        }
    }
    put(&open);
    let rest = &text[done..];
    out.push_str(rest);
    Some(out)
}

/// Whether the span is nothing, or lies in a placeholder.
fn is_redacted(text: &str, span: &Range<usize>) -> bool {
    let value = &text[span.clone()];
    value.is_empty()
        || value == REDACTED
        || (value.len() < REDACTED.len()
            && REDACTED.match_indices(value).any(|(i, _)| {
                let start = span.start.checked_sub(i);
                start.is_some_and(|start| text.get(start..start + REDACTED.len()) == Some(REDACTED))
            }))
}

/// The start of the run of bytes before `end` that `is` accepts, at most `most` of them. `is` must accept ASCII only.
fn run_back(text: &str, end: usize, most: usize, is: impl Fn(u8) -> bool) -> usize {
    end - text.as_bytes()[..end].iter().rev().take(most).take_while(|b| is(**b)).count()
}

/// The end of the run of bytes after `start` that `is` accepts, at most `most` of them. `is` must accept ASCII only.
fn run(text: &str, start: usize, most: usize, is: impl Fn(u8) -> bool) -> usize {
    let start = start.min(text.len());
    start + text.as_bytes()[start..].iter().take(most).take_while(|b| is(**b)).count()
}

/// The byte before `at`; a line break at the beginning of the text.
fn before(text: &str, at: usize) -> u8 {
    at.checked_sub(1).map_or(b'\n', |i| text.as_bytes()[i])
}

/// The byte at `at`; a line break at the end of the text.
fn byte(text: &str, at: usize) -> u8 {
    text.as_bytes().get(at).copied().unwrap_or(b'\n')
}

/// Whether the byte is part of a word.
fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}
