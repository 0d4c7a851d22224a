//! Whether every controller is led by somebody, and whether every stack is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::api::stack::{HEARTBEAT, WicapStack};
use crate::api::{Object, condition, elapsed};
use crate::controllers::Controller;

use super::facts::Facts;
use super::finding::{Area, Finding};
use crate::cli::called::word;

/// A heartbeat that is later was missed once: half a heartbeat for what it takes to look and to write.
const LATE: Duration = Duration::from_secs(HEARTBEAT.as_secs() * 3 / 2);

/// A stack that was seen longer ago counts as Unknown, and nothing is done about it (docs/how-it-works.md).
const STALE: Duration = HEARTBEAT.saturating_mul(3);

/// Whether a controller is elected on each host, for the stacks of that host.
#[must_use]
pub fn is_per_host(controller: Controller) -> bool {
    use Controller as C;
    matches!(controller, C::Observer | C::Actuator | C::Soak | C::Signals | C::Snapshot)
}

/// The names under which a controller is elected, where stacks are on these hosts.
#[must_use]
pub fn leaders_of(controller: Controller, hosts: &[&str]) -> Vec<String> {
    if is_per_host(controller) {
        hosts.iter().map(|host| format!("{controller}.{host}")).collect()
    } else {
        vec![controller.to_string()]
    }
}

/// Judges them.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let (Ok(store), Ok(objects)) = (&facts.store, &facts.objects) else { return Vec::new() };
    let hosts: BTreeSet<&str> = objects.stacks.iter().map(|stack| stack.spec.host.as_str()).collect();
    let led: BTreeSet<&str> = store.leaders.iter().map(|leader| leader.controller.as_str()).collect();
    let mut findings = leading(facts, &hosts, &led);
    findings.extend(elsewhere(&hosts, &led));
    findings.extend(objects.stacks.iter().map(|stack| heartbeat(stack, facts)));
    findings
}

/// What is led by nobody, a finding for each place where it would run.
fn leading(facts: &Facts, hosts: &BTreeSet<&str>, led: &BTreeSet<&str>) -> Vec<Finding> {
    let hosts: Vec<&str> = hosts.iter().copied().collect();
    let mut missing: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    let mut wanted = 0;
    for controller in Controller::ALL {
        let places: Vec<Option<&str>> =
            if is_per_host(controller) { hosts.iter().copied().map(Some).collect() } else { vec![None] };
        for (name, place) in leaders_of(controller, &hosts).into_iter().zip(places) {
            wanted += 1;
            if !led.contains(name.as_str()) {
                missing.entry(place).or_default().push(controller.as_str());
            }
        }
    }
    let absent: usize = missing.values().map(Vec::len).sum();
    let checked = "every one is led by somebody";
    if absent == 0 {
        let processes: BTreeSet<&str> =
            facts.store.iter().flat_map(|s| &s.leaders).map(|leader| leader.identity.as_str()).collect();
        let found = format!("{wanted} are, by {}", processes.into_iter().collect::<Vec<_>>().join(", "));
        return vec![Finding::ok(Area::Controllers, checked, found)];
    }
    let store = if facts.meant.url == "embedded" { String::new() } else { format!(" --store {}", word(&facts.meant.url)) };
    if absent == wanted {
        let host = hosts.first().map(|host| format!(" --host {}", word(host))).unwrap_or_default();
        let mend = format!("wicapd run{store}{host}");
        return vec![Finding::fail(Area::Controllers, checked, "nobody leads any: no wicapd runs them", mend)];
    }
    missing
        .into_iter()
        .map(|(place, names)| {
            let at = place.map(|host| format!(" on {host}")).unwrap_or_default();
            let host = place.map(|host| format!(" --host {}", word(host))).unwrap_or_default();
            let found = format!("nobody leads {}", names.join(", "));
            let mend = format!("wicapd run{store}{host} --controllers {}", names.join(","));
            Finding::fail(Area::Controllers, format!("{checked}{at}"), found, mend)
        })
        .collect()
}

/// Hosts that are served and that no stack is on: most likely one of the two names is wrong.
fn elsewhere(hosts: &BTreeSet<&str>, led: &BTreeSet<&str>) -> Vec<Finding> {
    let observed = led.iter().filter_map(|name| name.strip_prefix("observer."));
    observed
        .filter(|host| !hosts.contains(host) && !hosts.is_empty())
        .map(|host| {
            let named = hosts.iter().copied().collect::<Vec<_>>().join(", ");
            let found = format!("an observer serves {host}, and stacks name {named}");
            let mend = format!("wicapd run --host with that name, or spec.host: {host} in the stack's manifest");
            Finding::warn(Area::Controllers, format!("the host {host} has a stack"), found, mend)
        })
        .collect()
}

fn heartbeat(stack: &WicapStack, facts: &Facts) -> Finding {
    let (name, host) = (stack.name(), &stack.spec.host);
    let checked = format!("the stack {name} is observed");
    let mend = format!("see what wicapd on {host} says: journalctl -u wicapd -n 50; wicapctl describe stack {}", word(name));
    let status = stack.status.clone().unwrap_or_default();
    let Some(at) = status.observed_at else {
        return Finding::fail(Area::Controllers, checked, format!("it was never looked at on {host}"), mend);
    };
    let ago = elapsed(at, facts.now);
    let found = format!("looked at on {host} {} s ago", ago.as_secs());
    let observed = condition::get(&status.conditions, condition::OBSERVED);
    if ago > STALE {
        Finding::fail(Area::Controllers, checked, format!("{found}: nothing is done about it"), mend)
    } else if let Some(silent) = observed.filter(|c| c.status != "True") {
        Finding::fail(Area::Controllers, checked, format!("{found}, and {}: {}", silent.reason, silent.message), mend)
    } else if ago > LATE {
        Finding::warn(Area::Controllers, checked, found, mend)
    } else {
        Finding::ok(Area::Controllers, checked, found)
    }
}

#[cfg(test)]
mod tests {
    use crate::api::after;

    use super::super::facts::fixtures::{now, objects, stack, well};
    use super::super::finding::Outcome;
    use super::*;

    fn troubles(change: impl FnOnce(&mut Facts)) -> Vec<(Outcome, String, String)> {
        let mut facts = well();
        change(&mut facts);
        let all = judge(&facts).into_iter().filter(|f| f.result != Outcome::Ok);
        all.map(|f| (f.result, f.found, f.mend.unwrap_or_default())).collect()
    }

    fn without(names: &'static [&str]) -> impl FnOnce(&mut Facts) {
        move |facts| facts.store.as_mut().unwrap().leaders.retain(|l| !names.contains(&l.controller.as_str()))
    }

    #[test]
    fn where_all_are_led_nothing_is_told() {
        assert_eq!(troubles(|_| {}), []);
    }

    #[test]
    fn what_nobody_leads_is_one_finding_a_place() {
        let found = troubles(without(&["planner", "gc", "observer.h"]));
        let mends: Vec<&str> = found.iter().map(|(.., mend)| mend.as_str()).collect();
        assert_eq!(mends, ["wicapd run --controllers planner,gc", "wicapd run --host h --controllers observer"]);
        let found = troubles(|f| f.store.as_mut().unwrap().leaders.clear());
        let [(Outcome::Fail, why, mend)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((why.as_str(), mend.as_str()), ("nobody leads any: no wicapd runs them", "wicapd run --host h"));
    }

    #[test]
    fn a_host_that_no_stack_names_is_told_beside_the_one_that_is_missing() {
        let found = troubles(|f| objects(f).stacks[0].spec.host = "web1".to_owned());
        assert!(
            found
                .iter()
                .any(|(result, found, _)| *result == Outcome::Fail && found.contains("nobody leads observer, actuator"))
        );
        assert!(found.iter().any(|(result, found, _)| {
            *result == Outcome::Warn && found == "an observer serves h, and stacks name web1"
        }));
    }

    #[test]
    fn a_heartbeat_is_late_after_one_and_a_half_and_stale_after_three() {
        for (seconds, expected) in
            [(45, None), (46, Some(Outcome::Warn)), (90, Some(Outcome::Warn)), (91, Some(Outcome::Fail))]
        {
            let found = troubles(|f| f.now = after(now() - HEARTBEAT / 2, Duration::from_secs(seconds)));
            assert_eq!(found.first().map(|f| f.0), expected, "{seconds}");
        }
        let never = troubles(|f| objects(f).stacks[0].status = None);
        assert_eq!(never[0].1, "it was never looked at on h");
    }

    #[test]
    fn an_engine_that_is_silent_is_told_in_its_words() {
        let found = troubles(|f| {
            let mut silent = stack("wicap");
            let conditions = &mut silent.status.as_mut().unwrap().conditions;
            let unknown = condition::Status::Unknown;
            condition::set(conditions, condition::OBSERVED, unknown, "EngineSilent", "no socket", None, now());
            objects(f).stacks = vec![silent];
        });
        assert!(found[0].1.ends_with("and EngineSilent: no socket"), "{found:?}");
    }
}
