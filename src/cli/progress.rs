//! Progress: one line on a terminal for what takes longer than a person waits without wondering. It is gone when the work is
//! done, however that ends.

use std::future::Future;
use std::io::Write;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Io;
use super::print::table::harmless;

/// How long nothing is shown: as long as a person's flow of thought stays whole (Nielsen, Usability Engineering, 1993,
/// section 5.5).
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the line moves: often enough to be seen alive, seldom enough to cost nothing over a slow connection.
const TICK: Duration = Duration::from_millis(200);

/// One for each tick. Plain characters: every terminal and font has them.
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];

/// The most characters of what is being done. With the rest of the line it fits into 80 columns: a line that wraps cannot be
/// cleared.
const LONGEST: usize = 60;

/// Waits for `work`, and says on a terminal what is being done when that takes over a second. `work` must not write
/// meanwhile.
///
/// `doing` completes "wicapctl is …": `waiting for wicapstack.wicap.dev/wicap`.
pub async fn progress<F: Future>(io: &mut Io<'_>, doing: &str, work: F) -> F::Output {
    if !io.manners.progress {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    let began = Instant::now();
    let mut ticks = interval_at(began + PATIENCE, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut line = Line { err: &mut *io.err, drawn: false };
    let mut frames = FRAMES.iter().cycle();
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => line.draw(*frames.next().unwrap_or(&' '), doing, began.elapsed()),
        }
    }
}

/// What is on the terminal, cleared when it goes: when the work is done, when it fails, when the command is interrupted.
struct Line<'a> {
    err: &'a mut dyn Write,
    drawn: bool,
}

impl Line<'_> {
    /// Draws over what was drawn before. That it cannot be written is no reason to end the work.
    fn draw(&mut self, frame: char, doing: &str, since: Duration) {
        let doing = shortened(&harmless(doing));
        let _ = write!(self.err, "\r{frame} {doing} ({}s)\x1b[K", since.as_secs());
        let _ = self.err.flush();
        self.drawn = true;
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(self.err, "\r\x1b[K");
            let _ = self.err.flush();
        }
    }
}

/// One line of at most [`LONGEST`] characters.
fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().replace('\t', " ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Manners;

    /// What is written to standard error while some work takes that long.
    async fn shown(manners: Manners, takes: Duration) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners };
        let result = progress(&mut io, "waiting for wicap", async {
            tokio::time::sleep(takes).await;
            7
        });
        assert_eq!(result.await, 7);
        assert!(out.is_empty());
        String::from_utf8(err).unwrap()
    }

    const SEEN: fn() -> Manners = || Manners { progress: true, ..Manners::default() };

    #[tokio::test(start_paused = true)]
    async fn what_is_done_within_a_second_is_not_spoken_of() {
        assert_eq!(shown(SEEN(), Duration::from_millis(999)).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_is_told_and_cleared() {
        let text = shown(SEEN(), Duration::from_millis(1001)).await;
        assert_eq!(text, "\r| waiting for wicap (1s)\x1b[K\r\x1b[K");
        let text = shown(SEEN(), Duration::from_millis(2100)).await;
        assert!(text.contains("\r/ waiting for wicap (1s)") && text.contains("(2s)"), "{text:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn off_a_terminal_nothing_is_told() {
        assert_eq!(shown(Manners::default(), Duration::from_secs(60)).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupted_wait_leaves_no_line_behind() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners: SEEN() };
        let endless = progress(&mut io, "waiting", std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_secs(3), endless).await.is_err());
        assert!(err.ends_with(b"\r\x1b[K"));
    }

    #[test]
    fn a_line_never_wraps_and_steers_nothing() {
        assert_eq!(shortened(&"x".repeat(200)).chars().count(), LONGEST);
        assert_eq!(shortened("a\tb\nc"), "a b");
    }
}
