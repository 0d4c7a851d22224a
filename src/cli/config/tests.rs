use std::fs;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[arg(long, global = true)]
    store: Option<StoreUrl>,
    #[command(flatten)]
    config: Config,
}

/// A file, and what commands say of it.
struct Scene {
    directory: tempfile::TempDir,
    file: ConfigFile,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = ConfigFile::at(&directory.path().join("config.yaml"));
        Self { directory, file }
    }

    /// Standard output, then standard error, then what ended the command; the file's path as FILE.
    fn say(&self, line: &str) -> String {
        let line = Line::try_parse_from(std::iter::once("config").chain(line.split(' '))).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = line.config.run(
            line.store.as_ref(),
            &self.file,
            &mut Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() },
        );
        let ended = ended.err().map(|e| format!("{e} [{}]\n", e.exit_code())).unwrap_or_default();
        let text = String::from_utf8(out).unwrap() + &String::from_utf8(err).unwrap() + &ended;
        text.replace(self.file.path().to_str().unwrap(), "FILE")
    }

    fn with(contexts: &[&str]) -> Self {
        let scene = Self::new();
        for line in contexts {
            scene.say(line);
        }
        scene
    }
}

#[test]
fn the_words_are_kubectls() {
    let scene = Scene::new();
    for (line, expected) in [
        ("current-context", "error: current-context is not set [1]\n"),
        ("use-context x", "error: no context exists with the name: \"x\" [1]\n"),
        ("set-context prod", "error: context \"prod\" is new: --store says which store it is for [2]\n"),
        ("set-context prod --store https://a:1,b:2", "Context \"prod\" created.\n"),
        ("set-context prod --store https://a:1", "Context \"prod\" modified.\n"),
        ("set-context prod", "Context \"prod\" modified.\n"),
        ("set-context lab --store unix:///run/w.sock", "Context \"lab\" created.\n"),
        ("set-context --current", "error: no current context is set [1]\n"),
        ("use-context prod", "Switched to context \"prod\".\n"),
        ("use lab", "Switched to context \"lab\".\n"),
        ("current-context", "lab\n"),
        (
            "rename-context lab prod",
            "error: cannot rename the context \"lab\", the context \"prod\" already exists in FILE [1]\n",
        ),
        ("rename-context no x", "error: cannot rename the context \"no\", it's not in FILE [1]\n"),
        ("rename-context lab cellar", "Context \"lab\" renamed to \"cellar\".\n"),
        ("current-context", "cellar\n"),
        ("delete-context no", "error: cannot delete context no, not in FILE [1]\n"),
        ("delete-context prod", "deleted context prod from FILE\n"),
        ("get-contexts -o name", "cellar\n"),
        ("get-contexts nope", "CURRENT   NAME   STORE   CACERT   CERT   KEY\nerror: context nope not found [1]\n"),
    ] {
        assert_eq!(scene.say(line), expected, "{line}");
    }
    let gone = scene.say("delete-context cellar");
    assert_eq!(gone, format!("deleted context cellar from FILE\n{WAS_CURRENT}\n"));
    assert_eq!(scene.say("current-context"), "cellar\n", "as kubectl has it: nothing goes to another store unasked");
}

#[test]
fn contexts_are_a_table_in_the_order_of_their_names() {
    let scene = Scene::with(&[
        "set-context b --store https://host:2379/site",
        "set-context a --store embedded",
        "set-context b --cacert /ca.pem --cert /me.pem --key /me.key",
        "use b",
    ]);
    let expected = "\
CURRENT   NAME   STORE                     CACERT    CERT      KEY
          a      embedded                                      
*         b      https://host:2379/site   /ca.pem   /me.pem   /me.key
";
    let squeezed = |text: &str| text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!(squeezed(&scene.say("get-contexts")), squeezed(expected));
    assert!(scene.say("get-contexts --no-headers a").trim_start().starts_with("a "));
}

#[test]
fn a_view_is_the_document_without_secrets() {
    let scene = Scene::new();
    let empty = "apiVersion: wicap.dev/v1alpha1\ncontexts: null\ncurrent-context: ''\nkind: Config\n";
    assert_eq!(scene.say("view").replace("\"\"", "''"), empty);
    let text =
        "contexts: [{name: a, context: {store: 'https://ann:hunter2@host:1'}}, {name: b, context: {store: embedded}}]";
    fs::write(scene.file.path(), text).unwrap();
    for line in ["view", "view -o json", "view -o jsonpath={.contexts}", "get-contexts"] {
        let said = scene.say(line);
        assert!(said.contains("host:1") && !said.contains("hunter2"), "{line}: {said}");
    }
    assert_eq!(scene.say("view --minify"), "error: current-context must exist in order to minify [1]\n");
    scene.say("use b");
    assert_eq!(scene.say("view --minify -o jsonpath={.contexts[*].name}"), "b");
    assert!(scene.say("view -o wide").contains("expected one of yaml, json"));
}

#[test]
fn a_path_is_kept_whole_and_half_a_pair_is_refused() {
    let scene = Scene::with(&["set-context a --store https://h:1 --cacert ca.pem"]);
    let kept = scene.say("view -o jsonpath={.contexts[0].context.cacert}");
    assert_eq!(kept.trim_end(), absolute("ca.pem").unwrap().to_str().unwrap());
    assert_eq!(scene.say("set-context a --cert x"), "error: --cert and --key are given together or not at all [2]\n");
    assert_eq!(scene.say("set-context a --cacert="), "Context \"a\" modified.\n");
    assert_eq!(scene.say("view -o jsonpath={.contexts[0].context.cacert}"), "");
    assert!(scene.directory.path().join("config.yaml").exists());
}

#[test]
fn what_a_name_holds_does_not_steer_the_terminal() {
    let scene = Scene::with(&["set-context a\u{1b}[31m --store embedded"]);
    for line in ["get-contexts", "get-contexts -o name", "use a\u{1b}[31m", "current-context"] {
        assert!(!scene.say(line).contains('\u{1b}'), "{line}");
    }
}
