//! `wicapctl`: arguments and start-up only; the verbs are in `wicap::cli`.

#![forbid(unsafe_code)]

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use wicap::cli::{Cli, Io};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            let _ = writeln!(io::stderr(), "error: the runtime cannot be started: {e}");
            return ExitCode::from(wicap::cli::error::code::NO);
        }
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut err = io::stderr().lock();
    ExitCode::from(runtime.block_on(cli.run(&mut Io { out: &mut out, err: &mut err })))
}
