//! Questions. They are asked on a terminal only, and a flag answers each beforehand: no script ever hangs at one.

use std::io::BufRead;

use super::manners::Asking;
use super::{Error, Io};

/// Whether whoever called agrees. Only `y` and `yes` do; no answer is no.
///
/// `flag` is what answers the question where nobody can be asked, as in `--interactive=false`.
///
/// # Errors
/// [`Error::Usage`], which names the flag, where nobody can be asked; the terminal's.
pub fn confirm(question: &str, flag: &str, io: &mut Io<'_>) -> Result<bool, Error> {
    answered(question, flag, &mut std::io::stdin().lock(), io)
}

fn answered(question: &str, flag: &str, answers: &mut dyn BufRead, io: &mut Io<'_>) -> Result<bool, Error> {
    let why = match io.manners.asking {
        Asking::Possible => None,
        Asking::NoTerminal => Some("there is no terminal to ask on"),
        Asking::Quiet => Some("--quiet forbids questions"),
    };
    if let Some(why) = why {
        return Err(Error::Usage(format!("{question} {why}: say it with {flag}")));
    }
    // What was printed so far belongs above the question.
    io.out.flush()?;
    write!(io.err, "{question} (y/N): ")?;
    io.err.flush()?;
    let mut answer = String::new();
    if answers.read_line(&mut answer)? == 0 {
        // The end of the input leaves the cursor behind the question.
        writeln!(io.err)?;
    }
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Manners;

    fn ask(answer: &str, manners: Manners) -> (Result<bool, Error>, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners };
        let agreed = answered("Do you want to continue?", "--interactive=false", &mut answer.as_bytes(), &mut io);
        (agreed, String::from_utf8(err).unwrap())
    }

    #[test]
    fn only_yes_is_yes() {
        let there = Manners { asking: Asking::Possible, ..Manners::default() };
        for (answer, expected) in
            [("y\n", true), ("YES\n", true), (" y \n", true), ("n\n", false), ("\n", false), ("yeah\n", false)]
        {
            let (agreed, asked) = ask(answer, there);
            assert_eq!(agreed.unwrap(), expected, "{answer:?}");
            assert_eq!(asked, "Do you want to continue? (y/N): ");
        }
        let (agreed, asked) = ask("", there);
        assert!(!agreed.unwrap() && asked.ends_with(": \n"));
    }

    #[test]
    fn where_nobody_can_be_asked_the_flag_is_named() {
        for (asking, why) in
            [(Asking::NoTerminal, "there is no terminal to ask on"), (Asking::Quiet, "--quiet forbids questions")]
        {
            let (agreed, asked) = ask("y\n", Manners { asking, ..Manners::default() });
            let error = agreed.unwrap_err();
            assert_eq!(error.exit_code(), super::super::error::code::USAGE);
            assert_eq!(error.to_string(), format!("error: Do you want to continue? {why}: say it with --interactive=false"));
            assert_eq!(asked, "");
        }
    }
}
