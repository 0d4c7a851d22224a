//! The rules of a stack: what its schema cannot say.

mod probe;

use std::collections::HashSet;

pub(in crate::api) use probe::validate_http;

use super::{MAX_CONCURRENT, Recovery, ServiceSpec, WicapStack};
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
                validate_recovery(&mut check, &format!("{path}.recovery"), recovery);
            }
        }
        validate_recovery(&mut check, "spec.defaults.recovery", &spec.defaults.recovery);
        check.that(
            (1..=MAX_CONCURRENT).contains(&spec.defaults.max_concurrent),
            "spec.defaults.maxConcurrent",
            spec.defaults.max_concurrent.to_string(),
            format!("a number from 1 to {MAX_CONCURRENT}"),
        );
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

fn validate_recovery(check: &mut Check, path: &str, recovery: &Recovery) {
    check.not_negative(&format!("{path}.holdOff"), recovery.hold_off);
    check.not_negative(&format!("{path}.resetAfter"), recovery.reset_after);
    check.not_negative(&format!("{path}.backoff.initial"), recovery.backoff.initial);
    check.not_negative(&format!("{path}.backoff.max"), recovery.backoff.max);
    for (i, step) in recovery.ladder.iter().enumerate() {
        check.that(step.attempts > 0, format!("{path}.ladder[{i}].attempts"), "0", "a number of 1 or more");
        check.that(
            step.action.can_mend(),
            format!("{path}.ladder[{i}].action"),
            step.action.as_str(),
            "one of start_service, restart_service, compose_up, recreate_service, status_check",
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
}
