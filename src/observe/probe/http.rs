//! One plain GET: nothing followed, nothing decoded, the body read only where something needs it.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::attempt::Attempt;
use super::connect;
use super::expect::{Body, Heard, failures, samples};
use crate::api::stack::expression::Expression;
use crate::api::stack::{BODY_MOST, HttpGet};
use crate::observe::dial::Dialer;

/// Most bytes of a body that are read only to say why a probe failed.
const EXCERPT_MOST: usize = 1024;

/// Most characters of a body that become part of a message.
const BODY_SHOWN: usize = 160;

/// A request whose expectations are compiled.
#[derive(Clone, Debug)]
pub(super) struct Get {
    asked: HttpGet,
    expressions: Vec<Expression>,
    needs_body: bool,
}

impl Get {
    /// Compiles what has to be.
    ///
    /// # Errors
    /// What cannot be, which is refused by the resource's validation already.
    pub fn new(get: &HttpGet) -> Result<Self, String> {
        let expect = get.expect.as_ref();
        let sources = expect.map_or(&[][..], |expect| &expect.cel);
        let compiled = sources.iter().map(|s| Expression::compile(s).map_err(|e| format!("`{s}` is no CEL expression {e}")));
        let expressions = compiled.collect::<Result<Vec<_>, _>>()?;
        let needs_body = !get.capture.is_empty()
            || expressions.iter().any(Expression::uses_body)
            || expect.is_some_and(|expect| !expect.json.is_empty() || expect.body_contains.is_some());
        Ok(Self { asked: get.clone(), expressions, needs_body })
    }

    /// Asks once. Redirects are not followed: a 3xx is an answer like another.
    pub async fn ask(&self, dialer: &Dialer, timeout: Duration) -> Attempt {
        let asked = async { self.exchange(dialer).await.unwrap_or_else(Attempt::failed) };
        Attempt::within(timeout, asked, Attempt::failed).await
    }

    async fn exchange(&self, dialer: &Dialer) -> Result<Attempt, String> {
        let get = &self.asked;
        let begun = Instant::now();
        let stream = connect(dialer, &get.host, get.port).await?;
        let broken = |e: hyper::Error| format!("{}:{} broke off: {e}", get.host, get.port);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut request = Request::get(&get.path).header(HOST, authority(&get.host, get.port)).header(CONNECTION, "close");
        if !get.headers.iter().any(|header| USER_AGENT.as_str().eq_ignore_ascii_case(&header.name)) {
            request = request.header(USER_AGENT, "wicap-probe");
        }
        for header in &get.headers {
            request = request.header(&header.name, &header.value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|e| format!("GET {} cannot be asked: {e}", get.path))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            self.judge(response, begun).await
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // The connection may end first: what it has read is still there to be judged.
            _ = &mut connection => exchange.await,
        }
    }

    async fn judge(&self, response: Response<Incoming>, begun: Instant) -> Result<Attempt, String> {
        let get = &self.asked;
        let (head, mut body) = response.into_parts();
        let status = head.status.as_u16();
        let bytes =
            if self.needs_body { read(&mut body, BODY_MOST).await.map_err(|e| self.says(status, &e))? } else { Vec::new() };
        let latency = begun.elapsed();
        let mut heard = Heard { status, headers: std::collections::BTreeMap::new(), body: Body::new(bytes), latency };
        let samples = samples(get, &heard.body);
        let is_expected = match &get.expected_statuses[..] {
            [] => (200..400).contains(&status),
            statuses => statuses.contains(&status),
        };
        let mut attempt = if is_expected {
            for (name, value) in &head.headers {
                let value = String::from_utf8_lossy(value.as_bytes());
                let of_name = heard.headers.entry(name.as_str().to_owned()).or_default();
                *of_name = if of_name.is_empty() { value.into_owned() } else { format!("{of_name}, {value}") };
            }
            match &failures(get, &self.expressions, &heard)[..] {
                [] => Attempt::passed(self.says(status, "")),
                failures => Attempt::failed(self.says(status, &failures.join("; "))),
            }
        } else {
            if !self.needs_body {
                heard.body = Body::new(read(&mut body, EXCERPT_MOST).await.unwrap_or_default());
            }
            // Redacted as a whole: a secret that is cut in two is not known for one.
            let text: String = heard.body.text().chars().take(EXCERPT_MOST).collect();
            let excerpt: String = crate::audit::redact::redact(&text).chars().take(BODY_SHOWN).collect();
            Attempt::failed(self.says(status, excerpt.trim()))
        };
        attempt.samples = samples;
        Ok(attempt)
    }

    fn says(&self, status: u16, more: &str) -> String {
        let said = format!("GET {} answers {status}", self.asked.path);
        if more.is_empty() { said } else { format!("{said}: {more}") }
    }
}

/// One GET, within `timeout` from the connection to the last byte that matters.
pub async fn ask_http(dialer: &Dialer, get: &HttpGet, timeout: Duration) -> Attempt {
    match Get::new(get) {
        Ok(get) => get.ask(dialer, timeout).await,
        Err(why) => Attempt::unasked(why),
    }
}

/// The beginning of a body: `most` bytes, and perhaps some more that tell that there are more.
async fn read(body: &mut Incoming, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while bytes.len() <= most
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|e| format!("its body broke off: {e}"))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    Ok(bytes)
}

/// Host and port as a Host header has them: an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
