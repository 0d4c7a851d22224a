//! What a browser is to do and to find: a short script, declared as data.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::api::Duration;
use crate::api::validate::{Check, Violation, quoted};

/// Most steps of a script. What needs more is a test suite, which a check is not.
pub const STEPS_MOST: usize = 100;

/// The longest that a step may be told to wait, or a page to load.
pub const WAIT_MOST: std::time::Duration = std::time::Duration::from_secs(300);

/// Longest selector or text, in bytes.
const TEXT_MOST: usize = 1024;

/// Longest URL, in bytes: what browsers and servers agree on.
const URL_MOST: usize = 2048;

/// Capabilities that are objects: the client adds to the first, `noConsoleErrors` to the second.
pub(crate) const OBJECTS: [&str; 2] = ["goog:chromeOptions", "goog:loggingPrefs"];

/// What a script may say of the browser. A WebDriver server starts whatever its capabilities name, so that what is not listed would be a
/// way to run programs without a session that permits it.
const WORDS: [&str; 3] = ["browserName", "browserVersion", "platformName"];

/// Objects that may have `args`, and nothing else.
const WITH_SWITCHES: [&str; 3] = ["goog:chromeOptions", "ms:edgeOptions", "moz:firefoxOptions"];

/// The switches of browsers that may be among them: how the browser looks, and what it does without a screen or as root.
const SWITCHES: [&str; 11] = [
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-dev-shm-usage",
    "window-size",
    "width",
    "height",
    "hide-scrollbars",
    "force-device-scale-factor",
    "lang",
    "incognito",
];

/// A browser's visit to a page, over any WebDriver server (chromedriver, geckodriver, Selenium).
///
/// It passes when every step does, in their order. It is stored and shown as it is: no place for a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebDriver {
    /// Where the WebDriver server listens, such as `http://127.0.0.1:9515` or `http://grid:4444/wd/hub`. Plain http only.
    pub url: String,
    /// What the browser has to be and how it is begun: the `alwaysMatch` of the session. `browserName`, `browserVersion`,
    /// `platformName`, `acceptInsecureCerts`, `goog:loggingPrefs`, and switches: chromedriver takes a browser without a screen by
    /// `{"goog:chromeOptions": {"args": ["--headless=new"]}}`; as root it needs `--no-sandbox` too. Nothing else is let through: a
    /// WebDriver server starts what it is told to.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub capabilities: Map<String, Value>,
    /// What to do and to find, 1 to 100 steps. The first is a `goto`.
    pub steps: Vec<Step>,
}

/// One step: an object with exactly one of these fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Step {
    /// Loads the page of this http or https URL and waits until it is loaded. Fails when it does not come, or comes with a status of
    /// 400 or more. The status is not seen by browsers that do not tell it, as Firefox before 109 and Safari.
    Goto(String),
    /// Clicks on an element, which has to be there and reachable. A page that this leads to is waited for.
    Click {
        /// CSS selector; the first element that matches counts.
        css: String,
    },
    /// Types a text at the end of what an input element has already.
    Type {
        /// CSS selector; the first element that matches counts.
        css: String,
        /// The text, 1 to 1024 bytes. No place for a secret.
        text: String,
    },
    /// Waits for an element, for a text, or for a text in an element. At least one of `css` and `text` is set. It is asked for every
    /// 100 ms, as WebDriver tells of no changes.
    WaitFor {
        /// CSS selector; the first element that matches counts. Without a text it has to be displayed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        css: Option<String>,
        /// A text that the element, or the page when there is no selector, has to show. Upper and lower case differ.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// How long, over `0s` and at most `5m`; the time of the whole check is a bound as well.
        #[serde(default = "ten_seconds")]
        timeout: Duration,
    },
    /// Passes when an element shows a text now.
    AssertText {
        /// CSS selector; the first element that matches counts.
        css: String,
        /// A text that it has to show. Upper and lower case differ.
        contains: String,
    },
    /// Passes when the page has such a title now.
    AssertTitle {
        /// A text that the title has to contain. Upper and lower case differ.
        contains: String,
    },
    /// Passes when the browser's console has told of no error since the beginning, or since the last such step: scripts that threw,
    /// `console.error`, files that could not be loaded (save an icon that no page asked for). Only chromedriver and what forwards to
    /// it keep a console log; of any other server the check is an error.
    NoConsoleErrors {},
    /// Passes when the page that is shown was loaded, from the start of the navigation to the end of its load event, in at most this
    /// time; over `0s` and at most `5m`. It is the page of the last `goto`, unless a click has led to another one since.
    MaxLoad(Duration),
    /// Keeps a picture of what is to be seen now. The last one is kept with a pass; a failure always has its own.
    Screenshot {},
}

fn ten_seconds() -> Duration {
    std::time::Duration::from_secs(10).into()
}

fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// The step as messages name it. A text that is typed is not shown.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Goto(url) => write!(f, "goto {url}"),
            Self::Click { css } => write!(f, "click {css}"),
            Self::Type { css, .. } => write!(f, "type {css}"),
            Self::WaitFor { css: Some(css), .. } => write!(f, "waitFor {css}"),
            Self::WaitFor { css: None, .. } => f.write_str("waitFor"),
            Self::AssertText { css, .. } => write!(f, "assertText {css}"),
            Self::AssertTitle { .. } => f.write_str("assertTitle"),
            Self::NoConsoleErrors {} => f.write_str("noConsoleErrors"),
            Self::MaxLoad(_) => f.write_str("maxLoad"),
            Self::Screenshot {} => f.write_str("screenshot"),
        }
    }
}

impl WebDriver {
    /// Every rule that it breaks, with its place below `path`.
    #[must_use]
    pub fn violations(&self, path: &str) -> Vec<Violation> {
        let mut check = Check::new();
        let expected = "an http:// URL with a host, without user, password, query and fragment, of at most 2048 bytes";
        let is_plain = |url: &Url| url.scheme() == "http" && url.query().is_none() && url.fragment().is_none();
        let fits = web_url(&self.url).is_some_and(|url| is_plain(&url));
        check.that(fits, format!("{path}.url"), quoted(&self.url), expected);
        for (name, value) in &self.capabilities {
            let expected = unfit(name, value);
            let found = quoted(&value.to_string());
            check.that(expected.is_none(), format!("{path}.capabilities[{name:?}]"), found, expected.unwrap_or_default());
        }
        let count = self.steps.len();
        let expected = format!("1 to {STEPS_MOST} steps");
        check.that((1..=STEPS_MOST).contains(&count), format!("{path}.steps"), format!("{count} steps"), expected);
        if let Some(first) = self.steps.first() {
            let fits = matches!(first, Step::Goto(_));
            check.that(fits, format!("{path}.steps[0]"), quoted(&first.to_string()), "goto: there is no page before it");
        }
        for (i, step) in self.steps.iter().take(STEPS_MOST).enumerate() {
            step.check(&mut check, &format!("{path}.steps[{i}]"));
        }
        check.finish()
    }
}

/// What a capability should be, where it is not.
fn unfit(name: &str, value: &Value) -> Option<String> {
    let is_switch = |arg: &Value| {
        let switch = arg.as_str().and_then(|a| a.split('=').next()).map(|a| a.trim_start_matches('-'));
        switch.is_some_and(|switch| SWITCHES.contains(&switch))
    };
    let switches = |options: &Map<String, Value>| {
        let args = |value: &Value| value.as_array().is_some_and(|args| args.iter().all(is_switch));
        options.iter().all(|(key, value)| key == "args" && args(value))
    };
    if WITH_SWITCHES.contains(&name) {
        let fits = value.as_object().is_some_and(switches);
        return (!fits).then(|| format!("an object with args, of the switches {}", SWITCHES.join(", ")));
    }
    let (fits, expected) = match name {
        "acceptInsecureCerts" => (value.is_boolean(), "true or false"),
        "goog:loggingPrefs" => (value.as_object().is_some_and(|o| o.values().all(Value::is_string)), "an object of texts"),
        word if WORDS.contains(&word) => (value.is_string(), "a text"),
        _ => (false, "none of that name: a server could be told by it to start anything"),
    };
    (!fits).then(|| expected.to_owned())
}

impl Step {
    fn check(&self, check: &mut Check, path: &str) {
        match self {
            Self::Goto(url) => {
                let expected = "an http:// or https:// URL with a host, without user and password, of at most 2048 bytes";
                check.that(web_url(url).is_some(), format!("{path}.goto"), quoted(url), expected);
            }
            Self::Click { css } => check.text(&format!("{path}.click.css"), css, TEXT_MOST),
            Self::Type { css, text } => {
                check.text(&format!("{path}.type.css"), css, TEXT_MOST);
                // A blank is something to type.
                let fits = !text.is_empty() && text.len() <= TEXT_MOST && !text.contains('\0');
                let expected = format!("a text of 1 to {TEXT_MOST} bytes");
                check.that(fits, format!("{path}.type.text"), quoted(text), expected);
            }
            Self::WaitFor { css, text, timeout } => {
                let fits = css.is_some() || text.is_some();
                check.that(fits, format!("{path}.waitFor"), "neither css nor text", "at least one of css and text");
                for (name, value) in [("css", css), ("text", text)] {
                    if let Some(value) = value {
                        check.text(&format!("{path}.waitFor.{name}"), value, TEXT_MOST);
                    }
                }
                wait(check, &format!("{path}.waitFor.timeout"), *timeout);
            }
            Self::AssertText { css, contains } => {
                check.text(&format!("{path}.assertText.css"), css, TEXT_MOST);
                check.text(&format!("{path}.assertText.contains"), contains, TEXT_MOST);
            }
            Self::AssertTitle { contains } => check.text(&format!("{path}.assertTitle.contains"), contains, TEXT_MOST),
            Self::MaxLoad(most) => wait(check, &format!("{path}.maxLoad"), *most),
            Self::NoConsoleErrors {} | Self::Screenshot {} => {}
        }
    }
}

fn wait(check: &mut Check, path: &str, value: Duration) {
    check.positive(path, value);
    check.that(value.to_std() <= WAIT_MOST, path, format!("\"{value}\""), "at most \"5m\"");
}

/// A URL that a browser or a client can be sent to over the net. With a `file:` a script could read the browser's host.
pub(crate) fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= URL_MOST)?;
    let bare = url.has_host() && url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && bare).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn script(change: Value) -> WebDriver {
        let mut script = json!({"url": "http://127.0.0.1:9515", "steps": [{"goto": "https://shop.example/"}]});
        for (key, value) in change.as_object().unwrap() {
            script[key] = value.clone();
        }
        serde_json::from_value(script).unwrap()
    }

    fn all_steps() -> Value {
        json!([
            {"goto": "http://127.0.0.1/a?b=c#d"}, {"click": {"css": "#go"}}, {"type": {"css": "input", "text": " "}},
            {"waitFor": {"css": "#a", "text": "b", "timeout": "5m"}}, {"waitFor": {"text": "b", "timeout": "10s"}},
            {"assertText": {"css": "h1", "contains": "x"}}, {"assertTitle": {"contains": "x"}}, {"noConsoleErrors": {}},
            {"maxLoad": "2s"}, {"screenshot": {}}
        ])
    }

    #[test]
    fn every_step_is_written_as_it_was_read() {
        let script = script(json!({"steps": all_steps(), "capabilities": {"browserName": "chrome"}}));
        let written = serde_json::to_value(&script).unwrap();
        assert_eq!(written["steps"], all_steps());
        assert_eq!(serde_json::from_value::<WebDriver>(written).unwrap(), script);
        assert_eq!(script.violations("w"), []);
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let script = script(json!({"steps": [{"waitFor": {"css": "a"}}]}));
        let timeout = std::time::Duration::from_secs(10).into();
        assert_eq!(script.steps, [Step::WaitFor { css: Some("a".to_owned()), text: None, timeout }]);
        assert!(script.capabilities.is_empty());
    }

    #[test]
    fn a_step_with_none_two_or_an_unknown_field_is_refused() {
        for step in [json!({}), json!({"goto": "http://a/", "screenshot": {}}), json!({"sleep": "1s"}), json!("screenshot")]
        {
            assert!(serde_json::from_value::<Step>(step.clone()).is_err(), "{step}");
        }
    }

    #[test]
    fn every_broken_rule_is_told_with_what_was_found() {
        let step = |step: Value| json!({"steps": [{"goto": "http://a/"}, step]});
        let long = "x".repeat(TEXT_MOST + 1);
        for (change, told) in [
            (json!({"url": "https://a"}), "w.url: found \"https://a\", expected an http:// URL"),
            (json!({"url": "127.0.0.1:9515"}), "w.url: found"),
            (json!({"url": "http://me:secret@a/"}), "w.url: found"),
            (json!({"url": ""}), "w.url: found \"\", expected an http:// URL"),
            (json!({"steps": []}), "w.steps: found 0 steps, expected 1 to 100 steps"),
            (json!({"steps": vec![json!({"goto": "http://a/"}); 101]}), "w.steps: found 101 steps, expected 1 to 100 steps"),
            (
                json!({"steps": [{"click": {"css": "a"}}]}),
                "w.steps[0]: found \"click a\", expected goto: there is no page before",
            ),
            (json!({"steps": [{"goto": "file:///etc/passwd"}]}), "w.steps[0].goto: found \"file:///etc/passwd\", expected"),
            (json!({"steps": [{"goto": "javascript:alert(1)"}]}), "w.steps[0].goto: found"),
            (json!({"steps": [{"goto": "http://me:secret@a/"}]}), "w.steps[0].goto: found"),
            (
                json!({"capabilities": {"goog:chromeOptions": 7}}),
                "w.capabilities[\"goog:chromeOptions\"]: found \"7\", expected an",
            ),
            (
                json!({"capabilities": {"goog:chromeOptions": {"binary": "/bin/sh"}}}),
                "w.capabilities[\"goog:chromeOptions\"]: found \"{\\\"binary\\\":\\\"/bin/sh\\\"}\", expected an object with args",
            ),
            (
                json!({"capabilities": {"goog:chromeOptions": {"args": ["--headless", "--renderer-cmd-prefix=sh"]}}}),
                "w.capabilities[\"goog:chromeOptions\"]: found",
            ),
            (
                json!({"capabilities": {"moz:firefoxOptions": {"args": [7]}}}),
                "w.capabilities[\"moz:firefoxOptions\"]: found",
            ),
            (
                json!({"capabilities": {"se:anything": true}}),
                "w.capabilities[\"se:anything\"]: found \"true\", expected none",
            ),
            (json!({"capabilities": {"browserName": 7}}), "w.capabilities[\"browserName\"]: found \"7\", expected a text"),
            (
                json!({"capabilities": {"goog:loggingPrefs": []}}),
                "w.capabilities[\"goog:loggingPrefs\"]: found \"[]\", expected an",
            ),
            (step(json!({"click": {"css": " "}})), "w.steps[1].click.css: found \" \", expected a text of 1 to 1024 bytes"),
            (step(json!({"click": {"css": long}})), "w.steps[1].click.css: found"),
            (step(json!({"type": {"css": "", "text": "a"}})), "w.steps[1].type.css: found"),
            (step(json!({"type": {"css": "a", "text": ""}})), "w.steps[1].type.text: found"),
            (step(json!({"assertText": {"css": "", "contains": "a"}})), "w.steps[1].assertText.css: found"),
            (step(json!({"assertText": {"css": "a", "contains": ""}})), "w.steps[1].assertText.contains: found"),
            (step(json!({"assertTitle": {"contains": ""}})), "w.steps[1].assertTitle.contains: found"),
            (
                step(json!({"waitFor": {}})),
                "w.steps[1].waitFor: found neither css nor text, expected at least one of css and text",
            ),
            (step(json!({"waitFor": {"css": ""}})), "w.steps[1].waitFor.css: found"),
            (step(json!({"waitFor": {"text": ""}})), "w.steps[1].waitFor.text: found"),
            (
                step(json!({"waitFor": {"css": "a", "timeout": "0s"}})),
                "w.steps[1].waitFor.timeout: found \"0s\", expected a dur",
            ),
            (
                step(json!({"waitFor": {"css": "a", "timeout": "-1s"}})),
                "w.steps[1].waitFor.timeout: found \"-1s\", expected a dur",
            ),
            (
                step(json!({"waitFor": {"css": "a", "timeout": "301s"}})),
                "w.steps[1].waitFor.timeout: found \"5m1s\", expected at",
            ),
            (step(json!({"maxLoad": "0s"})), "w.steps[1].maxLoad: found \"0s\", expected"),
            (step(json!({"maxLoad": "1h"})), "w.steps[1].maxLoad: found \"1h\", expected at most \"5m\""),
        ] {
            let violations = script(change.clone()).violations("w");
            assert_eq!(violations.len(), 1, "{change}: {violations:?}");
            assert!(violations[0].to_string().starts_with(told), "{}", violations[0]);
        }
    }

    #[test]
    fn what_is_typed_is_not_shown() {
        let step = Step::Type { css: "#pass".to_owned(), text: "hunter2".to_owned() };
        assert_eq!(step.to_string(), "type #pass");
    }

    #[derive(kube::CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[kube(group = "lab.dev", version = "v1", kind = "Lab", plural = "labs", namespaced)]
    struct LabSpec {
        web_driver: WebDriver,
    }

    #[test]
    fn the_schema_is_structural_with_every_step_a_property_and_exactly_one_required() {
        let crd = serde_json::to_value(<Lab as kube::CustomResourceExt>::crd()).unwrap();
        let schema =
            &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["web_driver"];
        assert_eq!(schema["properties"]["capabilities"]["x-kubernetes-preserve-unknown-fields"], true);
        let step = &schema["properties"]["steps"]["items"];
        assert_eq!(step["type"], "object");
        assert_eq!(step["properties"].as_object().unwrap().len(), 9);
        assert_eq!(step["properties"]["goto"]["type"], "string");
        assert_eq!(step["properties"]["screenshot"]["type"], "object");
        assert!(step.get("additionalProperties").is_none(), "it must not stand beside properties");
        let alternatives = step["oneOf"].as_array().unwrap();
        assert_eq!(alternatives.len(), 9);
        for alternative in alternatives {
            // Nothing but `required` may stand in a junctor of a structural schema.
            let keys: Vec<_> = alternative.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["required"], "{alternative}");
        }
    }
}
