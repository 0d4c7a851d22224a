//! Whether the store can be relied on.

use std::time::Duration;

use crate::api::{Duration as Written, elapsed};
use crate::cli::print::age::age;
use crate::store::embedded::Options;

use super::facts::{Facts, Meant, StoreFacts};
use super::finding::{Area, Finding, bytes};
use crate::cli::called::word;
use crate::store::health::Health;

/// A read that takes longer is slow: a get on the embedded store is promised within 20 ms, and another site's etcd is some
/// 50 ms away.
const SLOW: Duration = Duration::from_millis(100);

/// A read that takes longer makes leaders lose their leases: they are renewed every 1.5 s and live for 5 s, and a request is
/// given 5 s.
const TOO_SLOW: Duration = Duration::from_millis(1500);

/// The share of the quota, in a hundred, from which on a person has to see to it: at the whole of it every write is refused.
const FULL: u64 = 80;

/// The file is worth defragmenting when half of so many bytes or more is not used; what is smaller costs nobody anything.
const WORTH_DEFRAGMENTING: u64 = 256 * 1024 * 1024;

/// A copy that is older has missed two nights.
const STALE_BACKUP: Duration = Duration::from_secs(48 * 3600);

/// The oldest etcd that the system is tested with.
const OLDEST: (u64, u64) = (3, 5);

/// Judges the store.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let meant = &facts.meant;
    let shown = format!("{} ({})", meant.url, meant.reason);
    if let Err(why) = &facts.connection {
        let files: Vec<String> = meant.tls_files.iter().map(|path| word(&path.display().to_string())).collect();
        let mend = format!("ls -l {}; wicapctl config view", files.join(" "));
        return vec![Finding::fail(Area::Store, "its address and certificates can be used", why.clone(), mend)];
    }
    let store = match &facts.store {
        Err(why) => {
            let mend = if meant.local && why.contains("ermission denied") { rights(meant) } else { start(meant) };
            return vec![Finding::fail(Area::Store, "it answers", format!("{shown}: {why}"), mend)];
        }
        Ok(store) => store,
    };
    let mut findings = vec![latency(store, &shown)];
    match &store.health {
        Ok(health) => findings.extend(state(health, meant)),
        Err(why) => findings.push(Finding::ok(Area::Store, "its own state", format!("only its root may ask: {why}"))),
    }
    findings.extend(transport(meant));
    findings.push(backup(facts));
    findings
}

/// How to be let in.
fn rights(meant: &Meant) -> String {
    let place = meant.url.strip_prefix("unix://").map_or_else(|| meant.data_dir.display().to_string(), str::to_owned);
    format!("sudo wicapctl …, or have it served to a group of yours with wicapd --socket-group (ls -ld {})", word(&place))
}

/// How to bring the store up, or to name the one that is meant.
fn start(meant: &Meant) -> String {
    match meant.url.as_str() {
        "embedded" if meant.of_root.is_some() => {
            let theirs = meant.of_root.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            format!(
                "wicapctl --store unix://{0} if root's is meant (wicapctl config set-context root --store unix://{0})",
                word(&theirs)
            )
        }
        "embedded" => format!("wicapd run --data-dir {}", word(&meant.data_dir.display().to_string())),
        url if meant.local => format!("wicapd store --listen {}", word(url)),
        url => format!("etcdctl --endpoints {} endpoint health", word(url)),
    }
}

fn latency(store: &StoreFacts, shown: &str) -> Finding {
    let mut reads = store.reads.clone();
    reads.sort_unstable();
    let median = reads.get(reads.len() / 2).copied().unwrap_or_default();
    let worst = reads.last().copied().unwrap_or_default();
    let found =
        format!("{shown}: {:.1} ms at the median of {} reads, {:.1} ms at worst", ms(median), reads.len(), ms(worst));
    let mend = "wicapctl top controllers; look at the load and the disk of the store's host (iostat -x 1)";
    match median {
        m if m >= TOO_SLOW => Finding::fail(Area::Store, "it answers in time", found, mend),
        m if m >= SLOW => Finding::warn(Area::Store, "it answers in time", found, mend),
        _ => Finding::ok(Area::Store, "it answers in time", found),
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn state(health: &Health, meant: &Meant) -> Vec<Finding> {
    let etcdctl = format!("etcdctl --endpoints {}", word(&endpoints(meant)));
    let mut findings = Vec::new();
    let version = format!("etcd {}", health.version);
    findings.push(match parts(&health.version) {
        Some(found) if found < OLDEST => {
            let mend = format!("update the etcd to {}.{} or later", OLDEST.0, OLDEST.1);
            Finding::warn(Area::Store, "its version", version, mend)
        }
        Some(_) => Finding::ok(Area::Store, "its version", version),
        None => Finding::warn(Area::Store, "its version", format!("{version:?} is no version"), "etcdctl endpoint status"),
    });
    if !health.has_leader {
        let mend = format!("{etcdctl} endpoint status --cluster -w table");
        findings.push(Finding::fail(Area::Store, "it has a leader", "none: it takes no write", mend));
    }
    let quota = health.quota.unwrap_or(Options::default().quota_bytes);
    let (used, most) = (bytes(health.bytes), bytes(quota));
    let shown = if health.quota.is_some() { most } else { format!("{most}, unless it was given another") };
    let found = format!("{used} of {shown}");
    let mend = format!("{etcdctl} defrag; or give it more with --quota-bytes (wicapd), --quota-backend-bytes (etcd)");
    let part = u128::from(health.bytes) * 100 / u128::from(quota.max(1));
    let unused = health.bytes.saturating_sub(health.bytes_used);
    findings.push(if part >= u128::from(FULL) {
        Finding::warn(Area::Store, "its space", found, mend)
    } else if health.bytes_used > 0 && health.bytes >= WORTH_DEFRAGMENTING && unused > health.bytes / 2 {
        let found = format!("{found}, of which {} are not used", bytes(unused));
        Finding::warn(Area::Store, "its space", found, format!("{etcdctl} defrag"))
    } else {
        Finding::ok(Area::Store, "its space", found)
    });
    findings.push(if health.errors.is_empty() {
        Finding::ok(Area::Store, "its alarms", "none")
    } else {
        let mend = format!("{etcdctl} defrag && {etcdctl} alarm disarm");
        Finding::fail(Area::Store, "its alarms", health.errors.join("; "), mend)
    });
    findings
}

/// Where `etcdctl` reaches it.
fn endpoints(meant: &Meant) -> String {
    if meant.url == "embedded" { format!("unix://{}/store.sock", meant.data_dir.display()) } else { meant.url.clone() }
}

/// Major and minor number of a version.
fn parts(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether somebody on the way could read and change what is sent.
fn transport(meant: &Meant) -> Option<Finding> {
    let hosts = meant.url.split(',').filter_map(|part| part.strip_prefix("http://"));
    let open: Vec<&str> = hosts.filter(|host| !is_loopback(host)).collect();
    let first = open.first()?;
    let found = format!("{first} is spoken to in the clear: who is on the way can read all and act as anybody");
    let mend = "give etcd certificates, and name it with https://… (docs/operating.md, Users and roles of an etcd)";
    Some(Finding::warn(Area::Store, "who can listen", found, mend))
}

/// Whether `HOST[:PORT][/PATH]` does not leave this machine.
fn is_loopback(host: &str) -> bool {
    let host = host.split('/').next().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn backup(facts: &Facts) -> Finding {
    let (checked, meant) = ("its newest copy", &facts.meant);
    let directory = meant.backups.display();
    let file = format!("{directory}/store-$(date +%F).db");
    let quoted = if word(&directory.to_string()) == directory.to_string() { file.clone() } else { format!("\"{file}\"") };
    let made = word(&directory.to_string());
    let mend = format!("mkdir -p {made} && wicapctl store snapshot {quoted}; or say --backups DIR where yours are");
    match &facts.backup {
        Err(why) => Finding::warn(Area::Store, checked, format!("{directory}: {why}"), mend),
        Ok(None) if !meant.local => {
            Finding::ok(Area::Store, checked, format!("none in {directory}: that of an etcd is made where it runs"))
        }
        Ok(None) => Finding::warn(Area::Store, checked, format!("there is none in {directory}"), mend),
        Ok(Some(backup)) => {
            let found = format!("{}, {} old", backup.file.display(), age(backup.written, facts.now));
            if elapsed(backup.written, facts.now) > STALE_BACKUP {
                let found = format!("{found}, more than {}", Written::from(STALE_BACKUP));
                Finding::warn(Area::Store, checked, found, mend)
            } else {
                Finding::ok(Area::Store, checked, found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::Backup;
    use super::super::facts::fixtures::{now, well};
    use super::super::finding::Outcome;
    use super::*;

    fn judged(change: impl FnOnce(&mut Facts)) -> Vec<(String, Outcome)> {
        let mut facts = well();
        change(&mut facts);
        judge(&facts).into_iter().map(|f| (f.checked, f.result)).collect()
    }

    fn health(change: impl FnOnce(&mut Health)) -> impl FnOnce(&mut Facts) {
        |facts| change(facts.store.as_mut().unwrap().health.as_mut().unwrap())
    }

    #[test]
    fn a_store_that_is_well_is_well_in_all() {
        assert!(judged(|_| {}).iter().all(|(_, result)| *result == Outcome::Ok));
    }

    #[test]
    fn one_that_does_not_answer_is_one_finding_and_says_how_to_start_it() {
        let mut facts = well();
        facts.store = Err("no such file".to_owned());
        let [finding] = &judge(&facts)[..] else { panic!("one finding") };
        assert_eq!(finding.result, Outcome::Fail);
        assert_eq!(finding.mend.as_deref(), Some("wicapd run --data-dir /var/lib/wicap"));
    }

    #[test]
    fn who_is_not_let_in_or_looks_into_the_wrong_directory_is_told_so() {
        let mended = |why: &str, of_root: Option<&str>| {
            let mut facts = well();
            facts.store = Err(why.to_owned());
            facts.meant.of_root = of_root.map(Into::into);
            judge(&facts)[0].mend.clone().unwrap()
        };
        assert!(mended("Permission denied (os error 13)", None).contains("--socket-group (ls -ld /var/lib/wicap)"));
        assert!(mended("No such file", Some("/r/store.sock")).starts_with("wicapctl --store unix:///r/store.sock if"));
        assert!(mended("No such file", None).starts_with("wicapd run"));
    }

    #[test]
    fn certificates_that_cannot_be_read_are_told_apart_from_a_store_that_does_not_answer() {
        let mut facts = well();
        facts.connection = Err("/ca.pem: No such file".to_owned());
        facts.store = Err("/ca.pem: No such file".to_owned());
        facts.meant.tls_files = vec!["/ca.pem".into(), "/c.pem".into()];
        let [finding] = &judge(&facts)[..] else { panic!("one finding") };
        assert_eq!(finding.mend.as_deref(), Some("ls -l /ca.pem /c.pem; wicapctl config view"));
    }

    #[test]
    fn each_trouble_is_told_at_its_bound_and_not_before() {
        type Change = Box<dyn FnOnce(&mut Facts)>;
        let reads = |ms: u64| -> Change {
            Box::new(move |f: &mut Facts| f.store.as_mut().unwrap().reads = vec![Duration::from_millis(ms); 3])
        };
        let quota = Options::default().quota_bytes;
        let size = |bytes: u64, used: u64| -> Change { Box::new(health(move |h| (h.bytes, h.bytes_used) = (bytes, used))) };
        let old = |seconds: u64| -> Change {
            Box::new(move |f: &mut Facts| {
                f.backup = Ok(Some(Backup { file: "/b".into(), written: now() - Duration::from_secs(seconds) }));
            })
        };
        let version = |v: &'static str| -> Change { Box::new(health(move |h| h.version = v.to_owned())) };
        let (two_days, half) = (STALE_BACKUP.as_secs(), WORTH_DEFRAGMENTING / 2);
        for (what, change, checked, expected) in [
            ("99 ms", reads(99), "it answers in time", Outcome::Ok),
            ("100 ms", reads(100), "it answers in time", Outcome::Warn),
            ("1500 ms", reads(1500), "it answers in time", Outcome::Fail),
            ("79 %", size(quota / 100 * 79, quota / 100 * 79), "its space", Outcome::Ok),
            ("80 %", size(quota.div_ceil(100) * 80, quota), "its space", Outcome::Warn),
            ("half unused", size(WORTH_DEFRAGMENTING, half), "its space", Outcome::Ok),
            ("more unused", size(WORTH_DEFRAGMENTING, half - 1), "its space", Outcome::Warn),
            ("small", size(1000, 1), "its space", Outcome::Ok),
            ("two days", old(two_days), "its newest copy", Outcome::Ok),
            ("and a second", old(two_days + 1), "its newest copy", Outcome::Warn),
            ("no copy", Box::new(|f: &mut Facts| f.backup = Ok(None)), "its newest copy", Outcome::Warn),
            ("3.4", version("3.4.42"), "its version", Outcome::Warn),
            ("3.10", version("3.10.0"), "its version", Outcome::Ok),
            ("no version", version("soon"), "its version", Outcome::Warn),
            ("alarm", Box::new(health(|h| h.errors.push("NOSPACE".to_owned()))), "its alarms", Outcome::Fail),
            ("no leader", Box::new(health(|h| h.has_leader = false)), "it has a leader", Outcome::Fail),
        ] {
            let judged = judged(change);
            assert!(judged.contains(&(checked.to_owned(), expected)), "{what}: {judged:?}");
        }
    }

    #[test]
    fn what_leaves_the_machine_in_the_clear_is_told() {
        for (url, expected) in [
            ("http://127.0.0.1:2379", false),
            ("http://[::1]:2379/x", false),
            ("http://localhost:2379", false),
            ("https://etcd:2379", false),
            ("unix:///x", false),
            ("http://etcd:2379", true),
            ("http://127.0.0.1:1,http://10.0.0.1:1", true),
        ] {
            let told = judged(|f| f.meant.url = url.to_owned()).iter().any(|(checked, _)| checked == "who can listen");
            assert_eq!(told, expected, "{url}");
        }
    }
}
