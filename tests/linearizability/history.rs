//! What clients have asked of a key and what they were answered, and whether one order of it all explains that.
//!
//! The search is that of Wing and Gong, in the form that goes through a history in the order of its time: it keeps every state
//! in which the key can be, with the requests that have taken effect before they were answered, and when an answer comes lets
//! those take effect that are under way until the one that was answered has. States that are the same are looked at once.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;

/// What may be asked of one key. No value is written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Get,
    Put(u64),
    Delete,
    /// Puts the value if the key was last changed at the revision; 0 is a key that is not there.
    Swap {
        revision: i64,
        value: u64,
    },
}

impl Asked {
    pub fn writes(self) -> Option<u64> {
        match self {
            Self::Put(value) | Self::Swap { value, .. } => Some(value),
            Self::Get | Self::Delete => None,
        }
    }
}

/// A value, and the revision that it was put at.
pub type Found = Option<(u64, i64)>;

/// What an answer says. Every request also asks for what it found, so that an order has little room to be wrong in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The revision of the whole store, in the header.
    pub revision: i64,
    /// What was there of each key that was asked for. A put that succeeds says what it replaced.
    pub found: Vec<Found>,
    /// Whether it changed its keys.
    pub changed: bool,
}

/// A request, and when it was sent and answered in the order of all that happened. One that was never answered may take effect
/// at any time after it was sent, or never.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked of each key: of one, of all in a range read, of two in a transaction, which changes both or none.
    pub asked: Vec<(usize, Asked)>,
    pub sent: usize,
    pub answered: Option<(usize, Answer)>,
}

impl Request {
    /// What it has to do with one key.
    fn part(&self, key: usize) -> Option<Part> {
        let at = self.asked.iter().position(|(of, _)| *of == key)?;
        let answered = self.answered.as_ref();
        let told = answered.map(|(time, a)| (*time, Told { revision: a.revision, found: a.found[at], changed: a.changed }));
        // A transaction may have left a key alone because of its other one.
        let refused = self.asked.len() > 1 && told.is_some_and(|(_, told)| !told.changed);
        let asked = if refused { Asked::Get } else { self.asked[at].1 };
        Some(Part { asked, sent: self.sent, answered: told })
    }
}

/// An answer, as far as it is about one key.
#[derive(Clone, Copy, Debug)]
struct Told {
    revision: i64,
    found: Found,
    changed: bool,
}

/// A request, as far as it is about one key.
#[derive(Clone, Copy, Debug)]
struct Part {
    asked: Asked,
    sent: usize,
    answered: Option<(usize, Told)>,
}

/// Writes down requests of many clients.
#[derive(Debug, Default)]
pub struct History(Mutex<(usize, Vec<Request>)>);

impl History {
    /// Called before it is sent; returns its number.
    pub fn begin(&self, asked: Vec<(usize, Asked)>) -> usize {
        let mut history = self.0.lock().unwrap();
        let (time, requests) = &mut *history;
        *time += 1;
        requests.push(Request { asked, sent: *time, answered: None });
        requests.len() - 1
    }

    /// Called after its answer was received.
    pub fn answered(&self, number: usize, answer: Answer) {
        let mut history = self.0.lock().unwrap();
        let (time, requests) = &mut *history;
        *time += 1;
        requests[number].answered = Some((*time, answer));
    }

    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

/// What a key may be at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    value: Option<u64>,
    /// When it was last changed. If that was by a request that was never answered, nobody was told: then it is later than this,
    /// until somebody sees it.
    revision: i64,
    guessed: bool,
}

impl State {
    /// What it is once a request has taken effect, if that can be: with its answer, or without any.
    fn after(mut self, asked: Asked, answer: Option<Told>) -> Option<Self> {
        let Some(answer) = answer else {
            return match asked {
                Asked::Get => None,
                Asked::Put(value) => Some(self.guess(Some(value))),
                Asked::Delete => self.value.map(|_| self.guess(None)),
                Asked::Swap { revision, value } => {
                    let may = match (self.value, self.guessed) {
                        (None, _) => revision == 0,
                        (Some(_), true) => revision > self.revision,
                        (Some(_), false) => revision == self.revision,
                    };
                    may.then(|| self.guess(Some(value)))
                }
            };
        };
        match (answer.found, self.value) {
            (None, None) => {}
            (Some((found, revision)), Some(value)) if found == value => {
                if revision < self.revision || (revision == self.revision) == self.guessed {
                    return None;
                }
                if revision > self.revision && !self.guessed {
                    return None;
                }
                self = Self { revision, guessed: false, ..self };
            }
            _ => return None,
        }
        let changes = match asked {
            Asked::Get => false,
            Asked::Put(_) => true,
            Asked::Delete => self.value.is_some(),
            Asked::Swap { revision, .. } => revision == self.value.map_or(0, |_| self.revision),
        };
        // A revision is never given twice, nor is an older one given after it.
        let in_order =
            if changes || self.guessed { answer.revision > self.revision } else { answer.revision >= self.revision };
        if changes != answer.changed || !in_order {
            return None;
        }
        Some(if changes { Self { value: asked.writes(), revision: answer.revision, guessed: false } } else { self })
    }

    fn guess(self, value: Option<u64>) -> Self {
        Self { value, guessed: true, ..self }
    }
}

/// Whether there is an order of the requests of each key that explains every answer, and the revisions agree with it; else
/// what cannot be explained.
pub fn check(requests: &[Request]) -> Result<(), String> {
    revisions(requests)?;
    let keys: BTreeSet<usize> = requests.iter().flat_map(|request| &request.asked).map(|(key, _)| *key).collect();
    keys.into_iter().try_for_each(|key| {
        let parts: Vec<Part> = requests.iter().filter_map(|request| request.part(key)).collect();
        linearize(&parts).map_err(|wrong| format!("key {key}: {wrong}"))
    })
}

/// How many of the requests that were answered were sent while another was under way.
pub fn overlapping(requests: &[Request]) -> usize {
    let mut last = 0;
    let times = requests.iter().filter_map(|request| request.answered.as_ref().map(|(at, _)| (request.sent, *at)));
    let beside = times.filter(|(sent, answered)| {
        let beside = *sent < last;
        last = last.max(*answered);
        beside
    });
    beside.count()
}

/// Revisions are those of the whole store. So an answer, whatever its key, is of no earlier one than any answer that came before
/// it was asked for, and of a later one if it changed something.
fn revisions(requests: &[Request]) -> Result<(), String> {
    let mut answers: Vec<(usize, i64)> =
        requests.iter().filter_map(|one| one.answered.as_ref().map(|(at, a)| (*at, a.revision))).collect();
    answers.sort_unstable();
    let mut newest = 0;
    let newest: Vec<(usize, i64)> = answers
        .into_iter()
        .map(|(at, revision)| {
            newest = revision.max(newest);
            (at, newest)
        })
        .collect();
    for request in requests {
        let before = newest.partition_point(|(at, _)| *at < request.sent);
        let Some((_, known)) = before.checked_sub(1).map(|index| newest[index]) else { continue };
        if let Some((_, answer)) = &request.answered
            && answer.revision < known + i64::from(answer.changed)
        {
            return Err(format!("revision {known} was known before this was asked: {request:?}"));
        }
    }
    Ok(())
}

/// The requests of one key.
fn linearize(requests: &[Part]) -> Result<(), String> {
    let mut seen: HashSet<u64> = HashSet::new();
    for request in requests {
        seen.extend(request.answered.and_then(|(_, answer)| answer.found).map(|(value, _)| value));
    }
    let mut times: Vec<(usize, usize)> = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        // Whatever changes a key says what it found. So a value that nobody has found was the last one, or never there.
        if request.answered.is_none() && request.asked.writes().is_some_and(|value| !seen.contains(&value)) {
            continue;
        }
        times.push((request.sent, number));
        times.extend(request.answered.map(|(at, _)| (at, number)));
    }
    times.sort_unstable();
    let mut under_way: BTreeSet<usize> = BTreeSet::new();
    let mut possible = HashSet::from([(State::default(), BTreeSet::new())]);
    for (time, number) in times {
        if time == requests[number].sent {
            under_way.insert(number);
            continue;
        }
        let mut looked_at = possible.clone();
        let mut left: Vec<_> = possible.drain().collect();
        while let Some((state, mut done)) = left.pop() {
            if done.remove(&number) {
                possible.insert((state, done));
                continue;
            }
            let left_over = |other: &&usize| !done.contains(*other);
            // Which of several deletions without an answer it was nobody can tell, so it was the first: else there would be
            // as many explanations as there are ways to choose among them.
            let lost = |other: usize| requests[other].asked == Asked::Delete && requests[other].answered.is_none();
            let first = under_way.iter().filter(left_over).find(|other| lost(**other));
            for other in under_way.iter().filter(left_over).filter(|other| !lost(**other) || first == Some(*other)) {
                let answer = requests[*other].answered.map(|(_, answer)| answer);
                if let Some(after) = state.after(requests[*other].asked, answer) {
                    let mut done = done.clone();
                    done.insert(*other);
                    if looked_at.insert((after, done.clone())) {
                        left.push((after, done));
                    }
                }
            }
        }
        under_way.remove(&number);
        if possible.is_empty() {
            let beside: Vec<&Part> = under_way.iter().map(|other| &requests[*other]).collect();
            return Err(format!("no order explains {:?}; under way beside it: {beside:?}", requests[number]));
        }
    }
    Ok(())
}
