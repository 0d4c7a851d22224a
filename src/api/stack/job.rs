//! Jobs: what is run to its end to ask something of a stack.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::validate::{Check, is_directory, quoted};

/// A container that is run to its end beside the services: a suite of browser tests, say. The action `run_job` runs it.
///
/// It joins a network of the project, so that it reaches services as they reach each other, and gets nothing else of the host: no volume,
/// no port, no privilege and no capability. Its image has to be there: nothing is pulled. It is removed when it has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name, unique in the stack.
    pub name: String,
    /// The image: a name, a name and tag, a digest, or an id.
    pub image: String,
    /// Arguments, instead of those of the image (its `CMD`). They go to the image's entry point as they are: no shell reads them.
    /// They are stored as they stand here: this is no place for secrets.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables, in addition to the image's. They are stored as they stand here: this is no place for secrets.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The network to join: its key in the compose file, or `host`, where a service of the project shares the host's network too.
    #[serde(default = "default_network")]
    pub network: String,
    /// Absolute path, in the container, of the JUnit XML that it leaves. It tells which tests passed: a job of which none did has
    /// failed, whatever its exit code is.
    pub junit: String,
}

fn default_network() -> String {
    "default".to_owned()
}

/// Most jobs of a stack.
const MOST: usize = 50;

/// Most arguments, and most environment variables, of a job.
const MOST_VALUES: usize = 100;

/// Most bytes of an argument, or of a variable's value.
const LONGEST_VALUE: usize = 4096;

pub(super) fn validate_jobs(check: &mut Check, jobs: &[Job]) {
    check.that(jobs.len() <= MOST, "spec.jobs", format!("{} jobs", jobs.len()), format!("at most {MOST}"));
    let mut seen = HashSet::new();
    for (i, job) in jobs.iter().enumerate() {
        let path = format!("spec.jobs[{i}]");
        check.service(&format!("{path}.name"), &job.name);
        let (first, expected) = (seen.insert(job.name.as_str()), "each job once");
        check.that(first, format!("{path}.name"), format!("{} a second time", quoted(&job.name)), expected);
        check.that(is_image(&job.image), format!("{path}.image"), quoted(&job.image), "the name or id of an image");
        check.service(&format!("{path}.network"), &job.network);
        let expected = "an absolute path of a file, without \".\", \"..\" and \"//\"";
        let is_file = is_directory(&job.junit) && job.junit != "/";
        check.that(is_file, format!("{path}.junit"), quoted(&job.junit), expected);
        let few = job.args.len() <= MOST_VALUES && job.environment.len() <= MOST_VALUES;
        let found = format!("{} arguments, {} variables", job.args.len(), job.environment.len());
        check.that(few, path.clone(), found, format!("at most {MOST_VALUES} of each"));
        let values = job.args.iter().enumerate().map(|(j, arg)| (format!("{path}.args[{j}]"), arg));
        let variables = job.environment.iter().map(|(name, value)| (format!("{path}.environment.{name}"), value));
        for (path, value) in values.chain(variables) {
            let fits = value.len() <= LONGEST_VALUE && !value.contains('\0');
            check.that(fits, path, quoted(value), format!("a text of at most {LONGEST_VALUE} bytes"));
        }
        for name in job.environment.keys() {
            let expected = "the name of a variable: letters, digits and \"_\", not beginning with a digit";
            check.that(is_variable(name), format!("{path}.environment"), quoted(name), expected);
        }
    }
}

/// References of images and ids, as far as their characters go; what there is of that name the engine says.
fn is_image(image: &str) -> bool {
    image.len() <= 512
        && image.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && image.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b))
        && image.split('/').all(|part| !part.is_empty() && part != "..")
}

fn is_variable(name: &str) -> bool {
    name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn violations(jobs: serde_json::Value) -> Vec<String> {
        let jobs: Vec<Job> = serde_json::from_value(jobs).unwrap();
        let mut check = Check::new();
        validate_jobs(&mut check, &jobs);
        check.finish().into_iter().map(|v| v.path).collect()
    }

    #[test]
    fn a_job_that_could_be_misunderstood_is_refused() {
        let good = json!({"name": "e2e", "image": "registry.local:5000/e2e:1", "junit": "/out/junit.xml"});
        assert!(violations(json!([good])).is_empty());
        for (field, value, path) in [
            ("name", json!("-e2e"), "spec.jobs[0].name"),
            ("image", json!("--privileged"), "spec.jobs[0].image"),
            ("image", json!(""), "spec.jobs[0].image"),
            ("image", json!("../create"), "spec.jobs[0].image"),
            ("network", json!("no net"), "spec.jobs[0].network"),
            ("junit", json!("out.xml"), "spec.jobs[0].junit"),
            ("junit", json!("/"), "spec.jobs[0].junit"),
            ("junit", json!("/out/../etc/passwd"), "spec.jobs[0].junit"),
            ("args", json!(["a\0b"]), "spec.jobs[0].args[0]"),
            ("args", json!(vec!["a"; 101]), "spec.jobs[0]"),
            ("environment", json!({"A=B": "c"}), "spec.jobs[0].environment"),
            ("environment", json!({"A": "c\0"}), "spec.jobs[0].environment.A"),
        ] {
            let mut job = good.clone();
            job[field] = value;
            assert_eq!(violations(json!([job])), [path], "{job}");
        }
        assert_eq!(violations(json!([good, good])), ["spec.jobs[1].name"]);
        assert_eq!(violations(json!(vec![good; 51]))[0], "spec.jobs");
    }
}
