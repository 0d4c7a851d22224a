//! Where the store is: the URL that flags, environment and configuration hold.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::Error;

/// Address of an etcd v3 API.
///
/// `embedded`: the store of this host, at its socket in the data directory. `http://host:2379`, `https://a:2379,b:2379` (a scheme before each or before the first), or `unix:///path/of/socket`. A path
/// after the last host is put before every key, so that several installations can share an etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    pub(super) place: Place,
    /// Put before every key; empty or `/name`.
    pub(super) prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Embedded,
    Unix(PathBuf),
    Tcp(Vec<String>),
}

const EXPECTED: &str = "embedded, unix:///PATH, http://HOST:PORT or https://HOST:PORT, several hosts separated by commas";

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::BadRequest { what: "store URL", found: format!("{text:?}"), expected: EXPECTED };
        if text == "embedded" {
            return Ok(Self { place: Place::Embedded, prefix: String::new() });
        }
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(bad());
            }
            return Ok(Self { place: Place::Unix(path.into()), prefix: String::new() });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        if !matches!(scheme, "http" | "https") {
            return Err(bad());
        }
        let mut hosts: Vec<&str> = rest.split(',').map(|h| h.strip_prefix(&format!("{scheme}://")).unwrap_or(h)).collect();
        let mut prefix = String::new();
        if let Some(last) = hosts.last_mut()
            && let Some((host, path)) = last.split_once('/')
        {
            let path = path.trim_end_matches('/');
            if !path.is_empty() {
                if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b)) {
                    return Err(bad());
                }
                prefix = format!("/{path}");
            }
            *last = host;
        }
        let host_ok = |h: &&str| !h.is_empty() && h.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        if !hosts.iter().all(host_ok) {
            return Err(bad());
        }
        let hosts = hosts.into_iter().map(|h| format!("{scheme}://{h}")).collect();
        Ok(Self { place: Place::Tcp(hosts), prefix })
    }
}

impl StoreUrl {
    /// The store of this host, which `wicapd run` brings with it.
    #[must_use]
    pub fn embedded() -> Self {
        Self { place: Place::Embedded, prefix: String::new() }
    }

    /// Whether it is reached by a unix socket.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.place, Place::Embedded | Place::Unix(_))
    }

    /// Whether it is that of this host.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.place == Place::Embedded
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Embedded => f.write_str("embedded"),
            Place::Unix(path) => write!(f, "unix://{}", path.display()),
            Place::Tcp(hosts) => write!(f, "{}{}", hosts.join(","), self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown() {
        for (text, shown) in [
            ("http://127.0.0.1:2379", "http://127.0.0.1:2379"),
            ("https://a:1,b:2", "https://a:1,https://b:2"),
            ("https://a:1,https://b:2/x/y/", "https://a:1,https://b:2/x/y"),
            ("embedded", "embedded"),
            ("unix:///run/wicap.sock", "unix:///run/wicap.sock"),
            ("http://[::1]:2379", "http://[::1]:2379"),
        ] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_not_a_url_is_refused() {
        for text in ["", "2379", "ftp://a", "unix://relative", "http://", "http://a,,b", "http://a b", "http://u:p@a"] {
            assert!(text.parse::<StoreUrl>().is_err(), "{text:?}");
        }
    }
}
