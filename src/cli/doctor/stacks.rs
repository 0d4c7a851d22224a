//! Whether what stacks name is on this host's disk, where policies let it be, and whether soak runs can do what they are
//! for.

use std::path::{Path, PathBuf};

use crate::api::session::ControlSession;
use crate::api::soak::{SoakPhase, SoakRun};
use crate::api::{Object, Time};
use crate::soak::permit;

use super::facts::{Facts, Gathered, Objects, Project};
use super::finding::{Area, Finding};
use super::policies::is_open;
use crate::cli::called::word;

/// Judges them.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let Ok(objects) = &facts.objects else { return Vec::new() };
    let mut findings = Vec::new();
    match &facts.projects {
        Err(why) => {
            findings.push(Finding::warn(Area::Stacks, "their compose files", why.clone(), "wicapctl get stacks -o wide"));
        }
        Ok(projects) => findings.extend(projects.iter().map(|project| on_disk(project, objects, &facts.roots))),
    }
    let others = objects.stacks.iter().filter(|stack| stack.spec.host != facts.who.host);
    findings.extend(others.map(|stack| {
        let (name, host) = (stack.name(), &stack.spec.host);
        let found = format!("they are on {host}, and were not looked at: wicapctl doctor there looks at them");
        Finding::ok(Area::Stacks, format!("the files of the stack {name}"), found)
    }));
    let running = |run: &&SoakRun| !run.spec.abort && run.status.as_ref().is_none_or(|s| s.phase != SoakPhase::Completed);
    findings.extend(objects.soaks.iter().filter(running).filter_map(|run| soak(run, "SoakRun", None, objects)));
    for schedule in objects.schedules.iter().filter(|schedule| !schedule.spec.suspend) {
        let run = SoakRun::new(schedule.name(), schedule.spec.run_template.spec.clone());
        let next = schedule.status.as_ref().and_then(|s| s.next_schedule_time);
        findings.extend(soak(&run, "ScheduledSoak", next, objects));
    }
    findings
}

fn on_disk(project: &Project, objects: &Objects, roots: &[(String, Gathered<PathBuf>)]) -> Finding {
    let name = &project.stack;
    let checked = format!("the files of the stack {name}");
    let edit = format!("wicapctl edit stack {}", word(name));
    let directory = match &project.directory {
        Ok(directory) => directory,
        Err(why) => return Finding::fail(Area::Stacks, checked, format!("spec.compose.directory: {why}"), edit),
    };
    if !project.unreadable.is_empty() {
        let each: Vec<String> = project.unreadable.iter().map(|(file, why)| format!("{file}: {why}")).collect();
        let found = format!("{}: {}", directory.display(), each.join("; "));
        let mend = format!("ls -l {}; {edit}", word(&directory.display().to_string()));
        return Finding::fail(Area::Stacks, checked, found, mend);
    }
    let holds = |written: &String| {
        let resolved = roots.iter().find(|(root, _)| root == written).and_then(|(_, found)| found.as_ref().ok());
        resolved.is_some_and(|root: &PathBuf| directory.starts_with(Path::new(root)))
    };
    match objects.policies.iter().find(|policy| !policy.spec.allowed_roots.iter().any(holds)) {
        Some(policy) => {
            let found = format!("{} is under no spec.allowedRoots of ControlPolicy {}", directory.display(), policy.name());
            let mend = format!("wicapctl edit policy {}: add a directory that holds it", word(policy.name()));
            Finding::fail(Area::Stacks, checked, found, mend)
        }
        None => Finding::ok(Area::Stacks, checked, format!("{} is there and allowed", directory.display())),
    }
}

/// What keeps a soak run from doing what it is for; `next` is when one by the clock is due.
fn soak(run: &SoakRun, kind: &str, next: Option<Time>, objects: &Objects) -> Option<Finding> {
    let checked = format!("{kind} {} has a session that lets it run", run.name());
    let start = format!("wicapctl session start {}", word(&run.spec.stack));
    let Some(stack) = objects.stacks.iter().find(|stack| stack.name() == run.spec.stack) else {
        let found = format!("there is no stack {}", run.spec.stack);
        return Some(Finding::fail(Area::Policies, checked, found, "wicapctl get stacks"));
    };
    let needed = permit::session(run, stack, "", "").spec.allowed_actions;
    if needed.is_empty() {
        return None;
    }
    let names =
        |actions: &[crate::api::action::ActionKind]| actions.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(",");
    let needs = format!("it needs {}", names(&needed));
    let Some(name) = run.spec.session.as_deref() else {
        let mend =
            format!("name one in spec.session, or start it with wicapctl soak start; {start} --allow {}", names(&needed));
        return Some(Finding::fail(Area::Policies, checked, format!("{needs}, and spec.session names none"), mend));
    };
    // A name is taken for as long as its object is there, ended or not, and an extension has another one.
    let mend = if objects.sessions.iter().any(|s| s.name() == name) {
        format!("{start} --allow {}, and name that one in the spec.session of {kind} {}", names(&needed), run.name())
    } else {
        format!("{start} --name {} --allow {}", word(name), names(&needed))
    };
    let open: Option<&ControlSession> = objects.sessions.iter().find(|s| s.name() == name && is_open(s));
    let Some(session) = open else {
        let found = format!("{needs}, and no session {name} is open");
        // For a run of tomorrow it can still be opened.
        return Some(match next {
            Some(at) => Finding::warn(Area::Policies, checked, format!("{found}; it is due at {at:.0}"), mend),
            None if run.spec.suspend => Finding::warn(Area::Policies, checked, format!("{found}; it is suspended"), mend),
            None => Finding::fail(Area::Policies, checked, found, mend),
        });
    };
    let missing: Vec<_> = needed.into_iter().filter(|action| !session.spec.allowed_actions.contains(action)).collect();
    if !missing.is_empty() || !session.spec.mode.acts() {
        let lacks = if missing.is_empty() {
            format!("is {:?}", session.spec.mode)
        } else {
            format!("does not list {}", names(&missing))
        };
        return Some(Finding::fail(Area::Policies, checked, format!("{needs}, and the session {name} {lacks}"), mend));
    }
    match (next, session.status.as_ref().and_then(|s| s.expires_at)) {
        (Some(next), Some(end)) if end <= next => {
            let found = format!("it is due at {next:.0}, and the session {name} ends at {end:.0}");
            Some(Finding::warn(Area::Policies, checked, found, mend))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::facts::fixtures::{object, objects, well};
    use super::super::finding::Outcome;
    use super::*;

    fn troubles(change: impl FnOnce(&mut Facts)) -> Vec<(Outcome, String)> {
        let mut facts = well();
        change(&mut facts);
        judge(&facts).into_iter().filter(|f| f.result != Outcome::Ok).map(|f| (f.result, f.found)).collect()
    }

    fn project(facts: &mut Facts) -> &mut Project {
        &mut facts.projects.as_mut().unwrap()[0]
    }

    #[test]
    fn a_project_that_is_there_and_allowed_is_well() {
        assert_eq!(troubles(|_| {}), []);
    }

    #[test]
    fn files_that_are_missing_or_elsewhere_fail() {
        for (found, expected) in [
            (troubles(|f| project(f).directory = Err("No such file".to_owned())), "spec.compose.directory: No such file"),
            (
                troubles(|f| project(f).unreadable = vec![("compose.yaml".to_owned(), "No such file".to_owned())]),
                "/srv/wicap: compose.yaml: No such file",
            ),
            (
                troubles(|f| project(f).directory = Ok("/srvx/wicap".into())),
                "/srvx/wicap is under no spec.allowedRoots of ControlPolicy one",
            ),
            (
                troubles(|f| f.roots[0].1 = Ok("/mnt/srv".into())),
                "/srv/wicap is under no spec.allowedRoots of ControlPolicy one",
            ),
            (
                troubles(|f| f.roots[0].1 = Err("gone".to_owned())),
                "/srv/wicap is under no spec.allowedRoots of ControlPolicy one",
            ),
        ] {
            assert_eq!(found, [(Outcome::Fail, expected.to_owned())]);
        }
    }

    #[test]
    fn a_stack_of_another_host_is_looked_at_there() {
        let mut facts = well();
        objects(&mut facts).stacks[0].spec.host = "web1".to_owned();
        facts.projects = Ok(Vec::new());
        let [finding] = &judge(&facts)[..] else { panic!("one finding") };
        assert!(finding.result == Outcome::Ok && finding.found.starts_with("they are on web1"), "{finding:?}");
    }

    fn run(session: Option<&str>) -> SoakRun {
        let mut spec = json!({"stack": "wicap", "duration": "1h", "duringSoak": "Recover",
            "checks": [{"name": "ui", "period": "30s", "httpGet": {"port": 80}}]});
        spec["session"] = json!(session);
        object("SoakRun", "soak", spec)
    }

    #[test]
    fn a_session_is_started_by_the_name_that_a_soak_has_for_it_only_where_that_name_is_free() {
        let mend = |session, next, change: fn(&mut Objects)| {
            let mut facts = well();
            let objects = objects(&mut facts);
            change(objects);
            soak(&run(Some(session)), "ScheduledSoak", next, objects).unwrap().mend.unwrap()
        };
        let free = mend("gone", None, |_| {});
        assert!(free.starts_with("wicapctl session start wicap --name gone --allow "), "{free}");
        let ends_too_early = |o: &mut Objects| {
            o.sessions[0].spec.allowed_actions = crate::api::action::ActionKind::ALL.into();
            o.sessions[0].status.as_mut().unwrap().expires_at = Some(Time::UNIX_EPOCH);
        };
        let ended = |o: &mut Objects| o.sessions[0].spec.end = true;
        for mend in [mend("night", None, ended), mend("night", Some(Time::UNIX_EPOCH), ends_too_early)] {
            assert!(mend.starts_with("wicapctl session start wicap --allow "), "{mend}");
            assert!(mend.ends_with(", and name that one in the spec.session of ScheduledSoak soak"), "{mend}");
        }
    }

    #[test]
    fn a_soak_that_its_session_would_not_let_run_is_told() {
        let with = |session: Option<&'static str>, change: fn(&mut Objects)| {
            troubles(|f| {
                objects(f).soaks = vec![run(session)];
                change(objects(f));
            })
        };
        assert_eq!(with(None, |_| {})[0].0, Outcome::Fail);
        assert!(with(None, |_| {})[0].1.ends_with("and spec.session names none"));
        assert!(with(Some("gone"), |_| {})[0].1.ends_with("and no session gone is open"));
        assert!(with(Some("night"), |_| {})[0].1.contains("and the session night does not list "));
        let all = |o: &mut Objects| o.sessions[0].spec.allowed_actions = crate::api::action::ActionKind::ALL.into();
        assert_eq!(with(Some("night"), all), []);
        let over = |o: &mut Objects| o.soaks[0].spec.abort = true;
        assert_eq!(with(Some("gone"), over), []);
    }
}
