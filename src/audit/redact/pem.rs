//! PEM blocks of private keys: whole, or without their end, or without their beginning. Certificates and public keys stay.

use std::ops::Range;

use super::values::line_end;
use super::{Found, Look, run};

/// The two ends of a block.
pub(super) const LOOKS: &[(&str, Look)] = &[("-----BEGIN ", begin), ("-----END ", end), ("---- BEGIN ", begin)];

/// The longest block that is looked for; a key of 16384 bits has 13 KiB.
const BLOCK_MOST: usize = 64 * 1024;

/// Whether a block with this label is for everybody's eyes.
fn is_public(label: &str) -> bool {
    (label.contains("PUBLIC")
        || label.contains("CERTIFICATE")
        || label.contains("SIGNATURE")
        || label.contains("PARAMETERS"))
        && !label.contains("PRIVATE")
        || label.contains("CRL")
}

/// The label of a block and where its line of dashes ends.
fn label(text: &str, start: usize) -> Option<(&str, usize)> {
    let rest = &text[start..];
    let label = &rest[..rest.bytes().take(64).position(|b| !(b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' '))?];
    rest[label.len()..].starts_with("----").then(|| {
        let dashes = rest[label.len()..].bytes().take_while(|b| *b == b'-').count();
        (label.trim(), start + label.len() + dashes)
    })
}

fn begin(text: &str, at: Range<usize>, found: &mut Found) {
    if at.start < found.pem_end {
        return;
    }
    let Some((label, body)) = label(text, at.end) else { return };
    if is_public(label) {
        return;
    }
    // Text that only speaks of such a block goes on with something else.
    let next = text[body..].trim_start_matches([' ', '\t', '\r']).chars().next();
    if !next.is_none_or(|c| matches!(c, '\n' | '\\' | '%' | '+' | '/') || c.is_ascii_alphanumeric()) {
        return;
    }
    let mut most = text.len().min(body + BLOCK_MOST);
    while !text.is_char_boundary(most) {
        most -= 1;
    }
    let close = text[body..most].find("----").map(|dashes| run(text, body + dashes, 5, |b| b == b'-'));
    let end = match close.map(|dashes| run(text, dashes, 1, |b| b == b' ')) {
        Some(close) if text[close..].starts_with("END ") && text[close + 4..].starts_with(label) => {
            run(text, close + 4 + label.len(), 5, |b| b == b'-')
        }
        _ => body_end(text, body),
    };
    found.pem_end = end;
    found.push(at.start..end);
}

/// What stands before the rest of a text whose beginning [`is_open`].
pub const OPENING: &str = "-----BEGIN PRIVATE KEY-----";

/// Whether the text ends in a block of a private key, so that what comes after it is secret as well.
#[must_use]
pub fn is_open(text: &str) -> bool {
    let Some(begin) = text.rfind("-BEGIN ").or_else(|| text.rfind("- BEGIN ")) else { return false };
    let from = begin + text[begin..].find("BEGIN ").map_or(0, |at| at + "BEGIN ".len());
    label(text, from).is_some_and(|(label, body)| {
        let is_secret = label.contains("PRIVATE") || label.contains("SECRET");
        is_secret && !text[body..].contains("----") && body_end(text, body) >= text.trim_end().len()
    })
}

/// The end of a block that lost its last line: where lines end that look like base64.
fn body_end(text: &str, body: usize) -> usize {
    let mut end = body;
    let mut at = body;
    while at < text.len() {
        let line = line_end(text, at);
        let shown = text[at..line].rsplit("| ").next().unwrap_or_default().trim();
        let encoded = shown.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\\')));
        let header = ["Proc-Type:", "DEK-Info:", "Comment:", "Version:"].iter().any(|h| shown.starts_with(h));
        match encoded {
            // The rest of the line is something else: the end of a string in quotes.
            Some(i) if !header => {
                let prose = shown.as_bytes()[i] == b' ' && at > body;
                let start = line - text[at..line].len() + text[at..line].find(shown).unwrap_or(0);
                return if prose { end } else { (start + i).max(end) };
            }
            _ => end = at + text[at..line].trim_end().len(),
        }
        at = line + 1;
    }
    end
}

fn end(text: &str, at: Range<usize>, found: &mut Found) {
    let Some((label, end)) = label(text, at.end) else { return };
    if is_public(label) || at.start < found.pem_end {
        return;
    }
    // Back over lines that look like base64; the beginning of the text is in the middle of one.
    let mut start = at.start;
    for line in text[..at.start].split_inclusive('\n').rev().take(400) {
        let shown = line.trim_end_matches('\n').rsplit("| ").next().unwrap_or_default().trim();
        if !shown.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\\')) || shown.len() == 1 {
            break;
        }
        start -= line.len();
    }
    let block = text[start..at.start].trim_start();
    if !block.is_empty() {
        found.push(at.start - block.len()..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::redact::redact_lines;

    const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bqVJTb3Z5Yx\nU3Vwc2VjcmV0Ym9keQ==";

    #[test]
    fn a_text_that_ends_in_a_key_is_open() {
        for open in
            [KEY, "x\n-----BEGIN PRIVATE KEY-----", &format!("{KEY}\n"), "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nAAAA"]
        {
            assert!(is_open(open), "{open}");
        }
        let closed = format!("{KEY}\n-----END RSA PRIVATE KEY-----");
        let public = "-----BEGIN CERTIFICATE-----\nMIIE";
        for closed in ["", "BEGIN", &closed, public, &format!("{KEY}\nand then this"), "-----BEGIN ", "- BEGIN x"] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    #[test]
    fn the_middle_of_a_key_is_secret_behind_the_opening() {
        let text = format!(
            "{OPENING}\nMIIEpAIBAAKCAQEA7bqVJTb3Z5Yx\nU3Vwc2VjcmV0Ym9keQ==\n-----END RSA PRIVATE KEY-----\nand then this"
        );
        let clean = redact_lines(&text);
        assert!(!clean.contains("MIIE") && !clean.contains("U3Vwc"), "{clean}");
        assert_eq!((clean.lines().count(), clean.lines().last()), (5, Some("and then this")));
    }
}
