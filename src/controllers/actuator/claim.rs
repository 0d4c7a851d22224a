//! The claim: from an ActionRun that waits to one that is ours to execute, or to the reason why it is not.
//!
//! Reads and judges afresh, and claims in one transaction that compares what was judged. It knows the store and nothing of the
//! engine: what the target looks like is asked of whoever calls.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::act::{ActError, default_timeout};
use crate::api::action::{
    ActionPhase, ActionRun, ActionRunStatus, Claim, ContainerFact, Decision, GateVerdict, Step, StepKind, Tier,
};
use crate::api::approval::Approval;
use crate::api::elevation::Elevation;
use crate::api::policy::ControlPolicy;
use crate::api::session::ControlSession;
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::stop::{self, EmergencyStop};
use crate::api::{Object, Time, elapsed};
use crate::observe::directory::HeldDirectory;
use crate::plan::authorise::{self, Facts, Request, authorise};
use crate::plan::cause::{Standing, standing};
use crate::stop_file::StopFile;
use crate::store::election::Fence;
use crate::store::{self, List, ListParams, Store};

/// How long a look may take until what was judged before it is judged again.
const PROMPT: Duration = Duration::from_secs(1);

/// Claims actions, for one leader of one host.
#[derive(Debug)]
pub struct Claims {
    store: Store,
    fence: Fence,
    host: String,
    identity: String,
    stop_file: StopFile,
    /// By stack: held from the reads to the claim, so that what was counted is still so.
    locks: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// What came of an attempt to claim.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours: execute it on that stack, in the directory that was judged.
    Ours(Box<ActionRun>, Box<WicapStack>, HeldDirectory),
    /// It is to end without an execution, with that status and phase.
    Ended(Box<ActionRun>, Box<ActionRunStatus>, ActionPhase),
    /// A person has to agree first.
    Ask(Box<Question>),
    /// It is over, or another one's.
    NotOurs,
    /// Not now.
    Wait,
}

/// What a person is to agree to.
#[derive(Debug)]
pub struct Question {
    /// The action.
    pub run: ActionRun,
    /// Its stack.
    pub stack: WicapStack,
    /// The session that asks for it.
    pub session: ControlSession,
    /// What was decided so far.
    pub decision: Decision,
}

/// What the target looks like.
#[derive(Debug)]
pub struct Look {
    /// Before anything is done.
    pub before: Vec<ContainerFact>,
    /// What would be called, or why it makes no sense to.
    pub command: Result<Vec<String>, String>,
}

/// Why a claim failed. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store, or somebody was faster.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The engine or Compose could not be asked.
    #[error(transparent)]
    Act(#[from] ActError),
}

/// What an action is decided on, read at once.
struct World {
    stack: Option<WicapStack>,
    session: Option<ControlSession>,
    policies: List<ControlPolicy>,
    stops: List<EmergencyStop>,
    elevations: Vec<Elevation>,
    approval: Option<Approval>,
    actions: Vec<ActionRun>,
    soaks: Vec<SoakRun>,
}

/// What was decided, and on the strength of what.
struct Judged {
    decision: Decision,
    elevation: Option<Elevation>,
    approval: Option<Approval>,
    /// Whether only a person's word is missing.
    awaits_approval: bool,
    /// The project directory, as it was judged, or why it could not be.
    directory: Result<HeldDirectory, String>,
}

impl Claims {
    /// Claims for that leader. `identity` is who executes what is claimed.
    #[must_use]
    pub fn new(store: Store, fence: Fence, host: &str, identity: &str, stop_file: StopFile) -> Self {
        let (host, identity) = (host.to_owned(), identity.to_owned());
        Self { store, fence, host, identity, stop_file, locks: Mutex::default() }
    }

    /// Decides on an action and, if it may be done now, makes it ours. `look` is asked when nothing else is in the way.
    ///
    /// # Errors
    /// When the store or the target could not be asked, or what was decided on has changed before the claim was made; then nothing
    /// was claimed, unless the store says that it cannot know.
    pub async fn claim(
        &self,
        run: &ActionRun,
        look: impl AsyncFnOnce(&WicapStack, &ActionRun) -> Result<Look, ActError>,
    ) -> Result<Claimed, Error> {
        let lock = Arc::clone(self.locks.lock().await.entry(run.spec.stack.clone()).or_default());
        let _counting = lock.lock().await;
        let mut world = self.read(run).await?;
        // What stops this host alone, or has not reached the store yet.
        world.stops.items.extend(self.stop_file.as_stop());
        // The cache may lag behind our own writes; what counts is what is stored.
        let Some(run) = world.actions.iter().find(|a| a.name() == run.name() && a.metadata.uid == run.metadata.uid) else {
            return Ok(Claimed::NotOurs);
        };
        if run.status.as_ref().is_some_and(|s| !s.phase.is_asked()) {
            return Ok(Claimed::NotOurs);
        }
        let now = self.store.clock().now();
        let Some(stack) = &world.stack else {
            let gone = deny(authorise::RUNTIME_PLANE, format!("there is no WicapStack \"{}\"", run.spec.stack));
            return Ok(ended(run, gone));
        };
        if stack.spec.host != self.host {
            return Ok(Claimed::NotOurs);
        }
        let mut judged = decide(run, stack, &world, now);
        let mut decision = judged.decision;
        if judged.awaits_approval
            && let Some(session) = &world.session
            && !matches!(standing(run, stack, &world.soaks, now), Standing::Gone(_))
        {
            let (run, stack, session) = (run.clone(), stack.clone(), session.clone());
            return Ok(Claimed::Ask(Box::new(Question { run, stack, session, decision })));
        }
        if decision.denied_by.as_deref() == Some(authorise::PRECONDITION) {
            // Another action is under way; its end is a matter of seconds, and not a reason to refuse for good.
            return Ok(Claimed::Wait);
        }
        if !decision.allowed && !judged.awaits_approval {
            return Ok(ended(run, decision));
        }
        match standing(run, stack, &world.soaks, now) {
            Standing::Holds => {}
            Standing::Unknown => return Ok(Claimed::Wait),
            Standing::Gone(why) => {
                return Ok(failed(run, &why, decision, Vec::new()));
            }
        }
        // What waits for a person's word was turned away above, or its cause is gone.
        if !decision.allowed {
            return Ok(Claimed::Wait);
        }
        // Authorisation has refused an action in a directory that could not be opened; this is for who changes that.
        let directory = match judged.directory {
            Ok(directory) => directory,
            Err(why) => return Ok(ended(run, deny(authorise::RUNTIME_PLANE, why))),
        };
        let Look { before, command } = look(stack, run).await?;
        // The look may have taken its time. The store's own comparison does not know of a file, nor that something is over by now.
        let begun = self.store.clock().now();
        if elapsed(now, begun) > PROMPT {
            let again = decide(run, stack, &world, begun);
            (decision, judged.elevation, judged.approval) = (again.decision, again.elevation, again.approval);
        }
        if !decision.allowed || self.stop_file.holds().is_some() {
            return Ok(Claimed::Wait);
        }
        let command = match command {
            Ok(command) => command,
            Err(why) => return Ok(failed(run, &why, decision, before)),
        };
        if decision.shadow {
            return Ok(shadowed(run, before, &command, decision));
        }
        let mut claimed = run.clone();
        let status = claimed.status.get_or_insert_default();
        status.phase = ActionPhase::Running;
        status.decision = Some(decision);
        status.claim = Some(Claim { holder: self.identity.clone(), token: self.fence.token });
        status.time_limit = Some(time_limit(run, &world.policies.items).into());
        status.before = before;
        status.started_at = Some(begun);
        status.steps = vec![step(StepKind::Execute, command, begun)];
        let mut transaction = self
            .store
            .transaction()
            .fence(&self.fence)
            .put_status(&claimed)?
            .spec_unchanged(stack)?
            .absent::<EmergencyStop>(stop::ALL)
            .absent::<EmergencyStop>(stack.name())
            .none_newer::<ControlPolicy>(world.policies.revision);
        for policy in &world.policies.items {
            transaction = transaction.spec_unchanged(policy)?;
        }
        // Authorisation has refused an action without a session.
        if let Some(session) = &world.session {
            let mut used = session.clone();
            count(&mut used, begun);
            transaction = transaction.spec_unchanged(session)?.put_status(&used)?;
        }
        if let Some(elevation) = &judged.elevation {
            let mut used = elevation.clone();
            used.status.get_or_insert_default().uses += 1;
            transaction = transaction.spec_unchanged(elevation)?.put_status(&used)?;
        }
        if world.approval.is_none() {
            // A no that came meanwhile is one.
            transaction = transaction.absent::<Approval>(run.name());
        }
        if let Some(approval) = &judged.approval {
            let mut used = approval.clone();
            used.status.get_or_insert_default().used = true;
            transaction = transaction.spec_unchanged(approval)?.put_status(&used)?;
        }
        let revision = transaction.commit().await?;
        claimed.metadata.resource_version = Some(revision.to_string());
        Ok(Claimed::Ours(Box::new(claimed), Box::new(stack.clone()), directory))
    }

    async fn read(&self, run: &ActionRun) -> Result<World, Error> {
        let store = &self.store;
        let everything = ListParams::default();
        let of_stack = ListParams { fields: Some(format!("spec.stack={}", run.spec.stack)), ..ListParams::default() };
        let (stacks, sessions, runs) = (store.api(), store.api(), store.api());
        let (policies, stops, elevations, approvals) = (store.api(), store.api(), store.api(), store.api());
        let soaks = store.api();
        let (stack, session, policies, stops, elevations, approval, actions, soaks) = tokio::try_join!(
            stacks.get_opt(&run.spec.stack),
            sessions.get_opt(&run.spec.session),
            policies.list(&everything),
            stops.list(&everything),
            elevations.list(&everything),
            approvals.get_opt(run.name()),
            runs.list(&of_stack),
            soaks.list(&of_stack),
        )?;
        let (elevations, actions, soaks) = (elevations.items, actions.items, soaks.items);
        Ok(World { stack, session, policies, stops, elevations, approval, actions, soaks })
    }
}

/// The end of what is not allowed.
fn ended(run: &ActionRun, decision: Decision) -> Claimed {
    let mut status = run.status.clone().unwrap_or_default();
    let denied = decision.denied_by.as_ref().and_then(|gate| decision.trace.iter().find(|v| v.gate == *gate));
    status.message = Some(match denied {
        Some(verdict) => format!("denied by {}: {}", verdict.gate, verdict.reason),
        None => "not done".to_owned(),
    });
    status.decision = Some(decision);
    Claimed::Ended(Box::new(run.clone()), Box::new(status), ActionPhase::Denied)
}

/// The end of what makes no sense any more.
fn failed(run: &ActionRun, why: &str, decision: Decision, before: Vec<ContainerFact>) -> Claimed {
    let mut status = run.status.clone().unwrap_or_default();
    status.before = before;
    status.message = Some(format!("not done: {why}"));
    status.decision = Some(decision);
    Claimed::Ended(Box::new(run.clone()), Box::new(status), ActionPhase::Failed)
}

/// The end of what is allowed, and only to be said.
fn shadowed(run: &ActionRun, before: Vec<ContainerFact>, command: &[String], decision: Decision) -> Claimed {
    let why = if run.spec.dry_run { "dryRun is set" } else { "the session's mode is Shadow" };
    let mut status = run.status.clone().unwrap_or_default();
    status.message = Some(format!("allowed, and not done: {why}; it would be: {}", command.join(" ")));
    (status.decision, status.before) = (Some(decision), before);
    Claimed::Ended(Box::new(run.clone()), Box::new(status), ActionPhase::Shadowed)
}

/// Authorisation, on what was just read and on this host's directories.
fn decide(run: &ActionRun, stack: &WicapStack, world: &World, now: Time) -> Judged {
    let opened = resolve(&stack.spec.compose.directory);
    let roots: Vec<(String, HeldDirectory)> = world
        .policies
        .items
        .iter()
        .flat_map(|p| &p.spec.allowed_roots)
        // A root that does not exist here holds nothing.
        .filter_map(|root| Some((root.clone(), resolve(root).ok()?)))
        .collect();
    let roots: Vec<_> = roots.iter().map(|(root, held)| (root.clone(), held.path().to_owned())).collect();
    let sessions: Vec<ControlSession> = world.session.iter().cloned().collect();
    let request = Request {
        stack,
        action: run.spec.action,
        target: &run.spec.target,
        services: &run.spec.params.services,
        session: &run.spec.session,
        run: Some(run.name()),
        planning: false,
    };
    let approvals: Vec<Approval> = world.approval.iter().cloned().collect();
    let facts = Facts {
        sessions: &sessions,
        policies: &world.policies.items,
        stops: &world.stops.items,
        elevations: &world.elevations,
        approvals: &approvals,
        actions: &world.actions,
        directory: Some(opened.as_ref().map(HeldDirectory::path).map_err(String::as_str)),
        roots: &roots,
        now,
    };
    let decision = authorise(&request, &facts);
    let destructive = run.spec.action.tier() == Tier::Destructive;
    Judged {
        awaits_approval: authorise::awaits_approval(&request, &facts, &decision),
        elevation: authorise::elevation(&request, &facts).filter(|_| destructive).cloned(),
        approval: authorise::approval(&request, &facts).cloned(),
        decision,
        directory: opened,
    }
}

fn deny(gate: &str, reason: String) -> Decision {
    let verdict = GateVerdict { gate: gate.to_owned(), allowed: false, reason, object: None, field: None, fix: None };
    Decision { allowed: false, denied_by: Some(gate.to_owned()), shadow: false, trace: vec![verdict] }
}

/// A step that begins.
pub(super) fn step(kind: StepKind, command: Vec<String>, now: Time) -> Step {
    Step { kind, command, started_at: now, finished_at: None, exit_code: None, output: None }
}

/// How long the execution of an action may take.
pub(super) fn time_limit(run: &ActionRun, policies: &[ControlPolicy]) -> Duration {
    let status = run.status.as_ref();
    if let Some(limit) = status.and_then(|s| s.time_limit) {
        return limit.to_std();
    }
    let asked = run.spec.timeout.map_or_else(|| default_timeout(run.spec.action), crate::api::Duration::to_std);
    authorise::time_limit(run.spec.action, asked, policies)
}

/// Counts one action in the session's usage, and drops what has left the budget's window.
fn count(session: &mut ControlSession, now: Time) {
    let budget = session.spec.budget.clone();
    let usage = &mut session.status.get_or_insert_default().usage;
    usage.actions = usage.actions.saturating_add(1);
    if let Some(budget) = budget {
        usage.recent.retain(|at| elapsed(*at, now) < budget.window.to_std());
        usage.recent.push(now);
    }
}

/// The directory that a path leads to.
fn resolve(path: &str) -> Result<HeldDirectory, String> {
    HeldDirectory::open(Path::new(path)).map_err(|e| format!("{path}: {e}"))
}
