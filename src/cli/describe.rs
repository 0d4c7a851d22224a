//! `describe`: one object with all that is known of it, and what happened to it lately.

use clap::Args;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use super::kind::{Kind, name_of};
use super::merge::LAST_APPLIED;
use super::print::{sections, table, tree};
use super::target::Target;
use super::{Error, Io};
use crate::api::{API_VERSION, Time};
use crate::store::{ListParams, Store};

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// KIND [NAME…] or KIND/NAME…
    #[arg(value_name = "KIND", required = true)]
    target: Vec<String>,
    /// Only objects with these labels
    #[arg(short = 'l', long = "selector", value_name = "LABELS")]
    labels: Option<String>,
}

impl Describe {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        match Target::parse(&self.target)? {
            Target::Named(named) => {
                for (kind, name) in named {
                    match kind.get(store, &name).await? {
                        Some(object) => found.push((kind, object)),
                        None => errors.push(kind.not_found(&name)),
                    }
                }
            }
            Target::Kinds(kinds) => {
                for kind in kinds {
                    let params = ListParams { labels: self.labels.clone(), ..ListParams::default() };
                    for object in kind.list(store, &params).await? {
                        found.extend(Kind::of(kind.info).map(|kind| (kind, object)));
                    }
                }
            }
        }
        if found.is_empty() && errors.is_empty() {
            writeln!(io.err, "No resources found")?;
        }
        for (i, (kind, object)) in found.iter().enumerate() {
            if i > 0 {
                writeln!(io.out, "\n")?;
            }
            let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
            let mut events = store.events_for(kind.info.kind, name_of(object)).await?;
            // An earlier object of the same name is not this one.
            events.retain(|e| e.involved_object.uid.is_none() || e.involved_object.uid.as_deref() == uid);
            describe(io.out, kind.info.kind, object, events, store.clock().now())?;
        }
        Error::all(errors)
    }
}

/// Writes the description.
fn describe(out: &mut dyn std::io::Write, kind: &str, object: &Value, events: Vec<Event>, now: Time) -> std::io::Result<()> {
    let meta = |field: &str| object.pointer(&format!("/metadata/{field}")).cloned().unwrap_or_default();
    writeln!(out, "Name:         {}", table::harmless(name_of(object)))?;
    pairs(out, "Labels:", &meta("labels"))?;
    pairs(out, "Annotations:", &meta("annotations"))?;
    writeln!(out, "API Version:  {API_VERSION}")?;
    writeln!(out, "Kind:         {kind}")?;
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
    let tables = sections::take(kind, &mut status, now);
    writeln!(out, "Status:")?;
    tree::fields(out, &status, 1)?;
    for section in tables {
        section.write(out)?;
    }
    sections::events(out, events, now)
}

/// Labels or annotations, one a line behind the title.
fn pairs(out: &mut dyn std::io::Write, title: &str, map: &Value) -> std::io::Result<()> {
    let shown: Vec<_> = map.as_object().into_iter().flatten().filter(|(key, _)| *key != LAST_APPLIED).collect();
    if shown.is_empty() {
        return writeln!(out, "{title:14}<none>");
    }
    for (i, (key, value)) in shown.into_iter().enumerate() {
        let text = value.as_str().unwrap_or_default().trim_end().replace('\n', " ");
        writeln!(out, "{:14}{}: {}", if i == 0 { title } else { "" }, table::harmless(key), table::harmless(&text))?;
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
        describe(&mut out, kind, object, serde_json::from_value(events).unwrap(), now).unwrap();
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
Labels:       a: 1
              b: 2
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
  Stack:   wicap
Status:
  Decision:
    Allowed:  true
  Phase:  Failed
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
            "spec": {"host": "h"},
            "status": {"ready": "1/2", "services": [
                {"name": "ui", "state": "Running", "since": "2026-01-01T00:00:00Z", "health": "Healthy", "restarts": 2, "image": "i",
                 "probes": [{"name": "up", "state": "Passing"}]},
                {"name": "redis", "state": "Exited", "exitCode": 137, "oomKilled": true, "restarts": 0,
                 "probes": [{"name": "tcp", "state": "Failing"}]}]},
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
Events:
  Type     Reason  Age               From     Message
  ----     ------  ---               ----     -------
  Warning  Early   10m               planner  m
  Warning  Late    10s (x3 over 5m)  planner  m
";
        assert!(text.ends_with(expected), "{text}");
    }
}
