//! `signatures`: says of each line of standard input which signature it has, and how much it matters.
//!
//! What comes without a pause is looked at as a whole before anything of it is said: a word that many lines show to be a value is one
//! in the first of them too.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Error, Io, document};
use crate::api::Severity;
use crate::api::stack::{IssueRule, RuleSet};
use crate::audit::redact::redact;
use crate::signature::envelope::{Folder, Limits, Line, Record};
use crate::signature::mine::{Group, Miner, Settings};
use crate::signature::rules::{self, Rules};

/// A pause that ends what is looked at as a whole: longer than a program takes between two lines of one burst, shorter than a person notices.
const PAUSE: Duration = Duration::from_millis(200);

/// The most lines that are looked at as a whole: some 20 MB of ordinary lines.
const BATCH: usize = 100_000;

/// The longest that a line waits for those that come without a pause after it.
const AGE: Duration = Duration::from_secs(2);

/// The most bytes of a line that are looked at. The rest of it is passed over.
const LINE_MOST: usize = 64 * 1024;

/// Lines that may wait between reading and looking.
const WAITING: usize = 4096;

/// Arguments of `signatures`.
#[derive(Debug, Args)]
pub struct Signatures {
    /// What a line is: content is a bare message; auto may have a time, a level and so on around it, and be a part of a stack trace
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    /// The service that the lines are taken to be of, for rules that are about some
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
    /// A file with more rules: {"version": 1, "rules": […]}, each as in spec.logs.rules of a stack. May be repeated
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Whatever it looks like.
    Auto,
    /// A message.
    Content,
}

/// What is said of a line. The order of the fields is part of the contract.
#[derive(Serialize)]
struct Told<'a> {
    signature: String,
    template: &'a str,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    /// Whether the line belongs to the record that the line before it belongs to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continued: bool,
}

/// A record of the batch.
struct Seen {
    group: Group,
    severity: Severity,
    rule: Option<String>,
    lines: usize,
}

/// What goes on from batch to batch.
struct Reader {
    format: Format,
    service: String,
    rules: Rules,
    miner: Miner,
    folder: Folder,
    seen: Vec<Seen>,
}

impl Signatures {
    pub(super) fn run(&self, io: &mut Io<'_>) -> Result<(), Error> {
        let mut reader = Reader {
            format: self.format,
            service: self.service.clone(),
            rules: self.compiled()?,
            miner: Miner::new(Settings::default()),
            folder: Folder::new(Limits::default()),
            seen: Vec::new(),
        };
        let (sender, receiver) = sync_channel(WAITING);
        // It ends with the input; when the output is gone before, with the process.
        std::thread::spawn(move || feed(io::stdin().lock(), &sender));
        reader.follow(&receiver, io.out)
    }

    fn compiled(&self) -> Result<Rules, Error> {
        let mut own = Vec::new();
        for path in &self.rules {
            let shown = path.display();
            let text = std::fs::read_to_string(path).map_err(|e| Error::No(format!("--rules {shown}: {e}")))?;
            own.extend(read_rules(&text).map_err(|e| Error::Usage(format!("--rules {shown}: {e}")))?);
        }
        rules::compiled(&RuleSet::all(), &own).map_err(|e| Error::Usage(format!("--rules: {e}")))
    }
}

/// The rules of a file, or its first mistake.
fn read_rules(text: &str) -> Result<Vec<IssueRule>, String> {
    let documents = document::parse(text).map_err(|e| e.to_string())?;
    let [document] = documents.as_slice() else {
        return Err(format!("found {} documents, expected one", documents.len()));
    };
    let told = |all: Vec<crate::api::Violation>| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    rules::Set::of_document(document).map(|set| set.rules().to_vec()).map_err(told)
}

/// A line, or why there are no more.
type Next = io::Result<String>;

/// Reads lines until their end.
fn feed(mut input: impl BufRead, lines: &SyncSender<Next>) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let next = match read_line(&mut input, &mut bytes) {
            Ok(false) => return,
            Ok(true) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => Err(error),
        };
        let is_over = next.is_err();
        if lines.send(next).is_err() || is_over {
            return;
        }
    }
}

/// Reads a line without its end, and of a longer one the first [`LINE_MOST`] bytes. Whether there was one.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let mut is_there = false;
    loop {
        let read = match input.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read.is_empty() {
            return Ok(is_there);
        }
        is_there = true;
        let end = memchr::memchr(b'\n', read);
        let part = &read[..end.unwrap_or(read.len())];
        line.extend_from_slice(&part[..part.len().min(LINE_MOST - line.len())]);
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

impl Reader {
    fn follow(&mut self, lines: &Receiver<Next>, out: &mut dyn Write) -> Result<(), Error> {
        let mut batch = 0;
        let mut begun = Instant::now();
        loop {
            let wait = if batch == 0 { Duration::MAX } else { PAUSE };
            match lines.recv_timeout(wait) {
                Ok(Ok(line)) => {
                    self.take(&line);
                    if batch == 0 {
                        begun = Instant::now();
                    }
                    batch += 1;
                    if batch < BATCH && begun.elapsed() < AGE {
                        continue;
                    }
                    // The record that is open may go on.
                    self.tell(out)?;
                    out.flush()?;
                    (batch, begun) = (usize::from(self.folder.pending() > 0), Instant::now());
                    continue;
                }
                Ok(Err(error)) => return Err(Error::No(format!("standard input: {error}"))),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.close();
                    return self.tell(out);
                }
            }
            // A record that goes on after a pause is taken for two.
            self.close();
            self.tell(out)?;
            out.flush()?;
            batch = 0;
        }
    }

    /// Looks at a line as the logs of a stack are: without its secrets, or the same failure would have another signature here.
    fn take(&mut self, line: &str) {
        let line = redact(line);
        match self.format {
            Format::Content => {
                let record = Record::of(Line::plain(&line).into_owned());
                self.look(&record);
            }
            Format::Auto => {
                if let Some(record) = self.folder.push(&line) {
                    self.look(&record);
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(record) = self.folder.flush() {
            self.look(&record);
        }
    }

    fn look(&mut self, record: &Record) {
        let judged = self.rules.judge(&self.service, record);
        let group = self.miner.learn(&record.mined()).group;
        let rule = judged.rule.map(|rule| rule.name.clone());
        self.seen.push(Seen { group, severity: judged.severity, rule, lines: record.lines });
    }

    fn tell(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        for seen in self.seen.drain(..) {
            let template = self.miner.template(seen.group);
            let mut told = Told {
                signature: self.miner.id(seen.group).to_string(),
                template: &template,
                severity: seen.severity,
                rule: seen.rule.as_deref(),
                continued: false,
            };
            for _ in 0..seen.lines {
                serde_json::to_writer(&mut *out, &told).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
                told.continued = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn reader(format: Format) -> Reader {
        Reader {
            format,
            service: String::new(),
            rules: rules::compiled(&RuleSet::all(), &[]).unwrap(),
            miner: Miner::new(Settings::default()),
            folder: Folder::new(Limits::default()),
            seen: Vec::new(),
        }
    }

    /// What is said of lines that come in these batches.
    fn said(format: Format, batches: &[&str]) -> Vec<Value> {
        let mut reader = reader(format);
        let mut out = Vec::new();
        for batch in batches {
            let (sender, receiver) = sync_channel(1000);
            feed(batch.as_bytes(), &sender);
            drop(sender);
            reader.follow(&receiver, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn each_line_is_told_and_those_that_differ_in_values_alone_are_one() {
        let said = said(Format::Content, &["session opened for 10.0.0.1\nsession opened for 10.0.0.7\nbye\n"]);
        assert_eq!(said.len(), 3);
        assert_eq!(
            (&said[0]["signature"], said[0]["template"].as_str()),
            (&said[1]["signature"], Some("session opened for <*>"))
        );
        assert_ne!(said[0]["signature"], said[2]["signature"]);
    }

    #[test]
    fn a_word_that_is_found_to_be_a_value_is_one_in_what_came_with_it_before() {
        let names =
            ["anna", "ben", "carl", "dora", "emil", "fred", "gina", "hans", "ida", "jan", "kim", "lea", "max", "nora"];
        let lines: String = names.map(|name| format!("accepted a connection of user {name} on the port\n")).concat();
        let ids: std::collections::BTreeSet<String> =
            said(Format::Content, &[&lines]).iter().map(|line| line["signature"].to_string()).collect();
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn the_lines_of_a_trace_are_one_record_and_each_is_told() {
        let text = "2026-02-10 10:00:00 [ERROR] wicap.sql: flush failed\nTraceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\n\
                    ValueError: no\n2026-02-10 10:00:01 [INFO] wicap.sql: on\n";
        let said = said(Format::Auto, &[text]);
        assert_eq!(said.len(), 6);
        let continued: Vec<bool> = said.iter().map(|line| line["continued"] == true).collect();
        assert_eq!(continued, [false, true, true, true, true, false]);
        assert_eq!((said[0]["severity"].as_str(), said[5]["severity"].as_str()), (Some("Error"), Some("Info")));
    }

    #[test]
    fn a_rule_is_named_and_a_secret_is_not_shown() {
        let said = said(Format::Content, &["Cannot flush: database connection failed\nlogin password=hunter2secret now\n"]);
        assert_eq!(said[0]["severity"], "Critical");
        assert!(said[0]["rule"].is_string());
        assert!(!said[1].to_string().contains("hunter2"), "{}", said[1]);
    }

    #[test]
    fn a_line_with_a_secret_has_the_signature_of_the_line_without_it() {
        let said = said(Format::Content, &["login password=hunter2secret now\nlogin password=[redacted] now\n"]);
        assert_eq!(said[0]["signature"], said[1]["signature"]);
    }

    #[test]
    fn of_a_line_without_an_end_only_the_beginning_is_kept() {
        let text = [b"a\n".as_slice(), &vec![b'x'; 3 * LINE_MOST], b"\nlast"].concat();
        let mut input = io::BufReader::with_capacity(1000, &text[..]);
        let mut lengths = Vec::new();
        loop {
            let mut line = Vec::new();
            if !read_line(&mut input, &mut line).unwrap() {
                break;
            }
            lengths.push(line.len());
        }
        assert_eq!(lengths, [1, LINE_MOST, 4]);
    }

    #[test]
    fn lines_that_come_without_a_pause_are_told_all_the_same() {
        let mut reader = reader(Format::Content);
        let (sender, receiver) = sync_channel(1);
        let (told, output) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || reader.follow(&receiver, &mut Bell(told)));
            // Until something is told: a second or two.
            while output.try_recv().is_err() {
                sender.send(Ok("a line".to_owned())).unwrap();
                std::thread::sleep(PAUSE / 20);
            }
            drop(sender);
        });
    }

    /// Says when something is written.
    struct Bell(std::sync::mpsc::Sender<()>);

    impl Write for Bell {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_mistake_in_rules_is_told_with_its_path() {
        assert!(read_rules("{\"version\": 1, \"rules\": [{\"name\": \"a\"}]}").unwrap_err().contains("rules[0]"));
        assert!(read_rules("{\"rules\": []}\n---\n{}").unwrap_err().contains("expected one"));
    }
}
