//! `status`: how the stacks are, what is being done about it, and why not more, on one screen.
//!
//! ```text
//!  store ──read──▶ Objects ──draw (pure, now)──▶ Picture ──lines (pure, width)──▶ Page
//! ```
//!
//! Without a name: the one stack there is, or a line for each of several, worst first. As `systemctl` and `kubectl get` do, it ends with
//! 0 when it could tell how things are, however they are; `--exit-code` makes it 1 when a stack is not healthy.
//!
//! # Layout
//! - `objects`: what is read
//! - `picture`: what there is to be known at a glance, and the form of `-o json`
//! - `draw`: from objects to a picture; `verdict`: in a word and a sentence; `next`: the next step
//! - `lines`: from a picture to lines
//! - `live`: again and again
//! - `down`: what is known without the store

pub mod down;
mod draw;
mod lines;
mod live;
mod next;
pub mod objects;
pub mod picture;
#[cfg(test)]
pub(crate) mod tests;
mod verdict;

use crate::cli::print::format::Output;
use clap::Args;
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use super::called::Called;
use super::paint::Tone;
use super::print;
use super::print::page::{NARROWEST, Page, USUAL, plain};
use super::{Error, Io};
use crate::api::stop::ALL;
use crate::api::{Object, Time};
use crate::stop_file::StopFile;
use crate::store::embedded::data_dir::default_path;
use crate::store::{self, Store};

use down::Down;
pub use draw::draw;
use objects::Objects;
use picture::{Picture, State};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The stack; all when absent
    #[arg(value_name = "STACK")]
    stack: Option<String>,
    /// Go on, and show each change
    #[arg(short, long)]
    watch: bool,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// Exit code 1 when a stack is not healthy
    #[arg(long, conflicts_with = "watch")]
    exit_code: bool,
    /// Columns to lay out for, at least 40; the terminal's, or $COLUMNS, or 80 when absent
    #[arg(long, value_name = "COLUMNS", value_parser = columns)]
    width: Option<usize>,
}

/// A number of columns of a flag.
pub(crate) fn columns(text: &str) -> Result<usize, String> {
    let width: Option<usize> = text.parse().ok().filter(|width| *width >= NARROWEST);
    width.ok_or_else(|| format!("expected a number of columns, at least {NARROWEST}"))
}

/// What `status -o json` prints. With `--watch`, one on a line for each change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    /// When it was drawn.
    at: Time,
    /// Whether the store answered: then there are `stacks`, and `down` otherwise.
    reached: bool,
    /// The stacks, worst first.
    stacks: &'a [Picture],
    /// What is known without the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    down: Option<&'a Down>,
}

impl Status {
    /// Shows it.
    ///
    /// # Errors
    /// The store's, after what is known without it was shown; [`Error::No`] when a stack is not healthy and `--exit-code` is given.
    pub(super) async fn run(&self, store: &Store, called: &Called, io: &mut Io<'_>) -> Result<(), Error> {
        let width = self.width.unwrap_or_else(terminal_width);
        let found = Objects::read(store, self.stack.as_deref()).await;
        let objects = match found {
            Ok(objects) => objects,
            Err(e @ (store::Error::Unreachable { .. } | store::Error::Ambiguous { .. })) => {
                let down = Down::look(store.url(), reason_of(&e)).with_flags_of(called);
                self.show_down(&down, store.clock().now(), width, io)?;
                return Err(e.into());
            }
            Err(e) => return Err(e.into()),
        };
        if self.watch {
            return self.live(objects, store, called, io).await;
        }
        let objects = with_stop_file(objects, store);
        let pictures = with_flags_of(pictures(&objects, store.clock().now()), called);
        match self.output {
            Output::Json => print::json::pretty(io.out, &report(&pictures, store.clock().now())?)?,
            Output::Text => page(&pictures, width).write(io.out, io.manners.paint)?,
        }
        let ailing: Vec<_> = pictures.iter().filter(|p| p.state != State::Healthy).collect();
        match ailing.first() {
            Some(worst) if self.exit_code => Err(Error::No(format!(
                "{} of {} stacks not healthy; {} is {:?}",
                ailing.len(),
                pictures.len(),
                worst.stack,
                worst.state
            ))),
            _ => Ok(()),
        }
    }

    fn show_down(&self, down: &Down, at: Time, width: usize, io: &mut Io<'_>) -> Result<(), Error> {
        match self.output {
            Output::Json => {
                let report = Report { at, reached: false, stacks: &[], down: Some(down) };
                print::json::pretty(io.out, &serde_json::to_value(report).map_err(std::io::Error::other)?)?;
            }
            Output::Text => down.screen(width).write(io.out, io.manners.paint)?,
        }
        Ok(())
    }
}

fn report(pictures: &[Picture], at: Time) -> Result<serde_json::Value, Error> {
    let report = Report { at, reached: true, stacks: pictures, down: None };
    serde_json::to_value(report).map_err(|e| std::io::Error::other(e).into())
}

/// The whole of one stack, when one is asked about or there is one; a list otherwise.
fn page(pictures: &[Picture], width: usize) -> Page {
    match pictures {
        [] => {
            let mut page = Page::new(width);
            page.text(&[plain("There is no stack yet. Declare one:")]);
            page.unbroken(Tone::Strong, "wicapctl apply -f STACK.json");
            page
        }
        [one] => lines::screen(one, width),
        several => lines::list(several, width),
    }
}

/// The stop file of this host's daemon counts as the stop that the daemon makes of it as soon as it can.
fn with_stop_file(mut objects: Objects, store: &Store) -> Objects {
    let file = store.url().is_local().then(|| StopFile::of(&default_path()).as_stop()).flatten();
    let known = objects.stops.iter().any(|stop| stop.name() == ALL);
    objects.stops.extend(file.filter(|_| !known));
    objects
}

/// The pictures of all the stacks that were read, worst first.
#[must_use]
pub fn pictures(objects: &Objects, now: Time) -> Vec<Picture> {
    let mut pictures: Vec<_> = objects.stacks.iter().map(|stack| draw(objects, stack, now)).collect();
    pictures.sort_by(|a, b| (a.state, &a.stack).cmp(&(b.state, &b.stack)));
    pictures
}

/// The same, with what is to be done next as this command was called.
fn with_flags_of(pictures: Vec<Picture>, called: &Called) -> Vec<Picture> {
    let one = |mut picture: Picture| {
        picture.next = picture.next.with_flags_of(called);
        for fix in picture.blocked.iter_mut().filter_map(|blocked| blocked.fix.as_mut()) {
            *fix = called.again(fix);
        }
        picture
    };
    pictures.into_iter().map(one).collect()
}

/// The store's own words, without its address.
fn reason_of(error: &store::Error) -> String {
    match error {
        store::Error::Unreachable { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

/// The width of the terminal, or else what the environment says it is, or else the usual one.
pub(crate) fn terminal_width() -> usize {
    let terminal = tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.filter(|width| *width > 0).or_else(told).unwrap_or(USUAL).max(NARROWEST)
}
