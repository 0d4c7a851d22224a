//! What the help of each verb ends with: command lines that one can copy. One table, so that they read alike, and a test
//! reads each line as the program would.

use clap::Command;
use clap::builder::Styles;

use super::man;

/// Command lines of each verb that has none below it, in the form of kubectl's: a comment, then the line.
#[rustfmt::skip]
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    ("annotate", &[
        ("Note something about a stack", "wicapctl annotate ws wicap note='card replaced'"),
        ("Change what was noted", "wicapctl annotate ws wicap note='card replaced again' --overwrite"),
        ("Take the note away", "wicapctl annotate ws wicap note-"),
    ]),
    ("api-resources", &[
        ("Which kinds there are, and their short names", "wicapctl api-resources"),
        ("What can be done with each", "wicapctl api-resources -o wide"),
    ]),
    ("apply", &[
        ("Make the store hold what a file says", "wicapctl apply -f stack.yaml"),
        ("All manifests of a directory, in depth", "wicapctl apply -f manifests/ -R"),
        ("From another program", "cat stack.yaml | wicapctl apply -f -"),
        ("See what would change", "wicapctl apply -f stack.yaml --dry-run=server"),
        ("Also delete what is no longer in the directory", "wicapctl apply -f manifests/ --prune -l app=wicap"),
    ]),
    ("approve", &[
        ("Which actions wait for an answer", "wicapctl get actions --field-selector status.phase=AwaitingApproval"),
        ("Agree to one", "wicapctl approve wicap-restart-ui-1 --reason 'nobody is on the dashboard'"),
        ("Agree to one that may begin within the hour", "wicapctl approve wicap-restart-ui-1 --valid-for 1h"),
    ]),
    ("audit export", &[
        ("All records, as JSON Lines", "wicapctl audit export > audit.jsonl"),
        ("What people wrote today", "wicapctl audit export --lane intent --since 24h"),
    ]),
    ("audit list", &[
        ("Who did what lately", "wicapctl audit list"),
        ("Who touched a stack in the last hour", "wicapctl audit list --object ws/wicap --since 1h"),
        ("Go on with each record that is added", "wicapctl audit list --follow"),
    ]),
    ("audit verify", &[
        ("Prove that no record was altered or taken out", "wicapctl audit verify"),
        ("The same, for programs", "wicapctl audit verify -o json"),
    ]),
    ("completion", &[
        ("In this bash, at once", "source <(wicapctl completion bash)"),
        ("In every bash of this user", "wicapctl completion bash > ~/.local/share/bash-completion/completions/wicapctl"),
        ("In every zsh of this user, from a directory of fpath", "wicapctl completion zsh > ~/.zfunc/_wicapctl"),
        ("In every fish of this user", "wicapctl completion fish > ~/.config/fish/completions/wicapctl.fish"),
    ]),
    ("config current-context", &[
        ("Which store is talked to when nothing else is said", "wicapctl config current-context"),
    ]),
    ("config delete-context", &[
        ("Forget a context; the store is not touched", "wicapctl config delete-context lab"),
    ]),
    ("config get-contexts", &[
        ("Which contexts there are", "wicapctl config get-contexts"),
    ]),
    ("config rename-context", &[
        ("Give a context another name", "wicapctl config rename-context lab bench"),
    ]),
    ("config set-context", &[
        ("A store on this host", "wicapctl config set-context here --store embedded"),
        ("An etcd with mutual TLS",
         "wicapctl config set-context lab --store https://etcd:2379 \\\n    --cacert ca.pem --cert me.pem --key me.key"),
    ]),
    ("config use-context", &[
        ("Talk to that store from now on", "wicapctl config use-context lab"),
    ]),
    ("config view", &[
        ("What the configuration says", "wicapctl config view"),
    ]),
    ("crds", &[
        ("All definitions", "wicapctl crds -o yaml"),
        ("One file a kind, for kubectl apply or an editor", "wicapctl crds --dir crds/"),
    ]),
    ("create", &[
        ("Create what a file says; fails when it is there already", "wicapctl create -f session.yaml"),
        ("See what would be created", "wicapctl create -f session.yaml --dry-run=server -o yaml"),
    ]),
    ("delete", &[
        ("A session by its name", "wicapctl delete session night"),
        ("What a file describes", "wicapctl delete -f stack.yaml"),
        ("All sessions with a label", "wicapctl delete sessions -l shift=night"),
        ("Without waiting until it is gone", "wicapctl delete ws wicap --wait=false"),
    ]),
    ("deny", &[
        ("Refuse an action that waits for an answer", "wicapctl deny wicap-restart-ui-1 --reason 'a demo is running'"),
    ]),
    ("describe", &[
        ("All that is known of a stack", "wicapctl describe ws wicap"),
        ("Of every open incident", "wicapctl describe incidents"),
        ("Of all stacks with a label", "wicapctl describe ws -l team=radio"),
    ]),
    ("diff", &[
        ("What apply would change; exit code 1 when it would", "wicapctl diff -f stack.yaml"),
        ("From another program", "cat stack.yaml | wicapctl diff -f -"),
    ]),
    ("doctor", &[
        ("What is wrong with the installation, and how to mend it", "wicapctl doctor"),
        ("Only what is not as it should be", "wicapctl doctor --quiet"),
        ("For a monitoring system", "wicapctl doctor -o json"),
    ]),
    ("edit", &[
        ("Edit a stack", "wicapctl edit ws/wicap"),
        ("In another editor", "KUBE_EDITOR=nano wicapctl edit ws/wicap"),
        ("As JSON", "wicapctl edit ws/wicap -o json"),
    ]),
    ("events", &[
        ("What happened lately, the newest last", "wicapctl events"),
        ("To one stack, and what will", "wicapctl events --for ws/wicap --watch"),
        ("Only what went wrong", "wicapctl events --types=Warning"),
    ]),
    ("explain", &[
        ("What a stack is", "wicapctl explain ws"),
        ("What one field means", "wicapctl explain ws.spec.services.recovery"),
        ("All fields", "wicapctl explain ws --recursive"),
    ]),
    ("get", &[
        ("All stacks", "wicapctl get ws"),
        ("Everything there is", "wicapctl get all"),
        ("One stack as YAML", "wicapctl get ws wicap -o yaml"),
        ("Each change, as it happens", "wicapctl get actions --watch"),
        ("One value, for a script", "wicapctl get ws wicap -o jsonpath='{.spec.desiredState}'"),
        ("Sessions that are open", "wicapctl get sessions --field-selector status.phase=Active"),
        ("The newest last", "wicapctl get incidents --sort-by='{.metadata.creationTimestamp}'"),
    ]),
    ("label", &[
        ("Set a label", "wicapctl label ws wicap team=radio"),
        ("Change it", "wicapctl label ws wicap team=night --overwrite"),
        ("Take it away", "wicapctl label ws wicap team-"),
        ("On all stacks", "wicapctl label ws --all site=roof"),
    ]),
    ("patch", &[
        ("Stop keeping a stack up, without an editor",
         r#"wicapctl patch ws wicap --type=merge -p '{"spec":{"desiredState":"Stopped"}}'"#),
        ("By a path, for what is in a list",
         "wicapctl patch ws wicap --type=json -p \\\n    '[{\"op\":\"replace\",\"path\":\"/spec/services/0/critical\",\"value\":true}]'"),
    ]),
    ("policy explain", &[
        ("May this be done, and if not, which gate says no",
         "wicapctl policy explain --session night --action restart_service \\\n    --target ui"),
        ("Why an action was refused", "wicapctl policy explain --run wicap-restart-ui-1"),
    ]),
    ("redact", &[
        ("Before a log leaves the house", "docker logs wicap-ui 2>&1 | wicapctl redact > ui.log"),
        ("With the secrets of a stack", "cat ui.log | wicapctl redact --env-file .env"),
    ]),
    ("replace", &[
        ("Put a file in the place of what is there", "wicapctl replace -f stack.yaml"),
        ("Edit with other programs",
         "wicapctl get ws wicap -o json | sed 's/\"30s\"/\"1m\"/' |\n    wicapctl replace -f -"),
    ]),
    ("replay", &[
        ("What would be decided, given these observations", "wicapctl replay recording.yaml"),
        ("Record what happened to a stack", "wicapctl replay --record wicap -o recording.yaml"),
        ("What was decided in a pack", "wicapctl replay wicap-20260210.pack"),
    ]),
    ("resume", &[
        ("Take the stop of one stack back", "wicapctl resume wicap"),
        ("Take the stop of every stack back", "wicapctl resume --all"),
    ]),
    ("session end", &[
        ("Permit nothing any more", "wicapctl session end night"),
    ]),
    ("session extend", &[
        ("Two hours more", "wicapctl session extend night --by 2h"),
    ]),
    ("session start", &[
        ("Let a stack be mended for a night", "wicapctl session start wicap --ttl 8h --reason 'night shift'"),
        ("Only restarts, three an hour",
         "wicapctl session start wicap --ttl 8h --reason 'night shift' \\\n    --allow restart_service --max-actions 3/1h"),
        ("See the object that would be made", "wicapctl session start wicap --ttl 8h --reason test --dry-run"),
    ]),
    ("signatures", &[
        ("What a log is made of", "docker logs wicap-ui 2>&1 | wicapctl signatures"),
        ("With rules of your own", "cat ui.log | wicapctl signatures --rules rules.json --service ui"),
    ]),
    ("snapshot", &[
        ("Pack all that is known of a stack", "wicapctl snapshot wicap"),
        ("Under a name, without waiting for it", "wicapctl snapshot wicap --name before-update --timeout 0s"),
    ]),
    ("snapshot show", &[
        ("What is in a pack", "wicapctl snapshot show before-update"),
    ]),
    ("snapshot verify", &[
        ("Whether a pack is what was written", "wicapctl snapshot verify before-update"),
    ]),
    ("soak promote", &[
        ("Compare later runs with this one", "wicapctl soak promote night-1"),
    ]),
    ("soak report", &[
        ("Why a run has passed or failed", "wicapctl soak report night-1"),
        ("A page to send round", "wicapctl soak report night-1 -o html > night-1.html"),
        ("For a build server", "wicapctl soak report night-1 -o junit > night-1.xml"),
    ]),
    ("soak start", &[
        ("A run, and the session that it needs", "wicapctl soak start -f night.yaml --reason 'before the release'"),
    ]),
    ("soak watch", &[
        ("How a run is going; exit code 0 when it has passed", "wicapctl soak watch night-1"),
    ]),
    ("status", &[
        ("What is wrong, what is done about it, and why not more", "wicapctl status"),
        ("One stack, as it changes", "wicapctl status wicap --watch"),
        ("For programs", "wicapctl status wicap -o json"),
    ]),
    ("stop", &[
        ("Nothing more is done to a stack", "wicapctl stop wicap --reason 'somebody works on the host'"),
        ("Nothing more is done to any", "wicapctl stop --all --reason 'I do not understand what it does'"),
    ]),
    ("store copy", &[
        ("What would be copied from this host to an etcd",
         "wicapctl store copy --from embedded --to http://etcd:2379 --dry-run"),
        ("Copy it", "wicapctl store copy --from embedded --to http://etcd:2379"),
    ]),
    ("store init-roles", &[
        ("What would be granted", "wicapctl store init-roles --dry-run"),
        ("Grant it, with a user for each role", "wicapctl store init-roles --with-users"),
    ]),
    ("store snapshot", &[
        ("Save the store; etcdutl and wicapd store restore read it", "wicapctl store snapshot wicap-20260210.db"),
    ]),
    ("top controllers", &[
        ("Who leads, and what is waiting", "wicapctl top controllers"),
    ]),
    ("top services", &[
        ("Which service takes most", "wicapctl top services wicap"),
    ]),
    ("top signatures", &[
        ("The worst that a stack's logs say", "wicapctl top signatures wicap"),
        ("What one service says most", "wicapctl top signatures wicap --service ui --sort-by rate"),
    ]),
    ("version", &[
        ("Of this program and of the store", "wicapctl version"),
        ("Of this program only, for a script", "wicapctl version --client -o json"),
    ]),
    ("wait", &[
        ("Until a stack is up", "wicapctl wait ws/wicap --for=condition=Available --timeout=5m"),
        ("Until a soak run is over", "wicapctl wait soak/night-1 --for=jsonpath='{.status.phase}'=Completed \\\n    --timeout=-1s"),
        ("Until a session is gone", "wicapctl wait session/night --for=delete"),
    ]),
    ("why", &[
        ("Why a stack is as it is", "wicapctl why ws/wicap"),
        ("What led to an action, and what came of it", "wicapctl why action/wicap-restart-ui-1"),
        ("Why a run has failed", "wicapctl why soak/night-1"),
    ]),
];

/// What the help of the program as a whole ends with.
const WHOLE: &[(&str, &str)] = &[
    ("What is wrong, what is done about it, and why not more", "wicapctl status"),
    ("Declare a stack", "wicapctl apply -f stack.yaml"),
    ("Let it be mended for a night", "wicapctl session start wicap --ttl 8h --reason 'night shift'"),
    ("Stop everything that is done", "wicapctl stop --all --reason 'I do not understand what it does'"),
];

/// The examples of the verb at `path`, such as `policy explain`, as help shows them. A verb that has others below it shows
/// the first example of each, so far as `command` has them.
#[must_use]
pub fn of(path: &str, command: &Command) -> Vec<(&'static str, &'static str)> {
    if path.is_empty() {
        return WHOLE.iter().filter(|(_, line)| names_a_verb(line, command)).copied().collect();
    }
    let own = EXAMPLES.iter().find(|(verb, _)| *verb == path).map_or(&[][..], |(_, examples)| examples);
    let first = |verb: &Command| {
        let below = format!("{path} {}", verb.get_name());
        EXAMPLES.iter().find(|(verb, _)| *verb == below).and_then(|(_, examples)| examples.first()).copied()
    };
    own.iter().copied().chain(command.get_subcommands().filter_map(first)).collect()
}

/// Whether the program has the verb of that line.
fn names_a_verb(line: &str, command: &Command) -> bool {
    line.split(' ').nth(1).is_some_and(|verb| command.find_subcommand(verb).is_some())
}

/// `command`, with examples at the end of the help of each verb.
#[must_use]
pub fn with_examples(command: Command) -> Command {
    let codes: Vec<String> = man::WICAPCTL.exit_codes.iter().map(|(code, what)| format!("  {code:<4} {what}")).collect();
    let text = text(&of("", &command)) + "\n\n" + &heading("Exit codes:") + &codes.join("\n");
    below(command, "").after_help(text)
}

fn below(command: Command, path: &str) -> Command {
    command.mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        let path = path.trim_start();
        let examples = of(path, &verb);
        let verb = below(verb, path);
        if examples.is_empty() { verb } else { verb.after_help(text(&examples)) }
    })
}

/// A heading as clap shows its own; where there is no colour, clap takes the codes out.
fn heading(text: &str) -> String {
    let style = Styles::default();
    let style = style.get_header();
    format!("{style}{text}{style:#}\n")
}

/// In kubectl's form.
#[must_use]
pub fn text(examples: &[(&str, &str)]) -> String {
    let shown: Vec<String> =
        examples.iter().map(|(what, line)| format!("  # {what}\n  {}", line.replace('\n', "\n  "))).collect();
    heading("Examples:") + &shown.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        crate::cli::command()
    }

    /// Every verb that has a help, with its path.
    fn verbs(command: &Command, path: &str, into: &mut Vec<(String, bool)>) {
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
            let path = format!("{path} {}", verb.get_name()).trim_start().to_owned();
            into.push((path.clone(), verb.has_subcommands()));
            verbs(verb, &path, into);
        }
    }

    /// The words of a line, as a shell would pass them: from the last `wicapctl` up to a redirection.
    fn words(line: &str) -> Vec<String> {
        let start = line.rfind("wicapctl ").unwrap();
        let line = line[start..].replace("\\\n    ", "");
        let line = line.split(" > ").next().unwrap();
        let (mut words, mut quote) = (vec![String::new()], None);
        for c in line.trim_end_matches(')').chars() {
            match (quote, c) {
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), _) if c == open => quote = None,
                (None, ' ') => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    #[test]
    fn every_verb_has_an_example() {
        let mut all = Vec::new();
        verbs(&command(), "", &mut all);
        assert!(all.len() > 25);
        for (path, has_more_below) in all {
            let has = EXAMPLES.iter().any(|(verb, examples)| *verb == path && !examples.is_empty());
            assert!(has || has_more_below, "{path} has no example");
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_the_program_takes() {
        let command = command();
        let mut checked = 0;
        for (path, examples) in EXAMPLES {
            let mut verb = &command;
            let known = path.split(' ').all(|step| {
                let found = verb.find_subcommand(step);
                found.inspect(|found| verb = found).is_some()
            });
            if !known {
                continue;
            }
            for (what, line) in *examples {
                assert!(line.contains(&format!("wicapctl {path}")) || *path == "approve" || *path == "replace", "{line}");
                assert!(what.starts_with(char::is_uppercase) && !what.ends_with('.'), "{what}");
                let parsed = command.clone().try_get_matches_from(words(line));
                assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
                checked += 1;
            }
        }
        assert!(checked > 50, "{checked}");
    }

    #[test]
    fn no_line_is_wider_than_a_terminal_shows_it() {
        // It stands two blanks in, and what it does four.
        const WIDEST: usize = 80;
        for (_, examples) in EXAMPLES {
            for (what, line) in *examples {
                let widest = line.lines().map(str::len).max().unwrap_or(0);
                assert!(what.len() <= WIDEST - 4 && widest <= WIDEST - 2, "{line}");
            }
        }
    }

    #[test]
    fn the_table_is_in_order_and_names_no_verb_twice() {
        assert!(EXAMPLES.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn a_verb_with_others_below_shows_one_of_each() {
        let command = crate::cli::command();
        let soak = command.find_subcommand("soak").unwrap();
        let lines: Vec<_> = of("soak", soak).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("wicapctl soak start"));
    }

    #[test]
    fn help_ends_with_examples() {
        let mut command = with_examples(command());
        let whole = command.render_help().to_string();
        assert!(whole.contains("Examples:\n") && whole.contains("Exit codes:\n") && whole.contains("  3    The store"));
        let help = command.find_subcommand_mut("get").unwrap().render_help().to_string();
        assert!(help.contains("Examples:\n  # All stacks\n  wicapctl get ws\n"), "{help}");
    }
}
