//! The report as one page: nothing is loaded from elsewhere, no script runs, and every text in it is escaped.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::band::{Extent, band, soaked, until};
use super::curve::{Frame, svg};
use super::quantity::{Scale, amount, bytes, count, duration, number, seconds, time};
use super::{
    ActionEntry, CheckEntry, CheckOutcome, CheckSummary, Environment, EventEntry, EvidenceRef, Finding, Outcome, Report,
    SeriesReport,
};
use crate::api::soak::{SoakPhase, Verdict};

/// How the page looks.
const STYLE: &str = include_str!("html/page.css");
/// What the page may load, should a text ever get past the escaping: pictures that are in it, and nothing else.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
/// Results that are shown of those that did not pass.
const SHOWN_RESULTS: usize = 20;
/// Pictures that are shown.
const SHOWN_PICTURES: usize = 12;

/// Writes the page. `pictures` are PNG files by their SHA-256 in hex; one that is not among them is said to be missing.
#[must_use]
pub fn render(report: &Report, pictures: &BTreeMap<String, Vec<u8>>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (report.run) ": " (verdict_look(report.verdict).1) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report))
                main { (verdict(report)) (facts(report)) (parts(report, pictures)) }
            }
        }
    };
    page.into_string()
}

/// Everything under the key facts, in the order in which it is read.
fn parts(report: &Report, pictures: &BTreeMap<String, Vec<u8>>) -> Markup {
    html! {
        (section("criteria", "Criteria", &criteria(&report.criteria)))
        (section("timeline", "Timeline", &band(report)))
        (section("checks", "Checks", &checks(&report.checks)))
        (section("pictures", "Pictures", &screenshots(&report.checks, pictures)))
        (section("curves", "Curves", &curves(report)))
        (section("actions", "Actions", &actions(&report.actions)))
        (section("events", "Events", &events(&report.events)))
        (section("environment", "Environment", &environment(&report.environment, &report.evidence)))
    }
}

/// A part of the page under its heading.
fn section(id: &str, heading: &str, body: &Markup) -> Markup {
    html! { section id=(id) { h2 { (heading) } (body) } }
}

/// A sentence in place of what there is none of.
fn none(sentence: &str) -> Markup {
    html! { p.none { (sentence) } }
}

/// A table that scrolls by itself where the page is narrow. A column whose name begins with `#` has numbers.
fn table(label: &str, columns: &[&str], rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(label) tabindex="0" {
            table {
                thead { tr { @for column in columns {
                    th scope="col" class=[column.starts_with('#').then_some("num")] { (column.trim_start_matches('#')) }
                } } }
                tbody { (rows) }
            }
        }
    }
}

/// A word in a coloured field. The word says everything that the colour does.
fn chip(tone: &str, sign: &str, word: &str) -> Markup {
    html! { span.chip.(tone) { span aria-hidden="true" { (sign) } " " (word) } }
}

/// What the run and its stack are called, and the way to the parts.
fn head(report: &Report) -> Markup {
    const PARTS: [&str; 8] = ["Criteria", "Timeline", "Checks", "Pictures", "Curves", "Actions", "Events", "Environment"];
    html! {
        header {
            h1 { "Soak run " (report.run) }
            p {
                "On the stack " b { (report.stack) }
                @if let Some(baseline) = &report.baseline { ", compared with " b { (baseline) } }
            }
            nav aria-label="Parts" { @for part in PARTS { a href={ "#" (part.to_lowercase()) } { (part) } } }
        }
    }
}

/// Tone, word and sign of a verdict.
fn verdict_look(verdict: Option<Verdict>) -> (&'static str, &'static str, &'static str) {
    match verdict {
        Some(Verdict::Passed) => ("tone-good", "Passed", "✓"),
        Some(Verdict::Failed) => ("tone-bad", "Failed", "✗"),
        Some(Verdict::Aborted) => ("tone-odd", "Aborted", "■"),
        Some(Verdict::Error) => ("tone-odd", "Error", "!"),
        None => ("tone-plain", "Running", "…"),
    }
}

/// The one word, and why.
fn verdict(report: &Report) -> Markup {
    let (tone, word, sign) = verdict_look(report.verdict);
    html! {
        section.verdict.(tone) aria-label="Verdict" {
            p.word { span.sign aria-hidden="true" { (sign) } " " (word) }
            @if !report.reasons.is_empty() { ul.reasons { @for reason in &report.reasons { li { (reason) } } } }
        }
    }
}

/// The numbers that are asked for first.
fn facts(report: &Report) -> Markup {
    let sum = |of: fn(&CheckSummary) -> u32| report.checks.iter().map(|check| u64::from(of(check))).sum::<u64>();
    let (passed, failed, errors, missed) =
        (sum(|of| of.passed), sum(|of| of.failed), sum(|of| of.errors), sum(|of| of.missed));
    let own = report.actions.iter().filter(|action| action.own).count();
    let held = report.criteria.iter().filter(|finding| finding.outcome == Outcome::Ok).count();
    let evidence = &report.evidence;
    let digest: String = if evidence.digest.is_empty() { "–".into() } else { evidence.digest.chars().take(12).collect() };
    let size = bytes(evidence.bytes);
    let whole = Extent::of(report).map_or(0.0, |extent| seconds(extent.from, extent.to));
    let of_the_run = format!("actions of the run itself: {}", count(own));
    html! {
        dl.facts {
            (fact("Soaked", &duration(soaked(report)), &format!("of {} in all", duration(whole))))
            (fact("Criteria that hold", &format!("{} of {}", count(held), count(report.criteria.len())), &unheld(&report.criteria)))
            (fact("Checks made", &count(passed + failed + errors), &format!("{} failed, {} in error, {} missed", count(failed), count(errors), count(missed))))
            (fact("Recoveries", &count(report.actions.len() - own), &of_the_run))
            (fact("Evidence", &digest, &format!("{} records, {size}", count(evidence.records))))
        }
    }
}

/// How many criteria do not hold, and how many could not be judged.
fn unheld(findings: &[Finding]) -> String {
    let of = |outcome| count(findings.iter().filter(|finding| finding.outcome == outcome).count());
    format!("{} failed, {} in error", of(Outcome::Failed), of(Outcome::Error))
}

/// One number with what it is and what there is to add.
fn fact(name: &str, value: &str, note: &str) -> Markup {
    html! { div { dt { (name) } dd.big { (value) } dd.note { (note) } } }
}

/// Each criterion with what was found and what was demanded.
fn criteria(findings: &[Finding]) -> Markup {
    if findings.is_empty() {
        return none("No criterion was declared.");
    }
    let rows = html! {
        @for finding in findings {
            tr {
                th scope="row" { (finding.name) @if finding.what != finding.name { small { code { (finding.what) } } } }
                td { (outcome(finding.outcome)) }
                td.num title=[finding.value.map(|value| value.to_string())] { (finding.value.map_or_else(|| "–".into(), number)) }
                td.nowrap { (finding.bound) }
                td.text { (finding.evidence) }
            }
        }
    };
    table("Criteria", &["Name", "Outcome", "#Value", "Bound", "Evidence"], &rows)
}

/// What became of a criterion.
fn outcome(outcome: Outcome) -> Markup {
    match outcome {
        Outcome::Ok => chip("tone-good", "✓", "Ok"),
        Outcome::Failed => chip("tone-bad", "✗", "Failed"),
        Outcome::Error => chip("tone-odd", "!", "Error"),
    }
}

/// What became of a check.
fn check_outcome(outcome: CheckOutcome) -> Markup {
    match outcome {
        CheckOutcome::Passed => chip("tone-good", "✓", "Passed"),
        CheckOutcome::Failed => chip("tone-bad", "✗", "Failed"),
        CheckOutcome::Error => chip("tone-odd", "!", "Error"),
    }
}

/// Each check over the whole run, then those results that did not pass.
fn checks(checks: &[CheckSummary]) -> Markup {
    if checks.is_empty() {
        return none("No check was declared.");
    }
    let tally = |value: u32| html! { td.num.zero[value == 0] { (count(value)) } };
    let rows = html! {
        @for check in checks {
            tr {
                th scope="row" { (check.name) }
                td { (check.kind) }
                @for value in [check.passed, check.failed, check.errors, check.missed] { (tally(value)) }
                @for part in check.latency.map_or([None; 4], |of| [of.p50, of.p95, of.p99, of.max].map(Some)) {
                    td.num { (part.map_or_else(|| "–".into(), |part| amount(part, "ms"))) }
                }
            }
        }
    };
    let columns = ["Name", "Kind", "#Passed", "#Failed", "#Errors", "#Missed", "#p50", "#p95", "#p99", "#Max"];
    html! { (table("Checks", &columns, &rows)) (failures(checks)) }
}

/// Results of all checks, each with the check's name.
fn results(checks: &[CheckSummary]) -> impl Iterator<Item = (&str, &CheckEntry)> {
    checks.iter().flat_map(|check| check.results.iter().map(|result| (check.name.as_str(), result)))
}

/// The results that did not pass, the first of them one by one.
fn failures(checks: &[CheckSummary]) -> Markup {
    let mut failures: Vec<_> = results(checks).filter(|(_, result)| result.outcome != CheckOutcome::Passed).collect();
    failures.sort_by_key(|(_, result)| result.at);
    if failures.is_empty() {
        return none("Every check that was made passed.");
    }
    let (shown, rest) = failures.split_at(failures.len().min(SHOWN_RESULTS));
    html! {
        h3 { "Failures and errors" }
        ol.results {
            @for (name, result) in shown {
                li {
                    span.nowrap.when { (time(result.at)) }
                    b { (name) }
                    span { (check_outcome(result.outcome)) }
                    span.num { (amount(result.latency_ms, "ms")) }
                    span.message { (result.message.as_deref().unwrap_or("–")) }
                }
            }
        }
        @if !rest.is_empty() { p.more { "And " (count(rest.len())) " more: " (by_name(rest)) "." } }
    }
}

/// How many there are of each check, such as `login 12, ui 3`.
fn by_name(results: &[(&str, &CheckEntry)]) -> String {
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in results {
        *tally.entry(name).or_default() += 1;
    }
    tally.iter().map(|(name, times)| format!("{name} {}", count(*times))).collect::<Vec<_>>().join(", ")
}

/// The pictures that checks took, those of failures first.
fn screenshots(checks: &[CheckSummary], pictures: &BTreeMap<String, Vec<u8>>) -> Markup {
    let mut taken: Vec<_> =
        results(checks).filter_map(|(name, result)| Some((name, result, result.screenshot.as_ref()?))).collect();
    taken.sort_by_key(|(_, result, _)| {
        (result.outcome == CheckOutcome::Passed, result.outcome == CheckOutcome::Error, result.at)
    });
    if taken.is_empty() {
        return none("No picture was taken.");
    }
    let rest = taken.len().saturating_sub(SHOWN_PICTURES);
    html! {
        div.pictures {
            @for (name, result, digest) in taken.iter().take(SHOWN_PICTURES) {
                figure {
                    (picture(name, digest, pictures.get(*digest)))
                    figcaption { b { (name) } " " (check_outcome(result.outcome)) " " span.when { (time(result.at)) } }
                }
            }
        }
        @if rest > 0 { p.more { "And " (count(rest)) " more." } }
    }
}

/// A picture within the page, or that it is missing.
fn picture(name: &str, digest: &str, png: Option<&Vec<u8>>) -> Markup {
    let Some(png) = png else {
        return html! { div.gone { "The picture is missing." br; code { (digest) } } };
    };
    html! { img alt={ "What " (name) " saw" } src={ "data:image/png;base64," (STANDARD.encode(png)) }; }
}

/// Every curve, over the same time.
fn curves(report: &Report) -> Markup {
    if report.series.is_empty() {
        return none("Nothing was measured.");
    }
    let began = report.phases.iter().find(|phase| phase.phase == SoakPhase::Soaking).map(|phase| phase.from);
    let marks: Vec<_> = report.actions.iter().filter_map(|action| Some(seconds(began?, action.at))).collect();
    let frame = Frame { width: 420, height: 190, until: until(report), marks };
    html! {
        ul.legend {
            li { span.key {} "this run" }
            @if let Some(baseline) = &report.baseline { li { span.key.behind {} (baseline) } }
            li { span.key.gap {} "nothing measured" }
            @if !frame.marks.is_empty() { li { span.key.done {} "action on the stack" } }
        }
        div.curves { @for series in &report.series { (curve(series, &frame)) } }
    }
}

/// A curve with its numbers.
fn curve(series: &SeriesReport, frame: &Frame) -> Markup {
    let scale = Scale::fit(&series.unit, series.min.abs().max(series.max.abs()));
    html! {
        figure {
            figcaption { b { (series.name) } }
            (PreEscaped(svg(series, frame)))
            p.stats {
                @if series.count > 0 {
                    @for (name, value) in [("min", series.min), ("mean", series.mean)] { span { (name) " " b { (number(value / scale.factor)) } } }
                    span { "max " b { (scale.show(series.max)) } }
                }
                @if let Some(slope) = series.slope_per_hour { span { "slope " b { (amount(slope, &series.unit)) "/h" } } }
                span { b { (count(series.count)) } (if series.count == 1 { " value" } else { " values" }) }
            }
        }
    }
}

/// What was done to the stack.
fn actions(actions: &[ActionEntry]) -> Markup {
    if actions.is_empty() {
        return none("No action was carried out.");
    }
    let rows = html! {
        @for action in actions {
            tr {
                td.nowrap { (time(action.at)) }
                th scope="row" { (action.what) small { (action.name) } }
                td.nowrap { (action.result) }
                td.nowrap { (if action.own { "the run" } else { "not the run: a recovery" }) }
                td.text { (action.cause) }
            }
        }
    };
    table("Actions", &["Ended", "Action", "Result", "Asked for by", "Cause"], &rows)
}

/// What else happened.
fn events(events: &[EventEntry]) -> Markup {
    if events.is_empty() {
        return none("Nothing else happened.");
    }
    html! { ol.events { @for event in events { li { span.nowrap.when { (time(event.at)) } span { (event.what) } } } } }
}

/// What ran, and what the report was made from.
fn environment(of: &Environment, evidence: &EvidenceRef) -> Markup {
    let spec = serde_json::to_string_pretty(&of.spec).unwrap_or_default();
    html! {
        dl.pairs {
            dt { "Host" } dd { (of.host) }
            @for (name, version) in &of.versions { dt { (name) } dd { (version) } }
        }
        @if !of.images.is_empty() {
            h3 { "Images" }
            dl.pairs { @for (service, image) in &of.images { dt { (service) } dd { code { (image) } } } }
        }
        h3 { "Evidence" }
        dl.pairs {
            dt { "Records" } dd { (count(evidence.records)) " in " (count(evidence.bytes)) " bytes" }
            dt { "Digest" } dd { code { (evidence.digest) } }
        }
        details { summary { "Spec of the run" } pre { (spec) } }
        // Paper opens no details.
        h3.paper { "Spec of the run" }
        pre.paper aria-hidden="true" { (spec) }
    }
}

#[cfg(test)]
mod tests;
