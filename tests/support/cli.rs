//! `wicapctl` in this process, on an embedded store of its own.

use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use wicap::cli::{Cli, Io, Manners};
use wicap::store::embedded::listen::Listening;
use wicap::store::embedded::{Embedded, Options};

/// A store in memory behind a socket, and a directory for manifests.
pub struct Scene {
    directory: TempDir,
    runtime: Runtime,
    stop: CancellationToken,
    _store: Embedded,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: u8,
    pub out: String,
    pub err: String,
}

impl Scene {
    /// An empty store.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let store = runtime.block_on(async {
            let store = Embedded::in_memory(Options::default()).unwrap();
            let listening = Listening::unix(&directory.path().join("store.sock"), None).unwrap();
            tokio::spawn(listening.serve(&store, stop.clone()));
            store
        });
        Self { directory, runtime, stop, _store: store }
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A file in the directory.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn url(&self) -> String {
        format!("unix://{}", self.directory.path().join("store.sock").display())
    }

    /// Runs `wicapctl` with these arguments.
    pub fn run(&self, words: &[&str]) -> Said {
        let cli = Cli::try_parse_from(["wicapctl", "--store", &self.url()].iter().chain(words)).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = self.runtime.block_on(cli.run(&mut Io { out: &mut out, err: &mut err, manners: Manners::default() }));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code, out: text(out), err: text(err) }
    }

    /// The command line of `wicapctl` as a process of its own, for a shell.
    pub fn wicapctl(&self, words: &[&str]) -> String {
        format!("{} --store {} {}", env!("CARGO_BIN_EXE_wicapctl"), self.url(), words.join(" "))
    }

    /// Runs `wicapctl` as a process of its own, with these variables.
    pub fn run_with(&self, variables: &[(&str, &str)], words: &[&str]) -> Said {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wicapctl"));
        command.args(["--store", &self.url()]).args(words).envs(variables.iter().copied());
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().and_then(|code| u8::try_from(code).ok()).expect("it ends by itself");
        Said { code, out: text(output.stdout), err: text(output.stderr) }
    }

    /// The same on a manifest.
    pub fn on(&self, verb: &[&str], manifest: &Value) -> Said {
        let file = self.file("manifest.json", &manifest.to_string());
        self.run(&[verb, &["-f", file.to_str().unwrap()]].concat())
    }

    /// Applies a manifest, and returns the last word of what is said.
    pub fn apply(&self, manifest: &Value) -> String {
        let said = self.on(&["apply"], manifest);
        assert_eq!(said.code, 0, "{said:?}\n{manifest}");
        said.out.trim_end().rsplit(' ').next().unwrap_or_default().to_owned()
    }

    /// Changes the object of a manifest as somebody else would.
    pub fn patch(&self, manifest: &Value, patch: &Value) {
        let said = self.run(&["patch", &target(manifest), "-p", &patch.to_string()]);
        assert_eq!(said.code, 0, "{said:?}\n{patch}");
    }

    /// The object of a manifest, as it is.
    pub fn live(&self, manifest: &Value) -> Value {
        let said = self.run(&["get", &target(manifest), "-o", "json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// `WicapStack/n7`.
pub fn target(manifest: &Value) -> String {
    let text = |field: &str| manifest.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    format!("{}/{}", text("/kind"), text("/metadata/name"))
}
