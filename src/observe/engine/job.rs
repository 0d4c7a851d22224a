//! Containers that are run to their end: made, started, waited for, read and removed, each by its name.

use std::collections::HashMap;
use std::io::Read;
use std::pin::pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::{ContainerCreateBody, ContainerStateStatusEnum, ContainerSummary, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures::StreamExt;

use super::{Engine, EngineError, LOG_BYTES, LOG_LINES, PROJECT, READ_TIMEOUT, START_TIMEOUT, STOP_MARGIN, check_id};

/// Label of a container that is run to its end: the uid of the object that it is run for.
const RUN_FOR: &str = "dev.wicap.run-for";

/// Label of such a container: the compose project beside which it runs.
const BESIDE: &str = "dev.wicap.project";

/// The host's own network, by Docker's name.
const HOST: &str = "host";

const NETWORK: &str = "com.docker.compose.network";

/// Most bytes of a file that is read from a container. The results of ten thousand tests have a tenth of it.
pub const FILE_BYTES: usize = 16 * 1024 * 1024;

/// What an archive has around a file: headers, padding, the end.
const AROUND_A_FILE: usize = 64 * 1024;

/// A container to be made.
#[derive(Clone, Debug)]
pub struct OneShot<'a> {
    /// Its name.
    pub name: &'a str,
    /// Uid of the object that it is run for.
    pub run_for: &'a str,
    /// The compose project beside which it runs.
    pub project: &'a str,
    /// Name or id of the image, which has to be there.
    pub image: &'a str,
    /// Arguments, instead of the image's.
    pub args: &'a [String],
    /// Environment variables, each `NAME=value`.
    pub environment: Vec<String>,
    /// Id or name of the network to join.
    pub network: &'a str,
}

/// How far a container is that is run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It was made, and has not been started.
    Made,
    /// It has been started, and has not ended.
    Running,
    /// It has ended, with that exit code.
    Ended(i64),
}

impl Engine {
    /// The id of a network of a compose project, by its key in the compose file; none when there is none. `host` is one of the project's
    /// when one of its containers shares the host's network.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn network(&self, project: &str, key: &str) -> Result<Option<String>, EngineError> {
        let client = self.client().await?;
        if key == HOST {
            let filters = HashMap::from([("label", vec![format!("{PROJECT}={project}")])]);
            let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
            let found = self.within(READ_TIMEOUT, client.list_containers(Some(options))).await?;
            let shares = |c: &ContainerSummary| {
                c.host_config.as_ref().and_then(|h| h.network_mode.as_deref()).is_some_and(|mode| mode == HOST)
            };
            return Ok(found.iter().any(shares).then(|| HOST.to_owned()));
        }
        let labels = vec![format!("{PROJECT}={project}"), format!("{NETWORK}={key}")];
        let options = ListNetworksOptionsBuilder::default().filters(&HashMap::from([("label", labels)])).build();
        let found = self.within(READ_TIMEOUT, client.list_networks(Some(options))).await?;
        Ok(found.into_iter().find_map(|network| network.id))
    }

    /// Makes a container. It gets no volume, no port and no capability, and its processes can gain no privilege.
    ///
    /// # Errors
    /// [`EngineError::is_ambiguous`] tells whether it may have been made all the same. A name that is taken is refused (409), and so is
    /// an image that is not there (404).
    pub async fn make(&self, one_shot: &OneShot<'_>) -> Result<(), EngineError> {
        check_id(one_shot.name)?;
        let client = self.client_for(START_TIMEOUT).await?;
        let labels = [(RUN_FOR, one_shot.run_for), (BESIDE, one_shot.project)];
        let body = ContainerCreateBody {
            image: Some(one_shot.image.to_owned()),
            cmd: (!one_shot.args.is_empty()).then(|| one_shot.args.to_vec()),
            env: Some(one_shot.environment.clone()),
            labels: Some(labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
            host_config: Some(HostConfig {
                network_mode: Some(one_shot.network.to_owned()),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(one_shot.name).build();
        self.within(START_TIMEOUT, client.create_container(Some(options), body)).await.map(|_| ())
    }

    /// How far that container is; none when there is none of that name.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn progress(&self, name: &str) -> Result<Option<Progress>, EngineError> {
        check_id(name)?;
        let client = self.client().await?;
        let found = match self.within(READ_TIMEOUT, client.inspect_container(name, None)).await {
            Ok(found) => found,
            Err(EngineError::Refused { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let state = found.state.unwrap_or_default();
        Ok(Some(match state.status {
            Some(ContainerStateStatusEnum::CREATED) => Progress::Made,
            Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD) => {
                Progress::Ended(state.exit_code.unwrap_or(-1))
            }
            _ => Progress::Running,
        }))
    }

    /// Waits until a container has ended, for that time at most.
    ///
    /// # Errors
    /// [`EngineError::Timeout`] when it has not, else any [`EngineError`] of a call that reads.
    pub async fn wait_for_end(&self, name: &str, limit: Duration) -> Result<(), EngineError> {
        check_id(name)?;
        let client = self.client_for(limit).await?;
        let waiting = async {
            match pin!(client.wait_container(name, None)).next().await.transpose() {
                // Its exit code is no error of the call.
                Ok(_) | Err(BollardError::DockerContainerWaitError { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.within(limit, waiting).await
    }

    /// The last of what a container has printed, both outputs as one: at most [`LOG_LINES`] lines.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn printed(&self, name: &str) -> Result<String, EngineError> {
        check_id(name)?;
        let client = self.client().await?;
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&LOG_LINES.to_string()).build();
        let reading = async {
            let mut stream = pin!(client.logs(name, Some(options)));
            let mut bytes = Vec::new();
            while bytes.len() < LOG_BYTES
                && let Some(output) = stream.next().await
            {
                bytes.extend(output.map(LogOutput::into_bytes)?);
            }
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        self.within(READ_TIMEOUT, reading).await
    }

    /// A file of a container, which need not run; none when there is no such file, or it is none: a directory, a link.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads; [`EngineError::Lost`] too when it has more than 16 MiB.
    pub async fn file(&self, name: &str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
        check_id(name)?;
        let client = self.client().await?;
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let most = FILE_BYTES + AROUND_A_FILE;
        let reading = async {
            let mut stream = pin!(client.download_from_container(name, Some(options)));
            let mut archive = Vec::new();
            while archive.len() <= most
                && let Some(part) = stream.next().await
            {
                archive.extend(part?);
            }
            Ok(archive)
        };
        let archive = match self.within(START_TIMEOUT, reading).await {
            Ok(archive) => archive,
            Err(EngineError::Refused { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if archive.len() > most {
            return Err(EngineError::Lost { why: format!("{path} has more than {FILE_BYTES} bytes") });
        }
        only_file(&archive).map_err(|why| EngineError::Lost { why: format!("{path}: {why}") })
    }

    /// Ends a container and removes it, with its anonymous volumes. One that is not there is fine.
    ///
    /// # Errors
    /// [`EngineError::is_ambiguous`] tells whether it may have been removed all the same.
    pub async fn remove(&self, name: &str) -> Result<(), EngineError> {
        check_id(name)?;
        let client = self.client_for(STOP_MARGIN).await?;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.within(STOP_MARGIN, client.remove_container(name, Some(options))).await {
            // It is gone, or somebody is removing it.
            Err(EngineError::Refused { status: 404 | 409, .. }) => Ok(()),
            other => other,
        }
    }
}

/// The file that an archive holds, if it is one.
fn only_file(archive: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else { return Ok(None) };
    let mut entry = entry?;
    if !entry.header().entry_type().is_file() {
        return Ok(None);
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    // The reader takes the end of what there is for the end of the file.
    if content.len() as u64 != entry.size() {
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it is cut off"));
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_out_of_its_archive_and_nothing_else_does() {
        let archive = |kind: tar::EntryType, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_entry_type(kind);
            header.set_cksum();
            let mut builder = tar::Builder::new(Vec::new());
            builder.append_data(&mut header, "junit.xml", content).unwrap();
            builder.into_inner().unwrap()
        };
        let file = archive(tar::EntryType::Regular, b"<testsuites/>");
        assert_eq!(only_file(&file).unwrap().unwrap(), b"<testsuites/>");
        assert!(only_file(&file[..520]).is_err(), "what is cut off is no file");
        assert_eq!(only_file(&archive(tar::EntryType::Directory, b"")).unwrap(), None);
        assert_eq!(only_file(&[]).unwrap(), None);
    }
}
