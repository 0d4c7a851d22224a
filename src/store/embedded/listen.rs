//! Where the store is served, and who may connect: a unix socket for its user, and a group if one is named; TCP only for who
//! shows a certificate.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::data_dir::DataDir;
use super::{Embedded, service};

/// The longest path of a socket, in bytes: `sun_path` of unix(7) has 108 with the zero at its end.
const MAX_SOCKET_PATH: usize = 107;

/// How long a client may take for its handshake: who never ends one holds a file descriptor, and has shown no certificate yet.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long nobody new is let in when the system has no file descriptor left. Trying again at once would take a whole core.
const BREATH: Duration = Duration::from_millis(100);

/// An address to serve the store on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP with mutual TLS, `HOST:PORT`.
    Tls(String),
}

/// The files of mutual TLS, all PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority that signs the clients' certificates. Who has none is not let in.
    pub client_ca: PathBuf,
}

/// Why the store cannot be served at an address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that is none, or may not be used.
    #[error("--listen: found {found:?}, expected unix:///PATH or https://HOST:PORT{hint}")]
    Address {
        /// What was given.
        found: String,
        /// What is wrong with it, if it is not its form.
        hint: &'static str,
    },
    /// `https` without its files.
    #[error("--listen {address}: --cert, --key and --client-ca are needed: TCP is served with mutual TLS only")]
    TlsMissing {
        /// The address.
        address: String,
    },
    /// The address cannot be listened on.
    #[error("{what}: {reason}")]
    Io {
        /// The address or the file.
        what: String,
        /// What the system says.
        reason: String,
    },
}

impl FromStr for Listen {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |hint| Error::Address { found: text.to_owned(), hint };
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(bad("; the path must be absolute"));
            }
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with("http://") {
            return Err(bad("; TCP is served with mutual TLS only"));
        }
        let address = text.strip_prefix("https://").ok_or_else(|| bad(""))?;
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Self::Tls(address.to_owned())),
            _ => Err(bad("")),
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tls(address) => write!(f, "https://{address}"),
        }
    }
}

/// An address that is listened on. Nobody is answered before [`Listening::serve`].
pub struct Listening {
    url: String,
    socket: Socket,
}

enum Socket {
    Unix(UnixListener, PathBuf),
    Tls(TcpListener, Box<ServerTlsConfig>),
}

impl Listening {
    /// Listens on a unix socket that only its user may use, and the members of `group` if one is named.
    ///
    /// # Errors
    /// [`Error`]: the path is too long or taken, the group is not there, or the file system says no.
    pub fn unix(path: &Path, group: Option<&str>) -> Result<Self, Error> {
        let failed =
            |reason: &dyn std::fmt::Display| Error::Io { what: path.display().to_string(), reason: reason.to_string() };
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(failed(&format!(
                "the path of a socket has at most {MAX_SOCKET_PATH} bytes; name a shorter one with --listen"
            )));
        }
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(failed(&"it is there, and it is not a socket")),
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(failed(&"somebody else listens there"));
            }
            // Left behind by one that was killed.
            Ok(_) => std::fs::remove_file(path).map_err(|e| failed(&e))?,
            Err(_) => {}
        }
        // It is made in a directory of its own that nobody else may enter, and moved to its name with the rights that it is to
        // have. The directory is named by its descriptor, since its path may be too long for a socket.
        let parent = path.parent().unwrap_or(Path::new("/"));
        let own = std::fs::Permissions::from_mode(0o700);
        let hidden = tempfile::Builder::new().prefix(".socket").permissions(own).tempdir_in(parent);
        let hidden = hidden.map_err(|e| failed(&e))?;
        let directory = std::fs::File::open(hidden.path()).map_err(|e| failed(&e))?;
        let inside = hidden.path().join("s");
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/s", directory.as_raw_fd())).map_err(|e| failed(&e))?;
        let mode = if group.is_some() { 0o660 } else { 0o600 };
        std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(mode)).map_err(|e| failed(&e))?;
        if let Some(name) = group {
            give_to_group(&inside, name).map_err(|e| failed(&e))?;
        }
        std::fs::rename(&inside, path).map_err(|e| failed(&e))?;
        let url = Listen::Unix(path.to_owned()).to_string();
        Ok(Self { url, socket: Socket::Unix(listener, path.to_owned()) })
    }

    /// Listens on TCP, with mutual TLS.
    ///
    /// # Errors
    /// [`Error`]: a file cannot be read or the address not be had.
    pub async fn tls(address: &str, files: &TlsFiles) -> Result<Self, Error> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|e| Error::Io { what: path.display().to_string(), reason: e.to_string() })
        };
        let config = ServerTlsConfig::new()
            .identity(Identity::from_pem(read(&files.cert)?, read(&files.key)?))
            .client_ca_root(Certificate::from_pem(read(&files.client_ca)?))
            .timeout(HANDSHAKE);
        let failed = |e: std::io::Error| Error::Io { what: format!("https://{address}"), reason: e.to_string() };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { url: format!("https://{address}"), socket: Socket::Tls(listener, Box::new(config)) })
    }

    /// Where it is, as clients say it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers until `stop` is cancelled; then nobody new is let in and streams are ended.
    ///
    /// # Errors
    /// [`Error::Io`] when the listening socket fails, or the certificates do not fit.
    pub fn serve(self, store: &Embedded, stop: CancellationToken) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let Self { url, socket } = self;
        let urls = [url.clone()];
        let (handle, options) = (store.handle.clone(), store.options.clone());
        async move {
            let failed = |e: tonic::transport::Error| {
                let mut reason: &dyn std::error::Error = &e;
                while let Some(source) = reason.source() {
                    reason = source;
                }
                Error::Io { what: url.clone(), reason: reason.to_string() }
            };
            match socket {
                Socket::Unix(listener, path) => {
                    let router = service::router(Server::builder(), &handle, &options, &urls);
                    let done = tokio::select! {
                        done = router.serve_with_incoming(unix(listener)) => done.map_err(failed),
                        () = stop.cancelled() => Ok(()),
                    };
                    let _ = std::fs::remove_file(path);
                    done
                }
                Socket::Tls(listener, config) => {
                    let server = Server::builder().tls_config(*config).map_err(failed)?;
                    let router = service::router(server, &handle, &options, &urls);
                    tokio::select! {
                        done = router.serve_with_incoming(tcp(listener)) => done.map_err(failed),
                        () = stop.cancelled() => Ok(()),
                    }
                }
            }
        }
    }
}

/// The connections of a unix socket.
fn unix(listener: UnixListener) -> impl Stream<Item = std::io::Result<UnixStream>> {
    stream::unfold(listener, async |listener| {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => return Some((Ok(connection), listener)),
                Err(error) => refused(&error).await,
            }
        }
    })
}

/// The connections of a port.
fn tcp(listener: TcpListener) -> impl Stream<Item = std::io::Result<TcpStream>> {
    stream::unfold(listener, async |listener| {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => return Some((connection.set_nodelay(true).map(|()| connection), listener)),
                Err(error) => refused(&error).await,
            }
        }
    })
}

/// Somebody could not be let in. Most likely there is no file descriptor for him, and one will be given back.
async fn refused(error: &std::io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(BREATH).await;
}

/// The number of a group, from the system's table of them.
fn group_id(name: &str) -> std::io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let table = std::fs::read_to_string("/etc/group")?;
    let line = table.lines().find(|line| line.split(':').next() == Some(name));
    line.and_then(|line| line.split(':').nth(2)?.parse().ok())
        .ok_or_else(|| std::io::Error::other(format!("no group {name:?} in /etc/group")))
}

fn give_to_group(path: &Path, name: &str) -> std::io::Result<()> {
    std::os::unix::fs::chown(path, None, Some(group_id(name)?))
}

/// Lets a group reach the sockets in a data directory; what else is in it stays as closed as it is. Without a group it is its
/// user's alone again. A directory that is not the store's is its owner's to open.
///
/// # Errors
/// [`Error::Io`]: the group is not there, or the file system says no.
pub fn open_directory(directory: &DataDir, group: Option<&str>) -> Result<(), Error> {
    let path = directory.path();
    let failed = |e: std::io::Error| Error::Io { what: path.display().to_string(), reason: e.to_string() };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    let wanted = match group {
        Some(name) => {
            give_to_group(path, name).map_err(failed)?;
            mode | 0o010
        }
        None if mode == 0o710 => 0o700,
        None => mode,
    };
    if wanted == mode {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(wanted)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_addresses_are_taken() {
        for (text, shown) in [("unix:///run/x.sock", "unix:///run/x.sock"), ("https://0.0.0.0:2379", "https://0.0.0.0:2379")]
        {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), shown);
        }
        for text in ["", "unix://x", "http://127.0.0.1:2379", "https://a", "https://:1", "https://a:x", "2379"] {
            let error = text.parse::<Listen>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("--listen: found {text:?}, expected unix:///PATH")), "{error}");
        }
    }

    #[tokio::test]
    async fn a_socket_is_its_users_alone_and_takes_the_place_of_a_dead_one_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listening = Listening::unix(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = Listening::unix(&path, None).err().unwrap().to_string();
        assert!(error.ends_with("somebody else listens there"), "{error}");
        drop(listening);
        let file = directory.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        assert!(Listening::unix(&file, None).err().unwrap().to_string().contains("not a socket"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
        let longest = directory.path().join("x".repeat(MAX_SOCKET_PATH - directory.path().as_os_str().len() - 1));
        drop(Listening::unix(&longest, None).unwrap());
        let long = directory.path().join("x".repeat(120));
        assert!(Listening::unix(&long, None).err().unwrap().to_string().contains("at most 107 bytes"));
        assert!(Listening::unix(&path, Some("no such group")).err().unwrap().to_string().contains("no group"));
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "what it was made in is gone: {left:?}");
    }

    #[test]
    fn a_data_directory_is_opened_for_a_group_and_closed_again() {
        let directory = tempfile::tempdir().unwrap();
        let held = DataDir::take(&directory.path().join("data")).unwrap();
        let mode = || std::fs::metadata(held.path()).unwrap().permissions().mode() & 0o777;
        let own = rustix::process::getegid().as_raw().to_string();
        open_directory(&held, Some(&own)).unwrap();
        assert_eq!(mode(), 0o710);
        open_directory(&held, None).unwrap();
        assert_eq!(mode(), 0o700);
        assert!(open_directory(&held, Some("no such group")).unwrap_err().to_string().contains("no group"));
        assert_eq!(mode(), 0o700);
    }
}
