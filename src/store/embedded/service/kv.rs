//! KV: reads from the newest view, writes through the writer.

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKvService, PbPutRequest, PbPutResponse,
    PbRangeRequest, PbRangeResponse, PbRangeStreamResponse, PbTxnRequest, PbTxnResponse,
};
use futures::stream::Empty;
use tokio::runtime::RuntimeFlavor;
use tonic::{Request, Response, Status};

use super::super::check;
use super::super::commands::{Command, Handle};
use super::super::peer;
use super::super::refusal::Refusal;
use super::super::write::{is_read_only, read_only_txn};

/// The KV service.
pub(crate) struct Kv {
    pub(crate) handle: Handle,
}

#[tonic::async_trait]
impl PbKvService for Kv {
    type RangeStreamStream = Empty<Result<PbRangeStreamResponse, Status>>;

    async fn range(&self, request: Request<PbRangeRequest>) -> Result<Response<PbRangeResponse>, Status> {
        let request = request.into_inner();
        check::range(&request)?;
        let view = self.handle.shared.view().await?;
        let one = request.range_end.is_empty();
        let mut response = reading(one, || view.reader().range(&request))?;
        response.header = self.handle.shared.header(view.revision);
        Ok(Response::new(response))
    }

    /// Newer than the etcd whose API this is.
    async fn range_stream(&self, _: Request<PbRangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Refusal::Unsupported("RangeStream").into())
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        let (peer, request) = (peer::uid(&request), request.into_inner());
        check::put(&request)?;
        check::size(&request)?;
        peer::signs_put(&request, peer)?;
        let mut response = self.handle.ask(|reply| Command::Put(request, reply)).await?;
        self.handle.shared.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(&self, request: Request<PbDeleteRequest>) -> Result<Response<PbDeleteResponse>, Status> {
        let request = request.into_inner();
        check::delete(&request)?;
        let mut response = self.handle.ask(|reply| Command::Delete(request, reply)).await?;
        self.handle.shared.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        let (peer, request) = (peer::uid(&request), request.into_inner());
        check::txn(&request)?;
        peer::signs(&request, peer)?;
        let mut response = if is_read_only(&request) {
            let view = self.handle.shared.view().await?;
            reading(false, || read_only_txn(&view.reader(), &request))?
        } else {
            // What only reads is not written anywhere, so it may be larger, as in etcd.
            check::size(&request)?;
            self.handle.ask(|reply| Command::Txn(request, reply)).await?
        };
        self.handle.shared.sign(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(&self, request: Request<PbCompactionRequest>) -> Result<Response<PbCompactionResponse>, Status> {
        let PbCompactionRequest { revision, physical } = request.into_inner();
        let revision = self.handle.ask(|reply| Command::Compact { revision, physical, reply }).await?;
        Ok(Response::new(PbCompactionResponse { header: self.handle.shared.header(revision) }))
    }
}

/// Reads the file. What may be much is read where it does not hold up other requests of this thread.
pub(crate) fn reading<T>(one: bool, read: impl FnOnce() -> T) -> T {
    if one || tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        read()
    } else {
        tokio::task::block_in_place(read)
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::{Compare, CompareOp, Txn, TxnOp};

    use super::super::super::{Embedded, Options};

    #[tokio::test]
    async fn a_transaction_that_only_reads_may_be_larger_than_one_that_is_written() {
        let store = Embedded::in_memory(Options::default()).unwrap();
        let mut client = store.client().await.unwrap();
        let large = || Compare::value("k", CompareOp::Equal, vec![0; super::check::MAX_REQUEST_BYTES]);
        let read = client.txn(Txn::new().when([large()]).and_then([TxnOp::get("k", None)])).await.unwrap();
        assert!(!read.succeeded());
        let inside = TxnOp::txn(Txn::new().and_then([TxnOp::get("k", None)]));
        let refused = client.txn(Txn::new().when([large()]).and_then([inside])).await.unwrap_err();
        assert!(refused.to_string().contains("etcdserver: request is too large"), "one with another inside: {refused}");
        let refused = client.txn(Txn::new().when([large()]).and_then([TxnOp::put("k", "v", None)])).await.unwrap_err();
        assert!(refused.to_string().contains("etcdserver: request is too large"), "{refused}");
    }
}
