//! Curves: one series as a picture that scales, with its baseline behind it and what was not measured shaded.
//!
//! plotters draws; its colours stand for roles, which become CSS variables afterwards, so that the page chooses the colours.

use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::SeriesReport;
use super::axis::{clock, room, span, tick_text, ticks, time_ticks};
use super::quantity::Scale;

/// How much finer than the picture its grid is: the backend knows whole coordinates only.
const FINE: u32 = 4;
/// Each role with the colour that stands for it while plotters draws, and what stands for it on the page.
const ROLES: [(RGBColor, &str); 6] = [
    (CURVE, "var(--curve,#0b62c4)"),
    (BEHIND, "var(--behind,#6e7781)"),
    (GAP, "var(--gap,#8c959f)"),
    (MARK, "var(--mark,#8250df)"),
    (GRID, "var(--line,#d8dee4)"),
    (LABEL, "var(--muted,#57606a)"),
];
const CURVE: RGBColor = RGBColor(1, 0, 0);
const BEHIND: RGBColor = RGBColor(2, 0, 0);
const GAP: RGBColor = RGBColor(3, 0, 0);
const MARK: RGBColor = RGBColor(4, 0, 0);
const GRID: RGBColor = RGBColor(5, 0, 0);
const LABEL: RGBColor = RGBColor(6, 0, 0);

/// What all curves of a report have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Width in the picture's own units; on the page it is as wide as its place.
    pub width: u32,
    /// Height in the same units.
    pub height: u32,
    /// How long was soaked, in seconds, so that all curves have the same time axis.
    pub until: f64,
    /// When something was done to the stack, in seconds since soaking began.
    pub marks: Vec<f64>,
}

/// Draws a series. What cannot be drawn is said in words in its place.
#[must_use]
pub fn svg(series: &SeriesReport, frame: &Frame) -> String {
    let figure = match Plot::of(series, frame) {
        None => nothing("No values were recorded."),
        Some(plot) => match plot.draw(frame) {
            Some(shapes) => picture(&series.name, frame, &shapes),
            None => nothing("This curve could not be drawn."),
        },
    };
    figure.into_string()
}

/// An empty figure that says why.
fn nothing(why: &str) -> Markup {
    html! { p.undrawn { (why) } }
}

/// Wraps what was drawn, so that it scales with its place.
fn picture(name: &str, frame: &Frame, shapes: &str) -> Markup {
    let view = format!("0 0 {} {}", frame.width.saturating_mul(FINE), frame.height.saturating_mul(FINE));
    html! { svg.curve viewBox=(view) width="100%" role="img" aria-label={ "Curve of " (name) } { (PreEscaped(shapes)) } }
}

/// What plotters draws on.
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
/// Whether it could.
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;
/// A point: seconds since soaking began, and the value in the unit that is shown.
type Point = (f64, f64);

/// What is to be drawn, in the unit that is shown.
struct Plot {
    scale: Scale,
    pieces: Vec<Vec<Point>>,
    baseline: Vec<Point>,
    gaps: Vec<[f64; 2]>,
    x: Range<f64>,
    y: Range<f64>,
}

impl Plot {
    /// Prepares a series; none when it has no value at all.
    fn of(series: &SeriesReport, frame: &Frame) -> Option<Self> {
        let points = finite(&series.points);
        let behind = finite(&series.baseline);
        // A baseline that went on for longer is cut where this run ends.
        let x = if points.is_empty() { span(&behind, frame.until)? } else { span(&points, frame.until)? };
        let behind: Vec<_> = behind.into_iter().filter(|(at, _)| (x.start..=x.end).contains(at)).collect();
        let values = || points.iter().chain(&behind).map(|(_, value)| *value);
        let scale = Scale::fit(&series.unit, values().map(f64::abs).fold(0.0, f64::max));
        let shown = |points: Vec<Point>| -> Vec<Point> {
            points.into_iter().map(|(at, value)| (at, value / scale.factor)).collect()
        };
        let y = room(
            values().fold(f64::INFINITY, f64::min) / scale.factor,
            values().fold(f64::NEG_INFINITY, f64::max) / scale.factor,
        );
        let gaps = clipped(&series.gaps, &x);
        Some(Self { pieces: pieces(shown(points), &gaps), baseline: shown(behind), gaps, scale, x, y })
    }

    /// Draws everything; none when plotters could not.
    fn draw(&self, frame: &Frame) -> Option<String> {
        let extent = |range: &Range<f64>| (range.end - range.start).is_normal();
        if !extent(&self.x) || !extent(&self.y) || frame.width < 100 || frame.height < 80 {
            return None;
        }
        let mut drawn = String::new();
        self.paint(&mut drawn, frame).ok()?;
        // The first tag is the backend's own frame, with a size that would not scale.
        let shapes = drawn.split_once('>')?.1.trim_end().strip_suffix("</svg>")?;
        Some(in_roles(shapes))
    }

    /// Lets plotters draw into `drawn`, from back to front.
    fn paint(&self, drawn: &mut String, frame: &Frame) -> Drawn {
        let size = (frame.width.saturating_mul(FINE), frame.height.saturating_mul(FINE));
        let root = SVGBackend::with_string(drawn, size).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(24 * FINE)
            .margin_right(18 * FINE)
            .x_label_area_size(22 * FINE)
            .y_label_area_size(52 * FINE)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        self.paint_ground(&mut chart, frame)?;
        self.paint_lines(&mut chart)?;
        self.label(&root, &chart)?;
        root.present()
    }

    /// The gaps, the grid and the marks.
    fn paint_ground(&self, chart: &mut Chart<'_, '_>, frame: &Frame) -> Drawn {
        let (left, right, low, high) = (self.x.start, self.x.end, self.y.start, self.y.end);
        let gap = |[from, to]: &[f64; 2]| Rectangle::new([(*from, low), (*to, high)], GAP.mix(0.25).filled());
        chart.draw_series(self.gaps.iter().map(gap))?;
        let rule = |up: f64| PathElement::new([(left, up), (right, up)], GRID.stroke_width(FINE));
        chart.draw_series(ticks(&self.y).into_iter().chain([low]).map(rule))?;
        let mark = |at: &f64| PathElement::new([(*at, low), (*at, high)], MARK.stroke_width(FINE * 3 / 2));
        chart.draw_series(frame.marks.iter().filter(|at| self.x.contains(at)).map(mark))?;
        Ok(())
    }

    /// The baseline, and the curve in front of it.
    fn paint_lines(&self, chart: &mut Chart<'_, '_>) -> Drawn {
        chart.draw_series(LineSeries::new(self.baseline.iter().copied(), BEHIND.stroke_width(FINE * 3 / 2)))?;
        for piece in &self.pieces {
            chart.draw_series(AreaSeries::new(piece.iter().copied(), self.y.start, CURVE.mix(0.1)))?;
            chart.draw_series(LineSeries::new(piece.iter().copied(), CURVE.stroke_width(FINE * 7 / 4)))?;
            // A line through a single value has no length.
            let alone = piece.iter().filter(|_| piece.len() == 1);
            chart.draw_series(alone.map(|at| Circle::new(*at, 3 * FINE, CURVE.filled())))?;
        }
        Ok(())
    }

    /// What stands beside the axes, and the unit above the values.
    fn label(&self, root: &DrawingArea<SVGBackend<'_>, Shift>, chart: &Chart<'_, '_>) -> Drawn {
        let text = |across, along| TextStyle::from(("sans-serif", 15 * FINE)).color(&LABEL).pos(Pos::new(across, along));
        let place = |at, value, (right, down): (i32, i32)| {
            let (x, y) = chart.backend_coord(&(at, value));
            (x + right, y + down)
        };
        let up = ticks(&self.y);
        for value in &up {
            let beside = place(self.x.start, *value, (-24, 0));
            root.draw(&Text::new(tick_text(*value, &up), beside, text(HPos::Right, VPos::Center)))?;
        }
        for at in time_ticks(&self.x) {
            let under = place(at, self.y.start, (0, 24));
            root.draw(&Text::new(clock(at, &self.x), under, text(HPos::Center, VPos::Top)))?;
        }
        root.draw(&Text::new(self.scale.unit.as_str(), (8, 8), text(HPos::Left, VPos::Top)))
    }
}

/// The points that have a place, in the order of time.
fn finite(points: &[[f64; 2]]) -> Vec<Point> {
    let mut points: Vec<_> =
        points.iter().filter(|point| point.iter().all(|part| part.is_finite())).map(|[at, value]| (*at, *value)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// The gaps, as far as they are within what is shown.
fn clipped(gaps: &[[f64; 2]], within: &Range<f64>) -> Vec<[f64; 2]> {
    let inside = gaps.iter().map(|[from, to]| [from.max(within.start), to.min(within.end)]);
    inside.filter(|[from, to]| from < to).collect()
}

/// Cuts a curve where nothing was measured, so that no line says that something was.
fn pieces(points: Vec<Point>, gaps: &[[f64; 2]]) -> Vec<Vec<Point>> {
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    for point in points {
        let cut = |last: f64| gaps.iter().any(|[from, to]| *from < point.0 && *to > last);
        match pieces.last_mut() {
            Some(piece) if !piece.last().is_some_and(|last| cut(last.0)) => piece.push(point),
            _ => pieces.push(vec![point]),
        }
    }
    pieces
}

/// Replaces each colour by what it stands for. Quotes are escaped in texts, so that none of these is changed.
fn in_roles(shapes: &str) -> String {
    let dashed = shapes.replace("stroke=\"#020000\"", "stroke=\"#020000\" stroke-dasharray=\"20 14\"");
    let dotted = dashed.replace("stroke=\"#040000\"", "stroke=\"#040000\" stroke-dasharray=\"4 8\"");
    ROLES.iter().fold(dotted, |text, (RGBColor(red, green, blue), css)| {
        text.replace(&format!("\"#{red:02X}{green:02X}{blue:02X}\""), &format!("\"{css}\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame { width: 420, height: 190, until: 100.0, marks: vec![50.0] }
    }

    fn series(points: &[[f64; 2]]) -> SeriesReport {
        let [min, max, mean] = [0.0; 3];
        let (points, gaps, baseline) = (points.to_vec(), Vec::new(), Vec::new());
        SeriesReport {
            name: "ui/memory".into(),
            unit: "bytes".into(),
            count: 0,
            min,
            max,
            mean,
            slope_per_hour: None,
            points,
            gaps,
            baseline,
        }
    }

    #[test]
    fn a_curve_scales_and_takes_its_colours_from_the_page() {
        let drawn = svg(&series(&[[0.0, 4e8], [100.0, 5e8]]), &frame());
        assert!(drawn.contains("viewBox=\"0 0 1680 760\"") && drawn.contains("width=\"100%\""));
        assert!(drawn.contains("var(--curve") && drawn.contains("MiB"));
        assert!(!drawn.contains("http") && !drawn.contains("#010000"));
    }

    #[test]
    fn a_series_without_values_says_so() {
        assert!(svg(&series(&[]), &frame()).contains("No values"));
        assert!(svg(&series(&[[f64::NAN, 1.0], [0.0, f64::INFINITY]]), &frame()).contains("No values"));
    }

    #[test]
    fn constant_and_single_values_are_drawn() {
        for value in [0.0, 7.0, -7.0, 1e-12, 1e15, 0.1 + 0.2] {
            assert!(svg(&series(&[[0.0, value]]), &frame()).contains("<circle"), "{value}");
            assert!(svg(&series(&[[0.0, value], [9.0, value]]), &frame()).contains("<polyline"), "{value}");
        }
    }

    #[test]
    fn a_soak_of_no_length_is_drawn() {
        let drawn = svg(&series(&[[0.0, 1.0]]), &Frame { until: 0.0, ..frame() });
        assert!(drawn.contains("<circle"));
    }

    #[test]
    fn what_has_no_place_on_paper_is_said_not_to_be_drawn() {
        let endless = series(&[[f64::MIN, 0.0], [f64::MAX, 1.0]]);
        assert!(svg(&endless, &frame()).contains("could not be drawn"));
        let tiny = Frame { width: 1, height: 1, ..frame() };
        assert!(svg(&series(&[[0.0, 1.0]]), &tiny).contains("could not be drawn"));
    }

    #[test]
    fn extreme_values_never_stop_the_drawing() {
        for value in [f64::MIN_POSITIVE, 5e-324, f64::EPSILON, 1e300, f64::MAX, -f64::MAX] {
            for at in [0.0, 1e-300, 1e12, 1e300] {
                assert!(!svg(&series(&[[0.0, 0.0], [at, value]]), &frame()).is_empty());
                assert!(!svg(&series(&[[-at, value], [at, value]]), &frame()).is_empty());
            }
        }
    }

    #[test]
    fn no_line_crosses_a_gap() {
        let mut cut = series(&[[0.0, 1.0], [10.0, 1.0], [40.0, 2.0], [50.0, 2.0]]);
        cut.gaps = vec![[10.0, 40.0]];
        assert_eq!(
            svg(&cut, &frame()).matches("<polyline").count()
                - svg(&series(&cut.points), &frame()).matches("<polyline").count(),
            1
        );
        assert!(svg(&cut, &frame()).contains("var(--gap"));
    }

    #[test]
    fn a_longer_baseline_is_cut_and_a_lone_one_is_drawn() {
        let mut lone = series(&[]);
        lone.baseline = vec![[0.0, 1.0], [500.0, 2.0]];
        assert!(svg(&lone, &frame()).contains("stroke-dasharray"));
        let cut =
            Plot::of(&SeriesReport { points: vec![[0.0, 1.0]], ..lone }, &frame()).map(|plot| (plot.x, plot.baseline.len()));
        assert_eq!(cut, Some((0.0..100.0, 1)));
    }

    #[test]
    fn hostile_names_and_units_are_escaped() {
        let hostile = SeriesReport { name: "\"><b>".into(), unit: "<i>".into(), ..series(&[[0.0, 1.0]]) };
        let drawn = svg(&hostile, &frame());
        assert!(!drawn.contains("<b>") && !drawn.contains("<i>"));
    }
}
