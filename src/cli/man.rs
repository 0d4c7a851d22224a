//! `man`: a manual page for the program and for each verb, made of the same words as the help.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{Error, examples};

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write one page for the program and one for each verb into this directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// What a manual tells that clap does not know.
#[derive(Debug)]
pub struct Manual {
    /// Exit codes, with what they say.
    pub exit_codes: &'static [(u8, &'static str)],
    /// Variables of the environment, with what they are for.
    environment: &'static [(&'static str, &'static str)],
    /// Files, with what they are for.
    files: &'static [(&'static str, &'static str)],
    /// Command lines of the verb at a path, with what they do.
    examples: fn(&str, &Command) -> Vec<(&'static str, &'static str)>,
    /// Other manuals.
    others: &'static [&'static str],
}

/// That of `wicapctl`.
pub const WICAPCTL: Manual = Manual {
    exit_codes: &[
        (0, "Done."),
        (1, "The answer is no: differences, not found, timed out."),
        (2, "The command line makes no sense."),
        (3, "The store cannot be reached."),
        (4, "Refused: validation, conflict, permission."),
        (130, "Interrupted by Ctrl-C."),
        (143, "Told to end by SIGTERM."),
    ],
    environment: &[
        ("WICAP_STORE", "Where the store is, when --store does not say so."),
        TLS[0],
        TLS[1],
        TLS[2],
        ("WICAP_DATA_DIR", "The data directory of this host, with the embedded store, evidence and packs."),
        ("WICAPCTL_CONFIG", "The file with the contexts."),
        ("KUBE_EDITOR, EDITOR", "The editor of wicapctl edit, in this order."),
        ("NO_COLOR", "No colour, when it is not empty."),
        ("CLICOLOR_FORCE", "Colour though the output is no terminal, when it is neither empty nor 0."),
    ],
    files: &[
        ("$XDG_CONFIG_HOME/wicap/config.yaml", "Contexts; ~/.config/wicap/config.yaml where the variable is not set."),
        DATA[0],
        DATA[1],
    ],
    examples: examples::of,
    others: &["wicapd"],
};

/// That of `wicapd`.
pub const WICAPD: Manual = Manual {
    exit_codes: &[
        (0, "It ended in good order: it was told to, by SIGTERM or SIGINT."),
        (1, "The store failed while it ran."),
        (2, "The command line makes no sense, or it cannot be started."),
    ],
    environment: &[
        ("WICAP_STORE", "Where the store is, when --store does not say so."),
        TLS[0],
        TLS[1],
        TLS[2],
        ("WICAP_DATA_DIR", "The data directory, when --data-dir does not say so."),
        ("WICAP_HOST", "The host that is served, when --host does not say so."),
        ("DOCKER_HOST", "The Docker engine, when --docker does not say so."),
        ("RUST_LOG", "Which log lines are written; info when it is not set."),
    ],
    files: &[DATA[0], DATA[1]],
    examples: daemon,
    others: &["wicapctl", "docker"],
};

/// Variables of both programs, for a store at https.
const TLS: [(&str, &str); 3] = [
    ("WICAP_STORE_CACERT", "For a store at https: a PEM file with the authority to trust."),
    ("WICAP_STORE_CERT", "For a store at https: a PEM file with the certificate to show."),
    ("WICAP_STORE_KEY", "For a store at https: a PEM file with the key of that certificate."),
];

/// Directories of both programs.
const DATA: [(&str, &str); 2] = [
    ("/var/lib/wicap", "The data directory of root."),
    ("$XDG_STATE_HOME/wicap", "The data directory of everybody else; ~/.local/state/wicap where the variable is not set."),
];

/// Command lines of `wicapd`.
fn daemon(path: &str, _: &Command) -> Vec<(&'static str, &'static str)> {
    match path {
        "" | "run" => vec![
            ("Everything, with its own store", "wicapd run"),
            (
                "Only what looks and acts on this host, beside an etcd",
                "wicapd run --controllers observer,actuator --store http://etcd:2379 --host roof",
            ),
        ],
        "store" => vec![("The embedded store alone", "wicapd store --data-dir /var/lib/wicap")],
        "store restore" => {
            vec![("A store of a snapshot", "wicapd store restore wicap-20260210.db --data-dir /var/lib/wicap")]
        }
        _ => Vec::new(),
    }
}

/// The collection that the pages belong to, shown at their head.
const MANUAL: &str = "wicap manual";

impl Man {
    /// Writes the pages of `program`, and prints their files to `out`.
    ///
    /// # Errors
    /// [`Error::No`] when a file cannot be written; the output's.
    pub fn run(&self, program: Command, manual: &Manual, out: &mut dyn Write) -> Result<(), Error> {
        let failed = |path: &Path, e: io::Error| Error::No(format!("{}: {e}", path.display()));
        fs::create_dir_all(&self.dir).map_err(|e| failed(&self.dir, e))?;
        for (file, text) in pages(program, manual) {
            let path = self.dir.join(file);
            fs::write(&path, text).map_err(|e| failed(&path, e))?;
            writeln!(out, "{}", path.display())?;
        }
        Ok(())
    }
}

/// Every page with the name of its file, the program's first.
#[must_use]
pub fn pages(program: Command, manual: &Manual) -> Vec<(String, Vec<u8>)> {
    // Its pages would say nothing that `--help` does not.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    collect(&program, "", None, manual, &mut pages);
    pages
}

fn collect(command: &Command, path: &str, above: Option<&str>, manual: &Manual, pages: &mut Vec<(String, Vec<u8>)>) {
    let name = name(command);
    pages.push((format!("{name}.1"), page(command, path, above, manual)));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let path = format!("{path} {}", verb.get_name());
        collect(verb, path.trim_start(), Some(&name), manual, pages);
    }
}

/// `wicapctl-policy-explain`.
fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command, path: &str, above: Option<&str>, manual: &Manual) -> Vec<u8> {
    let source = format!("wicap {}", env!("CARGO_PKG_VERSION"));
    let page = Page::new(command.clone()).manual(MANUAL).source(source);
    let mut text = Vec::new();
    // A Vec takes all that is written.
    let mut render = |part: &dyn Fn(&Page, &mut Vec<u8>) -> io::Result<()>| part(&page, &mut text).unwrap_or_default();
    render(&|page, text| page.render_title(text));
    render(&|page, text| page.render_name_section(text));
    render(&|page, text| page.render_synopsis_section(text));
    render(&|page, text| page.render_description_section(text));
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        render(&|page, text| page.render_options_section(text));
    }
    if command.get_subcommands().any(|verb| !verb.is_hide_set()) {
        render(&|page, text| page.render_subcommands_section(text));
    }
    text.extend(rest(command, path, above, manual).render().into_bytes());
    text
}

/// The sections that clap knows nothing of.
fn rest(command: &Command, path: &str, above: Option<&str>, manual: &Manual) -> Roff {
    let mut roff = Roff::new();
    let examples = (manual.examples)(path, command);
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        for (what, line) in examples {
            roff.control("PP", []);
            roff.text([roman(format!("{what}:"))]);
            roff.control("PP", []);
            roff.control("RS", ["4"]);
            roff.control("nf", []);
            for line in line.lines() {
                roff.text([bold(line)]);
            }
            roff.control("fi", []);
            roff.control("RE", []);
        }
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, what) in manual.exit_codes {
        described(&mut roff, &code.to_string(), what);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (variable, what) in manual.environment {
        described(&mut roff, variable, what);
    }
    roff.control("SH", ["FILES"]);
    for (file, what) in manual.files {
        roff.control("TP", []);
        roff.text([italic(*file)]);
        roff.text([roman(*what)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let near = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(name);
    let mut near: Vec<String> = above.map(str::to_owned).into_iter().chain(near).collect();
    near.extend(manual.others.iter().map(|page| (*page).to_owned()));
    let last = near.len().saturating_sub(1);
    for (i, page) in near.iter().enumerate() {
        let end = if i == last { "" } else { "," };
        roff.text([bold(page.as_str()), roman(format!("(1){end}"))]);
    }
    roff
}

fn described(roff: &mut Roff, what: &str, means: &str) {
    roff.control("TP", []);
    roff.text([bold(what)]);
    roff.text([roman(means)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command as Process, Stdio};

    fn all() -> Vec<(String, String)> {
        let text = |(file, text)| (file, String::from_utf8(text).unwrap());
        pages(crate::cli::command(), &WICAPCTL).into_iter().map(text).collect()
    }

    #[test]
    fn there_is_a_page_for_the_program_and_for_each_verb() {
        let files: Vec<String> = all().into_iter().map(|(file, _)| file).collect();
        for file in ["wicapctl.1", "wicapctl-get.1", "wicapctl-policy.1", "wicapctl-policy-explain.1"] {
            assert!(files.iter().any(|f| f == file), "{file} of {files:?}");
        }
        assert!(files.iter().all(|file| !file.contains("help") && !file.contains("-man")), "{files:?}");
    }

    #[test]
    fn each_page_has_the_sections_that_a_manual_has() {
        for (file, text) in all() {
            assert!(text.contains(".TH wicapctl") || text.contains(".TH \"wicapctl"), "{file}: {text}");
            let mut after = 0;
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "\"SEE ALSO\""] {
                let at = text.find(&format!(".SH {section}\n"));
                let at = at.unwrap_or_else(|| panic!("{file} has no {section}:\n{text}"));
                assert!(at > after || section == "NAME", "{file}: {section}");
                after = at;
            }
        }
    }

    #[test]
    fn a_page_leads_to_those_above_and_below_it() {
        let pages = all();
        let policy = &pages.iter().find(|(file, _)| file == "wicapctl-policy.1").unwrap().1;
        let see_also = policy.split(".SH \"SEE ALSO\"").nth(1).unwrap();
        for page in ["wicapctl\\fR(1),", "wicapctl\\-policy\\-explain\\fR(1),", "wicapd\\fR(1)\n"] {
            assert!(see_also.contains(page), "{page}: {see_also}");
        }
    }

    #[test]
    fn groff_finds_no_fault_with_any_page() {
        let there = Process::new("groff").arg("--version").stdout(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            eprintln!("not checked: there is no groff here");
            return;
        }
        let mut groff = Process::new("groff")
            .args(["-man", "-Tutf8", "-Kutf8", "-ww", "-z"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = groff.stdin.take().unwrap();
        for (_, text) in all() {
            input.write_all(text.as_bytes()).unwrap();
        }
        drop(input);
        let ended = groff.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
        assert!(ended.status.success());
    }
}
