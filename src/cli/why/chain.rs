//! A chain of causes: what was seen, what was decided, what was done, what came of it. The form of `why -o json`.

use serde::Serialize;

use super::super::paint::Tone;
use super::super::print::page::{Page, Row, Span, plain};
use super::super::status::picture::NextStep;
use crate::api::Time;
use crate::cli::print::age::age;

/// Why an object is as it is.
///
/// Scripts may rely on the fields: fields are added, and neither renamed nor removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// The object, as `kind/name`.
    pub object: String,
    /// When it was asked.
    pub at: Time,
    /// The answer in a sentence.
    pub answer: String,
    /// What led to it and what followed, in the order of time.
    pub links: Vec<Link>,
    /// What an operator would do now; absent when nothing is left to do or to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<NextStep>,
}

/// One link of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// When it was; absent of what holds now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What it is.
    pub step: Step,
    /// In words.
    pub text: String,
    /// The object that says more, as `kind/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// More, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// What a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Step {
    /// Something was observed.
    Seen,
    /// Somebody asked for something.
    Asked,
    /// It was decided what to do.
    Decided,
    /// Every gate let it pass.
    Permitted,
    /// A gate did not let it pass.
    Denied,
    /// A person answered.
    Answered,
    /// Somebody took it up.
    Claimed,
    /// Something was done.
    Done,
    /// It was looked at what had come of it.
    Verified,
    /// It came to its end.
    Ended,
    /// This followed from it.
    Then,
    /// This holds now.
    Now,
}

impl Step {
    fn tone(self) -> Tone {
        match self {
            Self::Denied => Tone::Bad,
            Self::Now => Tone::Strong,
            Self::Permitted | Self::Claimed => Tone::Dim,
            _ => Tone::Plain,
        }
    }
}

impl Link {
    /// What was at a time.
    pub fn new(at: Option<Time>, step: Step, text: impl Into<String>) -> Self {
        Self { at, step, text: text.into(), object: None, details: Vec::new() }
    }

    /// What holds now.
    pub fn now(text: impl Into<String>) -> Self {
        Self::new(None, Step::Now, text)
    }

    /// The object that says more.
    #[must_use]
    pub fn of(mut self, kind: &str, name: &str) -> Self {
        self.object = Some(format!("{kind}/{name}"));
        self
    }

    /// More to say.
    #[must_use]
    pub fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }
}

impl Chain {
    /// A chain in the order of time. What was at the same time stays in the order in which it is given; what holds now comes last.
    #[must_use]
    pub fn new(object: String, at: Time, answer: String, mut links: Vec<Link>, next: Option<NextStep>) -> Self {
        links.sort_by_key(|link| link.at.unwrap_or(Time::MAX));
        Self { object, at, answer, links, next }
    }

    /// The chain as lines.
    #[must_use]
    pub fn page(&self, width: usize) -> Page {
        let mut page = Page::new(width);
        page.text(&[Span::new(Tone::Strong, &self.object), plain(": "), plain(&self.answer)]);
        page.blank();
        let rows = self.links.iter().enumerate().flat_map(|(i, link)| self.rows(i + 1, link));
        page.table(&["", "WHEN", "AGE", "STEP"], rows.collect());
        if let Some(next) = &self.next {
            page.blank();
            page.labelled(Span::new(Tone::Strong, "Next step"), &[plain(&next.why)]);
            if let Some(command) = &next.command {
                page.unbroken(Tone::Strong, command);
            }
        }
        page
    }

    fn rows(&self, number: usize, link: &Link) -> Vec<Row> {
        let day = |time: Time| time.strftime("%F").to_string();
        let clock = |time: Time| {
            let form = if day(time) == day(self.at) { "%H:%M:%SZ" } else { "%m-%d %H:%M:%SZ" };
            time.strftime(form).to_string()
        };
        let cells = vec![
            Span::new(Tone::Dim, format!("{number:>2}")),
            plain(link.at.map_or_else(String::new, clock)),
            Span::new(Tone::Dim, link.at.map_or_else(String::new, |at| age(at, self.at))),
            Span::new(link.step.tone(), format!("{:?}", link.step)),
        ];
        let mut note = vec![plain(&link.text)];
        note.extend(link.object.iter().map(|object| Span::new(Tone::Dim, format!(" ({object})"))));
        let detail = |text: &String| Row { cells: vec![plain(""); 4], note: vec![Span::new(Tone::Dim, text)] };
        std::iter::once(Row { cells, note }).chain(link.details.iter().map(detail)).collect()
    }
}
