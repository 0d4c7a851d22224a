//! Whether this host is fit: permissions, clocks, disks, what is installed, and its stop file.

use std::time::Duration;

use crate::api::stack::HEARTBEAT;
use crate::api::stop::ALL;
use crate::api::{API_VERSION, Object, Time, after, elapsed};

use super::facts::{Disk, Facts, Guarded};
use super::finding::{Area, Finding, bytes};
use crate::cli::called::word;

/// Clocks further apart make ages and Events misleading.
const APART: Duration = Duration::from_secs(2);

/// Clocks further apart make observations count as stale, or sessions end at another time than they say: one heartbeat.
const FAR_APART: Duration = HEARTBEAT;

/// A step of our own clock that a person should know of; adjusting it slowly moves it by half a millisecond a second
/// (adjtime(3)).
const JUMP: Duration = Duration::from_millis(500);

/// A disk is filling up with less than this share, in a hundred, and these bytes free; it is full with the second pair. The
/// kubelet takes containers off a node at 15 and 10 in a hundred; on a large disk that is still a lot.
const FILLING: (u64, u64) = (15, 10 * 1024 * 1024 * 1024);
const FULL: (u64, u64) = (5, 1024 * 1024 * 1024);

/// Files that a disk must still take: a stack's logs and evidence are hundreds.
const FEW_FILES: u64 = 1000;

/// Judges it.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.files.iter().map(|file| guarded(file, facts)).collect();
    findings.extend(clocks(facts));
    findings.extend(facts.disks.iter().map(disk));
    findings.push(versions());
    findings.extend(stops(facts));
    findings
}

fn guarded(file: &Guarded, facts: &Facts) -> Finding {
    let path = file.path.display().to_string();
    let quoted = word(&path);
    let checked = format!("who may use the {}", file.what);
    match &file.found {
        Err(why) => Finding::warn(Area::Permissions, checked, format!("{path}: {why}"), format!("ls -ld {quoted}")),
        Ok(None) => Finding::ok(Area::Permissions, checked, format!("there is no {path}")),
        Ok(Some(found)) => {
            let shown = format!("{path}: owner {}, group {}, mode {:04o}", found.owner, found.group, found.mode);
            let excess = found.mode & 0o777 & !file.may;
            let mend = format!("chmod {:03o} {quoted}", found.mode & file.may & 0o777);
            if excess & 0o022 != 0 {
                Finding::fail(Area::Permissions, checked, format!("{shown}: others may write it"), mend)
            } else if excess != 0 {
                Finding::warn(Area::Permissions, checked, format!("{shown}: others may use it"), mend)
            } else if !found.usable && facts.meant.local {
                let mend = format!("sudo -u '#{}' wicapctl …, or wicapd --socket-group", found.owner);
                Finding::warn(Area::Permissions, checked, format!("{shown}: {} may not", facts.who.user), mend)
            } else {
                Finding::ok(Area::Permissions, checked, shown)
            }
        }
    }
}

fn clocks(facts: &Facts) -> Vec<Finding> {
    let mend = "timedatectl set-ntp true, on both hosts";
    let mut findings = vec![if facts.jumped > JUMP {
        let found = format!("it was set by {:.1} s while it was looked at", facts.jumped.as_secs_f64());
        Finding::warn(Area::Clocks, "ours goes on evenly", found, "timedatectl timesync-status")
    } else {
        Finding::ok(Area::Clocks, "ours goes on evenly", "no step was seen")
    }];
    if let Ok(about) = &facts.docker
        && let Some(clock) = about.clock
    {
        // The engine looked somewhere between our question and its answer.
        let latest = after(clock.asked, clock.took);
        let (behind, ahead) = (elapsed(clock.shows, clock.asked), elapsed(latest, clock.shows));
        findings.push(apart("the engine's beside ours", behind, ahead, mend));
    }
    // A heartbeat from the future is of a host whose clock is ahead of ours. One that is late says nothing of clocks.
    let seen = facts.objects.iter().flat_map(|o| &o.stacks).filter_map(|stack| {
        let at = stack.status.as_ref()?.observed_at?;
        Some((stack.spec.host.as_str(), at))
    });
    if let Some((host, at)) = seen.max_by_key(|(_, at)| *at) {
        let checked = format!("that of the observer on {host} beside ours");
        findings.push(apart(&checked, Duration::ZERO, elapsed(facts.now, at), mend));
    }
    findings
}

fn apart(checked: &str, behind: Duration, ahead: Duration, mend: &str) -> Finding {
    let (far, which) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    let found = format!("{:.1} s {which} ours", far.as_secs_f64());
    match far {
        far if far >= FAR_APART => Finding::fail(Area::Clocks, checked, found, mend),
        far if far >= APART => Finding::warn(Area::Clocks, checked, found, mend),
        _ => Finding::ok(Area::Clocks, checked, format!("within {APART:?}")),
    }
}

fn disk(disk: &Disk) -> Finding {
    let path = disk.path.display().to_string();
    let checked = format!("the disk of the {}", disk.what);
    let mend = format!("df -h {0}; du -xh --max-depth=2 {0} | sort -h | tail", word(&path));
    let space = match &disk.space {
        Ok(space) => space,
        Err(why) => return Finding::warn(Area::Disk, checked, format!("{path}: {why}"), mend),
    };
    let found = format!("{path}: {} of {} free", bytes(space.free), bytes(space.total));
    let under = |(percent, least): (u64, u64)| {
        u128::from(space.free) * 100 < u128::from(space.total) * u128::from(percent) && space.free < least
    };
    if space.read_only {
        let mend = format!("mount -o remount,rw $(findmnt -nT {} -o TARGET); dmesg says why it is", word(&path));
        Finding::fail(Area::Disk, checked, format!("{found}, and it can only be read"), mend)
    } else if under(FULL) {
        Finding::fail(Area::Disk, checked, found, mend)
    } else if space.files_free.is_some_and(|files| files < FEW_FILES) {
        let files = space.files_free.unwrap_or(0);
        Finding::warn(Area::Disk, checked, format!("{found}, and {files} more files"), format!("df -i {}", word(&path)))
    } else if under(FILLING) {
        Finding::warn(Area::Disk, checked, found, mend)
    } else {
        Finding::ok(Area::Disk, checked, found)
    }
}

fn versions() -> Finding {
    let ours = env!("CARGO_PKG_VERSION");
    let found = format!("wicapctl {ours}, {API_VERSION}; which version each wicapd is, is not recorded");
    Finding::ok(Area::Versions, "what is installed", found)
}

fn stops(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((path, reason)) = &facts.stop_file {
        let mend = format!("rm {}; wicapctl resume --all", word(&path.display().to_string()));
        let found = format!("{} stops everything on this host: {reason}", path.display());
        findings.push(Finding::fail(Area::Stops, "the stop file", found, mend));
    }
    for stop in facts.objects.iter().flat_map(|o| &o.stops) {
        let (name, spec) = (stop.name(), &stop.spec);
        let (whom, mend) = match name {
            ALL => ("every stack".to_owned(), "wicapctl resume --all".to_owned()),
            name => (format!("the stack {name}"), format!("wicapctl resume {}", word(name))),
        };
        let since = stop.metadata.creation_timestamp.as_ref().map(|t| since(t.0)).unwrap_or_default();
        let found = format!("{whom} is stopped{since} by {}: {}", spec.by, spec.reason);
        findings.push(Finding::warn(Area::Stops, format!("EmergencyStop {name}"), found, mend));
    }
    if findings.is_empty() && facts.objects.is_ok() {
        findings.push(Finding::ok(Area::Stops, "emergency stops", "none holds"));
    }
    findings
}

fn since(at: Time) -> String {
    format!(" since {at:.0}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::facts::Space;
    use super::super::facts::fixtures::{file, now, object, objects, well};
    use super::super::finding::Outcome;
    use super::*;
    use crate::observe::engine::EngineClock;

    fn of(area: Area, change: impl FnOnce(&mut Facts)) -> Outcome {
        let mut facts = well();
        change(&mut facts);
        judge(&facts).into_iter().filter(|f| f.area == area).map(|f| f.result).max().unwrap()
    }

    #[test]
    fn a_file_that_others_may_write_fails_and_one_that_they_may_read_is_told() {
        for (mode, may, expected) in [
            (0o700, 0o755, Outcome::Ok),
            (0o755, 0o755, Outcome::Ok),
            (0o770, 0o755, Outcome::Fail),
            (0o777, 0o755, Outcome::Fail),
            (0o644, 0o600, Outcome::Warn),
            (0o600, 0o600, Outcome::Ok),
            (0o620, 0o600, Outcome::Fail),
        ] {
            let found = of(Area::Permissions, |f| (f.files[0].may, f.files[0].found) = (may, Ok(Some(file(mode)))));
            assert_eq!(found, expected, "{mode:o} {may:o}");
        }
        assert_eq!(of(Area::Permissions, |f| f.files[0].found = Ok(None)), Outcome::Ok);
        assert_eq!(of(Area::Permissions, |f| f.files[0].found = Err("no".to_owned())), Outcome::Warn);
    }

    #[test]
    fn a_disk_is_judged_by_its_share_and_by_what_is_left() {
        let gib = 1 << 30;
        for (total, free, files_free, read_only, expected) in [
            (100 * gib, 20 * gib, None, false, Outcome::Ok),
            (100 * gib, 9 * gib, None, false, Outcome::Warn),
            (1000 * gib, 100 * gib, None, false, Outcome::Ok),
            (100 * gib, gib - 1, None, false, Outcome::Fail),
            (10 * gib, 5 * gib, None, false, Outcome::Ok),
            (100 * gib, 50 * gib, Some(999), false, Outcome::Warn),
            (100 * gib, 50 * gib, Some(1000), false, Outcome::Ok),
            (100 * gib, 50 * gib, None, true, Outcome::Fail),
            (0, 0, None, false, Outcome::Ok),
        ] {
            let space = Space { total, free, files_free, read_only };
            assert_eq!(of(Area::Disk, |f| f.disks[0].space = Ok(space)), expected, "{space:?}");
        }
    }

    #[test]
    fn clocks_are_judged_to_the_second_and_a_slow_answer_is_no_skew() {
        let engine = |ms: i64, took: u64| {
            move |f: &mut Facts| {
                let shows = now() + jiff::SignedDuration::from_millis(ms);
                let clock = EngineClock { asked: now(), shows, took: Duration::from_millis(took) };
                f.docker.as_mut().unwrap().clock = Some(clock);
            }
        };
        for (ms, took, expected) in [
            (0, 0, Outcome::Ok),
            (1_999, 0, Outcome::Ok),
            (2_000, 0, Outcome::Warn),
            (-2_000, 0, Outcome::Warn),
            (4_000, 3_000, Outcome::Ok),
            (30_000, 0, Outcome::Fail),
            (-30_000, 0, Outcome::Fail),
        ] {
            assert_eq!(of(Area::Clocks, engine(ms, took)), expected, "{ms} {took}");
        }
        let heartbeat = |seconds: u64| {
            move |f: &mut Facts| {
                let at = after(now(), Duration::from_secs(seconds));
                objects(f).stacks[0].status.as_mut().unwrap().observed_at = Some(at);
            }
        };
        assert_eq!(of(Area::Clocks, heartbeat(1)), Outcome::Ok);
        assert_eq!(of(Area::Clocks, heartbeat(31)), Outcome::Fail);
        assert_eq!(of(Area::Clocks, |f| f.jumped = Duration::from_millis(501)), Outcome::Warn);
    }

    #[test]
    fn what_stops_everything_is_told_with_how_to_go_on() {
        assert_eq!(of(Area::Stops, |_| {}), Outcome::Ok);
        assert_eq!(of(Area::Stops, |f| f.stop_file = Some(("/d/STOP".into(), "fire".to_owned()))), Outcome::Fail);
        let stop = object("EmergencyStop", "all", json!({"reason": "fire", "by": "ann@h"}));
        assert_eq!(of(Area::Stops, |f| objects(f).stops = vec![stop]), Outcome::Warn);
    }
}
