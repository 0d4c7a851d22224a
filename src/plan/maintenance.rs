//! Maintenance: what is claimed until a time, by an operator or a soak run, is no drift.

use std::fmt;

use crate::api::soak::SoakRun;
use crate::api::stack::{Maintenance, WicapStack};
use crate::api::{Object, Time};

/// The claims on a stack that hold at a moment.
pub(super) struct Claims<'a> {
    claims: Vec<Claim<'a>>,
}

/// One claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Claim<'a>(&'a Maintenance);

impl<'a> Claims<'a> {
    pub(super) fn new(stack: &'a WicapStack, soaks: &'a [SoakRun], now: Time) -> Self {
        let of_soaks = soaks.iter().filter(|soak| soak.spec.stack == stack.name());
        let of_soaks = of_soaks.filter_map(|soak| soak.status.as_ref()?.maintenance.as_ref());
        let all = stack.spec.maintenance.iter().chain(of_soaks);
        Self { claims: all.filter(|claim| now < claim.until).map(Claim).collect() }
    }

    /// The claim on the service that lasts longest, if there is one.
    pub(super) fn on(&self, service: &str) -> Option<Claim<'a>> {
        let covers = |claim: &&Claim<'a>| claim.0.services.is_empty() || claim.0.services.iter().any(|s| s == service);
        // By its reason too, so that the order of the list does not matter.
        self.claims.iter().filter(covers).max_by_key(|claim| (claim.0.until, &claim.0.reason)).copied()
    }
}

impl Claim<'_> {
    /// When it ends.
    pub(super) fn until(self) -> Time {
        self.0.until
    }
}

impl fmt::Display for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "maintenance until {:.0}: {}", self.0.until, self.0.reason)
    }
}
