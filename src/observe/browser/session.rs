//! How a session is begun, and what its server's refusals mean.

use std::time::Duration;

use fantoccini::ClientBuilder;
use fantoccini::error::{CmdError, ErrorStatus, NewSessionError};
use fantoccini::wd::WebDriverCompatibleCommand;
use hyper::Method;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use url::{ParseError, Url};

use super::ending::Session;
use super::shown;
use crate::api::soak::script::{OBJECTS, Step, WebDriver, web_url};

/// A server that is silent for longer than the run and this is given up, and so the task that waits for it ends. Servers give up the
/// start of a browser after one to five minutes; one that started after that would be ended by nobody.
const PATIENCE: Duration = Duration::from_secs(330);

/// Begins a session. When this is dropped meanwhile, the session is ended as soon as it has begun.
pub(super) async fn open(script: &WebDriver, limit: Duration) -> Result<Session, String> {
    let mut url = web_url(&script.url).filter(|url| url.scheme() == "http").ok_or("it is no http:// URL")?;
    // Paths of commands are joined to it, which would take the place of a last part without a slash.
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    let mut connector = TimeoutConnector::new(http);
    connector.set_connect_timeout(Some(limit + PATIENCE));
    connector.set_read_timeout(Some(limit + PATIENCE));
    // The time begins with each command; an idle connection is no silent one.
    connector.set_reset_reader_on_write(true);
    let capabilities = capabilities(script)?;
    let begun = ClientBuilder::new(connector).capabilities(capabilities).connect(url.as_str()).await;
    Ok(Session::new(begun.map_err(|error| refusal(&error))?, &url).await)
}

/// Those of the script, and the console log when it is asked for: the browser keeps it from the beginning or not at all.
fn capabilities(script: &WebDriver) -> Result<Map<String, Value>, String> {
    let mut capabilities = script.capabilities.clone();
    // fantoccini panics on the first when it is no object.
    for name in OBJECTS {
        if capabilities.get(name).is_some_and(|value| !value.is_object()) {
            return Err(format!("the capability {name} is no object"));
        }
    }
    if script.steps.contains(&Step::NoConsoleErrors {}) {
        let [_, logs] = OBJECTS;
        let logs = capabilities.entry(logs).or_insert_with(|| json!({}));
        logs["browser"] = json!("ALL");
    }
    Ok(capabilities)
}

/// Why a server gives no session.
fn refusal(error: &NewSessionError) -> String {
    match error {
        NewSessionError::SessionNotCreated(refused) => shown(&refused.message),
        // What is an unknown error to the server comes as this, with its own words inside.
        NewSessionError::NotW3C(answer) => match answer.get("message").and_then(Value::as_str) {
            Some(message) => shown(message),
            None => format!("it answers as no WebDriver server does: {}", shown(&answer.to_string())),
        },
        NewSessionError::Failed(error) => lost(error),
        NewSessionError::FailedC(error) => lost(error),
        NewSessionError::Lost(error) => lost(error),
        NewSessionError::UnexpectedError(error) => plain(error),
        NewSessionError::BadWebdriverUrl(error) => error.to_string(),
    }
}

/// An error of a connection with its causes: the last says what happened, those before it where.
fn lost(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    format!("it cannot be reached: {}", shown(&told))
}

/// An error of a command in words, without the stack that some servers send after it.
pub(super) fn plain(error: &CmdError) -> String {
    match error {
        CmdError::Standard(told) => {
            let first = shown(told.message.lines().next().unwrap_or_default());
            let code = told.error();
            // chromedriver's words begin with the code, geckodriver's do not.
            if first.starts_with(&code) { first } else { format!("{code}: {first}") }
        }
        CmdError::Failed(error) => lost(error),
        CmdError::FailedC(error) => lost(error),
        CmdError::Lost(error) => lost(error),
        CmdError::NotJson(answer) => format!("it answers as no WebDriver server does: {}", shown(answer)),
        other => shown(&other.to_string()),
    }
}

/// Whether a page, and not the server or the browser, is why a command failed.
pub(super) fn is_of_page(error: &CmdError) -> bool {
    let CmdError::Standard(told) = error else { return false };
    match told.error {
        ErrorStatus::ElementClickIntercepted
        | ErrorStatus::ElementNotInteractable
        | ErrorStatus::ElementNotSelectable
        | ErrorStatus::InsecureCertificate
        | ErrorStatus::InvalidElementState
        | ErrorStatus::MoveTargetOutOfBounds
        | ErrorStatus::NoSuchElement
        | ErrorStatus::StaleElementReference
        | ErrorStatus::UnexpectedAlertOpen => true,
        // Chromium and Firefox have no code for a site that gives no page. Other unknown errors are their own.
        ErrorStatus::UnknownError => ["net::ERR_", "about:neterror"].iter().any(|sign| told.message.contains(sign)),
        _ => false,
    }
}

/// Takes what the console has told since it was last taken: chromedriver's own command, which Selenium forwards.
#[derive(Debug)]
pub(super) struct TakeConsole;

impl WebDriverCompatibleCommand for TakeConsole {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fantoccini::error::WebDriver as Told;

    fn told(status: ErrorStatus, message: &'static str) -> CmdError {
        CmdError::Standard(Told::new(status, message))
    }

    #[test]
    fn only_what_the_page_did_is_held_against_it() {
        for (error, of_page) in [
            (told(ErrorStatus::NoSuchElement, ""), true),
            (told(ErrorStatus::UnknownError, "unknown error: net::ERR_CONNECTION_REFUSED\n  (Session info)"), true),
            (told(ErrorStatus::UnknownError, "Reached error page: about:neterror?e=connectionFailure"), true),
            (told(ErrorStatus::UnknownError, "unknown error: unhandled inspector error"), false),
            (told(ErrorStatus::InvalidSessionId, ""), false),
            (told(ErrorStatus::InvalidSelector, ""), false),
            (CmdError::NotJson("<html>".to_owned()), false),
        ] {
            assert_eq!(is_of_page(&error), of_page, "{error}");
        }
    }

    #[test]
    fn a_code_is_told_once_and_no_stack() {
        let chromium = told(ErrorStatus::UnknownError, "unknown error: net::ERR_FAILED\n  (Session info: chrome=1)\n#0 0x5");
        assert_eq!(plain(&chromium), "unknown error: net::ERR_FAILED");
        assert_eq!(plain(&told(ErrorStatus::NoSuchElement, "Unable to find #a")), "no such element: Unable to find #a");
    }

    #[test]
    fn the_console_log_is_asked_for_only_where_it_is_looked_at() {
        let mut script =
            WebDriver { url: "http://a".to_owned(), capabilities: Map::new(), steps: vec![Step::Screenshot {}] };
        assert_eq!(capabilities(&script), Ok(Map::new()));
        script.steps.push(Step::NoConsoleErrors {});
        script.capabilities.insert("goog:loggingPrefs".to_owned(), json!({"performance": "ALL"}));
        let with_logs = json!({"goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}});
        assert_eq!(capabilities(&script).map(Value::Object), Ok(with_logs));
        script.capabilities.insert("goog:chromeOptions".to_owned(), json!("x"));
        assert!(capabilities(&script).is_err());
    }
}
