//! `docker compose`, version 2, as a process.
//!
//! The argument vector is built here and nowhere else, from values that are checked again on the way in; there is no shell. The
//! environment is emptied of all but what the client needs to find itself, so that no `COMPOSE_*`, `DOCKER_CONTEXT` or variable
//! used for interpolation leaks in: what a compose file interpolates comes from its env files alone.

mod cache;
mod config;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::process::Command;

pub use cache::ConfigCache;
pub use config::ComposeService;
use config::{learn_secrets, parse, without_dependencies};

use super::directory::HeldDirectory;
pub use super::process::ProcessOutput;
use super::process::{self, ProcessError};
use crate::api::Violation;
use crate::api::stack::Compose;
use crate::api::validate::Check;
use crate::audit::redact::known::{self, Owner};
use crate::audit::redact::redact;

/// Kept of each output of an action: enough for the last words of a compose run with dozens of services.
pub const OUTPUT_TAIL: usize = 64 * 1024;

/// Most bytes of `config` that are read. The largest compose files in the wild give some hundred kilobytes.
const CONFIG_MOST: usize = 8 * 1024 * 1024;

/// Time limit of `config`, which reads files only and takes 0.1 s.
pub const CONFIG_TIMEOUT: Duration = Duration::from_secs(15);

/// Age at which a cached configuration is read again although its files did not change: a file that another one includes or
/// extends is not watched.
pub const CONFIG_MAX_AGE: Duration = Duration::from_secs(300);

/// Time for which a failure is answered from the cache while the files stay as they are, so that a broken compose file does not
/// cost a process on every event.
pub const CONFIG_RETRY: Duration = Duration::from_secs(30);

/// Variables that the process may inherit.
const INHERITED: [&str; 3] = ["PATH", "HOME", "DOCKER_CONFIG"];

/// Why `docker compose` gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ComposeError {
    /// A value of the stack is not fit for an argument. Correct the stack; nothing was run.
    #[error("not fit for docker compose: {}", list(.0))]
    Invalid(Vec<Violation>),
    /// The project directory cannot be entered, or is not the one that was judged. Correct `spec.compose.directory` or create it;
    /// nothing was run.
    #[error("the project directory {directory} cannot be entered: {why}")]
    Directory {
        /// The directory.
        directory: String,
        /// The error.
        why: String,
    },
    /// The project directory was replaced while Compose ran: it may have read another one's files. Look what became of it, and see
    /// to it that nobody else may change what is above the directory.
    #[error("the project directory {directory} was replaced while docker compose ran: {why}")]
    Replaced {
        /// The directory.
        directory: String,
        /// What is there now.
        why: String,
    },
    /// The program did not start. Install Docker's client and its compose plugin; nothing was run.
    #[error("docker compose did not start: {why}")]
    Spawn {
        /// The error.
        why: String,
    },
    /// It was killed when its time was over. It may have done a part of its work: look what became of it.
    #[error("docker compose was killed after {after:?}")]
    Timeout {
        /// The time limit.
        after: Duration,
    },
    /// It could not be waited for. It may have done its work: look what became of it.
    #[error("docker compose was lost: {why}")]
    Lost {
        /// The error.
        why: String,
    },
    /// `config` refused the files. Correct what it names.
    #[error("docker compose ended with {}: {output}", code(*.exit_code))]
    Exit {
        /// Exit code; absent when a signal ended it.
        exit_code: Option<i32>,
        /// The end of what it said, redacted.
        output: String,
    },
    /// `config` printed something unexpected. Check the version of the compose plugin: 2.x is needed.
    #[error("the output of docker compose config was not understood: {why}")]
    Output {
        /// What was not.
        why: String,
    },
}

impl ComposeError {
    /// Whether the process may have had an effect. False only when it certainly had none.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Lost { .. } | Self::Replaced { .. })
    }
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn code(exit_code: Option<i32>) -> String {
    exit_code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"))
}

/// What a simulation does in place of running `docker compose`: it is given the argument vector and the standard input.
pub type Run = dyn Fn(Vec<String>, String) -> BoxFuture<'static, Result<ProcessOutput, ComposeError>> + Send + Sync;

/// The compose client, aimed at one engine.
#[derive(Clone)]
pub struct ComposeCli {
    docker_host: String,
    simulated: Option<Arc<Run>>,
}

impl fmt::Debug for ComposeCli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComposeCli({})", self.docker_host)
    }
}

impl ComposeCli {
    /// A client for the engine at that address, in any form that [`super::engine::Engine::new`] takes.
    #[must_use]
    pub fn new(docker_host: &str) -> Self {
        let docker_host = match docker_host.strip_prefix("http://") {
            Some(rest) => format!("tcp://{}", rest.trim_end_matches('/')),
            None if docker_host.starts_with('/') => format!("unix://{docker_host}"),
            None => docker_host.to_owned(),
        };
        Self { docker_host, simulated: None }
    }

    /// A client that runs nothing, and has that function answer.
    #[must_use]
    pub fn simulated(run: Arc<Run>) -> Self {
        Self { docker_host: String::new(), simulated: Some(run) }
    }

    /// Does what may have to wait for a disk, without holding up the runtime. A simulation does it on the spot: nothing in it happens on
    /// another thread.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        if self.simulated.is_some() {
            return work();
        }
        tokio::task::spawn_blocking(work).await.map_err(io::Error::from).flatten()
    }

    /// The argument vector of a compose command on that project: what selects the project, then `verb`. Files are given by their
    /// absolute paths, so that the line means the same wherever it is repeated.
    ///
    /// # Errors
    /// [`ComposeError::Invalid`] when a value of `compose` breaks the rules of [`crate::api::validate`].
    pub fn argv(&self, compose: &Compose, verb: &[&str]) -> Result<Vec<String>, ComposeError> {
        check(compose)?;
        let mut argv: Vec<String> = ["docker", "compose", "--project-name", &compose.project].map(str::to_owned).into();
        let mut option = |name: &str, value: String| argv.extend([name.to_owned(), value]);
        option("--project-directory", compose.directory.clone());
        for file in &compose.files {
            option("--file", format!("{}/{file}", compose.directory));
        }
        for file in &compose.env_files {
            option("--env-file", format!("{}/{file}", compose.directory));
        }
        for profile in &compose.profiles {
            option("--profile", profile.clone());
        }
        option("--ansi", "never".to_owned());
        argv.extend(verb.iter().map(|&word| word.to_owned()));
        Ok(argv)
    }

    /// Runs an argument vector that [`ComposeCli::argv`] made, in the project's directory, and keeps the last [`OUTPUT_TAIL`]
    /// bytes of each output. An exit code other than 0 is no error here.
    ///
    /// `held` is what `compose.directory` was when the run was permitted: it is looked at again right before and right after the run.
    /// Compose takes paths, and looks them up by itself, so that what is changed and changed back in between is not seen.
    ///
    /// The time limit holds also when this process is killed and leaves Compose behind: coreutils' `timeout` stands between the
    /// two, so that nothing is changed in the name of an action that has long ended as Failed.
    ///
    /// # Errors
    /// [`ComposeError::is_ambiguous`] tells whether it may have done something all the same.
    pub async fn run(
        &self,
        argv: &[String],
        compose: &Compose,
        held: &HeldDirectory,
        timeout: Duration,
    ) -> Result<ProcessOutput, ComposeError> {
        check(compose)?;
        // A process that does not observe the stack has not read it. What Compose says could not be known to be clean then.
        if !known::knows(&Owner::Files(compose.project.clone())) {
            let _ = self.config(compose).await;
        }
        // A second later than our own limit, which ends it with a better word.
        let seconds = timeout.as_secs().saturating_add(1).to_string();
        let mut bounded: Vec<String> = ["timeout", "--kill-after=1", seconds.as_str()].map(str::to_owned).into();
        bounded.extend_from_slice(argv);
        let (directory, path) = (|| compose.directory.clone(), Path::new(&compose.directory));
        held.is_still(path).map_err(|why| ComposeError::Directory { directory: directory(), why })?;
        let output = self.process(&bounded, held, "", OUTPUT_TAIL, timeout).await;
        // Whatever came of it: a run that was killed may have read the files of another directory too.
        held.is_still(path).map_err(|why| ComposeError::Replaced { directory: directory(), why })?;
        let output = output?;
        match output.exit_code {
            // Its words for a program that cannot be run, or is not there; Compose ends with neither.
            Some(126 | 127) => Err(ComposeError::Spawn { why: redact(output.stderr.trim()).into_owned() }),
            _ => Ok(output),
        }
    }

    /// What the compose files say now, by service: services of profiles that are not enabled are missing.
    ///
    /// # Errors
    /// [`ComposeError::Exit`] when Compose refuses the files, and any other [`ComposeError`].
    pub async fn config(&self, compose: &Compose) -> Result<BTreeMap<String, ComposeService>, ComposeError> {
        let held = self.held(compose).await?;
        let read = |options, verb, input| self.read(compose, &held, options, verb, input);
        let hash = ["config", "--hash", "*"];
        let (hashes, json) = tokio::try_join!(read(&[], &hash, ""), read(&[], &["config", "--format", "json"], ""))?;
        learn_secrets(&compose.project, &json);
        let alone = read(&["--file", "-"], &hash, &without_dependencies(&hashes)?).await?;
        parse(&hashes, &alone, &json)
    }

    /// The names of all services that the compose files have, those of profiles that are not enabled too.
    ///
    /// # Errors
    /// As [`ComposeCli::config`].
    pub async fn services(&self, compose: &Compose) -> Result<BTreeSet<String>, ComposeError> {
        let held = self.held(compose).await?;
        let names = self.read(compose, &held, &["--profile", "*"], &["config", "--services"], "").await?;
        Ok(names.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    async fn held(&self, compose: &Compose) -> Result<HeldDirectory, ComposeError> {
        check(compose)?;
        let directory = compose.directory.clone();
        // Elsewhere: a network's file system that is gone must hold up this stack alone.
        let held = self.on_disk(move || HeldDirectory::open(Path::new(&directory))).await;
        held.map_err(|e| ComposeError::Directory { directory: compose.directory.clone(), why: e.to_string() })
    }

    /// What a command that only reads prints. `options` stand between the project's own and `verb`.
    async fn read(
        &self,
        compose: &Compose,
        held: &HeldDirectory,
        options: &[&str],
        verb: &[&str],
        input: &str,
    ) -> Result<String, ComposeError> {
        let mut argv = self.argv(compose, verb)?;
        let end = argv.len() - verb.len();
        argv.splice(end..end, options.iter().map(|&word| word.to_owned()));
        let output = self.process(&argv, held, input, CONFIG_MOST, CONFIG_TIMEOUT).await?;
        if output.exit_code == Some(0) {
            return Ok(output.stdout);
        }
        let said = redact(output.stderr.trim()).chars().take(1024).collect();
        Err(ComposeError::Exit { exit_code: output.exit_code, output: said })
    }

    async fn process(
        &self,
        argv: &[String],
        held: &HeldDirectory,
        input: &str,
        keep: usize,
        timeout: Duration,
    ) -> Result<ProcessOutput, ComposeError> {
        if let Some(run) = &self.simulated {
            return tokio::time::timeout(timeout, run(argv.to_vec(), input.to_owned()))
                .await
                .unwrap_or(Err(ComposeError::Timeout { after: timeout }));
        }
        let [program, arguments @ ..] = argv else {
            return Err(ComposeError::Spawn { why: "the argument vector is empty".to_owned() });
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(held.link()).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        command.env("DOCKER_HOST", &self.docker_host);
        process::run(command, input, keep, timeout).await.map_err(|error| match error {
            ProcessError::Spawn { .. } => ComposeError::Spawn { why: error.to_string() },
            ProcessError::Timeout { after } => ComposeError::Timeout { after },
            ProcessError::Io { .. } => ComposeError::Lost { why: error.to_string() },
        })
    }
}

/// What stands between a stack and a process: the same rules as for the resource, applied again.
fn check(compose: &Compose) -> Result<(), ComposeError> {
    let mut check = Check::new();
    check.project("spec.compose.project", &compose.project);
    check.directory("spec.compose.directory", &compose.directory);
    check.that(!compose.files.is_empty(), "spec.compose.files", "an empty list", "at least one compose file");
    for (i, file) in compose.files.iter().enumerate() {
        check.inner_path(&format!("spec.compose.files[{i}]"), file);
    }
    for (i, file) in compose.env_files.iter().enumerate() {
        check.inner_path(&format!("spec.compose.envFiles[{i}]"), file);
    }
    for (i, profile) in compose.profiles.iter().enumerate() {
        check.service(&format!("spec.compose.profiles[{i}]"), profile);
    }
    let violations = check.finish();
    if violations.is_empty() { Ok(()) } else { Err(ComposeError::Invalid(violations)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose() -> Compose {
        Compose {
            project: "wicap".to_owned(),
            directory: "/srv/wicap".to_owned(),
            files: vec!["compose.yaml".to_owned(), "more/extra.yaml".to_owned()],
            profiles: vec!["intel".to_owned()],
            env_files: vec!["site.env".to_owned()],
        }
    }

    #[test]
    fn the_argument_vector_of_a_project() {
        let argv = ComposeCli::new("unix:///run/docker.sock").argv(&compose(), &["up", "--detach", "ui"]).unwrap();
        assert_eq!(
            argv.join(" "),
            "docker compose --project-name wicap --project-directory /srv/wicap --file /srv/wicap/compose.yaml \
             --file /srv/wicap/more/extra.yaml --env-file /srv/wicap/site.env --profile intel --ansi never up --detach ui"
        );
    }

    /// A project whose directory exists.
    fn in_directory(directory: &tempfile::TempDir) -> Compose {
        Compose { directory: directory.path().to_str().unwrap().to_owned(), ..compose() }
    }

    fn held(compose: &Compose) -> HeldDirectory {
        HeldDirectory::open(Path::new(&compose.directory)).unwrap()
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_did_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let cli = ComposeCli::new("/run/docker.sock");
        let argv = ["wicap-no-such-program".to_owned()];
        let project = in_directory(&directory);
        let error = cli.run(&argv, &project, &held(&project), Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(&error, ComposeError::Spawn { why } if why.contains("wicap-no-such-program")), "{error:?}");
        assert!(!error.is_ambiguous());
    }

    #[tokio::test]
    async fn what_a_killed_caller_leaves_behind_ends_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let project = in_directory(&directory);
        let cli = ComposeCli::new("/run/docker.sock");
        // The odd time tells this sleep from any other on the machine.
        let odd = format!("60.{}", std::process::id());
        let argv = ["sleep".to_owned(), odd.clone()];
        let left = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let cmdlines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
            cmdlines.filter(|c| String::from_utf8_lossy(c).contains(&odd)).count()
        };
        let held = held(&project);
        let mut call = Box::pin(cli.run(&argv, &project, &held, Duration::from_secs(1)));
        while left() < 2 {
            let _ = tokio::time::timeout(Duration::from_millis(10), &mut call).await;
        }
        // Neither polled nor dropped any more: as after SIGKILL, nobody on this side ends it.
        std::mem::forget(call);
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while left() > 0 {
            assert!(std::time::Instant::now() < deadline, "the process is still there");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[tokio::test]
    async fn a_hostile_value_is_refused_before_there_is_a_process() {
        let cli = ComposeCli::new("/run/docker.sock");
        let change: [fn(&mut Compose); 9] = [
            |c| c.project = "--help".to_owned(),
            |c| c.project = "a;b".to_owned(),
            |c| c.directory = "relative".to_owned(),
            |c| c.directory = "/srv/../etc".to_owned(),
            |c| c.files.clear(),
            |c| c.files[0] = "/etc/passwd".to_owned(),
            |c| c.files[0] = "-f".to_owned(),
            |c| c.env_files[0] = "../.env".to_owned(),
            |c| c.profiles[0] = "--remove-orphans".to_owned(),
        ];
        let root = HeldDirectory::open(Path::new("/")).unwrap();
        for change in change {
            let mut hostile = compose();
            change(&mut hostile);
            assert!(matches!(cli.argv(&hostile, &["up"]), Err(ComposeError::Invalid(_))), "{hostile:?}");
            let argv = ["/nonexistent".to_owned()];
            let error = cli.run(&argv, &hostile, &root, Duration::from_secs(1)).await.unwrap_err();
            assert!(matches!(error, ComposeError::Invalid(_)), "{error}");
            assert!(matches!(ConfigCache::new(cli.clone()).get(&hostile).await, Err(ComposeError::Invalid(_))));
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_swapped_is_not_run_in_or_is_found_out() {
        let yard = tempfile::tempdir().unwrap();
        let name = yard.path().join("name");
        for real in ["a", "b"] {
            std::fs::create_dir(yard.path().join(real)).unwrap();
        }
        std::os::unix::fs::symlink("a", &name).unwrap();
        let compose = Compose { directory: name.to_str().unwrap().to_owned(), ..compose() };
        let (cli, limit) = (ComposeCli::new("/run/docker.sock"), Duration::from_secs(30));
        let judged = held(&compose);
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();

        let output = cli.run(&words("touch here"), &compose, &judged, limit).await.unwrap();
        assert!(output.exit_code == Some(0) && name.join("here").exists(), "{output:?}");
        let error = cli.run(&words("ln -sfn b ../name"), &compose, &judged, limit).await.unwrap_err();
        assert!(matches!(&error, ComposeError::Replaced { why, .. } if why.contains("/b now")), "{error}");
        assert!(error.is_ambiguous());
        let error = cli.run(&words("touch there"), &compose, &judged, limit).await.unwrap_err();
        assert!(matches!(&error, ComposeError::Directory { why, .. } if why.contains("/b now")), "{error}");
        assert!(!error.is_ambiguous() && !name.join("there").exists(), "nothing was run");
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let mut compose = compose();
        compose.directory = "/nonexistent/project".to_owned();
        let error = ComposeCli::new("/run/docker.sock").config(&compose).await.unwrap_err();
        assert!(matches!(&error, ComposeError::Directory { .. }), "{error}");
        assert!(!error.is_ambiguous());
    }

    #[tokio::test]
    async fn the_process_sees_a_clean_environment() {
        let dir = tempfile::tempdir().unwrap();
        let compose = Compose { directory: dir.path().to_str().unwrap().to_owned(), ..compose() };
        let argv = ["/usr/bin/env".to_owned()];
        let cli = ComposeCli::new("http://127.0.0.1:2375/");
        let output = cli.run(&argv, &compose, &held(&compose), Duration::from_secs(10)).await.unwrap();
        let mut names: Vec<_> = output.stdout.lines().filter_map(|l| l.split_once('=')).map(|(name, _)| name).collect();
        names.sort_unstable();
        assert!(names.iter().all(|n| ["DOCKER_CONFIG", "DOCKER_HOST", "HOME", "PATH", "PWD"].contains(n)), "{names:?}");
        assert!(output.stdout.contains("DOCKER_HOST=tcp://127.0.0.1:2375\n"), "{}", output.stdout);
    }
}
