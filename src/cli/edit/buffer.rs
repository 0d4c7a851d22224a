//! The text in the editor: comments, then the objects as YAML or JSON. Pure.

use std::fmt;

use serde_json::Value;

use super::super::{Error, document, print};

/// What stands over the objects at first.
const HEAD: [&str; 2] = [
    "Change the objects below. Lines that begin with '#' are left out; an empty file gives up.",
    "What cannot be stored comes back here, with the reason.",
];

/// Why a text comes back to the editor.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    /// What is wrong: `controlsessions.wicap.dev "night"`.
    pub what: String,
    /// Each mistake.
    pub why: Vec<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is invalid: {}", self.what, self.why.join("; "))
    }
}

/// What of an object is shown: all but the status, which operators cannot change.
pub(super) fn editable(live: &Value) -> Value {
    let mut object = live.clone();
    if let Value::Object(map) = &mut object {
        map.remove("status");
    }
    object
}

/// Objects as a text: one by itself, several as a list.
pub(super) fn text(objects: &[&Value], as_json: bool) -> Result<String, Error> {
    let list;
    let whole = match objects {
        [one] => *one,
        several => {
            let items: Vec<Value> = several.iter().map(|o| (*o).clone()).collect();
            list = print::list(items);
            &list
        }
    };
    let mut text = Vec::new();
    let write = if as_json { print::json::pretty } else { print::yaml::document };
    write(&mut text, whole)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A text under its comments: how to edit it, and why it comes back.
pub(super) fn with_comments(text: &str, reasons: &[Reason]) -> String {
    let mut lines: Vec<String> = HEAD.into_iter().chain([""]).map(str::to_owned).collect();
    for reason in reasons {
        lines.push(format!("{} was not valid:", reason.what));
        lines.extend(reason.why.iter().map(|why| format!("* {}", why.replace('\n', " "))));
        lines.push(String::new());
    }
    let comments: String =
        lines.iter().map(|line| format!("# {}", print::table::harmless(line)).trim_end().to_owned() + "\n").collect();
    comments + text
}

/// What stands under the comments at the top. Those further down are YAML's to leave out: in a text of several lines, a
/// line that begins with `#` is no comment.
pub(super) fn body(text: &str) -> &str {
    let mut rest = text;
    while rest.starts_with('#') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest
}

/// The objects in a text, or why there are none.
pub(super) fn read(body: &str) -> Result<Vec<Value>, String> {
    let documents = document::parse(body).map_err(|e| e.to_string())?;
    let mut objects = Vec::new();
    for document in documents {
        match document.get("items").and_then(Value::as_array) {
            Some(items) if document.get("kind").and_then(Value::as_str) == Some("List") => {
                objects.extend(items.iter().cloned());
            }
            _ => objects.push(document),
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_shown_comes_back_as_it_was() {
        let (a, b) = (json!({"kind": "A", "text": "# no comment\nx\n"}), json!({"kind": "B", "n": 1.5}));
        for as_json in [false, true] {
            for objects in [vec![&a], vec![&a, &b]] {
                let shown = text(&objects, as_json).unwrap();
                let why = vec!["two\nlines".to_owned(), "and \u{1b}[31m".to_owned()];
                let buffer = with_comments(&shown, &[Reason { what: "stacks \"x\"".to_owned(), why }]);
                assert!(
                    buffer.contains("\n#\n# stacks \"x\" was not valid:\n# * two lines\n# * and \\u{1b}[31m\n#\n"),
                    "{buffer}"
                );
                assert_eq!(body(&buffer), shown);
                let back = read(body(&buffer)).unwrap();
                assert_eq!(back.iter().collect::<Vec<_>>(), objects);
            }
        }
    }

    #[test]
    fn a_text_of_comments_is_empty_and_a_broken_one_has_a_place() {
        assert_eq!(body("# a\n#"), "");
        assert_eq!(body(""), "");
        assert!(read("a: [1").unwrap_err().starts_with("line 1"), "{:?}", read("a: [1"));
        assert_eq!(editable(&json!({"spec": 1, "status": 2})), json!({"spec": 1}));
    }
}
