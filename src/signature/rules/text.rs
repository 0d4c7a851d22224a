//! What rules look at of a record.

use std::borrow::Cow;

use crate::signature::envelope::{Format, Record};
use crate::signature::severity::is_access;

/// How much of a text is searched, in bytes. A failure is named in the first lines of what reports it.
const LONGEST: usize = 8 * 1024;

/// The keys under which a structured line says what went wrong.
const ERROR_KEYS: [&str; 6] = ["error", "err", "exception", "error.message", "err.message", "exception.message"];

/// A record of a service, with its texts at hand.
pub(super) struct Event<'a> {
    /// The service.
    pub service: &'a str,
    /// The record.
    pub record: &'a Record,
    /// Whether it is the account of a request.
    pub access: bool,
    /// The message, and the class of the exception.
    message: Cow<'a, str>,
    /// The message of the exception.
    exception: &'a str,
    /// What a structured line gives as its error.
    error: &'a str,
}

impl<'a> Event<'a> {
    /// A record of `service`.
    pub fn new(service: &'a str, record: &'a Record) -> Self {
        let line = &record.line;
        let structured = matches!(line.format, Format::Json | Format::Logfmt);
        let mut fields = if structured { line.fields.iter() } else { [].iter() };
        let error = fields.find(|field| ERROR_KEYS.contains(&&*field.key)).map_or("", |field| &*field.value);
        Self {
            service,
            record,
            access: is_access(line),
            message: record.text(),
            exception: record.exception.as_ref().map_or("", |exception| exception.message.as_str()),
            error,
        }
    }

    /// The texts that there are.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = [&*self.message, self.exception, self.error];
        texts.into_iter().filter(|text| !text.is_empty()).map(|text| &text[..text.floor_char_boundary(LONGEST)])
    }
}
