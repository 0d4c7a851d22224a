//! A real etcd that is to ask who comes: it is reached with mutual TLS only, and a certificate's common name is the user.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions, UserAddOptions};
use serde_json::Value;
use tempfile::TempDir;
use wicap::clock::Clock;
use wicap::store::Store;

use super::etcd::etcd_program;
use super::tls::Certificates;
use super::{Daemon, PATIENCE, Said, free_port, wicapctl_with};

/// Who may do everything.
pub const ROOT: &str = "root";

/// The newest etcd that is there. Debian 13's does not look into transactions inside transactions; `hack/setup --test` fetches
/// one that does, where it can.
pub fn newest_etcd() -> &'static str {
    let newer = "etcd-unstable";
    let there = Command::new(newer).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) { newer } else { "etcd" }
}

pub struct Guarded {
    child: Option<Child>,
    directory: TempDir,
    certificates: Certificates,
    port: u16,
}

impl Guarded {
    /// Started and answering. Authentication is off as yet.
    pub async fn start(program: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-test-guarded").tempdir().unwrap();
        let certificates = Certificates::in_directory(directory.path());
        certificates.client_named(ROOT);
        let mut guarded = Self { child: None, directory, certificates, port: 0 };
        // Somebody who is no test may take a port between our look and etcd's.
        for _ in 0..5 {
            guarded.port = free_port();
            if guarded.launch(program).await {
                return guarded;
            }
        }
        panic!("{program} does not start: {}", std::fs::read_to_string(guarded.directory.path().join("log")).unwrap());
    }

    /// Whether it answers; it does not when it has ended.
    async fn launch(&mut self, program: &str) -> bool {
        let (authority, (cert, key)) = (&self.certificates.authority, &self.certificates.server);
        let child = etcd_program(program, &self.directory.path().join("data"), &self.url(), free_port())
            .args(["--unsafe-no-fsync", "--client-cert-auth", "--enable-grpc-gateway=false"])
            .arg("--trusted-ca-file")
            .arg(authority)
            .arg("--cert-file")
            .arg(cert)
            .arg("--key-file")
            .arg(key)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.directory.path().join("log")).unwrap())
            .spawn()
            .expect("etcd is installed by hack/setup");
        self.child = Some(child);
        let answering = async {
            loop {
                if self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some()) {
                    return false;
                }
                let mut client = self.client(ROOT).await;
                if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(1), client.get("health", None)).await {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answering).await.expect("etcd answers")
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The certificate of that user, and its key.
    fn identity(&self, user: &str) -> (PathBuf, PathBuf) {
        let files = ["crt", "key"].map(|suffix| self.path().join(format!("{user}.{suffix}")));
        if !files[0].exists() {
            return self.certificates.client_named(user);
        }
        files.into()
    }

    /// A connection of that user.
    pub async fn client(&self, user: &str) -> Client {
        let read = |path: &Path| std::fs::read(path).unwrap();
        let (cert, key) = self.identity(user);
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(read(&self.certificates.authority)))
            .identity(Identity::from_pem(read(&cert), read(&key)));
        // etcd sends progress only on a connection that answers keep-alives.
        let options = ConnectOptions::new().with_tls(tls).with_keep_alive(Duration::from_secs(10), Duration::from_secs(2));
        Client::connect([self.url()], Some(options)).await.unwrap()
    }

    /// The store, as that user sees it.
    pub async fn store(&self, user: &str) -> Store {
        Store::with_client(self.client(user).await, self.url().parse().unwrap(), Clock::system())
    }

    fn with_files<T>(&self, user: &str, run: impl FnOnce(&[(&str, &Path)]) -> T) -> T {
        let (cert, key) = self.identity(user);
        let authority = self.certificates.authority.as_path();
        run(&[("WICAP_STORE_CACERT", authority), ("WICAP_STORE_CERT", &cert), ("WICAP_STORE_KEY", &key)])
    }

    /// `wicapctl` on the objects under a prefix, with the certificate of that user.
    pub fn ctl_under(&self, prefix: &str, user: &str, arguments: &[&str], input: &str) -> Said {
        let url = format!("{}{prefix}", self.url());
        self.with_files(user, |files| wicapctl_with(files, &[&["--store", &url], arguments].concat(), input))
    }

    pub fn ctl(&self, user: &str, arguments: &[&str]) -> Said {
        self.ctl_under("", user, arguments, "")
    }

    /// Applies resources as that user.
    pub fn apply(&self, user: &str, resources: &[Value]) -> Said {
        let text: Vec<String> = resources.iter().map(Value::to_string).collect();
        self.ctl_under("", user, &["apply", "-f", "-"], &text.join("\n"))
    }

    /// One controller in a process of its own, with the certificate of its user.
    pub fn daemon(&self, controller: &str, directory: &Path, arguments: &[&str]) -> Daemon {
        let arguments = [&["--controllers", controller], arguments].concat();
        let user = format!("wicap-{controller}");
        self.with_files(&user, |files| Daemon::start_with(files, &self.url(), directory, &arguments))
    }

    /// Runs `store init-roles` as root, and returns what it says in JSON.
    pub fn init_roles(&self, arguments: &[&str]) -> Value {
        let said = self.ctl(ROOT, &[&["store", "init-roles", "-o", "json"], arguments].concat());
        assert_eq!(said.code, 0, "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// Turns authentication on.
    pub async fn enable(&self) {
        let mut client = self.client(ROOT).await;
        client.user_add(ROOT, "", Some(UserAddOptions::new().with_no_pwd())).await.unwrap();
        client.user_grant_role(ROOT, ROOT).await.unwrap();
        client.auth_enable().await.unwrap();
    }

    /// With the roles, a user for each, and authentication. Also whether roles bind whatever is sent.
    pub async fn guarding() -> (Self, bool) {
        let guarded = Self::start(newest_etcd()).await;
        let said = guarded.init_roles(&["--with-users"]);
        guarded.enable().await;
        (guarded, said["rolesBind"] == true)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
