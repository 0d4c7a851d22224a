//! `status --watch`: in place in a terminal, and a block for each change elsewhere.

use std::time::Duration;

use futures::stream::{BoxStream, select_all};
use futures::{FutureExt, StreamExt};
use rustix::termios::tcgetwinsize;
use tokio::time::{MissedTickBehavior, interval};

use super::super::called::Called;
use super::super::paint::Tone;
use super::super::print::page::{Page, Span};
use super::super::{Error, Io};
use super::objects::Objects;
use super::picture::Picture;
use super::{Status, page, pictures, reason_of, report, terminal_width, with_flags_of, with_stop_file};
use crate::api::action::ActionRun;
use crate::api::incident::Incident;
use crate::api::policy::ControlPolicy;
use crate::api::session::ControlSession;
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::stop::EmergencyStop;
use crate::api::{Object, Time};
use crate::cli::print::format::Output;
use crate::store::{self, Store, WatchParams};

/// Changes that come within this time of one another are shown together: an action writes several objects, and people do not read
/// faster.
const TOGETHER: Duration = Duration::from_millis(100);

/// Something has changed, or the store does not answer.
type Change = Result<(), store::Error>;

fn changes<K: Object>(store: &Store) -> Result<BoxStream<'static, Change>, store::Error> {
    Ok(store.api::<K>().watch(&WatchParams::default())?.map(|event| event.map(drop)).boxed())
}

impl Status {
    /// Shows it, and shows it anew whenever something has changed, until it is interrupted.
    pub(super) async fn live(
        &self,
        mut objects: Objects,
        store: &Store,
        called: &Called,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let mut changes = select_all([
            changes::<WicapStack>(store)?,
            changes::<ControlSession>(store)?,
            changes::<ControlPolicy>(store)?,
            changes::<EmergencyStop>(store)?,
            changes::<ActionRun>(store)?,
            changes::<Incident>(store)?,
            changes::<SoakRun>(store)?,
        ]);
        let in_place = self.output == Output::Text && io.manners.repaints;
        // Ages grow by themselves, and an observation becomes too old by itself.
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut shown, mut lost): (Option<Vec<Picture>>, Option<String>) = (None, None);
        loop {
            let now = store.clock().now();
            let drawn = with_flags_of(pictures(&with_stop_file(objects.clone(), store), now), called);
            if in_place {
                self.repaint(&drawn, lost.as_deref(), io)?;
            } else if shown.as_ref().is_none_or(|shown| differ(shown, &drawn)) {
                self.append(&drawn, shown.is_some(), now, io)?;
                shown = Some(drawn);
            }
            tokio::select! {
                _ = ticks.tick() => {}
                change = changes.next() => match change {
                    Some(Ok(())) => {
                        tokio::time::sleep(TOGETHER).await;
                        while let Some(Some(_)) = changes.next().now_or_never() {}
                        match Objects::read(store, self.stack.as_deref()).await {
                            Ok(read) => (objects, lost) = (read, None),
                            Err(e @ store::Error::NotFound { .. }) => return Err(e.into()),
                            Err(e) => lose(&mut lost, &e, in_place, io)?,
                        }
                    }
                    Some(Err(e)) => lose(&mut lost, &e, in_place, io)?,
                    None => return Err(Error::No("the watch has ended".to_owned())),
                },
            }
        }
    }

    /// Draws over the whole terminal: what was there before may have had another height, or the terminal another width.
    fn repaint(&self, pictures: &[Picture], lost: Option<&str>, io: &mut Io<'_>) -> Result<(), Error> {
        let mut drawn = page(pictures, self.width.unwrap_or_else(terminal_width));
        if let Some(reason) = lost {
            let mut notice = Page::new(self.width.unwrap_or_else(terminal_width));
            notice.text(&[Span::new(Tone::Bad, format!("The store does not answer ({reason}): this is how it was."))]);
            notice.blank();
            drawn = notice.followed_by(drawn);
        }
        let rows = tcgetwinsize(std::io::stdout()).map_or(usize::MAX, |size| usize::from(size.ws_row));
        write!(io.out, "\x1b[H")?;
        for line in fitted(drawn.painted(|tone, text| io.manners.paint.text(tone, text)).collect(), rows) {
            writeln!(io.out, "{line}\x1b[K")?;
        }
        write!(io.out, "\x1b[J")?;
        io.out.flush()?;
        Ok(())
    }

    fn append(&self, pictures: &[Picture], again: bool, now: Time, io: &mut Io<'_>) -> Result<(), Error> {
        match self.output {
            Output::Json => writeln!(io.out, "{}", report(pictures, now)?)?,
            Output::Text => {
                if again {
                    writeln!(io.out)?;
                }
                page(pictures, self.width.unwrap_or_else(terminal_width)).write(io.out, io.manners.paint)?;
            }
        }
        io.out.flush()?;
        Ok(())
    }
}

/// So many lines at the end stay in sight in a terminal that is too low for all: the next step.
const END: usize = 4;

/// The lines that fit into so many rows, of which the last is for the cursor. What is drawn over must not scroll.
fn fitted(mut lines: Vec<String>, rows: usize) -> Vec<String> {
    let room = rows.saturating_sub(1).max(END);
    let too_many = lines.len().saturating_sub(room);
    let end = lines.len().saturating_sub(END);
    lines.drain(end.saturating_sub(too_many)..end);
    lines
}

/// Tells once that the store does not answer. The watches get over it.
fn lose(lost: &mut Option<String>, error: &store::Error, in_place: bool, io: &mut Io<'_>) -> Result<(), Error> {
    let reason = reason_of(error);
    if lost.is_none() && !in_place {
        writeln!(io.err, "The store does not answer: {}; waiting", super::print::table::harmless(&reason))?;
    }
    *lost = Some(reason);
    Ok(())
}

/// Whether there is anything new to tell: time that goes by and a look that saw the same is not.
fn differ(old: &[Picture], new: &[Picture]) -> bool {
    let timeless = |picture: &Picture| {
        let mut picture = picture.clone();
        picture.at = Time::UNIX_EPOCH;
        picture.observation.at = None;
        // They tell ages; what they are about is in the other fields.
        picture.summary.clear();
        picture.next.why.clear();
        picture.soaks.iter_mut().for_each(|soak| soak.percent = soak.percent.map(|percent| percent / 10));
        picture
    };
    old.len() != new.len() || old.iter().zip(new).any(|(old, new)| timeless(old) != timeless(new))
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture;
    use super::*;

    #[test]
    fn in_a_low_terminal_the_beginning_and_the_next_step_stay_in_sight() {
        let lines = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(fitted(lines(9), 10), lines(9), "all of it");
        assert_eq!(fitted(lines(10), 10), ["0", "1", "2", "3", "4", "6", "7", "8", "9"]);
        assert_eq!(fitted(lines(10), 1), ["6", "7", "8", "9"]);
        assert_eq!(fitted(lines(2), 1), lines(2));
    }

    #[test]
    fn only_what_is_new_is_told_again() {
        let (objects, now) = fixture("mending");
        let at = |seconds: i64| pictures(&objects, now + jiff::SignedDuration::from_secs(seconds));
        assert!(!differ(&at(0), &at(1)), "a second later all is as it was");
        let mut looked = objects.clone();
        looked.stacks[0].status.as_mut().unwrap().observed_at = Some(now);
        assert!(!differ(&at(0), &pictures(&looked, now)), "a look that saw the same");
        let mut changed = objects.clone();
        changed.stacks[0].status.as_mut().unwrap().services[0].restarts += 1;
        assert!(differ(&at(0), &pictures(&changed, now)));
        assert!(differ(&at(0), &at(600)), "by then nobody has looked at it for too long");
        assert!(differ(&at(0), &[]));
    }
}
