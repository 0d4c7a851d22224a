//! A browser script, run over the W3C WebDriver protocol.
//!
//! Three things can come of it: the page is as the script demands, it is not, or nobody can tell, because the WebDriver server or
//! the browser is at fault.
//!
//! A WebDriver server does one thing after the other in a session, and ends it no sooner than it is done with what it does. So it is
//! told the time that is left before whatever can wait for a page, and a page that does not answer is asked nothing that has no
//! time limit.
//!
//! # Layout
//! - this file: a run and what comes of it
//! - `session`: how a session is begun, and what its server's refusals mean
//! - `steps`: what is done in it
//! - `ending`: how it is ended, also when the run is dropped

mod ending;
mod session;
mod steps;

use std::fmt;
use std::time::Duration;

use fantoccini::Client;
use tokio::time::{Instant, timeout, timeout_at};

use crate::api::soak::script::WebDriver;
pub use ending::{CLOSING, RELEASE};
use session::open;
use steps::{Fault, PULSE, Walk, bound};

/// The longest run, so that no time can overflow.
const RUN_MOST: Duration = Duration::from_secs(24 * 3600);

/// The time for a picture of a page that failed, beyond the run's own: a page that takes all the time is worth one most.
pub const PICTURE: Duration = Duration::from_secs(5);

/// The part of it in which the page has to show that it is alive.
const PULSE_MOST: Duration = Duration::from_secs(2);

/// Most characters of a page, or of what a server says, in a message.
const SHOWN: usize = 200;

/// What came of a run.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the page is as it has to be.
    pub result: RunResult,
    /// From the beginning to the result; the picture of a failure and the end of the session come after.
    pub took: Duration,
    /// A PNG of the page: as it was when the run failed, or at the last `screenshot` step of one that passed.
    pub picture: Option<Vec<u8>>,
}

/// Without the bytes of the picture, which nobody can read.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let picture = self.picture.as_ref().map(|picture| format!("{} bytes", picture.len()));
        let mut shown = f.debug_struct("Outcome");
        shown.field("result", &self.result).field("took", &self.took).field("picture", &picture).finish()
    }
}

/// Whether the page is as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// Every step passed.
    Passed,
    /// The page is not what the script demands.
    Failed {
        /// Which step, what was found and what was expected.
        message: String,
    },
    /// The check could not be made, which says nothing of the page.
    Error {
        /// Why.
        message: String,
    },
}

/// Runs a script in a session of its own, which is ended whatever happens, also when the future is dropped.
///
/// The result is there within `limit`; a failure's picture may take 5 s more, and the end of the session, when the server or the page
/// has stopped answering, 11 s. The session of a run that was dropped is ended by a task, which needs the runtime to live on.
pub async fn run(script: &WebDriver, limit: Duration) -> Outcome {
    let limit = limit.min(RUN_MOST);
    let begun = Instant::now();
    let deadline = begun + limit;
    let error = |message| Outcome { result: RunResult::Error { message }, took: begun.elapsed(), picture: None };
    // Whatever way it came into the store: nothing is started that validation would not have let through.
    if let Some(violation) = script.violations("webdriver").first() {
        return error(violation.to_string());
    }
    let session = match timeout_at(deadline, open(script, limit)).await {
        Ok(Ok(session)) => session,
        Ok(Err(why)) => return error(format!("no session of {}: {why}", script.url)),
        Err(_) => return error(format!("no session of {}: no answer within {limit:?}", script.url)),
    };
    let Some(client) = session.client() else { return error("the session has ended".to_owned()) };
    let mut walk = Walk::new(client, deadline);
    let walked = timeout_at(deadline, walk.all(&script.steps)).await.unwrap_or(Err(Fault::TimedOut));
    let took = begun.elapsed();
    let result = match walked {
        Ok(()) => RunResult::Passed,
        Err(Fault::Page(found)) => RunResult::Failed { message: walk.tell(&found) },
        Err(Fault::TimedOut) => RunResult::Failed { message: format!("timed out in {}", walk.tell(walk.seen())) },
        Err(Fault::Check(why)) => RunResult::Error { message: walk.tell_error(&why) },
    };
    let picture = match result {
        RunResult::Passed => walk.into_picture(),
        // The server may be the one that has stopped answering: then there is none.
        RunResult::Failed { .. } => timeout(PICTURE, picture(client)).await.ok().flatten(),
        RunResult::Error { .. } => None,
    };
    session.end().await;
    Outcome { result, took, picture }
}

/// A picture of a page that is alive.
async fn picture(client: &Client) -> Option<Vec<u8>> {
    bound(client, PULSE_MOST).await.ok()?;
    match client.execute(PULSE, Vec::new()).await {
        Err(error) if error.is_script_timeout() || error.is_timeout() => None,
        // Whatever else it says: a picture may tell more.
        _ => client.screenshot().await.ok(),
    }
}

/// A text as a message shows it: on one line, cut when it is long.
fn shown(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = words.char_indices().nth(SHOWN) {
        words.truncate(at);
        words.push('…');
    }
    words
}
