//! A process with a time limit: no shell, no terminal, a process group of its own, and only the tail of what it prints kept.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// How a process ended and what it printed last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessOutput {
    /// Exit code; absent when a signal ended it.
    pub exit_code: Option<i32>,
    /// The last of its standard output.
    pub stdout: String,
    /// The last of its standard error.
    pub stderr: String,
}

/// Why there is no [`ProcessOutput`].
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It never ran. Check that the program is installed and in `PATH`.
    #[error("{program} could not be started: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It was killed, with all its children, when its time was over. It may have done a part of its work.
    #[error("it was killed after {after:?}")]
    Timeout {
        /// The time limit.
        after: Duration,
    },
    /// It ran and could not be listened to. It may have done its work.
    #[error("it could not be waited for: {source}")]
    Io {
        /// Why.
        source: io::Error,
    },
}

/// Time between the polite and the other signal. Compose ends within milliseconds of the first, leaving no call half-made.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// Runs the command to its end, and keeps the last `keep` bytes of each of its outputs.
///
/// When the time is over, or this future is dropped, the whole process group is ended: with TERM and two seconds later KILL in
/// the first case, with KILL at once in the second.
///
/// # Errors
/// Only [`ProcessError::Spawn`] means that nothing was done. An exit code other than 0 is no error here.
pub async fn run(mut command: Command, keep: usize, timeout: Duration) -> Result<ProcessOutput, ProcessError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| ProcessError::Spawn { program, source })?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async { tokio::try_join!(child.wait(), tail(stdout, keep), tail(stderr, keep)) };
    tokio::pin!(work);
    if let Ok(ended) = tokio::time::timeout(timeout, &mut work).await {
        let (status, stdout, stderr) = ended.map_err(|source| ProcessError::Io { source })?;
        group.0 = None;
        return Ok(ProcessOutput { exit_code: status.code(), stdout, stderr });
    }
    group.signal(Signal::TERM);
    let _ = tokio::time::timeout(KILL_AFTER, work).await;
    Err(ProcessError::Timeout { after: timeout })
}

/// A process group that does not outlive its owner.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // It may be gone already, and that is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

async fn tail(from: Option<impl AsyncRead + Unpin>, keep: usize) -> io::Result<String> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return Ok(String::new()) };
    while from.read_buf(&mut kept).await? > 0 {
        if kept.len() > keep.saturating_mul(2) {
            kept.drain(..kept.len() - keep);
        }
    }
    kept.drain(..kept.len().saturating_sub(keep));
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn the_exit_code_and_both_outputs_are_kept() {
        let output = run(sh("echo out; echo err >&2; exit 3"), 100, LONG).await.unwrap();
        assert_eq!(output, ProcessOutput { exit_code: Some(3), stdout: "out\n".to_owned(), stderr: "err\n".to_owned() });
    }

    #[tokio::test]
    async fn only_the_tail_is_kept() {
        let output = run(sh("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done"), 10, LONG).await.unwrap();
        assert_eq!(output.stdout, "4998\n4999\n");
    }

    #[tokio::test]
    async fn children_die_with_it_when_the_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("trap '' TERM; sleep 60 & echo $! > {}; wait", file.display());
        let error = run(sh(&script), 10, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, ProcessError::Timeout { .. }), "{error}");
        let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let gone = || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        };
        // The kernel delivers the signal when it next schedules the process.
        for _ in 0..200 {
            if gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the child lives on");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_was_not_started() {
        let error = run(Command::new("/nonexistent/program"), 10, LONG).await.unwrap_err();
        assert!(matches!(error, ProcessError::Spawn { .. }), "{error}");
    }
}
