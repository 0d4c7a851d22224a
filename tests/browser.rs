//! Against a real chromedriver and Chromium, which have to be in the path, and a small site of this process.

#[path = "browser/site.rs"]
mod site;

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use site::site;
use wicap::api::soak::script::WebDriver;
use wicap::observe::browser::{CLOSING, Outcome, PICTURE, RELEASE, RunResult, run};

/// One browser at a time, on machines of any size.
static ONE: Mutex<()> = Mutex::const_new(());

/// A browser is not quick to start on a busy machine.
const AMPLE: Duration = Duration::from_secs(60);

/// A chromedriver of its own. What it starts inherits a mark in the environment, by which it is found.
struct Driver {
    url: String,
    mark: String,
    process: Child,
    site: u16,
    _one: MutexGuard<'static, ()>,
}

impl Driver {
    async fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let one = ONE.lock().await;
        let mark = format!("BROWSER_TEST={}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (name, value) = mark.split_once('=').unwrap();
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .env(name, value)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver in the path");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("a line with the port");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // What it says later is nobody's, but its pipe must not break.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { url: format!("http://127.0.0.1:{port}"), mark, process, site: site().await, _one: one }
    }

    /// A script of steps in which `SITE` is the site.
    fn script(&self, steps: &Value) -> WebDriver {
        let steps = steps.to_string().replace("SITE", &format!("http://127.0.0.1:{}", self.site));
        let script = json!({"url": self.url, "steps": serde_json::from_str::<Value>(&steps).unwrap(), "capabilities":
            {"goog:chromeOptions": {"args": ["--headless=new", "--no-sandbox", "--disable-gpu"]}}});
        let script: WebDriver = serde_json::from_value(script).unwrap();
        assert_eq!(script.violations("w"), []);
        script
    }

    async fn run(&self, steps: Value) -> Outcome {
        let outcome = run(&self.script(&steps), AMPLE).await;
        // The browser has ended by now; its helpers follow it on their own.
        self.no_browser_within(Duration::from_secs(5)).await;
        outcome
    }

    /// The processes that it has started and those that they have: by their parents, and by the mark, which some overwrite.
    fn browsers(&self) -> Vec<u32> {
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let marked = |pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes())
        };
        let is_child = |pid: &u32| {
            let parents = std::iter::successors(parent(*pid), |pid| parent(*pid));
            parents.into_iter().any(|pid| Some(pid) == self.process.id())
        };
        pids.filter(|pid| Some(*pid) != self.process.id()).filter(|pid| marked(pid) || is_child(pid)).collect()
    }

    async fn no_browser_within(&self, time: Duration) -> Duration {
        let begun = Instant::now();
        while !self.browsers().is_empty() {
            assert!(begun.elapsed() < time, "{:?} after {time:?}", self.browsers());
            sleep(Duration::from_millis(50)).await;
        }
        begun.elapsed()
    }

    async fn browser_begins(&self) {
        while self.browsers().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a failed test has left.
impl Drop for Driver {
    fn drop(&mut self) {
        for pid in self.browsers() {
            let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
}

/// The parent of a process that has not ended.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    fields.next().filter(|state| *state != "Z")?;
    fields.next()?.parse().ok()
}

fn failure(outcome: &Outcome) -> &str {
    match &outcome.result {
        RunResult::Failed { message } => message,
        other => panic!("{other:?}"),
    }
}

fn error(outcome: &Outcome) -> &str {
    match &outcome.result {
        RunResult::Error { message } => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_page_that_is_as_it_has_to_be_passes_every_step() {
    let driver = Driver::start().await;
    let simple = json!([{"goto": "SITE/good"}, {"assertTitle": {"contains": "Good"}}]);
    for _ in 0..3 {
        let begun = Instant::now();
        let outcome = driver.run(simple.clone()).await;
        println!("a simple check: {:?}, with its end {:?}", outcome.took, begun.elapsed());
        assert_eq!((outcome.result, outcome.picture), (RunResult::Passed, None));
    }
    let outcome = driver
        .run(json!([
            {"goto": "SITE/moved"}, {"assertTitle": {"contains": "Good"}}, {"assertText": {"css": "h1", "contains": "Hell"}},
            {"goto": "SITE/appears"}, {"waitFor": {"css": "#a"}}, {"waitFor": {"text": "now"}},
            {"waitFor": {"css": "p", "text": "now", "timeout": "1ms"}},
            {"goto": "SITE/button"}, {"click": {"css": "#go"}}, {"assertText": {"css": "#out", "contains": "done"}},
            {"click": {"css": "#next"}}, {"assertTitle": {"contains": "Good"}},
            {"goto": "SITE/input"}, {"type": {"css": "#in", "text": "ab "}}, {"type": {"css": "#in", "text": "ü"}},
            {"assertText": {"css": "#out", "contains": "ab ü"}},
            {"noConsoleErrors": {}}, {"goto": "SITE/late"}, {"maxLoad": "1m"}, {"screenshot": {}}
        ]))
        .await;
    assert_eq!(outcome.result, RunResult::Passed);
    assert!(outcome.picture.unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn a_page_that_is_not_as_it_has_to_be_fails_with_what_was_found_and_a_picture() {
    let driver = Driver::start().await;
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (page, step, told) in [
        (
            "/good",
            json!({"assertTitle": {"contains": "Bad"}}),
            "step 2 (assertTitle): found the title \"Good page\", expected one with \"Bad\"",
        ),
        ("/long", json!({"assertTitle": {"contains": "x"}}), "found the title \"long long"),
        (
            "/good",
            json!({"assertText": {"css": "h1", "contains": "Bye"}}),
            "step 2 (assertText h1): found the text \"Hello\", expected one with \"Bye\"",
        ),
        ("/good", json!({"assertText": {"css": "h1", "contains": "Ghost"}}), "found the text \"Hello\""),
        (
            "/good",
            json!({"assertText": {"css": "h2", "contains": "x"}}),
            "step 2 (assertText h2): found no such element, expected",
        ),
        (
            "/good",
            json!({"waitFor": {"css": "h2", "timeout": "300ms"}}),
            "step 2 (waitFor h2): found no such element after 300ms, expected",
        ),
        (
            "/good",
            json!({"waitFor": {"css": "p", "timeout": "300ms"}}),
            "found an element that is not displayed after 300ms",
        ),
        (
            "/good",
            json!({"waitFor": {"text": "x", "timeout": "300ms"}}),
            "found the text \"Hello\" after 300ms, expected a text with \"x\"",
        ),
        ("/button", json!({"click": {"css": "#off"}}), "step 2 (click #off): found element not interactable"),
        ("/button", json!({"click": {"css": "#none"}}), "step 2 (click #none): found no such element"),
        ("/input", json!({"type": {"css": "#ro", "text": "x"}}), "step 2 (type #ro): found "),
        ("/console", json!({"noConsoleErrors": {}}), "step 2 (noConsoleErrors): found 2 errors, the first \""),
        ("/missing", json!({"noConsoleErrors": {}}), "found the error \""),
        ("/late", json!({"maxLoad": "600ms"}), "step 2 (maxLoad): found "),
        ("/503", json!({"screenshot": {}}), "/503: answered 503, expected the page to load with a status below 400"),
        ("/503-empty", json!({"screenshot": {}}), "503-empty): found "),
        ("/none", json!({"screenshot": {}}), "/none: answered 404, expected"),
        ("", json!({"goto": format!("http://{refused}/")}), "net::ERR_CONNECTION_REFUSED"),
        ("/good", json!({"goto": "http://nowhere.invalid/"}), "net::ERR_NAME_NOT_RESOLVED"),
    ] {
        let steps = if page.is_empty() { json!([step]) } else { json!([{"goto": format!("SITE{page}")}, step]) };
        let outcome = driver.run(steps).await;
        let message = failure(&outcome);
        println!("{message}");
        assert!(message.contains(told), "{page}: {message}");
        assert!(message.chars().count() < 600);
        assert!(outcome.picture.as_ref().is_some_and(|picture| picture.starts_with(b"\x89PNG")), "{page}");
    }
}

#[tokio::test]
async fn a_dialog_that_nobody_expects_fails() {
    let driver = Driver::start().await;
    let outcome =
        driver.run(json!([{"goto": "SITE/button"}, {"click": {"css": "#ask"}}, {"assertTitle": {"contains": "x"}}])).await;
    println!("{}", failure(&outcome));
}

#[tokio::test]
async fn a_page_that_does_not_come_fails_when_the_time_is_over() {
    let driver = Driver::start().await;
    for steps in [
        json!([{"goto": "SITE/silent"}]),
        json!([{"goto": "SITE/button"}, {"click": {"css": "#hang"}}, {"assertTitle": {"contains": "x"}}]),
        json!([{"goto": "SITE/good"}, {"waitFor": {"css": "#never", "timeout": "5m"}}]),
        json!([{"goto": "SITE/spin"}, {"waitFor": {"css": "#never", "timeout": "5m"}}]),
        json!([{"goto": "SITE/spin-on"}, {"click": {"css": "#click"}}, {"waitFor": {"css": "#never", "timeout": "5m"}}]),
        json!([{"goto": "SITE/spin-on"}, {"type": {"css": "#type", "text": "x"}}, {"waitFor": {"css": "#never", "timeout": "5m"}}]),
        json!([{"goto": "SITE/spin-now"}]),
    ] {
        let limit = Duration::from_secs(8);
        let begun = Instant::now();
        let outcome = run(&driver.script(&steps), limit).await;
        let all = begun.elapsed();
        let gone = driver.no_browser_within(Duration::from_secs(20)).await;
        println!(
            "{} ({:?}, all {all:?}, gone {gone:?} later, picture: {})",
            failure(&outcome),
            outcome.took,
            outcome.picture.is_some()
        );
        assert!(failure(&outcome).starts_with("timed out in step "), "{outcome:?}");
        assert!(outcome.took + Duration::from_millis(500) >= limit && outcome.took < limit + Duration::from_secs(2));
        assert!(all < limit + PICTURE + 2 * CLOSING + RELEASE + Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_no_browser() {
    let driver = Driver::start().await;
    // While the session begins, while a page is waited for, while an element is.
    for steps in [
        json!([{"goto": "SITE/good"}]),
        json!([{"goto": "SITE/silent"}]),
        json!([{"goto": "SITE/spin-on"}, {"click": {"css": "#click"}}]),
        json!([{"goto": "SITE/good"}, {"waitFor": {"css": "#never", "timeout": "5m"}}]),
    ] {
        for after in [0, 3000] {
            let script = driver.script(&steps);
            let limit = Duration::from_secs(10);
            tokio::select! {
                outcome = run(&script, limit) => println!("{outcome:?}"),
                () = async { driver.browser_begins().await; sleep(Duration::from_millis(after)).await } => {}
            }
            let gone = driver.no_browser_within(limit + Duration::from_secs(10)).await;
            println!("dropped after {after}ms, gone {gone:?} later");
        }
    }
}

#[tokio::test]
async fn a_check_that_cannot_be_made_is_an_error() {
    let driver = Driver::start().await;
    let with_url = |url: &str| WebDriver { url: url.to_owned(), ..driver.script(&json!([{"goto": "SITE/good"}])) };
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = run(&with_url(&format!("http://{nobody}")), AMPLE).await;
    assert!(error(&outcome).contains("it cannot be reached: ") && error(&outcome).contains("refused"), "{outcome:?}");

    let outcome = run(&with_url(&format!("http://127.0.0.1:{}", driver.site)), AMPLE).await;
    assert!(error(&outcome).contains("answers as no WebDriver server does"), "{outcome:?}");

    let outcome = run(&with_url(&format!("{}/wd/hub", driver.url)), AMPLE).await;
    assert!(error(&outcome).contains("no session of "), "{outcome:?}");

    let outcome = run(&with_url("https://127.0.0.1/"), AMPLE).await;
    assert!(error(&outcome).contains("expected an http:// URL"), "{outcome:?}");

    // It accepts connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = Duration::from_millis(500);
    let outcome = run(&with_url(&format!("http://{}", silent.local_addr().unwrap())), limit).await;
    assert!(error(&outcome).ends_with("no answer within 500ms"), "{outcome:?}");
    assert!(outcome.took >= limit && outcome.took < Duration::from_secs(3));

    let mut script = driver.script(&json!([{"goto": "SITE/good"}]));
    script.capabilities = json!({"browserName": "nonsense"}).as_object().unwrap().clone();
    println!("{}", error(&run(&script, AMPLE).await));
    script.capabilities =
        json!({"goog:chromeOptions": {"args": ["--headless=new"], "binary": "/bin/false"}}).as_object().unwrap().clone();
    let outcome = run(&script, AMPLE).await;
    assert!(
        error(&outcome).contains("capabilities") && error(&outcome).contains("binary"),
        "nothing is started: {outcome:?}"
    );

    let outcome = driver.run(json!([{"goto": "SITE/good"}, {"click": {"css": "p["}}])).await;
    assert!(error(&outcome).starts_with("step 2 (click p[): invalid selector: "), "{outcome:?}");
}

#[tokio::test]
async fn a_browser_that_dies_is_an_error() {
    let driver = Driver::start().await;
    let script = driver.script(&json!([{"goto": "SITE/good"}, {"waitFor": {"css": "#never", "timeout": "1m"}}]));
    let (outcome, ()) = tokio::join!(run(&script, AMPLE), async {
        driver.browser_begins().await;
        sleep(Duration::from_secs(4)).await;
        for pid in driver.browsers() {
            let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    });
    println!("{} after {:?}", error(&outcome), outcome.took);
    assert!(outcome.took < Duration::from_secs(20));
    driver.no_browser_within(AMPLE).await;
}

#[tokio::test]
async fn a_server_that_keeps_no_console_log_says_so() {
    // A server that gives a session and knows no command but the one that loads a page.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return asked };
            let mut request = vec![0; 65536];
            let length = stream.read(&mut request).await.unwrap_or_default();
            let line = String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned();
            let value = match line.as_str() {
                "POST /session HTTP/1.1" => json!({"sessionId": "s", "capabilities": {}}),
                "GET /session/s/url HTTP/1.1" => json!("http://a/"),
                "POST /session/s/se/log HTTP/1.1" => json!({"error": "unknown command", "message": "m", "stacktrace": ""}),
                _ => Value::Null,
            };
            let status = if value.get("error").is_some() { 404 } else { 200 };
            let body = json!({"value": value}).to_string();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\n");
            let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
            let is_end = line.starts_with("DELETE");
            asked.push(line);
            if is_end {
                return asked;
            }
        }
    });
    let script = json!({"url": url, "steps": [{"goto": "http://a/"}, {"noConsoleErrors": {}}]});
    let outcome = run(&serde_json::from_value(script).unwrap(), AMPLE).await;
    assert_eq!(error(&outcome), "step 2 (noConsoleErrors): this server keeps no console log");
    assert_eq!(asked.await.unwrap().last().unwrap(), "DELETE /session/s HTTP/1.1");
}
