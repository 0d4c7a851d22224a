//! Results of tests, as JUnit XML: what of it the runners agree on.
//!
//! Tests are counted one by one; what a suite says of itself is not believed. Elements are read as they come, whatever they are
//! inside of, so that a file can be nested as deeply as it likes.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::api::action::JobResult;
use crate::audit::redact::redact;

/// Most failures of which more is told than that they are there.
const FAILURES: usize = 10;

/// Most characters that are told of a failure.
const LONGEST: usize = 300;

/// How bad the end of a test is, in rising order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Passed,
    Skipped,
    Failed,
    BrokeDown,
}

/// A test that is being read.
struct Test {
    name: String,
    end: End,
    message: String,
}

/// Counts the tests of a file.
///
/// # Errors
/// Why it is no JUnit XML, or is cut off, in words for people.
pub fn read(xml: &[u8]) -> Result<JobResult, String> {
    let text = std::str::from_utf8(xml).map_err(|e| format!("it is no UTF-8: {e}"))?;
    let mut reader = Reader::from_str(text);
    let mut result = JobResult::default();
    let mut test: Option<Test> = None;
    let (mut depth, mut is_junit) = (0_usize, false);
    loop {
        let event = reader.read_event().map_err(|e| format!("at byte {}: {e}", reader.error_position()))?;
        match event {
            Event::Start(element) => {
                is_junit |= depth == 0 && is_root(&element);
                depth += 1;
                begin(&mut test, &element);
            }
            Event::Empty(element) => {
                is_junit |= depth == 0 && is_root(&element);
                begin(&mut test, &element);
                if element.name().as_ref() == "testcase" {
                    count(&mut result, test.take());
                }
            }
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                if element.name().as_ref() == "testcase" {
                    count(&mut result, test.take());
                }
            }
            Event::Eof if depth > 0 => return Err(format!("it is cut off after {} bytes", text.len())),
            Event::Eof if !is_junit => return Err("it has neither testsuites nor testsuite".to_owned()),
            Event::Eof => return Ok(result),
            _ => {}
        }
    }
}

fn is_root(element: &BytesStart<'_>) -> bool {
    matches!(element.name().as_ref(), "testsuites" | "testsuite" | "testrun")
}

fn begin(test: &mut Option<Test>, element: &BytesStart<'_>) {
    let end = match element.name().as_ref() {
        "testcase" => {
            let name = [attribute(element, "classname"), attribute(element, "name")];
            let name = name.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
            *test = Some(Test { name, end: End::Passed, message: String::new() });
            return;
        }
        "skipped" => End::Skipped,
        "failure" => End::Failed,
        "error" => End::BrokeDown,
        _ => return,
    };
    if let Some(test) = test.as_mut().filter(|test| test.end < end) {
        (test.end, test.message) = (end, attribute(element, "message"));
    }
}

fn count(result: &mut JobResult, test: Option<Test>) {
    let Some(Test { name, end, message }) = test else { return };
    let counter = match end {
        End::Passed => &mut result.passed,
        End::Skipped => &mut result.skipped,
        End::Failed => &mut result.failed,
        End::BrokeDown => &mut result.errors,
    };
    *counter += 1;
    if end >= End::Failed && result.failures.len() < FAILURES {
        let line = message.lines().next().unwrap_or_default().trim();
        let told = if line.is_empty() { name } else { format!("{name}: {line}") };
        // Redacted before it is cut: half a secret is one too.
        result.failures.push(redact(&told).chars().filter(|c| !c.is_control()).take(LONGEST).collect());
    }
}

/// The value of an attribute; empty when there is none, or none that can be read.
fn attribute(element: &BytesStart<'_>, name: &str) -> String {
    let found = element.try_get_attribute(name).ok().flatten();
    let value = found.and_then(|a| a.normalized_value(XmlVersion::Implicit1_0).ok().map(std::borrow::Cow::into_owned));
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(xml: &str) -> Result<[u64; 4], String> {
        read(xml.as_bytes()).map(|r| [r.passed, r.failed, r.errors, r.skipped])
    }

    #[test]
    fn tests_are_counted_whoever_wrote_the_file() {
        for (what, xml, expected) in [
            (
                "a runner of browser tests",
                r#"<testsuites id="" name="" tests="3" failures="1" skipped="1" errors="0" time="4.2">
                <testsuite name="ui.spec.ts" timestamp="2026-01-01T00:00:00.000Z" hostname="chromium" tests="3" failures="1">
                  <testcase name="shows events" classname="ui.spec.ts" time="1.1"/>
                  <testcase name="sorts" classname="ui.spec.ts" time="2.0">
                    <failure message="ui.spec.ts:14:5 sorts" type="FAILURE"><![CDATA[ Error: expected <3> ]]></failure>
                    <system-out><![CDATA[[[ATTACHMENT|shot.png]]]]></system-out>
                  </testcase>
                  <testcase name="exports" classname="ui.spec.ts" time="0"><skipped></skipped></testcase>
                </testsuite></testsuites>"#,
                [1, 1, 0, 1],
            ),
            (
                "one suite without a root",
                "<?xml version=\"1.0\"?><testsuite><testcase name=\"a\"></testcase></testsuite>",
                [1, 0, 0, 0],
            ),
            (
                "suites inside suites",
                "<testsuites><testsuite><testsuite><testcase name='a'/></testsuite><testcase name='b'/></testsuite></testsuites>",
                [2, 0, 0, 0],
            ),
            (
                "all skipped",
                "<testsuites><testsuite tests='2'><testcase name='a'><skipped/></testcase><testcase name='b'><skipped message='no'/></testcase></testsuite></testsuites>",
                [0, 0, 0, 2],
            ),
            (
                "a fixture that broke down after the test had failed",
                "<testsuite><testcase name='a'><failure message='f'/><error message='e'/></testcase></testsuite>",
                [0, 0, 1, 0],
            ),
            (
                "one that failed first and passed when it was run again",
                "<testsuite><testcase name='a'><flakyFailure message='f'/></testcase></testsuite>",
                [1, 0, 0, 0],
            ),
            ("nothing in it", "<testsuites/>", [0, 0, 0, 0]),
            ("a suite that says that three passed", "<testsuite tests='3' failures='0'/>", [0, 0, 0, 0]),
        ] {
            assert_eq!(counts(xml).unwrap(), expected, "{what}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_no_result() {
        for (xml, why) in [
            ("", "neither"),
            ("passed", "neither"),
            ("<html><body>502</body></html>", "neither"),
            ("<testsuites><testsuite><testcase name='a'/>", "cut off"),
            ("<testsuites><testsuite></testsuites>", "at byte"),
        ] {
            let error = counts(xml).unwrap_err();
            assert!(error.contains(why), "{xml}: {error}");
        }
        assert!(read(b"<testsuite name='\xff'/>").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn the_first_failures_are_told_in_a_line_each() {
        let cases: String = (0..12)
            .map(|i| format!("<testcase classname='c' name='t{i}'><failure message='&lt;{i}&gt;&#10;and more'/></testcase>"))
            .collect();
        let result = read(format!("<testsuite>{cases}</testsuite>").as_bytes()).unwrap();
        assert_eq!((result.failed, result.failures.len()), (12, FAILURES));
        assert_eq!(result.failures[3], "c t3: <3>", "a newline in an attribute that is written as one stays one");
        let long = format!("<testsuite><testcase name='{}'><error/></testcase></testsuite>", "ü".repeat(1000));
        assert_eq!(read(long.as_bytes()).unwrap().failures[0].chars().count(), LONGEST);
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = 200_000;
        let xml = format!("{}<testcase name='a'/>{}", "<testsuite>".repeat(deep), "</testsuite>".repeat(deep));
        assert_eq!(counts(&xml).unwrap(), [1, 0, 0, 0]);
    }
}
