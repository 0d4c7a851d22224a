//! A history in lock step on both sides: each operation is answered by both before the next, so that everything but the watches is
//! in one order. The watches are compared whenever both sides have nothing more to say.

use std::collections::VecDeque;

use super::answer::{Answer, same};
use super::generator::Generator;
use super::operation::{Bytes, Operation, Put};
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

struct Run {
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
) -> Result<(), Box<Difference>> {
    let (left, right) = (Side::new(left).await, Side::new(right).await);
    let mut run = Run { generator: Generator::new(seed), left, right, tamper, recent: VecDeque::new() };
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
    Ok(())
}

/// What each side said.
type Said = (String, String);

impl Run {
    async fn step(&mut self, index: usize, operation: &Operation) -> Result<(), Said> {
        if let Operation::Settle = operation {
            return self.settle(index).await;
        }
        let (left, right) = match operation {
            Operation::Cancel { stream, id } if !self.generator.world.watches(*stream, *id) => {
                let (left, right) = (&mut self.left.streams[*stream], &mut self.right.streams[*stream]);
                tokio::join!(left.cancel_unknown(*id), right.cancel_unknown(*id))
            }
            _ => tokio::join!(self.left.execute(operation), self.right.execute(operation)),
        };
        self.compare(index, operation, &left, right)?;
        self.generator.world.learn(operation, &left);
        Ok(())
    }

    fn compare(&self, index: usize, operation: &Operation, left: &Answer, mut right: Answer) -> Result<(), Said> {
        if let Some(tamper) = self.tamper {
            tamper(index, &mut right);
        }
        if same(operation, left, &right) { Ok(()) } else { Err((format!("{left:?}"), format!("{right:?}"))) }
    }

    /// Waits until all watches have said all, and compares what that was. A write of its own makes the revision to wait for a new
    /// one, so that no earlier report of progress is taken for it.
    async fn settle(&mut self, index: usize) -> Result<(), Said> {
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
            let (left, left_canceled) = self.left.taken(stream);
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
