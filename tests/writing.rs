//! The verbs that write, told as stories: what is said, with which exit code, and what is stored then.

mod support;

use serde_json::{Value, json};
use support::cli::Scene;

fn policy(name: &str, hosts: &[&str]) -> Value {
    json!({"apiVersion": "wicap.dev/v1alpha1", "kind": "ControlPolicy", "metadata": {"name": name}, "spec": {"hosts":
    hosts}})
}

fn session(ttl: &str) -> Value {
    json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "night"},
        "spec": {"stack": "s", "mode": "Monitor", "ttl": ttl, "allowedActions": [], "operator": "ann@host", "reason":
        "night"},
    })
}

/// A manifest file of several documents.
fn file(scene: &Scene, name: &str, documents: &[Value]) -> String {
    let text: Vec<_> = documents.iter().map(Value::to_string).collect();
    scene.file(name, &text.join("\n---\n")).display().to_string()
}

/// Runs each line and compares everything that is said. A line is `command | exit code | output | messages`; `D/` is the
/// directory of the manifests.
fn story(scene: &Scene, lines: &[(&str, u8, &str, &str)]) {
    let directory = &format!("{}/", scene.path().display());
    for (line, code, out, err) in lines {
        let words: Vec<String> = line.split_whitespace().map(|w| w.replace("D/", directory)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = scene.run(&words);
        let plain = |text: &str| text.replace(directory, "D/");
        assert_eq!((said.code, plain(&said.out).as_str(), plain(&said.err).as_str()), (*code, *out, *err), "{line}");
    }
}

#[test]
fn what_is_created_must_not_be_there_and_the_rest_is_created_nevertheless() {
    let scene = Scene::new();
    file(&scene, "one.yaml", &[policy("a", &["*"])]);
    file(&scene, "two.yaml", &[policy("a", &["*"]), policy("b", &["*"])]);
    let mut odd = policy("c", &["*"]);
    odd["spec"]["hsots"] = json!([]);
    file(&scene, "odd.yaml", &[odd.clone(), policy("d", &["*"])]);
    let exists = "Error from server (AlreadyExists): error when creating \"D/two.yaml: document 1\": \
                  controlpolicies.wicap.dev \"a\" already exists\n";
    let unknown = "D/odd.yaml: document 1: ControlPolicy \"c\": spec.hsots: found an unknown field, expected one of allow, \
                   allowedRoots, budget, cooldowns, deny, hosts, timeouts\n";
    story(
        &scene,
        &[
            ("create -f D/one.yaml --dry-run=client", 0, "controlpolicy.wicap.dev/a created (dry run)\n", ""),
            ("create -f D/one.yaml --dry-run=server", 0, "controlpolicy.wicap.dev/a created (server dry run)\n", ""),
            ("get cp", 0, "", "No resources found\n"),
            ("create -f D/one.yaml -o name", 0, "controlpolicy.wicap.dev/a\n", ""),
            ("create -f D/two.yaml", 4, "controlpolicy.wicap.dev/b created\n", exists),
            ("create -f D/odd.yaml", 4, "", unknown),
            (
                "create -f D/odd.yaml --validate=warn",
                0,
                "controlpolicy.wicap.dev/c created\ncontrolpolicy.wicap.dev/d created\n",
                "Warning: unknown field \"spec.hsots\"\n",
            ),
        ],
    );
    assert_eq!(scene.live(&odd)["spec"]["hosts"], json!(["*"]));
}

#[test]
fn what_is_replaced_must_be_there_and_as_it_was() {
    let scene = Scene::new();
    let old = policy("a", &["*"]);
    file(&scene, "a.yaml", std::slice::from_ref(&old));
    story(
        &scene,
        &[
            (
                "replace -f D/a.yaml",
                1,
                "",
                "Error from server (NotFound): error when replacing \"D/a.yaml\": controlpolicies.wicap.dev \"a\" not \
                 found\n",
            ),
            ("create -f D/a.yaml --save-config", 0, "controlpolicy.wicap.dev/a created\n", ""),
            ("apply -f D/a.yaml", 0, "controlpolicy.wicap.dev/a unchanged\n", ""),
            ("label cp a x=y", 0, "controlpolicy.wicap.dev/a labeled\n", ""),
        ],
    );
    let labelled = scene.live(&old);
    file(&scene, "read.yaml", std::slice::from_ref(&labelled));
    story(
        &scene,
        &[
            ("replace -f D/a.yaml --dry-run=server", 0, "controlpolicy.wicap.dev/a replaced (server dry run)\n", ""),
            ("replace -f D/a.yaml", 0, "controlpolicy.wicap.dev/a replaced\n", ""),
            (
                "replace -f D/read.yaml",
                4,
                "",
                "Error from server (Conflict): error when replacing \"D/read.yaml\": the resourceVersion of \
                 controlpolicies \"a\" has changed; apply your changes to the latest version and try again\n",
            ),
            (
                "replace -f D/a.yaml --force",
                4,
                "",
                "error: controlpolicy.wicap.dev/a cannot be made anew: a ControlPolicy is never gone for a moment; leave --force \
                 out\n",
            ),
        ],
    );
    let new = scene.live(&old);
    assert_eq!(new["metadata"].get("labels"), None, "nothing of the old object stays");
    assert_eq!(new["metadata"]["uid"], labelled["metadata"]["uid"], "it is the same object");
}

#[test]
fn what_cannot_be_changed_is_made_anew_by_force_but_a_stop_never() {
    let scene = Scene::new();
    file(&scene, "old.yaml", &[session("1h")]);
    file(&scene, "new.yaml", &[session("2h")]);
    let stop = json!({"apiVersion": "wicap.dev/v1alpha1", "kind": "EmergencyStop", "metadata": {"name": "all"},
        "spec": {"reason": "r", "by": "b"}});
    file(&scene, "stop.yaml", &[stop]);
    let mut other = session("2h");
    other["metadata"]["resourceVersion"] = json!("1");
    file(&scene, "stale.yaml", &[other]);
    let stale = "Error from server (Conflict): the resourceVersion of controlsessions \"night\" has changed; apply your \
                 changes to the latest version and try again\n";
    let longer = "D/new.yaml: ControlSession \"night\": spec.ttl: found \"2h\", expected at most \"1h\": a ttl can be \
                  shortened only; open another session\n";
    let never = "error: emergencystop.wicap.dev/all cannot be made anew: an EmergencyStop is never gone for a moment; \
                 leave --force out\n";
    story(
        &scene,
        &[
            ("apply -f D/old.yaml", 0, "controlsession.wicap.dev/night created\n", ""),
            ("apply -f D/new.yaml", 4, "", longer),
            ("diff -f D/new.yaml", 4, "", longer),
            ("apply -f D/new.yaml --force --dry-run=client", 0, "controlsession.wicap.dev/night configured (dry run)\n", ""),
            ("apply -f D/stale.yaml --force", 4, "", stale),
            ("apply -f D/new.yaml --force", 0, "controlsession.wicap.dev/night configured\n", ""),
            ("apply -f D/new.yaml --force", 0, "controlsession.wicap.dev/night unchanged\n", ""),
            ("apply -f D/stop.yaml", 0, "emergencystop.wicap.dev/all created\n", ""),
            ("replace -f D/stop.yaml --force", 4, "", never),
            ("replace -f D/stop.yaml", 0, "emergencystop.wicap.dev/all replaced\n", ""),
        ],
    );
    assert_eq!(scene.live(&session("2h"))["spec"]["ttl"], "2h");
}

#[test]
fn a_set_is_pruned_of_what_no_manifest_describes_and_of_nothing_else() {
    let scene = Scene::new();
    file(&scene, "both.yaml", &[policy("a", &["*"]), policy("b", &["*"])]);
    file(&scene, "one.yaml", &[policy("a", &["*"])]);
    file(&scene, "made.yaml", &[policy("made", &["*"])]);
    file(&scene, "other.yaml", &[policy("other", &["*"])]);
    let taken = "D/one.yaml: ControlPolicy \"a\": metadata.labels[\"wicap.dev/applyset\"]: found \"mine\", expected \
                 nothing or \"other\": an object is in one set at most\n";
    story(
        &scene,
        &[
            ("create -f D/made.yaml", 0, "controlpolicy.wicap.dev/made created\n", ""),
            ("apply -f D/other.yaml", 0, "controlpolicy.wicap.dev/other created\n", ""),
            (
                "apply -f D/both.yaml --prune --applyset=mine",
                0,
                "controlpolicy.wicap.dev/a created\ncontrolpolicy.wicap.dev/b created\n",
                "",
            ),
            ("apply -f D/one.yaml --prune --applyset=other", 4, "", taken),
            (
                "apply -f D/one.yaml --prune --applyset=mine --dry-run=server",
                0,
                "controlpolicy.wicap.dev/a unchanged (server dry run)\ncontrolpolicy.wicap.dev/b pruned (server dry run)\n",
                "",
            ),
            (
                "apply -f D/one.yaml --prune --applyset=mine",
                0,
                "controlpolicy.wicap.dev/a unchanged\ncontrolpolicy.wicap.dev/b pruned\n",
                "",
            ),
            ("diff -f D/one.yaml --prune --applyset=mine", 0, "", ""),
            // What was only created is nobody's to prune.
            (
                "apply -f D/one.yaml --prune --all --prune-allowlist=wicap.dev/v1alpha1/ControlPolicy",
                0,
                "controlpolicy.wicap.dev/a configured\ncontrolpolicy.wicap.dev/other pruned\n",
                "",
            ),
            ("get cp -o name", 0, "controlpolicy.wicap.dev/a\ncontrolpolicy.wicap.dev/made\n", ""),
        ],
    );
}

#[test]
fn a_selector_leaves_manifests_out_and_what_they_describe_is_not_pruned() {
    let scene = Scene::new();
    let mut a = policy("a", &["*"]);
    a["metadata"]["labels"] = json!({"app": "x"});
    file(&scene, "before.yaml", &[a.clone()]);
    a["metadata"]["labels"] = json!({"app": "y"});
    let mut b = policy("b", &["*"]);
    b["metadata"]["labels"] = json!({"app": "x"});
    file(&scene, "after.yaml", &[a, b]);
    story(
        &scene,
        &[
            ("apply -f D/before.yaml -l app=x", 0, "controlpolicy.wicap.dev/a created\n", ""),
            ("apply -f D/after.yaml -l app=x --prune", 0, "controlpolicy.wicap.dev/b created\n", ""),
            ("apply -f D/before.yaml -l app=z", 4, "", "error: no objects passed to apply\n"),
        ],
    );
}

#[test]
fn labels_and_annotations_are_set_removed_and_listed() {
    let scene = Scene::new();
    file(&scene, "both.yaml", &[policy("a", &["*"]), policy("b", &["*"])]);
    let (a, b) = ("controlpolicy.wicap.dev/a", "controlpolicy.wicap.dev/b");
    let lines = |word: &str| format!("{a} {word}\n{b} {word}\n");
    let conflict = "Error from server (Conflict): the resourceVersion of controlpolicies \"a\" has changed; apply your \
                    changes to the latest version and try again\n";
    let taken = "error: 'x' already has a value (1), and --overwrite is false\n";
    story(
        &scene,
        &[
            ("apply -f D/both.yaml", 0, &lines("created"), ""),
            ("label cp a x=1 y=", 0, &format!("{a} labeled\n"), ""),
            ("label cp a x=1", 0, &format!("{a} not labeled\n"), ""),
            ("label cp a x=2", 4, "", taken),
            // The others are labelled nevertheless.
            ("label cp --all x=2", 4, &format!("{b} labeled\n"), taken),
            ("label cp a b x=2 --overwrite", 0, &format!("{a} labeled\n{b} not labeled\n"), ""),
            ("label cp -l x=2 x- --dry-run=server", 0, &lines("unlabeled (server dry run)"), ""),
            ("label cp a x- z-", 0, &format!("label \"z\" not found.\n{a} unlabeled\n"), ""),
            ("label cp a --list", 0, "y=\n", ""),
            (
                "label -f D/both.yaml --list",
                0,
                &{
                    let list = |name, label| format!("Listing labels for ControlPolicy.wicap.dev/{name}:\n {label}\n");
                    list("a", "y=") + &list("b", "x=2")
                },
                "",
            ),
            ("label cp a q=1 --resource-version=1", 4, "", conflict),
            ("annotate cp a note=a=b/c?", 0, &format!("{a} annotated\n"), ""),
            ("get cp a -o jsonpath={.metadata.annotations.note}", 0, "a=b/c?", ""),
            ("annotate cp a note-", 0, &format!("{a} annotated\n"), ""),
            ("label cp none x=1", 1, "", "Error from server (NotFound): controlpolicies.wicap.dev \"none\" not found\n"),
        ],
    );
}

#[test]
fn those_who_write_at_the_same_time_lose_nothing_of_each_other() {
    /// As many as are sure to get through: a write is tried eight times, and each time that it fails another one has
    /// succeeded.
    const WRITERS: usize = 8;
    let scene = Scene::new();
    scene.apply(&policy("a", &["*"]));
    std::thread::scope(|threads| {
        for i in 0..WRITERS {
            let (scene, label) = (&scene, format!("writer{i}=x"));
            threads.spawn(move || {
                let said = scene.run_with(&[], &["label", "cp", "a", &label]);
                assert_eq!(said.out, "controlpolicy.wicap.dev/a labeled\n", "{said:?}");
            });
        }
    });
    let live = scene.live(&policy("a", &[]));
    assert_eq!(live["metadata"]["labels"].as_object().map(serde_json::Map::len), Some(WRITERS), "{live}");
}

#[test]
fn a_patch_is_judged_as_a_manifest_is() {
    let scene = Scene::new();
    file(&scene, "a.yaml", &[policy("a", &["*"])]);
    story(&scene, &[("apply -f D/a.yaml", 0, "controlpolicy.wicap.dev/a created\n", "")]);
    let patch = |words: &[&str]| scene.run(&[&["patch", "cp", "a"], words].concat());
    let said = patch(&["-p", "{spec: {hosts: [x]}}"]);
    assert_eq!((said.code, said.out.as_str()), (0, "controlpolicy.wicap.dev/a patched\n"), "{said:?}");
    assert_eq!(patch(&["-p", "spec: {hosts: [x]}"]).out, "controlpolicy.wicap.dev/a patched (no change)\n");
    assert_eq!(patch(&["-p", "status: {conditions: []}"]).out, "controlpolicy.wicap.dev/a patched (no change)\n");
    let said = patch(&["--type=json", "-p", r#"[{"op": "add", "path": "/spec/hosts/-", "value": "y"}]"#, "-o", "json"]);
    let object: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(object["spec"]["hosts"], json!(["x", "y"]));
    for (words, code, err) in [
        (&["-p", "{spec: {hsots: []}}"][..], 4, "The ControlPolicy \"a\" is invalid: spec.hsots: found an unknown field"),
        (&["-p", "{metadata: {name: b}}"], 4, "The ControlPolicy \"a\" is invalid: metadata.name: found \"b\", expected"),
        (&["-p", "{metadata: {resourceVersion: '1'}}"], 4, "Error from server (Conflict): the resourceVersion of"),
        (&["--type=strategic", "-p", "{}"], 2, "error: --type=strategic is not supported"),
        (&[], 2, "error: must specify --patch or --patch-file"),
        (&["-p", "{}", "--patch-file", "x"], 2, "error: cannot specify --patch and --patch-file together"),
        (&["--patch-file", "/no/such/file"], 1, "error: /no/such/file: "),
    ] {
        let said = patch(words);
        assert!(said.code == code && said.err.starts_with(err) && said.out.is_empty(), "{words:?}: {said:?}");
    }
    assert_eq!(scene.live(&policy("a", &[])), object, "nothing of that was stored");
}

#[test]
fn a_dry_run_writes_nothing() {
    let scene = Scene::new();
    file(&scene, "a.yaml", &[policy("a", &["*"])]);
    file(&scene, "new.yaml", &[policy("a", &["x"]), policy("b", &["x"])]);
    scene.apply(&policy("a", &["*"]));
    let before = scene.live(&policy("a", &[]));
    for line in [
        "apply -f D/new.yaml",
        "apply -f D/new.yaml -o yaml",
        "apply -f D/new.yaml --prune --all",
        "replace -f D/a.yaml",
        "patch cp a -p {\"spec\":{\"hosts\":[]}}",
        "label cp a x=y",
        "annotate cp a x=y",
    ] {
        for how in ["--dry-run=client", "--dry-run=server"] {
            let line = format!("{} {how}", line.replace("D/", &format!("{}/", scene.path().display())));
            let said = scene.run(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(said.code, 0, "{line}: {said:?}");
            assert_eq!(scene.live(&policy("a", &[])), before, "{line}");
        }
    }
    assert_eq!(scene.run(&["get", "cp", "-o", "name"]).out, "controlpolicy.wicap.dev/a\n");
}

/// A script that stands for an editor: it gets the file, and the number of the round.
fn editor(scene: &Scene, script: &str) -> String {
    let rounds = scene.file("rounds", "").display().to_string();
    let text = format!("#!/bin/sh\nset -e\necho >>{rounds}\nround=$(wc -l <{rounds})\n{script}\n");
    let path = scene.file("editor.sh", &text);
    format!("sh {}", path.display())
}

/// The file that the message says is kept, which is removed again.
fn kept(err: &str) -> Option<String> {
    let path = err.split_once("has been stored to \"")?.1.split_once('"')?.0;
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::remove_file(path).unwrap();
    Some(text)
}

#[test]
fn an_edit_is_given_up_taken_or_brought_back_with_the_reason() {
    let scene = Scene::new();
    let a = policy("a", &["*"]);
    scene.apply(&a);
    let edit = |script: &str, words: &[&str]| {
        let editor = editor(&scene, script);
        scene.run_with(&[("KUBE_EDITOR", &editor)], &[&["edit", "cp", "a"], words].concat())
    };
    let said = edit("true", &[]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", "Edit cancelled, no changes made.\n"));
    let said = edit(": >$1", &[]);
    assert_eq!((said.code, said.err.as_str()), (0, "Edit cancelled, saved file was empty.\n"));
    let said = edit("echo '# a remark' >>$1", &[]);
    assert_eq!((said.code, said.err.as_str()), (0, "Edit cancelled, no changes made.\n"));
    let said = edit("false", &[]);
    assert!(said.code == 1 && said.err.starts_with("error: there was a problem with the editor"), "{said:?}");
    assert_eq!(kept(&said.err), None, "nothing was typed");

    // Another file in the place of the first, as many editors save.
    let said = edit("sed 's/- .[*].$/- first/' $1 >$1.new; mv $1.new $1", &[]);
    assert_eq!((said.code, said.out.as_str()), (0, "controlpolicy.wicap.dev/a edited\n"), "{said:?}");
    assert_eq!(scene.live(&a)["spec"]["hosts"], json!(["first"]));

    let reason = "error: controlpolicies.wicap.dev \"a\" is invalid: spec.hsots: found an unknown field, expected one of \
                  allow, allowedRoots, budget, cooldowns, deny, hosts, timeouts\n";
    let mend = "if [ $round = 1 ]; then sed -i s/hosts:/hsots:/ $1; else grep -q '^# \\* spec.hsots: found an unknown \
                field' $1; sed -i s/hsots:/hosts:/ $1; sed -i s/first/second/ $1; fi";
    let said = edit(mend, &["-o", "yaml"]);
    assert_eq!((said.code, said.err.as_str()), (0, reason), "{said:?}");
    assert_eq!(scene.live(&a)["spec"]["hosts"], json!(["second"]));
    assert!(said.out.contains("  hosts:\n  - second\n"), "{said:?}");

    let said = edit("[ $round = 2 ] || sed -i s/hosts:/hsots:/ $1", &[]);
    assert!(said.code == 4 && said.err.starts_with(reason), "{said:?}");
    assert!(said.err.ends_with("\nerror: Edit cancelled, no valid changes were saved.\n"), "{said:?}");
    assert!(kept(&said.err).unwrap().contains("hsots:"));

    let said = edit("[ $round = 2 ] || sed -i 's/name: a/name: b/' $1", &["-o", "json"]);
    assert!(said.code == 0 && said.err == "Edit cancelled, no changes made.\n", "JSON has no such text: {said:?}");
    assert_eq!(scene.live(&a)["spec"]["hosts"], json!(["second"]));
}

#[test]
fn an_edit_keeps_what_others_wrote_meanwhile() {
    let scene = Scene::new();
    let (a, b) = (policy("a", &["*"]), policy("b", &["*"]));
    scene.apply(&a);
    scene.apply(&b);
    // The editor is slow: somebody else sets a label before it is closed.
    let others = scene.wicapctl(&["label", "cp", "a", "theirs=1"]);
    let said = scene.run_with(
        &[("KUBE_EDITOR", &editor(&scene, &format!("{others} >/dev/null\nsed -i 's/.[*].$/edited/' $1")))],
        &["edit", "cp", "a", "b"],
    );
    assert_eq!(said.out, "controlpolicy.wicap.dev/a edited\ncontrolpolicy.wicap.dev/b edited\n", "{said:?}");
    let live = scene.live(&a);
    assert_eq!((&live["spec"]["hosts"], &live["metadata"]["labels"]), (&json!(["edited"]), &json!({"theirs": "1"})));
    assert_eq!(scene.live(&b)["spec"]["hosts"], json!(["edited"]));
}

#[test]
fn another_program_may_show_the_differences() {
    let scene = Scene::new();
    scene.apply(&policy("a", &["*"]));
    file(&scene, "a.yaml", &[policy("a", &["x"])]);
    file(&scene, "same.yaml", &[policy("a", &["*"])]);
    let path = |name: &str| scene.path().join(name).display().to_string();
    let (changed, same) = (path("a.yaml"), path("same.yaml"));
    let diff = |program: &str, file: &str| scene.run_with(&[("WICAP_EXTERNAL_DIFF", program)], &["diff", "-f", file]);
    let said = diff("diff -r", &changed);
    assert!(said.code == 1 && said.out.contains("\n>   - x\n") && said.err.is_empty(), "{said:?}");
    assert_eq!(diff("true", &changed).code, 0, "whoever shows the differences judges them");
    assert_eq!(diff("false", &same).code, 0, "there is nothing to show");
    for (program, why) in [("/no/such/program", "cannot be run"), ("sh -c exit${IFS}3", "ended with exit code 3")] {
        let said = diff(program, &changed);
        assert!(said.code == 2 && said.err.contains(why), "{program}: {said:?}");
    }
    let plain = scene.run(&["diff", "-f", &changed]);
    let head = "diff -u -N LIVE/wicap.dev.v1alpha1.ControlPolicy..a MERGED/wicap.dev.v1alpha1.ControlPolicy..a\n--- LIVE/";
    assert!(plain.code == 1 && plain.out.starts_with(head) && plain.err.is_empty(), "{plain:?}");
    assert_eq!(scene.run(&["diff", "-f", "/no/such/file"]).code, 2);
}

#[test]
fn a_selector_that_says_nothing_selects_nothing() {
    let scene = Scene::new();
    scene.apply(&policy("a", &["*"]));
    for words in [
        vec!["delete", "cp", "-l", ""],
        vec!["delete", "cp", "--field-selector", " , "],
        vec!["label", "cp", "-l", "", "x=y"],
        vec!["apply", "--prune", "-l", "", "-f", "-"],
    ] {
        let said = scene.run_with(&[], &words);
        assert_eq!(said.code, 2, "{words:?}: {said:?}");
    }
    assert_eq!(scene.live(&policy("a", &["*"]))["spec"]["hosts"], json!(["*"]));
}

#[test]
fn stops_are_not_removed_with_all_the_rest() {
    let scene = Scene::new();
    scene.apply(&policy("a", &["*"]));
    assert_eq!(scene.run(&["stop", "--all", "--reason", "r"]).code, 0);
    let said = scene.run(&["delete", "all", "--all"]);
    assert_eq!((said.code, said.out.as_str()), (0, "controlpolicy.wicap.dev \"a\" deleted\n"), "{said:?}");
    assert_eq!(said.err, "Warning: EmergencyStops are removed only when they are named: wicapctl resume\n");
    assert_eq!(scene.run(&["get", "stops", "-o", "name"]).out, "emergencystop.wicap.dev/all\n");
    assert_eq!(scene.run(&["delete", "stops", "--all"]).out, "emergencystop.wicap.dev \"all\" deleted\n");
}

#[test]
fn a_policy_is_never_gone_for_a_moment() {
    let scene = Scene::new();
    scene.apply(&policy("a", &["*"]));
    file(&scene, "a.yaml", &[policy("a", &["b"])]);
    for line in ["replace --force -f D/a.yaml", "replace -f D/a.yaml --force"] {
        let words = line.replace("D/", &format!("{}/", scene.path().display()));
        let said = scene.run(&words.split(' ').collect::<Vec<_>>());
        assert!(said.code == 4 && said.err.contains("a ControlPolicy is never gone for a moment"), "{said:?}");
    }
    assert_eq!(scene.live(&policy("a", &["*"]))["spec"]["hosts"], json!(["*"]));
}

#[test]
fn an_edit_of_a_list_does_not_write_over_what_others_put_into_it() {
    let scene = Scene::new();
    let a = policy("a", &["*"]);
    scene.apply(&a);
    let others = scene.wicapctl(&["patch", "cp", "a", "-p", "'{\"spec\":{\"hosts\":[\"*\",\"theirs\"]}}'"]);
    let said = scene.run_with(
        &[("KUBE_EDITOR", &editor(&scene, &format!("{others} >/dev/null\nsed -i 's/.[*].$/edited/' $1")))],
        &["edit", "cp", "a"],
    );
    assert!(said.code == 4 && said.err.contains("has changed"), "{said:?}");
    assert_eq!(scene.live(&a)["spec"]["hosts"], json!(["*", "theirs"]));
}

#[test]
fn a_session_can_be_ended_whoever_changed_it_since_it_was_opened() {
    let scene = Scene::new();
    scene.apply(&session("8h"));
    assert_eq!(scene.run(&["patch", "session", "night", "-p", r#"{"spec":{"ttl":"1h"}}"#]).code, 0);
    let said = scene.run(&["session", "end", "night"]);
    assert_eq!((said.code, said.out.as_str()), (0, "controlsession.wicap.dev/night configured\n"), "{said:?}");
    let live = scene.live(&session("8h"));
    assert_eq!((&live["spec"]["end"], &live["spec"]["ttl"]), (&json!(true), &json!("1h")));
}

#[test]
fn a_change_that_nobody_reads_of_does_not_pass_for_done() {
    let scene = Scene::new();
    scene.apply(&policy("a", &["*"]));
    let code = |words: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(scene.wicapctl(words)).stdout(writer).status().unwrap().code()
    };
    assert_eq!(code(&["label", "cp", "a", "x=y"]), Some(1));
    assert_eq!(code(&["get", "cp"]), Some(0), "who has read enough has what they wanted");
}
