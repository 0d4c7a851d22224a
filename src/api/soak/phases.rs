//! What a run does before and after it soaks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SoakPhase;
use crate::api::Duration;
use crate::api::action::{ActionKind, Params, Tier};
use crate::api::validate::Check;

/// The phases around the soak, in their order. Teardown, Startup and Cleanup act on the stack: they are gone through only where they
/// are declared. The others only look, and are gone through unless they are skipped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Phases {
    /// Looks whether the run can be carried out: the stack is observed, the session is active, the baseline can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<PhaseSpec>,
    /// Takes the stack down; by `compose_down` when it has no steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<PhaseSpec>,
    /// Brings the stack up; by `compose_up` when it has no steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<PhaseSpec>,
    /// Waits until the stack is Available and each plain check has passed once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<PhaseSpec>,
    /// Waits for the checks that were due at the end, and gives the verdict. It cannot be skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalizing: Option<PhaseSpec>,
    /// Leaves the stack as it is to be left; by `compose_down` when it has no steps. The verdict stands by then. A stack whose
    /// `desiredState` is Running is brought up again afterwards, by whoever keeps it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<PhaseSpec>,
}

/// One phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSpec {
    /// How long it may take. When absent: a minute for Preflight and Finalizing, `startupTimeout` for Warmup, five minutes for the
    /// others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// True: it is not gone through.
    #[serde(default)]
    pub skip: bool,
    /// What is asked for, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<SoakStep>,
}

/// A step: an action of the allowlist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakStep {
    /// What to do.
    pub action: ActionKind,
    /// The service to do it to; every service the stack's spec lists when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// What else the action is told.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub params: Params,
}

/// Most steps of a phase.
const STEPS_MOST: usize = 20;

impl Phases {
    /// What is declared of a phase.
    #[must_use]
    pub fn of(&self, phase: SoakPhase) -> Option<&PhaseSpec> {
        match phase {
            SoakPhase::Preflight => self.preflight.as_ref(),
            SoakPhase::Teardown => self.teardown.as_ref(),
            SoakPhase::Startup => self.startup.as_ref(),
            SoakPhase::Warmup => self.warmup.as_ref(),
            SoakPhase::Finalizing => self.finalizing.as_ref(),
            SoakPhase::Cleanup => self.cleanup.as_ref(),
            SoakPhase::Pending | SoakPhase::Soaking | SoakPhase::Completed => None,
        }
    }

    /// Whether the run goes through it.
    #[must_use]
    pub fn has(&self, phase: SoakPhase) -> bool {
        match (phase, self.of(phase)) {
            (_, Some(spec)) => !spec.skip,
            (phase, None) => !acts(phase),
        }
    }

    /// What a phase does to the stack, in order. Empty for one that only looks.
    #[must_use]
    pub fn steps(&self, phase: SoakPhase) -> Vec<SoakStep> {
        let declared = self.of(phase).map(|p| p.steps.clone()).unwrap_or_default();
        if !acts(phase) || !declared.is_empty() {
            return declared;
        }
        let action = if phase == SoakPhase::Startup { ActionKind::ComposeUp } else { ActionKind::ComposeDown };
        vec![SoakStep { action, target: String::new(), params: Params::default() }]
    }

    /// Whether any phase of the run acts on the stack.
    #[must_use]
    pub fn act(&self) -> bool {
        ACTING.into_iter().any(|phase| self.has(phase))
    }

    pub(super) fn validate(&self, check: &mut Check, has_session: bool) {
        for (phase, name) in NAMED {
            let Some(spec) = self.of(phase) else { continue };
            let path = format!("spec.phases.{name}");
            if let Some(deadline) = spec.deadline {
                check.positive(&format!("{path}.deadline"), deadline);
            }
            check.that(
                phase != SoakPhase::Finalizing || !spec.skip,
                format!("{path}.skip"),
                "true",
                "false: this phase gives the verdict",
            );
            let steps = format!("{path}.steps");
            let count = || format!("{} steps", spec.steps.len());
            check.that(acts(phase) || spec.steps.is_empty(), steps.clone(), count(), "none: this phase only looks");
            check.that(spec.steps.len() <= STEPS_MOST, steps.clone(), count(), format!("at most {STEPS_MOST}"));
            for (i, step) in spec.steps.iter().enumerate() {
                step.validate(check, &format!("{steps}[{i}]"));
            }
            check.that(
                !(acts(phase) && self.has(phase)) || has_session,
                "spec.session",
                "none",
                format!("the name of a ControlSession: phases.{name} acts on the stack"),
            );
        }
    }
}

impl SoakStep {
    fn validate(&self, check: &mut Check, path: &str) {
        let (action, target) = (self.action, &self.target);
        check.that(
            action.tier() != Tier::Destructive,
            format!("{path}.action"),
            format!("\"{action}\""),
            "an action that destroys nothing: those are asked for one by one",
        );
        if target.is_empty() {
            check.that(action.can_target_stack(), format!("{path}.target"), "\"\"", format!("a service, for {action}"));
        } else {
            check.service(&format!("{path}.target"), target);
            check.that(
                action.can_target_service(),
                format!("{path}.target"),
                format!("{target:?}"),
                format!("none: {action} is about the whole stack"),
            );
        }
        check.that(
            self.params.is_empty() || action.can_name_services(),
            format!("{path}.params.services"),
            format!("{} services", self.params.services.len()),
            format!("none: {action} takes no services"),
        );
        for (i, service) in self.params.services.iter().enumerate() {
            check.service(&format!("{path}.params.services[{i}]"), service);
        }
    }
}

/// The phases that act on the stack.
const ACTING: [SoakPhase; 3] = [SoakPhase::Teardown, SoakPhase::Startup, SoakPhase::Cleanup];

/// The phases that can be declared, by their names in a manifest.
const NAMED: [(SoakPhase, &str); 6] = [
    (SoakPhase::Preflight, "preflight"),
    (SoakPhase::Teardown, "teardown"),
    (SoakPhase::Startup, "startup"),
    (SoakPhase::Warmup, "warmup"),
    (SoakPhase::Finalizing, "finalizing"),
    (SoakPhase::Cleanup, "cleanup"),
];

fn acts(phase: SoakPhase) -> bool {
    ACTING.contains(&phase)
}
