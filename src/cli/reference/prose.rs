//! Paragraphs and lists of a page, broken into lines.

/// The width of the documentation's lines.
pub(super) const WIDTH: usize = 145;

/// A paragraph and its line break.
pub(super) fn paragraph(text: &str) -> String {
    broken(text, "", "") + "\n"
}

/// An item of a list, at a depth from 0.
pub(super) fn item(depth: usize, text: &str) -> String {
    let indent = "  ".repeat(depth);
    broken(text, &format!("{indent}- "), &format!("{indent}  ")) + "\n"
}

/// Text as types and arguments have it, in one line: line breaks as blanks, and links to items of the source as their names.
pub(super) fn flat(text: &str) -> String {
    let text = text.replace("[`", "`").replace("`]", "`");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words in lines, of which the first and the others have their own beginnings. What stands between backticks is one word.
fn broken(text: &str, first: &str, others: &str) -> String {
    let mut lines = vec![first.to_owned()];
    let mut empty = true;
    for word in words(text) {
        let line = lines.last_mut().expect("there is a first line");
        let wide = line.chars().count() + usize::from(!empty) + word.chars().count();
        if !empty && wide > WIDTH {
            lines.push(format!("{others}{word}"));
        } else {
            if !empty {
                line.push(' ');
            }
            line.push_str(&word);
        }
        empty = false;
    }
    lines.join("\n")
}

/// The words of a text; a blank inside backticks parts none, as long as what is inside is short enough for half a line.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut code = false;
    for part in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if code && last.chars().count() + part.chars().count() < WIDTH / 2 => {
                last.push(' ');
                last.push_str(part);
            }
            _ => words.push(part.to_owned()),
        }
        code ^= part.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_not_inside_code() {
        let long = "word ".repeat(60);
        let text = item(1, &long);
        assert!(text.starts_with("  - word word") && text.lines().count() == 3, "{text}");
        assert!(text.lines().skip(1).all(|l| l.starts_with("    word")), "{text}");
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH));
        let code = paragraph(&format!("{}`a b c`", "x ".repeat(71)));
        assert!(code.ends_with("\n`a b c`\n"), "{code}");
        assert_eq!(flat("a\n  [`B`] c\n\nd"), "a `B` c d");
    }
}
