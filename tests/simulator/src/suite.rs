//! `wicap-sim suite`: tests of a dashboard, as a job runs them: it asks, writes `JUnit` XML, and ends.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::http;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the suite does.
#[derive(Args, Clone, Debug)]
pub struct Suite {
    /// Where to write the results.
    #[arg(long)]
    pub junit: PathBuf,
    /// An address to GET: a test that passes when the status is 2xx. May be given several times.
    #[arg(long = "get")]
    pub gets: Vec<String>,
    /// Tests that are skipped.
    #[arg(long, default_value_t = 0)]
    pub skip: u32,
    /// Seconds that pass before the first test.
    #[arg(long, default_value_t = 0.0)]
    pub wait: f64,
}

/// Runs the tests. Exit code 0 when none failed, 1 when one did, 2 when the results cannot be written.
pub async fn run(suite: Suite) -> ExitCode {
    tokio::time::sleep(Duration::try_from_secs_f64(suite.wait).unwrap_or_default()).await;
    let mut cases = Vec::new();
    let mut failed = false;
    for url in &suite.gets {
        let wrong = match http::send(url, None, PATIENCE).await {
            Ok(status) if status.is_success() => None,
            Ok(status) => Some(format!("answered {status}")),
            Err(error) => Some(error.to_string()),
        };
        failed |= wrong.is_some();
        println!("{} GET {url} {}", if wrong.is_some() { "not ok" } else { "ok" }, wrong.as_deref().unwrap_or_default());
        let inner = wrong.map(|why| format!("<failure message=\"{}\"/>", escaped(&why))).unwrap_or_default();
        cases.push(format!("<testcase classname=\"dashboard\" name=\"GET {}\">{inner}</testcase>", escaped(url)));
    }
    cases.extend(
        (1..=suite.skip)
            .map(|number| format!("<testcase classname=\"dashboard\" name=\"skipped {number}\"><skipped/></testcase>")),
    );
    let xml = format!("<testsuites><testsuite name=\"dashboard\">{}</testsuite></testsuites>\n", cases.concat());
    match std::fs::write(&suite.junit, xml) {
        Ok(()) => ExitCode::from(u8::from(failed)),
        Err(error) => {
            eprintln!("wicap-sim: {}: {error}", suite.junit.display());
            ExitCode::from(2)
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
