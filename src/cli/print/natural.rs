//! The order of texts that people expect: numbers in them by their value, so that `ui-2` comes before `ui-10`.

use std::cmp::Ordering;

/// Compares as kubectl orders the keys of YAML and the texts of `--sort-by`: digits by their value, letters after
/// digits, everything else before them.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        match (left.chars().next(), right.chars().next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(l), Some(r)) if l.is_ascii_digit() && r.is_ascii_digit() => {
                let (l, r) = (digits(&mut left), digits(&mut right));
                // Without leading zeros the longer number is the larger one. Numbers that are equal go on; the end decides.
                let order = l.len().cmp(&r.len()).then_with(|| l.cmp(r));
                if order.is_ne() {
                    return order;
                }
            }
            (Some(l), Some(r)) if l == r => {
                left = &left[l.len_utf8()..];
                right = &right[r.len_utf8()..];
            }
            (Some(l), Some(r)) => return rank(l).cmp(&rank(r)).then(l.cmp(&r)),
        }
    }
}

fn rank(c: char) -> u8 {
    match c {
        c if c.is_ascii_digit() => 1,
        c if c.is_alphabetic() => 2,
        _ => 0,
    }
}

/// Takes the digits at the start away and returns them without leading zeros.
fn digits<'t>(text: &mut &'t str) -> &'t str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_ordered_by_their_value() {
        let mut names = ["ui-10", "ui-2", "UI", "a_b", "aB", "ui-02", "", "7", "ui", "ui-2b", "é", ":"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["", ":", "7", "UI", "a_b", "aB", "ui", "ui-02", "ui-2", "ui-2b", "ui-10", "é"]);
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[a0-9é_]{0,5}", b in "[a0-9é_]{0,5}", c in "[a0-9é_]{0,5}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b).is_eq(), a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
