//! `redact`: takes secrets out of what goes through it, as everything that this system stores, logs and shows has them taken out.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::{Error, Io};
use crate::audit::redact::literals::{Redactor, secret_values};

/// Arguments of `redact`.
#[derive(Debug, Args)]
pub struct Redact {
    /// A file of KEY=VALUE lines, such as a stack's .env: its secret values are taken out wherever they stand. May be repeated
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
}

impl Redact {
    pub(super) fn run(&self, io: &mut Io<'_>) -> Result<(), Error> {
        let mut known = Vec::new();
        for path in &self.env_file {
            let text =
                std::fs::read_to_string(path).map_err(|e| Error::No(format!("--env-file {}: {e}", path.display())))?;
            known.extend(secret_values(variables(&text)));
        }
        // All at once: a secret may have many lines. What is no UTF-8 is shown as such, and hides nothing.
        let mut text = Vec::new();
        std::io::stdin().lock().read_to_end(&mut text)?;
        io.out.write_all(Redactor::new(known).redact(&String::from_utf8_lossy(&text)).as_bytes())?;
        Ok(())
    }
}

/// The variables of an env file, without the quotes that Compose takes off.
fn variables(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let (key, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let quoted = ['"', '\''].iter().find_map(|q| value.trim().strip_prefix(*q)?.strip_suffix(*q));
        (!line.starts_with('#')).then_some((key.trim(), quoted.unwrap_or(value.trim())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_compose_reads_them() {
        let text = "# a=b\nA=1\nexport B = \"two words\"\nC='3'\n\nno line\nD=x=y";
        let read: Vec<_> = variables(text).collect();
        assert_eq!(read, [("A", "1"), ("B", "two words"), ("C", "3"), ("D", "x=y")]);
    }
}
