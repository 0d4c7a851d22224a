//! The files of TLS to a store: whom to trust, and who we are.

use std::ffi::OsString;
use std::path::PathBuf;

use etcd_client::{Certificate, Identity, TlsOptions};

/// Names of the variables that hold the paths, as of `etcdctl`'s options: the authority, the certificate, its key.
pub const VARIABLES: [&str; 3] = ["WICAP_STORE_CACERT", "WICAP_STORE_CERT", "WICAP_STORE_KEY"];

/// The files of TLS, all PEM. They are read when a connection is made, and only for `https`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authority that signed the store's certificate; the system's own when absent.
    pub cacert: Option<PathBuf>,
    /// The client's certificate, which names the user of an etcd with authentication.
    pub cert: Option<PathBuf>,
    /// The key of that certificate.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// What the environment says, where a variable that is empty says nothing.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let [cacert, cert, key] = VARIABLES.map(|name| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from));
        Self { cacert, cert, key }
    }

    /// The same, with `other` for what is not said. A certificate and its key are one thing: half of it is not taken from
    /// elsewhere.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let (cert, key) =
            if self.cert.is_some() || self.key.is_some() { (self.cert, self.key) } else { (other.cert, other.key) };
        Self { cacert: self.cacert.or(other.cacert), cert, key }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// Which file cannot be read and why, or that one of certificate and key is missing.
    pub fn options(&self) -> Result<TlsOptions, String> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
        let mut options = TlsOptions::new();
        if let Some(authority) = &self.cacert {
            options = options.ca_certificate(Certificate::from_pem(read(authority)?));
        }
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(options.identity(Identity::from_pem(read(cert)?, read(key)?))),
            (None, None) => Ok(options),
            _ => Err("a certificate and its key are given together or not at all".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(cacert: &str, cert: &str, key: &str) -> Tls {
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        Tls { cacert: path(cacert), cert: path(cert), key: path(key) }
    }

    #[test]
    fn a_certificate_and_its_key_come_from_one_place() {
        assert_eq!(tls("", "", "").or(tls("a", "b", "c")), tls("a", "b", "c"));
        assert_eq!(tls("x", "", "").or(tls("a", "b", "c")), tls("x", "b", "c"));
        assert_eq!(tls("", "y", "").or(tls("a", "b", "c")), tls("a", "y", ""));
        assert!(tls("", "y", "").options().unwrap_err().contains("together"));
    }

    #[test]
    fn the_environment_is_read_and_what_is_empty_says_nothing() {
        let found = Tls::from_environment(|name| match name {
            "WICAP_STORE_CACERT" => Some("/ca.pem".into()),
            "WICAP_STORE_CERT" => Some("".into()),
            _ => None,
        });
        assert_eq!(found, tls("/ca.pem", "", ""));
        assert!(found.options().unwrap_err().starts_with("/ca.pem: "), "a file that is not there is named");
    }
}
