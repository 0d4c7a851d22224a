//! One script of etcdctl commands, run against etcd and against another store, and what they said compared step by step.
//!
//! A script has one command a line, as a shell would take it, without `etcdctl` and its endpoint:
//!
//! ```text
//! # a remark
//! put k "a value"          must succeed
//! ! get ""                 must fail
//! 3.5 auth status          only where etcdctl is 3.5
//! txn                      lines that begin with a bar are its standard input
//!   | mod("k") > "0"
//! @w watch k --rev 1       in the background, under a name
//! @w type progress         a line to its standard input
//! @w until TEXT            waits for that text in its output
//! @w interrupt             SIGINT; what it said until its end is compared
//! @w kill                  ended at once; what it said up to the last text waited for is compared
//! @w ended                 it ends by itself; all it said is compared
//! poll TEXT get k          again and again until that text is in the output; not compared
//! ```
//!
//! `{lease-1}` is the first lease that the store has chosen the id of; `{dir}` a directory of the store's own.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::normalise::{Chosen, blank_encoding, blank_measures};
use crate::support::peer::{Durability, Kind, Peer};
use crate::support::{PATIENCE, Said};

/// Which etcdctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V34,
    V35,
}

impl Version {
    fn binary(self) -> &'static str {
        match self {
            Self::V34 => "etcdctl-3.4",
            Self::V35 => "etcdctl",
        }
    }

    pub fn is_installed(self) -> bool {
        Command::new(self.binary()).arg("version").env("ETCDCTL_API", "3").output().is_ok_and(|o| o.status.success())
    }
}

/// Both stores, with the same history, and where they have answered differently.
pub struct Pair {
    version: Version,
    sides: [Side; 2],
    differences: Vec<String>,
}

/// One of them.
pub struct Side {
    peer: Peer,
    version: Version,
    chosen: Chosen,
    running: HashMap<String, Running>,
}

/// A command in the background, and what it has said.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    out: Gathered,
    err: Gathered,
    /// How much of its output is certain to be there: up to the last text that was waited for.
    waited: usize,
}

/// How a command in the background comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    ByItself,
    Interrupted,
    Killed,
}

impl Pair {
    /// Both on empty directories.
    pub async fn start(version: Version) -> Self {
        Self::start_with(version, Durability::Memory).await
    }

    /// The same, with every write on the disk before it is acknowledged: what is measured is as in service.
    pub async fn start_durable(version: Version) -> Self {
        Self::start_with(version, Durability::Disk).await
    }

    async fn start_with(version: Version, durability: Durability) -> Self {
        // etcdctl 3.4 sends the path of a unix socket as the authority, which an HTTP/2 server may refuse: an authority has
        // no slash. So it goes by TCP.
        let other = match (Kind::under_test(), version) {
            (Kind::Embedded, Version::V34) => Kind::EmbeddedTls,
            (other, _) => other,
        };
        let sides = [Side::start(Kind::Etcd, version, durability).await, Side::start(other, version, durability).await];
        Self { version, sides, differences: Vec::new() }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Runs a script, to its end whatever is different.
    pub fn script(&mut self, script: &str) {
        let mut lines = script.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).peekable();
        while let Some(line) = lines.next() {
            let mut input = String::new();
            while let Some(more) = lines.next_if(|l| l.starts_with('|')) {
                input += more[1..].strip_prefix(' ').unwrap_or(&more[1..]);
                input.push('\n');
            }
            if let Some(line) = line.strip_prefix("3.5 ") {
                if self.version == Version::V35 {
                    self.step(line, &input);
                }
            } else {
                self.step(line, &input);
            }
        }
    }

    /// One line of it.
    pub fn step(&mut self, line: &str, input: &str) {
        let words = words(line);
        if let Some(name) = words[0].strip_prefix('@') {
            let ending = match words[1].as_str() {
                "interrupt" => Some(Ending::Interrupted),
                "kill" => Some(Ending::Killed),
                "ended" => Some(Ending::ByItself),
                _ => None,
            };
            if let Some(ending) = ending {
                let said = self.each(|side| side.end(name, ending));
                self.compare(line, said);
            } else {
                self.each(|side| match words[1].as_str() {
                    "type" => side.running(name).say(&words[2]),
                    "until" => side.wait(name, &words[2]),
                    _ => side.begin(name, &words[1..]),
                });
            }
        } else if words[0] == "poll" {
            self.each(|side| side.poll(&words[1], &words[2..]));
        } else {
            let (fails, command) = match words[0].as_str() {
                "!" => (true, &words[1..]),
                _ => (false, &words[..]),
            };
            let said = self.each(|side| side.run(command, input));
            self.compare_expected(line, said, fails);
        }
    }

    /// One line that measures, and must succeed: on one after the other, so that neither is slowed down by the other, and
    /// compared without what was measured.
    pub fn step_apart(&mut self, line: &str) {
        let words = words(line);
        let said = self.sides.each_mut().map(|side| side.run(&words, ""));
        self.compare_expected(line, said, false);
    }

    fn compare_expected(&mut self, line: &str, said: [Said; 2], fails: bool) {
        // What etcd says is what the script was written for; if it is not so, the script is wrong.
        if (said[0].code != 0) != fails {
            self.differences.push(format!("\n`{line}` is not as the script expects of etcd: {:?}", said[0]));
        }
        self.compare(line, said);
    }

    /// What either says to a command that only etcd has to know.
    pub fn ask(&mut self, line: &str) -> [Said; 2] {
        let words = words(line);
        self.each(|side| side.run(&words, ""))
    }

    /// Fails with all that was different.
    pub fn finish(self) {
        assert!(self.differences.is_empty(), "{:?}: {}", self.version, self.differences.join("\n"));
    }

    /// On both at the same time.
    fn each<T: Send>(&mut self, job: impl Fn(&mut Side) -> T + Sync) -> [T; 2] {
        let [one, other] = &mut self.sides;
        std::thread::scope(|scope| {
            let second = scope.spawn(|| job(other));
            let first = job(one);
            [first, second.join().expect("the step on the second store ends")]
        })
    }

    fn compare(&mut self, line: &str, said: [Said; 2]) {
        let mut normal = Vec::new();
        for (side, said) in self.sides.iter_mut().zip(&said) {
            side.chosen.learn_leases(&said.out);
            let form = |text: &str| {
                let text = side.chosen.normalise(text);
                // The file of a snapshot holds also what each etcd has for itself.
                match line {
                    _ if line.starts_with("snapshot status") => blank_encoding(&text),
                    _ if line.starts_with("check perf") => blank_measures(&text),
                    _ => text,
                }
            };
            normal.push((said.code, form(&said.out), form(&said.err)));
        }
        if normal[0] != normal[1] {
            let mut difference = format!("\n`{line}`\n");
            for (side, (code, out, err)) in self.sides.iter().zip(&normal) {
                let _ = writeln!(
                    difference,
                    "  {}: exit {code}\n    stdout {out:?}\n    stderr {err:?}",
                    side.peer.kind().name()
                );
            }
            self.differences.push(difference);
        }
    }
}

impl Side {
    async fn start(kind: Kind, version: Version, durability: Durability) -> Self {
        let peer = Peer::start(kind, durability).await;
        let mut side = Self { peer, version, chosen: Chosen::default(), running: HashMap::new() };
        let directory = side.peer.path().join("own");
        std::fs::create_dir(&directory).unwrap();
        side.chosen.text(directory.to_str().unwrap(), "DIR");
        let endpoint = side.peer.endpoint();
        // What a log line calls it: without the scheme.
        side.chosen.text(endpoint.split_once("://").unwrap().1, "ADDRESS");
        side.chosen.text(&endpoint, "ENDPOINT");
        let said = side.run(&words("endpoint status -w json"), "");
        let status: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
        for (id, name) in [("cluster_id", "CLUSTER"), ("member_id", "MEMBER")] {
            side.chosen.id(status[0]["Status"]["header"][id].as_u64().unwrap_or_else(|| panic!("{said:?}")), name);
        }
        side
    }

    fn command(&self, words: &[String]) -> Command {
        let own = self.peer.path().join("own");
        let mut command = Command::new(self.version.binary());
        command.args(self.peer.options());
        command.args(["--endpoints", &self.peer.endpoint(), "--dial-timeout=10s", "--command-timeout=20s"]);
        command.args(words.iter().map(|w| self.fill(w).replace("{dir}", own.to_str().unwrap())));
        command.current_dir(self.peer.path()).env("ETCDCTL_API", "3");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        while let Some(at) = text.find("{lease-") {
            let end = at + text[at..].find('}').expect("a place to fill is closed");
            let number = text[at + "{lease-".len()..end].parse().expect("leases are numbered");
            text.replace_range(at..=end, &self.chosen.lease(number));
        }
        text
    }

    fn run(&self, words: &[String], input: &str) -> Said {
        let mut child = self.command(words).spawn().expect("etcdctl is installed by hack/setup");
        // A command that refuses its arguments ends before it reads.
        let _ = child.stdin.take().unwrap().write_all(self.fill(input).as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn poll(&self, wanted: &str, words: &[String]) {
        let begun = Instant::now();
        while !self.run(words, "").out.contains(wanted) {
            assert!(begun.elapsed() < PATIENCE, "{}: {words:?} never says {wanted:?}", self.peer.kind().name());
        }
    }

    fn begin(&mut self, name: &str, words: &[String]) {
        let mut child = self.command(words).spawn().expect("etcdctl is installed by hack/setup");
        let running = Running {
            input: child.stdin.take(),
            out: Gathered::from(child.stdout.take().unwrap()),
            err: Gathered::from(child.stderr.take().unwrap()),
            child,
            waited: 0,
        };
        self.running.insert(name.to_owned(), running);
    }

    fn running(&mut self, name: &str) -> &mut Running {
        self.running.get_mut(name).unwrap_or_else(|| panic!("@{name} was not begun"))
    }

    fn wait(&mut self, name: &str, wanted: &str) {
        let who = self.peer.kind().name();
        let running = self.running(name);
        let begun = Instant::now();
        loop {
            let out = running.out.so_far();
            // The whole line, and after what was waited for before.
            if let Some(at) = out[running.waited..].find(wanted)
                && let Some(end) = out[running.waited + at..].find('\n')
            {
                running.waited += at + end + 1;
                self.chosen.learn_leases(&out);
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{who}: @{name} never says {wanted:?}, but {out:?}, {:?}",
                running.err.so_far()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(&mut self, name: &str, ending: Ending) -> Said {
        let mut running = self.running.remove(name).unwrap_or_else(|| panic!("@{name} was not begun"));
        match ending {
            Ending::ByItself => {}
            Ending::Interrupted => running.signal(Signal::INT),
            Ending::Killed => running.signal(Signal::TERM),
        }
        let code = running.child.wait().unwrap().code().unwrap_or(-1);
        let (mut out, err) = (running.out.all(), running.err.all());
        if ending == Ending::Killed {
            out.truncate(running.waited);
        }
        Said { code, out, err }
    }
}

impl Running {
    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
        input.flush().unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal(Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// All that comes out of a pipe, as it comes.
struct Gathered {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let into = text.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Up to the end of the pipe.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends with its pipe");
        }
        self.so_far()
    }
}

/// A line as a shell would split it, with both kinds of quotation marks and nothing else.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, None);
    for character in line.chars() {
        match (quoted, character) {
            (Some(mark), c) if c == mark => quoted = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quoted = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
