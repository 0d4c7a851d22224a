//! A TCP proxy between a client and a store, that can be cut, fall silent, or lose or hold a request or the answer to it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::PATIENCE;

/// What is lost of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lose {
    /// The request itself, and the connection with it.
    Request,
    /// Its answer and all that follows on that connection, which stays open.
    Answer,
    /// What the server says that contains the marker, whoever asked, and the connection with it.
    Message,
    /// Nothing but time: its answer and all that follows on that connection come when [`Proxy::release`] says so.
    Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    closed: bool,
    /// Connections made before the last cut are broken.
    cuts: u64,
    /// Connections made before the last silence carry nothing.
    silences: u64,
}

type Trap = Arc<Mutex<Option<(Vec<u8>, Lose)>>>;

pub struct Proxy {
    port: u16,
    target: Arc<Mutex<String>>,
    line: watch::Sender<Line>,
    trap: Trap,
    caught: Arc<Notify>,
    released: Arc<Notify>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of what `url` (`http://HOST:PORT` or `unix:///PATH`) names.
    pub async fn before(url: &str) -> Self {
        let target = Arc::new(Mutex::new(address(url).to_owned()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, state) = watch::channel(Line::default());
        let (trap, caught, released) = (Trap::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (to, t, c, r) = (Arc::clone(&target), Arc::clone(&trap), Arc::clone(&caught), Arc::clone(&released));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let made = *state.borrow();
                if made.closed {
                    continue;
                }
                let mut cut = state.clone();
                let traps = Traps { trap: Arc::clone(&t), caught: Arc::clone(&c), released: Arc::clone(&r) };
                let serve = serve(client, to.lock().unwrap().clone(), made, state.clone(), traps);
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve => {}
                        _ = cut.wait_for(|line| line.cuts != made.cuts) => {}
                    }
                });
            }
        });
        Self { port, target, line, trap, caught, released, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Breaks every connection and lets none through.
    pub fn cut(&self) {
        self.line.send_modify(|line| {
            line.closed = true;
            line.cuts += 1;
        });
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.line.send_modify(|line| line.closed = false);
    }

    /// New connections go there.
    pub fn redirect(&self, url: &str) {
        address(url).clone_into(&mut self.target.lock().unwrap());
    }

    /// The connections there are stay open and carry nothing any more. New ones work.
    pub fn silence(&self) {
        self.line.send_modify(|line| line.silences += 1);
    }

    /// Loses the next request that contains `marker`, or its answer.
    pub fn lose(&self, marker: &str, what: Lose) {
        *self.trap.lock().unwrap() = Some((marker.as_bytes().to_vec(), what));
    }

    /// Waits until that request has come by.
    pub async fn caught(&self) {
        tokio::time::timeout(PATIENCE, self.caught.notified()).await.expect("the request comes by");
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.released.notify_one();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What one connection has of the traps.
struct Traps {
    trap: Trap,
    caught: Arc<Notify>,
    released: Arc<Notify>,
}

async fn serve(client: TcpStream, target: String, made: Line, line: watch::Receiver<Line>, traps: Traps) {
    let Traps { trap, caught, released } = traps;
    let _ = client.set_nodelay(true);
    let (mut from_client, mut to_client) = client.into_split();
    let Some((mut from_server, mut to_server)) = reach(&target).await else { return };
    let deaf = watch::Sender::new(false);
    let held = watch::Sender::new(false);
    let silent = || line.borrow().silences != made.silences;
    let requests = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            let bytes = &buffer[..n];
            let sprung = spring(&trap, bytes, |what| what != Lose::Message);
            if sprung == Some(Lose::Request) {
                caught.notify_one();
                return;
            }
            if sprung == Some(Lose::Answer) {
                deaf.send_replace(true);
            }
            if sprung == Some(Lose::Time) {
                held.send_replace(true);
            }
            if !silent() && to_server.write_all(bytes).await.is_err() {
                return;
            }
            if sprung.is_some() {
                caught.notify_one();
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            if spring(&trap, &buffer[..n], |what| what == Lose::Message).is_some() {
                caught.notify_one();
                return;
            }
            if *held.borrow() {
                released.notified().await;
                held.send_replace(false);
            }
            if !silent() && !*deaf.borrow() && to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}

type From = Box<dyn AsyncRead + Send + Unpin>;
type To = Box<dyn AsyncWrite + Send + Unpin>;

async fn reach(target: &str) -> Option<(From, To)> {
    if let Some(path) = target.strip_prefix("unix://") {
        let (from, to) = UnixStream::connect(path).await.ok()?.into_split();
        return Some((Box::new(from), Box::new(to)));
    }
    let server = TcpStream::connect(target).await.ok()?;
    let _ = server.set_nodelay(true);
    let (from, to) = server.into_split();
    Some((Box::new(from), Box::new(to)))
}

/// Takes the trap, if it is one of this direction and its marker is here.
fn spring(trap: &Trap, bytes: &[u8], ours: impl Fn(Lose) -> bool) -> Option<Lose> {
    let mut set = trap.lock().unwrap();
    let fits = set.as_ref().is_some_and(|(marker, what)| ours(*what) && bytes.windows(marker.len()).any(|w| w == marker));
    if fits { set.take().map(|(_, what)| what) } else { None }
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}
