//! `wicapd run`: controllers, and by default the store that they share.

use clap::Args;
use tokio_util::sync::CancellationToken;
use wicap::api::stack::default_host;
use wicap::clock::Clock;
use wicap::controllers::audit::KEPT;
use wicap::controllers::{Context, Selection, run};
use wicap::observe::compose::ComposeCli;
use wicap::observe::dial::Dialer;
use wicap::observe::engine::Engine;
use wicap::stop_file::StopFile;
use wicap::store::{Store, StoreUrl};

use crate::embedded::Serving;
use crate::{Failure, stop_when_signalled, until_told_to_end};

#[derive(Debug, Args)]
pub struct Run {
    /// Where the store is: `embedded` runs it in this process; else the etcd v3 API at `unix:///PATH` or
    /// `http(s)://HOST:PORT[,...][/KEY-PREFIX]`.
    #[arg(long, env = "WICAP_STORE", default_value = "embedded", value_name = "URL")]
    store: StoreUrl,
    #[command(flatten)]
    serving: Serving,
    /// Which controllers: all, or some of observer,planner,actuator,session,policy,soak,schedule,signals,snapshot,audit,gc.
    #[arg(long, default_value = "all", value_name = "NAMES")]
    controllers: Selection,
    /// The host whose stacks the observer and the actuator serve: those whose spec.host is this name.
    #[arg(long, env = "WICAP_HOST", default_value_t = default_host(), value_name = "NAME")]
    host: String,
    /// The Docker engine of that host.
    #[arg(long, env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock", value_name = "URL")]
    docker: String,
    /// Records of each lane of the audit log that stay in the store. When there are half as many more, the oldest are moved into
    /// compressed files of the data directory.
    #[arg(long, default_value_t = KEPT, value_name = "COUNT")]
    audit_keep: u64,
}

impl Run {
    pub async fn run(self) -> Result<(), Failure> {
        let engine = Engine::new(&self.docker).map_err(|e| Failure::Start(format!("--docker: {e}")))?;
        let identity = format!("{}-{}-{}", self.host, std::process::id(), &wicap::dice::uuid().to_string()[..8]);
        let shutdown = until_told_to_end()?;
        let data_dir = self.serving.data_dir();
        let stop_file = StopFile::of(&data_dir);
        stop_when_signalled(&stop_file)?;
        // The store goes on until the controllers have said their last word to it.
        let store_shutdown = CancellationToken::new();
        let (store, served) = if self.store.is_embedded() {
            let served = self.serving.start(store_shutdown.clone()).await?;
            let client = served.store.client().await.map_err(|e| Failure::Start(e.to_string()))?;
            (Store::with_client(client, self.store, Clock::system()), Some(served))
        } else {
            let store = Store::connect(&self.store, Clock::system()).await;
            (store.map_err(|e| Failure::Start(format!("--store: {e}")))?, None)
        };
        tracing::info!(store = %store.url(), host = self.host, docker = self.docker, identity, "wicapd is running");
        let context = Context {
            store,
            host: self.host,
            compose: ComposeCli::new(engine.url()),
            engine,
            dialer: Dialer::kernel(),
            identity,
            data_dir,
            audit_kept: self.audit_keep,
            stop_file,
        };
        let Some(served) = served else {
            run(context, &self.controllers, shutdown).await;
            return Ok(());
        };
        let told = store_shutdown.clone();
        let mut served = tokio::spawn(async move { served.ended(&told).await });
        let ended = tokio::select! {
            () = run(context, &self.controllers, shutdown) => {
                store_shutdown.cancel();
                served.await
            }
            // Without its store no controller can do anything; whoever started this starts it again.
            ended = &mut served => ended,
        };
        ended.unwrap_or_else(|panic| Err(Failure::Run(panic.to_string())))
    }
}
