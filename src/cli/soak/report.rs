//! `soak report`.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::super::{Error, Io};
use super::Place;
use crate::api::soak::SoakRun;
use crate::soak::journal::picture;
use crate::soak::report::{self, html, junit, text};
use crate::store::Store;

/// Arguments of `soak report`.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Name of the run
    #[arg(value_name = "NAME")]
    name: String,
    /// As what
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One page that needs nothing else
    Html,
    /// Everything, for programs
    Json,
    /// JUnit XML: criteria and check results as test cases
    Junit,
}

impl Report {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let run = store.api::<SoakRun>().get(&self.name).await?;
        let (evidence, told) = self.place.evidence(&run)?;
        let baseline = self.place.baseline(&run, store).await?;
        let baseline = baseline.as_ref().map(|(name, evidence)| (name.as_str(), evidence));
        let report = report::Report::of(&evidence, baseline, &told).map_err(Error::No)?;
        let said = run.status.as_ref().and_then(|s| s.verdict);
        if said.is_some() && said != report.verdict {
            writeln!(io.err, "Warning: the status says {said:?}, the evidence {:?}", report.verdict)?;
        }
        let rendered = match self.output {
            Format::Text => text::render(&report),
            Format::Json => serde_json::to_string_pretty(&report).map_err(|e| Error::No(e.to_string()))? + "\n",
            Format::Junit => junit::render(&report).map_err(Error::No)?,
            Format::Html => {
                let names = report.checks.iter().flat_map(|c| &c.results).filter_map(|r| r.screenshot.as_ref());
                let directory = self.place.directory();
                let pictures: BTreeMap<_, _> =
                    names.filter_map(|name| Some((name.clone(), picture(&directory, &told, name)?))).collect();
                html::render(&report, &pictures)
            }
        };
        io.out.write_all(rendered.as_bytes())?;
        Ok(())
    }
}
