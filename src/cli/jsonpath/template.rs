//! What `-o jsonpath=…` takes: text, expressions in braces, and `range` … `end`.

use std::io::Write;

use serde_json::Value;

use super::parse::{self, Piece};
use super::reach::Reach;
use super::spelling;
use super::step::{self, Missing, Step};
use crate::cli::Error;
use crate::cli::print::json;

/// The most bytes of an object that an error shows, so that a long list does not bury what it is about.
const SHOWN: usize = 2000;

/// A template that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(Value),
    Expression(Vec<Step>),
    /// The body once for each value.
    Range {
        over: Vec<Step>,
        body: Vec<Node>,
    },
}

/// How the results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// As text, blanks between the values of one expression and nothing anywhere else.
    Text,
    /// As one JSON list an expression.
    Lists,
}

/// A template that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing jsonpath {text}, {reason}")]
pub struct BadTemplate {
    text: String,
    reason: String,
}

impl Template {
    /// Reads a template. What is outside braces is text.
    ///
    /// # Errors
    /// [`BadTemplate`] in kubectl's words.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let pieces = parse::pieces(text).map_err(|reason| BadTemplate { text: text.to_owned(), reason })?;
        Ok(Self { text: text.to_owned(), nodes: nested(pieces) })
    }

    /// What of a value it can reach. What it makes of the value is the same without the rest; only what is said of a template that
    /// does not fit shows less.
    pub(crate) fn reach(&self) -> Reach {
        reach(&self.nodes)
    }

    /// Writes what it makes of a value; nothing when it does not fit. `allow_missing` makes a field that is not there an
    /// empty result.
    ///
    /// # Errors
    /// [`Error::No`] when the template does not fit the value; what the output says.
    pub fn write(&self, out: &mut dyn Write, root: &Value, results: Results, allow_missing: bool) -> Result<(), Error> {
        let missing = if allow_missing { Missing::Allowed } else { Missing::Refused };
        let mut groups = Vec::new();
        evaluate(&self.nodes, root, missing, &mut groups).map_err(|reason| self.does_not_fit(&reason, root))?;
        for group in groups {
            match results {
                Results::Lists => json::pretty(out, &Value::Array(group.into_iter().cloned().collect()))?,
                Results::Text => {
                    let texts: Vec<_> = group.into_iter().map(spelling::text).collect();
                    out.write_all(texts.join(" ").as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn does_not_fit(&self, reason: &str, root: &Value) -> Error {
        let mut object = json::line(root);
        if object.len() > SHOWN {
            let end = (0..=SHOWN).rev().find(|end| object.is_char_boundary(*end)).unwrap_or(0);
            object.truncate(end);
            object.push('…');
        }
        let text = &self.text;
        Error::No(format!(
            "error executing jsonpath {text:?}: Error executing template: {reason}. Printing more information for \
             debugging the template:\n\ttemplate was:\n\t\t{text}\n\tobject given to jsonpath engine was:\n\t\t{object}"
        ))
    }
}

/// Puts what is between a `range` and its `end` into it. A `range` that is not ended goes on to the end of the template.
fn nested(pieces: Vec<Piece>) -> Vec<Node> {
    let mut open: Vec<(Vec<Step>, Vec<Node>)> = Vec::new();
    let mut nodes = Vec::new();
    let close = |nodes: &mut Vec<Node>, (over, outer): (Vec<Step>, Vec<Node>)| {
        let body = std::mem::replace(nodes, outer);
        nodes.push(Node::Range { over, body });
    };
    for piece in pieces {
        match piece {
            Piece::Text(text) => nodes.push(Node::Text(text)),
            Piece::Action(mut steps) => match steps.first() {
                Some(Step::Word(word)) if word == "range" => {
                    steps.remove(0);
                    open.push((steps, std::mem::take(&mut nodes)));
                }
                Some(Step::Word(word)) if word == "end" && !open.is_empty() => {
                    if let Some(range) = open.pop() {
                        close(&mut nodes, range);
                    }
                }
                _ => nodes.push(Node::Expression(steps)),
            },
        }
    }
    while let Some(range) = open.pop() {
        close(&mut nodes, range);
    }
    nodes
}

fn reach(nodes: &[Node]) -> Reach {
    nodes.iter().fold(Reach::nothing(), |known, node| match node {
        Node::Text(_) => known,
        Node::Expression(steps) => known.and(Reach::through(steps, Reach::Whole)),
        Node::Range { over, body } => known.and(Reach::through(over, reach(body))),
    })
}

/// The values of each expression, in the order in which they are written.
fn evaluate<'a>(
    nodes: &'a [Node],
    root: &'a Value,
    missing: Missing,
    groups: &mut Vec<Vec<&'a Value>>,
) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(text) => groups.push(vec![text]),
            Node::Expression(steps) => groups.push(step::walk(steps, vec![root], missing)?),
            Node::Range { over, body } => {
                for value in step::walk(over, vec![root], missing)? {
                    evaluate(body, value, missing, groups)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::print::any::any_value;
    use proptest::prelude::*;
    use serde_json::json;

    fn object() -> Value {
        json!({
            "metadata": {"name": "a", "labels": {"app.io/name": "w", "x": "<&>"}},
            "spec": {
                "n": 1, "f": 1.5, "b": true, "nul": null, "m": {"k": "v"}, "empty": [], "s": "abc",
                "list": [
                    {"a": 1, "name": "x", "l": [1]}, {"a": 2, "name": "y", "ok": true, "l": []},
                    {"b": 3, "name": "z é", "l": [2]},
                ],
            },
        })
    }

    /// What a template makes of the object, or the error that kubectl would begin with the same words.
    fn made(text: &str) -> Result<String, String> {
        let template = Template::parse(text).map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        let written = template.write(&mut out, &object(), Results::Text, true);
        let reason = |e: Error| {
            let text = e.to_string();
            let (_, rest) = text.split_once("Error executing template: ").unwrap();
            rest.split_once(". Printing more").unwrap().0.to_owned()
        };
        written.map(|()| String::from_utf8(out).unwrap()).map_err(reason)
    }

    /// Taken from kubectl 1.32 (`kubectl patch --local -o jsonpath=…`).
    #[test]
    fn templates_make_what_kubectl_makes_of_them() {
        for (template, expected) in [
            ("{.metadata.name}", "a"),
            ("a{.spec.n}b", "a1b"),
            ("plain", "plain"),
            ("{.metadata.name}}", "a}"),
            ("{.spec.list[*].a}", "1 2"),
            ("{.spec.list[0:2].name}", "x y"),
            ("{.spec.list[::2].name}", "x z é"),
            ("{.spec.list[:-1].name}", "x y"),
            ("{.spec.list[-2:].name}", "y z é"),
            ("{.spec.list[-1].name}", "z é"),
            ("{.spec.list[0,2].name}", "x z é"),
            ("{.spec.list[0 , 1].name}", "x y"),
            ("{.spec.list[].name}", "x"),
            ("{.spec.list[1:1]}", ""),
            ("{.spec['n','f']}", "1 1.5"),
            ("{['spec']['n']}", "1"),
            ("{..name}", "a x y z é"),
            ("{.spec..name}", "x y z é"),
            ("{.spec.list[?(@.a==1)].name}", "x"),
            ("{.spec.list[?(@.a>1)].name}", "y"),
            (r#"{.spec.list[?(@.name!="x")].name}"#, "y z é"),
            (r#"{.spec.list[?(@.name<"y")].name}"#, "x"),
            (r#"{.spec.list[?(@.name == "z é")].b}"#, "3"),
            (r#"{.spec.list[?(@.name==")")].name}"#, ""),
            (r#"{.spec.list[?("x"==@.name)].name}"#, "x"),
            ("{.spec.list[?(@.ok)].name}", "y"),
            ("{.spec.list[?(@.ok==true)].name}", "y"),
            ("{.spec.list[?(@.zz==1)].name}", ""),
            ("{range .spec.list[*]}{.name}={.a}{\"\\n\"}{end}", "x=1\ny=2\nz é=\n"),
            ("{range .spec.list[*]}{range .l[*]}[{@}]{end}{.name}{end}!", "[1]xy[2]z é!"),
            ("{range .spec.none[*]}x{end}y", "y"),
            ("{range .spec.list[*]}{.name}", "xyz é"),
            ("{.spec.nul}", "null"),
            ("{.spec.nul[0]}", ""),
            ("{.spec.none.at.all}", ""),
            ("{.spec.m}{.spec.empty}", r#"{"k":"v"}[]"#),
            (r"{.metadata.labels.app\.io/name}", "w"),
            ("{.metadata.labels}", r#"{"app.io/name":"w","x":"\u003c\u0026\u003e"}"#),
            (r"{'\n\t\x41\u00e9'}", "\n\tAé"),
            ("{1}{-2}{1.50}{true}", "1-21.5true"),
            (r#"{"a" .metadata.name}"#, ""),
            ("{@.metadata.name}{$.metadata.name}{ .metadata.name }", "aaa"),
        ] {
            assert_eq!(made(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn mistakes_are_told_in_kubectls_words() {
        for (template, expected) in [
            ("{.a", "error parsing jsonpath {.a, unclosed action"),
            ("{.a[", "error parsing jsonpath {.a[, unterminated array"),
            ("{.a[x]}", "error parsing jsonpath {.a[x]}, invalid array index x"),
            ("{.a[+1]}", "error parsing jsonpath {.a[+1]}, invalid array index +1"),
            (
                "{.a[99999999999999999999]}",
                "error parsing jsonpath {.a[99999999999999999999]}, array index 99999999999999999999 is not a number",
            ),
            ("{....b}", "error parsing jsonpath {....b}, invalid multiple recursive descent"),
            ("{.a[?(@.b==1}", "error parsing jsonpath {.a[?(@.b==1}, unterminated filter"),
            ("{.a[?(@.b==1)}", "error parsing jsonpath {.a[?(@.b==1)}, unclosed array expect ]"),
            ("{\"a}", "error parsing jsonpath {\"a}, unterminated quoted string"),
            (r#"{"\q"}"#, r#"error parsing jsonpath {"\q"}, unquote string "\q" error invalid syntax"#),
            ("{!}", "error parsing jsonpath {!}, unrecognized character in action: U+0021 '!'"),
            ("{.a,.b}", "error parsing jsonpath {.a,.b}, unrecognized character in action: U+002C ','"),
            ("{1.2.3}", "error parsing jsonpath {1.2.3}, cannot parse number 1.2.3"),
            ("{end}", "not in range, nothing to end"),
            ("{foo}", "unrecognized identifier foo"),
            ("{.spec.list[7]}", "array index out of bounds: index 7, length 3"),
            ("{.spec.list[-7]}", "array index out of bounds: index -4, length 3"),
            ("{.spec.list[0:7]}", "array index out of bounds: index 6, length 3"),
            ("{.spec.list[2:1]}", "starting index 2 is greater than ending index 1"),
            ("{.spec.list[0:3:0]}", "step must be > 0"),
            ("{.spec.m[0]}", "map[string]interface {} is not array or slice"),
            ("{.spec.n[0]}", "int64 is not array or slice"),
            ("{.spec.m[?(@.x)]}", "map[k:v] is not array or slice and cannot be filtered"),
            ("{.spec.list[?(@.name==1)].name}", "incompatible types for comparison"),
            ("{.spec.list[?(@.ok<true)].name}", "invalid type for comparison"),
            ("{.spec.list[?(@.a===1)].a}", "unrecognized filter operator ==="),
        ] {
            assert_eq!(made(template), Err(expected.to_owned()), "{template}");
        }
    }

    #[test]
    fn what_kubectl_gets_wrong_is_right_here() {
        for (template, expected, _kubectl) in [
            ("{.metadata.labels['app.io/name']}", "w", "nothing: a dot in quotes divides fields"),
            (r#"{.metadata["name"]}"#, "a", "an error: only single quotes name fields"),
            ("{.spec.list[?(@.a>=1.0)].name}", "x y", "an error: no integer compares with a fraction"),
            ("{.spec.list[*].l[*]}", "1 2", "1: an empty list ends the whole expression"),
            ("{.spec.s.*}", "", "the bytes of the text, as numbers"),
        ] {
            assert_eq!(made(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn results_can_be_lists_and_a_missing_field_an_error() {
        let written = |text: &str, results, allow_missing| {
            let mut out = Vec::new();
            let written = Template::parse(text).unwrap().write(&mut out, &object(), results, allow_missing);
            written.map(|()| String::from_utf8(out).unwrap()).map_err(|e| e.to_string())
        };
        assert_eq!(written("{.spec.list[*].a}{.none}", Results::Lists, true).as_deref(), Ok("[\n    1,\n    2\n]\n[]\n"));
        let error = written("{.metadata.name}{.none}", Results::Text, false).unwrap_err();
        assert!(
            error.starts_with(
                "error: error executing jsonpath \"{.metadata.name}{.none}\": Error executing template: none is"
            )
        );
    }

    /// A value with few names, so that templates find something.
    fn small() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<i8>().prop_map(Value::from), "[abc]".prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn a_template_needs_of_each_object_what_it_names() {
        let object = json!({"kind": "K", "metadata": {"name": "a", "uid": "u"}, "spec": {"l": [{"n": 1, "m": 2}], "x": 1}});
        for (template, kept) in [
            ("{.items[*].metadata.name}", json!({"metadata": {"name": "a"}})),
            (
                "{range .items[*]}{.metadata.name}{.spec.l[*].n}{end}",
                json!({"metadata": {"name": "a"}, "spec": {"l": [{"n": 1}]}}),
            ),
            ("{.items[*].metadata.name}{.items[0].metadata.uid}", json!({"metadata": {"name": "a", "uid": "u"}})),
            ("{.items[*].spec.l[*].n}{.items[*].spec.l[0].m}", json!({"spec": {"l": [{"n": 1, "m": 2}]}})),
            ("{range .items[*]}x{end}{.kind}", json!({})),
            ("{range .items[*]}{.metadata.name}{\"\\n\"}{1}{end}", json!({"metadata": {"name": "a"}})),
            ("{.kind}", json!({})),
            ("{.items[*].spec}{.items[0].spec.x}", json!({"spec": object["spec"]})),
            ("{.items[?(@.kind==\"K\")].metadata.name}", object.clone()),
            ("{..name}", object.clone()),
            ("{.items}", object.clone()),
            ("{range .items[*]}{@}{end}", object.clone()),
        ] {
            let reach = Template::parse(template).unwrap().reach().of_each("items");
            assert_eq!(reach.keep(object.clone()), kept, "{template}");
        }
    }

    proptest! {
        #[test]
        fn what_it_cannot_reach_makes_no_difference(
            text in "(\\{range (\\.[abc]|\\[\\*\\]){0,3}\\})?(\\{(\\.[abc]|\\[(\\*|0|-1|0:2|'a')\\]|\\.\\.a|\\[\\?\\(@\\.a==1\\)\\]){0,4}\\};){1,3}",
            value in small(),
        ) {
            let Ok(template) = Template::parse(&text) else { return Ok(()) };
            let made = |value: &Value| {
                let mut out = Vec::new();
                template.write(&mut out, value, Results::Text, true).map(|()| out).map_err(|_| ())
            };
            prop_assert_eq!(made(&value), made(&template.reach().keep(value.clone())), "{}", text);
        }

        #[test]
        fn no_template_and_no_value_makes_it_panic(
            text in prop_oneof![
                "[{}.\\[\\]?()@$'\"*:,\\\\!<>=a0-9 \n-]{0,24}",
                "\\{(range |\\.\\.|\\.a|\\[[0-9:,*-]{0,5}\\]){1,5}\\}(\\{end\\})?",
                any::<String>(),
            ],
            value in any_value(),
        ) {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.write(&mut std::io::sink(), &value, Results::Text, true);
                let _ = template.write(&mut std::io::sink(), &value, Results::Lists, false);
            }
            if let Ok(path) = crate::cli::jsonpath::Path::parse(&text) {
                let _ = path.find(&value);
            }
        }
    }
}
