//! An HTTP client for one request: the processor's push and the health check of an image without curl.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

/// Why there was no answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Not `http://HOST[:PORT]/PATH`.
    #[error("not an http:// address: {0}")]
    Address(String),
    /// Nobody listens, or the network is down.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// Something listens that does not speak HTTP, or it hung up.
    #[error("request failed: {0}")]
    Protocol(#[from] hyper::Error),
    /// Something listens and says nothing.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Sends a GET, or a POST if there is a JSON body, and returns the status of the answer.
pub async fn send(url: &str, json: Option<String>, patience: Duration) -> Result<StatusCode, HttpError> {
    tokio::time::timeout(patience, exchange(url, json)).await.map_err(|_| HttpError::Timeout(patience))?
}

async fn exchange(url: &str, json: Option<String>) -> Result<StatusCode, HttpError> {
    let bad = || HttpError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(bad)?;
    let port = uri.port_u16().unwrap_or(80);
    let request = Request::builder()
        .method(if json.is_some() { Method::POST } else { Method::GET })
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, format!("{host}:{port}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(json.unwrap_or_default())))
        .map_err(|_| bad())?;

    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.status())
}
