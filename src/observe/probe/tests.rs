use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::api::stack::HttpGet;

/// A server that gives the same answer to everybody, and then keeps the connection open.
async fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            open.push(stream);
        }
    });
    port
}

fn get(port: u16, expected: &[u16]) -> HttpGet {
    HttpGet {
        host: "127.0.0.1".to_owned(),
        port,
        path: "/x?a=1".to_owned(),
        expected_statuses: expected.to_vec(),
        ..HttpGet::default()
    }
}

const SECOND: Duration = Duration::from_secs(1);

async fn ask(get: &HttpGet, timeout: Duration) -> Result<String, String> {
    match ask_http(&Dialer::kernel(), get, timeout).await.outcome {
        Outcome::Passed(said) => Ok(said.shown()),
        Outcome::Failed(said) | Outcome::Unasked(said) => Err(said.shown()),
    }
}

#[tokio::test]
async fn statuses_from_200_to_399_pass_unless_others_are_expected() {
    let ok = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(ask(&get(ok, &[]), SECOND).await.unwrap(), "GET /x?a=1 answers 200");
    assert!(ask(&get(ok, &[204]), SECOND).await.is_err());
    let moved = server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    assert!(ask(&get(moved, &[]), SECOND).await.is_ok());
    let down = server("HTTP/1.1 503 No\r\ncontent-length: 38\r\n\r\n{\"error\":\"down\",\"password\":\"hunter2!\"}").await;
    let why = ask(&get(down, &[]), SECOND).await.unwrap_err();
    assert!(why.starts_with("GET /x?a=1 answers 503: {\"error\":\"down\"") && !why.contains("hunter2"), "{why}");
    assert!(ask(&get(down, &[503]), SECOND).await.is_ok());
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let endless = server("HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\nxxxx").await;
    assert!(ask(&get(endless, &[]), SECOND).await.is_ok());
}

#[tokio::test]
async fn silence_and_nonsense_and_nobody_fail() {
    let silent = server("").await;
    let timeout = Duration::from_millis(100);
    assert_eq!(ask(&get(silent, &[]), timeout).await.unwrap_err(), "no answer within 100ms");
    let nonsense = server("SSH-2.0-x\r\n").await;
    assert!(ask(&get(nonsense, &[]), SECOND).await.unwrap_err().contains("broke off"));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert!(ask(&get(nobody, &[]), SECOND).await.unwrap_err().starts_with("no connection to"));
}

/// A GET that expects something, of a server with that answer.
async fn expecting(answer: &'static str, change: Value) -> HttpGet {
    let mut get = serde_json::to_value(get(server(answer).await, &[])).unwrap();
    for (key, value) in change.as_object().unwrap() {
        get[key] = value.clone();
    }
    serde_json::from_value(get).unwrap()
}

async fn asked(get: &HttpGet) -> Attempt {
    http::Get::new(get).unwrap().ask(&Dialer::kernel(), SECOND).await
}

const STATUS: &str = "HTTP/1.1 200 OK\r\nx-mode: queue\r\ncontent-length: 77\r\n\r\n\
    {\"db_status\":\"ok\",\"eps\":0.25,\"last_insert_age_sec\":340,\"password\":\"hunter2!\"}";

#[tokio::test]
async fn every_expectation_that_is_not_met_is_told_with_what_was_found() {
    for (change, expected) in [
        (json!({"expect": {"json": [{"pointer": "/last_insert_age_sec", "lessThan": 1000}]}}), Ok("")),
        (
            json!({"expect": {"json": [{"pointer": "/last_insert_age_sec", "lessThan": 120}]}}),
            Err(": /last_insert_age_sec is 340, expected less than 120"),
        ),
        (
            json!({"expect": {"json": [{"pointer": "/eps", "greaterThan": 1}, {"pointer": "/db_status", "equals": "ok"}],
                "cel": ["headers['x-mode'] != 'queue'", "body.eps > 0.0 && status == 200"], "bodyContains": "eps"}}),
            Err(": /eps is 0.25, expected more than 1; `headers['x-mode'] != 'queue'` is false"),
        ),
        (
            json!({"expect": {"json": [{"pointer": "/password", "equals": "x"}]}}),
            Err(": /password is [redacted], expected \"x\""),
        ),
        (json!({"expect": {"bodyContains": "degraded"}}), Err(": its body does not contain \"degraded\"")),
        (
            json!({"expect": {"cel": ["body.events > 0.0"]}}),
            Err(": `body.events > 0.0` cannot be said: No such key: events"),
        ),
    ] {
        let get = expecting(STATUS, change.clone()).await;
        let said = |more| format!("GET /x?a=1 answers 200{more}");
        let expected = match expected {
            Ok(more) => Attempt::passed(said(more)).outcome,
            Err(more) => Attempt::failed(said(more)).outcome,
        };
        assert_eq!(asked(&get).await.outcome, expected, "{change}");
    }
}

#[tokio::test]
async fn numbers_are_captured_from_answers_good_and_bad() {
    let capture = json!([{"name": "eps", "pointer": "/eps"}, {"name": "age", "pointer": "/last_insert_age_sec"},
        {"name": "text", "pointer": "/db_status"}, {"name": "none", "pointer": "/none"}]);
    let expected = std::collections::BTreeMap::from([("age".to_owned(), 340.0), ("eps".to_owned(), 0.25)]);
    let good = expecting(STATUS, json!({"capture": capture})).await;
    let attempt = asked(&good).await;
    assert!(matches!(attempt.outcome, Outcome::Passed(_)) && attempt.samples == expected, "{attempt:?}");
    let bad = expecting(STATUS, json!({"capture": capture, "expectedStatuses": [204]})).await;
    let attempt = asked(&bad).await;
    assert!(matches!(attempt.outcome, Outcome::Failed(_)) && attempt.samples == expected, "{attempt:?}");
}

#[tokio::test]
async fn headers_are_sent_and_the_own_name_gives_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut get = get(listener.local_addr().unwrap().port(), &[]);
    get.headers =
        serde_json::from_value(json!([{"name": "X-Token", "value": "t"}, {"name": "user-agent", "value": "me"}])).unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&request[..length]).to_lowercase()
    });
    assert!(matches!(asked(&get).await.outcome, Outcome::Passed(_)));
    let request = served.await.unwrap();
    assert!(request.contains("x-token: t\r\n") && request.contains("user-agent: me\r\n"), "{request}");
    assert_eq!(request.matches("user-agent").count(), 1, "{request}");
}

#[tokio::test]
async fn an_answer_that_is_right_and_late_fails_with_both_figures() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            // The head at once, and the body late.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
            tokio::time::sleep(Duration::from_millis(120)).await;
            let _ = stream.write_all(b"ok").await;
        }
    });
    let mut get = get(port, &[]);
    get.max_latency = Some(Duration::from_millis(60).into());
    assert!(matches!(asked(&get).await.outcome, Outcome::Passed(_)), "nothing needs the body");
    get.expect = Some(serde_json::from_value(json!({"bodyContains": "ok"})).unwrap());
    let Outcome::Failed(message) = asked(&get).await.outcome else { panic!("it is late") };
    let message = message.shown();
    let (found, expected) = message.split_once(", expected at most ").unwrap();
    let took: u64 = found.strip_prefix("GET /x?a=1 answers 200: it took ").unwrap().trim_end_matches("ms").parse().unwrap();
    assert!((120..900).contains(&took) && expected == "60ms", "{message}");
}

#[tokio::test]
async fn a_body_over_the_cap_is_not_looked_into() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let body = format!("[\"start\",\"{}\",\"end\"]", "x".repeat(1024 * 1024));
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    for (expect, expected) in [
        (json!({"json": [{"pointer": "/0", "equals": "start"}]}), "its body is over 64 KiB"),
        (json!({"cel": ["body[0] == 'start'"]}), "`body[0] == 'start'` cannot be said: its body is over 64 KiB"),
        (json!({"bodyContains": "end"}), "the first 64 KiB of its body do not contain \"end\""),
    ] {
        let get = HttpGet { expect: Some(serde_json::from_value(expect).unwrap()), ..get(port, &[]) };
        assert_eq!(asked(&get).await.outcome, Attempt::failed(format!("GET /x?a=1 answers 200: {expected}")).outcome);
    }
    for expect in [json!({"bodyContains": "start"}), json!({"cel": ["status == 200"]})] {
        let get = HttpGet { expect: Some(serde_json::from_value(expect).unwrap()), ..get(port, &[]) };
        assert!(matches!(asked(&get).await.outcome, Outcome::Passed(_)));
    }
}

#[tokio::test]
async fn an_engine_that_is_away_says_nothing_of_the_service() {
    let engine = Engine::new("unix:///nonexistent/docker.sock").unwrap();
    let asker = Asker { dialer: Dialer::kernel(), engine, clock: Clock::system(), rules: Arc::default() };
    let subject = Subject { id: "0a1b".to_owned(), service: "ui".to_owned(), log_from: None, health: None };
    for handler in [json!({"process": {"command": "x"}}), json!({"log": {"pattern": "x"}}), json!({"health": {}})] {
        let mut probe = handler.clone();
        probe["name"] = json!("p");
        let attempt = Question::new(&serde_json::from_value(probe).unwrap()).ask(&asker, &subject).await;
        assert!(matches!(attempt.outcome, Outcome::Unasked(_)), "{handler}: {attempt:?}");
    }
}
