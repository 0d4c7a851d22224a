//! `policy explain`: every gate that an action passes or not, what decided, and what would have to change.

use crate::cli::print::format::Output;
use clap::{Args, Subcommand};
use serde_json::json;

use super::print::table::Table;
use super::{Error, Io};
use crate::api::Object;
use crate::api::action::{ActionKind, ActionRun, Decision};
use crate::api::session::ControlSession;
use crate::api::stack::WicapStack;
use crate::plan::authorise::{Facts, Request, authorise};
use crate::store::{ListParams, Store};

/// Arguments of `policy`.
#[derive(Debug, Args)]
pub struct Policy {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say whether an action would be allowed now, by every gate, and what would have to change. Exit code 1: it would not
    Explain(Explain),
}

/// Arguments of `policy explain`.
#[derive(Debug, Args)]
struct Explain {
    /// The ActionRun that is meant, instead of --session and --action
    #[arg(long, value_name = "ACTION-RUN", conflicts_with_all = ["session", "action", "target"], required_unless_present = "action")]
    run: Option<String>,
    /// The session in whose name it would be done; none when absent
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// The stack; the session's when absent
    #[arg(long, value_name = "STACK", required_unless_present_any = ["session", "run"])]
    stack: Option<String>,
    /// The action, such as restart_service
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Option<ActionKind>,
    /// The service; the whole stack when absent
    #[arg(long, value_name = "SERVICE")]
    target: Option<String>,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

fn action(text: &str) -> Result<ActionKind, String> {
    ActionKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
        let all: Vec<_> = ActionKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("expected one of {}", all.join(", "))
    })
}

/// What is asked, by whichever flags.
struct Question {
    stack: WicapStack,
    action: ActionKind,
    target: String,
    services: Vec<String>,
    session: String,
    run: Option<String>,
}

impl Policy {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let Verb::Explain(explain) = &self.verb;
        explain.run(store, io).await
    }
}

impl Explain {
    async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let question = self.question(store).await?;
        let everything = ListParams::default();
        let of_stack = ListParams { fields: Some(format!("spec.stack={}", question.stack.name())), ..ListParams::default() };
        let (sessions, policies, stops) = (store.api(), store.api(), store.api());
        let (elevations, approvals, runs) = (store.api(), store.api(), store.api());
        let (sessions, policies, stops, elevations, approvals, actions) = tokio::try_join!(
            sessions.list(&everything),
            policies.list(&everything),
            stops.list(&everything),
            elevations.list(&everything),
            approvals.list(&everything),
            runs.list(&of_stack),
        )?;
        let request = Request {
            stack: &question.stack,
            action: question.action,
            target: &question.target,
            services: &question.services,
            session: &question.session,
            run: question.run.as_deref(),
            planning: false,
        };
        let facts = Facts {
            sessions: &sessions.items,
            policies: &policies.items,
            stops: &stops.items,
            elevations: &elevations.items,
            approvals: &approvals.items,
            actions: &actions.items,
            // Links are resolved on the stack's host, by the actuator; here the directory is compared as it is written.
            directory: None,
            roots: &[],
            now: store.clock().now(),
        };
        let decision = authorise(&request, &facts);
        match self.output {
            Output::Text => text(&question, &decision, io)?,
            Output::Json => {
                let asked = json!({
                    "stack": question.stack.name(), "session": question.session, "action": question.action,
                    "target": question.target, "run": question.run,
                });
                serde_json::to_writer_pretty(&mut *io.out, &json!({"request": asked, "decision": decision}))
                    .map_err(std::io::Error::from)?;
                writeln!(io.out)?;
            }
        }
        match &decision.denied_by {
            None => Ok(()),
            Some(gate) => Err(Error::No(format!("{} would be denied by {gate}", question.action))),
        }
    }

    async fn question(&self, store: &Store) -> Result<Question, Error> {
        if let Some(name) = &self.run {
            let run = store.api::<ActionRun>().get(name).await?;
            let stack = store.api::<WicapStack>().get(&run.spec.stack).await?;
            let (target, services, session) = (run.spec.target, run.spec.params.services, run.spec.session);
            return Ok(Question { stack, action: run.spec.action, target, services, session, run: Some(name.clone()) });
        }
        let Some(action) = self.action else { return Err(Error::Usage("--action is missing".to_owned())) };
        let stack = match (&self.stack, &self.session) {
            (Some(stack), _) => stack.clone(),
            (None, Some(session)) => store.api::<ControlSession>().get(session).await?.spec.stack,
            (None, None) => return Err(Error::Usage("neither --session nor --stack is given".to_owned())),
        };
        let stack = store.api::<WicapStack>().get(&stack).await?;
        let (target, session) = (self.target.clone().unwrap_or_default(), self.session.clone().unwrap_or_default());
        Ok(Question { stack, action, target, services: Vec::new(), session, run: None })
    }
}

fn text(question: &Question, decision: &Decision, io: &mut Io<'_>) -> Result<(), Error> {
    let Question { stack, action, target, session, .. } = question;
    let whose = if session.is_empty() { "in no session".to_owned() } else { format!("in session {session}") };
    let verdict = match (&decision.denied_by, decision.shadow) {
        (Some(gate), _) => format!("denied by {gate}"),
        (None, true) => "allowed, to be said and not done".to_owned(),
        (None, false) => "allowed".to_owned(),
    };
    writeln!(io.out, "{} of stack {}, {whose}: {verdict}\n", action.on(target), stack.name())?;
    let mut rows = vec![["GATE", "VERDICT", "OBJECT", "FIELD", "WHY"].map(str::to_owned).to_vec()];
    for gate in &decision.trace {
        let (object, field) = (gate.object.clone().unwrap_or_default(), gate.field.clone().unwrap_or_default());
        let verdict = if gate.allowed { "open" } else { "shut" };
        rows.push(vec![gate.gate.clone(), verdict.to_owned(), object, field, gate.reason.clone()]);
    }
    Table::list().write(io.out, &rows)?;
    let fixes: Vec<_> = decision.trace.iter().filter_map(|gate| Some((&gate.gate, gate.fix.as_ref()?))).collect();
    if !fixes.is_empty() {
        writeln!(io.out, "\nFor it to be allowed:")?;
        let rows: Vec<Vec<String>> = fixes.into_iter().map(|(gate, fix)| vec![gate.clone(), fix.clone()]).collect();
        Table::described().write(io.out, &rows)?;
    }
    Ok(())
}
