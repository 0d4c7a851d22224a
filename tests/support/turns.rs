//! A deterministic scheduler: who works on the store at the same time, and whose request it answers next is drawn by a seed.
//!
//! ```text
//!  actors ──▶ requests wait at the gate ──(one is drawn, answered, and everybody goes on until all wait again)──▶ store
//! ```
//!
//! What lies between two requests of an actor takes no time, so an order of requests is all that an interleaving is. It wants a
//! runtime of one thread with a paused clock: that time goes on means that nobody has anything to do but wait.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::Client;
use http_body_util::BodyExt;
use hyper::http::{Request, Response};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service};
use wicap::store::embedded::{Embedded, Local};

/// A request that waits: where it is told to go on, and where it tells that it has been answered.
struct Waiting {
    go: oneshot::Sender<()>,
    answered: oneshot::Receiver<()>,
}

/// Where requests wait.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<Vec<Waiting>>>);

impl Gate {
    /// A connection whose reads and writes wait for their turn. Watches and leases do not.
    pub async fn client(&self, embedded: &Embedded) -> Client {
        let gated = Gated { gate: self.clone(), inner: embedded.channel() };
        Client::from_channel(etcd_client::Channel::Custom(BoxCloneSyncService::new(gated)), None).await.unwrap()
    }

    /// Lets requests through, one after the other, until `actors` have all ended.
    pub async fn run<T>(&self, seed: u64, actors: impl Future<Output = T>) -> T {
        let mut dice = StdRng::seed_from_u64(seed);
        tokio::pin!(actors);
        loop {
            // Under a paused clock this ends when nobody has anything to do any more.
            tokio::select! {
                biased;
                done = &mut actors => return done,
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            let next = {
                let mut waiting = self.0.lock().unwrap();
                if waiting.is_empty() {
                    None
                } else {
                    let i = dice.random_range(0..waiting.len());
                    Some(waiting.remove(i))
                }
            };
            // Nobody waits here: they wait for time to pass.
            let Some(next) = next else { continue };
            // A request that was given up is not there any more.
            if next.go.send(()).is_ok() {
                tokio::select! {
                    biased;
                    done = &mut actors => return done,
                    _ = next.answered => {}
                }
            }
        }
    }
}

#[derive(Clone)]
struct Gated {
    gate: Gate,
    inner: Local,
}

impl Service<Request<Body>> for Gated {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        if !request.uri().path().starts_with("/etcdserverpb.KV/") {
            return Box::pin(inner.call(request));
        }
        let (go, told) = oneshot::channel();
        let (answer, answered) = oneshot::channel::<()>();
        self.gate.0.lock().unwrap().push(Waiting { go, answered });
        Box::pin(async move {
            told.await?;
            let response = inner.call(request).await?;
            // To its last byte, so that the next one begins after it.
            let (parts, body) = response.into_parts();
            let whole = body.collect().await?;
            drop(answer);
            Ok(Response::from_parts(parts, Body::new(whole)))
        })
    }
}
