//! The verb on a store in memory.

use crate::api::stack::WicapStack;
use crate::api::stop::EmergencyStop;
use crate::clock::Clock;
use crate::store::DeleteParams;
use crate::store::embedded::{Embedded, Options};
use clap::Parser;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use regex::Regex;
use serde_json::{Value, json};

use super::*;

/// A moment for ages.
const NOW: &str = "2026-01-01T20:00:00Z";

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    get: Get,
}

struct Scene {
    store: Store,
    _embedded: Embedded,
}

/// What a command line says: data, messages, exit code.
type Said = (String, String, u8);

fn stack(name: &str, labels: Value, annotations: Value) -> Value {
    json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"compose": {"project": name, "directory": "/srv"}, "services": [{"name": "ui"}]},
    })
}

impl Scene {
    async fn new(stacks: &[Value]) -> Self {
        let embedded = Embedded::in_memory(Options::default()).unwrap();
        let clock = Clock::of_runtime(NOW.parse().unwrap());
        let store = Store::with_client(embedded.client().await.unwrap(), "embedded".parse().unwrap(), clock);
        let scene = Self { store, _embedded: embedded };
        for stack in stacks {
            scene.store.api::<WicapStack>().create(&serde_json::from_value(stack.clone()).unwrap()).await.unwrap();
        }
        scene
    }

    /// Three stacks, two of them observed, and a stop.
    async fn usual() -> Self {
        let scene = Self::new(&[
            stack("ui-10", json!({"app": "ui", "app.kubernetes.io/name": "x"}), json!({})),
            stack("ui-2", json!({"app": "ui"}), json!({})),
            stack("wicap", json!({}), json!({})),
        ])
        .await;
        scene
            .status("wicap", json!([condition("Available", "True", "AsDesired"), condition("Observed", "True", "Observed")]))
            .await;
        scene.status("ui-2", json!([condition("Available", "False", "NotAsDesired")])).await;
        let stop = json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "EmergencyStop", "metadata": {"name": "all"},
            "spec": {"reason": "a\tb\u{1b}[31m\nc", "by": "ann"},
        });
        scene.store.api::<EmergencyStop>().create(&serde_json::from_value(stop).unwrap()).await.unwrap();
        scene
    }

    async fn status(&self, name: &str, conditions: Value) {
        let stacks = self.store.api::<WicapStack>();
        let mut object = serde_json::to_value(stacks.get(name).await.unwrap()).unwrap();
        object["status"] = json!({"conditions": conditions});
        stacks.replace_status(&serde_json::from_value(object).unwrap(), None).await.unwrap();
    }

    async fn get(&self, line: &[&str]) -> Said {
        let words = std::iter::once("get").chain(line.iter().copied());
        let line = Line::try_parse_from(words).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = line
            .get
            .run(&self.store, &mut Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() })
            .await;
        let code = outcome.as_ref().map_or_else(Error::exit_code, |()| 0);
        let message = outcome.map_or_else(|e| e.to_string(), |()| String::new());
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap() + &message, code)
    }

    /// The data of what must succeed and say nothing else.
    async fn out(&self, line: &str) -> String {
        let words: Vec<_> = line.split(' ').collect();
        let said = self.get(&words).await;
        assert!(said.1.is_empty() && said.2 == 0, "{line}: {said:?}");
        said.0
    }

    /// Every format shows these stacks, and nothing of them is lost in a document or gets out of a row.
    async fn shows(&self, stacks: &[Value]) {
        let api = self.store.api::<WicapStack>();
        for stack in stacks {
            api.create(&serde_json::from_value(stack.clone()).unwrap()).await.unwrap();
        }
        let shown: Value = serde_json::from_str(&self.out("ws -o json").await).unwrap();
        for (i, stack) in stacks.iter().enumerate() {
            for field in ["metadata/annotations", "spec/compose/directory"] {
                let of_shown = shown.pointer(&format!("/items/{i}/{field}"));
                assert_eq!(of_shown.unwrap_or(&json!({})), stack.pointer(&format!("/{field}")).unwrap());
            }
            let path = format!("ws {} -o jsonpath={{.spec.compose.directory}}", stack["metadata"]["name"].as_str().unwrap());
            assert_eq!(self.out(&path).await, stack["spec"]["compose"]["directory"].as_str().unwrap());
        }
        let yaml: Value = serde_saphyr::from_str(&self.out("ws -o yaml").await).unwrap();
        assert_eq!(yaml, shown);
        for line in
            ["ws --show-labels", "ws -o wide", "ws -o custom-columns=A:.metadata.annotations,B:.metadata.name,C:.spec"]
        {
            let text = self.out(line).await;
            assert_eq!(text.split_terminator('\n').count(), stacks.len() + 1, "{line}: {text}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{line}: {}", text.escape_debug());
        }
        for stack in stacks {
            api.delete(stack["metadata"]["name"].as_str().unwrap(), &DeleteParams::default()).await.unwrap();
        }
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": NOW})
}

#[tokio::test]
async fn tables_are_kubectls() {
    let scene = Scene::usual().await;
    // An age of seconds is as good as none: a test takes as long as it takes.
    let age = Regex::new(r"(?m) [0-9]s( |$)").unwrap();
    for (line, expected) in [
        (
            "ws",
            "NAME    DESIRED   AVAILABLE   READY   PLANNED   AGE
ui-10   Running                                 0s
ui-2    Running   False                         0s
wicap   Running   True                          0s
",
        ),
        (
            "ws wicap ui-2 --no-headers",
            "wicap   Running   True                0s\nui-2    Running   False               0s\n",
        ),
        (
            "ws,cs,stop",
            "NAME                         DESIRED   AVAILABLE   READY   PLANNED   AGE
wicapstack.wicap.dev/ui-10   Running                                 0s
wicapstack.wicap.dev/ui-2    Running   False                         0s
wicapstack.wicap.dev/wicap   Running   True                          0s

NAME                          REASON              BY    AGE
emergencystop.wicap.dev/all   a\\tb\\u{1b}[31m...   ann   0s
",
        ),
        (
            "ws/wicap stop/all --no-headers",
            "wicapstack.wicap.dev/wicap   Running   True               0s
emergencystop.wicap.dev/all   a\\tb\\u{1b}[31m...   ann   0s
",
        ),
        (
            "ws -L app,app.kubernetes.io/name --show-labels",
            "NAME    DESIRED   AVAILABLE   READY   PLANNED   AGE   APP   NAME   LABELS
ui-10   Running                                 0s    ui    x      app=ui,app.kubernetes.io/name=x
ui-2    Running   False                         0s    ui           app=ui
wicap   Running   True                          0s                 <none>
",
        ),
        (
            "ws --sort-by .metadata.name --show-kind",
            "NAME                         DESIRED   AVAILABLE   READY   PLANNED   AGE
wicapstack.wicap.dev/ui-2    Running   False                         0s
wicapstack.wicap.dev/ui-10   Running                                 0s
wicapstack.wicap.dev/wicap   Running   True                          0s
",
        ),
        (
            "ws --conditions",
            "NAME    DESIRED   AVAILABLE   READY   PLANNED   AGE   OBSERVED
ui-10   Running   <none>                        0s    <none>
ui-2    Running   False                         0s    <none>
wicap   Running   True                          0s    True
",
        ),
        (
            "ws wicap --conditions -o wide",
            "NAME    DESIRED   AVAILABLE         READY   PLANNED   BLOCKED-BY   HOST        PROJECT   AGE   OBSERVED
wicap   Running   True(AsDesired)                                  localhost   wicap     0s    True(Observed)
",
        ),
        ("ws -o custom-columns=N:.metadata.name,X:.none", "N       X\nui-10   <none>\nui-2    <none>\nwicap   <none>\n"),
        ("ws -l app=none -o custom-columns=N:.metadata.name", "N\n"),
        ("ws,stop -o name -l !app", "wicapstack.wicap.dev/wicap\nemergencystop.wicap.dev/all\n"),
        (
            "ws -o name --sort-by .metadata.name",
            "wicapstack.wicap.dev/ui-2\nwicapstack.wicap.dev/ui-10\nwicapstack.wicap.dev/wicap\n",
        ),
        ("ws -o jsonpath={.items[*].metadata.name}", "ui-10 ui-2 wicap"),
        ("ws wicap -o jsonpath={.metadata.name}", "wicap"),
    ] {
        let shown = age.replace_all(&scene.out(line).await, " 0s$1").into_owned();
        assert_eq!(shown, expected, "{line}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_as_kubectl_tells_it() {
    let scene = Scene::usual().await;
    let not_found = |name: &str| format!("Error from server (NotFound): wicapstacks.wicap.dev \"{name}\" not found");
    let empty = scene.out("ws -l app=none -o json").await;
    for (line, expected) in [
        ("ws x", (String::new(), not_found("x"), 1)),
        ("ws x -o json", (String::new(), not_found("x"), 1)),
        ("ws x y -o json", (empty, format!("{}\n{}", not_found("x"), not_found("y")), 1)),
        ("ws wicap x -o name", ("wicapstack.wicap.dev/wicap\n".to_owned(), not_found("x"), 1)),
        ("ws x --ignore-not-found", (String::new(), String::new(), 0)),
        ("ws x y -o json --ignore-not-found", (String::new(), String::new(), 0)),
        ("ws -l app=none", (String::new(), "No resources found\n".to_owned(), 0)),
        ("ws -l app=none --ignore-not-found -o yaml", (String::new(), String::new(), 0)),
        (
            "ws --sort-by .status.none",
            (
                String::new(),
                "error: couldn't find any field with path \"{.status.none}\" in the list of objects".to_owned(),
                1,
            ),
        ),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(scene.get(&words).await, expected, "{line}");
    }
}

#[tokio::test]
async fn flags_that_make_no_sense_together_are_refused_in_kubectls_words() {
    let scene = Scene::usual().await;
    for (line, expected) in [
        ("ws wicap -l a=b", "error: name cannot be provided when a selector is specified"),
        ("ws/wicap -l a=b", "error: selectors and the all flag cannot be used when passing resource/name arguments"),
        ("ws -o json --show-labels", "error: --show-labels option cannot be used with json printer"),
        ("ws -o name --conditions", "error: --conditions option cannot be used with name printer"),
        ("ws --output-watch-events", "error: --output-watch-events option can only be used with --watch or --watch-only"),
        ("ws,cs -w", "error: you may only specify a single resource type"),
        ("ws a b -w", "error: you may only watch a single resource or type of resource at a time"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(scene.get(&words).await, (String::new(), expected.to_owned(), 2), "{line}");
    }
    for line in ["get", "get ws -o xml", "get ws -f x", "get ws --sort-by .a[", "get ws --chunk-size -1"] {
        assert!(Line::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

/// The words of a text without its ages.
fn undated(text: &str) -> Vec<&str> {
    let age = |word: &&str| word.strip_suffix('s').is_some_and(|digits| digits.parse::<u32>().is_ok());
    text.split([' ', '\n']).filter(|word| !word.is_empty() && !age(word)).collect()
}

#[tokio::test]
async fn pages_make_no_difference_to_what_is_shown() {
    let scene = Scene::usual().await;
    for format in
        ["table", "wide", "json", "yaml", "name", "custom-columns=N:.metadata.name", "jsonpath={.items[*].metadata.uid}"]
    {
        for more in ["", " -l app=ui", " --sort-by .metadata.name", " --field-selector spec.host=localhost"] {
            let line = format!("ws,stop -o {format}{more}");
            let whole = scene.out(&format!("{line} --chunk-size 0")).await;
            for size in [1, 2, 3, 500] {
                assert_eq!(
                    undated(&scene.out(&format!("{line} --chunk-size {size}")).await),
                    undated(&whole),
                    "{line} {size}"
                );
            }
        }
    }
}

#[tokio::test]
async fn files_name_what_is_shown() {
    let scene = Scene::usual().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    std::fs::write(&path, stack("wicap", json!({}), json!({})).to_string()).unwrap();
    let one = scene.get(&["-f", path.to_str().unwrap(), "-o", "json"]).await;
    assert_eq!(one.0, scene.out("ws wicap -o json").await, "{one:?}");
    // A directory is a list, even of one.
    let all =
        scene.get(&["-f", directory.path().to_str().unwrap(), "-o", "jsonpath={.kind} {.items[0].metadata.name}"]).await;
    assert_eq!(all, ("List wicap".to_owned(), String::new(), 0));
}

#[test]
fn every_format_survives_what_is_stored() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scene = runtime.block_on(Scene::new(&[]));
    let texts = (any::<String>(), r"\PC{1,40}|[\x01-\x9f]{1,20}", r"/\PC{0,40}");
    let mut runner = TestRunner::new(ProptestConfig { cases: 16, ..ProptestConfig::default() });
    let outcome = runner.run(&texts, |(note, reason, directory)| {
        let wanted = stack("a", json!({"app": "ui"}), json!({"note": note, "reason": reason}));
        let mut other = stack("b", json!({}), json!({}));
        other["spec"]["compose"]["directory"] = json!(directory);
        // What is refused cannot be shown.
        let valid = |value: &Value| Kind::find("ws").unwrap().decode(value).is_ok();
        prop_assume!(valid(&wanted) && valid(&other));
        runtime.block_on(scene.shows(&[wanted, other]));
        Ok(())
    });
    outcome.unwrap();
}
