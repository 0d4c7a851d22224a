//! Maintenance: state, alarms, hashes, defragmentation and snapshots.

use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse, PbDowngradeRequest,
    PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest, PbHashResponse, PbMaintenanceService,
    PbMoveLeaderRequest, PbMoveLeaderResponse, PbSnapshotRequest, PbSnapshotResponse, PbStatusRequest, PbStatusResponse,
};
use etcd_client::{AlarmAction, AlarmType};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::io::AsyncReadExt;
use tonic::{Request, Response, Status};

use super::super::backup::save;
use super::super::commands::{Command, Handle};
use super::super::hash::hash_kv;
use super::super::refusal::Refusal;
use super::kv::reading;

/// The etcd whose API this is, as `endpoint status` shows it: clients look there for what they may ask.
pub(crate) const API_VERSION: &str = "3.5.16";

/// Bytes of a snapshot in one message (etcd: 32 KiB; larger ones cost fewer messages).
const SNAPSHOT_PART: usize = 256 * 1024;

/// The Maintenance service.
pub(crate) struct Maintenance {
    pub(crate) handle: Handle,
}

#[tonic::async_trait]
impl PbMaintenanceService for Maintenance {
    type SnapshotStream = BoxStream<'static, Result<PbSnapshotResponse, Status>>;

    async fn alarm(&self, request: Request<PbAlarmRequest>) -> Result<Response<PbAlarmResponse>, Status> {
        let request = request.into_inner();
        let shared = &self.handle.shared;
        let action = AlarmAction::try_from(request.action).map_err(|_| Refusal::Unsupported("this alarm action"))?;
        let alarm = AlarmType::try_from(request.alarm).map_err(|_| Refusal::Unsupported("this alarm"))?;
        let member = PbAlarmMember { member_id: shared.identity.member, alarm: AlarmType::Nospace as i32 };
        let revision = shared.view().await?.revision;
        let ours = [0, member.member_id].contains(&request.member_id);
        let alarms = match (action, alarm) {
            (AlarmAction::Get, AlarmType::None | AlarmType::Nospace) => {
                if shared.no_space() {
                    vec![member]
                } else {
                    Vec::new()
                }
            }
            (AlarmAction::Activate, AlarmType::Nospace) if ours => {
                self.handle.ask(|reply| Command::NoSpace { raised: true, reply }).await?;
                vec![member]
            }
            (AlarmAction::Deactivate, AlarmType::Nospace) if ours => {
                let was_lowered = self.handle.ask(|reply| Command::NoSpace { raised: false, reply }).await?;
                if was_lowered { Vec::new() } else { vec![member] }
            }
            (AlarmAction::Activate, _) => {
                return Err(Refusal::Unsupported("alarms other than NOSPACE of its one member").into());
            }
            _ => Vec::new(),
        };
        Ok(Response::new(PbAlarmResponse { header: shared.header(revision), alarms }))
    }

    async fn status(&self, _: Request<PbStatusRequest>) -> Result<Response<PbStatusResponse>, Status> {
        let shared = &self.handle.shared;
        let view = shared.view().await?;
        let size = shared.file_size();
        let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        let index = view.revision.unsigned_abs();
        Ok(Response::new(PbStatusResponse {
            header: shared.header(view.revision),
            version: API_VERSION.to_owned(),
            db_size: bytes(size.length),
            // Free pages inside the file are not counted apart: that takes a walk through all of it.
            db_size_in_use: bytes(size.allocated.min(size.length)),
            leader: shared.identity.member,
            raft_index: index,
            raft_applied_index: index,
            raft_term: super::TERM,
            // As etcd prints an `AlarmMember`.
            errors: shared
                .no_space()
                .then(|| format!("memberID:{} alarm:NOSPACE ", shared.identity.member))
                .into_iter()
                .collect(),
            ..PbStatusResponse::default()
        }))
    }

    async fn defragment(&self, _: Request<PbDefragmentRequest>) -> Result<Response<PbDefragmentResponse>, Status> {
        let _alone = self.handle.shared.rewriting().await;
        self.handle.ask(Command::Defragment).await?;
        Ok(Response::new(PbDefragmentResponse { header: None }))
    }

    /// The same as [`Maintenance::hash_kv`] of everything: no other bytes of this file mean the same in another store.
    async fn hash(&self, _: Request<PbHashRequest>) -> Result<Response<PbHashResponse>, Status> {
        let _reading = self.handle.shared.reading_all().await;
        let view = self.handle.shared.view().await?;
        let hash = reading(false, || hash_kv(&view, view.revision))?;
        Ok(Response::new(PbHashResponse { header: self.handle.shared.header(view.revision), hash }))
    }

    async fn hash_kv(&self, request: Request<PbHashKvRequest>) -> Result<Response<PbHashKvResponse>, Status> {
        let _reading = self.handle.shared.reading_all().await;
        let view = self.handle.shared.view().await?;
        let asked = request.into_inner().revision;
        let revision = if asked == 0 { view.revision } else { asked };
        // etcd hashes nothing at a negative revision, and does not refuse it.
        if revision > 0 && revision < view.compacted {
            return Err(Refusal::Compacted.into());
        }
        if revision > view.revision {
            return Err(Refusal::FutureRevision.into());
        }
        let hash = reading(false, || hash_kv(&view, revision))?;
        let header = self.handle.shared.header(view.revision);
        Ok(Response::new(PbHashKvResponse { header, hash, compact_revision: view.compacted, hash_revision: 0 }))
    }

    async fn snapshot(&self, _: Request<PbSnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        let shared = self.handle.shared.clone();
        let alone = shared.snapshots.clone().acquire_owned().await.map_err(|_| shared.stopped())?;
        let reading = shared.reading_all().await;
        let view = shared.view().await?;
        // It takes seconds for a large store, and goes on when its client has gone: nothing in it can be interrupted.
        let saving = move || {
            let _held = (alone, reading);
            save(&view, &shared)
        };
        let saved = tokio::task::spawn_blocking(saving).await;
        let file = saved.map_err(|e| Refusal::Snapshot(e.to_string()))??;
        let left = file.metadata().map_err(|e| Refusal::Snapshot(e.to_string()))?.len();
        let parts = stream::try_unfold((tokio::fs::File::from_std(file), left), |(mut file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut blob = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(SNAPSHOT_PART)];
            file.read_exact(&mut blob).await.map_err(|e| Refusal::Snapshot(e.to_string()))?;
            let remaining_bytes = left - blob.len() as u64;
            Ok(Some((
                PbSnapshotResponse { remaining_bytes, blob, ..PbSnapshotResponse::default() },
                (file, remaining_bytes),
            )))
        });
        Ok(Response::new(parts.boxed()))
    }

    async fn move_leader(&self, _: Request<PbMoveLeaderRequest>) -> Result<Response<PbMoveLeaderResponse>, Status> {
        Err(Refusal::Unsupported("MoveLeader: it is for one host").into())
    }

    async fn downgrade(&self, _: Request<PbDowngradeRequest>) -> Result<Response<PbDowngradeResponse>, Status> {
        Err(Refusal::Unsupported("Downgrade").into())
    }
}
