//! The verb on a store: what it reads, what it writes where, and how it ends.

use std::io::{self, Write};
use std::time::Duration;

use crate::api::Object;
use crate::api::stop::{EmergencyStop, EmergencyStopSpec};
use crate::clock::Clock;
use crate::store::embedded::{Embedded, Options};
use crate::store::{DeleteParams, Store};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::super::Status;
use super::fixture;
use crate::cli::called::Called;
use crate::cli::print::format::Output;
use crate::cli::{Error, Io, Manners};

/// How long something may take to be shown that comes at once: a busy machine is slow.
const SOON: Duration = Duration::from_secs(20);

/// A store that holds what a case holds, at the case's time.
async fn store(case: &str) -> (Embedded, Store) {
    let (objects, now) = fixture(case);
    let embedded = Embedded::in_memory(Options::default()).unwrap();
    // Not an address of this host: no file of this host is looked at.
    let url = "http://memory:1".parse().unwrap();
    let store = Store::with_client(embedded.client().await.unwrap(), url, Clock::of_runtime(now));
    put(&store, &objects.stacks).await;
    put(&store, &objects.sessions).await;
    put(&store, &objects.policies).await;
    put(&store, &objects.actions).await;
    put(&store, &objects.stops).await;
    (embedded, store)
}

async fn put<K: Object>(store: &Store, objects: &[K]) {
    for object in objects {
        let mut new = object.clone();
        new.meta_mut().resource_version = None;
        let mut made = store.api::<K>().create(&new).await.unwrap();
        made.status_mut().clone_from(&new.status().cloned());
        if made.status().is_some() {
            store.api::<K>().replace_status(&made, None).await.unwrap();
        }
    }
}

fn status(output: Output) -> Status {
    Status { stack: None, watch: false, output, exit_code: false, width: Some(80) }
}

async fn said(status: &Status, store: &Store) -> (String, Result<(), Error>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let done =
        status.run(store, &Called::default(), &mut Io { out: &mut out, err: &mut err, manners: Manners::default() }).await;
    (String::from_utf8(out).unwrap(), done)
}

#[tokio::test]
async fn it_ends_with_0_however_things_are_and_with_1_for_who_asks() {
    let (_embedded, store) = store("blocked-by-policy").await;
    let (out, done) = said(&status(Output::Text), &store).await;
    assert!(out.starts_with("wicap: Blocked."), "{out}");
    assert!(out.ends_with("--action start_service --target processor\n"), "{out}");
    assert!(done.is_ok());
    let asked = Status { exit_code: true, ..status(Output::Text) };
    assert_eq!(said(&asked, &store).await.1.unwrap_err().exit_code(), 1);
    let other = Status { stack: Some("other".into()), ..status(Output::Text) };
    let (out, done) = said(&other, &store).await;
    assert_eq!((out.as_str(), done.unwrap_err().exit_code()), ("", 1));
}

#[tokio::test]
async fn a_healthy_stack_is_what_exit_code_0_means() {
    let (_embedded, store) = store("healthy").await;
    let asked = Status { exit_code: true, stack: Some("wicap".into()), ..status(Output::Json) };
    let (out, done) = said(&asked, &store).await;
    done.unwrap();
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["reached"], &report["stacks"][0]["state"]), (&true.into(), &"Healthy".into()));
}

#[tokio::test]
async fn without_the_store_it_says_what_is_known_and_ends_with_3() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}").parse().unwrap();
    let store = Store::connect(&url, Clock::system()).await.unwrap();
    let (out, done) = said(&status(Output::Text), &store).await;
    assert!(out.starts_with("The store cannot be reached.") && out.contains("Next step"), "{out}");
    assert_eq!(done.unwrap_err().exit_code(), 3);
    let (out, done) = said(&status(Output::Json), &store).await;
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["reached"], &report["stacks"]), (&false.into(), &serde_json::json!([])));
    assert_eq!(report["down"]["store"], format!("http://127.0.0.1:{port}"));
    assert_eq!(done.unwrap_err().exit_code(), 3);
}

/// Hands on what was written whenever it is flushed.
struct Blocks {
    block: Vec<u8>,
    sender: UnboundedSender<String>,
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.block.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let block = String::from_utf8(std::mem::take(&mut self.block)).map_err(io::Error::other)?;
        self.sender.send(block).map_err(io::Error::other)
    }
}

async fn until(blocks: &mut UnboundedReceiver<String>, wanted: &str) {
    let found = async {
        while let Some(block) = blocks.recv().await {
            if block.contains(wanted) {
                return;
            }
        }
        panic!("it has ended before {wanted}");
    };
    tokio::time::timeout(SOON, found).await.unwrap_or_else(|_| panic!("no block has {wanted}"));
}

#[tokio::test]
async fn each_change_is_a_block_of_its_own() {
    let (_embedded, store) = store("healthy").await;
    let (sender, mut blocks) = unbounded_channel();
    let (mut out, mut err) = (Blocks { block: Vec::new(), sender }, Vec::new());
    let mut io = Io { out: &mut out, err: &mut err, manners: Manners::default() };
    let watching = Status { watch: true, stack: Some("wicap".into()), ..status(Output::Text) };
    let script = async {
        until(&mut blocks, "wicap: Healthy.").await;
        let stops = store.api::<EmergencyStop>();
        let spec = EmergencyStopSpec { reason: "a drill".into(), by: "ann@edge-1".into() };
        stops.create(&EmergencyStop::new("wicap", spec)).await.unwrap();
        until(&mut blocks, "wicap: Stopped.").await;
        stops.delete("wicap", &DeleteParams::default()).await.unwrap();
        until(&mut blocks, "wicap: Healthy.").await;
    };
    let called = Called::default();
    tokio::select! {
        ended = watching.run(&store, &called, &mut io) => panic!("it has ended: {ended:?}"),
        () = script => {}
    }
    assert!(err.is_empty());
}
