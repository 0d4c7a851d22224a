//! A disk that stands still for longer than anybody waits: of a write that may still be done nobody says that it was not. And
//! pages that make no sense, on which the engine panics: the store says so, and answers nothing any more.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use support::storage::Prepared;
use wicap::api::stop::{EmergencyStop, EmergencyStopSpec};
use wicap::clock::Clock;
use wicap::store::embedded::{Embedded, Options};
use wicap::store::{Error, Store};

/// Whether the disk stands still.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn set(&self, closed: bool) {
        *self.0.lock().unwrap() = closed;
        self.1.notify_all();
    }

    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |closed| *closed).unwrap());
    }
}

// The store's writer holds one thread while the disk stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_waits_for_the_disk_is_not_reported_as_not_done() {
    let gate = Arc::new(Gate::default());
    let disk = Prepared::new({
        let gate = Arc::clone(&gate);
        move || gate.pass()
    });
    let embedded = Embedded::on_storage(disk, Options::default()).unwrap();
    let client = embedded.client().await.unwrap();
    let store = Store::with_client(client, "embedded".parse().unwrap(), Clock::system());
    let stops = store.api::<EmergencyStop>();
    assert!(stops.get_opt("all").await.unwrap().is_none());

    gate.set(true);
    let spec = EmergencyStopSpec { reason: "hands off".to_owned(), by: "tester@localhost".to_owned() };
    let answer = stops.create(&EmergencyStop::new("all", spec)).await;
    gate.set(false);
    assert!(matches!(answer, Err(Error::Ambiguous { .. })), "{answer:?}");
    let done = async {
        while stops.get_opt("all").await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), done).await.expect("what had reached the writer is done");
}

#[tokio::test]
async fn a_writer_that_panics_stops_the_store_and_says_so() {
    let armed = Arc::new(AtomicBool::new(false));
    let disk = Prepared::new({
        let armed = Arc::clone(&armed);
        move || assert!(!armed.load(Ordering::Relaxed), "a page that makes no sense")
    });
    let store = Embedded::on_storage(disk, Options::default()).unwrap();
    let mut client = store.client().await.unwrap();
    client.put("k", "v", None).await.unwrap();
    armed.store(true, Ordering::Relaxed);
    let refused = client.put("k", "w", None).await.unwrap_err().to_string();
    assert!(refused.contains("its writer panicked"), "{refused}");
    assert!(store.failed().await.contains("its writer panicked"));
    let refused = client.get("k", None).await.unwrap_err().to_string();
    assert!(refused.contains("the store has stopped"), "{refused}");
}
