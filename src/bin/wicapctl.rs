//! `wicapctl`: arguments and start-up only; the verbs are in `wicap::cli`.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Command, FromArgMatches};
use wicap::cli::error::code;
use wicap::cli::manners::{Flags, Manners, Terminals};
use wicap::cli::paint::Environment;
use wicap::cli::{Cli, Io, completion, examples, interrupt, manners, usage};

/// As in the daemon: a list is a great many small pieces, which are read by one thread and let go by another.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    match completion::protocol::answer(wicap::cli::command, &mut out) {
        Ok(false) => {}
        Ok(true) | Err(_) => return ExitCode::SUCCESS,
    }
    let line: Vec<OsString> = std::env::args_os().collect();
    let mut command = examples::with_examples(wicap::cli::command()).color(manners::of_help(line.clone()));
    let matches = match command.try_get_matches_from_mut(&line) {
        Ok(matches) => matches,
        Err(e) => return usage(&e, &command, &line),
    };
    let cannot = |what: &str, e: io::Error| {
        let _ = writeln!(io::stderr(), "error: {what}: {e}");
        ExitCode::from(code::NO)
    };
    let told = match interrupt::listen() {
        Ok(told) => told,
        Err(e) => return cannot("signals cannot be listened to", e),
    };
    // What is asked for and read by tasks goes on beside this thread, which writes.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return cannot("the runtime cannot be started", e),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(e) => return usage(&e, &command, &line),
    };
    let environment = Environment::of(|name| std::env::var(name).ok());
    let flags = Flags::from_arg_matches(&matches).unwrap_or_default();
    let manners = Manners::decide(flags, Terminals::of_this_process(), environment);
    let mut err = io::stderr().lock();
    let ended = runtime.block_on(async {
        let mut io = Io { out: &mut out, err: &mut err, manners };
        tokio::select! {
            biased;
            code = cli.run(&mut io) => Ok(code),
            signal = told => Err(signal),
        }
    });
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(signal) => {
            let _ = out.flush();
            signal.map_or(ExitCode::from(code::NO), interrupt::Signal::die)
        }
    }
}

/// Says what is wrong with the command line, or the help that was asked for.
fn usage(error: &clap::Error, command: &Command, line: &[OsString]) -> ExitCode {
    match usage::words(error, command, line) {
        Some(words) => {
            let _ = writeln!(io::stderr(), "{words}");
        }
        None => {
            let _ = error.print();
        }
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(code::USAGE))
}
