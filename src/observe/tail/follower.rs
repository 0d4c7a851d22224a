//! The task that follows one container: opens its log, hands on what comes, and finds out why it ended.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::budget::Budget;
use super::intake::Intake;
use super::{Item, Start};
use crate::observe::engine::{Engine, EngineError, READ_TIMEOUT, Run};

/// Wait before a stream that ended for no good reason is opened again; doubled after each further one without a new line.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest such wait: an engine that is upgraded is away for that long, and nobody waits longer for what it has to say
/// then.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a stopped container is left alone when nobody tells that it was started. Events get lost; this bounds what that
/// costs.
const LOOK_AT_STOPPED: Duration = Duration::from_secs(30);

/// How long a stream may be silent before it is asked whether there is something it should have told. A healthy service
/// prints something most minutes, so this costs one short call where there is little else to do.
const SILENCE: Duration = Duration::from_secs(60);

/// How long the stream then has to tell it. It takes milliseconds.
const GRACE: Duration = Duration::from_secs(5);

/// Failures in a row after which it is told that the log cannot be read: three of them are no upgrade of the engine.
const TELL_AFTER: u32 = 3;

/// Follows one container.
#[derive(Debug)]
pub(super) struct Follower {
    engine: Engine,
    container: String,
    started: watch::Receiver<u64>,
    intake: Intake,
    /// Failures in a row.
    failures: u32,
    /// Whether they were told.
    is_told: bool,
    /// The run of the container that is over. What it printed is read once more, to its end.
    over: Option<Run>,
    /// The run of which it was told that it is over.
    ended: Option<Run>,
}

/// Why a stream ended.
#[derive(Debug)]
enum End {
    /// The engine ended it: the container stopped, or the engine is about to.
    Over,
    /// The engine gave no answer, or another than it should.
    Failed(EngineError),
    /// The engine cannot read on, in its words.
    Unreadable(String),
    /// It missed what the log has.
    Silent,
}

/// Nobody wants to know any more.
struct Unwanted;

impl Follower {
    pub(super) fn new(engine: Engine, container: &str, start: Start, budget: Budget, started: watch::Receiver<u64>) -> Self {
        let intake = Intake::new(container, start, budget, Instant::now());
        Self {
            engine,
            container: container.to_owned(),
            started,
            intake,
            failures: 0,
            is_told: false,
            over: None,
            ended: None,
        }
    }

    /// Runs until the container is removed, its log cannot be read for good, or nobody wants it any more.
    pub(super) async fn run(mut self, sender: Sender<Item>) {
        tokio::select! {
            () = sender.closed() => {}
            _ = self.follow(&sender) => {}
        }
    }

    async fn follow(&mut self, sender: &Sender<Item>) -> Result<(), Unwanted> {
        loop {
            // Starts from here on are in this stream or will be seen when it has ended.
            self.started.borrow_and_update();
            let opened = Instant::now();
            let end = self.read(sender).await?;
            self.hand_out_rest(sender).await?;
            if matches!(end, End::Over) || opened.elapsed() >= READ_TIMEOUT {
                self.intake.answered();
            }
            // A stream that stood so long was one.
            if self.intake.progressed() || opened.elapsed() >= READ_TIMEOUT {
                (self.failures, self.is_told) = (0, false);
            }
            tracing::debug!(container = %self.container, ?end, "the stream of a log ended");
            if let End::Failed(error) = &end
                && is_final(error)
            {
                return send(sender, Item::Unreadable(error.to_string())).await;
            }
            let over = self.over.take();
            match self.engine.run_of(&self.container).await {
                Ok(Some(run)) if matches!(end, End::Over) && !run.running => {
                    // The engine may end the stream of a container that stops before its last lines.
                    if over.as_ref() == Some(&run) || self.has_all().await {
                        self.stopped(run, sender).await?;
                    } else {
                        self.over = Some(run);
                    }
                }
                Ok(Some(_)) => self.pause_after(&end, opened, sender).await?,
                Ok(None) => {
                    self.intake.finish(Instant::now());
                    self.hand_out_rest(sender).await?;
                    return send(sender, Item::Ended).await;
                }
                // The engine is away. That is told elsewhere, once for all containers.
                Err(_) => self.back_off().await,
            }
        }
    }

    /// Reads until the stream ends.
    async fn read(&mut self, sender: &Sender<Item>) -> Result<End, Unwanted> {
        let asked = self.intake.read_again(self.over.is_none());
        let mut frames = pin!(self.engine.logs(&self.container, asked));
        let mut look = Instant::now() + SILENCE;
        let mut suspicious = false;
        loop {
            let wake = self.intake.due().map_or(look, |due| due.min(look));
            let now = tokio::select! {
                biased;
                frame = frames.next() => {
                    let now = Instant::now();
                    match frame {
                        None => return Ok(End::Over),
                        Some(Err(error)) => return Ok(End::Failed(error)),
                        Some(Ok(frame)) => {
                            self.intake.answered();
                            if let Err(words) = self.intake.frame(&frame, now) {
                                return Ok(End::Unreadable(words));
                            }
                        }
                    }
                    (look, suspicious) = (now + SILENCE, false);
                    now
                }
                () = sleep_until(wake) => Instant::now(),
            };
            while let Some(item) = self.intake.item(now) {
                send(sender, item).await?;
            }
            if now >= look {
                let missing = match self.engine.last_message(&self.container).await {
                    Ok(last) => last.is_some_and(|last| self.intake.misses(&last)),
                    // Whether it is away or refuses: the stream ends when there is something wrong with it.
                    Err(_) => false,
                };
                if missing && suspicious {
                    return Ok(End::Silent);
                }
                suspicious = missing;
                look = Instant::now() + if missing { GRACE } else { SILENCE };
            }
        }
    }

    /// Whether the log has nothing that did not come. It is looked at from its end, while reading it again may take seconds.
    async fn has_all(&self) -> bool {
        let last = self.engine.last_message(&self.container).await;
        last.is_ok_and(|last| last.is_some_and(|last| self.intake.has_all(&last)))
    }

    async fn hand_out_rest(&mut self, sender: &Sender<Item>) -> Result<(), Unwanted> {
        while let Some(item) = self.intake.rest() {
            send(sender, item).await?;
        }
        Ok(())
    }

    /// The container stopped: what is there of its last lines is all there will be.
    async fn stopped(&mut self, run: Run, sender: &Sender<Item>) -> Result<(), Unwanted> {
        (self.failures, self.is_told) = (0, false);
        self.intake.finish(Instant::now());
        self.intake.progressed();
        self.hand_out_rest(sender).await?;
        if self.ended.as_ref() != Some(&run) {
            self.ended = Some(run.clone());
            send(sender, Item::Ended).await?;
        }
        loop {
            let told = timeout(LOOK_AT_STOPPED, async {
                if self.started.changed().await.is_err() {
                    // Nobody is left to tell.
                    std::future::pending::<()>().await;
                }
            });
            if told.await.is_ok() {
                return Ok(());
            }
            match self.engine.run_of(&self.container).await {
                Ok(Some(now)) if now == run => {}
                // It runs, ran meanwhile or is gone; or that cannot be asked. Whatever it is, opening the log tells.
                _ => return Ok(()),
            }
        }
    }

    /// Waits when the stream should have gone on.
    async fn pause_after(&mut self, end: &End, opened: Instant, sender: &Sender<Item>) -> Result<(), Unwanted> {
        if matches!(end, End::Over | End::Silent) && opened.elapsed() >= FIRST_WAIT {
            return Ok(());
        }
        self.back_off().await;
        let reason = match end {
            End::Failed(error) => error.to_string(),
            End::Unreadable(words) => words.clone(),
            End::Over | End::Silent => return Ok(()),
        };
        // Failures of the engine count too, and are told elsewhere; so the third may be none of these.
        if self.failures < TELL_AFTER || self.is_told {
            return Ok(());
        }
        self.is_told = true;
        send(sender, Item::Unreadable(reason)).await
    }

    async fn back_off(&mut self) {
        let wait = wait_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        sleep(wait).await;
    }
}

/// The wait after so many failures before.
fn wait_after(failures: u32) -> Duration {
    // The shift is bounded far beyond where the longest wait is reached.
    FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(LONGEST_WAIT)
}

/// Whether the log will never be readable: a log driver that keeps nothing, an id that is none.
fn is_final(error: &EngineError) -> bool {
    match error {
        EngineError::Url { .. } | EngineError::Id { .. } => true,
        // 404: it is gone; 409: it is being removed. Both are seen when it is looked at.
        EngineError::Refused { status, .. } => !matches!(status, 404 | 409),
        EngineError::Failed { status, .. } => *status == 501,
        _ => false,
    }
}

async fn send(sender: &Sender<Item>, item: Item) -> Result<(), Unwanted> {
    sender.send(item).await.map_err(|_| Unwanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_half_a_second_to_ten() {
        let waits: Vec<u128> = [0, 1, 2, 3, 4, 5, u32::MAX].map(|n| wait_after(n).as_millis()).to_vec();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    #[test]
    fn only_what_cannot_change_is_final() {
        let refused = |status| EngineError::Refused { status, message: String::new() };
        let failed = |status| EngineError::Failed { status, message: String::new() };
        for (error, expected) in [
            (failed(501), true),
            (refused(400), true),
            (EngineError::Id { id: String::new() }, true),
            (refused(404), false),
            (refused(409), false),
            (failed(500), false),
            (EngineError::Timeout { after: READ_TIMEOUT }, false),
            (EngineError::Lost { why: String::new() }, false),
        ] {
            assert_eq!(is_final(&error), expected, "{error}");
        }
    }
}
