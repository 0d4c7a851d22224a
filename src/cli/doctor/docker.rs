//! Whether the engine and Compose can be used from here.

use super::facts::{Facts, FileFacts};
use super::finding::{Area, Finding, Outcome};
use crate::cli::called::word;

/// The oldest engine that the system is tested with, Debian 12's.
const OLDEST: (u64, u64) = (20, 10);

/// The only major version of Compose that the commands are written for, and what came after it kept them.
const COMPOSE: u64 = 2;

/// Judges both. Where no stack is on this host they are not needed, and what is wrong with them is no failure.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(facts.docker_socket.as_ref().map(|socket| rights(facts, socket)));
    findings.extend(engine(facts));
    findings.push(compose(facts));
    let needed = match &facts.objects {
        Ok(objects) => objects.stacks.iter().any(|stack| stack.spec.host == facts.who.host),
        Err(_) => facts.meant.local,
    };
    if !needed {
        for finding in findings.iter_mut().filter(|f| f.result == Outcome::Fail) {
            finding.result = Outcome::Warn;
            finding.found += &format!("; no stack is on this host ({})", facts.who.host);
        }
    }
    findings
}

fn rights(facts: &Facts, socket: &Result<FileFacts, String>) -> Finding {
    let checked = "the user's rights on its socket";
    let (url, user) = (&facts.docker_url, &facts.who.user);
    match socket {
        Err(why) => Finding::fail(Area::Docker, checked, format!("{url}: {why}"), "systemctl start docker"),
        Ok(file) if !file.usable => {
            let found = format!(
                "{url}: {user} may not read and write it (owner {}, group {}, mode {:04o})",
                file.owner, file.group, file.mode
            );
            // Of root's group nobody should be made a member for this.
            let mend = if file.mode & 0o060 == 0o060 && file.group != "root" {
                format!("sudo usermod -aG {} {}; then log in again", word(&file.group), word(user))
            } else {
                "run it as root, or have the engine's socket belong to a group (dockerd --group)".to_owned()
            };
            Finding::fail(Area::Docker, checked, found, mend)
        }
        Ok(file) if file.mode & 0o002 != 0 => {
            let found = format!(
                "{url}: everybody may write it (mode {:04o}), which is the right to do anything on this host",
                file.mode
            );
            let path = url.strip_prefix("unix://").unwrap_or(url);
            Finding::warn(Area::Docker, checked, found, format!("sudo chmod 660 {}", word(path)))
        }
        Ok(file) => {
            Finding::ok(Area::Docker, checked, format!("{user} may use it (group {}, mode {:04o})", file.group, file.mode))
        }
    }
}

fn engine(facts: &Facts) -> Vec<Finding> {
    let about = match &facts.docker {
        Ok(about) => about,
        // That its socket may not be used is said, and why it did not answer.
        Err(_) if facts.docker_socket.as_ref().is_some_and(|s| s.as_ref().is_ok_and(|file| !file.usable)) => {
            return Vec::new();
        }
        Err(why) => {
            let remote = !facts.docker_url.starts_with("unix://") && !facts.docker_url.starts_with('/');
            let mend = if remote {
                format!("docker -H {} version", word(&facts.docker_url))
            } else {
                "systemctl start docker".to_owned()
            };
            return vec![Finding::fail(Area::Docker, "it answers", why.clone(), mend)];
        }
    };
    let found = format!("Docker {}, API {}", about.version, about.api_version);
    let mut numbers = about.version.split(['.', '-', '+']).map(str::parse::<u64>);
    let version = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    };
    let judged = match version {
        Some(version) if version < OLDEST => {
            let mend = format!("update it to {}.{} or later", OLDEST.0, OLDEST.1);
            Finding::warn(Area::Docker, "its version", found, mend)
        }
        Some(_) => Finding::ok(Area::Docker, "its version", found),
        None => Finding::warn(Area::Docker, "its version", format!("{found}: not known here"), "docker version"),
    };
    vec![Finding::ok(Area::Docker, "it answers", facts.docker_url.clone()), judged]
}

fn compose(facts: &Facts) -> Finding {
    let mend = "apt-get install docker-compose-plugin (or docker-compose-v2), or put the plugin into ~/.docker/cli-plugins";
    match &facts.compose {
        Err(why) => Finding::fail(Area::Compose, "it is there", why.clone(), mend),
        Ok(version) => {
            let major = version.split('.').next().and_then(|part| part.parse::<u64>().ok());
            match major {
                Some(major) if major >= COMPOSE => Finding::ok(Area::Compose, "its version", format!("Compose {version}")),
                _ => {
                    let found = format!("found {version:?}, expected version {COMPOSE} or later");
                    Finding::fail(Area::Compose, "its version", found, mend)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::fixtures::{file, objects, well};
    use super::*;

    fn worst(change: impl FnOnce(&mut Facts)) -> Finding {
        let mut facts = well();
        change(&mut facts);
        judge(&facts).into_iter().max_by_key(|f| f.result).unwrap()
    }

    #[test]
    fn what_is_wrong_is_told_with_how_to_mend_it() {
        type Change = Box<dyn FnOnce(&mut Facts)>;
        let cases: [(&str, Change, Outcome, &str); 9] = [
            ("well", Box::new(|_| {}), Outcome::Ok, ""),
            ("silent", Box::new(|f| f.docker = Err("no".to_owned())), Outcome::Fail, "systemctl start docker"),
            (
                "elsewhere",
                Box::new(|f| (f.docker, f.docker_url) = (Err("no".to_owned()), "tcp://a:1".to_owned())),
                Outcome::Fail,
                "docker -H tcp://a:1 version",
            ),
            (
                "no rights",
                Box::new(|f| f.docker_socket = Some(Ok(FileFacts { usable: false, ..file(0o660) }))),
                Outcome::Fail,
                "sudo usermod -aG docker ann; then log in again",
            ),
            (
                "root's group",
                Box::new(|f| {
                    f.docker_socket = Some(Ok(FileFacts { usable: false, group: "root".to_owned(), ..file(0o660) }));
                }),
                Outcome::Fail,
                "run it as root, or",
            ),
            (
                "everybody's",
                Box::new(|f| f.docker_socket = Some(Ok(file(0o666)))),
                Outcome::Warn,
                "sudo chmod 660 /var/run/docker.sock",
            ),
            ("old", Box::new(|f| f.docker.as_mut().unwrap().version = "19.03.1".to_owned()), Outcome::Warn, "update it"),
            ("no compose", Box::new(|f| f.compose = Err("no".to_owned())), Outcome::Fail, "apt-get install"),
            ("compose 1", Box::new(|f| f.compose = Ok("1.29.2".to_owned())), Outcome::Fail, "apt-get install"),
        ];
        for (what, change, expected, mend) in cases {
            let found = worst(change);
            assert_eq!(found.result, expected, "{what}: {found:?}");
            assert!(found.mend.unwrap_or_default().starts_with(mend), "{what}");
        }
    }

    #[test]
    fn what_no_stack_of_this_host_needs_is_no_failure() {
        let found = worst(|f| {
            f.docker = Err("no".to_owned());
            objects(f).stacks[0].spec.host = "elsewhere".to_owned();
        });
        assert_eq!(found.result, Outcome::Warn);
        assert!(found.found.ends_with("no stack is on this host (h)"));
    }

    #[test]
    fn who_may_not_use_the_socket_is_not_told_to_start_the_engine() {
        let mut facts = well();
        facts.docker = Err("Permission denied".to_owned());
        facts.docker_socket = Some(Ok(FileFacts { usable: false, ..file(0o660) }));
        let checked: Vec<String> = judge(&facts).into_iter().map(|f| f.checked).collect();
        assert_eq!(checked, ["the user's rights on its socket", "its version"], "of the engine, and of Compose");
    }

    #[test]
    fn versions_of_distributions_are_understood() {
        for version in ["20.10.24+dfsg1", "28.2.2", "27.0.0-rc.1"] {
            let found = worst(|f| f.docker.as_mut().unwrap().version = version.to_owned());
            assert_eq!(found.result, Outcome::Ok, "{version}");
        }
    }
}
