//! The dashboard. What it knows of the data flow is what the processor pushes; the depth of the queue it asks redis.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::journal::{self, Journal, Level};
use crate::live::Live;
use crate::queue::Queue;
use crate::settings::Settings;

mod answers;
mod door;
mod state;

use door::{Door, Peer};
use state::Dashboard;

/// How often redis is asked for the depth of the queue.
const DEPTH_POLL: Duration = Duration::from_secs(1);

/// Serves, for ever.
pub async fn run(settings: Arc<Settings>, live: Live, journal: Journal) -> io::Result<()> {
    let address = SocketAddr::new(settings.ui_host, settings.ui_port);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen at {address}: {error}")))?;
    let door = Door::new(listener, live.clone());
    let dashboard = Arc::new(Dashboard::new(live));
    tokio::spawn(watch_depth(settings.redis_port, dashboard.clone()));
    journal.log(Level::Info, "wicap.ui", &format!("Dashboard at http://{address}"));

    let router = Router::new()
        .route("/", get(answers::page))
        .route("/health", get(answers::health))
        .route("/api/stats", get(answers::stats))
        .route("/api/system/status", get(answers::status))
        .route("/api/internal/push", post(answers::push))
        .layer(middleware::from_fn_with_state(dashboard.clone(), attend))
        .with_state(dashboard);
    axum::serve(door, router.into_make_service_with_connect_info::<Peer>()).await
}

/// Holds a request while the process hangs, and logs it once answered.
async fn attend(
    State(dashboard): State<Arc<Dashboard>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    dashboard.live.awake().await;
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    journal::access(peer, method.as_str(), &path, &response.status().to_string());
    response
}

async fn watch_depth(redis_port: u16, dashboard: Arc<Dashboard>) {
    let Ok(mut queue) = Queue::new(redis_port) else {
        return;
    };
    loop {
        // An unreachable redis keeps the last known depth; the processor is the one to complain.
        if let Ok(depth) = queue.depth().await {
            dashboard.set_depth(depth);
        }
        dashboard.live.rest(DEPTH_POLL).await;
    }
}
