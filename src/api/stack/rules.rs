//! The rules of a stack: what its schema cannot say.

mod probe;

use std::collections::HashSet;

pub(in crate::api) use probe::validate_http;

use super::job::validate_jobs;
use super::logs;
use super::{LadderStep, MAX_CONCURRENT, Recovery, STARTS_KEPT, STARTS_WINDOW, ServiceSpec, WicapStack, WicapStackSpec};
use crate::api::action::ActionKind;
use crate::api::validate::{Check, quoted};
use crate::api::{Object, Violation, stop};

impl Object for WicapStack {
    const AUDITED_STATUS: bool = false;

    fn validate(&self) -> Vec<Violation> {
        let spec = &self.spec;
        let mut check = Check::new();
        check.that(
            self.name() != stop::ALL,
            "metadata.name",
            quoted(self.name()),
            "another name: an EmergencyStop \"all\" means every stack",
        );
        check.object_name("spec.host", &spec.host);
        check.project("spec.compose.project", &spec.compose.project);
        check.directory("spec.compose.directory", &spec.compose.directory);
        check.that(!spec.compose.files.is_empty(), "spec.compose.files", "an empty list", "at least one compose file");
        for (i, file) in spec.compose.files.iter().enumerate() {
            check.inner_path(&format!("spec.compose.files[{i}]"), file);
        }
        for (i, file) in spec.compose.env_files.iter().enumerate() {
            check.inner_path(&format!("spec.compose.envFiles[{i}]"), file);
        }
        for (i, profile) in spec.compose.profiles.iter().enumerate() {
            check.service(&format!("spec.compose.profiles[{i}]"), profile);
        }
        check.that(!spec.services.is_empty(), "spec.services", "an empty list", "at least one service");
        let mut seen = HashSet::new();
        for (i, service) in spec.services.iter().enumerate() {
            let path = format!("spec.services[{i}]");
            check.service(&format!("{path}.name"), &service.name);
            check.that(
                seen.insert(service.name.as_str()),
                format!("{path}.name"),
                format!("{} a second time", quoted(&service.name)),
                "each service once",
            );
            for (j, dependency) in service.depends_on.iter().enumerate() {
                check.that(
                    spec.service(dependency).is_some() && *dependency != service.name,
                    format!("{path}.dependsOn[{j}]"),
                    quoted(dependency),
                    "the name of another service in spec.services",
                );
            }
            probe::validate_probes(&mut check, &path, &service.probes);
            if let Some(recovery) = &service.recovery {
                validate_recovery(&mut check, &format!("{path}.recovery"), recovery, spec);
            }
        }
        logs::validate(&mut check, "spec.logs", &spec.logs);
        validate_jobs(&mut check, &spec.jobs);
        validate_recovery(&mut check, "spec.defaults.recovery", &spec.defaults.recovery, spec);
        check.that(
            (1..=MAX_CONCURRENT).contains(&spec.defaults.max_concurrent),
            "spec.defaults.maxConcurrent",
            spec.defaults.max_concurrent.to_string(),
            format!("a number from 1 to {MAX_CONCURRENT}"),
        );
        if let Some(maintenance) = &spec.maintenance {
            check.text("spec.maintenance.reason", &maintenance.reason, 1024);
            for (i, service) in maintenance.services.iter().enumerate() {
                check.that(
                    spec.service(service).is_some(),
                    format!("spec.maintenance.services[{i}]"),
                    quoted(service),
                    "the name of a service in spec.services",
                );
            }
        }
        if let Some(cycle) = cycle(&spec.services) {
            check.that(false, "spec.services", format!("a cycle of dependencies {}", cycle.join(" -> ")), "no cycle");
        }
        check.finish()
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        check.that(
            self.spec.compose.project == old.spec.compose.project,
            "spec.compose.project",
            quoted(&self.spec.compose.project),
            format!("{} (the field is immutable: containers are found by it)", quoted(&old.spec.compose.project)),
        );
        check.finish()
    }
}

/// The rules of recovery at `path`. Services that a step names must be among the stack's.
fn validate_recovery(check: &mut Check, path: &str, recovery: &Recovery, stack: &WicapStackSpec) {
    check.not_negative(&format!("{path}.holdOff"), recovery.hold_off);
    check.not_negative(&format!("{path}.resetAfter"), recovery.reset_after);
    check.not_negative(&format!("{path}.backoff.initial"), recovery.backoff.initial);
    check.not_negative(&format!("{path}.backoff.max"), recovery.backoff.max);
    let flapping = &recovery.flapping;
    check.that(
        (2..=STARTS_KEPT).contains(&(flapping.starts as usize)),
        format!("{path}.flapping.starts"),
        flapping.starts.to_string(),
        format!("a number from 2 to {STARTS_KEPT}"),
    );
    check.positive(&format!("{path}.flapping.within"), flapping.within);
    check.that(
        flapping.within.to_std() <= STARTS_WINDOW,
        format!("{path}.flapping.within"),
        format!("\"{}\"", flapping.within),
        "at most \"1h\": earlier starts are not remembered",
    );
    for (i, step) in recovery.ladder.iter().enumerate() {
        let path = format!("{path}.ladder[{i}]");
        validate_step(check, &path, step, stack);
        check.that(
            step.action.can_mend(),
            format!("{path}.action"),
            step.action.as_str(),
            "one of start_service, restart_service, compose_up, recreate_service, status_check",
        );
    }
    validate_rollback(check, path, &recovery.rollback, stack);
}

/// The rules of a rollback. What takes the whole project down cannot spare a service that is never to be touched.
fn validate_rollback(check: &mut Check, path: &str, rollback: &[LadderStep], stack: &WicapStackSpec) {
    let spared = stack.services.iter().find(|s| !s.managed);
    for (i, step) in rollback.iter().enumerate() {
        let path = format!("{path}.rollback[{i}]");
        validate_step(check, &path, step, stack);
        check.that(
            step.action.can_roll_back(),
            format!("{path}.action"),
            step.action.as_str(),
            "one of start_service, restart_service, stop_service, compose_up, compose_down, recreate_service, status_check",
        );
        if let Some(service) = spared.filter(|_| step.action == ActionKind::ComposeDown) {
            let found = format!("compose_down, and {} has managed: false", quoted(&service.name));
            check.that(false, format!("{path}.action"), found, "another action: it would take that service down too");
        }
    }
}

fn validate_step(check: &mut Check, path: &str, step: &LadderStep, stack: &WicapStackSpec) {
    check.that(step.attempts > 0, format!("{path}.attempts"), "0", "a number of 1 or more");
    if let Some(after) = step.after {
        check.not_negative(&format!("{path}.after"), after);
    }
    if let Some(timeout) = step.timeout {
        check.action_timeout(&format!("{path}.timeout"), timeout);
    }
    check.services(&format!("{path}.services"), step.action, &step.services);
    for (i, service) in step.services.iter().enumerate() {
        check.that(
            stack.service(service).is_some_and(|s| s.managed),
            format!("{path}.services[{i}]"),
            quoted(service),
            "the name of a service in spec.services that is managed",
        );
    }
}

/// A cycle among declared dependencies, as the names along it.
fn cycle(services: &[ServiceSpec]) -> Option<Vec<String>> {
    fn visit<'a>(name: &'a str, services: &'a [ServiceSpec], trail: &mut Vec<&'a str>, done: &mut HashSet<&'a str>) -> bool {
        if let Some(start) = trail.iter().position(|n| *n == name) {
            trail.drain(..start);
            trail.push(name);
            return true;
        }
        if !done.contains(name)
            && let Some(service) = services.iter().find(|s| s.name == name)
        {
            trail.push(name);
            if service.depends_on.iter().any(|d| visit(d, services, trail, done)) {
                return true;
            }
            trail.pop();
            done.insert(name);
        }
        false
    }
    let mut done = HashSet::new();
    services.iter().find_map(|service| {
        let mut trail = Vec::new();
        visit(&service.name, services, &mut trail, &mut done).then(|| trail.into_iter().map(str::to_owned).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stack(spec: serde_json::Value) -> WicapStack {
        serde_json::from_value(
            json!({"apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"}, "spec": spec}),
        )
        .unwrap()
    }

    fn paths(stack: &WicapStack) -> Vec<String> {
        stack.validate().into_iter().map(|v| v.path).collect()
    }

    #[test]
    fn the_smallest_stack_is_valid_and_filled_with_defaults() {
        let s = stack(json!({"compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}]}));
        assert_eq!(paths(&s), Vec::<String>::new());
        assert_eq!(s.spec.host, "localhost");
        assert_eq!(s.spec.compose.files, ["compose.yaml"]);
        assert_eq!(s.spec.defaults.max_concurrent, 1);
        assert_eq!(s.spec.recovery(&s.spec.services[0]).ladder.len(), 4);
    }

    #[test]
    fn each_broken_rule_is_named_by_its_path() {
        let s = stack(json!({
            "compose": {"project": "-p", "directory": "/srv/../etc", "files": ["../x"]},
            "services": [
                {"name": "a", "dependsOn": ["b"], "probes": [{"name": "p", "period": "-5s", "tcpSocket": {"port": 0}}]},
                {"name": "b", "dependsOn": ["a"]},
                {"name": "a", "recovery": {"holdOff": "-1s", "ladder": [{"action": "compose_down", "attempts": 0}]}},
            ],
        }));
        assert_eq!(
            paths(&s),
            [
                "spec.compose.project",
                "spec.compose.directory",
                "spec.compose.files[0]",
                "spec.services[0].probes[0].tcpSocket.port",
                "spec.services[0].probes[0].period",
                "spec.services[2].name",
                "spec.services[2].recovery.holdOff",
                "spec.services[2].recovery.ladder[0].attempts",
                "spec.services[2].recovery.ladder[0].action",
                "spec.services",
            ]
        );
    }

    #[test]
    fn maintenance_has_a_reason_and_is_of_services_that_are_there() {
        let s = stack(json!({
            "compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}],
            "maintenance": {"until": "2026-01-01T00:00:00Z", "reason": "", "services": ["ui", "sql"]},
        }));
        assert_eq!(paths(&s), ["spec.maintenance.reason", "spec.maintenance.services[1]"]);
    }

    /// The paths that are wrong in a stack of `ui`, `redis` and `scout`, which is not managed, with this recovery.
    fn wrong(recovery: serde_json::Value) -> Vec<String> {
        let s = stack(json!({
            "compose": {"project": "p", "directory": "/srv/p"}, "defaults": {"recovery": recovery},
            "services": [{"name": "ui"}, {"name": "redis"}, {"name": "scout", "managed": false}],
        }));
        paths(&s).iter().map(|p| p.replace("spec.defaults.recovery.", "")).collect()
    }

    #[test]
    fn a_step_names_services_that_are_there_and_only_where_they_can_be_brought_up_together() {
        let up = |services: &[&str]| wrong(json!({"ladder": [{"action": "compose_up", "services": services}]}));
        assert!(up(&["ui", "redis"]).is_empty());
        assert_eq!(up(&["ui", "sql"]), ["ladder[0].services[1]"]);
        assert_eq!(up(&["scout"]), ["ladder[0].services[0]"]);
        assert_eq!(up(&["ui", "ui"]), ["ladder[0].services[1]"]);
        let restart = json!({"ladder": [{"action": "restart_service", "services": ["ui"]}]});
        assert_eq!(wrong(restart), ["ladder[0].services"]);
    }

    #[test]
    fn a_rollback_may_take_things_down_but_not_what_is_never_to_be_touched_nor_data() {
        let rollback = |action: &str| wrong(json!({"rollback": [{"action": action}]}));
        for action in ["stop_service", "compose_up", "restart_service"] {
            assert!(rollback(action).is_empty(), "{action}");
        }
        assert_eq!(rollback("compose_down_volumes"), ["rollback[0].action"]);
        assert_eq!(rollback("compose_down"), ["rollback[0].action"]);
        let s = stack(json!({
            "compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}],
            "defaults": {"recovery": {"rollback": [{"action": "compose_down"}, {"action": "compose_up", "services": ["ui"]}]}},
        }));
        assert_eq!(paths(&s), Vec::<String>::new());
    }

    #[test]
    fn flapping_is_told_by_starts_that_are_remembered() {
        let flapping = |starts: u32, within: &str| wrong(json!({"flapping": {"starts": starts, "within": within}}));
        assert!(flapping(2, "1s").is_empty() && flapping(32, "1h").is_empty());
        assert_eq!(flapping(1, "0s"), ["flapping.starts", "flapping.within"]);
        assert_eq!(flapping(33, "61m"), ["flapping.starts", "flapping.within"]);
    }

    #[test]
    fn the_times_of_a_step_are_such_as_can_come() {
        let step = |after: &str, timeout: &str| {
            wrong(json!({"ladder": [{"action": "restart_service", "after": after, "timeout": timeout}]}))
        };
        assert!(step("0s", "30m").is_empty());
        assert_eq!(step("-1s", "0s"), ["ladder[0].after", "ladder[0].timeout"]);
        assert_eq!(step("1h", "31m"), ["ladder[0].timeout"]);
    }
}
