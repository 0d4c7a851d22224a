//! Certificates of the test's own: an authority, and what it has signed for a server on the loopback address and for clients.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// PEM files.
pub struct Certificates {
    pub authority: PathBuf,
    pub server: (PathBuf, PathBuf),
    pub client: (PathBuf, PathBuf),
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// Written to a directory that is there.
    pub fn in_directory(directory: &Path) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&key).unwrap();
        let issuer = Issuer::new(authority, key);
        let path = directory.join("authority.crt");
        std::fs::write(&path, certificate.pem()).unwrap();
        Self {
            server: signed(directory, &issuer, "server", ExtendedKeyUsagePurpose::ServerAuth),
            client: signed(directory, &issuer, "client", ExtendedKeyUsagePurpose::ClientAuth),
            authority: path,
            directory: directory.to_owned(),
            issuer,
        }
    }

    /// Another client's, whose common name that is.
    pub fn client_named(&self, name: &str) -> (PathBuf, PathBuf) {
        signed(&self.directory, &self.issuer, name, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

fn signed(
    directory: &Path,
    issuer: &Issuer<'static, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let write = |suffix: &str, text: String| {
        let path = directory.join(format!("{name}.{suffix}"));
        std::fs::write(&path, text).unwrap();
        path
    };
    (write("crt", certificate.pem()), write("key", key.serialize_pem()))
}
