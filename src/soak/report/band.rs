//! The band: the phases of a run side by side, as long as they were, with what went wrong above and what was done below.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::quantity::{count, duration, seconds, time};
use super::{CheckOutcome, PhaseSpan, Report};
use crate::api::Time;
use crate::api::soak::SoakPhase;

/// Places along the band that are told apart. Marks nearer to each other become one.
const PLACES: f64 = 120.0;

/// From when to when a run is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its beginning.
    pub from: Time,
    /// Its end, or the last that is known of one that goes on.
    pub to: Time,
}

impl Extent {
    /// Of a run with at least one phase.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let from = report.phases.iter().map(|phase| phase.from).min()?;
        let ends = report.phases.iter().map(|phase| phase.to.unwrap_or(phase.from));
        let checks = report.checks.iter().flat_map(|check| &check.results).map(|result| result.at);
        let actions = report.actions.iter().map(|action| action.at);
        let known = ends.chain(checks).chain(actions).chain(report.events.iter().map(|event| event.at));
        Some(Self { from, to: known.max().unwrap_or(from).max(from) })
    }

    /// Where a time is, in percent of the whole.
    fn place(&self, at: Time) -> f64 {
        let whole = seconds(self.from, self.to);
        if whole > 0.0 { (seconds(self.from, at) / whole * 100.0).clamp(0.0, 100.0) } else { 0.0 }
    }

    /// How long a phase lasted, in seconds. One that goes on lasts until the end.
    #[must_use]
    pub fn length(&self, phase: &PhaseSpan) -> f64 {
        seconds(phase.from, self.end(phase)).max(0.0)
    }

    fn end(&self, phase: &PhaseSpan) -> Time {
        match phase.to {
            Some(to) => to,
            // Nothing comes after it, so that it is over as soon as it begins.
            None if phase.phase == SoakPhase::Completed => phase.from,
            None => self.to,
        }
    }
}

/// How long was soaked, in seconds.
#[must_use]
pub fn soaked(report: &Report) -> f64 {
    let phases = report.phases.iter().filter(|phase| phase.phase == SoakPhase::Soaking);
    Extent::of(report).map_or(0.0, |extent| phases.map(|phase| extent.length(phase)).sum())
}

/// Seconds from the beginning of the soak to its end; it may have been left in between.
#[must_use]
pub fn until(report: &Report) -> f64 {
    let soaks = || report.phases.iter().filter(|phase| phase.phase == SoakPhase::Soaking);
    let (Some(extent), Some(first)) = (Extent::of(report), soaks().next()) else {
        return 0.0;
    };
    soaks().map(|phase| seconds(first.from, phase.from) + extent.length(phase)).fold(0.0, f64::max)
}

/// Marks of one kind.
struct Lane {
    class: &'static str,
    sign: &'static str,
    one: &'static str,
    many: &'static str,
    marks: Vec<(Time, String)>,
}

/// The band with its legend; a sentence in place of one without phases.
#[must_use]
pub fn band(report: &Report) -> Markup {
    let Some(extent) = Extent::of(report) else {
        return html! { p.none { "No phase was recorded." } };
    };
    let (above, below) = (wrong(report), done(report));
    html! {
        div.band {
            @for lane in &above { (lane_row(lane, extent)) }
            div.phases { @for phase in &report.phases { (segment(phase, extent)) } }
            @for lane in &below { (lane_row(lane, extent)) }
        }
        p.ends { span { (time(extent.from)) } span { (duration(seconds(extent.from, extent.to))) } span { (time(extent.to)) } }
        (signs(above.iter().chain(&below)))
        (legend(&report.phases, extent))
    }
}

/// Checks that failed, and those that could not be made.
fn wrong(report: &Report) -> Vec<Lane> {
    let of = |outcome: CheckOutcome| -> Vec<(Time, String)> {
        let all = report.checks.iter().flat_map(|check| check.results.iter().map(move |result| (check, result)));
        all.filter(|(_, result)| result.outcome == outcome).map(|(check, result)| (result.at, check.name.clone())).collect()
    };
    let failed =
        Lane { class: "bad", sign: "▼", one: "failed check", many: "failed checks", marks: of(CheckOutcome::Failed) };
    let (one, many) = ("check that could not be made", "checks that could not be made");
    let error = Lane { class: "odd", sign: "◆", one, many, marks: of(CheckOutcome::Error) };
    [failed, error].into_iter().filter(|lane| !lane.marks.is_empty()).collect()
}

/// Actions of the run itself, and those that it did not ask for.
fn done(report: &Report) -> Vec<Lane> {
    let of = |own: bool| -> Vec<(Time, String)> {
        report.actions.iter().filter(|action| action.own == own).map(|action| (action.at, action.what.clone())).collect()
    };
    let (one, many) = ("action that the run asked for", "actions that the run asked for");
    let own = Lane { class: "own", sign: "▲", one, many, marks: of(true) };
    let recovery = Lane { class: "odd", sign: "△", one: "recovery", many: "recoveries", marks: of(false) };
    [own, recovery].into_iter().filter(|lane| !lane.marks.is_empty()).collect()
}

/// A lane with its marks, those close together as one.
fn lane_row(lane: &Lane, extent: Extent) -> Markup {
    let mut places: BTreeMap<String, Vec<&(Time, String)>> = BTreeMap::new();
    for mark in &lane.marks {
        let place = (extent.place(mark.0) / 100.0 * PLACES).round() / PLACES * 100.0;
        places.entry(format!("left:{place:.2}%")).or_default().push(mark);
    }
    html! {
        div.lane {
            @for (style, marks) in &places { span.mark.(lane.class) style=(style) title=(told(marks)) { (lane.sign) } }
        }
    }
}

/// What a mark stands for, in words.
fn told(marks: &[&(Time, String)]) -> String {
    match marks {
        [] => String::new(),
        [(at, what)] => format!("{what}, {}", time(*at)),
        [(at, what), rest @ ..] => format!("{what}, {}, and {} more", time(*at), count(rest.len())),
    }
}

/// A phase as a part of the band, named where there is room.
fn segment(phase: &PhaseSpan, extent: Extent) -> Markup {
    let (from, to) = (extent.place(phase.from), extent.place(extent.end(phase)));
    let width = if extent.from == extent.to { 100.0 } else { (to - from).max(0.0) };
    let name = format!("{:?}", phase.phase);
    html! {
        div.phase.(class(phase.phase)) style=(format!("left:{from:.3}%;width:{width:.3}%")) title=(name) {
            @if width > 18.0 { (name) }
        }
    }
}

/// How a phase looks: what is made ready, what is judged, and what is cleared away.
fn class(phase: SoakPhase) -> &'static str {
    match phase {
        SoakPhase::Soaking => "soak",
        SoakPhase::Warmup => "warm",
        SoakPhase::Teardown | SoakPhase::Startup => "start",
        SoakPhase::Finalizing | SoakPhase::Cleanup => "end",
        SoakPhase::Pending | SoakPhase::Preflight | SoakPhase::Completed => "idle",
    }
}

/// What the marks mean, and how many there are.
fn signs<'a>(lanes: impl Iterator<Item = &'a Lane>) -> Markup {
    html! {
        ul.legend {
            @for lane in lanes {
                li { span.mark.(lane.class) { (lane.sign) } " " (count(lane.marks.len())) " " (if lane.marks.len() == 1 { lane.one } else { lane.many }) }
            }
        }
    }
}

/// Every phase with its colour, its beginning and its length.
fn legend(phases: &[PhaseSpan], extent: Extent) -> Markup {
    html! {
        ul.legend.spans {
            @for phase in phases {
                li {
                    span.swatch.(class(phase.phase)) {}
                    b { (format!("{:?}", phase.phase)) }
                    " " (length_told(phase, extent)) " "
                    span.when { (time(phase.from)) }
                }
            }
        }
    }
}

/// How long a phase lasted, in words.
fn length_told(phase: &PhaseSpan, extent: Extent) -> String {
    match phase.to {
        None if phase.phase == SoakPhase::Completed => String::new(),
        None => format!("{} so far", duration(extent.length(phase))),
        Some(_) => duration(extent.length(phase)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(phase: SoakPhase, from: i64, to: Option<i64>) -> PhaseSpan {
        let at = |second| Time::from_second(second).unwrap_or_default();
        PhaseSpan { phase, from: at(from), to: to.map(at) }
    }

    #[test]
    fn a_phase_is_as_wide_as_it_was_long() {
        let extent = Extent { from: Time::UNIX_EPOCH, to: Time::from_second(200).unwrap_or_default() };
        let half = segment(&phase(SoakPhase::Soaking, 50, Some(150)), extent).into_string();
        assert!(half.contains("left:25.000%;width:50.000%") && half.contains("Soaking"));
        assert!(segment(&phase(SoakPhase::Warmup, 50, None), extent).into_string().contains("width:75.000%"));
        assert!(segment(&phase(SoakPhase::Completed, 200, None), extent).into_string().contains("width:0.000%"));
    }

    #[test]
    fn a_run_of_no_length_has_a_band() {
        let only = phase(SoakPhase::Pending, 0, None);
        let extent = Extent { from: only.from, to: only.from };
        assert!(segment(&only, extent).into_string().contains("left:0.000%;width:100.000%"));
    }

    #[test]
    fn marks_close_together_become_one_that_counts_them() {
        let extent = Extent { from: Time::UNIX_EPOCH, to: Time::from_second(100_000).unwrap_or_default() };
        let marks = (0..5_000).map(|second| (Time::from_second(second).unwrap_or_default(), "login".to_owned())).collect();
        let row = lane_row(&Lane { class: "bad", sign: "▼", one: "", many: "", marks }, extent).into_string();
        assert!(row.matches('▼').count() < 10 && row.contains("more"));
    }
}
