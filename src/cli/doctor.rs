//! `doctor`: checks all that the system stands on, and says how to mend what is wrong.
//!
//! ```text
//!  gather (each with a time limit, none in another's way) ──▶ Facts ──▶ judge (pure) ──▶ Findings ──▶ text or JSON
//! ```
//!
//! # Layout
//! - [`facts`]: what is found out; [`gather`]: how
//! - [`finding`]: what a check comes to
//! - `store`, `docker`, `host`, [`controllers`], `policies`, `stacks`: the checks

pub(super) mod controllers;
mod docker;
pub(super) mod facts;
pub(super) mod finding;
pub(super) mod gather;
mod host;
mod policies;
mod stacks;
mod store;

use std::path::PathBuf;

use crate::api::stack::default_host;
use crate::cli::print::format::Output;
use crate::cli::print::table::harmless;
use crate::cli::progress::progress;
use crate::cli::{Error, Io, print};
use crate::clock::Clock;
use crate::store::embedded::data_dir::default_path;
use clap::Args;
use serde_json::json;

use crate::cli::called::Called;
use crate::cli::config::file::ConfigFile;
use crate::cli::config::resolve::Chosen;
use facts::Facts;
use finding::{Area, Finding, Outcome};
use gather::{Places, gather};

/// Width of the column of areas: the longest, and two blanks.
const AREA_WIDTH: usize = 13;

/// Where what is to be mended begins: behind the columns of results and areas.
const INDENT: usize = 6 + AREA_WIDTH;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The name of this host, as stacks have it in spec.host
    #[arg(long, env = "WICAP_HOST", default_value_t = default_host(), value_name = "NAME")]
    host: String,
    /// The Docker engine of this host
    #[arg(long, env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock", value_name = "URL")]
    docker: String,
    /// The data directory of this host's wicapd
    #[arg(long, value_name = "DIR", env = "WICAP_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Where copies of the store are kept; backups in the data directory when absent
    #[arg(long, value_name = "DIR")]
    backups: Option<PathBuf>,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

impl Doctor {
    /// Checks everything. A store that cannot be reached is one of the findings.
    ///
    /// # Errors
    /// [`Error::No`] when something fails.
    pub(super) async fn run(
        &self,
        chosen: &Chosen,
        file: &ConfigFile,
        called: &Called,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let data_dir = self.data_dir.clone().unwrap_or_else(default_path);
        let places = Places {
            host: self.host.clone(),
            docker: self.docker.clone(),
            backups: self.backups.clone().unwrap_or_else(|| data_dir.join("backups")),
            data_dir,
            config: file.path().to_owned(),
        };
        let clock = Clock::system();
        let facts = progress(io, "checking", gather(chosen, &places, &clock)).await;
        let mut findings = judge(&facts);
        for mend in findings.iter_mut().filter_map(|finding| finding.mend.as_mut()) {
            *mend = called.again(mend);
        }
        self.report(&findings, io)
    }

    fn report(&self, findings: &[Finding], io: &mut Io<'_>) -> Result<(), Error> {
        let count = |result: Outcome| findings.iter().filter(|f| f.result == result).count();
        let (ok, warnings, failed) = (count(Outcome::Ok), count(Outcome::Warn), count(Outcome::Fail));
        let shown: Vec<&Finding> = findings.iter().filter(|f| !io.manners.quiet || f.result != Outcome::Ok).collect();
        match self.output {
            Output::Json => {
                let summary = json!({"ok": ok, "warn": warnings, "fail": failed});
                print::json::pretty(io.out, &json!({"findings": shown, "summary": summary}))?;
            }
            Output::Text => {
                for finding in &shown {
                    write(finding, io)?;
                }
                if !shown.is_empty() {
                    let s = if warnings == 1 { "" } else { "s" };
                    writeln!(io.out, "{ok} ok, {warnings} warning{s}, {failed} failed")?;
                }
            }
        }
        if failed == 0 { Ok(()) } else { Err(Error::No(format!("{failed} of {} checks failed", findings.len()))) }
    }
}

fn write(finding: &Finding, io: &mut Io<'_>) -> Result<(), Error> {
    let (result, area) = (finding.result.as_str(), finding.area.as_str());
    let text = one_line(&format!("{}: {}", finding.checked, finding.found));
    writeln!(io.out, "{result:6}{area:AREA_WIDTH$}{text}")?;
    if let Some(mend) = &finding.mend {
        writeln!(io.out, "{:INDENT$}mend: {}", "", one_line(mend))?;
    }
    Ok(())
}

/// A finding is a line, whatever a message in it was.
fn one_line(text: &str) -> String {
    harmless(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// All checks, in the order of their areas.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = store::judge(facts);
    if let Err(why) = &facts.objects {
        findings.push(match facts.store {
            Ok(_) => {
                Finding::fail(Area::Store, "its objects can be read", why.clone(), "wicapctl get all says which cannot")
            }
            Err(_) => {
                let checked = "controllers, stops, policies and stacks";
                let found = "they were not looked at: they are in the store";
                Finding::warn(Area::Store, checked, found, "bring the store up, and ask again")
            }
        });
    }
    findings.extend(docker::judge(facts));
    findings.extend(host::judge(facts));
    findings.extend(controllers::judge(facts));
    findings.extend(policies::judge(facts));
    findings.extend(stacks::judge(facts));
    findings.sort_by_key(|finding| finding.area);
    findings
}

#[cfg(test)]
mod tests {
    use super::facts::fixtures::well;
    use super::*;

    fn said(quiet: bool, output: Output, findings: &[Finding]) -> (String, u8) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let doctor = Doctor { host: String::new(), docker: String::new(), data_dir: None, backups: None, output };
        let ended = doctor.report(
            findings,
            &mut Io { out: &mut out, err: &mut err, manners: crate::cli::Manners { quiet, ..Default::default() } },
        );
        (String::from_utf8(out).unwrap(), ended.err().map_or(0, |e| e.exit_code()))
    }

    #[test]
    fn a_system_that_is_well_has_findings_and_none_of_them_is_bad() {
        let findings = judge(&well());
        let bad: Vec<_> = findings.iter().filter(|f| f.result != Outcome::Ok).collect();
        assert!(findings.len() > 12 && bad.is_empty(), "{bad:?}");
        assert!(findings.is_sorted_by_key(|f| f.area));
        assert!(findings.iter().all(|f| f.mend.is_none()), "nothing is to be mended");
    }

    #[test]
    fn what_is_not_ok_says_how_it_is_mended_and_one_failure_is_exit_code_1() {
        let findings = [
            Finding::ok(Area::Store, "it answers", "yes"),
            Finding::warn(Area::Clocks, "the engine's", "3 s\nbehind \u{1b}[31m", "set it"),
        ];
        let (text, code) = said(false, Output::Text, &findings);
        let expected = "ok    store        it answers: yes\n\
                        warn  clocks       the engine's: 3 s behind \\u{1b}[31m\n                   mend: set it\n\
                        1 ok, 1 warning, 0 failed\n";
        assert_eq!((text.as_str(), code), (expected, 0));
        let failed = [Finding::fail(Area::Docker, "it answers", "no", "start it")];
        assert_eq!(said(true, Output::Text, &failed).1, 1);
        assert_eq!(said(true, Output::Text, &findings[..1]), (String::new(), 0));
        assert!(!said(true, Output::Text, &findings).0.contains("it answers"));
        let (text, _) = said(true, Output::Json, &failed);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected =
            json!({"area": "docker", "checked": "it answers", "result": "fail", "found": "no", "mend": "start it"});
        assert_eq!(document, json!({"findings": [expected], "summary": {"ok": 0, "warn": 0, "fail": 1}}));
    }

    #[test]
    fn without_the_store_the_rest_is_checked_all_the_same() {
        let mut facts = well();
        (facts.store, facts.objects) = (Err("gone".to_owned()), Err("gone".to_owned()));
        facts.projects = Err("gone".to_owned());
        let findings = judge(&facts);
        let areas: Vec<Area> = findings.iter().map(|f| f.area).collect();
        assert!([Area::Docker, Area::Compose, Area::Permissions, Area::Disk].iter().all(|a| areas.contains(a)));
        let bad: Vec<_> = findings.iter().filter(|f| f.result != Outcome::Ok).map(|f| f.checked.as_str()).collect();
        assert_eq!(bad, ["it answers", "controllers, stops, policies and stacks"]);
    }
}
