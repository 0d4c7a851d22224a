//! `top signatures`: what a stack's logs say most, or worst.

use clap::{Args, ValueEnum};

use crate::api::log_report::{LogReport, SignatureState, SignatureStatus};
use crate::cli::print::age;
use crate::cli::print::table::{Table, harmless};
use crate::cli::{Error, Io};
use crate::store::{self, Store};

/// Arguments of `top signatures`.
#[derive(Debug, Args)]
pub struct Signatures {
    /// The stack
    #[arg(value_name = "STACK")]
    stack: String,
    /// What comes first
    #[arg(long, value_enum, default_value_t = Order::Severity)]
    sort_by: Order,
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// No line with the names of the columns
    #[arg(long)]
    no_headers: bool,
}

/// What comes first.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// The severest, then those that are new or spike.
    Severity,
    /// The most lines in the last ten minutes.
    Rate,
    /// The most lines so far.
    Count,
}

impl Signatures {
    pub async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let report = store.api::<LogReport>().get(&self.stack).await.map_err(|error| match error {
            store::Error::NotFound { .. } => Error::No(format!(
                "nothing is known of the logs of {:?}: is there such a stack, does spec.logs.follow hold, and does its host run signals?",
                self.stack
            )),
            other => other.into(),
        })?;
        let status = report.status.unwrap_or_default();
        let now = store.clock().now();
        let mut signatures: Vec<&SignatureStatus> =
            status.signatures.iter().filter(|s| self.service.as_ref().is_none_or(|name| s.service == *name)).collect();
        match self.sort_by {
            // As they are reported.
            Order::Severity => {}
            Order::Rate => signatures.sort_by_key(|s| std::cmp::Reverse(lately(s))),
            Order::Count => signatures.sort_by_key(|s| std::cmp::Reverse(s.count)),
        }
        let header = ["SEVERITY", "STATE", "SERVICE", "10M", "COUNT", "LAST", "SIGNATURE", "TEMPLATE"];
        let mut rows: Vec<Vec<String>> = if self.no_headers { Vec::new() } else { vec![header.map(str::to_owned).into()] };
        rows.extend(signatures.into_iter().map(|s| {
            let state = if s.state == SignatureState::Steady { String::new() } else { format!("{:?}", s.state) };
            vec![
                format!("{:?}", s.severity),
                state,
                s.service.clone(),
                lately(s).to_string(),
                s.count.to_string(),
                age::age(s.last_seen, now),
                s.rule.clone().unwrap_or_else(|| s.id.clone()),
                s.template.clone(),
            ]
        }));
        Table::list().write(io.out, &rows)?;
        for log in &status.unreadable {
            writeln!(io.err, "warning: the log of {} cannot be read: {}", log.service, harmless(&log.reason))?;
        }
        if status.dropped > 0 {
            writeln!(io.err, "warning: {} lines came faster than they are looked at, and were not", status.dropped)?;
        }
        Ok(())
    }
}

/// Lines in the last ten full minutes.
fn lately(signature: &SignatureStatus) -> u64 {
    signature.minutes.iter().map(|n| u64::from(*n)).sum()
}
