//! Text to steps. Errors are in kubectl's words.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Number, Value};

use super::compare::Operator;
use super::step::Step;

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// What stands outside braces.
    Text(Value),
    /// What stands inside a pair of braces.
    Action(Vec<Step>),
}

/// What ends a field or a word.
const TERMINATORS: [char; 12] = [' ', '\t', '\r', '\n', '.', ',', '[', ']', '$', '@', '{', '}'];

/// Reads a whole template.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            pieces.push(Piece::Text(Value::from(&rest[..open])));
        }
        let mut scanner = Scanner { rest: &rest[open + 1..] };
        pieces.push(Piece::Action(scanner.action()?));
        rest = scanner.rest;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(Value::from(rest)));
    }
    Ok(pieces)
}

/// Reads what could stand inside one pair of braces.
pub(super) fn steps(text: &str) -> Result<Vec<Step>, String> {
    let closed = format!("{text}}}");
    let mut scanner = Scanner { rest: &closed };
    let steps = scanner.action()?;
    if scanner.rest.is_empty() { Ok(steps) } else { Err("a '}' stands where none belongs".to_owned()) }
}

struct Scanner<'t> {
    /// What is still to be read.
    rest: &'t str,
}

impl Scanner<'_> {
    /// Reads up to and with the brace that closes the action.
    fn action(&mut self) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            if self.eat("}") {
                return Ok(steps);
            }
            if self.eat("[?(") {
                steps.push(self.filter()?);
                continue;
            }
            if self.eat("..") {
                if steps.last() == Some(&Step::Recursive) {
                    return Err("invalid multiple recursive descent".to_owned());
                }
                steps.push(Step::Recursive);
                if self.rest.starts_with(is_alphanumeric) {
                    steps.push(self.field());
                }
                continue;
            }
            let Some(next) = self.rest.chars().next().filter(|c| !matches!(c, '\r' | '\n')) else {
                return Err("unclosed action".to_owned());
            };
            match next {
                // The current object, which is where a path begins anyway.
                ' ' | '@' | '$' => self.skip(1),
                '[' => {
                    self.skip(1);
                    steps.push(self.brackets()?);
                }
                '"' | '\'' => steps.push(Step::Text(Value::from(self.quoted(next)?))),
                '.' => {
                    self.skip(1);
                    steps.push(self.field());
                }
                '+' | '-' => steps.push(self.number()?),
                c if c.is_numeric() => steps.push(self.number()?),
                c if is_alphanumeric(c) => steps.push(match self.word().as_str() {
                    "true" => Step::Literal(Value::Bool(true)),
                    "false" => Step::Literal(Value::Bool(false)),
                    word => Step::Word(word.to_owned()),
                }),
                c => {
                    let code = u32::from(c);
                    let shown = if c.is_control() { String::new() } else { format!(" '{c}'") };
                    return Err(format!("unrecognized character in action: U+{code:04X}{shown}"));
                }
            }
        }
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// Takes `bytes` bytes away and returns them.
    fn take(&mut self, bytes: usize) -> &str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn word(&mut self) -> String {
        let end = self.rest.find(TERMINATORS).unwrap_or(self.rest.len());
        self.take(end).to_owned()
    }

    /// A field name; `\` takes the next character as it is.
    fn field(&mut self) -> Step {
        let mut escaped = false;
        let end = self.rest.find(|c| {
            let ends = !escaped && TERMINATORS.contains(&c);
            escaped = !escaped && c == '\\';
            ends
        });
        match self.take(end.unwrap_or(self.rest.len())) {
            "*" => Step::Wildcard,
            name => Step::Field(unescaped(name)),
        }
    }

    fn number(&mut self) -> Result<Step, String> {
        let signed = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[signed..].find(|c: char| c != '.' && !c.is_numeric());
        let text = self.take(digits.map_or(self.rest.len(), |end| end + signed));
        let integer = text.parse::<i64>().map(Number::from).ok();
        let number = integer.or_else(|| text.parse().ok().and_then(Number::from_f64));
        number.map(|n| Step::Literal(Value::Number(n))).ok_or_else(|| format!("cannot parse number {text}"))
    }

    /// A text in quotes, its escapes resolved.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let unterminated = "unterminated quoted string";
        let end = closing(&self.rest[1..], quote).ok_or(unterminated)? + 1;
        let text = self.take(end + 1);
        unquoted(&text[1..end]).ok_or_else(|| format!("unquote string {text} error invalid syntax"))
    }

    /// What stands before the next `close` of this line that is not inside quotes. Both are taken.
    fn until(&mut self, close: char) -> Option<String> {
        let mut quote = None;
        let end = self.rest.find(|c| {
            match quote {
                Some(open) if c == open => quote = None,
                None if matches!(c, '"' | '\'') => quote = Some(c),
                _ => {}
            }
            (c == close && quote.is_none()) || c == '\n'
        });
        let end = end.filter(|end| self.rest[*end..].starts_with(close))?;
        let text = self.take(end).to_owned();
        self.skip(1);
        Some(text)
    }

    /// The inside of brackets, up to and with the one that closes them. One inside quotes does not close.
    fn brackets(&mut self) -> Result<Step, String> {
        let inside = self.until(']').ok_or("unterminated array")?;
        match split_outside_quotes(&inside).as_slice() {
            [_] => bracket(&inside),
            several => {
                let each = several.iter().map(|part| bracket(part.trim_matches(' ')));
                Ok(Step::Union(each.collect::<Result<_, _>>()?))
            }
        }
    }

    /// A filter, after its `[?(`.
    fn filter(&mut self) -> Result<Step, String> {
        let text = self.until(')').ok_or("unterminated filter")?;
        if !self.eat("]") {
            return Err("unclosed array expect ]".to_owned());
        }
        let is_operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let compared = text.find(is_operator).filter(|at| *at > 0).and_then(|at| {
            let (left, rest) = text.split_at(at);
            let end = match rest.find(|c| !is_operator(c)) {
                Some(end) => end,
                // Nothing but an operator: its last character is taken for what it compares with, which then is none.
                None if rest.len() > 1 => rest.len() - 1,
                None => return None,
            };
            Some((left, &rest[..end], &rest[end..]))
        });
        match compared {
            None => Ok(Step::Exists(steps(&text)?)),
            Some((left, operator, right)) => {
                Ok(Step::Compares { left: steps(left)?, operator: Operator::parse(operator), right: steps(right)? })
            }
        }
    }
}

/// What is inside brackets, without commas.
fn bracket(text: &str) -> Result<Step, String> {
    if text == "*" {
        return Ok(Step::Slice { from: None, to: None, step: None });
    }
    for quote in ['\'', '"'] {
        if let Some(name) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return Ok(Step::Field(unescaped(name)));
        }
    }
    let parts: Vec<&str> = text.split(':').collect();
    let looks_like_a_number = |part: &&str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        digits.bytes().all(|b| b.is_ascii_digit())
    };
    if parts.len() > 3 || !parts.iter().all(looks_like_a_number) {
        return Err(format!("invalid array index {text}"));
    }
    let number = |part: &str| match part {
        "" => Ok(None),
        part => part.parse::<i64>().map(Some).map_err(|_| format!("array index {part} is not a number")),
    };
    let at = |i: usize| parts.get(i).map_or(Ok(None), |part| number(part));
    match parts.len() {
        1 => Ok(Step::Index(at(0)?.unwrap_or(0))),
        _ => Ok(Step::Slice { from: at(0)?, to: at(1)?, step: at(2)? }),
    }
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut quote = None;
    text.split(|c| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        c == ',' && quote.is_none()
    })
    .collect()
}

/// Where the quote that was opened before `text` is closed, on its line.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = (c == quote && !escaped) || c == '\n';
        escaped = !escaped && c == '\\';
        ends
    })?;
    text[end..].starts_with(quote).then_some(end)
}

/// `text` with each `\` taken away and what follows it as it is.
fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let mut out = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// The inside of quotes with the escapes of Go's string literals resolved; nothing for one that is none.
fn unquoted(text: &str) -> Option<String> {
    let mut chars = text.chars().peekable();
    let mut out = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            c @ ('\\' | '\'' | '"') => c,
            'x' => code_point(&mut chars, 2)?,
            'u' => code_point(&mut chars, 4)?,
            'U' => code_point(&mut chars, 8)?,
            _ => return None,
        });
    }
    Some(out)
}

fn code_point(chars: &mut Peekable<Chars<'_>>, digits: usize) -> Option<char> {
    let text: String = chars.by_ref().take(digits).collect();
    if text.chars().count() < digits {
        return None;
    }
    char::from_u32(u32::from_str_radix(&text, 16).ok()?)
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}
