//! A history in lock step on both sides: each operation is answered by both before the next, so that everything but the watches is
//! in one order. The watches are compared whenever both sides have nothing more to say.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Instant;

use super::answer::{Answer, same};
use super::burst::{erasure, everything, ordered_keys, ordered_notes, outcome};
use super::generator::Generator;
use super::operation::{Bytes, Change, Operation, Put};
use super::peer::Peer;
use super::side::Side;
use super::streams::BOOKKEEPING;

/// How many operations may pass until the watches are compared at the latest.
const SETTLE_EVERY: usize = 200;

/// How much of a history is shown with a difference.
const SHOWN: usize = 20;

/// Changes an answer of the second side, by the number of the operation: the proof that a difference is found.
pub type Tamper = fn(usize, &mut Answer);

/// The first thing that the two sides did not agree on.
#[derive(Debug)]
pub struct Difference {
    pub seed: u64,
    pub index: usize,
    operation: String,
    left: String,
    right: String,
    before: Vec<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "the {SHOWN} operations before:")?;
        for line in &self.before {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {}, operation {}: {}", self.seed, self.index, self.operation)?;
        writeln!(f, "  etcd:  {}", self.left)?;
        writeln!(f, "  other: {}", self.right)?;
        write!(f, "again with: hack/differential {} {}", self.index + 1, self.seed)
    }
}

/// How often a history came to what is rare in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Covered {
    pub bursts: usize,
    pub restarts: usize,
    pub full: usize,
    /// The most revisions that a watch went back.
    pub furthest: i64,
}

struct Run {
    began: Instant,
    covered: Covered,
    generator: Generator,
    left: Side,
    right: Side,
    tamper: Option<Tamper>,
    recent: VecDeque<String>,
}

/// Runs one history of that many operations; the first side is the one that knows.
pub async fn run(
    seed: u64,
    operations: usize,
    left: Peer,
    right: Peer,
    tamper: Option<Tamper>,
) -> Result<Covered, Box<Difference>> {
    let (left, right) = (Side::new(left).await, Side::new(right).await);
    let (began, covered) = (Instant::now(), Covered::default());
    let mut run = Run { began, covered, generator: Generator::new(seed), left, right, tamper, recent: VecDeque::new() };
    for index in 0..operations {
        let operation = run.generator.next();
        let outcome = run.step(index, &operation).await;
        let outcome = match outcome {
            Ok(()) if index % SETTLE_EVERY == SETTLE_EVERY - 1 || index == operations - 1 => run.settle(index).await,
            outcome => outcome,
        };
        if let Err((left, right)) = outcome {
            let before = run.recent.into_iter().collect();
            return Err(Box::new(Difference { seed, index, operation: format!("{operation:?}"), left, right, before }));
        }
        if run.recent.len() == SHOWN {
            run.recent.pop_front();
        }
        run.recent.push_back(format!("{index}: {operation:?}"));
    }
    Ok(Covered { furthest: run.generator.world.furthest, ..run.covered })
}

/// What each side said.
type Said = (String, String);

impl Run {
    async fn step(&mut self, index: usize, operation: &Operation) -> Result<(), Said> {
        match operation {
            Operation::Settle => self.settle(index).await,
            Operation::Burst(changes) => self.burst(index, changes).await,
            Operation::Restart => self.restart(index).await,
            _ => self.ask(index, operation).await,
        }
    }

    async fn ask(&mut self, index: usize, operation: &Operation) -> Result<(), Said> {
        let (left, right) = match operation {
            Operation::Cancel { stream, id } if !self.generator.world.watches(*stream, *id) => {
                let (left, right) = (&mut self.left.streams[*stream], &mut self.right.streams[*stream]);
                tokio::join!(left.cancel_unknown(*id), right.cancel_unknown(*id))
            }
            _ => tokio::join!(self.left.execute(operation), self.right.execute(operation)),
        };
        self.compare(index, operation, &left, right)?;
        self.covered.full += usize::from(matches!(operation, Operation::Full { raised: true }));
        self.generator.world.learn(operation, &left);
        Ok(())
    }

    /// Changes at once; then what was made of them, without their order; then an end to what came of that order.
    async fn burst(&mut self, index: usize, changes: &[Change]) -> Result<(), Said> {
        self.settle(index).await?;
        let before = self.generator.world.revision;
        let (left, mut right) = tokio::join!(self.left.burst(changes), self.right.burst(changes));
        if let Some(tamper) = self.tamper {
            for answer in &mut right {
                tamper(index, answer);
            }
        }
        let (left, right) = (outcome(left, before), outcome(right, before));
        let changed = match (&left, &right) {
            (Ok((left, changed)), Ok((right, _))) if left == right => *changed,
            _ => return Err((format!("{left:?}"), format!("{right:?}"))),
        };
        self.generator.world.revision += changed;
        let revisions = before + 1..=before + changed;
        self.settle_after(index, &revisions).await?;
        let all = everything();
        let (mut left, mut right) = tokio::join!(self.left.execute(&all), self.right.execute(&all));
        ordered_keys(&mut left, &revisions);
        ordered_keys(&mut right, &revisions);
        self.compare(index, &all, &left, right)?;
        self.ask(index, &erasure(changes)).await?;
        // A watch that lags may or may not be caught by a compaction; and what was deleted was still of the burst.
        self.settle_after(index, &revisions).await?;
        let revision = self.generator.world.revision;
        self.covered.bursts += 1;
        self.ask(index, &Operation::Compact { revision, physical: true }).await
    }

    /// Both are killed and started again, and hold what they held.
    async fn restart(&mut self, index: usize) -> Result<(), Said> {
        self.settle(index).await?;
        // etcd carries out again what it has not yet committed to its file, and then also what it had refused while it was
        // full. This makes it commit.
        self.left.execute(&Operation::Defragment).await;
        tokio::join!(self.left.restart(), self.right.restart());
        self.covered.restarts += 1;
        self.generator.world.restarted();
        self.ask(index, &everything()).await?;
        self.ask(index, &Operation::Leases).await?;
        self.ask(index, &Operation::Alarms).await
    }

    fn compare(&self, index: usize, operation: &Operation, left: &Answer, mut right: Answer) -> Result<(), Said> {
        if let Some(tamper) = self.tamper {
            tamper(index, &mut right);
        }
        let seconds = if self.covered.restarts > 0 { self.began.elapsed().as_secs() } else { 0 };
        if same(operation, left, &right, seconds.cast_signed()) {
            Ok(())
        } else {
            Err((format!("{left:?}"), format!("{right:?}")))
        }
    }

    /// Waits until all watches have said all, and compares what that was. A write of its own makes the revision to wait for a new
    /// one, so that no earlier report of progress is taken for it.
    async fn settle(&mut self, index: usize) -> Result<(), Said> {
        self.settle_after(index, &RangeInclusive::new(1, 0)).await
    }

    /// The same after changes in any order have made these revisions.
    async fn settle_after(&mut self, index: usize, burst: &RangeInclusive<i64>) -> Result<(), Said> {
        // A store that is full refuses that write.
        if self.generator.world.full {
            return Ok(());
        }
        let operation = Operation::Put(Put {
            key: Bytes(BOOKKEEPING.to_vec()),
            value: Bytes(index.to_string().into_bytes()),
            lease: 0,
            prev_kv: false,
            ignore_value: false,
            ignore_lease: false,
        });
        let (left, right) = tokio::join!(self.left.execute(&operation), self.right.execute(&operation));
        self.compare(index, &operation, &left, right)?;
        self.generator.world.learn(&operation, &left);
        let revision = self.generator.world.revision;
        for stream in 0..self.left.streams.len() {
            let (left, right) =
                tokio::join!(self.left.streams[stream].settle(revision), self.right.streams[stream].settle(revision));
            if left != Ok(revision) || right != Ok(revision) {
                return Err((format!("stream {stream}: {left:?}"), format!("stream {stream}: {right:?}")));
            }
            let (mut left, left_canceled) = self.left.taken(stream);
            let (mut right, right_canceled) = self.right.taken(stream);
            if let Some(tamper) = self.tamper {
                let mut answer = Answer::Notes(right);
                tamper(index, &mut answer);
                let Answer::Notes(notes) = answer else { unreachable!("a tamper keeps the kind of an answer") };
                right = notes;
            }
            if left_canceled != right_canceled {
                return Err((format!("{left_canceled:?}"), format!("{right_canceled:?}")));
            }
            ordered_notes(&mut left, burst);
            ordered_notes(&mut right, burst);
            let ids: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for id in ids {
                let (left, right) =
                    (left.get(id).map_or(&[][..], Vec::as_slice), right.get(id).map_or(&[][..], Vec::as_slice));
                if left != right {
                    let shared = left.iter().zip(right).take_while(|(left, right)| left == right).count();
                    let said = |notes: &[_]| {
                        format!("stream {stream}, watch {id}, note {shared} of {}: {:?}", notes.len(), notes.get(shared))
                    };
                    return Err((said(left), said(right)));
                }
            }
        }
        Ok(())
    }
}
