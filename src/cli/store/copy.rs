//! `store copy`: all objects from one store into another.

use clap::Args;

use super::interruption;
use crate::cli::interrupt;
use crate::cli::print::table::Table;
use crate::cli::{Error, Io};
use crate::clock::Clock;
use crate::store::copy::{self, Amount, Failure, Report, Undone, copy, preview};
use crate::store::{Store, StoreUrl};

/// Arguments of `store copy`.
#[derive(Debug, Args)]
#[command(about = "Copy all objects from one store into another one, which must be empty", long_about = LONG)]
pub struct Copy {
    /// The store to copy from: embedded, unix:///PATH or http(s)://HOST:PORT[,…][/KEY-PREFIX]
    #[arg(long, value_name = "URL")]
    from: StoreUrl,
    /// The store to copy into
    #[arg(long, value_name = "URL")]
    to: StoreUrl,
    /// Only say what would be copied
    #[arg(long)]
    dry_run: bool,
}

const LONG: &str = "\
Copy all objects from one store into another one, which must be empty

Stop the controllers of both stores first: a source that changes meanwhile is found out, and what was written is removed again. \
The copy is compared with the source, key by key, before it is called one. Events keep the time that they have left; who leads is \
not copied. Revisions, and with them resourceVersions, start anew. --store is not looked at.";

impl Copy {
    pub(super) async fn run(&self, io: &mut Io<'_>) -> Result<(), Error> {
        // It tidies up after itself.
        let _signals = interrupt::hold();
        let stop = interruption()?;
        let source = Store::connect(&self.from, Clock::system()).await?;
        let target = Store::connect(&self.to, Clock::system()).await?;
        let (verb, report) = if self.dry_run {
            ("would be copied", preview(&source, &target, &stop).await?)
        } else {
            match copy(&source, &target, &stop).await {
                Ok(report) => ("copied", report),
                Err(Failure { cause, undone }) => {
                    match undone {
                        Undone::Removed(0) => {}
                        Undone::Removed(keys) => {
                            writeln!(io.err, "the {keys} keys written to {} were removed again", self.to)?;
                        }
                        Undone::Left { written, reason } => writeln!(
                            io.err,
                            "Warning: of {written} keys written to {}, some are left, for they could not be removed: {reason}",
                            self.to
                        )?,
                    }
                    return Err(cause.into());
                }
            }
        };
        self.print(&report, verb, io)
    }

    fn print(&self, report: &Report, verb: &str, io: &mut Io<'_>) -> Result<(), Error> {
        let mut rows = vec![["KIND", "KEYS", "BYTES"].map(str::to_owned).to_vec()];
        let row = |(kind, amount): (&String, &Amount)| vec![kind.clone(), amount.keys.to_string(), amount.bytes.to_string()];
        rows.extend(report.kinds.iter().map(row));
        Table::list().write(io.out, &rows)?;
        let Amount { keys, bytes } = report.total();
        let leases = report.leases;
        write!(
            io.out,
            "{keys} keys, {bytes} bytes, {leases} leases {verb} from {} at revision {}",
            self.from, report.source_revision
        )?;
        if report.target_revision > 0 {
            write!(io.out, " to {} at revision {}", self.to, report.target_revision)?;
        } else {
            write!(io.out, " to {}", self.to)?;
        }
        writeln!(io.out)?;
        if report.leaders + report.lapsed > 0 {
            let (leaders, lapsed) = (report.leaders, report.lapsed);
            writeln!(io.out, "left out: {leaders} keys of leaders, {lapsed} keys whose time was up")?;
        }
        Ok(())
    }
}

impl From<copy::Error> for Error {
    fn from(error: copy::Error) -> Self {
        use copy::Error as E;
        match error {
            E::Store(error) => error.into(),
            E::Occupied { .. } | E::Changed { .. } | E::Differs { .. } | E::NotText { .. } => {
                Self::Refused(vec![format!("error: {error}")])
            }
            E::Nothing { .. } | E::Compacted { .. } | E::Interrupted => Self::No(error.to_string()),
        }
    }
}
