//! Where a page's commands are run: a directory of its own, a shell that lives as long as the page, the example under its own name and
//! ports, and, as the scene wants it, a store or a daemon.
//!
//! | scene | what is there before the first command |
//! |---|---|
//! | `empty` | the shell, in an empty directory |
//! | `store` | the example's manifests, and a store with nothing in it: no Docker |
//! | `daemon` | the same, the project's compose file, and `wicapd run` on Docker |
//! | `example` | the same, and the stack is up under a policy and a session `night` |
//!
//! A page calls things by names that a reader would choose. The scene has others of the same length, so that columns stay where they
//! are: commands and files are translated before they are used, and what was said is translated back.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::block::{Block, Task};
use crate::normal::agree;
use crate::page::{Recorded, root};
use crate::ports::free_port;

/// The compose project and last part of the directory that pages speak of.
const PROJECT: &str = "wicap-tutorial";
/// The directory that pages speak of.
const DIRECTORY: &str = "/srv/wicap-tutorial";
/// The ports that pages speak of.
const PORTS: [&str; 2] = ["26380", "28080"];
/// Where pages have the data directory when they say nothing else: root's.
const DATA: &str = "/var/lib/wicap";
/// Where pages have the source.
const SOURCE: &str = "~/wicap";
/// The user that pages speak of.
const USER: &str = "ann";
/// The host that pages speak of.
const HOST: &str = "host";

/// How long a command may take that takes a second or two on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one that only looks is run again while it says something else than the page.
const AGAIN: Duration = Duration::from_secs(45);
/// The same while pages are recorded: what is there after that time is what there is.
const AGAIN_RECORDING: Duration = Duration::from_secs(4);
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// Commands that only look, and may be run again.
const LOOKS: [&str; 10] = [
    "wicapctl get ",
    "wicapctl describe ",
    "wicapctl status",
    "wicapctl why ",
    "wicapctl top ",
    "wicapctl events",
    "wicapctl policy explain ",
    "wicapctl audit list",
    "docker ps",
    "curl ",
];

/// Whether a command may be run again. What it looks at may be handed to one that changes it.
fn only_looks(command: &str) -> bool {
    LOOKS.iter().any(|look| command.starts_with(look)) && !command.contains("| wicapctl")
}

/// A program of the project, as built with the tests.
pub fn program(name: &str) -> PathBuf {
    // The tests' own program is in `target/debug/deps`, the project's are above.
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().join(name)
}

/// What came of a page.
#[derive(Default)]
pub struct Report {
    /// Commands that were run.
    pub commands: usize,
    /// What said something else than the page.
    pub recorded: Vec<Recorded>,
    /// What went wrong otherwise.
    pub mistakes: Vec<String>,
}

/// Runs a page's blocks in order. After a command that failed the rest of its scene is left out, as it would make no sense.
pub fn play(blocks: &[Block]) -> Report {
    let mut report = Report::default();
    let mut scenes: HashMap<String, Result<Scene, String>> = HashMap::new();
    for block in blocks {
        let task = block.task();
        let Some(name) = &block.scene else { continue };
        let writes = block.file.is_some() && matches!(task, Ok(Task::Read | Task::Write));
        if !writes && !matches!(task, Ok(Task::Play | Task::Run)) {
            continue;
        }
        let scene =
            scenes.entry(name.clone()).or_insert_with(|| Scene::new(name).map_err(|e| format!("the scene {name}: {e}")));
        let done = match scene {
            Ok(scene) if writes => scene.write(block),
            Ok(scene) => scene.perform(block, &mut report),
            Err(_) => continue,
        };
        if let Err(mistake) = done {
            report.mistakes.push(format!("{}: {mistake}", block.place()));
            *scene = Err(mistake);
        }
    }
    report.mistakes.extend(scenes.into_values().filter_map(Result::err).filter(|e| e.starts_with("the scene ")));
    report
}

/// A command of a block.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    command: String,
    /// What the page says that it says.
    says: String,
    /// The number of the first line of that in the block, from 0.
    at: usize,
}

/// The commands of a block: `$ command`, with what it says after it; a line that ends with `\` goes on in the next. Without `$` each
/// line is a command.
fn lines(block: &Block) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut goes_on = false;
    for (index, text) in block.text.lines().enumerate() {
        let command = if block.run { Some(text) } else { text.strip_prefix("$ ") };
        match (command, lines.last_mut()) {
            (_, Some(last)) if goes_on => {
                last.command.push('\n');
                last.command.push_str(text);
                last.at = index + 1;
                goes_on = text.ends_with('\\');
            }
            (Some(command), _) => {
                goes_on = command.ends_with('\\');
                lines.push(Line { command: command.to_owned(), says: String::new(), at: index + 1 });
            }
            (None, Some(last)) => {
                last.says.push_str(text);
                last.says.push('\n');
            }
            (None, None) => {}
        }
    }
    lines
}

/// What stands on the page, and what is there for it here.
struct Names(Vec<(String, String)>);

impl Names {
    fn here(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (page, here)| text.replace(page, here))
    }

    /// Blanks at the end of a line, which tables have and pages do not, are left out.
    fn page(&self, text: &str) -> String {
        let text = self.0.iter().fold(text.to_owned(), |text, (page, here)| text.replace(here, page));
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

struct Scene {
    project: String,
    directory: PathBuf,
    names: Names,
    shell: Shell,
}

impl Scene {
    fn new(kind: &str) -> Result<Self, String> {
        let (project, directory) = own_directory();
        let mut names = vec![(DIRECTORY.to_owned(), directory.display().to_string()), (PROJECT.to_owned(), project.clone())];
        names.extend(PORTS.iter().map(|page| ((*page).to_owned(), free_port().to_string())));
        names.push((DATA.to_owned(), directory.join("data").display().to_string()));
        names.push((SOURCE.to_owned(), root().display().to_string()));
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        names.push((format!("{USER}@{HOST}"), format!("{USER}@{node}")));
        let shell = Shell::new(&directory);
        let mut scene = Self { project, directory, names: Names(names), shell };
        match kind {
            "empty" => {}
            "store" => scene.with_store()?,
            "daemon" => scene.with_daemon()?,
            "example" => scene.with_example()?,
            other => return Err(format!("found {other:?}, expected one of empty, store, daemon, example")),
        }
        Ok(scene)
    }

    fn with_store(&mut self) -> Result<(), String> {
        self.furnish();
        self.insist("wicapd store >wicapd.log 2>&1 &")?;
        self.until_it_answers()
    }

    fn with_daemon(&mut self) -> Result<(), String> {
        self.furnish();
        self.insist("wicapd run >wicapd.log 2>&1 &")?;
        self.until_it_answers()
    }

    fn with_example(&mut self) -> Result<(), String> {
        self.with_daemon()?;
        self.insist("wicapctl apply -f stack.json -f policy.json -f session.json")?;
        self.insist("wicapctl wait stack/wicap --for=condition=Available --timeout=90s")
    }

    /// The example's manifests and compose file, with this scene's names and quick enough to be waited for.
    fn furnish(&mut self) {
        let source = root().join("manifests/wicap");
        std::fs::copy(source.join("compose.yaml"), self.directory.join("compose.yaml")).unwrap();
        std::fs::write(self.directory.join(".env"), self.names.here(ENVIRONMENT)).unwrap();
        for file in ["stack.json", "policy.json", "session.json", "soak.json"] {
            let mut text = std::fs::read_to_string(source.join(file)).unwrap();
            for (from, to) in QUICKLY {
                text = text.replace(from, to);
            }
            std::fs::write(self.directory.join(file), self.names.here(&text)).unwrap();
        }
        self.shell.say("export WICAP_DATA_DIR=$PWD/data").unwrap();
    }

    /// The socket is there when the store answers.
    fn until_it_answers(&mut self) -> Result<(), String> {
        let socket = self.directory.join("data/store.sock");
        let since = Instant::now();
        while !socket.exists() && since.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
        self.insist("wicapctl get stacks")
    }

    fn insist(&mut self, command: &str) -> Result<(), String> {
        let said = self.shell.say(command)?;
        if said.code == 0 { Ok(()) } else { Err(format!("{command}: exit code {}: {}", said.code, said.text)) }
    }

    /// A block that is a file.
    fn write(&mut self, block: &Block) -> Result<(), String> {
        let Some(file) = &block.file else { return Ok(()) };
        let path = self.directory.join(file);
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, self.names.here(&block.text)));
        written.map_err(|e| format!("{file}: {e}"))
    }

    fn perform(&mut self, block: &Block, report: &mut Report) -> Result<(), String> {
        let recording = std::env::var_os("WICAP_RECORD").is_some_and(|v| v == "1");
        let again = if recording { AGAIN_RECORDING } else { AGAIN };
        let lines = lines(block);
        for (index, line) in lines.iter().enumerate() {
            let command = self.names.here(&line.command);
            let began = Instant::now();
            let said = loop {
                let mut said = self.shell.say(&command)?;
                said.text = self.names.page(&said.text);
                let looks = only_looks(&line.command);
                let is_right = block.run || agree(&line.says, &said.text);
                if is_right || !looks || began.elapsed() > again {
                    break said;
                }
                std::thread::sleep(PAUSE);
            };
            report.commands += 1;
            if !block.run && !agree(&line.says, &said.text) {
                report.recorded.push(Recorded {
                    place: block.place(),
                    command: line.command.clone(),
                    first_line: block.first_line + line.at,
                    wanted: line.says.clone(),
                    found: said.text.clone(),
                });
            }
            // A code other than 0 is shown to the reader too.
            let shown = lines.get(index + 1).is_some_and(|next| next.command.starts_with("echo $?"));
            if said.code != 0 && !shown {
                return Err(format!(
                    "$ {}: exit code {}, which the page does not show by `$ echo $?`: {}",
                    line.command, said.code, said.text
                ));
            }
        }
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.directory.join("wicapd.log")).unwrap_or_default());
        }
        // The controllers end first, or they would start again what is taken down.
        self.shell.end();
        let down = Command::new("docker")
            .args(["compose", "--project-name", &self.project, "down", "--volumes", "--timeout", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !down.is_ok_and(|s| s.success()) {
            eprintln!("what there is of the project {} could not be removed", self.project);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The variables of the example's compose file: names and ports of its own, and checks that need not be waited for.
const ENVIRONMENT: &str = "\
WICAP_PREFIX=wicap-tutorial
WICAP_REDIS_PORT=26380
WICAP_UI_PORT=28080
WICAP_HEALTH_INTERVAL=1s
WICAP_STOP_GRACE=2s
";

/// What is another in the example's manifests.
const QUICKLY: [(&str, &str); 8] = [
    ("/opt/wicap", DIRECTORY),
    ("\"project\": \"wicap\"", "\"project\": \"wicap-tutorial\""),
    ("\"port\": 6380", "\"port\": 26380"),
    ("\"port\": 8080", "\"port\": 28080"),
    ("\"duration\": \"8h\"", "\"duration\": \"10s\""),
    ("\"period\": \"1m\"", "\"period\": \"2s\""),
    ("\"period\": \"5m\"", "\"period\": \"3s\""),
    ("\"initial\": \"10s\"", "\"initial\": \"1s\""),
];

/// A directory in `/tmp` that nobody else has, and the compose project of its name: `hack/test` sweeps what is called like that.
fn own_directory() -> (String, PathBuf) {
    for _ in 0..1000 {
        let letters: String = (0..3).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect();
        let project = format!("wicap-test-{letters}");
        let directory = Path::new("/tmp").join(&project);
        if std::fs::create_dir(&directory).is_ok() {
            return (project, directory);
        }
    }
    panic!("of 17,576 names none is free in /tmp");
}

/// What a command said, on both of its outputs.
struct Said {
    text: String,
    code: i32,
}

/// A shell that is told one command after another.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    /// What it prints behind what a command has said.
    mark: String,
}

impl Shell {
    fn new(directory: &Path) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = program("wicapctl").parent().unwrap().display().to_string();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(directory).env("PATH", format!("{programs}:{path}"));
        for name in [
            "WICAP_STORE",
            "WICAP_DATA_DIR",
            "WICAP_HOST",
            "XDG_STATE_HOME",
            "XDG_CONFIG_HOME",
            "RUST_LOG",
            "EDITOR",
            "VISUAL",
        ] {
            command.env_remove(name);
        }
        // Everything that it starts is in its group, and ends with it.
        command.env("HOME", directory).env("USER", USER).env("COLUMNS", "120").process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash is everywhere");
        let mut input = child.stdin.take().expect("it is piped");
        // When this test is killed, the shell comes to the end of its input, and takes its group with it.
        writeln!(input, "exec 2>&1; trap 'kill -KILL 0' EXIT").unwrap();
        let reader = BufReader::new(child.stdout.take().expect("it is piped"));
        let (said, output) = channel();
        std::thread::spawn(move || {
            for line in reader.split(b'\n').map_while(Result::ok) {
                if said.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { child, input, output, mark: format!("--said-{}--", rand::random::<u64>()) }
    }

    /// Runs a command. It reads nothing, or it would read the commands after it.
    fn say(&mut self, command: &str) -> Result<Said, String> {
        let mark = &self.mark;
        let script =
            format!("{{ {command}\n}} </dev/null\n__code=$?; printf '\\n%s %d\\n' '{mark}' $__code; (exit $__code)\n");
        self.input.write_all(script.as_bytes()).map_err(|e| format!("$ {command}: the shell has ended: {e}"))?;
        let began = Instant::now();
        let mut lines: Vec<String> = Vec::new();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let line = self
                .output
                .recv_timeout(left)
                .map_err(|e| format!("$ {command}: {e} after {PATIENCE:?}: {}", lines.join("\n")))?;
            if let Some(code) = line.strip_prefix(mark.as_str()) {
                let code = code.trim().parse().map_err(|e| format!("$ {command}: {e}"))?;
                // The mark begins a line of its own: the empty one before it, or the break of the last, is not the command's.
                let mut text = lines.join("\n");
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                return Ok(Said { text, code });
            }
            lines.push(line);
        }
    }

    /// Ends it and all that it has started.
    fn end(&mut self) {
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::KILL,
        );
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_to_one_scene_only() {
        assert!(!crate::ports::reserve(free_port()));
    }

    #[test]
    fn a_block_is_taken_apart_into_commands_and_what_they_say() {
        let block = Block { text: "$ a\n1\n2\n$ b \\\n  c\n3\n$ d\n".to_owned(), ..Block::default() };
        let seen: Vec<_> = lines(&block).into_iter().map(|l| (l.command, l.says, l.at)).collect();
        let line = |command: &str, says: &str, at| (command.to_owned(), says.to_owned(), at);
        assert_eq!(seen, [line("a", "1\n2\n", 1), line("b \\\n  c", "3\n", 5), line("d", "", 7)]);
        let run = Block { text: "a\nb\n".to_owned(), run: true, ..Block::default() };
        assert_eq!(lines(&run).len(), 2);
    }

    #[test]
    fn what_changes_something_is_not_run_twice() {
        assert!(only_looks("wicapctl get stacks -o wide"));
        for command in ["wicapctl apply -f a", "wicapctl get stack a -o json | wicapctl apply -f -", "docker kill a"] {
            assert!(!only_looks(command), "{command}");
        }
    }

    #[test]
    fn names_are_translated_there_and_back() {
        let names = Names(vec![(DIRECTORY.into(), "/tmp/wicap-test-abc".into()), (PROJECT.into(), "wicap-test-abc".into())]);
        let page = "cd /srv/wicap-tutorial && docker kill wicap-tutorial-ui";
        let here = names.here(page);
        assert_eq!(here, "cd /tmp/wicap-test-abc && docker kill wicap-test-abc-ui");
        assert_eq!((names.page(&here).trim_end(), here.len()), (page, page.len()));
    }

    #[test]
    fn a_shell_says_what_its_commands_say_and_remembers() {
        let directory = tempfile::tempdir().unwrap();
        let mut shell = Shell::new(directory.path());
        let mut say = |command: &str| shell.say(command).map(|s| (s.text, s.code)).unwrap();
        assert_eq!(say("x=1; echo a; printf b >&2"), ("a\nb\n".to_owned(), 0));
        assert_eq!(say("echo $x; cat; (exit 3)"), ("1\n".to_owned(), 3));
        assert_eq!(say("echo $?"), ("3\n".to_owned(), 0));
        assert_eq!(say("sleep 100 &"), (String::new(), 0));
        shell.end();
    }
}
