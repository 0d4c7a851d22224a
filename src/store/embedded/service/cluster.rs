//! Cluster: one member, for ever.

use std::sync::Arc;

use etcd_client::proto::{
    PbClusterService, PbMember, PbMemberAddRequest, PbMemberAddResponse, PbMemberListRequest, PbMemberListResponse,
    PbMemberPromoteRequest, PbMemberPromoteResponse, PbMemberRemoveRequest, PbMemberRemoveResponse, PbMemberUpdateRequest,
    PbMemberUpdateResponse,
};
use tonic::{Request, Response, Status};

use super::super::refusal::Refusal;
use super::super::shared::Shared;

/// The Cluster service.
pub(crate) struct Cluster {
    pub(crate) shared: Arc<Shared>,
    /// Where it is served: clients that ask for all members dial what they are told here.
    pub(crate) urls: Vec<String>,
}

#[tonic::async_trait]
impl PbClusterService for Cluster {
    async fn member_list(&self, _: Request<PbMemberListRequest>) -> Result<Response<PbMemberListResponse>, Status> {
        let header = self.shared.header(0);
        let member = PbMember {
            id: self.shared.identity.member,
            name: "default".to_owned(),
            peer_ur_ls: self.urls.clone(),
            client_ur_ls: self.urls.clone(),
            is_learner: false,
        };
        let members = vec![member];
        Ok(Response::new(PbMemberListResponse { header, members }))
    }

    async fn member_add(&self, _: Request<PbMemberAddRequest>) -> Result<Response<PbMemberAddResponse>, Status> {
        Err(Refusal::Unsupported("MemberAdd: it is for one host").into())
    }

    async fn member_remove(&self, _: Request<PbMemberRemoveRequest>) -> Result<Response<PbMemberRemoveResponse>, Status> {
        Err(Refusal::Unsupported("MemberRemove: it is for one host").into())
    }

    async fn member_update(&self, _: Request<PbMemberUpdateRequest>) -> Result<Response<PbMemberUpdateResponse>, Status> {
        Err(Refusal::Unsupported("MemberUpdate: it is for one host").into())
    }

    async fn member_promote(&self, _: Request<PbMemberPromoteRequest>) -> Result<Response<PbMemberPromoteResponse>, Status> {
        Err(Refusal::Unsupported("MemberPromote: it is for one host").into())
    }
}
