//! Label and field selectors, as the API server understands them.

use serde_json::Value;

use super::refusal::Refusal;
use super::resource::Resource;

/// Both selectors of a request.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<(String, Wanted)>,
    fields: Vec<(String, bool, String)>,
}

/// What is wanted of a label.
#[derive(Clone, Debug)]
enum Wanted {
    Present,
    Absent,
    Among(Vec<String>),
    /// Not among them, or not there.
    Outside(Vec<String>),
}

impl Selector {
    pub fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Refusal> {
        let labels = requirements(labels).map_err(Refusal::bad_request)?;
        let mut wanted = Vec::new();
        for text in fields.split(',').filter(|text| !text.is_empty()) {
            let (field, equal, value) = match text.split_once("!=") {
                Some((field, value)) => (field, false, value),
                None => {
                    let split = text.split_once("==").or_else(|| text.split_once('='));
                    let (field, value) = split.ok_or_else(|| Refusal::bad_request(format!("invalid selector: '{text}'")))?;
                    (field, true, value)
                }
            };
            // Of custom resources only these two; of Events what they are about.
            let known = ["metadata.name", "metadata.namespace"].contains(&field) || resource.kind == "Event";
            if !known {
                return Err(Refusal::bad_request(format!("field label not supported: {field}")));
            }
            wanted.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(Self { labels, fields: wanted })
    }

    pub fn selects(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        self.labels.iter().all(|(key, wanted)| match wanted {
            Wanted::Present => label(key).is_some(),
            Wanted::Absent => label(key).is_none(),
            Wanted::Among(values) => label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Wanted::Outside(values) => label(key).is_none_or(|value| values.iter().all(|v| v != value)),
        }) && self.fields.iter().all(|(field, equal, value)| {
            let pointer = format!("/{}", field.replace('.', "/"));
            (object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default() == value) == *equal
        })
    }
}

/// A selector's words: brackets, commas, operators, and what stands between them.
fn tokens(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("==") || rest.starts_with("!=") => 2,
            '(' | ')' | ',' | '<' | '>' | '=' | '!' => 1,
            c if c.is_whitespace() => c.len_utf8(),
            _ => rest.find(|c: char| c.is_whitespace() || "(),<>=!".contains(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        if !first.is_whitespace() {
            all.push(token.to_owned());
        }
        rest = after;
    }
    all
}

/// The requirements on labels, or what the API server says is wrong with them.
fn requirements(text: &str) -> Result<Vec<(String, Wanted)>, String> {
    let tokens = tokens(text);
    let (mut at, mut all) = (0, Vec::new());
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let is_word = |text: &str| text.chars().next().is_some_and(|c| !"(),<>=!".contains(c));
    while at < tokens.len() {
        let found = |at: usize, expected: &str| format!("found '{}', expected: {expected}", token(at));
        let in_requirement = |said: String| format!("unable to parse requirement: {said}");
        let absent = token(at) == "!";
        at += usize::from(absent);
        if !is_word(token(at)) {
            return Err(in_requirement(found(at, "identifier")));
        }
        let key = token(at).to_owned();
        at += 1;
        let wanted = match token(at) {
            _ if absent => Wanted::Absent,
            "" | "," => Wanted::Present,
            "=" | "==" | "!=" => {
                let equal = token(at) != "!=";
                at += 1;
                let value = if is_word(token(at)) { token(at).to_owned() } else { String::new() };
                at += usize::from(!value.is_empty());
                if equal { Wanted::Among(vec![value]) } else { Wanted::Outside(vec![value]) }
            }
            "in" | "notin" => {
                let among = token(at) == "in";
                at += 1;
                if token(at) != "(" {
                    return Err(in_requirement(found(at, "'('")));
                }
                at += 1;
                let mut values = Vec::new();
                while token(at) != ")" {
                    match token(at) {
                        "," => {}
                        word if is_word(word) => values.push(word.to_owned()),
                        _ => return Err(in_requirement(found(at, "',', ')' or identifier"))),
                    }
                    at += 1;
                }
                at += 1;
                if among { Wanted::Among(values) } else { Wanted::Outside(values) }
            }
            _ => return Err(in_requirement(found(at, "in, notin, =, ==, !=, gt, lt"))),
        };
        all.push((key, wanted));
        match token(at) {
            "" => {}
            "," if at + 1 < tokens.len() => at += 1,
            "," => return Err(found(at + 1, "identifier after ','")),
            _ => return Err(found(at, "',' or 'end of string'")),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_selected_by_every_kind_of_requirement() {
        let object = json!({"metadata": {"labels": {"app": "lab", "tier": "edge"}}});
        for (text, expected) in [
            ("", true),
            ("app=lab", true),
            ("app==lab,tier!=core", true),
            ("app in (lab, shop),tier", true),
            ("app notin (lab)", false),
            ("none notin (lab)", true),
            ("!app", false),
            ("!none", true),
            ("app=", false),
        ] {
            let selector = Selector::parse(&Resource::events(), text, "").unwrap();
            assert_eq!(selector.selects(&object), expected, "{text}");
        }
    }

    #[test]
    fn a_selector_that_makes_no_sense_is_refused_in_the_words_of_the_api_server() {
        for (text, said) in [
            ("a in", "unable to parse requirement: found '', expected: '('"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("=b", "unable to parse requirement: found '=', expected: identifier"),
            ("a,", "found '', expected: identifier after ','"),
        ] {
            assert_eq!(Selector::parse(&Resource::events(), text, "").unwrap_err().message, said, "{text}");
        }
    }
}
