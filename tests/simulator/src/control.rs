//! The unix socket inside a container by which its process is told to fail.
//!
//! ```text
//! client: FAULT [ARG...] "\n"      or  "health\n"
//! server: "ok\n" | "refused REASON\n" | "failing\n"
//! ```
//!
//! It needs neither a port nor the network, and goes on answering while the process hangs. A process that is told to die
//! answers first, and exits once the client has hung up.

use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::fault::Fault;
use crate::live::{Live, Outcome};
use crate::role::Role;

/// Between the client's hang-up and the exit: time for `docker exec` to report the client's own exit, which dies with
/// the container otherwise.
const FAREWELL: Duration = Duration::from_millis(150);

/// The health check of the roles without a port; not a fault.
const HEALTH: &str = "health";

/// Why a process could not be told.
#[derive(Debug, Error)]
pub enum TellError {
    /// Nobody listens: is a role running here?
    #[error("cannot reach the process at {path}: {source}")]
    Unreachable {
        /// The socket.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The process understood and declined: the fault does not fit its role.
    #[error("{0}")]
    Refused(String),
    /// The process says it is not well.
    #[error("the process reports itself unhealthy")]
    Failing,
}

/// Serves the control socket of a process, for ever.
pub async fn serve(path: &Path, role: Role, live: Live) -> io::Result<()> {
    let listener =
        bind(path).map_err(|error| io::Error::new(error.kind(), format!("control socket {}: {error}", path.display())))?;
    loop {
        let (stream, _) = listener.accept().await?;
        let live = live.clone();
        tokio::spawn(async move {
            // A client that went away has lost only its own answer.
            let _ = answer(stream, role, &live).await;
        });
    }
}

/// A restarted container finds the socket of its former life, and replaces it.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}

async fn answer(stream: UnixStream, role: Role, live: &Live) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut order = String::new();
    stream.read_line(&mut order).await?;
    let (reply, outcome) = obey(order.trim(), role, live);
    stream.write_all(format!("{reply}\n").as_bytes()).await?;
    if let Outcome::Dies(code) = outcome {
        let _ = tokio::time::timeout(FAREWELL, stream.read_to_end(&mut Vec::new())).await;
        tokio::time::sleep(FAREWELL).await;
        Live::die(role.name(), code);
    }
    Ok(())
}

fn obey(order: &str, role: Role, live: &Live) -> (String, Outcome) {
    if order == HEALTH {
        let reply = if live.now().unhealthy { "failing" } else { "ok" };
        return (reply.to_owned(), Outcome::Lives);
    }
    match Fault::parse(&order.split_whitespace().collect::<Vec<_>>()) {
        Err(error) => (format!("refused {error}"), Outcome::Lives),
        Ok(fault) if !role.suffers(fault) => {
            (format!("refused fault {order:?} means nothing to the role {}", role.name()), Outcome::Lives)
        }
        Ok(fault) => ("ok".to_owned(), live.apply(fault)),
    }
}

/// Tells the process at `path` to fail.
pub async fn tell(path: &Path, words: &[String]) -> Result<(), TellError> {
    ask(path, &words.join(" ")).await
}

/// Asks the process at `path` whether it is well. It says so even while it hangs: a check that proves little.
pub async fn health(path: &Path) -> Result<(), TellError> {
    ask(path, HEALTH).await
}

async fn ask(path: &Path, line: &str) -> Result<(), TellError> {
    let reply =
        exchange(path, line).await.map_err(|source| TellError::Unreachable { path: path.display().to_string(), source })?;
    match reply.trim() {
        "ok" => Ok(()),
        "failing" => Err(TellError::Failing),
        other => Err(TellError::Refused(other.strip_prefix("refused ").unwrap_or(other).to_owned())),
    }
}

async fn exchange(path: &Path, line: &str) -> io::Result<String> {
    let mut stream = BufReader::new(UnixStream::connect(path).await?);
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_line(&mut reply).await?;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Form, Journal};

    fn obeyed(order: &str, role: Role) -> (String, Live) {
        let live = Live::new(Journal::new("", Form::Text));
        (obey(order, role, &live).0, live)
    }

    #[test]
    fn a_fault_that_fits_the_role_is_applied() {
        let (reply, live) = obeyed("sql-down", Role::Ui);
        assert_eq!(reply, "ok");
        assert!(live.now().sql_down);
    }

    #[test]
    fn a_fault_that_means_nothing_to_the_role_is_refused_and_not_applied() {
        let (reply, live) = obeyed("push-403", Role::Scout);
        assert_eq!(reply, "refused fault \"push-403\" means nothing to the role scout");
        assert!(!live.now().push_403);
    }

    #[test]
    fn an_unhealthy_process_says_so() {
        let live = Live::new(Journal::new("", Form::Text));
        assert_eq!(obey(HEALTH, Role::Scout, &live).0, "ok");
        live.apply(Fault::Unhealthy);
        assert_eq!(obey(HEALTH, Role::Scout, &live).0, "failing");
    }
}
