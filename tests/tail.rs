//! Following the logs of real containers: each line once, whatever happens to the container, to the connection and to the
//! follower.
//!
//! What is handed out is compared with what `docker logs` shows afterwards. The image is made of the host's own `perl`.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use wicap::observe::engine::Engine;
use wicap::observe::tail::{Budget, Dropped, Gap, Item, LINE_BYTES, Line, Output, Position, Start, follow};

const ENGINE: &str = "/var/run/docker.sock";
const IMAGE: &str = "wicap-test-tail:1";

/// What an engine may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn image() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let script = format!(
            "d=$(mktemp -d) && cd $d && mkdir -p root/bin && cp -L \"$(command -v perl)\" root/bin/perl && \
             for lib in $(ldd root/bin/perl | grep -o '/[^ ]*'); do \
             mkdir -p root/$(dirname $lib) && cp $lib root/$lib; done && \
             tar -C root -c . | docker import - {IMAGE} && rm -r $d"
        );
        let made = Command::new("sh").args(["-ec", &script]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    });
}

/// A container that goes away with it.
struct Container {
    id: String,
    started: watch::Sender<u64>,
}

impl Container {
    /// One that runs that program.
    fn run(name: &str, options: &[&str], program: &str) -> Self {
        image();
        let name = format!("wicap-test-tail-{name}-{}", std::process::id());
        let program = format!("$| = 1; {program}");
        let fixed = ["run", "--detach", "--network", "none", "--stop-timeout", "0", "--name", &name];
        let id = docker(&[&fixed[..], options, &[IMAGE, "perl", "-e", &program]].concat());
        Self { id, started: watch::Sender::new(0) }
    }

    fn follow(&self, start: Start) -> mpsc::Receiver<Item> {
        self.follow_with(engine(), start, Budget::default())
    }

    fn follow_with(&self, engine: Engine, start: Start, budget: Budget) -> mpsc::Receiver<Item> {
        follow(engine, &self.id, start, budget, self.started.subscribe())
    }

    fn start(&self) {
        docker(&["start", &self.id]);
        self.started.send_modify(|n| *n += 1);
    }

    async fn stopped(&self) {
        let mut waiting = tokio::process::Command::new("docker")
            .args(["wait", &self.id])
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        timeout(PATIENCE, waiting.wait()).await.unwrap().unwrap();
    }

    /// Its log, as Docker has it: standard output and standard error.
    fn log(&self) -> [Vec<String>; 2] {
        self.log_of(&[])
    }

    fn log_of(&self, options: &[&str]) -> [Vec<String>; 2] {
        let output = Command::new("docker").arg("logs").args(options).arg(&self.id).output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.id]).output();
    }
}

fn strs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

fn engine() -> Engine {
    Engine::new(&format!("unix://{ENGINE}")).unwrap()
}

/// What was handed out.
#[derive(Debug, Default)]
struct Seen {
    lines: Vec<Line>,
    position: Option<Position>,
    /// After the first batch: how many lines it had, and its position.
    first: Option<(usize, Position)>,
    dropped: Vec<Dropped>,
    gaps: Vec<Gap>,
    unreadable: Vec<String>,
    ended: usize,
    closed: bool,
}

impl Seen {
    /// Takes items until that holds, or the channel closes.
    async fn until(&mut self, items: &mut mpsc::Receiver<Item>, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) && !self.closed {
            let item = tokio::time::timeout_at(deadline, items.recv()).await;
            let rest = (self.lines.len(), self.lines.last().map(|line| line.at), &self.gaps, &self.unreadable, self.ended);
            match item.unwrap_or_else(|_| panic!("nothing more came after {rest:?}")) {
                None => self.closed = true,
                Some(Item::Lines { batch, position }) => {
                    assert!(!batch.is_empty());
                    self.lines.extend(batch);
                    self.first.get_or_insert_with(|| (self.lines.len(), position.clone()));
                    self.position = Some(position);
                }
                Some(Item::Dropped { dropped, position }) => {
                    self.dropped.push(dropped);
                    self.position = Some(position);
                }
                Some(Item::Gap(gap)) => self.gaps.push(gap),
                Some(Item::Unreadable(reason)) => self.unreadable.push(reason),
                Some(Item::Ended) => self.ended += 1,
            }
        }
    }

    async fn until_ended(&mut self, items: &mut mpsc::Receiver<Item>, times: usize) {
        self.until(items, |seen| seen.ended >= times).await;
    }

    fn of(&self, output: Output) -> Vec<&str> {
        self.lines.iter().filter(|line| line.output == output).map(|line| line.text.as_str()).collect()
    }

    /// Every line of the log once and in order, and nothing else.
    fn assert_all_of(&self, container: &Container) {
        for (output, wanted) in [Output::Stdout, Output::Stderr].into_iter().zip(container.log()) {
            let found = self.of(output);
            let differs = found.iter().zip(&wanted).position(|(found, wanted)| *found != wanted);
            let around = differs.map(|n| (n, &found[n.saturating_sub(2)..(n + 3).min(found.len())], &wanted[n]));
            assert_eq!((found.len(), differs), (wanted.len(), None), "{output:?}: {around:?}");
        }
        assert!(self.gaps.is_empty() && self.dropped.is_empty() && self.unreadable.is_empty(), "{:?}", self.gaps);
    }
}

/// Prints so many lines in turn to both outputs, as fast as it can.
fn lines(count: usize) -> String {
    format!(
        "for (1..{count}) {{ if ($_ % 3) {{ print \"line $_ of many\\n\" }} \
         else {{ print STDERR \"line $_ of many\\n\" }} }}"
    )
}

/// Prints lines for ever, some hundred in ten milliseconds.
const FOREVER: &str = "for (my $n = 1;; $n++) { print \"$$ out $n\\n\"; print STDERR \"$$ err $n\\n\" if $n % 5 == 0; \
                       select(undef, undef, undef, 0.01) if $n % 300 == 0 }";

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_lines_at_once_are_all_there_once() {
    let container = Container::run("fast", &[], &lines(20_000));
    let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
    seen.until_ended(&mut items, 1).await;
    assert_eq!(seen.lines.len(), 20_000);
    seen.assert_all_of(&container);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_dropped_again_and_again_goes_on_from_its_position() {
    let container = Container::run("resume", &[], &format!("{} sleep 1; {}", lines(20_000), lines(20_000)));
    let mut seen = Seen::default();
    for _ in 0..15 {
        let start = seen.position.clone().map_or(Start::First, |position| {
            Start::After(serde_json::from_str(&serde_json::to_string(&position).unwrap()).unwrap())
        });
        let mut items = container.follow(start);
        let enough = seen.lines.len() + 2000;
        seen.until(&mut items, |seen| seen.lines.len() >= enough).await;
    }
    let mut items = container.follow(Start::After(seen.position.clone().unwrap()));
    seen.until_ended(&mut items, 1).await;
    assert_eq!(seen.lines.len(), 40_000);
    seen.assert_all_of(&container);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_restarted_loses_and_repeats_nothing() {
    let container = Container::run("restart", &[], FOREVER);
    let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
    for _ in 0..4 {
        let enough = seen.lines.len() + 1500;
        seen.until(&mut items, |seen| seen.lines.len() >= enough).await;
        docker(&["restart", "--time", "0", &container.id]);
        container.started.send_modify(|n| *n += 1);
    }
    docker(&["kill", &container.id]);
    let ended = seen.ended;
    seen.until(&mut items, |seen| seen.ended > ended).await;
    // The last start is one that ended: what comes is what there was before it ended.
    while timeout(Duration::from_secs(2), seen.until(&mut items, |_| false)).await.is_ok() {}
    seen.assert_all_of(&container);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_killed_and_started_loses_and_repeats_nothing() {
    let program =
        format!("print 'no end'; {FOREVER}").replace("print 'no end';", "END { print 'no end' } $SIG{TERM} = sub { exit };");
    let container = Container::run("kill", &[], &program);
    let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
    for turn in 1..=3 {
        let enough = seen.lines.len() + 1000;
        seen.until(&mut items, |seen| seen.lines.len() >= enough).await;
        docker(&["kill", "--signal", if turn == 2 { "KILL" } else { "TERM" }, &container.id]);
        seen.until_ended(&mut items, turn).await;
        if turn < 3 {
            container.start();
        }
    }
    // Docker's own log joins a last line without an end with what follows it.
    let text = |lines: Vec<&str>| lines.concat();
    let log = container.log();
    assert_eq!(text(seen.of(Output::Stdout)), log[0].concat());
    assert_eq!(seen.of(Output::Stderr), log[1]);
    assert_eq!(seen.of(Output::Stdout).iter().filter(|line| **line == "no end").count(), 2);
    assert!(seen.gaps.is_empty() && seen.dropped.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_nobody_tells_is_found_within_half_a_minute() {
    let container = Container::run("untold", &[], "print \"up\\n\"");
    let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
    seen.until_ended(&mut items, 1).await;
    docker(&["start", &container.id]);
    seen.until_ended(&mut items, 2).await;
    assert_eq!(seen.of(Output::Stdout), ["up", "up"]);
}

const LENGTHS: [usize; 13] = [1, 2, 100, 16_383, 16_384, 16_385, 32_768, 40_000, 65_535, 65_536, 65_537, 100_000, 204_800];

fn long_lines() -> String {
    let lengths = LENGTHS.map(|n| n.to_string()).join(",");
    format!(
        "for ({lengths}) {{ print chr(97 + $_ % 26) x $_, \"\\r\\n\"; \
         print STDERR \"between\\n\" }} print \"\\xff\\xe4 raw\\n\""
    )
}

fn assert_long_lines(lines: &[&Line]) {
    for (line, length) in lines.iter().zip(LENGTHS) {
        let letter = char::from(b'a' + u8::try_from(length % 26).unwrap());
        assert_eq!(line.text.len(), length.min(LINE_BYTES), "{length}");
        assert!(line.text.chars().all(|c| c == letter), "{length}");
        let beyond = u32::try_from(length.saturating_sub(LINE_BYTES)).unwrap();
        // The end of a long line counts as cut.
        assert!((beyond..=beyond + if beyond > 0 { 2 } else { 0 }).contains(&line.cut), "{length}: {}", line.cut);
    }
    assert_eq!(lines[LENGTHS.len()].text, "\u{fffd}\u{fffd} raw");
    assert_eq!(lines.len(), LENGTHS.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_one_byte_to_two_hundred_kilobytes_are_whole_or_cut_and_counted() {
    for driver in ["json-file", "local"] {
        let container = Container::run(&format!("long-{driver}"), &["--log-driver", driver], &long_lines());
        let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
        seen.until_ended(&mut items, 1).await;
        let stdout: Vec<&Line> = seen.lines.iter().filter(|line| line.output == Output::Stdout).collect();
        assert_long_lines(&stdout);
        assert_eq!(seen.of(Output::Stderr), ["between"; LENGTHS.len()]);
        // From a position in the middle the rest of it comes again, whole.
        let (read, position) = seen.first.clone().unwrap();
        let (mut again, mut items) = (Seen::default(), container.follow(Start::After(position)));
        again.until_ended(&mut items, 1).await;
        assert!(read < seen.lines.len() && again.lines == seen.lines[read..], "{driver}");
        assert!(again.gaps.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_with_a_terminal_has_one_output_and_whole_lines() {
    let program = long_lines().replace("print STDERR \"between\\n\"", "");
    let container = Container::run("tty", &["--tty"], &program);
    let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
    seen.until_ended(&mut items, 1).await;
    assert_long_lines(&seen.lines.iter().collect::<Vec<_>>());
    let count = seen.lines.len();
    container.start();
    seen.until_ended(&mut items, 2).await;
    assert_eq!(seen.lines.len(), 2 * count);
    assert_long_lines(&seen.lines[count..].iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_rotated_while_it_is_followed_repeats_nothing_and_keeps_its_order() {
    // Some 120 bytes a line in the file, so a file has 850 lines and lives for four seconds.
    let program = "for (1..8000) { printf \"%06d of the lines of a log that is rotated\\n\", $_; \
                   select(undef, undef, undef, 0.01) if $_ % 5 == 0 }";
    let container = Container::run("rotate", &["--log-opt", "max-size=100k", "--log-opt", "max-file=2"], program);
    let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
    seen.until_ended(&mut items, 1).await;
    let numbers: Vec<usize> = seen.lines.iter().map(|line| line.text[..6].parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let missing: Vec<_> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    println!("{} of 8000 lines, missing between {missing:?}, last {:?}", numbers.len(), numbers.last());
    assert_eq!(numbers.len(), 8000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rotated_away_while_nobody_read_is_a_gap() {
    let program =
        "print \"first\\n\"; <STDIN>; for (1..8000) { printf \"%06d of the lines of a log that is rotated\\n\", $_ }";
    let options = ["--log-opt", "max-size=100k", "--log-opt", "max-file=2", "--interactive"];
    let container = Container::run("gap", &options, &program.replace("<STDIN>", "select(undef, undef, undef, 2.5)"));
    let mut seen = Seen::default();
    let mut items = container.follow(Start::First);
    seen.until(&mut items, |seen| !seen.lines.is_empty()).await;
    drop(items);
    container.stopped().await;
    let mut items = container.follow(Start::After(seen.position.clone().unwrap()));
    let mut later = Seen::default();
    later.until_ended(&mut items, 1).await;
    let [gap] = later.gaps[..] else { panic!("{:?}", later.gaps) };
    assert_eq!((gap.after, gap.before), (seen.lines[0].at, later.lines[0].at));
    assert_eq!(later.of(Output::Stdout), container.log()[0]);
    // Nothing is missing behind it.
    let mut items = container.follow(Start::After(later.position.clone().unwrap()));
    let mut last = Seen::default();
    last.until_ended(&mut items, 1).await;
    assert!(last.gaps.is_empty() && last.lines.is_empty(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_makes_docker_wait_and_loses_nothing() {
    let container = Container::run("slow", &[], &lines(100_000));
    let mut items = container.follow(Start::First);
    container.stopped().await;
    let mut seen = Seen::default();
    while !seen.closed && seen.ended == 0 {
        assert!(items.len() <= 4, "{} batches wait", items.len());
        let more = seen.lines.len() + 5000;
        seen.until(&mut items, |seen| seen.lines.len() >= more || seen.ended > 0).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.lines.len(), 100_000);
    seen.assert_all_of(&container);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_budget_is_counted_and_told_and_not_read_again() {
    let container = Container::run("budget", &[], &lines(50_000));
    let begun = Instant::now();
    let budget = Budget { bytes_per_second: 10_000, burst: 100_000 };
    let (mut seen, mut items) = (Seen::default(), container.follow_with(engine(), Start::First, budget));
    seen.until_ended(&mut items, 1).await;
    let elapsed = begun.elapsed();
    let dropped: u64 = seen.dropped.iter().map(|dropped| dropped.lines).sum();
    assert_eq!(seen.lines.len() as u64 + dropped, 50_000);
    let bytes: usize = seen.lines.iter().map(|line| line.text.len() + 1).sum();
    let seconds = usize::try_from(elapsed.as_secs()).unwrap() + 1;
    assert!((99_000..=100_000 + 10_000 * seconds).contains(&bytes), "{bytes} in {elapsed:?}");
    // Once a second, and what is left at each of two ends.
    assert!(seen.dropped.len() <= seconds + 2, "{} times in {elapsed:?}", seen.dropped.len());
    assert!(seen.dropped.iter().all(|dropped| dropped.since <= dropped.until));
    let mut items = container.follow(Start::After(seen.position.clone().unwrap()));
    let mut later = Seen::default();
    later.until_ended(&mut items, 1).await;
    assert_eq!((later.lines.len(), later.gaps.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_lines_are_those_that_were_printed_last() {
    let container = Container::run("last", &[], &lines(5000));
    container.stopped().await;
    let last = |from: jiff::Timestamp| Start::Last { lines: 1000, from };
    let (mut seen, mut items) = (Seen::default(), container.follow(last(jiff::Timestamp::UNIX_EPOCH)));
    seen.until_ended(&mut items, 1).await;
    assert_eq!(seen.lines.len(), 1000);
    let wanted = container.log_of(&["--tail", "1000"]);
    assert_eq!((seen.of(Output::Stdout), seen.of(Output::Stderr)), (strs(&wanted[0]), strs(&wanted[1])));
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
    let (mut seen, mut items) = (Seen::default(), container.follow(last(later)));
    seen.until_ended(&mut items, 1).await;
    assert!(seen.lines.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_driver_that_keeps_nothing_is_told_once_and_for_good() {
    let container = Container::run("none", &["--log-driver", "none"], FOREVER);
    let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
    seen.until(&mut items, |_| false).await;
    assert!(seen.closed);
    let [reason] = &seen.unreadable[..] else { panic!("{:?}", seen.unreadable) };
    assert!(reason.contains("does not support reading"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_removed_is_the_end() {
    let container = Container::run("remove", &[], FOREVER);
    let (mut seen, mut items) = (Seen::default(), container.follow(Start::First));
    seen.until(&mut items, |seen| seen.lines.len() > 1000).await;
    docker(&["rm", "--force", &container.id]);
    seen.until(&mut items, |_| false).await;
    assert!(seen.closed && seen.ended > 0);
}

/// Stands between a follower and the engine.
struct Between {
    directory: std::path::PathBuf,
    way: watch::Sender<Way>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Open,
    /// Connections break, and none is made.
    Cut,
}

impl Between {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("wicap-test-tail-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let listener = UnixListener::bind(directory.join("sock")).unwrap();
        let way = watch::Sender::new(Way::Open);
        let state = way.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut state = state.clone();
                tokio::spawn(async move {
                    if *state.borrow_and_update() == Way::Cut {
                        return;
                    }
                    let mut server = UnixStream::connect(ENGINE).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = state.wait_for(|way| *way == Way::Cut) => {}
                    }
                });
            }
        });
        Self { directory, way }
    }

    fn engine(&self) -> Engine {
        Engine::new(&format!("unix://{}", self.directory.join("sock").display())).unwrap()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_and_comes_back_loses_and_repeats_nothing() {
    let between = Between::new("away");
    let container = Container::run("away", &[], FOREVER);
    let mut items = container.follow_with(between.engine(), Start::First, Budget::default());
    let mut seen = Seen::default();
    for turn in 0..5 {
        let enough = seen.lines.len() + 1700;
        seen.until(&mut items, |seen| seen.lines.len() >= enough).await;
        between.way.send_replace(Way::Cut);
        if turn % 2 == 0 {
            // It is away for some attempts.
            tokio::time::sleep(Duration::from_millis(1200)).await;
        }
        between.way.send_replace(Way::Open);
    }
    let ended = seen.ended;
    docker(&["kill", &container.id]);
    seen.until_ended(&mut items, ended + 1).await;
    seen.assert_all_of(&container);
}
