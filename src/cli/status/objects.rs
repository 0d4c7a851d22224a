//! What the store holds about stacks: all that a picture is drawn from, and what a plan is made from.

use crate::api::action::ActionRun;
use crate::api::incident::Incident;
use crate::api::policy::ControlPolicy;
use crate::api::session::ControlSession;
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::stop::EmergencyStop;
use crate::api::{Object, Time};
use crate::plan::decide::Inputs;
use crate::store::{self, ListParams, Store};

/// The objects, as they were when they were read. Of each kind the store keeps a bounded number: gc removes what is long over.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The stacks that are asked about.
    pub stacks: Vec<WicapStack>,
    /// The sessions.
    pub sessions: Vec<ControlSession>,
    /// The policies.
    pub policies: Vec<ControlPolicy>,
    /// The stops.
    pub stops: Vec<EmergencyStop>,
    /// The actions.
    pub actions: Vec<ActionRun>,
    /// The incidents.
    pub incidents: Vec<Incident>,
    /// The soak runs.
    pub soaks: Vec<SoakRun>,
}

impl Objects {
    /// Reads those of one stack, or of all.
    ///
    /// # Errors
    /// The store's; not found when there is no such stack.
    pub async fn read(store: &Store, stack: Option<&str>) -> Result<Self, store::Error> {
        let objects = Self::about(store, stack).await?;
        match stack {
            Some(name) if objects.stacks.is_empty() => {
                Err(store::Error::NotFound { kind: "wicapstacks", name: name.to_owned() })
            }
            _ => Ok(objects),
        }
    }

    /// The same, also where the stack itself is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn about(store: &Store, stack: Option<&str>) -> Result<Self, store::Error> {
        let everything = ListParams::default();
        let fields =
            |path: &str| ListParams { fields: stack.map(|stack| format!("{path}={stack}")), ..ListParams::default() };
        let (named, of_stack) = (fields("metadata.name"), fields("spec.stack"));
        let (stacks, sessions, policies, stops) = (store.api(), store.api(), store.api(), store.api());
        let (actions, incidents, soaks) = (store.api(), store.api(), store.api());
        let (stacks, sessions, policies, stops, actions, incidents, soaks) = tokio::try_join!(
            stacks.list(&named),
            sessions.list(&of_stack),
            policies.list(&everything),
            stops.list(&everything),
            actions.list(&of_stack),
            incidents.list(&of_stack),
            soaks.list(&of_stack),
        )?;
        Ok(Self {
            stacks: stacks.items,
            sessions: sessions.items,
            policies: policies.items,
            stops: stops.items,
            actions: actions.items,
            incidents: incidents.items,
            soaks: soaks.items,
        })
    }

    /// What the planner would decide from, about that stack.
    #[must_use]
    pub fn inputs<'a>(&'a self, stack: &'a WicapStack, now: Time) -> Inputs<'a> {
        let Self { sessions, policies, stops, actions, incidents, soaks, .. } = self;
        Inputs { stack, sessions, policies, stops, actions, incidents, soaks, now }
    }

    /// The actions of a stack, in the order in which they were asked for.
    #[must_use]
    pub fn actions_of(&self, stack: &str) -> Vec<&ActionRun> {
        let mut found: Vec<_> = self.actions.iter().filter(|a| a.spec.stack == stack).collect();
        found.sort_by_key(|a| (a.metadata.creation_timestamp.as_ref().map(|t| t.0), a.name()));
        found
    }
}
