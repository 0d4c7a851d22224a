//! Bad manifests are refused with the field's path, what was found and what was expected, exit code 4, and nothing is stored.

mod support;

use serde_json::{Value, json};
use support::server::Server;
use support::wicapctl;

fn stack(change: impl FnOnce(&mut Value)) -> String {
    changed(
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"},
            "spec": {"compose": {"project": "p", "directory": "/srv/p"},
                     "services": [{"name": "ui", "probes": [{"name": "up", "tcpSocket": {"port": 80}}]}]},
        }),
        change,
    )
}

fn session(change: impl FnOnce(&mut Value)) -> String {
    changed(
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "c"},
            "spec": {"stack": "s", "mode": "Assist", "ttl": "1h", "allowedActions": ["restart_service"],
                     "operator": "ann@host", "reason": "night"},
        }),
        change,
    )
}

fn policy(change: impl FnOnce(&mut Value)) -> String {
    changed(
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlPolicy", "metadata": {"name": "p"},
            "spec": {"allow": [{"actions": ["group:safe"]}], "allowedRoots": ["/srv"], "hosts": ["*"]},
        }),
        change,
    )
}

fn soak(change: impl FnOnce(&mut Value)) -> String {
    changed(
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "SoakRun", "metadata": {"name": "k"},
            "spec": {"stack": "s", "duration": "8s", "checks": [{"name": "d", "httpGet": {"port": 80}, "period": "1s"}]},
        }),
        change,
    )
}

fn changed(mut document: Value, change: impl FnOnce(&mut Value)) -> String {
    change(&mut document);
    document.to_string()
}

/// What is wrong, the manifest, and the whole of what is said about it after the name of the file.
fn bad_manifests() -> Vec<(&'static str, String, &'static str)> {
    let probe =
        |field: &'static str, value: Value| move |d: &mut Value| d["spec"]["services"][0]["probes"][0][field] = value;
    vec![
        (
            "a wrong type",
            stack(probe("tcpSocket", json!({"port": "http"}))),
            r#"WicapStack "s": spec.services[0].probes[0].tcpSocket.port: found "http", expected a whole number from 0 to 65535"#,
        ),
        (
            "a number out of range",
            stack(probe("tcpSocket", json!({"port": 70000}))),
            r#"WicapStack "s": spec.services[0].probes[0].tcpSocket.port: found 70000, expected a whole number from 0 to 65535"#,
        ),
        (
            "a port that is none",
            stack(probe("tcpSocket", json!({"port": 0}))),
            r#"WicapStack "s": spec.services[0].probes[0].tcpSocket.port: found 0, expected a port from 1 to 65535"#,
        ),
        (
            "two handlers",
            stack(probe("httpGet", json!({"port": 80}))),
            r#"WicapStack "s": spec.services[0].probes[0]: found 2 handlers, expected exactly one of tcpSocket, httpGet, health, process and log"#,
        ),
        (
            "a timeout over the period",
            stack(probe("timeout", json!("11s"))),
            r#"WicapStack "s": spec.services[0].probes[0].timeout: found "11s", expected at most the period of "10s""#,
        ),
        (
            "a list where an object belongs",
            stack(|d| d["spec"]["compose"] = json!("compose.yaml")),
            r#"WicapStack "s": spec.compose: found "compose.yaml", expected an object"#,
        ),
        (
            "an unknown field",
            stack(|d| d["spec"]["services"][0]["nmae"] = json!("x")),
            "WicapStack \"s\": spec.services[0].nmae: found an unknown field, expected one of critical, dependsOn, managed, name, \
             probes, recovery",
        ),
        (
            "a missing required field",
            stack(|d| d["spec"]["compose"] = json!({"directory": "/srv/p"})),
            r#"WicapStack "s": spec.compose.project: found nothing, expected a value: the field is required"#,
        ),
        (
            "a missing half",
            stack(|d| drop(d.as_object_mut().unwrap().remove("spec"))),
            r#"WicapStack "s": spec: found nothing, expected a value: the field is required"#,
        ),
        (
            "a negative duration",
            stack(|d| d["spec"]["defaults"] = json!({"recovery": {"holdOff": "-5s"}})),
            "WicapStack \"s\": spec.defaults.recovery.holdOff: found \"-5s\", expected a duration of 0s or more, such as \"30s\"",
        ),
        (
            "a duration that is none",
            session(|d| d["spec"]["ttl"] = json!("soon")),
            r#"ControlSession "c": spec.ttl: found "soon", expected a duration, such as "30s" or "1h30m""#,
        ),
        (
            "a duration without a unit",
            session(|d| d["spec"]["ttl"] = json!(3600)),
            r#"ControlSession "c": spec.ttl: found 3600, expected a duration, such as "30s" or "1h30m""#,
        ),
        (
            "a duplicate service",
            stack(|d| d["spec"]["services"] = json!([{"name": "ui"}, {"name": "ui"}])),
            r#"WicapStack "s": spec.services[1].name: found "ui" a second time, expected each service once"#,
        ),
        (
            "a cycle of dependencies",
            stack(|d| {
                d["spec"]["services"] = json!([{"name": "a", "dependsOn": ["b"]}, {"name": "b", "dependsOn": ["a"]}]);
            }),
            r#"WicapStack "s": spec.services: found a cycle of dependencies a -> b -> a, expected no cycle"#,
        ),
        (
            "a path that escapes the root",
            stack(|d| d["spec"]["compose"]["files"] = json!(["../../etc/passwd"])),
            "WicapStack \"s\": spec.compose.files[0]: found \"../../etc/passwd\", expected a relative path that stays inside \
             spec.compose.directory (no '..', not absolute, no leading '-')",
        ),
        (
            "a root that climbs",
            policy(|d| d["spec"]["allowedRoots"] = json!(["/srv/../etc"])),
            "ControlPolicy \"p\": spec.allowedRoots[0]: found \"/srv/../etc\", expected an absolute path without '..', '.' or empty \
             components",
        ),
        (
            "an action that does not exist",
            session(|d| d["spec"]["allowedActions"] = json!(["rm_rf"])),
            "ControlSession \"c\": spec.allowedActions[0]: found \"rm_rf\", expected one of \"status_check\", \"start_service\", \
             \"restart_service\", \"stop_service\", \"compose_up\", \"recreate_service\", \"run_job\", \
             \"compose_down\", \"compose_down_volumes\"",
        ),
        (
            "a mode that does not exist",
            session(|d| d["spec"]["mode"] = json!("assist")),
            r#"ControlSession "c": spec.mode: found "assist", expected one of "Monitor", "Shadow", "Canary", "Assist""#,
        ),
        (
            "a canary without its actions",
            session(|d| d["spec"]["mode"] = json!("Canary")),
            r#"ControlSession "c": spec.canary: found nothing, expected actions and stopRules: mode is Canary"#,
        ),
        (
            "nothing to check",
            soak(|d| d["spec"]["checks"] = json!([])),
            "SoakRun \"k\": spec.checks: found an empty list, expected at least one check: nothing asked proves nothing",
        ),
        (
            "a check that is an action, and no session for it",
            soak(|d| d["spec"]["checks"] = json!([{"name": "c", "period": "1m", "timeout": "1m", "job": "e2e"}])),
            "SoakRun \"k\": spec.session: found the job \"e2e\" and no session, expected the name of a ControlSession: a job is an \
             action",
        ),
        (
            "a check that asks two things",
            soak(|d| d["spec"]["checks"][0]["job"] = json!("e2e")),
            "SoakRun \"k\": spec.checks[0]: found several of them, expected exactly one of httpGet, webdriver and job",
        ),
        (
            "a job that would be told options of the engine",
            stack(|d| d["spec"]["jobs"] = json!([{"name": "e2e", "image": "--privileged", "junit": "/out/junit.xml"}])),
            "WicapStack \"s\": spec.jobs[0].image: found \"--privileged\", expected the name or id of an image",
        ),
        (
            "two mistakes at once",
            soak(|d| {
                d["spec"]["stack"] = json!("S");
                d["spec"]["criteria"] = json!({"minPassRate": 1.5});
            }),
            "SoakRun \"k\": spec.stack: found \"S\", expected 1 to 253 of a-z, 0-9, '-' and '.', beginning and ending with a letter \
             or digit (RFC 1123 subdomain)\nFILE: SoakRun \"k\": spec.criteria.minPassRate: found 1.5, expected a number from 0 to 1",
        ),
        (
            "a name that cannot be one",
            stack(|d| d["metadata"]["name"] = json!("../etcd")),
            "WicapStack \"../etcd\": metadata.name: found \"../etcd\", expected 1 to 253 of a-z, 0-9, '-' and '.', beginning and \
             ending with a letter or digit (RFC 1123 subdomain)",
        ),
        (
            "a label whose value cannot be one",
            stack(|d| d["metadata"]["labels"] = json!({"note": "night shift"})),
            "WicapStack \"s\": metadata.labels[\"note\"]: found \"night shift\", expected nothing, or 1 to 63 of letters, digits, \
             '-', '_' and '.', beginning and ending with a letter or digit",
        ),
        (
            "an object of 2 MiB",
            stack(|d| d["metadata"]["annotations"] = json!({"x": "y".repeat(2 << 20)})),
            "WicapStack \"s\": (document): found 2097386 bytes, expected at most 1048576 bytes of JSON",
        ),
        (
            "a wrong version",
            stack(|d| d["apiVersion"] = json!("wicap.dev/v2")),
            r#"apiVersion: found "wicap.dev/v2", expected "wicap.dev/v1alpha1""#,
        ),
        (
            "a kind of somebody else's",
            stack(|d| d["kind"] = json!("Pod")),
            "kind: found \"Pod\", expected one of WicapStack, ControlSession, ControlPolicy, Elevation, ActionRun, \
             Approval, EmergencyStop, SoakRun, ScheduledSoak, Incident, LogReport, Snapshot",
        ),
        (
            "half of a JSON text",
            r#"{"apiVersion": "wicap.dev/v1alpha1", "kind": "#.to_owned(),
            "line 1, column 45: found EOF while parsing a value, expected well-formed JSON or YAML",
        ),
        (
            "words",
            "start everything".to_owned(),
            r#"(document): found "start everything", expected an object with apiVersion, kind, metadata and spec"#,
        ),
        (
            "a key that stands twice",
            "apiVersion: wicap.dev/v1alpha1\nkind: EmergencyStop\nkind: WicapStack\n".to_owned(),
            "line 3, column 1: found duplicate mapping key: kind, expected well-formed JSON or YAML",
        ),
    ]
}

/// Everything that is stored, whoever stored it.
async fn stored(server: &Server) -> usize {
    let options = etcd_client::GetOptions::new().with_all_keys().with_count_only();
    usize::try_from(server.client().await.get("", Some(options)).await.unwrap().count()).unwrap()
}

#[tokio::test]
async fn each_bad_manifest_is_refused_with_what_is_wrong_and_nothing_is_stored() {
    let server = Server::start().await;
    let url = server.url();
    let directory = tempfile::tempdir().unwrap();
    let cases = bad_manifests();
    assert!(cases.len() >= 12);
    for (what, manifest, expected) in cases {
        let file = directory.path().join("manifest.yaml").display().to_string();
        std::fs::write(&file, &manifest).unwrap();
        for (place, argument, input) in [("(standard input)", "-", manifest.as_str()), (file.as_str(), file.as_str(), "")] {
            let said = wicapctl(&url, &["apply", "-f", argument], input);
            let expected = format!("{place}: {}\n", expected.replace("FILE", place));
            assert_eq!((said.code, said.out.as_str(), said.err), (4, "", expected), "{what}");
            assert_eq!(stored(&server).await, 0, "{what}");
        }
    }
}

#[tokio::test]
async fn the_manifests_are_good_but_for_what_is_wrong_with_them() {
    let server = Server::start().await;
    let good = [stack(|_| {}), session(|_| {}), policy(|_| {}), soak(|_| {})];
    let said = wicapctl(&server.url(), &["apply", "-f", "-"], &good.join("\n"));
    assert_eq!(said.code, 0, "{said:?}");
    // Each with its record in the audit log, and the end of that.
    assert_eq!(stored(&server).await, 4 + 4 + 1);
}

#[tokio::test]
async fn of_a_batch_with_one_bad_document_nothing_is_stored() {
    let server = Server::start().await;
    let url = server.url();
    let good = policy(|_| {});
    for (what, bad, _) in bad_manifests() {
        // Text that cannot be parsed takes what stands beside it along.
        let (first, second) = (format!("{good}\n---\n{bad}\n"), format!("{bad}\n---\n{good}\n"));
        for batch in [first, second] {
            let said = wicapctl(&url, &["apply", "-f", "-"], &batch);
            assert_eq!((said.code, said.out.as_str()), (4, ""), "{what}: {said:?}");
            assert_eq!(stored(&server).await, 0, "{what}");
        }
    }
    // In a directory the good file comes first.
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.json"), &good).unwrap();
    std::fs::write(directory.path().join("b.json"), stack(|d| d["spec"]["services"] = json!([]))).unwrap();
    let path = directory.path().display().to_string();
    let said = wicapctl(&url, &["apply", "-f", &path], "");
    let expected =
        format!("{path}/b.json: WicapStack \"s\": spec.services: found an empty list, expected at least one service\n");
    assert_eq!((said.code, said.err), (4, expected));
    assert_eq!(stored(&server).await, 0);
}
