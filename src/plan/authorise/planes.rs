//! The gates that ask what is permitted at all.

use std::path::Path;

use super::{Case, Request, Said, Verdict};
use crate::api::Object;
use crate::api::action::Tier;
use crate::api::elevation::Elevation;
use crate::api::session::{Mode, SessionPhase};
use crate::api::stop::{self, EmergencyStop};
use crate::api::validate::{is_directory, quoted};
use crate::plan::{canary, rules};

impl<'a> Case<'a> {
    pub(super) fn emergency_stop(&self) -> Verdict {
        let stack = self.request.stack.name();
        let holds = |s: &&EmergencyStop| s.name() == stop::ALL || s.name() == stack;
        let Some(stop) = self.facts.stops.iter().filter(holds).min_by_key(|s| s.name()) else {
            return Ok(Said::nothing("no EmergencyStop holds"));
        };
        let all = stop.name() == stop::ALL;
        let how = format!("holds: {} by {}", quoted(&stop.spec.reason), quoted(&stop.spec.by));
        let resume = if all { "wicapctl resume --all".to_owned() } else { format!("wicapctl resume {}", stop.name()) };
        Err(Said::by(stop, how).fix(resume))
    }

    pub(super) fn session(&self) -> Verdict {
        let session = self.session.clone()?;
        let status = session.status.clone().unwrap_or_default();
        let another = "open another ControlSession";
        if session.spec.stack != self.request.stack.name() {
            let how = format!(" is {}, not this one", quoted(&session.spec.stack));
            return Err(Said::of(session, "spec.stack", how).fix(another));
        }
        if session.metadata.deletion_timestamp.is_some() {
            return Err(Said::of(session, "metadata.deletionTimestamp", " is set: it is being deleted").fix(another));
        }
        if session.spec.end {
            return Err(Said::of(session, "spec.end", ": it was ended").fix(another));
        }
        if !session.in_force(self.facts.now) {
            return Err(match (status.phase, status.expires_at) {
                (SessionPhase::Active, Some(at)) => {
                    Said::of(session, "status.expiresAt", format!(": it ran out at {at}")).fix(another)
                }
                (phase, _) => {
                    let why = status.message.map(|message| format!(" ({message})")).unwrap_or_default();
                    let fix = if phase == SessionPhase::Pending { "wait until it is Active" } else { another };
                    Said::of(session, "status.phase", format!(" is {phase:?}{why}")).fix(fix)
                }
            });
        }
        let says = format!(" is {:?}", session.spec.mode);
        match session.spec.mode {
            Mode::Assist => Ok(Said::of(session, "spec.mode", says)),
            Mode::Shadow => Ok(Said::of(session, "spec.mode", " is Shadow: it is only said what would be done")),
            Mode::Monitor => {
                let fix = "open a ControlSession of mode Assist or Canary";
                Err(Said::of(session, "spec.mode", " is Monitor: it observes only").fix(fix))
            }
            Mode::Canary => {
                let action = self.request.action;
                let listed = session.spec.canary.as_ref().is_some_and(|canary| canary.actions.contains(&action));
                if !listed {
                    let how = format!(" does not list {action}");
                    return Err(Said::of(session, "spec.canary.actions", how).fix(another));
                }
                match canary::tripped(session, Some(self.request.stack), self.facts.actions) {
                    Some((rule, why)) => {
                        let field = format!("spec.canary.stopRules.{rule}");
                        Err(Said::of(session, field, format!(": {why}")).fix(another))
                    }
                    None => Ok(Said::of(session, "spec.mode", says)),
                }
            }
        }
    }

    pub(super) fn runtime_plane(&self) -> Verdict {
        let stack = self.request.stack;
        let host = &stack.spec.host;
        let directory = stack.spec.compose.directory.as_str();
        let path = match self.facts.directory {
            Some(Err(why)) => {
                let how = format!(" {} could not be resolved: {}", quoted(directory), quoted(why));
                let fix = "have the directory there, and readable, on the stack's host";
                return Err(Said::of(stack, "spec.compose.directory", how).fix(fix));
            }
            Some(Ok(path)) => path,
            None => Path::new(directory),
        };
        let shown = quoted(&path.to_string_lossy());
        for policy in &self.policies {
            if !policy.spec.hosts.iter().any(|h| rules::text_matches(h, host) == Some(true)) {
                let how = format!(" has no match for spec.host {}", quoted(host));
                return Err(Said::of(*policy, "spec.hosts", how).fix(format!("add a pattern that matches {}", quoted(host))));
            }
            if !policy.spec.allowed_roots.iter().any(|root| self.holds(root, path)) {
                let how = format!(" has none that holds {shown}");
                return Err(Said::of(*policy, "spec.allowedRoots", how).fix("add a directory that holds it"));
            }
        }
        Ok(Said::nothing(match self.policies.len() {
            0 => "no ControlPolicy says where".to_owned(),
            n => format!("spec.hosts and spec.allowedRoots of all {n} ControlPolicies hold {} and {shown}", quoted(host)),
        }))
    }

    /// Whether the path lies in the allowed root, component by component: as resolved where that is known, else as written.
    fn holds(&self, root: &str, path: &Path) -> bool {
        let normal = is_directory(root) && path.to_str().is_some_and(is_directory);
        normal
            && match self.facts.directory {
                Some(_) => self.facts.roots.iter().any(|(written, resolved)| written == root && path.starts_with(resolved)),
                None => path.starts_with(root),
            }
    }

    pub(super) fn tool_policy(&self) -> Verdict {
        let Request { stack, action, target, services, .. } = *self.request;
        let what = if services.is_empty() { action.on(target) } else { action.on(&services.join(", ")) };
        let targets = self.touched()?;
        for policy in &self.policies {
            if let Some(i) = policy.spec.deny.iter().position(|r| rules::denies(r, action, &targets, stack)) {
                let denied = Said::of(*policy, format!("spec.deny[{i}]"), format!(" denies {what}"));
                return Err(denied.fix("take the rule out, or narrow it: a deny anywhere is a deny"));
            }
        }
        if self.policies.is_empty() {
            let nothing = Said::nothing(format!("there is no ControlPolicy, and so nothing allows {what}"));
            return Err(nothing.fix("apply a ControlPolicy that allows it"));
        }
        let named = services.iter().map(String::as_str);
        let all: Vec<_> = [target].into_iter().chain(named).collect();
        for policy in &self.policies {
            let refused = all.iter().find(|t| !policy.spec.allow.iter().any(|r| rules::allows(r, action, t, stack)));
            if let Some(refused) = refused {
                let denied = Said::of(*policy, "spec.allow", format!(" has no rule for {}", action.on(refused)));
                return Err(denied.fix("add a rule for it: every ControlPolicy has to allow it"));
            }
        }
        let session = self.session.clone()?;
        if !session.spec.allowed_actions.contains(&action) {
            let denied = Said::of(session, "spec.allowedActions", format!(" does not list {action}"));
            return Err(denied.fix("open a ControlSession that lists it"));
        }
        let (n, name) = (self.policies.len(), quoted(session.name()));
        Ok(Said::nothing(format!("{what} is allowed by all {n} ControlPolicies and ControlSession {name}")))
    }

    /// The targets a deny rule may name: the one asked for and the services that are named beside it, or the whole stack and every
    /// service in it that is touched.
    fn touched(&self) -> Result<Vec<&'a str>, Said> {
        let Request { stack, action, target, services, .. } = *self.request;
        if !services.is_empty() && !action.can_name_services() {
            return Err(
                Said::nothing(format!("{action} is not told services")).fix("ask for it without spec.params.services")
            );
        }
        let named = services.iter().map(|s| self.touchable(s)).collect::<Result<Vec<_>, _>>()?;
        if action.targets_job() {
            if stack.spec.job(target).is_none() {
                let denied = Said::of(stack, "spec.jobs", format!(" does not list {}", quoted(target)));
                return Err(denied.fix("add the job, or ask for one that is listed"));
            }
            return Ok(vec![target]);
        }
        if !target.is_empty() {
            if !action.can_target_service() {
                let denied = Said::nothing(format!("{action} acts on the whole stack, not on {}", quoted(target)));
                return Err(denied.fix("ask for it without a target"));
            }
            let target = self.touchable(target)?;
            return Ok([target].into_iter().chain(named).collect());
        }
        if !action.can_target_stack() {
            let denied = Said::nothing(format!("{action} acts on one service, and none is named"));
            return Err(denied.fix("name a service"));
        }
        // What takes the whole project away cannot spare a service that is never to be touched.
        let spared = stack.spec.services.iter().find(|s| !s.managed);
        if let Some(service) = spared.filter(|_| action.takes_down()) {
            let how = format!(" {}: managed is false, and {action} touches it", quoted(&service.name));
            return Err(Said::of(stack, "spec.services", how).fix("set managed to true"));
        }
        let managed: Vec<_> = stack.spec.services.iter().filter(|s| s.managed).map(|s| s.name.as_str()).collect();
        if managed.is_empty() {
            return Err(Said::of(stack, "spec.services", " has none that is managed").fix("set managed to true"));
        }
        Ok([""].into_iter().chain(managed).collect())
    }

    /// A service, if it is listed and managed.
    fn touchable(&self, name: &'a str) -> Result<&'a str, Said> {
        let stack = self.request.stack;
        let Some(service) = stack.spec.service(name) else {
            let denied = Said::of(stack, "spec.services", format!(" does not list {}", quoted(name)));
            return Err(denied.fix("add the service, or ask for one that is listed"));
        };
        if !service.managed {
            let denied = Said::of(stack, "spec.services", format!(" {}: managed is false", quoted(name)));
            return Err(denied.fix("set managed to true"));
        }
        Ok(name)
    }

    pub(super) fn tier(&self) -> Verdict {
        let session = self.session.clone()?;
        let (action, tier, most) = (self.request.action, self.request.action.tier(), session.spec.max_tier);
        let verdict = Said::of(session, "spec.maxTier", format!(" is {most:?}, {action} is {tier:?}"));
        if tier > most {
            return Err(verdict.fix(format!("open a ControlSession with spec.maxTier {tier:?}")));
        }
        if tier < Tier::Destructive {
            return Ok(verdict);
        }
        let elevation = self.elevation()?;
        let (uses, most) = (elevation.uses(), elevation.spec.max_uses);
        Ok(Said::of(elevation, "status.uses", format!(": {uses} of {most}, by {}", quoted(&elevation.spec.approver))))
    }

    /// The Elevation that allows the action; else why there is none.
    pub(super) fn elevation(&self) -> Result<&'a Elevation, Said> {
        let session = self.session.clone()?.name();
        let Request { action, target, .. } = *self.request;
        let named = |e: &&Elevation| e.spec.session == session && e.spec.action == action && e.spec.target == target;
        let mut named: Vec<_> = self.facts.elevations.iter().filter(named).collect();
        named.sort_by_key(|e| e.name());
        let another = "have an approver create another Elevation";
        let judge = |e: &'a Elevation| {
            let expires = e.expires_at();
            if e.metadata.deletion_timestamp.is_some() {
                return Err(Said::of(e, "metadata.deletionTimestamp", " is set: it was taken back").fix(another));
            }
            if expires.is_none_or(|at| self.facts.now >= at) {
                let at = expires.map(|at| format!(" at {at}")).unwrap_or_default();
                return Err(Said::of(e, "spec.ttl", format!(": it ran out{at}")).fix(another));
            }
            if e.uses() >= e.spec.max_uses {
                let how = format!(": all {} of spec.maxUses are used", e.spec.max_uses);
                return Err(Said::of(e, "status.uses", how).fix(another));
            }
            Ok(e)
        };
        let none = || {
            let what = format!("no Elevation allows {} in ControlSession {}", action.on(target), quoted(session));
            Said::nothing(what).fix("have an approver create an Elevation for just that")
        };
        let judged: Vec<_> = named.into_iter().map(judge).collect();
        match judged.iter().position(Result::is_ok) {
            Some(usable) => judged.into_iter().nth(usable).unwrap_or_else(|| Err(none())),
            None => judged.into_iter().next().unwrap_or_else(|| Err(none())),
        }
    }
}
