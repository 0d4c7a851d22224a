//! Who is at the other end of a connection, and that he signs the audit log with his own name.
//!
//! The log is the client's to write, in the transaction of what it records. What only the store can know is on whose behalf the
//! client runs: a record that names another's user id is refused, and one that names none is taken as a claim.

use etcd_client::proto::{PbPutRequest, PbTxnOpRequest as Op, PbTxnRequest};
use rustix::process::geteuid;
use tonic::Request;
use tonic::transport::server::UdsConnectInfo;

use super::refusal::Refusal;
use crate::store::audit::{Proof, Record};
use crate::store::keys::Keys;

/// The user that a request comes from, as the system said when the connection was made (`SO_PEERCRED` of unix(7)). None for a
/// connection from elsewhere.
pub(crate) fn uid<T>(request: &Request<T>) -> Option<u32> {
    let extensions = request.extensions();
    if let Some(socket) = extensions.get::<UdsConnectInfo>() {
        return socket.peer_cred.map(|peer| peer.uid());
    }
    // Nothing is to be said of a connection in the memory of this process, and it says that.
    extensions.get::<()>().map(|()| geteuid().as_raw())
}

/// Refuses a record of the audit log that bears the user id of another, or is a person's in the name of a leader. Root, and the user
/// whose store it is, could write the file itself; they copy records of others from one store to the next.
pub(crate) fn signs_put(put: &PbPutRequest, peer: Option<u32>) -> Result<(), Refusal> {
    let Some(lane) = Keys::lane_of_record(&put.key) else { return Ok(()) };
    // What is no record is found out by who verifies the log.
    let Ok(Record { actor, .. }) = Record::decode(&put.value) else { return Ok(()) };
    match actor.proof {
        proof if !proof.is_of(lane) => Err(Refusal::NotOfTheLane(lane)),
        Proof::Uid(named) => {
            let trusted = [Some(named), Some(0), Some(geteuid().as_raw())];
            if peer.is_some() && trusted.contains(&peer) { Ok(()) } else { Err(Refusal::NotTheSigner { named, peer }) }
        }
        Proof::Claimed | Proof::Leader => Ok(()),
    }
}

/// The same for all that a transaction may write.
pub(crate) fn signs(txn: &PbTxnRequest, peer: Option<u32>) -> Result<(), Refusal> {
    txn.success.iter().chain(&txn.failure).try_for_each(|operation| match &operation.request {
        Some(Op::RequestPut(put)) => signs_put(put, peer),
        Some(Op::RequestTxn(inner)) => signs(inner, peer),
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbTxnRequestOp;

    use super::*;
    use crate::store::StoreUrl;
    use crate::store::audit::record::tests::sample;
    use crate::store::audit::{Actor, Lane};

    /// Nobody's id on this machine: neither root's nor ours.
    const ANN: u32 = 54_321;
    const BOB: u32 = 54_322;

    fn put(key: &str, proof: Proof) -> PbPutRequest {
        let actor = Actor { proof, ..Actor::claimed("ann@host") };
        let value = Record { actor, ..sample() }.sealed().encode();
        PbPutRequest { key: key.into(), value, ..PbPutRequest::default() }
    }

    #[test]
    fn nobody_signs_with_the_name_of_another() {
        let url: StoreUrl = "http://a/prefix".parse().unwrap();
        let key = Keys::new(&url).audit_record(Lane::Intent, 7);
        let refused = |named, peer| Err(Refusal::NotTheSigner { named, peer });
        let own = geteuid().as_raw();
        for (proof, peer, expected) in [
            (Proof::Uid(ANN), Some(ANN), Ok(())),
            (Proof::Uid(ANN), Some(0), Ok(())),
            (Proof::Uid(ANN), Some(own), Ok(())),
            (Proof::Uid(ANN), Some(BOB), refused(ANN, Some(BOB))),
            (Proof::Uid(0), Some(BOB), refused(0, Some(BOB))),
            (Proof::Uid(ANN), None, refused(ANN, None)),
            (Proof::Claimed, Some(BOB), Ok(())),
            (Proof::Claimed, None, Ok(())),
            (Proof::Leader, Some(BOB), Err(Refusal::NotOfTheLane(Lane::Intent))),
        ] {
            let put = put(&key, proof.clone());
            assert_eq!(signs_put(&put, peer), expected, "{proof:?} by {peer:?}");
            // However deep it is hidden, and in whichever branch.
            let inner = PbTxnRequestOp { request: Some(Op::RequestPut(put)) };
            let inner = PbTxnRequest { failure: vec![inner], ..PbTxnRequest::default() };
            let outer = PbTxnRequestOp { request: Some(Op::RequestTxn(inner)) };
            let txn = PbTxnRequest { success: vec![outer], ..PbTxnRequest::default() };
            assert_eq!(signs(&txn, peer), expected, "{proof:?} by {peer:?} in a transaction");
        }
        assert_eq!(signs_put(&put("/elsewhere", Proof::Uid(ANN)), Some(BOB)), Ok(()), "no record of the log");
    }
}
