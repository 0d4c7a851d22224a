//! The verdict: what was recorded, held against the criteria.
//!
//! A criterion that does not hold makes it Failed. One that cannot be judged makes it Error, unless another has failed. What was never
//! shown is never taken for shown: a check without a passed result has failed, a curve without samples cannot be judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::evidence::{Checks, Evidence};
use super::logs;
use super::report::{CheckOutcome, Finding, Outcome};
use super::series::{self, Points, Trend};
use crate::api::soak::formula::{Answers, Formula, Question};
use crate::api::soak::{Criterion, Leaks, SoakRunSpec, Verdict};

/// The verdict, and what became of each criterion.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The word.
    pub verdict: Verdict,
    /// What decided it, and then each criterion, in a line.
    pub reasons: Vec<String>,
    /// Each criterion.
    pub findings: Vec<Finding>,
}

/// Judges a run by what was recorded of it, and of its baseline where it has one.
#[must_use]
pub fn judge(spec: &SoakRunSpec, evidence: &Evidence, baseline: Option<&Evidence>) -> Judgement {
    let mut findings: Vec<_> = spec.checks.iter().map(|c| check(spec, &c.name, evidence)).collect();
    findings.push(restarts(spec, evidence));
    findings.extend(spec.criteria.max_recoveries.map(|most| recoveries(most, evidence)));
    findings.extend(spec.criteria.leaks.iter().flat_map(|leaks| self::leaks(leaks, evidence)));
    if !spec.criteria.expressions.is_empty() {
        let answers = answers(evidence, baseline);
        findings.extend(spec.criteria.expressions.iter().map(|c| expression(c, evidence, &answers)));
    }
    let mut reasons: Vec<_> =
        evidence.decided.iter().map(|(verdict, reason)| format!("{}: {reason}", word(*verdict))).collect();
    // Before it has soaked, a run has shown nothing that criteria could be held against.
    if evidence.began(crate::api::soak::SoakPhase::Soaking).is_some() {
        reasons.extend(findings.iter().map(line));
    }
    let any = |outcome| findings.iter().any(|f| f.outcome == outcome);
    let verdict = match &evidence.decided {
        Some((verdict, _)) => *verdict,
        None if any(Outcome::Failed) => Verdict::Failed,
        None if any(Outcome::Error) => Verdict::Error,
        None => Verdict::Passed,
    };
    Judgement { verdict, reasons, findings }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "FAILED",
        Verdict::Aborted => "ABORTED",
        Verdict::Error => "ERROR",
    }
}

fn line(finding: &Finding) -> String {
    let word = match finding.outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "FAILED",
        Outcome::Error => "ERROR",
    };
    let Finding { name, bound, evidence, .. } = finding;
    match finding.value {
        Some(value) => format!("{word}: {name}: {}, {bound} demanded; {evidence}", shown(value)),
        None => format!("{word}: {name}: {evidence}; {bound} demanded"),
    }
}

/// A number as people read it: six digits, without zeros at the end.
#[must_use]
pub fn shown(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Of a finite number, well inside of an i32.
    #[allow(clippy::cast_possible_truncation)]
    let magnitude = value.abs().log10().floor() as i32;
    let digits = usize::try_from((5 - magnitude).clamp(0, 9)).unwrap_or(0);
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn check(spec: &SoakRunSpec, name: &str, evidence: &Evidence) -> Finding {
    let none = Checks::default();
    let checks = evidence.checks.get(name).unwrap_or(&none);
    let [passed, failed, errors] =
        [CheckOutcome::Passed, CheckOutcome::Failed, CheckOutcome::Error].map(|outcome| checks.count(outcome));
    let results = passed + failed + errors;
    let rate = if results == 0 { 0.0 } else { f64::from(passed) / f64::from(results) };
    let least = spec.criteria.min_pass_rate;
    let outcome = match (passed > 0 && rate >= least, failed) {
        (true, _) => Outcome::Ok,
        // Nothing that was asked went wrong: only that it could not be asked stands in the way.
        (false, 0) if errors > 0 => Outcome::Error,
        (false, _) => Outcome::Failed,
    };
    let mut told = format!("{passed} of {results} passed");
    for (count, what) in [(failed, "failed"), (errors, "could not be made"), (checks.missed, "missed")] {
        if count > 0 {
            told += &format!(", {count} {what}");
        }
    }
    let last = checks.results.iter().rev().find(|r| r.outcome != CheckOutcome::Passed).and_then(|r| r.message.as_ref());
    told += &last.map_or(String::new(), |message| format!("; the last: {message}"));
    Finding {
        name: format!("check {name}"),
        outcome,
        what: format!("pass rate of {name}"),
        value: Some(rate),
        bound: format!(">= {}", shown(least)),
        evidence: told,
    }
}

fn restarts(spec: &SoakRunSpec, evidence: &Evidence) -> Finding {
    let counts: Vec<_> = evidence.restarts().filter(|(_, count)| *count > 0).collect();
    let total: u32 = counts.iter().map(|(_, count)| count).sum();
    let who: Vec<String> = counts.iter().map(|(service, count)| format!("{service} {count}")).collect();
    counted("restarts", total, spec.criteria.max_restarts, &who)
}

fn recoveries(most: u32, evidence: &Evidence) -> Finding {
    let what: Vec<String> = evidence.recoveries().map(|a| format!("{} {}", a.what, a.result)).collect();
    counted("recoveries", u32::try_from(what.len()).unwrap_or(u32::MAX), most, &what)
}

fn counted(name: &str, count: u32, most: u32, what: &[String]) -> Finding {
    Finding {
        name: name.to_owned(),
        outcome: if count <= most { Outcome::Ok } else { Outcome::Failed },
        what: name.to_owned(),
        value: Some(f64::from(count)),
        bound: format!("<= {most}"),
        evidence: if what.is_empty() { "none".to_owned() } else { what.join(", ") },
    }
}

fn leaks(leaks: &Leaks, evidence: &Evidence) -> Vec<Finding> {
    let all = || evidence.series.keys().filter(|name| name.ends_with("/memory")).cloned().collect();
    let series: Vec<String> = if leaks.series.is_empty() { all() } else { leaks.series.clone() };
    if series.is_empty() {
        return vec![leak("memory", leaks.max_growth, &[])];
    }
    let curve = |name: &String| evidence.series.get(name).map_or(&[][..], Vec::as_slice);
    series.iter().map(|name| leak(name, leaks.max_growth, curve(name))).collect()
}

fn leak(series: &str, most: f64, points: &Points) -> Finding {
    let (outcome, value, told) = match (series::leak(points), Trend::of(points)) {
        (Ok(growth), Some(trend)) => {
            let outcome = if growth <= most { Outcome::Ok } else { Outcome::Failed };
            let steady = if trend.is_steady() { "steadily" } else { "but not steadily: no leak" };
            let slope = shown(trend.slope_per_hour);
            (outcome, Some(growth), format!("robust slope {slope} an hour from {}, {steady}", shown(trend.start)))
        }
        (Ok(growth), None) => (Outcome::Ok, Some(growth), "it does not move".to_owned()),
        (Err(why), _) => (Outcome::Error, None, format!("{why}: it cannot be judged")),
    };
    Finding {
        name: format!("leak {series}"),
        outcome,
        what: format!("leak('{series}')"),
        value,
        bound: format!("<= {}", shown(most)),
        evidence: format!("{told} ({} samples)", points.len()),
    }
}

fn expression(criterion: &Criterion, evidence: &Evidence, answers: &Arc<Answers>) -> Finding {
    let formula = Formula::compile(&criterion.value);
    let value = formula.as_ref().map_err(Clone::clone).and_then(|f| f.value(answers));
    let [min, max] = [criterion.min, criterion.max];
    let bound = match (min, max) {
        (Some(min), Some(max)) => format!("{} to {}", shown(min), shown(max)),
        (Some(min), None) => format!(">= {}", shown(min)),
        (None, max) => format!("<= {}", shown(max.unwrap_or(f64::INFINITY))),
    };
    let outcome = match value {
        Ok(value) if min.is_none_or(|m| value >= m) && max.is_none_or(|m| value <= m) => Outcome::Ok,
        Ok(_) => Outcome::Failed,
        Err(_) => Outcome::Error,
    };
    let told = match (&value, &formula) {
        (Err(why), _) => format!("it cannot be judged: {why}"),
        (Ok(_), Ok(formula)) => {
            let counts: BTreeMap<&str, usize> =
                formula.questions().filter_map(|(_, of)| Some((of, evidence.series.get(of)?.len()))).collect();
            let counts: Vec<String> = counts.iter().map(|(of, count)| format!("{count} samples of {of}")).collect();
            if counts.is_empty() {
                criterion.value.clone()
            } else {
                format!("{} over {}", criterion.value, counts.join(", "))
            }
        }
        (Ok(_), Err(why)) => why.clone(),
    };
    Finding {
        name: criterion.name.clone(),
        outcome,
        what: criterion.value.clone(),
        value: value.ok(),
        bound,
        evidence: told,
    }
}

/// What formulas may ask of the evidence. The curves are the run's own and its baseline's, shared with the interpreter's thread.
fn answers(evidence: &Evidence, baseline: Option<&Evidence>) -> Arc<Answers> {
    let series = evidence.series.clone();
    let there = baseline.map(|b| b.series.clone());
    let rates: BTreeMap<String, f64> = evidence
        .checks
        .iter()
        .filter(|(_, checks)| !checks.results.is_empty())
        .map(|(name, checks)| {
            let count = u32::try_from(checks.results.len()).unwrap_or(u32::MAX);
            (name.clone(), f64::from(checks.count(CheckOutcome::Passed)) / f64::from(count))
        })
        .collect();
    let restarts: BTreeMap<String, u32> = evidence.restarts().map(|(service, count)| (service.to_owned(), count)).collect();
    Arc::new(move |question: Question<'_>| {
        let of = question.of;
        match question.function {
            "passRate" => return rates.get(of).copied().ok_or_else(|| format!("there is no result of a check {of:?}")),
            "signature" => {
                return logs::lines_of(&series, of).ok_or_else(|| "the logs were not read while it soaked".to_owned());
            }
            "restarts" => {
                return restarts.get(of).map(|n| f64::from(*n)).ok_or_else(|| format!("no container of {of:?} was seen"));
            }
            _ => {}
        }
        let points = series.get(of).map_or(&[][..], Vec::as_slice);
        if question.function == "count" {
            // A run has far fewer than 2^53 samples.
            #[allow(clippy::cast_precision_loss)]
            return Ok(points.len() as f64);
        }
        if points.is_empty() {
            return Err(format!("there are no samples of {of:?}"));
        }
        if question.function == "ratioToBaseline" {
            let baseline = there.as_ref().ok_or("there is no baseline")?;
            let curve = baseline
                .get(of)
                .filter(|c| !c.is_empty())
                .ok_or_else(|| format!("the baseline has no samples of {of:?}"))?;
            return series::ratio_to(points, curve).ok_or_else(|| format!("{of:?} is nothing in the baseline"));
        }
        ask(question, points)
            .ok_or_else(|| format!("{} samples of {of:?} are too few for {}", points.len(), question.function))?
    })
}

/// An answer about a curve that has points; none where they are too few.
fn ask(question: Question<'_>, points: &Points) -> Option<Result<f64, String>> {
    let nothing = || format!("{:?} begins at nothing, so that no share of it can be told", question.of);
    Some(match question.function {
        "min" => Ok(series::least(points)?),
        "max" => Ok(series::most(points)?),
        "mean" => Ok(series::mean(points)?),
        "percentile" => {
            let values: Vec<f64> = points.iter().map(|(_, v)| *v).collect();
            Ok(series::percentile(&values, question.percent)?)
        }
        "first" => Ok(points.first()?.1),
        "last" => Ok(points.last()?.1),
        "slopePerHour" => Ok(Trend::of(points)?.slope_per_hour),
        "growth" => Trend::of(points)?.growth().ok_or_else(nothing),
        "ratioToStart" => series::ratio_to_start(points).ok_or_else(nothing),
        "leak" => series::leak(points),
        unknown => Err(format!("nothing is known of {unknown}")),
    })
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
