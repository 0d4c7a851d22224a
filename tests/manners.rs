//! The manners of `wicapctl` as a process: how it ends when it is told to, what it says to whom, what a shell can complete.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use support::server::Embedded;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wicapctl");

const SESSION: &str = r#"{"apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "night"},
    "spec": {"stack": "wicap", "mode": "Monitor", "ttl": "1h", "allowedActions": [], "operator": "me@here",
    "reason": "test"}}"#;

fn command(store: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env("WICAP_STORE", store).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(store: &str, words: &[&str]) -> (Output, String, String) {
    let output = command(store).args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// A store with the session night.
async fn store() -> Embedded {
    let store = Embedded::start().await;
    let mut apply = command(&store.url()).args(["apply", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    apply.stdin.take().unwrap().write_all(SESSION.as_bytes()).unwrap();
    let output = apply.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    store
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// A watch that has shown what there is, with what it goes on to write.
fn watching(store: &Embedded) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut watch = command(&store.url()).args(["get", "sessions", "--watch"]).spawn().unwrap();
    let mut out = BufReader::new(watch.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("night") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the watch shows the session");
    }
    (watch, out)
}

#[tokio::test]
async fn a_watch_dies_of_the_signal_that_ends_it_and_leaves_no_half_line() {
    let store = store().await;
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15)] {
        let (mut watch, mut out) = watching(&store);
        kill_process(pid(&watch), signal).unwrap();
        let status = watch.wait().unwrap();
        // What a shell shows as 130 and as 143.
        assert_eq!(status.signal(), Some(number), "{status:?}");
        let (mut rest, mut err) = (String::new(), String::new());
        out.read_to_string(&mut rest).unwrap();
        watch.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(rest.is_empty() || rest.ends_with('\n'), "{rest:?}");
        assert_eq!(err, "");
    }
}

#[tokio::test]
async fn a_shells_exit_codes_are_130_and_143() {
    let store = store().await;
    for (signal, code) in [("INT", "130\n"), ("TERM", "143\n")] {
        // The reader of its output tells it, once it has shown something. With job control: in the background of a shell without,
        // a command has SIGINT ignored.
        let watch = format!("{PROGRAM} get sessions -w & echo $!; wait $!; echo $?");
        let teller = format!("read pid; read head; read row; kill -{signal} $pid; cat");
        let script = format!("{{ {watch}; }} | {{ {teller}; }}");
        let output = Command::new("bash").args(["-mc", &script]).env("WICAP_STORE", store.url()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), code, "{output:?}");
    }
}

#[tokio::test]
async fn ctrl_c_ends_the_loop_of_a_script_too() {
    let store = store().await;
    let script = format!("for name in a b c; do {PROGRAM} get sessions --watch; echo goes on; done");
    let mut bash = Command::new("bash");
    let bash = bash.args(["-c", &script]).env("WICAP_STORE", store.url()).process_group(0).stdout(Stdio::piped());
    let mut bash = bash.spawn().unwrap();
    let mut out = BufReader::new(bash.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("night") {
        assert!(out.read_line(&mut text).unwrap() > 0, "the watch shows the session");
    }
    // What the terminal does with Ctrl-C.
    kill_process_group(pid(&bash), Signal::INT).unwrap();
    while !text.contains("goes on") && out.read_line(&mut text).unwrap() > 0 {}
    // A loop that goes on would do so for ever.
    let _ = kill_process_group(pid(&bash), Signal::KILL);
    bash.wait().unwrap();
    assert!(!text.contains("goes on"), "{text}");
}

#[test]
fn a_verb_that_waits_for_its_input_ends_all_the_same() {
    let mut redact = command("embedded").arg("redact").stdin(Stdio::piped()).spawn().unwrap();
    // It has begun to listen for signals before it reads: what was read says so.
    let mut input = redact.stdin.take().unwrap();
    input.write_all(b"x\n").unwrap();
    let read = || {
        let state = std::fs::read_to_string(format!("/proc/{}/wchan", redact.id())).unwrap_or_default();
        let caught = std::fs::read_to_string(format!("/proc/{}/status", redact.id())).unwrap_or_default();
        let caught = caught.lines().find_map(|line| line.strip_prefix("SigCgt:")?.trim().chars().last());
        // SIGINT is the second bit.
        (state.contains("pipe") || state == "0") && caught.and_then(|c| c.to_digit(16)).is_some_and(|d| d & 2 != 0)
    };
    while !read() {
        std::thread::yield_now();
    }
    kill_process(pid(&redact), Signal::INT).unwrap();
    let status = redact.wait().unwrap();
    assert_eq!(status.signal(), Some(2), "{status:?}");
    drop(input);
}

#[tokio::test]
async fn quiet_leaves_data_and_errors() {
    let store = store().await;
    let (output, out, err) = run(&store.url(), &["stop", "nowhere", "--reason", "test"]);
    assert!(output.status.success() && out.contains("created") && err.contains("Warning"), "{output:?}");
    let (output, out, err) = run(&store.url(), &["resume", "nowhere", "-q"]);
    assert!(output.status.success() && out.contains("deleted"), "{output:?}");
    assert_eq!(err, "");
    let (output, _, err) = run(&store.url(), &["--quiet", "get", "session", "day"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("NotFound"), "{err}");
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let coloured = |words: &[&str]| {
        let (output, out, err) = run("embedded", words);
        assert!(output.status.code().is_some());
        (out + &err).contains('\x1b')
    };
    assert!(!coloured(&["--help"]) && !coloured(&["--color=never", "--help"]));
    assert!(coloured(&["--color=always", "--help"]) && coloured(&["get", "--color", "always", "--help"]));
}

#[test]
fn what_was_perhaps_meant_is_asked_as_kubectl_does() {
    let (output, out, err) = run("embedded", &["gett", "ws"]);
    assert_eq!((output.status.code(), out.as_str()), (Some(2), ""));
    assert!(err.starts_with("error: unknown command \"gett\" for \"wicapctl\"\n\nDid you mean this?\n\tget\n"), "{err}");
}

/// Loads what `completion bash` prints, completes the line that is the first argument, and says what there is to choose from.
const BASH: &str = r#"
    source <(wicapctl completion bash) || exit
    COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$' \t\n"\'@><=;|&(:'
    _wicapctl
    printf '%s\n' "${COMPREPLY[@]}""#;

/// The same in zsh. Its own functions, which want a terminal, are stood for: `compdef` knows for which program a function is, and
/// `_describe` offers what is in the array that it is given the name of.
const ZSH: &str = r"
    compdef() { completer=$1; }
    _describe() { print -rl -- ${${(P)3}%%:*}; }
    source <(wicapctl completion zsh) || exit
    words=(${(z)1}); [[ $1 == *' ' ]] && words+=('')
    CURRENT=$#words
    $completer";

/// The same in fish, which has a command for it. `string` fails where there is nothing to replace.
const FISH: &str = r"
    wicapctl completion fish | source; or exit
    complete --do-complete $argv[1] | string replace --regex '\t.*' ''; or true";

/// What a shell completes of a line.
fn completed(shell: &str, script: &str, store: &str, line: &str) -> Vec<String> {
    let path = TempDir::new().unwrap();
    symlink(PROGRAM, path.path().join("wicapctl")).unwrap();
    let search = format!("{}:{}", path.path().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell);
    // Nobody's own start-up files.
    command.args(match shell {
        "bash" => &["--norc"][..],
        "zsh" => &["-f"],
        _ => &["--no-config"],
    });
    // What follows the script is $0 of the first two, and an argument of fish.
    command.arg("-c").arg(script).args((shell != "fish").then_some(shell)).arg(line);
    let output = command.env("PATH", search).env("HOME", path.path()).env("WICAP_STORE", store).output();
    let output = output.unwrap_or_else(|e| panic!("{shell}: {e}: hack/setup --test installs it"));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}: {line}");
    String::from_utf8(output.stdout).unwrap().lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

#[tokio::test]
async fn bash_completes_verbs_kinds_and_the_names_that_the_store_has() {
    let store = store().await;
    let url = store.url();
    for (line, expected) in [
        ("wicapctl desc", &["describe"][..]),
        ("wicapctl get controls", &["controlsessions"]),
        ("wicapctl get sessions ni", &["night"]),
        ("wicapctl describe session/", &["session/night"]),
        ("wicapctl get sessions night ", &[]),
        ("wicapctl policy explain --session ", &["night"]),
        // bash keeps what is before the equals sign.
        ("wicapctl policy explain --session=ni", &["night"]),
        ("wicapctl wait session/night --for=de", &["delete"]),
        ("wicapctl wait session/night --for=jso", &["jsonpath="]),
        ("wicapctl get ws -o jsonpath-a", &["jsonpath-as-json="]),
    ] {
        assert_eq!(completed("bash", BASH, &url, line), expected, "{line:?}");
    }
}

#[tokio::test]
async fn zsh_and_fish_complete_the_same() {
    let store = store().await;
    let url = store.url();
    for (shell, script) in [("zsh", ZSH), ("fish", FISH)] {
        for (line, expected) in [
            ("wicapctl desc", &["describe"][..]),
            ("wicapctl get controls", &["controlsessions"]),
            ("wicapctl get sessions ni", &["night"]),
            ("wicapctl get sessions ", &["night"]),
            ("wicapctl describe session/", &["session/night"]),
            ("wicapctl get sessions night ", &[]),
            ("wicapctl policy explain --session ", &["night"]),
            ("wicapctl policy explain --session=ni", &["--session=night"]),
            ("wicapctl wait session/night --for=de", &["--for=delete"]),
        ] {
            assert_eq!(completed(shell, script, &url, line), expected, "{shell}: {line:?}");
        }
    }
}

#[test]
fn without_a_store_the_shell_completes_what_it_can() {
    let directory = TempDir::new().unwrap();
    let url = format!("unix://{}/none.sock", directory.path().display());
    assert_eq!(completed("bash", BASH, &url, "wicapctl get sessions "), Vec::<String>::new());
    assert_eq!(completed("bash", BASH, &url, "wicapctl get wic"), ["wicapstacks"]);
}
