//! Sees to it that a stop file of this host stops everybody: while it is there, the store has an EmergencyStop `all`. Every process
//! does this by itself; there is nothing to elect.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::api::stop::{ALL, EmergencyStop, EmergencyStopSpec};
use crate::stop_file::{NO_REASON, StopFile};
use crate::store::{self, Store};

/// How soon the store is asked again when it could not be reached, and how often one that has no stop is given it again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs until `shutdown`.
pub async fn run(store: Store, file: StopFile, host: String, shutdown: CancellationToken) {
    let store = store.acting_as(&format!("stop-file@{host}"));
    let work = async {
        let watching = async {
            if let Err(error) = file.watch().await {
                let path = file.path().display();
                tracing::warn!(%path, %error, "the data directory cannot be watched for a stop file; claims look for it all the same");
            }
            std::future::pending::<()>().await;
        };
        tokio::join!(watching, raise(&store, &file, &host))
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        _ = work => {}
    }
}

async fn raise(store: &Store, file: &StopFile, host: &str) {
    let mut changes = file.changes();
    // What is not news is not logged again.
    let mut told = None;
    loop {
        changes.mark_unchanged();
        let Some(reason) = file.holds() else {
            told = None;
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            continue;
        };
        let outcome = store_has_it(store, &reason, host).await.map_err(|e| e.to_string());
        if told.as_ref() != Some(&outcome) {
            match &outcome {
                Ok(()) => tracing::warn!(reason, "the stop file is there, and the store has an EmergencyStop of everything"),
                Err(error) => tracing::error!(reason, error, "the stop file is there, and only this host knows of it"),
            }
            told = Some(outcome);
        }
        let _ = tokio::time::timeout(AGAIN, changes.changed()).await;
    }
}

async fn store_has_it(store: &Store, reason: &str, host: &str) -> Result<(), store::Error> {
    let stops = store.api::<EmergencyStop>();
    let by: String = format!("stop-file@{host}").chars().take(64).collect();
    if let Some(mut stop) = stops.get_opt(ALL).await? {
        // Whoever makes the file writes into it a moment later, and by then the stop is here.
        if stop.spec.by == by && stop.spec.reason == NO_REASON && reason != NO_REASON {
            reason.clone_into(&mut stop.spec.reason);
            // It stops all the same; the reason is tried again in a moment.
            let _ = stops.replace(&stop).await;
        }
        return Ok(());
    }
    let spec = EmergencyStopSpec { reason: reason.to_owned(), by };
    match stops.create(&EmergencyStop::new(ALL, spec)).await {
        Ok(_) | Err(store::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
