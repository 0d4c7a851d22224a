//! What `docker compose config` prints, read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ComposeError;
use crate::audit::redact::known::{self, Owner};
use crate::audit::redact::literals::secret_values;

/// A service as the compose files have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeService {
    /// Hash of its configuration, as Compose labels containers with it.
    pub hash: String,
    /// The same when it is brought up without its dependencies (`--no-deps`): Compose 2.26 leaves them out of the configuration
    /// then, and so out of the hash.
    pub hash_alone: String,
    /// Services it depends on, sorted.
    pub depends_on: Vec<String>,
    /// Its image, where the compose files name one.
    pub image: Option<String>,
    /// Names of the networks that it is to be connected to, as the engine knows them, sorted. None for one that has the host's
    /// network, or another service's, or none.
    pub networks: Vec<String>,
    /// How many containers it is to have.
    pub replicas: u32,
}

/// The part of `config --format json` that is wanted. The rest may hold secrets and is dropped with the text.
#[derive(Deserialize)]
struct Config {
    /// By the names that the services use.
    #[serde(default)]
    networks: BTreeMap<String, ConfigNetwork>,
    #[serde(default)]
    services: BTreeMap<String, ConfigService>,
}

#[derive(Deserialize)]
struct ConfigNetwork {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
struct ConfigDeploy {
    replicas: Option<u32>,
}

#[derive(Default, Deserialize)]
struct ConfigService {
    image: Option<String>,
    // A map from name to what the service is called there and the like.
    #[serde(default)]
    #[allow(clippy::zero_sized_map_values)]
    networks: BTreeMap<String, serde::de::IgnoredAny>,
    scale: Option<u32>,
    deploy: Option<ConfigDeploy>,
    // Compose writes a map from name to condition; only the names matter here.
    #[serde(default)]
    #[allow(clippy::zero_sized_map_values)]
    depends_on: BTreeMap<String, serde::de::IgnoredAny>,
    /// Read for the secrets that are to be kept out of every text, and dropped.
    #[serde(default)]
    environment: BTreeMap<String, Option<String>>,
}

/// Has the secret values of the services' environments taken out of every text from now on. What cannot be read as a configuration
/// is refused by whoever asked for it.
pub(super) fn learn_secrets(project: &str, json: &str) {
    let Ok(config) = serde_json::from_str::<Config>(json) else { return };
    let variables = config.services.values().flat_map(|service| &service.environment);
    let variables = variables.filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
    known::learn(Owner::Files(project.to_owned()), secret_values(variables));
}

/// Service and hash, line by line.
fn pairs(hashes: &str) -> Result<Vec<(&str, &str)>, ComposeError> {
    let lines = hashes.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name, hash] => Ok((name, hash)),
            _ => Err(ComposeError::Output { why: "a line of --hash is not a service and a hash".to_owned() }),
        })
        .collect()
}

/// A compose file to lay over the others, which takes every service's dependencies away.
pub(super) fn without_dependencies(hashes: &str) -> Result<String, ComposeError> {
    let services: Vec<String> =
        pairs(hashes)?.into_iter().map(|(name, _)| format!("  {name:?}:\n    depends_on: !reset []\n")).collect();
    Ok(if services.is_empty() { "services: {}\n".to_owned() } else { format!("services:\n{}", services.concat()) })
}

pub(super) fn parse(hashes: &str, alone: &str, json: &str) -> Result<BTreeMap<String, ComposeService>, ComposeError> {
    let mut config: Config = serde_json::from_str(json).map_err(|e| ComposeError::Output { why: e.to_string() })?;
    let alone: BTreeMap<&str, &str> = pairs(alone)?.into_iter().collect();
    let mut services = BTreeMap::new();
    for (name, hash) in pairs(hashes)? {
        let found = config.services.remove(name).unwrap_or_default();
        let network = |key: String| config.networks.get(&key).and_then(|n| n.name.clone()).unwrap_or(key);
        let mut networks: Vec<String> = found.networks.into_keys().map(network).collect();
        networks.sort_unstable();
        let service = ComposeService {
            hash: hash.to_owned(),
            hash_alone: alone.get(name).copied().unwrap_or(hash).to_owned(),
            depends_on: found.depends_on.into_keys().collect(),
            image: found.image,
            networks,
            replicas: found.scale.or(found.deploy.and_then(|deploy| deploy.replicas)).unwrap_or(1),
        };
        services.insert(name.to_owned(), service);
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_dependencies_are_put_together() {
        let json = r#"{"name":"p","services":{"a":{"image":"x"},"b":{"depends_on":{"c":{"condition":"x"},"a":{}}}}}"#;
        let config = parse("a 11\nb 22\n", "a 11\nb 33\n", json).unwrap();
        let expected = ComposeService {
            hash: "11".to_owned(),
            hash_alone: "11".to_owned(),
            depends_on: vec![],
            image: Some("x".to_owned()),
            networks: vec![],
            replicas: 1,
        };
        assert_eq!(config["a"], expected);
        assert_eq!((config["b"].hash.as_str(), config["b"].hash_alone.as_str()), ("22", "33"));
        assert_eq!(config["b"].depends_on, ["a", "c"]);
        assert!(parse("a", "", json).is_err() && parse("a 1", "a", json).is_err() && parse("a 1", "", "{").is_err());
    }

    #[test]
    fn dependencies_are_taken_away_by_a_file_laid_over_the_others() {
        let file = without_dependencies("a 11\nb 22\n").unwrap();
        assert_eq!(file, "services:\n  \"a\":\n    depends_on: !reset []\n  \"b\":\n    depends_on: !reset []\n");
        assert_eq!(without_dependencies("").unwrap(), "services: {}\n");
    }

    #[test]
    fn networks_have_the_engines_names_and_replicas_come_from_either_place() {
        let json = r#"{"name":"p","networks":{"front":{"name":"p_front"},"back":{"name":"a_shared_one"}},"services":{
            "a":{"image":"x:1","networks":{"front":null,"back":{"aliases":["z"]}},"scale":3},
            "b":{"build":{"context":"."},"deploy":{"replicas":2,"resources":{}},"networks":{"elsewhere":null}},
            "c":{"image":"x:2","network_mode":"host","scale":0}}}"#;
        let config = parse("a 1\nb 2\nc 3\n", "", json).unwrap();
        assert_eq!((config["a"].networks.join(" "), config["a"].replicas), ("a_shared_one p_front".to_owned(), 3));
        assert_eq!((config["b"].networks.join(" "), config["b"].replicas), ("elsewhere".to_owned(), 2));
        assert_eq!((config["c"].networks.len(), config["c"].replicas), (0, 0));
        assert_eq!((config["a"].image.as_deref(), config["b"].image.as_deref()), (Some("x:1"), None));
    }
}
