//! Lease: all of it goes through the writer, which keeps the time.

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbLeaseLeasesRequest,
    PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseService, PbLeaseStatus,
    PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

use super::super::commands::{Command, Handle};

/// The Lease service.
pub(crate) struct Leases {
    pub(crate) handle: Handle,
}

#[tonic::async_trait]
impl PbLeaseService for Leases {
    type LeaseKeepAliveStream = BoxStream<'static, Result<PbLeaseKeepAliveResponse, Status>>;

    async fn lease_grant(&self, request: Request<PbLeaseGrantRequest>) -> Result<Response<PbLeaseGrantResponse>, Status> {
        let PbLeaseGrantRequest { ttl, id } = request.into_inner();
        let granted = self.handle.ask(|reply| Command::Grant { id, ttl, reply }).await?;
        let header = self.handle.shared.header(granted.revision);
        Ok(Response::new(PbLeaseGrantResponse { header, id: granted.id, ttl: granted.ttl, error: String::new() }))
    }

    async fn lease_revoke(&self, request: Request<PbLeaseRevokeRequest>) -> Result<Response<PbLeaseRevokeResponse>, Status> {
        let PbLeaseRevokeRequest { id } = request.into_inner();
        let revision = self.handle.ask(|reply| Command::Revoke { id, reply }).await?;
        Ok(Response::new(PbLeaseRevokeResponse { header: self.handle.shared.header(revision) }))
    }

    /// One answer to each request, in their order; a lease that is not there has 0 seconds to live.
    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let start = (request.into_inner(), self.handle.clone());
        let answers = stream::try_unfold(start, |(mut requests, handle)| async move {
            let Some(PbLeaseKeepAliveRequest { id }) = requests.message().await? else { return Ok(None) };
            let (revision, ttl) = handle.ask(|reply| Command::KeepAlive { id, reply }).await?;
            let answer = PbLeaseKeepAliveResponse { header: handle.shared.header(revision), id, ttl };
            Ok(Some((answer, (requests, handle))))
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Result<Response<PbLeaseTimeToLiveResponse>, Status> {
        let PbLeaseTimeToLiveRequest { id, keys } = request.into_inner();
        let lease = self.handle.ask(|reply| Command::TimeToLive { id, keys, reply }).await?;
        let (ttl, granted_ttl) = lease.seconds.unwrap_or((-1, 0));
        let header = self.handle.shared.header(lease.revision);
        Ok(Response::new(PbLeaseTimeToLiveResponse { header, id, ttl, granted_ttl, keys: lease.keys }))
    }

    async fn lease_leases(&self, _: Request<PbLeaseLeasesRequest>) -> Result<Response<PbLeaseLeasesResponse>, Status> {
        let (revision, ids) = self.handle.ask(Command::Leases).await?;
        let leases = ids.into_iter().map(|id| PbLeaseStatus { id }).collect();
        Ok(Response::new(PbLeaseLeasesResponse { header: self.handle.shared.header(revision), leases }))
    }
}
