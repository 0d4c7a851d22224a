//! The two texts of an object that are compared: as it is, and as it would be.

use serde_json::Value;
use similar::TextDiff;

use super::super::kind::Kind;
use super::super::{Error, merge, print};
use crate::api::{GROUP, VERSION};

/// How many lines around a change are shown, as `diff -u` does.
const CONTEXT: usize = 3;

/// An object as it is and as it would be.
#[derive(Debug)]
pub(super) struct Sides {
    /// As kubectl names the files that it compares; an object of a whole cluster has no namespace between the dots.
    pub name: String,
    /// As it is; nothing when there is no such object.
    pub live: String,
    /// As it would be; nothing when it would be removed.
    pub merged: String,
}

impl Sides {
    /// The sides of an object, without its status, which nobody applies.
    ///
    /// # Errors
    /// [`Error::Output`] when an object cannot be written as YAML.
    pub fn of(kind: &Kind, name: &str, live: Option<&Value>, merged: Option<&Value>) -> Result<Self, Error> {
        let text = |object: Option<&Value>, whole: bool| match object {
            None => Ok(String::new()),
            Some(object) => yaml(&shown(object, whole)),
        };
        let name = format!("{GROUP}.{VERSION}.{}..{name}", kind.info.kind);
        let (short_live, short_merged) = (text(live, false)?, text(merged, false)?);
        if short_live != short_merged {
            return Ok(Self { name, live: short_live, merged: short_merged });
        }
        Ok(Self { name, live: text(live, true)?, merged: text(merged, true)? })
    }

    /// The differences as `diff -u -N` shows them. The headings have no times and no temporary names, so that the same
    /// differences give the same text.
    pub fn unified(&self) -> String {
        let (live, merged) = (format!("LIVE/{}", self.name), format!("MERGED/{}", self.name));
        let diff = TextDiff::from_lines(self.live.as_str(), self.merged.as_str());
        let body = diff.unified_diff().context_radius(CONTEXT).header(&live, &merged).to_string();
        format!("diff -u -N {live} {merged}\n{body}")
    }
}

/// What of an object is compared. The annotation that `apply` keeps says again what the rest says, in one long line: it is
/// compared only when the rest is equal.
fn shown(object: &Value, whole: bool) -> Value {
    let mut shown = object.clone();
    if let Value::Object(map) = &mut shown {
        map.remove("status");
        if let Some(Value::Object(metadata)) = map.get_mut("metadata").filter(|_| !whole)
            && let Some(Value::Object(annotations)) = metadata.get_mut("annotations")
        {
            annotations.remove(merge::LAST_APPLIED);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    shown
}

fn yaml(object: &Value) -> Result<String, Error> {
    let mut text = Vec::new();
    print::yaml::document(&mut text, object)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn unified(live: Option<&Value>, merged: Option<&Value>) -> String {
        Sides::of(&Kind::find("stop").unwrap(), "all", live, merged).unwrap().unified()
    }

    fn stop(reason: &str, last: &str) -> Value {
        json!({
            "kind": "EmergencyStop",
            "metadata": {"annotations": {merge::LAST_APPLIED: last}, "name": "all"},
            "spec": {"by": "b", "reason": reason},
            "status": {"since": reason},
        })
    }

    #[test]
    fn a_change_is_shown_as_diff_shows_it() {
        let expected = "\
diff -u -N LIVE/wicap.dev.v1alpha1.EmergencyStop..all MERGED/wicap.dev.v1alpha1.EmergencyStop..all
--- LIVE/wicap.dev.v1alpha1.EmergencyStop..all
+++ MERGED/wicap.dev.v1alpha1.EmergencyStop..all
@@ -3,4 +3,4 @@
   name: all
 spec:
   by: b
-  reason: old
+  reason: new
";
        assert_eq!(unified(Some(&stop("old", "{1}")), Some(&stop("new", "{2}"))), expected);
    }

    #[test]
    fn what_is_new_or_goes_is_a_side_of_nothing() {
        let object = stop("r", "{}");
        let new = unified(None, Some(&object));
        assert!(new.contains("\n@@ -0,0 +1,6 @@\n+kind: EmergencyStop\n"), "{new}");
        let gone = unified(Some(&object), None);
        assert!(gone.contains("\n@@ -1,6 +0,0 @@\n-kind: EmergencyStop\n"), "{gone}");
    }

    #[test]
    fn the_annotation_is_shown_when_it_is_all_that_differs() {
        let text = unified(Some(&stop("r", "{1}")), Some(&stop("r", "{2}")));
        assert!(text.contains("\n-    wicap.dev/last-applied-configuration: '{1}'\n"), "{text}");
    }
}
