//! Lines made of named values, JSON objects and logfmt, and what the names mean.
//!
//! Both give their pairs to [`Keyed`], one after the other. It knows the usual names, takes time, level, logger and
//! message out, and keeps every other pair as a field. A value that does not fit its name (a level nobody knows) is
//! kept
//! as a field, too.

use std::borrow::Cow;

use crate::signature::envelope::json::{self, Value};
use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::{Field, Format, Line};
use crate::signature::envelope::stamp::{self, Stamp};

/// The longest name with a meaning, `http.response.status_code` and a little more.
const LONGEST_NAME: usize = 28;

/// How deep objects are opened whose members have a meaning of their own.
const DEEPEST: usize = 2;

/// What a name means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// When.
    Time,
    /// How grave, in words or on pino's scale.
    Level,
    /// How grave, on syslog's scale.
    SyslogLevel,
    /// How grave, on Python's scale.
    PythonLevel,
    /// Who.
    Logger,
    /// What.
    Message,
    /// What, unless something says it better.
    WeakMessage,
    /// GELF's message, which makes `level` a syslog severity.
    GelfMessage,
    /// The text of a stack trace.
    Trace,
    /// What went wrong: a short text, a trace or an object.
    Error,
    /// The status of an HTTP answer.
    Status,
    /// The status of an HTTP answer, if there is a request as well.
    WeakStatus,
    /// A sign that the line is about a request.
    Request,
    /// An object whose members count as the line's own.
    Members,
    /// `MongoDB`'s level, logger or time, which have names of one letter.
    Letter(u8),
    /// Anything else.
    Unknown,
}

/// What `key` means. Capitals do not count.
fn role(key: &str) -> Role {
    let bytes = key.as_bytes();
    if bytes.len() > LONGEST_NAME {
        return Role::Unknown;
    }
    let mut lower = [0_u8; LONGEST_NAME];
    let lower = &mut lower[..bytes.len()];
    lower.copy_from_slice(bytes);
    lower.make_ascii_lowercase();
    match &*lower {
        b"time" | b"timestamp" | b"@timestamp" | b"ts" | b"datetime" | b"asctime" | b"@t" | b"eventtime" | b"date" => {
            Role::Time
        }
        b"level" | b"lvl" | b"severity" | b"levelname" | b"level_name" | b"loglevel" | b"log_level" | b"log.level"
        | b"@l" | b"severity_text" => Role::Level,
        b"priority" | b"syslog_severity" | b"syslog.severity" | b"syslog_level" | b"log.syslog.severity.code" => {
            Role::SyslogLevel
        }
        b"levelno" => Role::PythonLevel,
        b"logger" | b"name" | b"logger_name" | b"loggername" | b"log.logger" | b"target" | b"category"
        | b"sourcecontext" | b"channel" => Role::Logger,
        b"msg" | b"message" | b"@m" => Role::Message,
        b"event" | b"log" | b"body" | b"text" | b"@mt" => Role::WeakMessage,
        b"short_message" => Role::GelfMessage,
        b"exc_info"
        | b"exc_text"
        | b"stack"
        | b"stack_trace"
        | b"stacktrace"
        | b"traceback"
        | b"@x"
        | b"error.stack"
        | b"err.stack"
        | b"exception.stack"
        | b"error.stack_trace"
        | b"exception.stacktrace" => Role::Trace,
        b"error" | b"err" | b"exception" => Role::Error,
        b"status_code"
        | b"statuscode"
        | b"http_status"
        | b"http.status_code"
        | b"http.response.status_code"
        | b"response_code"
        | b"res.statuscode"
        | b"httprequest.status" => Role::Status,
        b"status" => Role::WeakStatus,
        b"method" | b"path" | b"uri" | b"url" | b"request" | b"request_method" | b"request_uri" | b"request_path" => {
            Role::Request
        }
        b"fields" | b"res" | b"http" | b"http.response" | b"httprequest" => Role::Members,
        [letter @ (b's' | b'c' | b't')] => Role::Letter(*letter),
        _ => Role::Unknown,
    }
}

/// A line that is being put together from its pairs.
pub(crate) struct Keyed<'a> {
    /// What is known so far.
    line: Line<'a>,
    /// The best message so far and how good it is: 0 none, 1 weak, 2 strong.
    message: (u8, Cow<'a, str>, Cow<'a, str>),
    /// A number under a level's name, not read yet.
    number: Option<(Cow<'a, str>, &'a str)>,
    /// Whether numbers under a level's name are syslog's.
    gelf: bool,
    /// What may be a status, if there is a request.
    status: Option<u16>,
    /// Whether there is a request.
    request: bool,
}

impl<'a> Keyed<'a> {
    /// Nothing known yet.
    pub fn new(format: Format) -> Self {
        Self {
            line: Line::of(format, ""),
            message: (0, Cow::Borrowed(""), Cow::Borrowed("")),
            number: None,
            gelf: false,
            status: None,
            request: false,
        }
    }

    /// Takes one pair.
    pub fn take(&mut self, key: Cow<'a, str>, value: Value<'a>) {
        self.take_at(key, value, 0);
    }

    /// Takes one pair, `depth` objects deep.
    fn take_at(&mut self, key: Cow<'a, str>, value: Value<'a>, depth: usize) {
        let role = role(&key);
        let left = match (role, value) {
            (_, Value::Object(raw)) => return self.open(role, key, raw, depth),
            (_, Value::Array(raw) | Value::Word(raw)) => Some(Cow::Borrowed(raw)),
            (Role::Level, Value::Number(raw)) if self.line.level.is_none() && self.number.is_none() => {
                self.number = Some((key, raw));
                return;
            }
            (_, Value::Number(raw)) => self.number(role, raw).then_some(Cow::Borrowed(raw)),
            (_, Value::Text(text)) => self.text(role, &key, text),
        };
        if let Some(value) = left {
            self.line.fields.push(Field { key, value });
        }
    }

    /// Takes an object: opens it if its members mean something, keeps it as text otherwise.
    fn open(&mut self, role: Role, key: Cow<'a, str>, raw: &'a str, depth: usize) {
        let mut date = None;
        match role {
            _ if depth == DEEPEST => {}
            Role::Members if key == "fields" => {
                json::members(raw, |inner, value| self.take_at(inner, value, depth + 1));
                return;
            }
            Role::Members | Role::Error | Role::WeakMessage if key != "event" => {
                json::members(raw, |inner, value| {
                    self.take_at(Cow::Owned(format!("{key}.{inner}")), value, depth + 1);
                });
                return;
            }
            Role::Letter(b't') => {
                json::members(raw, |inner, value| match value {
                    Value::Text(text) if inner == "$date" => date = stamp::whole(&text),
                    _ => {}
                });
            }
            _ => {}
        }
        match date {
            Some(date) if self.line.time.is_none() => self.line.time = Some(date),
            _ => self.line.fields.push(Field { key, value: Cow::Borrowed(raw) }),
        }
    }

    /// Takes a number. Says whether it is left over for a field.
    fn number(&mut self, role: Role, raw: &str) -> bool {
        let level = &mut self.line.level;
        match role {
            Role::Time if self.line.time.is_none() => {
                self.line.time = stamp::epoch(raw);
                self.line.time.is_none()
            }
            Role::SyslogLevel if level.is_none() => {
                *level = raw.parse().ok().and_then(Level::of_syslog);
                level.is_none()
            }
            Role::PythonLevel if level.is_none() => {
                *level = raw.parse().ok().and_then(Level::of_python);
                level.is_none()
            }
            Role::Status if self.line.status.is_none() => {
                self.line.status = http_status(raw);
                true
            }
            Role::WeakStatus if self.status.is_none() => {
                self.status = http_status(raw);
                true
            }
            _ => true,
        }
    }

    /// Takes a string. Gives it back if it is left over for a field.
    fn text(&mut self, role: Role, key: &Cow<'a, str>, text: Cow<'a, str>) -> Option<Cow<'a, str>> {
        match role {
            Role::Time if self.line.time.is_none() => {
                self.line.time = read_time(&text);
                self.line.time.is_none().then_some(text)
            }
            Role::Level if self.line.level.is_none() => {
                self.line.level = Level::of_word(&text);
                self.line.level.is_none().then_some(text)
            }
            Role::SyslogLevel if self.line.level.is_none() => {
                self.line.level = text.parse().ok().and_then(Level::of_syslog).or_else(|| Level::of_word(&text));
                self.line.level.is_none().then_some(text)
            }
            Role::Letter(b's') if self.line.level.is_none() && text.len() == 1 => {
                self.line.level = Level::of_letter(text.as_bytes()[0]);
                self.line.level.is_none().then_some(text)
            }
            Role::Logger if self.line.logger.is_none() && !text.is_empty() => {
                self.line.logger = Some(text);
                None
            }
            Role::Message => self.message(2, key, text),
            Role::WeakMessage => self.message(1, key, text),
            Role::GelfMessage => {
                self.gelf = true;
                self.message(2, key, text)
            }
            Role::Trace if self.line.trace.is_none() && !text.trim().is_empty() => {
                self.line.trace = Some(text);
                None
            }
            // A short error is worth a look as a field, a trace is not.
            Role::Error if self.line.trace.is_none() && text.trim_end().contains('\n') => {
                self.line.trace = Some(text);
                None
            }
            Role::Status if self.line.status.is_none() => {
                self.line.status = http_status(&text);
                Some(text)
            }
            Role::WeakStatus if self.status.is_none() => {
                self.status = http_status(&text);
                Some(text)
            }
            Role::Request => {
                self.request = true;
                Some(text)
            }
            _ => Some(text),
        }
    }

    /// Takes a message of the given strength. Gives the weaker one back, or keeps it as a field.
    fn message(&mut self, strength: u8, key: &Cow<'a, str>, text: Cow<'a, str>) -> Option<Cow<'a, str>> {
        if strength <= self.message.0 || text.trim().is_empty() {
            return Some(text);
        }
        let (had, old_key, old) = std::mem::replace(&mut self.message, (strength, key.clone(), text));
        if had > 0 {
            self.line.fields.push(Field { key: old_key, value: old });
        }
        None
    }

    /// The line. Without a message, `whole` gives one from what is left.
    pub fn finish(mut self, whole: impl FnOnce() -> Cow<'a, str>) -> Line<'a> {
        if let Some((key, raw)) = self.number {
            let number = raw.parse().ok();
            let read = number.and_then(if self.gelf { Level::of_syslog } else { Level::of_pino });
            if self.line.level.is_none() && read.is_some() {
                self.line.level = read;
            } else {
                self.line.fields.push(Field { key, value: Cow::Borrowed(raw) });
            }
        }
        if self.request && self.line.status.is_none() {
            self.line.status = self.status;
        }
        let (strength, _, message) = self.message;
        self.line.message = if strength == 0 { whole() } else { message };
        self.line
    }
}

/// Whether a name stands for the time, the level or the logger. logfmt leaves those out of a message of its own making.
pub(crate) fn is_envelope(key: &str) -> bool {
    matches!(role(key), Role::Time | Role::Level | Role::Logger)
}

/// The time that a string names: a stamp, or a number since the epoch.
fn read_time(text: &str) -> Option<Stamp> {
    stamp::whole(text).or_else(|| stamp::epoch(text))
}

/// The status of an HTTP answer, 100 to 599.
pub(crate) fn http_status(text: &str) -> Option<u16> {
    if text.len() != 3 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Keyed, Level, Line};
    use crate::signature::envelope::Format;
    use crate::signature::envelope::json::members;

    /// The line of a JSON object.
    fn read(text: &str) -> Line<'_> {
        let mut keyed = Keyed::new(Format::Json);
        assert!(members(text, |key, value| keyed.take(key, value)), "{text}");
        keyed.finish(|| Cow::Borrowed(text))
    }

    #[test]
    fn the_usual_names_mean_the_same() {
        for text in [
            r#"{"ts":"2026-02-10T10:00:00Z","level":"error","logger":"a.b","msg":"no"}"#,
            r#"{"@timestamp":"2026-02-10T10:00:00Z","log.level":"ERROR","log.logger":"a.b","message":"no"}"#,
            r#"{"time":1770717600,"severity":"Error","name":"a.b","message":"no"}"#,
            r#"{"time":1770717600000,"level":50,"name":"a.b","msg":"no"}"#,
            r#"{"timestamp":"1770717600000000000","levelno":40,"name":"a.b","msg":"no"}"#,
            r#"{"timestamp":"2026-02-10T10:00:00Z","level":"ERROR","fields":{"message":"no"},"target":"a.b"}"#,
            r#"{"t":{"$date":"2026-02-10T10:00:00.000+00:00"},"s":"E","name":"a.b","msg":"no"}"#,
            r#"{"timestamp":1770717600.0,"level":3,"logger":"a.b","short_message":"no"}"#,
            r#"{"time":"2026-02-10T10:00:00Z","priority":"3","logger":"a.b","event":"no"}"#,
            r#"{"log":{"level":"error","logger":"a.b"},"@timestamp":"2026-02-10T10:00:00Z","message":"no"}"#,
        ] {
            let line = read(text);
            assert_eq!(
                (line.level, &*line.message, line.logger.as_deref()),
                (Some(Level::Error), "no", Some("a.b")),
                "{text}"
            );
            assert!(line.time.is_some_and(crate::signature::envelope::Stamp::is_instant), "{text}");
            assert_eq!(line.fields, [], "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_its_name_stays_a_field() {
        let line = read(r#"{"level":"loud","time":"noon","msg":"","severity":7,"n":null,"status":137,"event":{"a":1}}"#);
        assert_eq!((line.level, line.time, line.status), (None, None, None));
        assert!(line.message.starts_with('{'));
        for (key, value) in [
            ("level", "loud"),
            ("time", "noon"),
            ("severity", "7"),
            ("n", "null"),
            ("status", "137"),
            ("event", r#"{"a":1}"#),
        ] {
            assert_eq!(line.field(key), Some(value), "{key}");
        }
    }

    #[test]
    fn a_status_needs_a_name_that_says_so_or_a_request() {
        assert_eq!(read(r#"{"msg":"a","status_code":503}"#).status, Some(503));
        assert_eq!(read(r#"{"msg":"a","status":"404","path":"/"}"#).status, Some(404));
        assert_eq!(read(r#"{"msg":"a","res":{"statusCode":200}}"#).status, Some(200));
        assert_eq!(read(r#"{"msg":"a","http":{"response":{"status_code":500}}}"#).status, Some(500));
        assert_eq!(read(r#"{"msg":"a","httpRequest":{"status":500}}"#).status, Some(500));
        assert_eq!(read(r#"{"msg":"200","code":200,"status":200}"#).status, None);
    }

    #[test]
    fn a_trace_is_taken_and_a_short_error_stays() {
        let line = read(r#"{"msg":"a","exception":"T\n  x\nE: y","error":"refused"}"#);
        assert_eq!(line.trace.as_deref(), Some("T\n  x\nE: y"));
        assert_eq!(line.field("error"), Some("refused"));
        let line = read(r#"{"msg":"a","err":{"type":"TypeError","message":"b","stack":"TypeError: b\n    at f (x:1:2)"}}"#);
        assert_eq!((line.field("err.type"), line.field("err.message")), (Some("TypeError"), Some("b")));
        assert!(line.trace.is_some());
    }

    #[test]
    fn a_strong_message_replaces_a_weak_one() {
        let line = read(r#"{"event":"weak","message":"strong","text":"late"}"#);
        assert_eq!((&*line.message, line.field("event"), line.field("text")), ("strong", Some("weak"), Some("late")));
    }
}
