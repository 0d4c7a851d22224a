//! The connection of one process to the store, and what can be wrong with it: the process dies at its n-th write, an answer is lost
//! after the write was made, a write arrives when whoever sent it has long given up, somebody acts while a claim is on its way, a watch
//! falls silent or is late, everything is cut off.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::Client;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::http::{Request, Response};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service};
use wicap::dice;
use wicap::store::embedded::{Embedded, Local};

use super::docker::chance;
use super::journal::Journal;

/// What is wrong with a connection now.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// Share of the writes that are made and whose answer is lost.
    pub loses: f64,
    /// Share of the requests that never arrive.
    pub refuses: f64,
    /// Share of the writes that are long on their way, and arrive whatever has become of the process that sent them.
    pub strays: f64,
    /// What the store sends by itself comes up to that much later, in its order.
    pub delays: Duration,
    /// What the store sends by itself does not come at all, and no error says so.
    pub silent: bool,
    /// Of that only the renewal of leases: who leads is deposed, and is told everything else.
    pub deposes: bool,
}

/// Somebody who lies in wait for the next claim of an action: told of it, and the claim goes on when they are done.
pub type Ambush = Arc<Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>>;

/// The connection of one process.
#[derive(Clone)]
pub struct Wire {
    pub process: String,
    pub journal: Journal,
    pub weather: Arc<Mutex<Weather>>,
    /// The longest that a request is on its way, and its answer.
    pub distance: Duration,
    /// The process is dead.
    pub dead: CancellationToken,
    /// Breaks every stream that is open; replaced each time.
    pub cut: Arc<Mutex<CancellationToken>>,
    pub ambush: Ambush,
    pub writes: Arc<AtomicU64>,
    /// It dies at the write of that number, right before it or right after.
    pub dies_at: Option<(u64, bool)>,
}

impl Wire {
    pub async fn client(&self, embedded: &Embedded) -> Client {
        let wired = Wired { wire: self.clone(), inner: embedded.channel() };
        Client::from_channel(etcd_client::Channel::Custom(BoxCloneSyncService::new(wired)), None)
            .await
            .expect("nothing is connected yet")
    }

    /// What a claim meets on its way.
    async fn meet(&self, request: Request<Body>) -> Result<Request<Body>, BoxError> {
        if self.ambush.lock().unwrap().is_none() {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let has = |what: &str| bytes.windows(what.len()).any(|part| part == what.as_bytes());
        // It counts in the session, which nothing else does.
        if has("/actionruns.status/") && has("/controlsessions.status/") {
            let ambush = self.ambush.lock().unwrap().take();
            if let Some((told, done)) = ambush {
                self.journal.say(&self.process, "sends a claim into an ambush");
                let _ = told.send(());
                let _ = done.await;
            }
        }
        Ok(Request::from_parts(parts, Body::new(Full::from(bytes))))
    }

    async fn travel(&self) {
        if !self.distance.is_zero() {
            tokio::time::sleep(self.distance.mul_f64(dice::draw(0.0..1.0))).await;
        }
    }
}

#[derive(Clone)]
struct Wired {
    wire: Wire,
    inner: Local,
}

impl Service<Request<Body>> for Wired {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let wire = self.wire.clone();
        Box::pin(async move {
            let dead = || Err(BoxError::from("the process is dead"));
            if wire.dead.is_cancelled() {
                return dead();
            }
            let weather = wire.weather.lock().unwrap().clone();
            let path = request.uri().path().to_owned();
            let writes =
                ["/etcdserverpb.KV/Txn", "/etcdserverpb.KV/Put", "/etcdserverpb.KV/DeleteRange"].contains(&path.as_str());
            let streams = ["/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"].contains(&path.as_str());
            let number = if writes { wire.writes.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
            if number > 0 && wire.dies_at == Some((number, true)) {
                wire.journal.say(&wire.process, &format!("dies before its write {number}"));
                wire.dead.cancel();
                return dead();
            }
            if chance(weather.refuses) {
                return Err("the connection was refused".into());
            }
            let request = if writes { wire.meet(request).await? } else { request };
            wire.travel().await;
            let strays = writes && chance(weather.strays);
            let response = if strays { stray(inner, request, &wire).await? } else { inner.call(request).await? };
            wire.travel().await;
            if number > 0 && wire.dies_at == Some((number, false)) {
                wire.journal.say(&wire.process, &format!("dies after its write {number}"));
                wire.dead.cancel();
                return dead();
            }
            if writes && chance(weather.loses) {
                wire.journal.say(&wire.process, "is not told what came of a write");
                return Err("the connection broke".into());
            }
            let cut = wire.cut.lock().unwrap().clone();
            let (parts, body) = response.into_parts();
            let pipe = Pipe {
                body,
                late: streams.then(|| Arc::clone(&wire.weather)),
                renews: path.ends_with("/LeaseKeepAlive"),
                held: None,
                has_a_gap: false,
                cut: Box::pin(cut.cancelled_owned()),
                dead: Box::pin(wire.dead.clone().cancelled_owned()),
            };
            Ok(Response::from_parts(parts, Body::new(pipe)))
        })
    }
}

/// The longest that a write is on its way: more than a lease that is not renewed any more lasts, and a successor takes to be elected.
const LONG: Duration = Duration::from_secs(20);

/// Has a request arrive later, also when nobody waits for the answer any more.
async fn stray(mut inner: Local, request: Request<Body>, wire: &Wire) -> Result<Response<Body>, BoxError> {
    let long = LONG.mul_f64(dice::draw(0.0..1.0));
    wire.journal.say(&wire.process, &format!("sends a write that takes {long:.3?}"));
    let sent = tokio::spawn(async move {
        tokio::time::sleep(long).await;
        inner.call(request).await
    });
    sent.await?
}

/// What a body gives.
type Framed = Result<Frame<Bytes>, tonic::Status>;

/// A body that can be broken off, held up and silenced.
struct Pipe {
    body: Body,
    /// Where the weather of a stream is asked for.
    late: Option<Arc<Mutex<Weather>>>,
    /// Whether the stream is that of the renewal of leases.
    renews: bool,
    held: Option<(Pin<Box<Sleep>>, Option<Framed>)>,
    /// Whether silence has swallowed something. No connection goes on after that as if nothing had been said.
    has_a_gap: bool,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    dead: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl hyper::body::Body for Pipe {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let broken = self.cut.as_mut().poll(context).is_ready() || self.dead.as_mut().poll(context).is_ready();
        if broken {
            return Poll::Ready(Some(Err(tonic::Status::unavailable("the connection broke"))));
        }
        loop {
            if let Some((wait, frame)) = &mut self.held {
                std::task::ready!(wait.as_mut().poll(context));
                let frame = frame.take();
                self.held = None;
                return Poll::Ready(frame);
            }
            let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
            let Some(weather) = &self.late else { return Poll::Ready(frame) };
            let Weather { delays, silent, deposes, .. } = weather.lock().unwrap().clone();
            if silent || (deposes && self.renews) {
                if frame.is_none() {
                    return Poll::Pending;
                }
                self.has_a_gap = true;
                continue;
            }
            if self.has_a_gap {
                return Poll::Ready(Some(Err(tonic::Status::unavailable("the connection broke"))));
            }
            if delays.is_zero() || frame.is_none() {
                return Poll::Ready(frame);
            }
            let wait = delays.mul_f64(dice::draw(0.0..1.0));
            self.held = Some((Box::pin(tokio::time::sleep(wait)), frame));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
