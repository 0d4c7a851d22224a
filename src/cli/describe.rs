//! `describe`: one object with all that is known of it, and what happened to it lately.

use std::path::PathBuf;

use clap::Args;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use super::kind::{Kind, name_of};
use super::merge::LAST_APPLIED;
use super::print::sections::{self, Section, related};
use super::print::{table, tree};
use super::target::Target;
use super::{Error, Io, finalizers, manifest};
use crate::api::action::ActionRun;
use crate::api::incident::Incident;
use crate::api::{API_VERSION, Time};
use crate::store::{ListParams, Store};

/// kubectl's words for a command line without a kind.
const NO_KIND: &str = "You must specify the type of resource to describe. Use \"wicapctl api-resources\" for a \
    complete list of supported resources.";

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// KIND [NAME or the beginning of names], KIND NAME… or KIND/NAME…
    #[arg(value_name = "KIND", conflicts_with = "filename")]
    target: Vec<String>,
    /// The objects that a file, a directory or - (standard input) describes
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", conflicts_with = "labels")]
    filename: Vec<PathBuf>,
    /// Search directories for manifests in depth
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long = "selector", value_name = "LABELS")]
    labels: Option<String>,
    /// Also what happened lately, and the actions and incidents that belong to the object
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    show_events: bool,
}

/// What belongs to an object and is not in it.
struct Around {
    related: Vec<Section>,
    events: Vec<Event>,
}

impl Describe {
    /// Describes each object.
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let (found, errors) = self.find(store).await?;
        if found.is_empty() && errors.is_empty() {
            writeln!(io.err, "No resources found")?;
        }
        for (i, (kind, object)) in found.iter().enumerate() {
            if i > 0 {
                writeln!(io.out, "\n")?;
            }
            let around = if self.show_events { Some(around(kind, object, store).await?) } else { None };
            describe(io.out, kind.info.kind, object, around, store.clock().now())?;
        }
        Error::all(errors)
    }

    /// The objects that are meant, and what is wrong with those that are not there.
    async fn find(&self, store: &Store) -> Result<(Vec<(Kind, Value)>, Vec<Error>), Error> {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        if self.target.is_empty() && self.filename.is_empty() {
            return Err(Error::Usage(NO_KIND.to_owned()));
        }
        let target = if self.filename.is_empty() {
            Target::parse(&self.target)?
        } else {
            let manifests = manifest::read(&self.filename, self.recursive).finish()?;
            Target::Named(manifests.into_iter().map(|m| (m.kind, m.name)).collect())
        };
        match target {
            Target::Named(_) if self.labels.is_some() => {
                return Err(Error::Usage("name cannot be provided when a selector is specified".to_owned()));
            }
            Target::Named(named) => {
                for (kind, name) in named {
                    match kind.get(store, &name).await? {
                        Some(object) => found.push((kind, object)),
                        None => match self.beginning_with(&kind, &name, store).await? {
                            objects if objects.is_empty() => errors.push(kind.not_there(store, &name).await),
                            objects => found.extend(objects),
                        },
                    }
                }
            }
            Target::Kinds(kinds) => {
                for kind in kinds {
                    let params = ListParams { labels: self.labels.clone(), ..ListParams::default() };
                    let objects = kind.list(store, &params).await?;
                    found.extend(objects.into_iter().filter_map(|object| Some((Kind::of(kind.info)?, object))));
                }
            }
        }
        Ok((found, errors))
    }

    /// The objects whose names begin like this, where the command line is KIND NAME and nothing else, as kubectl does.
    async fn beginning_with(&self, kind: &Kind, name: &str, store: &Store) -> Result<Vec<(Kind, Value)>, Error> {
        if self.target.len() != 2 || self.target[0].contains('/') {
            return Ok(Vec::new());
        }
        let objects = kind.list(store, &ListParams::default()).await?.into_iter();
        Ok(objects.filter(|o| name_of(o).starts_with(name)).filter_map(|o| Some((Kind::of(kind.info)?, o))).collect())
    }
}

/// Reads what belongs to an object.
async fn around(kind: &Kind, object: &Value, store: &Store) -> Result<Around, Error> {
    let (kind, name, now) = (kind.info.kind, name_of(object), store.clock().now());
    let mut related = Vec::new();
    if related::has_actions(kind) {
        let all = store.api::<ActionRun>().list(&ListParams::default()).await?.items;
        related.extend(related::actions(kind, name, all, now));
    }
    if related::has_incidents(kind) {
        let all = store.api::<Incident>().list(&ListParams::default()).await?.items;
        related.extend(related::incidents(kind, name, all, now));
    }
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
    let mut events = store.events_for(kind, name).await?;
    // An earlier object of the same name is not this one.
    events.retain(|e| e.involved_object.uid.is_none() || e.involved_object.uid.as_deref() == uid);
    Ok(Around { related, events })
}

/// Writes the description.
fn describe(
    out: &mut dyn std::io::Write,
    kind: &str,
    object: &Value,
    around: Option<Around>,
    now: Time,
) -> std::io::Result<()> {
    let meta = |field: &str| object.pointer(&format!("/metadata/{field}")).cloned().unwrap_or_default();
    writeln!(out, "Name:         {}", table::harmless(name_of(object)))?;
    pairs(out, "Labels:", "=", &meta("labels"))?;
    pairs(out, "Annotations:", ": ", &meta("annotations"))?;
    writeln!(out, "API Version:  {API_VERSION}")?;
    writeln!(out, "Kind:         {kind}")?;
    if let Some(terminating) = finalizers::terminating(object, now) {
        writeln!(out, "Deletion:     {}", table::harmless(&terminating))?;
    }
    let mut metadata = object.get("metadata").cloned().unwrap_or_default();
    if let Value::Object(map) = &mut metadata {
        for field in ["name", "labels", "annotations", "managedFields"] {
            map.remove(field);
        }
    }
    writeln!(out, "Metadata:")?;
    tree::fields(out, &metadata, 1)?;
    writeln!(out, "Spec:")?;
    tree::fields(out, &object["spec"], 1)?;
    let mut status = object.get("status").cloned().unwrap_or_default();
    let tables = sections::take(kind, &object["spec"], &mut status, now);
    writeln!(out, "Status:")?;
    tree::fields(out, &status, 1)?;
    for section in tables {
        section.write(out)?;
    }
    let Some(around) = around else { return Ok(()) };
    for section in around.related {
        section.write(out)?;
    }
    sections::events(out, around.events, now)
}

/// Labels or annotations, one a line behind the title, with what kubectl puts between key and value.
fn pairs(out: &mut dyn std::io::Write, title: &str, between: &str, map: &Value) -> std::io::Result<()> {
    let shown: Vec<_> = map.as_object().into_iter().flatten().filter(|(key, _)| *key != LAST_APPLIED).collect();
    if shown.is_empty() {
        return writeln!(out, "{title:14}<none>");
    }
    for (i, (key, value)) in shown.into_iter().enumerate() {
        let text = value.as_str().unwrap_or_default().trim_end().replace('\n', " ");
        writeln!(out, "{:14}{}{between}{}", if i == 0 { title } else { "" }, table::harmless(key), table::harmless(&text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn described(kind: &str, object: &Value, events: Value) -> String {
        let mut out = Vec::new();
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        let around = Around { related: Vec::new(), events: serde_json::from_value(events).unwrap() };
        describe(&mut out, kind, object, Some(around), now).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_action_shows_its_decision_and_its_steps() {
        let object = json!({
            "metadata": {"name": "wicap-redis-1-1", "uid": "u", "generation": 1, "labels": {"a": "1", "b": "2"},
                "annotations": {LAST_APPLIED: "{}"}},
            "spec": {"action": "compose_up", "cause": {"kind": "Drift", "summary": "redis is Missing"}, "stack": "wicap"},
            "status": {
                "phase": "Failed",
                "decision": {"allowed": true, "trace": [
                    {"gate": "stop", "allowed": true, "reason": "no EmergencyStop"},
                    {"gate": "session", "allowed": true, "reason": "night is Active"}]},
                "steps": [
                    {"kind": "Execute", "command": ["docker", "compose", "up"], "startedAt": "2026-01-01T23:59:00Z",
                     "finishedAt": "2026-01-01T23:59:01.5Z", "exitCode": 1, "output": "pulling\nno such image\n"},
                    {"kind": "Verify", "command": ["inspect"], "startedAt": "2026-01-01T23:59:02Z"}],
                "conditions": [{"type": "Complete", "status": "True", "reason": "Failed", "message": "exit 1",
                    "lastTransitionTime": "2026-01-01T23:59:30Z"}],
            },
        });
        let expected = "\
Name:         wicap-redis-1-1
Labels:       a=1
              b=2
Annotations:  <none>
API Version:  wicap.dev/v1alpha1
Kind:         ActionRun
Metadata:
  Generation:  1
  UID:         u
Spec:
  Action:  compose_up
  Cause:
    Kind:     Drift
    Summary:  redis is Missing
  Stack:      wicap
Status:
  Decision:
    Allowed:  true
  Phase:      Failed
Decision Trace:
  Gate     Verdict  Reason
  ----     -------  ------
  stop     pass     no EmergencyStop
  session  pass     night is Active
Steps:
  Step     Age  Took                    Exit    Command            Output
  ----     ---  ----                    ----    -------            ------
  Execute  60s  1.5s                    1       docker compose up  (below)
  Verify   58s  not finished after 58s  <none>  inspect            
  Output of Execute:
    pulling
    no such image
Conditions:
  Type      Status  Reason  Since  Message
  ----      ------  ------  -----  -------
  Complete  True    Failed  30s    exit 1
Events:  <none>
";
        assert_eq!(described("ActionRun", &object, json!([])), expected);
    }

    #[test]
    fn what_is_to_go_says_what_holds_it() {
        let metadata = json!({"name": "s", "deletionTimestamp": "2026-01-01T23:55:00Z", "finalizers": ["wicap.dev/soak"]});
        let text = described("WicapStack", &json!({"metadata": metadata, "spec": {}}), json!([]));
        let line = "\nDeletion:     Terminating for 5m, held by wicap.dev/soak (the soak controller's)\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_stack_shows_its_services_and_events_in_the_order_of_time() {
        let event = |name: &str, reason: &str, count: i32, first: &str, last: &str| {
            json!({"metadata": {"name": name}, "involvedObject": {}, "type": "Warning", "reason": reason, "message": "m",
                "count": count, "firstTimestamp": first, "lastTimestamp": last, "source": {"component": "planner"}})
        };
        let events = json!([
            event("b", "Late", 3, "2026-01-01T23:55:00Z", "2026-01-01T23:59:50Z"),
            event("a", "Early", 1, "2026-01-01T23:50:00Z", "2026-01-01T23:50:00Z"),
        ]);
        let object = json!({
            "metadata": {"name": "s"},
            "spec": {"host": "h", "compose": {"project": "p", "directory": "/d"},
                "services": [{"name": "redis"}, {"name": "ui"}]},
            "status": {"ready": "1/2", "services": [
                {"name": "ui", "state": "Running", "since": "2026-01-01T00:00:00Z", "health": "Healthy",
                 "restarts": 2, "image": "i",
                 "probes": [{"name": "up", "state": "Passing"}]},
                {"name": "redis", "state": "Exited", "exitCode": 137, "oomKilled": true, "restarts": 0,
                 "probes": [{"name": "tcp", "state": "Failing", "since": "2026-01-01T23:58:00Z",
                    "message": "connection refused", "samples": {"age": 7.0}}]}],
                "recovery": [
                    {"service": "redis", "episode": 3, "step": 1, "attempts": 1, "total": 3, "lastAction": "s-redis-3-3",
                     "backoffUntil": "2026-01-02T00:00:30Z"},
                    {"service": "ui", "episode": 1, "stableSince": "2026-01-01T23:59:00Z"}],
                "plannedAction": "restart_service on redis",
                "blockedBy": {"gate": "session", "message": "no session of s is Active"}},
        });
        let text = described("WicapStack", &object, events);
        let expected = "\
Status:
  Ready:  1/2
Services:
  Name   State    Since   Health   Restarts  Probes         Image   Message
  ----   -----    -----   ------   --------  ------         -----   -------
  ui     Running  24h     Healthy  2         1/1            i       
  redis  Exited   <none>  <none>   0         0/1 (not tcp)  <none>  exit 137; killed for want of memory
Probes:
  Service  Probe  State    Since   Samples  Last seen
  -------  -----  -----    -----   -------  ---------
  ui       up     Passing  <none>  <none>   
  redis    tcp    Failing  2m      age=7    connection refused
Recovery:
  Service  Episode  Step                 Attempts  Actions  Backoff   Last action  Standing
  -------  -------  ----                 --------  -------  -------   -----------  --------
  redis    3        2/4 restart_service  1/2       3        30s more  s-redis-3-3  in drift
  ui       1        <none>               0         0        <none>    <none>       well for 60s
Plan:
  Action                    Blocked by  Reason
  ------                    ----------  ------
  restart_service on redis  session     no session of s is Active
Events:
  Type     Reason  Age               From     Message
  ----     ------  ---               ----     -------
  Warning  Early   10m               planner  m
  Warning  Late    10s (x3 over 5m)  planner  m
";
        assert!(text.ends_with(expected), "{text}");
    }
}
