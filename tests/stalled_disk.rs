//! A disk that stands still for longer than anybody waits: of a write that may still be done nobody says that it was not.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use wicap::api::stop::{EmergencyStop, EmergencyStopSpec};
use wicap::clock::Clock;
use wicap::store::embedded::{Embedded, Options, Storage};
use wicap::store::{Error, Store};

/// Whether the disk stands still.
#[derive(Debug, Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn set(&self, closed: bool) {
        *self.0.lock().unwrap() = closed;
        self.1.notify_all();
    }
}

#[derive(Debug)]
struct Disk(InMemoryBackend, Arc<Gate>);

impl Storage for Disk {}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let Gate(closed, opened) = &*self.1;
        drop(opened.wait_while(closed.lock().unwrap(), |closed| *closed).unwrap());
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}

// The store's writer holds one thread while the disk stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_waits_for_the_disk_is_not_reported_as_not_done() {
    let gate = Arc::new(Gate::default());
    let embedded = Embedded::on_storage(Disk(InMemoryBackend::new(), gate.clone()), Options::default()).unwrap();
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
