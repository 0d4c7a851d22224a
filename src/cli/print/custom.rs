//! `-o custom-columns=HEADER:PATH,…`.

use serde_json::Value;

use crate::cli::jsonpath::{Path, spelling};

/// What stands where an object has no value.
const NONE: &str = "<none>";

/// The columns that a command line or a file asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomColumns {
    columns: Vec<(String, Option<Path>)>,
}

impl CustomColumns {
    /// Reads `HEADER:PATH,…`. A comma inside brackets or quotes is the path's.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("custom-columns format specified but no custom columns given".to_owned());
        }
        let column = |part: &str| {
            let (header, path) = part
                .split_once(':')
                .ok_or_else(|| format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"))?;
            Ok((header.to_owned(), self::path(path)?))
        };
        Ok(Self { columns: split(text).into_iter().map(column).collect::<Result<_, String>>()? })
    }

    /// Reads a file: a line of headers, a line of paths, blanks between.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_file(text: &str) -> Result<Self, String> {
        let missing = |which| {
            format!(
                "invalid template, missing {which} line. Expected format is one line of space separated headers, one \
                 line of space separated column specs."
            )
        };
        let mut lines = text.lines();
        let headers: Vec<_> = lines.next().ok_or_else(|| missing("header"))?.split_whitespace().collect();
        let paths: Vec<_> = lines.next().ok_or_else(|| missing("spec"))?.split_whitespace().collect();
        if headers.len() != paths.len() {
            let (headers, paths) = (headers.len(), paths.len());
            return Err(format!("number of headers ({headers}) and field specifications ({paths}) don't match"));
        }
        let column = |(header, path): (&str, &str)| Ok((header.to_owned(), self::path(path)?));
        Ok(Self { columns: headers.into_iter().zip(paths).map(column).collect::<Result<_, String>>()? })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> Vec<String> {
        self.columns.iter().map(|(header, _)| header.clone()).collect()
    }

    /// An object's row: all values of a path, commas between.
    #[must_use]
    pub fn row(&self, object: &Value) -> Vec<String> {
        let cell = |(_, path): &(String, Option<Path>)| {
            let found = path.as_ref().map(|path| path.find(object)).unwrap_or_default();
            if found.is_empty() {
                return NONE.to_owned();
            }
            found.into_iter().map(spelling::plain).collect::<Vec<_>>().join(",")
        };
        self.columns.iter().map(cell).collect()
    }
}

/// No path is no value, as kubectl takes it.
fn path(text: &str) -> Result<Option<Path>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    Path::parse(text).map(Some).map_err(|e| e.to_string())
}

fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut quote) = (0_i32, None);
    text.split(|c| {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '[') => depth += 1,
            (None, ']') => depth -= 1,
            (None, '"' | '\'') if depth > 0 => quote = Some(c),
            _ => {}
        }
        c == ',' && depth <= 0 && quote.is_none()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(columns: &str) -> Vec<String> {
        let object = json!({"spec": {"l": [{"n": 1, "x": [1]}, {"n": 2, "x": []}], "m": {"b": null, "a": "t"}}});
        CustomColumns::parse(columns).unwrap().row(&object)
    }

    #[test]
    fn cells_are_spelt_as_kubectl_spells_them() {
        assert_eq!(row("A:.spec.l[*].n,B:spec.m,C:.none,D:{.spec.m.b}"), ["1,2", "map[a:t b:<nil>]", "<none>", "<nil>"]);
        assert_eq!(row("L:.spec.l,E:"), ["[map[n:1 x:[1]] map[n:2 x:[]]]", "<none>"]);
        assert_eq!(row("U:.spec.l[0,1].n,F:.spec.l[?(@.n==2)].n,OUT:.spec.l[9].n"), ["1,2", "2", "<none>"]);
    }

    #[test]
    fn a_file_has_a_line_of_headers_and_a_line_of_paths() {
        assert_eq!(CustomColumns::parse_file("A  B\n.a .b\n"), CustomColumns::parse("A:.a,B:.b"));
        assert!(CustomColumns::parse_file("").unwrap_err().contains("missing header line"));
        assert!(CustomColumns::parse_file("A B\n").unwrap_err().contains("missing spec line"));
        assert_eq!(
            CustomColumns::parse_file("A B\n.a").unwrap_err(),
            "number of headers (2) and field specifications (1) don't match"
        );
    }
}
