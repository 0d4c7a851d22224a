//! Names what is not served: a client that asks for authentication or an election service learns that it is this store that
//! has none, and not that something is broken.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::Either;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

/// What is served here; see [`super::router`].
const SERVED: [&str; 5] = [
    "/etcdserverpb.KV/",
    "/etcdserverpb.Watch/",
    "/etcdserverpb.Lease/",
    "/etcdserverpb.Maintenance/",
    "/etcdserverpb.Cluster/",
];

/// Answers calls of services that are not here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameUnsupported;

impl<S> Layer<S> for NameUnsupported {
    type Service = Named<S>;

    fn layer(&self, inner: S) -> Named<S> {
        Named { inner }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Named<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Named<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, std::future::Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        if SERVED.iter().any(|served| path.starts_with(served)) {
            return Either::Left(self.inner.call(request));
        }
        let refusal =
            tonic::Status::unimplemented(format!("the embedded store does not support {}", path.trim_start_matches('/')));
        Either::Right(std::future::ready(Ok(refusal.into_http())))
    }
}
