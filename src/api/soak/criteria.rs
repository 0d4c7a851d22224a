//! What a run must have shown.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formula::Formula;
use crate::api::validate::{Check, quoted};

/// What a run must have shown. Every bound is checked; one that does not hold makes the verdict Failed, one that cannot be judged
/// makes it Error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Criteria {
    /// Least share of passed results of each check, 0 to 1. A check without any passed result fails the run whatever this says.
    #[serde(default = "all_of_them")]
    pub min_pass_rate: f64,
    /// The most restarts of all services together, by whomever, while soaking.
    #[serde(default)]
    pub max_restarts: u32,
    /// The most actions of others than the run on the stack while soaking; not judged when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_recoveries: Option<u32>,
    /// The leak detector; not asked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaks: Option<Leaks>,
    /// Bounds on what was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<Criterion>,
}

/// The leak detector: a curve leaks when it rises steadily, and by more than it may. Its rise is the median of the slopes between all
/// pairs of its points (Theil and Sen), which a few outliers do not move; it is steady when the ranks say so (Mann and Kendall)
/// with less than one chance in a hundred to be wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Leaks {
    /// The most a curve may rise over the soak, as a share of where it began, such as 0.3.
    #[serde(default = "thirty_percent")]
    pub max_growth: f64,
    /// The curves, such as `ui/memory`; every service's memory when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<String>,
}

/// A bound on a number that is made from what was recorded. At least one of `min` and `max` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Criterion {
    /// Its name, unique in the run.
    pub name: String,
    /// A CEL expression that gives a number. It knows the functions `min`, `max`, `mean`, `percentile` (a series and 0 to 100),
    /// `slopePerHour`, `growth`, `leak`, `ratioToStart`, `ratioToBaseline`, `first`, `last` and `count` of a series, and `passRate` of a
    /// check, `restarts` of a service. A series is named by a text, such as `mean('ui/eps')`; the answers of a check are
    /// `check:NAME/latency`, in milliseconds.
    pub value: String,
    /// The least it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

fn all_of_them() -> f64 {
    1.0
}

/// What WICAP's operators call a regression of the dashboard's memory.
fn thirty_percent() -> f64 {
    0.3
}

impl Default for Criteria {
    fn default() -> Self {
        Self { min_pass_rate: 1.0, max_restarts: 0, max_recoveries: None, leaks: None, expressions: Vec::new() }
    }
}

/// Most expressions of a run, and most series that are named for the leak detector.
const MOST: usize = 50;

impl Criteria {
    pub(super) fn validate(&self, check: &mut Check, has_baseline: bool) {
        let rate = self.min_pass_rate;
        check.that((0.0..=1.0).contains(&rate), "spec.criteria.minPassRate", rate.to_string(), "a number from 0 to 1");
        if let Some(leaks) = &self.leaks {
            let growth = leaks.max_growth;
            let path = "spec.criteria.leaks";
            check.that(
                (0.0..=1000.0).contains(&growth),
                format!("{path}.maxGrowth"),
                growth.to_string(),
                "a share from 0 to 1000",
            );
            let count = leaks.series.len();
            check.that(count <= MOST, format!("{path}.series"), format!("{count} series"), format!("at most {MOST}"));
            for (i, name) in leaks.series.iter().enumerate() {
                check.that(is_series(name), format!("{path}.series[{i}]"), quoted(name), "a series, such as \"ui/memory\"");
            }
        }
        let (count, path) = (self.expressions.len(), "spec.criteria.expressions");
        check.that(count <= MOST, path, format!("{count} expressions"), format!("at most {MOST}"));
        let mut seen = HashSet::new();
        for (i, criterion) in self.expressions.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let name = &criterion.name;
            check.service(&format!("{path}.name"), name);
            check.that(
                seen.insert(name.as_str()),
                format!("{path}.name"),
                format!("{} a second time", quoted(name)),
                "each criterion once",
            );
            criterion.validate(check, &path, has_baseline);
        }
    }
}

impl Criterion {
    fn validate(&self, check: &mut Check, path: &str, has_baseline: bool) {
        let bounds = [self.min, self.max];
        check.that(bounds.iter().any(Option::is_some), path, "neither min nor max", "at least one of them");
        check.that(
            bounds.iter().flatten().all(|bound| bound.is_finite()),
            path,
            "a bound that is no number",
            "finite numbers",
        );
        if let [Some(min), Some(max)] = bounds {
            check.that(min <= max, format!("{path}.min"), min.to_string(), format!("at most max, {max}"));
        }
        match Formula::compile(&self.value) {
            Ok(formula) => check.that(
                has_baseline || !formula.needs_baseline(),
                format!("{path}.value"),
                quoted(&self.value),
                "an expression without ratioToBaseline, or spec.baseline",
            ),
            Err(why) => check.that(false, format!("{path}.value"), quoted(&self.value), format!("a CEL expression {why}")),
        }
    }
}

/// `SERVICE/NAME`, or `check:NAME/latency`.
pub(super) fn is_series(name: &str) -> bool {
    name.len() <= 200 && name.split_once('/').is_some_and(|(of, what)| !of.is_empty() && !what.is_empty())
}
