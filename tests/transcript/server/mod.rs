//! A small Kubernetes API server: what kubectl needs of one for the kinds of the CRDs, in its words.
//!
//! ```text
//! request ──► Ask ──► Api::answer (no I/O) ──► Answer ──► response, or a stream that follows the history of changes
//! ```
//!
//! It keeps everything in memory, knows no users, and collects what is owned by what was deleted. It has no managed fields
//! and no server-side apply: wicapctl has neither.

mod api;
mod change;
mod discovery;
mod objects;
mod refusal;
mod resource;
mod schema;
mod selector;
mod table;
mod validation;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use api::{Answer, Api, Ask, Following};

/// A running server; dropping it ends it.
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
}

struct Shared {
    api: Mutex<Api>,
    /// The revision of the last change, for those that follow.
    revision: watch::Sender<usize>,
    /// Whether each request is told on standard error.
    loud: bool,
}

/// How long the garbage collector takes for a deletion in the foreground: long enough to be seen.
const COLLECTION: Duration = Duration::from_millis(200);

impl Server {
    /// Serves the kinds of a directory of CRDs, with these objects, on a port (0: any).
    pub async fn start(crds: &Path, objects: &[Value], port: u16, loud: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Api::new(crds, objects);
        let shared = Arc::new(Shared { revision: watch::Sender::new(api.revision()), api: Mutex::new(api), loud });
        let serving = tokio::spawn(serve(listener, shared.clone()));
        Self { address, shared, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a status, as a controller does.
    pub fn set_status(&self, plural: &str, name: &str, status: Value) {
        self.shared.api.lock().unwrap().set_status(plural, name, status);
        self.shared.told();
    }

    /// Ends it.
    pub async fn ended(mut self) {
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn told(&self) {
        let revision = self.api.lock().unwrap().revision();
        self.revision.send_if_modified(|last| std::mem::replace(last, revision) != revision);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(shared.clone(), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let ask = Ask {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
        accept: header("accept"),
        media_type: header("content-type"),
        body: body.to_vec(),
    };
    let answer = shared.api.lock().unwrap().answer(&ask, jiff::Timestamp::now());
    shared.told();
    let code = match &answer {
        Answer::Json { code, .. } => *code,
        Answer::Bytes { code, .. } => *code,
        Answer::Follow(_) => 200,
    };
    if shared.loud {
        eprintln!("{} {} {} -> {code}", ask.method, parts.uri, String::from_utf8_lossy(&ask.body));
    }
    Ok(match answer {
        Answer::Json { value, warnings, collect, .. } => {
            if let Some(key) = collect {
                let shared = shared.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(COLLECTION).await;
                    shared.api.lock().unwrap().finish(&key);
                    shared.told();
                });
            }
            let mut response = Response::builder().status(code).header("content-type", "application/json");
            for warning in warnings {
                let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
                response = response.header("warning", format!("299 - \"{quoted}\""));
            }
            response.body(Full::new(Bytes::from(value.to_string() + "\n")).boxed()).unwrap()
        }
        Answer::Bytes { media_type, bytes, .. } => {
            let response = Response::builder().status(code).header("content-type", media_type);
            response.body(Full::new(Bytes::from(bytes)).boxed()).unwrap()
        }
        Answer::Follow(following) => {
            let response = Response::builder().status(200).header("content-type", "application/json");
            response.body(BodyExt::boxed(StreamBody::new(follow(shared, following)))).unwrap()
        }
    })
}

/// The events of a watch, until its time is over.
fn follow(
    shared: Arc<Shared>,
    following: Box<Following>,
) -> impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync {
    let revision = shared.revision.subscribe();
    let end = tokio::time::Instant::now() + following.limit;
    futures::stream::unfold((shared, following, revision), move |(shared, mut following, mut revision)| async move {
        loop {
            revision.borrow_and_update();
            let events = shared.api.lock().unwrap().events(&mut following, jiff::Timestamp::now());
            if !events.is_empty() {
                let lines: String = events.iter().map(|event| event.to_string() + "\n").collect();
                return Some((Ok(Frame::data(Bytes::from(lines))), (shared, following, revision)));
            }
            match tokio::time::timeout_at(end, revision.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    })
    .fuse()
}
