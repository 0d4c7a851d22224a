//! Probes: questions asked of a running service, with the kubelet's meaning of period, timeout, delay and thresholds.
//!
//! # Layout
//! - this file: one attempt
//! - [`verdict`]: attempts counted against the thresholds; pure
//! - [`set`]: the tasks that ask, one for each probe of a running container

pub mod set;
pub mod verdict;

pub use set::ProbeSet;
pub use verdict::Verdict;

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::api::stack::{HttpGet, Probe};
use crate::audit::redact::redact;
use crate::observe::dial::{Connection, Dialer};

/// Most bytes of a body that are read, and only to say why a probe failed.
const BODY_MOST: usize = 1024;

/// Most characters of a body that become part of a message.
const BODY_SHOWN: usize = 160;

/// One attempt, within the probe's timeout.
///
/// # Errors
/// Why it fails, in words for people.
pub async fn ask(dialer: &Dialer, probe: &Probe) -> Result<String, String> {
    let timeout = probe.timeout.to_std();
    match (&probe.tcp_socket, &probe.http_get) {
        (Some(tcp), None) => {
            within(timeout, async {
                connect(dialer, &tcp.host, tcp.port).await?;
                Ok(format!("{}:{} accepts connections", tcp.host, tcp.port))
            })
            .await
        }
        (None, Some(http)) => ask_http(dialer, http, timeout).await,
        _ => Err("the probe asks nothing: set one of tcpSocket and httpGet".to_owned()),
    }
}

/// One GET, within `timeout` from the connection to the status. Redirects are not followed: a 3xx is an answer like another.
///
/// # Errors
/// Why it fails, in words for people: no connection, no answer, or a status that is not expected, with the redacted beginning
/// of the body.
pub async fn ask_http(dialer: &Dialer, get: &HttpGet, timeout: Duration) -> Result<String, String> {
    within(timeout, async {
        let stream = connect(dialer, &get.host, get.port).await?;
        let broken = |e: hyper::Error| format!("{}:{} broke off: {e}", get.host, get.port);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let request = Request::get(&get.path)
            .header(HOST, authority(&get.host, get.port))
            .header(USER_AGENT, "wicap-probe")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|e| format!("GET {} cannot be asked: {e}", get.path))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            judge(get, response).await
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // The connection may end first: what it has read is still there to be judged.
            _ = &mut connection => exchange.await,
        }
    })
    .await
}

async fn judge(get: &HttpGet, response: Response<hyper::body::Incoming>) -> Result<String, String> {
    let status = response.status().as_u16();
    let expected = if get.expected_statuses.is_empty() {
        (200..400).contains(&status)
    } else {
        get.expected_statuses.contains(&status)
    };
    let said = format!("GET {} answers {status}", get.path);
    if expected {
        return Ok(said);
    }
    let mut body = response.into_body();
    let mut start = Vec::new();
    while start.len() < BODY_MOST
        && let Some(Ok(frame)) = body.frame().await
    {
        start.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    start.truncate(BODY_MOST);
    let text = String::from_utf8_lossy(&start);
    let shown: String = redact(&text).chars().map(|c| if c.is_control() { ' ' } else { c }).take(BODY_SHOWN).collect();
    if shown.trim().is_empty() { Err(said) } else { Err(format!("{said}: {}", shown.trim())) }
}

async fn connect(dialer: &Dialer, host: &str, port: u16) -> Result<Connection, String> {
    dialer.connect(host, port).await.map_err(|e| format!("no connection to {host}:{port}: {e}"))
}

async fn within(timeout: Duration, attempt: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")))
}

/// Host and port as a Host header has them: an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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
        HttpGet { host: "127.0.0.1".to_owned(), port, path: "/x?a=1".to_owned(), expected_statuses: expected.to_vec() }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn statuses_from_200_to_399_pass_unless_others_are_expected() {
        let ok = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(ask_http(&Dialer::kernel(), &get(ok, &[]), SECOND).await.unwrap(), "GET /x?a=1 answers 200");
        assert!(ask_http(&Dialer::kernel(), &get(ok, &[204]), SECOND).await.is_err());
        let moved = server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        assert!(ask_http(&Dialer::kernel(), &get(moved, &[]), SECOND).await.is_ok());
        let down =
            server("HTTP/1.1 503 No\r\ncontent-length: 38\r\n\r\n{\"error\":\"down\",\"password\":\"hunter2!\"}").await;
        let why = ask_http(&Dialer::kernel(), &get(down, &[]), SECOND).await.unwrap_err();
        assert!(why.starts_with("GET /x?a=1 answers 503: {\"error\":\"down\"") && !why.contains("hunter2"), "{why}");
        assert!(ask_http(&Dialer::kernel(), &get(down, &[503]), SECOND).await.is_ok());
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_to_its_end() {
        let endless = server("HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\nxxxx").await;
        assert!(ask_http(&Dialer::kernel(), &get(endless, &[]), SECOND).await.is_ok());
    }

    #[tokio::test]
    async fn silence_and_nonsense_and_nobody_fail() {
        let silent = server("").await;
        let timeout = Duration::from_millis(100);
        assert_eq!(ask_http(&Dialer::kernel(), &get(silent, &[]), timeout).await.unwrap_err(), "no answer within 100ms");
        let nonsense = server("SSH-2.0-x\r\n").await;
        assert!(ask_http(&Dialer::kernel(), &get(nonsense, &[]), SECOND).await.unwrap_err().contains("broke off"));
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        assert!(ask_http(&Dialer::kernel(), &get(nobody, &[]), SECOND).await.unwrap_err().starts_with("no connection to"));
    }
}
