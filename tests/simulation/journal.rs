//! What happened in a history, in its order: for people who read a trace, and for the judge.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Since the history's beginning.
    pub at: Duration,
    pub who: String,
    pub what: String,
}

/// A call that changes something, as it arrived at the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    pub at: Duration,
    /// The process that called.
    pub process: String,
    /// `start`, `restart`, `stop`, `up`, `recreate` or `down`.
    pub verb: &'static str,
    pub services: Vec<String>,
}

/// What happened. Clones are the same one.
#[derive(Clone)]
pub struct Journal {
    begun: Instant,
    lines: Arc<Mutex<Vec<Line>>>,
    deeds: Arc<Mutex<Vec<Deed>>>,
}

impl Journal {
    pub fn new() -> Self {
        Self { begun: Instant::now(), lines: Arc::default(), deeds: Arc::default() }
    }

    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn say(&self, who: &str, what: &str) {
        let line = Line { at: self.now(), who: who.to_owned(), what: what.to_owned() };
        self.lines.lock().unwrap().push(line);
    }

    pub fn did(&self, process: &str, verb: &'static str, services: &[String]) {
        self.say(process, &format!("calls {verb} {}", services.join(" ")));
        let deed = Deed { at: self.now(), process: process.to_owned(), verb, services: services.to_vec() };
        self.deeds.lock().unwrap().push(deed);
    }

    pub fn deeds(&self) -> Vec<Deed> {
        self.deeds.lock().unwrap().clone()
    }

    /// The trace, one line each.
    pub fn trace(&self) -> Vec<String> {
        let line = |l: &Line| format!("{:>10.3} {:<12} {}", l.at.as_secs_f64(), l.who, l.what);
        self.lines.lock().unwrap().iter().map(line).collect()
    }
}
