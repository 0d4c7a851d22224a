//! In which order services are brought up and stopped.

use std::collections::HashSet;

use crate::api::stack::{WicapStackSpec, WicapStackStatus};

/// The listed services, dependencies first.
///
/// The spec's own dependencies have no cycle, but together with the compose file's they may: an edge that would close one is
/// left out, so that no two services wait for each other.
pub(super) struct Order<'a> {
    services: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Order<'a> {
    pub(super) fn new(spec: &'a WicapStackSpec, status: &'a WicapStackStatus) -> Self {
        let mut order = Self { services: Vec::with_capacity(spec.services.len()) };
        let mut seen = HashSet::new();
        for service in &spec.services {
            order.visit(&service.name, spec, status, &mut seen);
        }
        order
    }

    fn visit(&mut self, name: &'a str, spec: &'a WicapStackSpec, status: &'a WicapStackStatus, seen: &mut HashSet<&'a str>) {
        if !seen.insert(name) {
            return;
        }
        let declared = spec.service(name).map(|s| s.depends_on.as_slice()).unwrap_or_default();
        let observed = status.service(name).map(|s| s.depends_on.as_slice()).unwrap_or_default();
        let mut needs: Vec<&str> = declared.iter().chain(observed).map(String::as_str).collect();
        needs.retain(|n| *n != name && spec.service(n).is_some());
        needs.sort_unstable();
        needs.dedup();
        for dependency in &needs {
            self.visit(dependency, spec, status, seen);
        }
        // What was seen and is not placed yet waits for this one: that edge closes a cycle.
        needs.retain(|n| self.services.iter().any(|(placed, _)| placed == n));
        self.services.push((name, needs));
    }

    /// Every service, each after those it depends on.
    pub(super) fn names(&self) -> impl DoubleEndedIterator<Item = &'a str> + '_ {
        self.services.iter().map(|(name, _)| *name)
    }

    /// Those that must be well before `service` is brought up.
    pub(super) fn dependencies(&self, service: &str) -> Vec<&'a str> {
        self.services.iter().find(|(name, _)| *name == service).map(|(_, needs)| needs.clone()).unwrap_or_default()
    }

    /// Those that are stopped before `service` is.
    pub(super) fn dependents(&self, service: &str) -> Vec<&'a str> {
        self.services.iter().filter(|(_, needs)| needs.contains(&service)).map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::{ServiceState, WicapStack};
    use crate::plan::fixtures::{service, stack};
    use proptest::prelude::*;

    fn running(names: &[&str]) -> WicapStack {
        stack(&names.iter().map(|n| (*n, ServiceState::Running)).collect::<Vec<_>>())
    }

    fn names(s: &WicapStack) -> Vec<String> {
        Order::new(&s.spec, s.status.as_ref().unwrap()).names().map(str::to_owned).collect()
    }

    #[test]
    fn dependencies_come_first_whether_declared_or_observed() {
        let mut s = running(&["ui", "processor", "redis"]);
        s.spec.services[0].depends_on = vec!["processor".into()];
        service(&mut s, "processor").depends_on = vec!["redis".into(), "sql".into(), "processor".into()];
        assert_eq!(names(&s), ["redis", "processor", "ui"]);
        let order = Order::new(&s.spec, s.status.as_ref().unwrap());
        assert_eq!(order.dependencies("processor"), ["redis"]);
        assert_eq!(order.dependents("redis"), ["processor"]);
    }

    #[test]
    fn of_two_services_that_depend_on_each_other_one_goes_first() {
        let mut s = running(&["a", "b"]);
        s.spec.services[0].depends_on = vec!["b".into()];
        service(&mut s, "b").depends_on = vec!["a".into()];
        let order = Order::new(&s.spec, s.status.as_ref().unwrap());
        assert_eq!(order.names().collect::<Vec<_>>(), ["b", "a"]);
        assert!(order.dependencies("b").is_empty());
        assert_eq!(order.dependencies("a"), ["b"]);
    }

    proptest! {
        #[test]
        fn whatever_the_edges_each_service_comes_once_and_waits_for_earlier_ones_only(
            edges in prop::collection::vec((0..6_usize, 0..6_usize), 0..24)
        ) {
            let all = ["a", "b", "c", "d", "e", "f"];
            let mut s = running(&all);
            for (from, to) in edges {
                service(&mut s, all[from]).depends_on.push(all[to].to_owned());
            }
            let order = Order::new(&s.spec, s.status.as_ref().unwrap());
            let names: Vec<_> = order.names().collect();
            prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), 6);
            for (i, name) in names.iter().enumerate() {
                for dependency in order.dependencies(name) {
                    prop_assert!(names[..i].contains(&dependency));
                }
            }
        }
    }
}
