//! `soak`: a soak run and its session started together, its progress as it goes, its report, and its promotion to a baseline.

mod report;
mod start;
mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Error, Io};
use crate::api::soak::{EvidenceStatus, SoakRun, Verdict};
use crate::api::{GROUP, Object};
use crate::soak::evidence::Evidence;
use crate::soak::journal;
use crate::store::Store;
use crate::store::embedded::data_dir::default_path;

/// Arguments of `soak`.
#[derive(Debug, Args)]
pub struct Soak {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Start a run in a session that is opened for it: it permits what the run does, for as long as the run can take
    Start(start::Start),
    /// Print the report of a run, made from its recorded evidence
    Report(report::Report),
    /// Show how a run is going until it is over; exit code 0 when it has passed, else 1
    Watch(watch::Watch),
    /// Let other runs take this one, which has passed, for their baseline
    Promote(Promote),
}

/// Arguments of `soak promote`.
#[derive(Debug, Args)]
struct Promote {
    /// Name of the run
    #[arg(value_name = "NAME")]
    name: String,
}

/// Where the evidence of runs is.
#[derive(Debug, Args)]
struct Place {
    /// The data directory of the run's host, where the evidence is
    #[arg(long, value_name = "DIR", env = "WICAP_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl Soak {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.what {
            What::Start(start) => start.run(store, io).await,
            What::Report(report) => report.run(store, io).await,
            What::Watch(watch) => watch.run(store, io).await,
            What::Promote(promote) => promote.run(store, io).await,
        }
    }
}

impl Promote {
    async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let runs = store.api::<SoakRun>();
        let mut run = runs.get(&self.name).await?;
        let verdict = run.status.as_ref().and_then(|s| s.verdict);
        if verdict != Some(Verdict::Passed) {
            let word = verdict.map_or_else(|| "no verdict yet".to_owned(), |v| format!("the verdict {v:?}"));
            return Err(Error::No(format!(
                "soakrun.{GROUP}/{} has {word}: only a run that has passed can be a baseline",
                self.name
            )));
        }
        let word = if run.spec.promoted { "unchanged" } else { "promoted" };
        if !run.spec.promoted {
            run.spec.promoted = true;
            runs.replace(&run).await?;
        }
        writeln!(io.out, "soakrun.{GROUP}/{} {word}", self.name)?;
        Ok(())
    }
}

impl Place {
    fn directory(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_path)
    }

    /// What was recorded of a run.
    fn evidence(&self, run: &SoakRun) -> Result<(Evidence, EvidenceStatus), Error> {
        let told = run.status.as_ref().and_then(|s| s.evidence.clone());
        let told = told
            .ok_or_else(|| Error::No(format!("soakrun.{GROUP}/{} has not begun: there is nothing to tell", run.name())))?;
        let records = journal::read(&self.directory(), &told);
        let records =
            records.map_err(|e| Error::No(format!("the evidence of {} is on the host {}: {e}", run.name(), told.host)))?;
        Ok((Evidence::of(&records), told))
    }

    /// What was recorded of a run's baseline; none where it has none.
    async fn baseline(&self, run: &SoakRun, store: &Store) -> Result<Option<(String, Evidence)>, Error> {
        let Some(name) = &run.spec.baseline else { return Ok(None) };
        let baseline = store.api::<SoakRun>().get(name).await?;
        Ok(Some((name.clone(), self.evidence(&baseline)?.0)))
    }
}
