//! Objects in pages, read as strictly as `wicapctl apply` reads them.

use serde_json::Value;
use wicap::api::{Violation, decode};
use wicap::cli::document;

use crate::block::Part;
use crate::page::root;

/// Reads documents that are objects.
pub fn whole(text: &str) -> Result<(), String> {
    let documents = parse(text)?;
    if documents.is_empty() {
        return Err("found no object".to_owned());
    }
    documents.iter().try_for_each(read)
}

/// Reads a document that is a part of an object: it is put in its place in the example's manifest.
pub fn part(text: &str, part: &Part) -> Result<(), String> {
    let name = format!("manifests/wicap/{}", part.file);
    let manifest = std::fs::read_to_string(root().join(&name)).map_err(|e| format!("{name}: {e}"))?;
    let mut object: Value = serde_json::from_str(&manifest).map_err(|e| format!("{name}: {e}"))?;
    for fragment in parse(text)? {
        put(&mut object, &part.pointer, fragment).ok_or_else(|| format!("{name} has no {}", part.pointer))?;
    }
    read(&object)
}

/// Fields are added to an object, an element to a list; everything else takes the place of what is there.
fn put(object: &mut Value, pointer: &str, fragment: Value) -> Option<()> {
    if let Some(list) = pointer.strip_suffix("/-") {
        object.pointer_mut(list)?.as_array_mut()?.push(fragment);
        return Some(());
    }
    match (object.pointer_mut(pointer)?, fragment) {
        (Value::Object(fields), Value::Object(more)) => fields.extend(more),
        (place, fragment) => *place = fragment,
    }
    Some(())
}

fn parse(text: &str) -> Result<Vec<Value>, String> {
    document::parse(text).map_err(|e| e.to_string())
}

fn read(document: &Value) -> Result<(), String> {
    fn in_words(violations: Vec<Violation>) -> String {
        violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
    let info = decode::kind_of(document).map_err(|v| v.to_string())?;
    macro_rules! by_kind {
        ($($kind:path),*) => {{
            $(if info.kind == <$kind as kube::Resource>::kind(&()) {
                return decode::manifest::<$kind>(document).map(drop).map_err(in_words);
            })*
            Err(format!("found the kind {}, which has no type", info.kind))
        }};
    }
    wicap::for_each_kind!(by_kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str, pointer: &str) -> Part {
        Part { file: file.to_owned(), pointer: pointer.to_owned() }
    }

    #[test]
    fn parts_are_read_in_their_place() {
        assert_eq!(part("probes: [{name: a, tcpSocket: {port: 1}}]", &at("stack.json", "/spec/services/3")), Ok(()));
        assert_eq!(part("{name: a, httpGet: {port: 1, path: /}, period: 1m}", &at("soak.json", "/spec/checks/-")), Ok(()));
    }

    #[test]
    fn a_mistake_is_told_with_its_path() {
        let wrong = part("probes: [{name: a, tcpSocket: {prot: 1}}]", &at("stack.json", "/spec/services/3")).unwrap_err();
        assert!(wrong.contains("spec.services[3].probes[0].tcpSocket"), "{wrong}");
        assert!(part("{}", &at("stack.json", "/spec/nothing")).is_err());
        assert!(part("{}", &at("nothing.json", "")).is_err());
        assert!(whole("{\"kind\": \"Pod\"}").is_err());
        assert!(whole("").is_err());
    }
}
