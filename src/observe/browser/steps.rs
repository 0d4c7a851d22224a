//! The steps of a script, one after the other, in a session that has begun.

use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::error::{CmdError, ErrorStatus};
use fantoccini::wd::TimeoutConfiguration;
use fantoccini::{Client, Locator};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::session::{TakeConsole, is_of_page, plain};
use super::shown;
use crate::api::soak::script::Step;

/// What a page that is alive answers to. Browsers end a script that takes too long, but not all of the other commands, and wait for
/// ever on a page that is in an endless loop: such a page is not asked anything else.
pub(super) const PULSE: &str = "return true";

/// Time between two looks at a page that is waited for: WebDriver has no event to wait for instead.
const POLL: Duration = Duration::from_millis(100);

/// What is seen of a page that has not come.
const NOTHING: &str = "no answer in time";

/// The status of the page, where the browser tells it. A page that has replaced `performance` tells nothing.
const STATUS: &str =
    "try { return performance.getEntriesByType('navigation')[0].responseStatus || null } catch { return null }";

const TITLE: &str = "return document.title";

/// Whether an element is there, whether it is displayed and what text it shows; none when it is not displayed.
const LOOK: &str = "\
    const found = document.querySelector(arguments[0]);
    if (!found) return null;
    const rects = () => found.getClientRects().length > 0;
    const displayed = found.checkVisibility ? found.checkVisibility({ checkVisibilityCSS: true }) : rects();
    return { displayed, text: displayed ? found.innerText ?? found.textContent : '' };";

/// How many milliseconds the page took to load, once it has: the end of the load event is known only after it.
const LOADED: &str = "\
    const done = arguments[arguments.length - 1];
    const tell = () => {
        try {
            const [page] = performance.getEntriesByType('navigation');
            if (page.loadEventEnd > 0) done(page.loadEventEnd - page.startTime);
            else addEventListener('load', () => setTimeout(tell, 0), { once: true });
        } catch { done(null) }
    };
    tell();";

/// Why a step did not pass.
#[derive(Debug)]
pub(super) enum Fault {
    /// The page is not as it has to be: what was found.
    Page(String),
    /// The page, or what is waited for, did not come.
    TimedOut,
    /// The server or the browser is at fault: why.
    Check(String),
}

impl From<CmdError> for Fault {
    fn from(error: CmdError) -> Self {
        match &error {
            CmdError::Standard(told) if matches!(told.error, ErrorStatus::Timeout | ErrorStatus::ScriptTimeout) => {
                Self::TimedOut
            }
            error if is_of_page(error) => Self::Page(plain(error)),
            error => Self::Check(plain(error)),
        }
    }
}

/// A walk through the steps. It knows where it is when it is cut off.
pub(super) struct Walk<'a> {
    client: &'a Client,
    deadline: Instant,
    /// Number of the step, counted from 1, and its name.
    place: (usize, String),
    expected: String,
    /// What was last seen of what is waited for.
    seen: String,
    picture: Option<Vec<u8>>,
}

impl<'a> Walk<'a> {
    /// Before the first step.
    pub fn new(client: &'a Client, deadline: Instant) -> Self {
        Self { client, deadline, place: (0, String::new()), expected: String::new(), seen: String::new(), picture: None }
    }

    /// Takes every step until one does not pass.
    pub async fn all(&mut self, steps: &[Step]) -> Result<(), Fault> {
        for (number, step) in (1..).zip(steps) {
            self.place = (number, shown(&step.to_string()));
            self.expected = demand(step);
            NOTHING.clone_into(&mut self.seen);
            self.take(step).await?;
        }
        Ok(())
    }

    /// What was last seen.
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// A failure of the present step.
    pub fn tell(&self, found: &str) -> String {
        let (number, step) = &self.place;
        format!("step {number} ({step}): found {found}, expected {}", self.expected)
    }

    /// An error in the present step.
    pub fn tell_error(&self, why: &str) -> String {
        let (number, step) = &self.place;
        format!("step {number} ({step}): {why}")
    }

    /// The last picture that was asked for.
    pub fn into_picture(self) -> Option<Vec<u8>> {
        self.picture
    }

    async fn take(&mut self, step: &Step) -> Result<(), Fault> {
        match step {
            Step::Goto(url) => self.goto(url).await,
            Step::Click { css } => Ok(self.find(css).await?.click().await?),
            Step::Type { css, text } => Ok(self.find(css).await?.send_keys(text).await?),
            Step::WaitFor { css, text, timeout } => {
                self.wait(css.as_deref().unwrap_or("body"), text.as_deref(), timeout.to_std()).await
            }
            Step::AssertText { css, contains } => match self.look(css, Some(contains)).await? {
                None => Ok(()),
                Some(seen) => Err(Fault::Page(seen)),
            },
            Step::AssertTitle { contains } => {
                let title = self.ask(TITLE, &[]).await?;
                let title = title.as_str().unwrap_or_default();
                if title.contains(contains) { Ok(()) } else { Err(Fault::Page(format!("the title {:?}", shown(title)))) }
            }
            Step::NoConsoleErrors {} => self.console().await,
            Step::MaxLoad(most) => self.loaded_within(most.to_std()).await,
            Step::Screenshot {} => {
                self.ask(PULSE, &[]).await?;
                self.picture = Some(self.client.screenshot().await?);
                Ok(())
            }
        }
    }

    /// Tells the browser how long it may wait for a page or a script: the time that is left. While it waits it can neither make a
    /// picture nor be ended.
    async fn bound(&self) -> Result<(), CmdError> {
        bound(self.client, self.deadline.saturating_duration_since(Instant::now())).await
    }

    async fn ask(&self, script: &str, args: &[&str]) -> Result<Value, CmdError> {
        self.bound().await?;
        self.client.execute(script, args.iter().copied().map(Value::from).collect()).await
    }

    /// An element to act on, of a page that is alive.
    async fn find(&self, css: &str) -> Result<Element, CmdError> {
        self.ask(PULSE, &[]).await?;
        self.client.find(Locator::Css(css)).await
    }

    async fn goto(&mut self, url: &str) -> Result<(), Fault> {
        self.bound().await?;
        self.client.goto(url).await?;
        match self.ask(STATUS, &[]).await?.as_u64() {
            Some(status @ 400..) => Err(Fault::Page(format!("{}: answered {status}", shown(url)))),
            _ => Ok(()),
        }
    }

    async fn wait(&mut self, css: &str, text: Option<&str>, timeout: Duration) -> Result<(), Fault> {
        let until = Instant::now() + timeout;
        loop {
            self.seen = match self.look(css, text).await {
                Ok(None) => return Ok(()),
                Ok(Some(seen)) => seen,
                // A document that is replaced while it is looked at, which is what one waits for, has no error of its own.
                Err(error) if error.is_unknown_error() => plain(&error),
                Err(error) => return Err(error.into()),
            };
            if Instant::now() >= until {
                return Err(Fault::Page(format!("{} after {timeout:?}", self.seen)));
            }
            sleep_until(until.min(Instant::now() + POLL)).await;
        }
    }

    /// Nothing when an element is displayed, and has the text if there is one; else what is seen instead.
    async fn look(&self, css: &str, text: Option<&str>) -> Result<Option<String>, CmdError> {
        let found = self.ask(LOOK, &[css]).await?;
        if found.is_null() {
            return Ok(Some("no such element".to_owned()));
        }
        if found["displayed"] != true {
            return Ok(Some("an element that is not displayed".to_owned()));
        }
        let shows = found["text"].as_str().unwrap_or_default();
        Ok(text.filter(|text| !shows.contains(text)).map(|_| format!("the text {:?}", shown(shows))))
    }

    async fn console(&self) -> Result<(), Fault> {
        let entries = match self.client.issue_cmd(TakeConsole).await {
            Ok(entries) => entries,
            Err(error) if keeps_no_log(&error) => return Err(Fault::Check("this server keeps no console log".to_owned())),
            Err(error) => return Err(error.into()),
        };
        let entries = entries.as_array().ok_or_else(|| Fault::Check("this server keeps no console log".to_owned()))?;
        let errors: Vec<&str> = entries.iter().filter_map(console_error).collect();
        match errors[..] {
            [] => Ok(()),
            [error] => Err(Fault::Page(format!("the error {:?}", shown(error)))),
            [first, ..] => Err(Fault::Page(format!("{} errors, the first {:?}", errors.len(), shown(first)))),
        }
    }

    async fn loaded_within(&self, most: Duration) -> Result<(), Fault> {
        self.bound().await?;
        let told = self.client.execute_async(LOADED, Vec::new()).await?;
        let took = told.as_f64().and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
        let took = took.ok_or_else(|| Fault::Check("this browser does not tell how long a page took".to_owned()))?;
        if took <= most { Ok(()) } else { Err(Fault::Page(format!("{}ms", took.as_millis()))) }
    }
}

/// Tells the browser how long it may wait for a page or a script.
pub(super) async fn bound(client: &Client, time: Duration) -> Result<(), CmdError> {
    let time = Some(time.max(Duration::from_millis(1)));
    client.update_timeouts(TimeoutConfiguration::new(time, time, None)).await
}

/// What a step demands, in words that follow "expected".
fn demand(step: &Step) -> String {
    match step {
        Step::Goto(_) => "the page to load with a status below 400".to_owned(),
        Step::Click { .. } => "an element to click on".to_owned(),
        Step::Type { .. } => "an element to type into".to_owned(),
        Step::WaitFor { text: Some(text), .. } => format!("a text with {:?}", shown(text)),
        Step::WaitFor { text: None, .. } => "an element that is displayed".to_owned(),
        Step::AssertText { contains, .. } | Step::AssertTitle { contains } => format!("one with {:?}", shown(contains)),
        Step::NoConsoleErrors {} => "no errors on the console".to_owned(),
        Step::MaxLoad(most) => format!("a page that loads within {most}"),
        Step::Screenshot {} => "a picture".to_owned(),
    }
}

/// Servers other than chromedriver do not know the command; chromedriver refuses it for a browser that has none.
fn keeps_no_log(error: &CmdError) -> bool {
    matches!(error, CmdError::NotJson(_))
        || error.is_unknown_command()
        || error.is_unknown_method()
        || error.is_unknown_path()
        || error.is_unsupported_operation()
        || error.is_invalid_argument()
}

/// The text of an entry that is an error. A browser asks for the icon of its own accord: that there is none is no error of the page.
fn console_error(entry: &Value) -> Option<&str> {
    let text = entry["message"].as_str().unwrap_or("an error without a text");
    let is_icon = entry["source"] == "network" && text.split(' ').next().is_some_and(|url| url.ends_with("/favicon.ico"));
    (entry["level"] == "SEVERE" && !is_icon).then_some(text)
}
