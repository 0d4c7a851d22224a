//! What is asked of a stack while it soaks.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::script::WebDriver;
use crate::api::Duration;
use crate::api::stack::HttpGet;
use crate::api::stack::rules::validate_http;
use crate::api::validate::{Check, quoted};

/// One check. The first is due when the soak begins, the last at its very end. Exactly one of `httpGet`,
/// `webdriver` and `job` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakCheck {
    /// Its name, unique in the run.
    pub name: String,
    /// Passes when a GET answers as expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// Passes when a browser finds what the script demands. It needs a WebDriver server, and more time than the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webdriver: Option<WebDriver>,
    /// Name of a job of the stack (`spec.jobs` of the WicapStack), which passes when at least one of its tests passes and none fails. It
    /// is run as an action `run_job` under the run's session, and needs more time than the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Time from one check to the next.
    pub period: Duration,
    /// Time after which an unanswered check has failed.
    #[serde(default = "five_seconds")]
    pub timeout: Duration,
    /// How often a check that could not be made is tried again at once, 0 to 5. One that was made and failed is not.
    #[serde(default = "once")]
    #[schemars(range(max = 5))]
    pub retries: u32,
}

fn five_seconds() -> Duration {
    std::time::Duration::from_secs(5).into()
}

fn once() -> u32 {
    1
}

impl SoakCheck {
    /// What kind of check it is: the name of the field that is set.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match (&self.webdriver, &self.job) {
            (Some(_), _) => "webdriver",
            (None, Some(_)) => "job",
            (None, None) => "httpGet",
        }
    }

    /// Whether it is cheap enough to be asked again and again while a stack warms up.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.http_get.is_some()
    }
}

/// Most checks of a run.
const MOST: usize = 50;

pub(super) fn validate_checks(check: &mut Check, checks: &[SoakCheck], has_session: bool) {
    check.that(!checks.is_empty(), "spec.checks", "an empty list", "at least one check: nothing asked proves nothing");
    check.that(checks.len() <= MOST, "spec.checks", format!("{} checks", checks.len()), format!("at most {MOST}"));
    let mut seen = HashSet::new();
    for (i, c) in checks.iter().enumerate() {
        let path = format!("spec.checks[{i}]");
        check.service(&format!("{path}.name"), &c.name);
        check.that(
            seen.insert(c.name.as_str()),
            format!("{path}.name"),
            format!("{} a second time", quoted(&c.name)),
            "each check once",
        );
        let expected = "exactly one of httpGet, webdriver and job";
        match (&c.http_get, &c.webdriver, &c.job) {
            (Some(http), None, None) => validate_http(check, &format!("{path}.httpGet"), http, c.timeout),
            (None, Some(script), None) => check.all(script.violations(&format!("{path}.webdriver"))),
            (None, None, Some(job)) => {
                check.service(&format!("{path}.job"), job);
                check.action_timeout(&format!("{path}.timeout"), c.timeout);
                let found = format!("the job {} and no session", quoted(job));
                check.that(has_session, "spec.session", found, "the name of a ControlSession: a job is an action");
            }
            (None, None, None) => check.that(false, path.clone(), "none of them", expected),
            _ => check.that(false, path.clone(), "several of them", expected),
        }
        check.that(
            c.period.to_std() >= std::time::Duration::from_secs(1),
            format!("{path}.period"),
            format!("\"{}\"", c.period),
            "a duration of \"1s\" or more",
        );
        if c.job.is_none() {
            check.positive(&format!("{path}.timeout"), c.timeout);
        }
        check.that(c.retries <= 5, format!("{path}.retries"), c.retries.to_string(), "a number from 0 to 5");
    }
}
