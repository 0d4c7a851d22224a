//! "Did you mean …?": the word that is there and nearest to the one that was typed.

use strsim::osa_distance;

/// The longest word that is compared. A name has at most 253 characters; what is longer was not mistyped, it was pasted.
const LONGEST: usize = 256;

/// The word of `known` that was probably meant by `word`: one that differs by a slip of the finger, in any case, or the only
/// one that begins like it. Of two that are equally near, the first in the alphabet, so that the answer is always the same.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length == 0 || length > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    let known: Vec<&str> = known.into_iter().filter(|k| k.chars().count() <= LONGEST).collect();
    let near = known.iter().map(|k| (osa_distance(&lower, &k.to_lowercase()), *k)).min();
    if let Some((distance, word)) = near
        && distance <= slips(length)
    {
        return Some(word);
    }
    let mut longer = known.into_iter().filter(|k| length >= LEAST_PREFIX && k.to_lowercase().starts_with(&lower));
    match (longer.next(), longer.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// The fewest characters from which the rest of a word is guessed: fewer begin too many words.
const LEAST_PREFIX: usize = 3;

/// How many letters may be wrong, missing, too many or swapped: one of three in a short word is another word.
fn slips(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    }
}

/// The line that follows an error: `did you mean "wicap"?`.
#[must_use]
pub fn line(meant: &str) -> String {
    format!("did you mean {meant:?}?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let kinds = ["wicapstacks", "wicapstack", "stack", "ws", "controlsessions", "session", "sr", "cs"];
        for (word, expected) in [
            ("wicapstcaks", Some("wicapstacks")),
            ("wicapstack", Some("wicapstack")),
            ("Stcak", Some("stack")),
            ("sesion", Some("session")),
            ("control", Some("controlsessions")),
            ("pods", None),
            ("xs", None),
            ("wica", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, kinds), expected, "{word}");
        }
        assert_eq!(nearest(&"w".repeat(LONGEST + 1), kinds), None);
    }

    proptest! {
        #[test]
        fn a_word_that_is_there_is_its_own_nearest(
            words in prop::collection::vec("[a-z]{3,12}", 1..20),
            which in any::<prop::sample::Index>(),
        ) {
            let word = which.get(&words);
            prop_assert_eq!(nearest(word, words.iter().map(String::as_str)), Some(word.as_str()));
        }

        #[test]
        fn a_letter_left_out_of_a_long_word_is_forgiven(word in "[a-z]{4,20}", at in any::<prop::sample::Index>()) {
            let mut typed: Vec<char> = word.chars().collect();
            typed.remove(at.index(typed.len()));
            let typed: String = typed.into_iter().collect();
            prop_assert_eq!(nearest(&typed, [word.as_str()]), Some(word.as_str()));
        }

        #[test]
        fn no_word_makes_it_fail(word in ".{0,40}", known in prop::collection::vec(".{0,40}", 0..8)) {
            let _ = nearest(&word, known.iter().map(String::as_str));
        }
    }
}
