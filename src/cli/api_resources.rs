//! `api-resources`: which kinds there are, and the words for them. No store is asked.

use clap::Args;

use super::print::table::Table;
use super::{Error, Io};
use crate::api::registry::{self, KindInfo};
use crate::api::{API_VERSION, GROUP};

/// What can be done with the objects of every kind, in the order in which Kubernetes says it of a custom resource.
const VERBS: [&str; 7] = ["delete", "get", "list", "patch", "create", "update", "watch"];

/// Arguments of `api-resources`.
#[derive(Debug, Args)]
pub struct ApiResources {
    /// wide, with verbs and categories, or name
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<String>,
    /// Order by name or kind
    #[arg(long, value_name = "COLUMN")]
    sort_by: Option<String>,
    /// No line with the names of the columns
    #[arg(long)]
    no_headers: bool,
    /// Only kinds with which all of this can be done, as in list,watch
    #[arg(long, value_name = "VERBS", value_delimiter = ',')]
    verbs: Vec<String>,
    /// Only kinds in all of these categories
    #[arg(long, value_name = "CATEGORIES", value_delimiter = ',')]
    categories: Vec<String>,
    /// Only kinds of this group
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,
    /// Only kinds that are in namespaces (true), or that are not (false). None of ours is
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    namespaced: Option<bool>,
}

/// A kind, and what its definition says of it.
struct Row {
    info: KindInfo,
    categories: Vec<String>,
}

impl ApiResources {
    /// Lists the kinds.
    pub(super) fn run(&self, io: &mut Io<'_>) -> Result<(), Error> {
        let usage = |text: String| Err(Error::Usage(text));
        let output = self.output.as_deref().unwrap_or_default();
        if !["", "wide", "name"].contains(&output) {
            return usage(format!("--output {output} is not available"));
        }
        if let Some(column) = self.sort_by.as_deref()
            && !["name", "kind"].contains(&column)
        {
            return usage("--sort-by accepts only name or kind".to_owned());
        }
        let rows = self.rows();
        if output == "name" {
            for row in &rows {
                writeln!(io.out, "{}.{GROUP}", row.info.plural)?;
            }
            return Ok(());
        }
        let wide = output == "wide";
        let header = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"];
        let columns = if wide { header.len() } else { header.len() - 2 };
        let mut lines: Vec<Vec<String>> = Vec::new();
        if !self.no_headers {
            lines.push(header[..columns].iter().map(|column| (*column).to_owned()).collect());
        }
        lines.extend(rows.iter().map(|row| {
            let mut cells = row.cells();
            cells.truncate(columns);
            cells
        }));
        Table::list().write(io.out, &lines)?;
        Ok(())
    }

    /// The kinds that are asked for, in their order.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = registry::kinds().into_iter().map(Row::of).filter(|row| self.takes(row)).collect();
        match self.sort_by.as_deref() {
            Some("kind") => rows.sort_by_key(|row| row.info.kind),
            _ => rows.sort_by_key(|row| row.info.plural),
        }
        rows
    }

    fn takes(&self, row: &Row) -> bool {
        self.verbs.iter().all(|verb| VERBS.contains(&verb.as_str()))
            && self.categories.iter().all(|category| row.categories.contains(category))
            && self.api_group.as_deref().is_none_or(|group| group == GROUP)
            && self.namespaced != Some(true)
    }
}

impl Row {
    fn of(info: KindInfo) -> Self {
        let definition = (info.crd)();
        Self { info, categories: definition.spec.names.categories.unwrap_or_default() }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.info.plural.to_owned(),
            self.info.short_names.join(","),
            API_VERSION.to_owned(),
            "false".to_owned(),
            self.info.kind.to_owned(),
            VERBS.join(","),
            self.categories.join(","),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        verb: ApiResources,
    }

    fn shown(line: &str) -> Result<String, String> {
        let words = std::iter::once("api-resources").chain(line.split_whitespace());
        let verb = Line::try_parse_from(words).unwrap().verb;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        verb.run(&mut Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() })
            .map_err(|e| e.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_columns_are_kubectls() {
        let text = shown("").unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NAME              SHORTNAMES            APIVERSION           NAMESPACED   KIND");
        assert_eq!(lines[1], "actionruns        action,actions,ar     wicap.dev/v1alpha1   false        ActionRun");
        assert_eq!(lines.len(), 1 + registry::kinds().len());
        assert!(shown("--no-headers").unwrap().starts_with("actionruns "));
        let wide = shown("-o wide").unwrap();
        assert!(wide.lines().next().unwrap().ends_with("VERBS                                       CATEGORIES"), "{wide}");
        assert!(wide.lines().nth(1).unwrap().ends_with("delete,get,list,patch,create,update,watch   wicap"), "{wide}");
    }

    #[test]
    fn the_kinds_can_be_chosen_and_ordered() {
        for (line, first, count) in [
            ("-o name", "actionruns.wicap.dev", 12),
            ("-o name --verbs=list,watch", "actionruns.wicap.dev", 12),
            ("-o name --verbs=list,deletecollection", "", 0),
            ("-o name --categories=wicap", "actionruns.wicap.dev", 12),
            ("-o name --categories=all", "", 0),
            ("-o name --api-group=apps", "", 0),
            ("-o name --namespaced=false", "actionruns.wicap.dev", 12),
            ("-o name --namespaced", "", 0),
            ("-o name --sort-by=kind", "actionruns.wicap.dev", 12),
        ] {
            let text = shown(line).unwrap();
            assert_eq!((text.lines().next().unwrap_or_default(), text.lines().count()), (first, count), "{line}");
        }
    }

    #[test]
    fn what_is_no_format_or_column_is_refused_in_kubectls_words() {
        assert_eq!(shown("-o json").unwrap_err(), "error: --output json is not available");
        assert_eq!(shown("--sort-by=age").unwrap_err(), "error: --sort-by accepts only name or kind");
    }
}
