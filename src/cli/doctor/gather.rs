//! Finds out what is judged. Everything has a time limit, and what cannot be found out is in nobody's way.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::api::{Object, Time};
use crate::cli::operator::operator;
use crate::clock::Clock;
use crate::observe::compose::ComposeCli;
use crate::observe::directory::HeldDirectory;
use crate::observe::engine::Engine;
use crate::stop_file::StopFile;
use crate::store::{self, ListParams, Store};
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use super::facts::{Backup, Disk, Facts, FileFacts, Gathered, Guarded, Meant, Objects, Project, Space, StoreFacts, Who};
use crate::cli::config::resolve::Chosen;

/// How long anything may take: twice what a request to the store or the engine is given, so that their own words come first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads by which the store's latency is told: an odd number has a median, and five take no time.
const READS: usize = 5;

/// The most entries of a directory that are looked at for a copy of the store.
const MOST_BACKUPS: usize = 10_000;

/// Where things are looked for.
#[derive(Clone, Debug)]
pub struct Places {
    /// The name of this host, as stacks have it in `spec.host`.
    pub host: String,
    /// The engine's address.
    pub docker: String,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where copies of the store are.
    pub backups: PathBuf,
    /// The file of contexts.
    pub config: PathBuf,
}

/// Finds it all out.
pub async fn gather(chosen: &Chosen, places: &Places, clock: &Clock) -> Facts {
    let (wall, watch) = (clock.now(), Instant::now());
    let connection = chosen.connect(clock.clone()).await.map_err(|e| e.to_string());
    let (store, objects, docker, compose) = tokio::join!(
        within(ask_store(&connection)),
        within(list(&connection)),
        within(ask_docker(&places.docker, clock)),
        within(ask_compose(&places.docker)),
    );
    let local = chosen.url.is_local();
    let mut disks = vec![("data directory", places.data_dir.clone())];
    let socket = socket_of(&places.docker);
    if let (Some(root), Some(_)) = (docker.as_ref().ok().and_then(|about| about.root.clone()), &socket) {
        disks.push(("engine", root));
    }
    let stacks = objects.as_ref().map(|o| o.stacks.clone()).unwrap_or_default();
    let ours: Vec<_> = stacks.into_iter().filter(|stack| stack.spec.host == places.host).collect();
    let mut roots: Vec<String> =
        objects.iter().flat_map(|o| &o.policies).flat_map(|policy| policy.spec.allowed_roots.clone()).collect();
    roots.sort();
    roots.dedup();
    let looks = [
        ("data directory", places.data_dir.clone(), 0o755, local),
        ("store's file", places.data_dir.join("store.redb"), 0o600, local),
        ("store's socket", store_socket(chosen, &places.data_dir), 0o660, local),
        ("file of contexts", places.config.clone(), 0o644, true),
        ("key of the client's certificate", chosen.tls.key.clone().unwrap_or_default(), 0o600, chosen.tls.key.is_some()),
    ];
    let (files, docker_socket, disks, backup, projects, roots) = tokio::join!(
        on_disk(move || Ok(looks.into_iter().filter(|look| look.3).map(guarded).collect::<Vec<_>>())),
        on_disk(move || Ok(
            socket.map(|path| file(&path).and_then(|found| found.ok_or_else(|| format!("there is no {}", path.display()))))
        )),
        on_disk(move || Ok(disks
            .into_iter()
            .map(|(what, path)| Disk { space: space(&path), what, path })
            .collect::<Vec<_>>())),
        on_disk({
            let backups = places.backups.clone();
            move || newest(&backups)
        }),
        on_disk(move || Ok(ours.iter().map(project).collect::<Vec<_>>())),
        on_disk(move || Ok(roots.into_iter().map(|root| (root.clone(), resolved(&root))).collect::<Vec<_>>())),
    );
    let stop_file = StopFile::of(&places.data_dir);
    let now = clock.now();
    Facts {
        now,
        who: Who { user: user(), host: places.host.clone() },
        meant: Meant {
            url: chosen.url.to_string(),
            reason: chosen.reason.to_string(),
            local,
            tls_files: [&chosen.tls.cacert, &chosen.tls.cert, &chosen.tls.key].into_iter().flatten().cloned().collect(),
            data_dir: places.data_dir.clone(),
            of_root: of_root(&places.data_dir),
            backups: places.backups.clone(),
        },
        connection: connection.as_ref().map(|_| ()).map_err(Clone::clone),
        store,
        objects,
        backup,
        docker,
        docker_url: places.docker.clone(),
        docker_socket: docker_socket.unwrap_or_else(|why| Some(Err(why))),
        compose,
        files: files.unwrap_or_default(),
        disks: disks.unwrap_or_default(),
        jumped: jumped(wall, now, watch.elapsed()),
        stop_file: stop_file.holds().map(|reason| (stop_file.path().to_owned(), reason)),
        projects: objects_first(projects, &connection),
        roots: roots.unwrap_or_default(),
    }
}

/// Without a connection there are no stacks, and that has been said.
fn objects_first<T>(projects: Gathered<T>, connection: &Gathered<Store>) -> Gathered<T> {
    connection.as_ref().map_err(Clone::clone).and(projects)
}

/// How far a clock and a stopwatch are apart that were set going together.
fn jumped(before: Time, after: Time, stopwatch: Duration) -> Duration {
    let clock = after.duration_since(before);
    let watch = jiff::SignedDuration::try_from(stopwatch).unwrap_or_default();
    (clock - watch).unsigned_abs()
}

async fn within<T>(work: impl Future<Output = Gathered<T>>) -> Gathered<T> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
}

/// What may have to wait for a disk, such as a network's file system that is gone.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Gathered<T> + Send + 'static) -> Gathered<T> {
    within(async move { tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())? }).await
}

async fn ask_store(connection: &Gathered<Store>) -> Gathered<StoreFacts> {
    let store = connection.as_ref().map_err(Clone::clone)?;
    let said = |e: store::Error| match e {
        store::Error::Unreachable { reason, .. } => reason,
        other => other.to_string(),
    };
    // The first makes the connection.
    store.touch().await.map_err(said)?;
    let mut reads = Vec::with_capacity(READS);
    for _ in 0..READS {
        let begun = Instant::now();
        store.touch().await.map_err(said)?;
        reads.push(begun.elapsed());
    }
    let (leaders, health) = tokio::join!(store.leaders(), store.health());
    Ok(StoreFacts { reads, health: health.map_err(said), leaders: leaders.map_err(said)? })
}

async fn list(connection: &Gathered<Store>) -> Gathered<Objects> {
    let store = connection.as_ref().map_err(Clone::clone)?;
    let everything = ListParams::default();
    let (stacks, sessions, policies, elevations) = (store.api(), store.api(), store.api(), store.api());
    let (stops, soaks, schedules) = (store.api(), store.api(), store.api());
    let listed = tokio::try_join!(
        stacks.list(&everything),
        sessions.list(&everything),
        policies.list(&everything),
        elevations.list(&everything),
        stops.list(&everything),
        soaks.list(&everything),
        schedules.list(&everything),
    );
    let (stacks, sessions, policies, elevations, stops, soaks, schedules) = listed.map_err(|e| e.to_string())?;
    Ok(Objects {
        stacks: stacks.items,
        sessions: sessions.items,
        policies: policies.items,
        elevations: elevations.items,
        stops: stops.items,
        soaks: soaks.items,
        schedules: schedules.items,
    })
}

async fn ask_docker(url: &str, clock: &Clock) -> Gathered<crate::observe::engine::About> {
    let engine = Engine::new(url).map_err(|e| e.to_string())?;
    engine.about(|| clock.now()).await.map_err(|e| e.to_string())
}

async fn ask_compose(docker: &str) -> Gathered<String> {
    ComposeCli::new(docker).version().await.map_err(|e| e.to_string())
}

/// The engine's socket, when its address is one.
fn socket_of(docker: &str) -> Option<PathBuf> {
    docker.strip_prefix("unix://").or_else(|| docker.starts_with('/').then_some(docker)).map(PathBuf::from)
}

/// Root's own data directory (`embedded::data_dir`).
const ROOTS: &str = "/var/lib/wicap";

/// The socket of root's store, when that is not the one of `data_dir`: who is not root means it, and looks into his own.
fn of_root(data_dir: &Path) -> Option<PathBuf> {
    let theirs = Path::new(ROOTS);
    // What is in it others may not even look for.
    (data_dir != theirs && theirs.is_dir()).then(|| theirs.join("store.sock"))
}

fn store_socket(chosen: &Chosen, data_dir: &Path) -> PathBuf {
    chosen.url.to_string().strip_prefix("unix://").map_or_else(|| data_dir.join("store.sock"), PathBuf::from)
}

fn guarded((what, path, may, _): (&'static str, PathBuf, u32, bool)) -> Guarded {
    Guarded { found: file(&path), what, path, may }
}

fn file(path: &Path) -> Gathered<Option<FileFacts>> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    // Only of a socket is it asked who may use it: the store's own files are its daemon's.
    let usable = !found.file_type().is_socket() || access(path, Access::READ_OK | Access::WRITE_OK).is_ok();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let group = group(&groups, found.gid()).map_or_else(|| found.gid().to_string(), str::to_owned);
    Ok(Some(FileFacts { owner: found.uid(), group, mode: found.mode() & 0o7777, usable }))
}

/// The name of a group id, from the text of `/etc/group`.
fn group(groups: &str, gid: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then_some(name)
    })
}

/// The name of the user.
fn user() -> String {
    operator().rsplit_once('@').map(|(user, _)| user.to_owned()).unwrap_or_default()
}

/// How full the disk is that a path is on, or will be.
fn space(path: &Path) -> Gathered<Space> {
    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let found = statvfs(there).map_err(|errno| errno.to_string())?;
    Ok(Space {
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
        files_free: (found.f_files > 0).then_some(found.f_favail),
        read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

/// The file of a directory that was written last.
fn newest(directory: &Path) -> Gathered<Option<Backup>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let files = entries.take(MOST_BACKUPS).filter_map(|entry| {
        let entry = entry.ok()?;
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        // One that is being written, or was cut off (`store::backup`).
        if entry.path().extension().is_some_and(|extension| extension == "part") {
            return None;
        }
        Some(Backup { file: entry.path(), written: Time::try_from(metadata.modified().ok()?).ok()? })
    });
    Ok(files.max_by_key(|backup| backup.written))
}

/// A stack's project, as it is on this disk.
fn project(stack: &crate::api::stack::WicapStack) -> Project {
    let compose = &stack.spec.compose;
    let held = HeldDirectory::open(Path::new(&compose.directory));
    let unreadable = match &held {
        Err(_) => Vec::new(),
        Ok(held) => {
            let files = compose.files.iter().chain(&compose.env_files);
            let failed = files.filter_map(|file| {
                let read = fs::File::open(held.link().join(file)).and_then(|f| f.metadata());
                let why = match read {
                    Ok(metadata) if metadata.is_file() => return None,
                    Ok(_) => "it is no file".to_owned(),
                    Err(e) => e.to_string(),
                };
                Some((file.clone(), why))
            });
            failed.collect()
        }
    };
    let directory = held.map(|held| held.path().to_owned()).map_err(|e| format!("{}: {e}", compose.directory));
    Project { stack: stack.name().to_owned(), directory, unreadable }
}

fn resolved(root: &str) -> Gathered<PathBuf> {
    fs::canonicalize(root).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::api::elapsed;
    use serde_json::json;

    use super::super::facts::fixtures::object;
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_told_from_time_that_passed() {
        let at = |ms| Time::from_millisecond(ms).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(jumped(at(0), at(1000), second), Duration::ZERO);
        assert_eq!(jumped(at(0), at(4000), second), Duration::from_secs(3));
        assert_eq!(jumped(at(4000), at(0), second), Duration::from_secs(5));
    }

    #[test]
    fn the_newest_copy_is_found_and_one_that_is_not_whole_is_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(newest(&directory.path().join("none")), Ok(None));
        assert_eq!(newest(directory.path()), Ok(None));
        for (name, age) in [("old.db", 100), ("new.db", 10), ("cut.db.part", 0)] {
            let file = fs::File::create(directory.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        fs::create_dir(directory.path().join("directory")).unwrap();
        let found = newest(directory.path()).unwrap().unwrap();
        assert!(found.file.ends_with("new.db"));
        assert!(elapsed(found.written, Time::now()) >= Duration::from_secs(10));
    }

    #[test]
    fn a_file_and_its_disk_are_looked_at_and_what_is_not_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(file(&path), Ok(None));
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let found = file(&path).unwrap().unwrap();
        assert_eq!((found.mode, found.owner), (0o640, rustix::process::geteuid().as_raw()));
        let space = space(&directory.path().join("not/yet")).unwrap();
        assert!(space.total >= space.free && !space.read_only);
        assert_eq!(group("root:x:0:\ndocker:x:999:ann\n", 999), Some("docker"));
        assert_eq!(group("", 1), None);
    }

    #[test]
    fn a_project_is_looked_at_through_its_links() {
        let yard = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(yard.path()).unwrap();
        let (real, link) = (root.join("real"), root.join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        fs::write(real.join("compose.yaml"), "").unwrap();
        let stack = |directory: &Path, files: &[&str]| {
            let compose = json!({"project": "p", "directory": directory, "files": files});
            object("WicapStack", "s", json!({"compose": compose, "services": []}))
        };
        let there = project(&stack(&link, &["compose.yaml"]));
        assert_eq!((there.directory, there.unreadable), (Ok(real.clone()), vec![]));
        let missing = project(&stack(&real, &["compose.yaml", "more.yaml"]));
        assert_eq!(missing.unreadable.len(), 1);
        assert_eq!(missing.unreadable[0].0, "more.yaml");
        assert!(project(&stack(&root.join("none"), &["compose.yaml"])).directory.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_is_given_up_and_the_rest_goes_on() {
        let silent = within(std::future::pending::<Gathered<()>>());
        let (silent, well) = tokio::join!(silent, within(async { Ok(1) }));
        assert_eq!((silent, well), (Err("no answer within 10s".to_owned()), Ok(1)));
    }
}
