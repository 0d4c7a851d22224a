//! CEL expressions about an answer: compiled when a resource is validated, evaluated at each attempt.
//!
//! The text comes from an operator and the body from a container, so that neither may cost much: an expression is at most
//! [`LENGTH_MOST`] bytes long, its loops (`all`, `exists`, `exists_one`) are not nested and look at the element alone, its patterns are
//! literal, and a body has at most [`VALUES_MOST`] values: the time is at most the one length times the other. Compiling and evaluating have a thread of their own each time, with a stack that is deep enough for
//! any expression of that length; a panic of the interpreter ends with that thread, as an error.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue};
use cel::{Context, Env, Program, Value as CelValue};
use serde_json::Value;

/// Longest expression, in bytes. What needs more is better said as several, whose failures then tell which one it was.
pub const LENGTH_MOST: usize = 512;

/// Most values of a body, inner ones counted. A loop over as many takes milliseconds.
pub const VALUES_MOST: usize = 2048;

/// Stack of an evaluation. 512 bytes make a tree of up to 256 levels, each some 60 KB of stack in a debug build; pages that are not
/// reached cost nothing.
const STACK: usize = 64 * 1024 * 1024;

/// What expressions of a kind may name, beside operators, literals and the variables of their own loops.
pub(in crate::api) struct Vocabulary {
    /// What they know.
    pub(in crate::api) variables: &'static [&'static str],
    /// The functions they may call, in the words for people.
    pub(in crate::api) functions: &'static [&'static str],
    /// Variables that are as large as an answer: a loop that looks at one for each element takes the square of the time.
    pub(in crate::api) large: &'static [&'static str],
}

/// What an expression about an answer may name; the functions are those of CEL's standard library.
const ANSWERS: Vocabulary = Vocabulary {
    variables: &["status", "headers", "body", "latency_ms"],
    functions: &["size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string", "bool", "dyn"],
    large: &["body", "headers"],
};

pub(in crate::api) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// An expression that was found fit.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<Program>,
    uses_body: bool,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.source)
    }
}

/// An answer, as an expression sees it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Headers by lower-case name.
    pub headers: &'a BTreeMap<String, String>,
    /// The body: what its JSON says, else its text as a string.
    pub body: &'a Value,
    /// From the dial to the last byte.
    pub latency: Duration,
}

impl Expression {
    /// Compiles an expression and holds it to the bounds.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "expected a CEL expression".
    pub fn compile(source: &str) -> Result<Self, String> {
        let program = compile(source, &ANSWERS)?;
        let uses_body = program.references().has_variable("body");
        Ok(Self { source: source.to_owned(), program: Arc::new(program), uses_body })
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the answer's body matters to it.
    #[must_use]
    pub fn uses_body(&self) -> bool {
        self.uses_body
    }

    /// Whether it is true of the answer.
    ///
    /// # Errors
    /// Why that cannot be said, such as a field that is not there. It may repeat values of the body.
    pub fn holds(&self, answer: &Answer<'_>) -> Result<bool, String> {
        let mut left = VALUES_MOST;
        let body = if self.uses_body { value(answer.body, &mut left)? } else { CelValue::Null };
        let headers: HashMap<String, String> =
            answer.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let latency = i64::try_from(answer.latency.as_millis()).unwrap_or(i64::MAX);
        contained(|| {
            let mut context = Context::with_env(Arc::clone(&ENV));
            context.add_variable_from_value("status", i64::from(answer.status));
            context.add_variable_from_value("latency_ms", latency);
            context.add_variable_from_value("headers", headers);
            context.add_variable_from_value("body", body);
            match self.program.execute(&context) {
                Ok(CelValue::Bool(holds)) => Ok(holds),
                Ok(other) => Err(format!("it gives {} and not a bool", other.type_of())),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// Compiles an expression and holds it to the bounds.
pub(in crate::api) fn compile(source: &str, known: &Vocabulary) -> Result<Program, String> {
    if source.trim().is_empty() || source.len() > LENGTH_MOST {
        return Err(format!("of 1 to {LENGTH_MOST} bytes"));
    }
    contained(|| {
        let parsed = parse(source)?;
        Walk { known, scope: Vec::new() }.through(&parsed.expression().expr, false)?;
        Ok(parsed)
    })
}

/// In the words of the first error, without its picture of the place.
fn parse(source: &str) -> Result<Program, String> {
    ENV.compile(source).map_err(|errors| {
        let first = errors.errors.first().map_or(String::new(), |e| e.msg.lines().next().unwrap_or_default().to_owned());
        format!("; {first}")
    })
}

/// Does it on a thread of its own, and waits: nothing else in a simulation happens meanwhile.
pub(in crate::api) fn contained<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("cel".to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| format!("no thread could be had for it: {e}"))?;
        thread.join().unwrap_or_else(|_| Err("the interpreter broke down on it".to_owned()))
    })
}

/// Refuses names that nothing has, and what could take long.
struct Walk<'a> {
    known: &'a Vocabulary,
    scope: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn through(&mut self, expr: &'a Expr, in_loop: bool) -> Result<(), String> {
        match expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if self.scope.contains(&name.as_str()) => Ok(()),
            // A loop that compares each element with all of them takes the square of the time.
            Expr::Ident(name) if in_loop && self.known.large.contains(&name.as_str()) => {
                Err(format!("whose loops look at the element alone, not at {name}"))
            }
            Expr::Ident(name) if self.known.variables.contains(&name.as_str()) => Ok(()),
            Expr::Ident(name) if self.known.variables.is_empty() => Err(format!("without variables; it knows no {name}")),
            Expr::Ident(name) => Err(format!("over {}; it knows no {name}", self.known.variables.join(", "))),
            Expr::Select(select) => self.through(&select.operand.expr, in_loop),
            Expr::List(list) => list.elements.iter().try_for_each(|e| self.through(&e.expr, in_loop)),
            Expr::Call(call) => {
                self.function(call)?;
                let target = call.target.iter().map(AsRef::as_ref);
                target.chain(&call.args).try_for_each(|e| self.through(&e.expr, in_loop))
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.through(&entry.key.expr, in_loop)?;
                    self.through(&entry.value.expr, in_loop)
                }
                EntryExpr::StructField(field) => self.through(&field.value.expr, in_loop),
            }),
            Expr::Struct(_) => Err("without messages".to_owned()),
            Expr::Comprehension(each) => {
                // all, exists and exists_one begin with a literal; map and filter with a list that they fill.
                if in_loop || !matches!(each.accu_init.expr, Expr::Literal(_)) {
                    return Err("whose loops are all, exists and exists_one, none inside another".to_owned());
                }
                self.through(&each.iter_range.expr, false)?;
                let names = [Some(&each.iter_var), each.iter_var2.as_ref(), Some(&each.accu_var)];
                let outer = self.scope.len();
                self.scope.extend(names.into_iter().flatten().map(String::as_str));
                for part in [&each.loop_cond, &each.loop_step, &each.result] {
                    self.through(&part.expr, true)?;
                }
                self.scope.truncate(outer);
                Ok(())
            }
        }
    }

    fn function(&self, call: &CallExpr) -> Result<(), String> {
        let name = call.func_name.as_str();
        let is_literal = matches!(call.args.last().map(|a| &a.expr), Some(Expr::Literal(LiteralValue::String(_))));
        if name == "matches" && !is_literal {
            return Err("whose patterns are literal".to_owned());
        }
        // Operators have names that no function can have.
        let is_operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if is_operator || self.known.functions.contains(&name) {
            Ok(())
        } else {
            Err(format!("over the functions {}; it knows no {name}", self.known.functions.join(", ")))
        }
    }
}

/// JSON as CEL has it: whole numbers are `int`, so that `body.n + 1` means what it says.
fn value(json: &Value, left: &mut usize) -> Result<CelValue, String> {
    *left = left.checked_sub(1).ok_or_else(|| format!("the body has over {VALUES_MOST} values"))?;
    Ok(match json {
        Value::Null => CelValue::Null,
        Value::Bool(b) => CelValue::Bool(*b),
        Value::String(s) => CelValue::String(Arc::new(s.clone())),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => CelValue::Int(i),
            (None, Some(u)) => CelValue::UInt(u),
            (None, None) => CelValue::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(list) => CelValue::List(Arc::new(list.iter().map(|v| value(v, left)).collect::<Result<Vec<_>, _>>()?)),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, v)| Ok((key.clone(), value(v, left)?)));
            entries.collect::<Result<HashMap<_, _>, String>>()?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(source: &str, body: &Value) -> Result<bool, String> {
        let headers = BTreeMap::from([("x-mode".to_owned(), "queue".to_owned())]);
        let latency = Duration::from_millis(40);
        Expression::compile(source)?.holds(&Answer { status: 200, headers: &headers, body, latency })
    }

    #[test]
    fn an_expression_is_true_or_false_or_cannot_be_said() {
        let body = json!({"eps": 0.25, "n": 3, "big": 18_446_744_073_709_551_615_u64, "name": "ui", "none": null, "up": true,
            "queues": [{"name": "a", "depth": 1}, {"name": "b", "depth": 7}]});
        for (source, expected) in [
            ("body.eps > 0.0 && headers['x-mode'] != 'file'", Ok(true)),
            ("body.n + 1 == 4 && body.n < 3.5", Ok(true)),
            ("body.big > 4u", Ok(true)),
            ("status == 200 && latency_ms < 100", Ok(true)),
            ("has(body.eps) && !has(body.gone)", Ok(true)),
            ("body.none == null && body.up", Ok(true)),
            ("body.queues.all(q, q.depth < 5)", Ok(false)),
            ("body.queues.exists(q, q.name == 'b' && q.depth == 7)", Ok(true)),
            ("body.queues.exists_one(q, q.depth > 5)", Ok(true)),
            ("size(body.queues) == 2 && body.queues[1].depth == 7", Ok(true)),
            ("body.name.matches('^u.$') && body.name.startsWith('u')", Ok(true)),
            ("body.name in ['ui', 'redis']", Ok(true)),
            ("double(body.n) / 2.0 > 1.4", Ok(true)),
            ("body.gone > 1", Err("No such key: gone")),
            ("body.queues[9].depth > 1", Err("Index out of bounds")),
            ("body.name", Err("it gives string and not a bool")),
            ("body.name > 1", Err("no matching overload")),
        ] {
            match (of(source, &body), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{source}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{source}: {found}"),
                (found, _) => panic!("{source}: {found:?}"),
            }
        }
        assert_eq!(of("body == 'plain'", &json!("plain")), Ok(true));
    }

    #[test]
    fn what_is_no_expression_or_could_cost_much_is_refused_with_the_reason() {
        for (source, why) in [
            ("", "of 1 to 512 bytes"),
            ("body.eps >", "Syntax error"),
            ("body.eps > 'a", "Syntax error"),
            ("eps > 1", "it knows no eps"),
            ("exec(body)", "it knows no exec"),
            ("body.exec()", "it knows no exec"),
            ("body.all(x, y > 1)", "it knows no y"),
            ("x > 1 || body.all(x, x > 1)", "it knows no x"),
            ("body.map(x, x).size() > 1", "loops are all, exists"),
            ("body.filter(x, x > 1).size() > 1", "loops are all, exists"),
            ("body.all(x, x.all(y, y == x))", "none inside another"),
            ("body.all(x, x in body)", "the element alone, not at body"),
            ("[1].exists(x, headers == headers)", "the element alone, not at headers"),
            ("body.a.matches(body.b)", "patterns are literal"),
            ("matches(body.a, body.b)", "patterns are literal"),
            (&"1+".repeat(300), "of 1 to 512 bytes"),
        ] {
            let found = Expression::compile(source).unwrap_err();
            assert!(found.contains(why), "{source}: {found}");
        }
    }

    #[test]
    fn the_deepest_expressions_have_room_enough_on_the_stack() {
        let nested = |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
        for source in [
            ["1"; 256].join("+"),
            ["1"; 256].join("<"),
            nested("(", ")", 255),
            nested("[", "]", 255),
            nested("{1:", "}", 127),
            nested("size(", ")", 85),
            format!("body{}", ".a".repeat(250)),
            format!("body{}", "[0]".repeat(169)),
            "!".repeat(500) + "true",
        ] {
            assert!(source.len() <= LENGTH_MOST, "{} bytes", source.len());
            // Whatever they say: that they come back is what is shown.
            let _ = of(&source, &json!({}));
        }
    }

    #[test]
    fn a_body_of_many_values_is_not_looked_into_by_an_expression_and_the_dearest_one_ends_soon() {
        let list = |n: usize| json!({ "l": vec![0; n] });
        assert!(of("size(body.l) > 0", &list(VALUES_MOST - 1)).unwrap_err().contains("over 2048 values"));
        assert_eq!(of("status == 200", &list(VALUES_MOST)), Ok(true), "it does not look");
        let begun = std::time::Instant::now();
        let dear = format!("body.l.all(x,{})", ["x==x&&status==200"; 25].join("&&"));
        assert_eq!(of(&dear, &list(VALUES_MOST - 2)), Ok(true));
        let took = begun.elapsed();
        println!("the dearest expression took {took:?}");
        // 0.1 s where nothing is optimised. The square of the values would be minutes.
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}
