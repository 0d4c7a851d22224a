//! Formulas: CEL expressions that make a number from what a run has recorded.
//!
//! A formula names series by literal texts, so that what it needs is known before anything is recorded. Its bounds are those of every
//! expression ([`crate::api::stack::expression`]); what a function costs is bounded by the series, which are thinned out.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue};
use cel::{Context, ExecutionError, Program, Value};

use super::criteria::is_series;
use crate::api::stack::expression::{ENV, Vocabulary, compile, contained};

/// The functions of a series, whose only argument is its name.
const OF_SERIES: [&str; 11] =
    ["min", "max", "mean", "slopePerHour", "growth", "leak", "ratioToStart", "ratioToBaseline", "first", "last", "count"];

/// The functions of a name: a check's pass rate, a service's restarts, and how many lines a rule or a signature's id stands for.
const OF_NAME: [&str; 3] = ["passRate", "restarts", "signature"];

/// What a formula may name.
const FORMULAS: Vocabulary = Vocabulary {
    variables: &[],
    functions: &[
        "min",
        "max",
        "mean",
        "percentile",
        "slopePerHour",
        "growth",
        "leak",
        "ratioToStart",
        "ratioToBaseline",
        "first",
        "last",
        "count",
        "passRate",
        "restarts",
        "signature",
        "double",
    ],
    large: &[],
};

/// A formula that was found fit.
#[derive(Clone)]
pub struct Formula {
    source: String,
    program: Arc<Program>,
    questions: BTreeSet<(String, String)>,
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Formula({:?})", self.source)
    }
}

/// One thing that a formula asks of what was recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question<'a> {
    /// The function.
    pub function: &'a str,
    /// Of which series, check or service.
    pub of: &'a str,
    /// The percentile that is asked for, 0 to 100; 0 for every other function.
    pub percent: f64,
}

/// Who answers questions.
pub type Answers = dyn Fn(Question<'_>) -> Result<f64, String> + Send + Sync;

impl Formula {
    /// Compiles a formula and holds it to the bounds.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "expected a CEL expression".
    pub fn compile(source: &str) -> Result<Self, String> {
        let program = compile(source, &FORMULAS)?;
        let mut questions = BTreeSet::new();
        contained(|| ask(&program.expression().expr, &mut questions))?;
        if questions.is_empty() {
            return Err("that asks something of what was recorded".to_owned());
        }
        Ok(Self { source: source.to_owned(), program: Arc::new(program), questions })
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Which functions it asks of what.
    pub fn questions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.questions.iter().map(|(function, of)| (function.as_str(), of.as_str()))
    }

    /// Whether it compares with a baseline.
    #[must_use]
    pub fn needs_baseline(&self) -> bool {
        self.questions().any(|(function, _)| function == "ratioToBaseline")
    }

    /// The number.
    ///
    /// # Errors
    /// Why there is none, such as a series without values.
    pub fn value(&self, answers: &Arc<Answers>) -> Result<f64, String> {
        contained(|| {
            let mut context = Context::with_env(Arc::clone(&ENV));
            let refused = |e: cel::DeclarationError| format!("the interpreter refuses a function: {e:?}");
            for name in OF_SERIES.into_iter().chain(OF_NAME) {
                let answers = Arc::clone(answers);
                let function = move |of: Arc<String>| answer(&answers, Question { function: name, of: &of, percent: 0.0 });
                context.add_function(name, function).map_err(refused)?;
            }
            let answers = Arc::clone(answers);
            let percentile = move |of: Arc<String>, percent: Value| {
                answer(&answers, Question { function: "percentile", of: &of, percent: number(&percent).unwrap_or(f64::NAN) })
            };
            context.add_function("percentile", percentile).map_err(refused)?;
            match self.program.execute(&context) {
                Ok(value) => match number(&value) {
                    Some(number) if number.is_finite() => Ok(number),
                    Some(_) => Err("it gives no finite number".to_owned()),
                    None => Err(format!("it gives {} and not a number", value.type_of())),
                },
                Err(ExecutionError::FunctionError { message, .. }) => Err(message),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

fn answer(answers: &Arc<Answers>, question: Question<'_>) -> Result<f64, ExecutionError> {
    answers(question).map_err(|why| ExecutionError::function_error(question.function, why))
}

fn number(value: &Value) -> Option<f64> {
    // Counts and bounds are far below 2^53, where a float is exact.
    #[allow(clippy::cast_precision_loss)]
    match value {
        Value::Float(x) => Some(*x),
        Value::Int(n) => Some(*n as f64),
        Value::UInt(n) => Some(*n as f64),
        _ => None,
    }
}

/// Collects what is asked, and refuses questions that are not put as they have to be.
fn ask(expr: &Expr, questions: &mut BTreeSet<(String, String)>) -> Result<(), String> {
    match expr {
        Expr::Call(call) => {
            question(call, questions)?;
            let target = call.target.iter().map(AsRef::as_ref);
            target.chain(&call.args).try_for_each(|e| ask(&e.expr, questions))
        }
        Expr::List(list) => list.elements.iter().try_for_each(|e| ask(&e.expr, questions)),
        Expr::Select(select) => ask(&select.operand.expr, questions),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => ask(&entry.key.expr, questions).and_then(|()| ask(&entry.value.expr, questions)),
            EntryExpr::StructField(field) => ask(&field.value.expr, questions),
        }),
        Expr::Comprehension(_) => Err("without loops".to_owned()),
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) => Ok(()),
    }
}

fn question(call: &CallExpr, questions: &mut BTreeSet<(String, String)>) -> Result<(), String> {
    let function = call.func_name.as_str();
    let arguments = match function {
        "percentile" => 2,
        of_name if OF_NAME.contains(&of_name) => 1,
        of_series if OF_SERIES.contains(&of_series) => 1,
        _ => return Ok(()),
    };
    let given: Vec<_> = call.target.iter().map(AsRef::as_ref).chain(&call.args).collect();
    let Some(Expr::Literal(LiteralValue::String(of))) = given.first().map(|e| &e.expr) else {
        return Err(format!("in which {function} is of a literal text, such as {function}('ui/memory')"));
    };
    if given.len() != arguments || call.target.is_some() {
        return Err(format!("in which {function} has {arguments} argument{}", if arguments == 1 { "" } else { "s" }));
    }
    let of = of.inner().to_owned();
    if !OF_NAME.contains(&function) && !is_series(&of) {
        return Err(format!("in which {function} is of a series, such as 'ui/memory' and not {of:?}"));
    }
    if function == "percentile" {
        let percent = match given.get(1).map(|e| &e.expr) {
            Some(Expr::Literal(LiteralValue::Double(x))) => *x.inner(),
            // A percentile is small; what is not is out of range anyway.
            #[allow(clippy::cast_precision_loss)]
            Some(Expr::Literal(LiteralValue::Int(n))) => *n.inner() as f64,
            _ => f64::NAN,
        };
        if !(0.0..=100.0).contains(&percent) {
            return Err("in which percentile has a literal number from 0 to 100".to_owned());
        }
    }
    questions.insert((function.to_owned(), of));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Result<f64, String> {
        let answers: Arc<Answers> = Arc::new(|question: Question<'_>| match (question.function, question.of) {
            ("count", _) => Ok(3.0),
            ("percentile", _) => Ok(question.percent),
            ("mean", "ui/gone") => Err("there is no series \"ui/gone\"".to_owned()),
            _ => Ok(0.5),
        });
        Formula::compile(source)?.value(&answers)
    }

    #[test]
    fn a_formula_makes_a_number_of_what_was_recorded() {
        for (source, expected) in [
            ("mean('ui/memory')", Ok(0.5)),
            ("min('ui/memory') + max('ui/memory') * 2.0", Ok(1.5)),
            ("percentile('check:page/latency', 95)", Ok(95.0)),
            ("percentile('check:page/latency', 99.9)", Ok(99.9)),
            ("passRate('page') < 1.0 ? 7.0 : 8.0", Ok(7.0)),
            ("restarts('ui') + count('ui/memory')", Ok(3.5)),
            ("signature('push-403') * 2.0", Ok(1.0)),
            ("mean('ui/gone')", Err("there is no series \"ui/gone\"")),
            ("mean('ui/memory') > 1.0", Err("it gives bool and not a number")),
            ("mean('ui/memory') / 0.0", Err("it gives no finite number")),
        ] {
            match (of(source), expected) {
                (Ok(found), Ok(expected)) => assert!((found - expected).abs() < 1e-9, "{source}: {found}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{source}: {found}"),
                (found, _) => panic!("{source}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_the_reason() {
        for (source, why) in [
            ("1 + 1", "that asks something"),
            ("mean(body)", "it knows no body"),
            ("mean('memory')", "of a series"),
            ("mean('ui/' + 'memory')", "of a literal text"),
            ("mean()", "of a literal text"),
            ("mean('ui/memory', 3)", "has 1 argument"),
            ("'ui/memory'.mean()", "has 1 argument"),
            ("percentile('ui/memory')", "has 2 arguments"),
            ("percentile('ui/memory', 101)", "from 0 to 100"),
            ("median('ui/memory')", "it knows no median"),
            ("[1].exists(x, mean('ui/memory') > 1.0) ? 1 : 0", "without loops"),
            ("mean('ui/memory'", "Syntax error"),
        ] {
            let found = Formula::compile(source).unwrap_err();
            assert!(found.contains(why), "{source}: {found}");
        }
    }

    #[test]
    fn what_it_needs_is_known_beforehand() {
        let formula = Formula::compile("ratioToBaseline('ui/eps') + mean('ui/memory')").unwrap();
        assert_eq!(formula.questions().collect::<Vec<_>>(), [("mean", "ui/memory"), ("ratioToBaseline", "ui/eps")]);
        assert!(formula.needs_baseline());
        assert!(!Formula::compile("mean('ui/memory')").unwrap().needs_baseline());
    }
}
