//! ScheduledSoak: soak runs by the clock, with the fields and the meaning of Kubernetes' CronJob.

use std::collections::BTreeMap;

use cronexpr::Crontab;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::soak::{SoakRun, SoakRunSpec};
use super::validate::{Check, quoted};
use super::{Object, Time, Violation, tags};

/// Soak runs by the clock. A run is made at most once for each time that the schedule names, whatever becomes of the controllers.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "ScheduledSoak",
    plural = "scheduledsoaks",
    shortname = "ssoak",
    shortname = "ss",
    category = "wicap",
    status = "ScheduledSoakStatus",
    derive = "PartialEq",
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Timezone", type_ = "string", json_path = ".spec.timeZone"),
    printcolumn(name = "Suspend", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastScheduleTime"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextScheduleTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledSoakSpec {
    /// When: minute, hour, day of the month, month, day of the week, as cron has them, such as `30 22 * * 1-5`.
    pub schedule: String,
    /// The time zone the schedule is read in, by its IANA name. UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What becomes of a run that is due while the one before it is not over.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How late a run may begin, in seconds. One that is later is missed. Without a bound the last one that was missed is made up for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub starting_deadline_seconds: Option<i64>,
    /// True: no run is made. What is due meanwhile is missed.
    #[serde(default)]
    pub suspend: bool,
    /// Runs that have passed and are kept, 0 to 1000; older ones are deleted, their evidence stays.
    #[serde(default = "three")]
    #[schemars(range(max = 1000))]
    pub successful_runs_history_limit: u32,
    /// Runs that have not passed and are kept, 0 to 1000.
    #[serde(default = "three")]
    #[schemars(range(max = 1000))]
    pub failed_runs_history_limit: u32,
    /// What is made.
    pub run_template: SoakRunTemplate,
}

fn three() -> u32 {
    3
}

/// What a scheduled run is like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakRunTemplate {
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its spec.
    pub spec: SoakRunSpec,
}

/// What becomes of a run that is due while the one before it is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// It is made all the same.
    Allow,
    /// It waits, until its deadline: two soaks of one stack say nothing of either.
    #[default]
    Forbid,
    /// The one before it is aborted.
    Replace,
}

/// What has become of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledSoakStatus {
    /// Generation of the spec this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The time, by the schedule, of the last run that was made or missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// When the last run that passed was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// When the next run is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// Names of the runs that are not over.
    #[serde(default)]
    pub active: Vec<String>,
    /// Runs that were due and were never made.
    #[serde(default)]
    pub missed: u64,
    /// What it waits for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl ScheduledSoakSpec {
    /// The schedule, read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn crontab(&self) -> Result<Crontab, String> {
        // Exactly five fields: the library would take a zone as a sixth.
        if self.schedule.split_whitespace().count() != 5 {
            return Err("five fields: minute, hour, day of the month, month, day of the week".to_owned());
        }
        let zone = self.time_zone.as_deref().unwrap_or("UTC");
        cronexpr::parse_crontab(&format!("{} {zone}", self.schedule))
            .map_err(|e| e.to_string().lines().last().unwrap_or_default().trim().to_owned())
    }
}

impl Object for ScheduledSoak {
    fn validate(&self) -> Vec<Violation> {
        let spec = &self.spec;
        let mut check = Check::new();
        if let Some(zone) = &spec.time_zone {
            let known = jiff::tz::TimeZone::get(zone).is_ok();
            check.that(known, "spec.timeZone", quoted(zone), "the IANA name of a time zone, such as \"Europe/Berlin\"");
        }
        let bare = ScheduledSoakSpec { time_zone: None, ..spec.clone() };
        if let Err(why) = bare.crontab() {
            check.that(
                false,
                "spec.schedule",
                quoted(&spec.schedule),
                format!("a cron schedule such as \"30 22 * * 1-5\"; {why}"),
            );
        }
        if let Some(deadline) = spec.starting_deadline_seconds {
            let fits = (0..=i64::from(i32::MAX)).contains(&deadline);
            check.that(fits, "spec.startingDeadlineSeconds", deadline.to_string(), "a number of seconds, 0 or more");
        }
        for (limit, name) in [
            (spec.successful_runs_history_limit, "successfulRunsHistoryLimit"),
            (spec.failed_runs_history_limit, "failedRunsHistoryLimit"),
        ] {
            check.that(limit <= 1000, format!("spec.{name}"), limit.to_string(), "a number from 0 to 1000");
        }
        let longest = self.name().len() <= NAME_MOST;
        check.that(
            longest,
            "metadata.name",
            quoted(self.name()),
            format!("at most {NAME_MOST} characters: a run's name is longer"),
        );
        check.all(tags::of_labels(&spec.run_template.labels).into_iter().map(|v| v.under("spec.runTemplate")).collect());
        let template = &spec.run_template.spec;
        for (set, name) in [(template.abort, "abort"), (template.finish, "finish"), (template.promoted, "promoted")] {
            check.that(
                !set,
                format!("spec.runTemplate.spec.{name}"),
                "true",
                "false: that is said of a run that is under way",
            );
        }
        let run = SoakRun::new("template", template.clone());
        check.all(run.validate().into_iter().map(|v| v.under("spec.runTemplate")).collect());
        check.finish()
    }
}

/// Longest name: that of a run has up to 12 characters more, for its time.
const NAME_MOST: usize = 200;
