//! A process with a time limit: no shell, no terminal, a process group of its own, and only the tail of what it prints kept.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

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

/// Runs the command to its end with `input` on its standard input, and keeps the last `keep` bytes of each of its outputs.
///
/// When the time is over, or this future is dropped, the whole process group is ended: with TERM and two seconds later KILL in
/// the first case, with KILL at once in the second.
///
/// # Errors
/// Only [`ProcessError::Spawn`] means that nothing was done. An exit code other than 0 is no error here.
pub async fn run(mut command: Command, input: &str, keep: usize, timeout: Duration) -> Result<ProcessOutput, ProcessError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| ProcessError::Spawn { program, source })?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let work = async {
        let (status, (), stdout, stderr) =
            tokio::try_join!(child.wait(), feed(stdin, input), tail(stdout, keep), tail(stderr, keep))?;
        Ok((status, stdout, stderr))
    };
    tokio::pin!(work);
    if let Ok(ended) = tokio::time::timeout(timeout, &mut work).await {
        let (status, stdout, stderr) = ended.map_err(|source: io::Error| ProcessError::Io { source })?;
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

async fn feed(to: Option<ChildStdin>, input: &str) -> io::Result<()> {
    let Some(mut to) = to else { return Ok(()) };
    match to.write_all(input.as_bytes()).await {
        // It need not read what it is given.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
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
        let output = run(sh("echo out; echo err >&2; exit 3"), "", 100, LONG).await.unwrap();
        assert_eq!(output, ProcessOutput { exit_code: Some(3), stdout: "out\n".to_owned(), stderr: "err\n".to_owned() });
    }

    #[tokio::test]
    async fn the_input_is_read_to_its_end_or_not_at_all() {
        let long = "x".repeat(1 << 20);
        let output = run(sh("wc -c"), &long, 100, LONG).await.unwrap();
        assert_eq!(output.stdout.trim(), "1048576");
        assert_eq!(run(sh("exit 4"), &long, 100, LONG).await.unwrap().exit_code, Some(4));
    }

    #[tokio::test]
    async fn only_the_tail_is_kept() {
        let output = run(sh("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done"), "", 10, LONG).await.unwrap();
        assert_eq!(output.stdout, "4998\n4999\n");
    }

    #[tokio::test]
    async fn children_die_with_it_when_the_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("trap '' TERM; sleep 60 & echo $! > {}; wait", file.display());
        let error = run(sh(&script), "", 10, Duration::from_millis(300)).await.unwrap_err();
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
        let error = run(Command::new("/nonexistent/program"), "", 10, LONG).await.unwrap_err();
        assert!(matches!(error, ProcessError::Spawn { .. }), "{error}");
    }
}
