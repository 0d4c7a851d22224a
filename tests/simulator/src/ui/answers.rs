//! One function a route.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::state::Dashboard;
use crate::push::Push;

type Shared = State<Arc<Dashboard>>;

/// `GET /`: the page, whose table fetches the status by itself.
pub async fn page(State(dashboard): Shared) -> Response {
    if dashboard.live.now().http_503 {
        return unavailable("service unavailable");
    }
    Html(include_str!("page.html")).into_response()
}

/// `GET /health`: 200 whatever the state, unless told to be unhealthy.
pub async fn health(State(dashboard): Shared) -> Response {
    let faults = dashboard.live.now();
    if faults.unhealthy {
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"status": "unhealthy"}))).into_response();
    }
    let status = if faults.sql_down { "degraded" } else { "healthy" };
    Json(json!({"status": status})).into_response()
}

/// `GET /api/stats`: 503 without a database.
pub async fn stats(State(dashboard): Shared) -> Response {
    let faults = dashboard.live.now();
    if faults.http_503 {
        return unavailable("service unavailable");
    }
    if faults.sql_down {
        return unavailable("database unavailable");
    }
    Json(json!({"total_events": dashboard.total(), "eps": dashboard.status().eps})).into_response()
}

/// `GET /api/system/status`: always 200.
pub async fn status(State(dashboard): Shared) -> Response {
    Json(dashboard.status()).into_response()
}

/// `POST /api/internal/push`: from the processor.
pub async fn push(State(dashboard): Shared, Json(push): Json<Push>) -> Response {
    if dashboard.live.now().push_403 {
        return (StatusCode::FORBIDDEN, Json(json!({"detail": "forbidden"}))).into_response();
    }
    dashboard.take(&push);
    Json(json!({"accepted": push.inserted})).into_response()
}

fn unavailable(detail: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"detail": detail}))).into_response()
}
