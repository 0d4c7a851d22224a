//! Who may use the embedded store: on a unix socket its user, and a group if one is named; on TCP who shows a certificate of
//! the right authority. Whoever else comes is turned away, and what cannot be made safe is refused by name.

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use support::store::StoreProcess;
use support::tls::Certificates;
use support::{Said, free_port, wicapctl_with, wicapd};
use tempfile::TempDir;
use wicap::api::stop::{EmergencyStop, EmergencyStopSpec};
use wicap::clock::Clock;
use wicap::store::Store;
use wicap::store::audit::{Actor, Proof, Record};

/// Groups that every Linux has and whose members nobody is (Debian's `base-passwd`).
const GROUPS: [(&str, u32); 2] = [("games", 60), ("users", 100)];

/// What `wicapctl` ends with when it cannot reach the store.
const UNREACHABLE: i32 = 3;

/// The longest path of a socket that unix(7) takes, in bytes.
const LONGEST: usize = 107;

/// A directory into which everybody may look, with the data directory in it.
struct Place {
    directory: TempDir,
    client: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-test-access").tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        // Where it was built, others may not be let in.
        let client = directory.path().join("wicapctl");
        let built = env!("CARGO_BIN_EXE_wicapctl");
        std::fs::hard_link(built, &client).or_else(|_| std::fs::copy(built, &client).map(drop)).unwrap();
        Self { directory, client }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    async fn start(&self, arguments: &[&str]) -> StoreProcess {
        StoreProcess::start_with(&self.data_dir(), arguments).await
    }

    /// Asks the store as the user nobody, who is in no other group than that one.
    fn ask_as_nobody(&self, url: &str, group: Option<u32>) -> Said {
        as_nobody(&self.client, &["--store", url, "get", "wicapstacks"], group)
    }
}

/// Runs a program as the user nobody, who is in no other group than that one.
fn as_nobody(program: &Path, arguments: &[&str], group: Option<u32>) -> Said {
    let groups = group.map_or("--clear-groups".to_owned(), |group| format!("--groups={group}"));
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", &groups]).arg(program).args(arguments);
    command.output().expect("setpriv is part of util-linux").into()
}

/// Mode and group of a file.
fn rights(path: &Path) -> (u32, u32) {
    let metadata = std::fs::metadata(path).unwrap();
    (metadata.mode() & 0o777, metadata.gid())
}

fn mode(path: &Path) -> u32 {
    rights(path).0
}

/// Only root becomes somebody else. Says so when it is not.
fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("NOT RUN: {test}: only root can become another user");
    }
    root
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_its_users_alone_whatever_the_umask_says() {
    rustix::process::umask(rustix::fs::Mode::empty());
    let place = Place::new();
    let process = place.start(&[]).await;
    process.client().await.put("key", "value", None).await.unwrap();
    let data_dir = place.data_dir();
    let found = ["", "store.sock", "store.redb", "lock"].map(|name| mode(&data_dir.join(name)));
    assert_eq!(found.map(|mode| format!("{mode:o}")), ["700", "600", "600", "600"]);
    let mut names: Vec<_> = std::fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", "store.redb", "store.sock"], "and nothing else is there to be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_turned_away_by_the_directory_and_by_the_socket() {
    if !is_root("another user is turned away") {
        return;
    }
    let place = Place::new();
    // The second socket is where everybody may look, so that its own rights are all that protects it.
    let open = format!("unix://{}", place.path().join("open.sock").display());
    let default = format!("unix://{}", place.data_dir().join("store.sock").display());
    let _process = place.start(&["--listen", &default, "--listen", &open]).await;
    for url in [&default, &open] {
        let said = place.ask_as_nobody(url, None);
        assert!(said.code == UNREACHABLE && said.err.contains("Permission denied"), "{url}: {said:?}");
        let said = wicapctl_with(&[], &["--store", url, "get", "wicapstacks"], "");
        assert_eq!(said.code, 0, "{url}: {said:?}");
    }
}

/// Starts the store with a socket for a group, and has the group's members and others knock.
async fn check_group(place: &Place, (name, id): (&str, u32), other: u32) {
    let process = place.start(&["--socket-group", name]).await;
    let data_dir = place.data_dir();
    assert_eq!(rights(&data_dir.join("store.sock")), (0o660, id), "{name}");
    assert_eq!(["store.redb", "lock"].map(|file| mode(&data_dir.join(file))), [0o600; 2]);
    assert_eq!(rights(&data_dir), (0o710, id), "{name}");
    let said = place.ask_as_nobody(&process.url(), Some(id));
    assert_eq!(said.code, 0, "{name}: {said:?}");
    for stranger in [None, Some(other)] {
        let said = place.ask_as_nobody(&process.url(), stranger);
        assert!(said.code == UNREACHABLE && said.err.contains("Permission denied"), "{name}: {said:?}");
    }
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_named_is_let_in_and_nobody_else() {
    if is_root("a group is let in") {
        let [group, other] = GROUPS;
        check_group(&Place::new(), group, other.1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_group_that_is_named_later_takes_the_place_of_the_first() {
    if is_root("another group takes the place of the first") {
        let (place, [first, second]) = (Place::new(), GROUPS);
        check_group(&place, first, second.1).await;
        check_group(&place, second, first.1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_says_which_user_wrote_and_takes_nobody_elses_word_for_it() {
    if !is_root("the audit log says which user wrote") {
        return;
    }
    let (place, (group, id)) = (Place::new(), GROUPS[0]);
    let process = place.start(&["--socket-group", group]).await;
    let url = process.url();
    let said = as_nobody(&place.client, &["--store", &url, "stop", "wicap", "--reason", "smoke"], Some(id));
    assert_eq!(said.code, 0, "{said:?}");
    let mut client = process.client().await;
    let key = |seq: u64| format!("/wicap.dev/audit/intent/{seq:020}");
    let stored = client.get(key(1), None).await.unwrap();
    let record = Record::decode(stored.kvs()[0].value()).unwrap();
    let nobody = uid_of("nobody");
    assert_eq!(record.actor.proof, Proof::Uid(nobody), "{record:?}");
    let said = wicapctl_with(&[], &["--store", &url, "audit", "list"], "");
    assert!(said.out.contains(&format!("(uid {nobody})")), "{said:?}");

    // The same once more, in root's name, in a controller's, in his own, and as a mere claim.
    let mut next = 2;
    let others_id = format!("names user id 0, and user id {nobody} writes it");
    for (proof, refusal) in [
        (Proof::Uid(0), others_id.as_str()),
        (Proof::Leader, "an audit record of intent names who does not write that lane"),
        (Proof::Uid(nobody), ""),
        (Proof::Claimed, ""),
    ] {
        let expected = refusal.is_empty();
        let actor = Actor { proof: proof.clone(), ..record.actor.clone() };
        let forged = Record { seq: next, actor, previous: record.hash.clone(), ..record.clone() }.sealed();
        let value = String::from_utf8(forged.encode()).unwrap();
        let etcdctl = Path::new("/usr/bin/env");
        let said = as_nobody(etcdctl, &["etcdctl", "--endpoints", &url, "put", &key(next), "--", &value], Some(id));
        assert_eq!(said.code == 0, expected, "{proof:?}: {said:?}");
        assert!(said.err.contains(refusal), "{said:?}");
        let written = client.get(key(next), None).await.unwrap();
        assert_eq!(written.count() == 1, expected, "{proof:?}");
        next += u64::from(expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_by_no_user_id_or_another_one_claims_his_name_and_is_never_kept_from_a_stop() {
    let place = Place::new();
    let tls = Certificates::in_directory(place.path());
    let https = format!("https://127.0.0.1:{}", free_port());
    let unix = format!("unix://{}", place.data_dir().join("store.sock").display());
    let files = [&tls.server.0, &tls.server.1, &tls.authority].map(|path| path.display().to_string());
    let arguments =
        ["--listen", &unix, "--listen", &https, "--cert", &files[0], "--key", &files[1], "--client-ca", &files[2]];
    let _process = place.start(&arguments).await;
    let read = |path: &Path| std::fs::read(path).unwrap();
    let options = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(read(&tls.authority)))
        .identity(Identity::from_pem(read(&tls.client.0), read(&tls.client.1)));
    let client = Client::connect([&https], Some(ConnectOptions::new().with_tls(options))).await.unwrap();
    // As at the near end of a tunnel: a unix socket by all that the client can see.
    let store = Store::with_client(client, unix.parse().unwrap(), Clock::system()).acting_as("ann@host");
    let stop = EmergencyStop::new("all", EmergencyStopSpec { reason: "smoke".into(), by: "ann@host".into() });
    store.api::<EmergencyStop>().create(&stop).await.unwrap();
    let said = wicapctl_with(&[], &["--store", &unix, "audit", "list"], "");
    assert!(said.out.contains("ann@host (claimed)"), "{said:?}");
}

/// The number of a user, from the system's table of them.
fn uid_of(user: &str) -> u32 {
    let table = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = table.lines().find(|line| line.split(':').next() == Some(user)).expect("Debian has that user");
    line.split(':').nth(2).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_without_mutual_tls_is_refused() {
    let place = Place::new();
    let tls = Certificates::in_directory(place.path());
    let data_dir = place.data_dir().display().to_string();
    let text = |path: &Path| path.display().to_string();
    let (cert, key, authority) = (text(&tls.server.0), text(&tls.server.1), text(&tls.authority));
    let https = format!("https://127.0.0.1:{}", free_port());
    let missing =
        format!("wicapd: --listen {https}: --cert, --key and --client-ca are needed: TCP is served with mutual TLS only\n");
    for files in [
        vec![],
        vec!["--cert", &cert, "--key", &key],
        vec!["--cert", &cert, "--client-ca", &authority],
        vec!["--key", &key, "--client-ca", &authority],
    ] {
        let said = wicapd(&[&["store", "--data-dir", &data_dir, "--listen", &https], &*files].concat()).await;
        assert_eq!((said.code, said.err), (2, missing.clone()), "{files:?}");
    }
    let said = wicapd(&["store", "--data-dir", &data_dir, "--listen", "http://127.0.0.1:1"]).await;
    assert!(said.code == 2 && said.err.contains("expected unix:///PATH or https://HOST:PORT"), "{said:?}");
    assert!(said.err.contains("TCP is served with mutual TLS only"), "{said:?}");
    // Files that are not what they are said to be are found out at the start too, not when somebody comes.
    let absent = text(&place.path().join("absent.pem"));
    let files = ["--cert", &absent, "--key", &key, "--client-ca", &authority];
    let said = wicapd(&[&["store", "--data-dir", &data_dir, "--listen", &https], &files[..]].concat()).await;
    assert!(said.code == 2 && said.err.contains(&absent), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_certificate_of_the_right_authority_is_served() {
    let place = Place::new();
    let directory = |name: &str| {
        let path = place.path().join(name);
        std::fs::create_dir(&path).unwrap();
        Certificates::in_directory(&path)
    };
    let (ours, theirs) = (directory("ours"), directory("theirs"));
    let https = format!("https://127.0.0.1:{}", free_port());
    let unix = format!("unix://{}", place.data_dir().join("store.sock").display());
    let file = |path: &Path| path.display().to_string();
    let (cert, key, authority) = (file(&ours.server.0), file(&ours.server.1), file(&ours.authority));
    let mut arguments = vec!["--listen", &unix, "--listen", &https];
    arguments.extend(["--cert", &cert, "--key", &key, "--client-ca", &authority]);
    let _process = place.start(&arguments).await;

    let ask = |authority: &Path, client: Option<&(PathBuf, PathBuf)>| {
        let mut files = vec![("WICAP_STORE_CACERT", authority)];
        if let Some((cert, key)) = client {
            files.extend([("WICAP_STORE_CERT", cert.as_path()), ("WICAP_STORE_KEY", key.as_path())]);
        }
        wicapctl_with(&files, &["--store", &https, "get", "wicapstacks"], "")
    };
    let said = ask(&ours.authority, Some(&ours.client));
    assert_eq!(said.code, 0, "{said:?}");
    for (what, said) in [
        ("no certificate", ask(&ours.authority, None)),
        ("a certificate of another authority", ask(&ours.authority, Some(&theirs.client))),
        // It must not be possible to use what the server shows everybody.
        ("a certificate that is for servers", ask(&ours.authority, Some(&ours.server))),
        // Here it is the client who must not go on.
        ("a server of another authority", ask(&theirs.authority, Some(&ours.client))),
    ] {
        assert!(said.code == UNREACHABLE && said.out.is_empty() && !said.err.is_empty(), "{what}: {said:?}");
    }
    // It is still there for who may use it.
    let said = ask(&ours.authority, Some(&ours.client));
    assert_eq!(said.code, 0, "{said:?}");
}

/// A socket in `directory` whose path has that many bytes.
fn path_of_length(directory: &Path, length: usize) -> PathBuf {
    let name = length - directory.as_os_str().len() - "/.sock".len();
    directory.join(format!("{}.sock", "s".repeat(name)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_as_long_as_the_system_takes_is_served() {
    let place = Place::new();
    let default = format!("unix://{}", place.data_dir().join("store.sock").display());
    let longest: Vec<String> =
        (100..=LONGEST).map(|length| format!("unix://{}", path_of_length(place.path(), length).display())).collect();
    let mut arguments = vec!["--listen", &default];
    for url in &longest {
        arguments.extend(["--listen", url]);
    }
    let _process = place.start(&arguments).await;
    for url in &longest {
        let said = wicapctl_with(&[], &["--store", url, "get", "wicapstacks"], "");
        assert_eq!(said.code, 0, "{url}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_is_refused_by_name() {
    let place = Place::new();
    let path = path_of_length(place.path(), LONGEST + 1).display().to_string();
    let data_dir = place.data_dir().display().to_string();
    let said = wicapd(&["store", "--data-dir", &data_dir, "--listen", &format!("unix://{path}")]).await;
    let expected =
        format!("wicapd: {path}: the path of a socket has at most {LONGEST} bytes; name a shorter one with --listen\n");
    assert_eq!((said.code, said.err), (2, expected));
}
