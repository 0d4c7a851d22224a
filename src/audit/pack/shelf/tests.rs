use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::about::Reason;
use super::super::builder::Builder;
use super::super::fixtures::{ENOUGH, about, keep, small};
use super::super::reader::Pack;
use super::*;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn shelf() -> (tempfile::TempDir, Shelf) {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(directory.path().join("packs/wicap")).unwrap();
    (directory, shelf)
}

#[test]
fn a_pack_is_put_listed_opened_and_removed() {
    let (_directory, shelf) = shelf();
    let pack = small();
    let name = shelf.put(&pack).unwrap();
    assert_eq!(name, format!("wicap-20260210T100000Z-{}.tar.zst", &pack.digest[..8]));
    let earlier = About { stack: "a-b.c".to_owned(), at: "2026-02-09T10:00:00Z".parse().unwrap(), ..about() };
    let earlier = Builder::new(earlier, &keep).unwrap().finish().unwrap();
    let earlier = shelf.put(&earlier).unwrap();
    let listed = shelf.list().unwrap();
    assert_eq!(listed.iter().map(|pack| &pack.name).collect::<Vec<_>>(), [&earlier, &name]);
    let expected = Shelved {
        name: name.clone(),
        stack: "wicap".to_owned(),
        at: "2026-02-10T10:00:00Z".parse().unwrap(),
        bytes: pack.bytes.len() as u64,
    };
    assert_eq!((&listed[0].stack[..], &listed[1]), ("a-b.c", &expected));
    let read = Pack::read(shelf.open(&name).unwrap()).unwrap();
    assert_eq!(read.manifest(), &pack.manifest);
    shelf.remove(&name).unwrap();
    shelf.remove(&name).unwrap();
    assert_eq!(names(&shelf.directory), [earlier]);
    assert!(matches!(shelf.open(&name), Err(Error::Missing { .. })));
}

#[test]
fn only_the_owner_may_read() {
    let (_directory, shelf) = shelf();
    let name = shelf.put(&small()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&shelf.directory), mode(&shelf.directory.join(name))), (0o700, 0o600));
}

#[test]
fn a_pack_that_is_there_stays_as_it_is() {
    let (_directory, shelf) = shelf();
    let pack = small();
    let name = shelf.put(&pack).unwrap();
    assert_eq!(shelf.put(&pack).unwrap(), name, "the same once more");
    fs::write(shelf.directory.join(&name), "another").unwrap();
    assert!(matches!(shelf.put(&pack), Err(Error::Exists { .. })));
    assert_eq!(fs::read(shelf.directory.join(&name)).unwrap(), b"another");
    assert_eq!(names(&shelf.directory), [name]);
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let (_directory, shelf) = shelf();
    let name = name(&about(), &small().digest);
    for (code, full) in [(rustix::io::Errno::NOSPC, true), (rustix::io::Errno::DQUOT, true), (rustix::io::Errno::IO, false)]
    {
        let stored = shelf.store(name.clone(), b"half", |file| {
            file.write_all(b"ha")?;
            Err(io::Error::from_raw_os_error(code.raw_os_error()))
        });
        assert_eq!(matches!(stored, Err(Error::Full { .. })), full, "{stored:?}");
        assert!(stored.is_err());
        assert_eq!(names(&shelf.directory), [""; 0]);
    }
}

#[test]
fn what_a_crash_has_left_is_swept_and_nothing_else() {
    let (_directory, shelf) = shelf();
    let name = shelf.put(&small()).unwrap();
    let at = |name: &str| shelf.directory.join(name);
    fs::write(at(".x7Gh2k.part"), "half").unwrap();
    fs::write(at(".part"), "no name between").unwrap();
    fs::write(at("notes.part"), "somebody's").unwrap();
    fs::create_dir(at(".dir.part")).unwrap();
    symlink(at("notes.part"), at(".link.part")).unwrap();
    let being_written = shelf.begin().unwrap();
    let writing = being_written.path().file_name().unwrap().to_str().unwrap().to_owned();
    Shelf::new(&shelf.directory).unwrap();
    let mut left = vec![".dir.part", ".link.part", ".part", "notes.part", &name, &writing];
    left.sort_unstable();
    assert_eq!(names(&shelf.directory), left);
    drop(being_written);
    assert!(!names(&shelf.directory).contains(&writing));
}

#[test]
fn a_file_that_another_process_takes_for_a_leftover_is_begun_anew() {
    let (_directory, shelf) = shelf();
    let path = shelf.directory.join(".x.part");
    let file = File::create_new(&path).unwrap();
    let other = File::open(&path).unwrap();
    other.try_lock().unwrap();
    assert!(!is_kept(&file).unwrap(), "the other one holds it");
    fs::remove_file(&path).unwrap();
    drop(other);
    assert!(!is_kept(&file).unwrap(), "the other one has removed it");
    let file = File::create_new(&path).unwrap();
    assert!(is_kept(&file).unwrap());
}

#[test]
fn whoever_writes_while_others_open_the_shelf_gets_through() {
    let (_directory, shelf) = shelf();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for reason in [Reason::Incident, Reason::FailedAction, Reason::FailedSoak, Reason::Requested] {
                for n in 0..10 {
                    let mut builder = Builder::new(About { reason, ..about() }, &keep).unwrap();
                    builder.document("n.json", &n, ENOUGH).unwrap();
                    shelf.put(&builder.finish().unwrap()).unwrap();
                }
            }
        });
        while !writer.is_finished() {
            Shelf::new(&shelf.directory).unwrap();
        }
    });
    assert_eq!(shelf.list().unwrap().len(), 40);
}

#[test]
fn what_is_no_packs_name_is_refused() {
    let (directory, shelf) = shelf();
    fs::write(directory.path().join("x-20260210T100000Z-00000000.tar.zst"), "outside").unwrap();
    let table = [
        "",
        ".",
        "..",
        "../../x-20260210T100000Z-00000000.tar.zst",
        "/x-20260210T100000Z-00000000.tar.zst",
        "a/x-20260210T100000Z-00000000.tar.zst",
        "x\\y-20260210T100000Z-00000000.tar.zst",
        ".x-20260210T100000Z-00000000.tar.zst",
        "-20260210T100000Z-00000000.tar.zst",
        "x-20260210T100000Z-0000000G.tar.zst",
        "x-20260210T100000Z-000000000.tar.zst",
        "x-20260210T10000Z-00000000.tar.zst",
        "x-20260230T100000Z-00000000.tar.zst",
        "x-20260210T100000Z-00000000.tar",
    ];
    for name in table {
        let error = shelf.open(name).unwrap_err();
        assert!(matches!(error, Error::Name(_)), "{name:?}: {error}");
        assert!(error.to_string().starts_with("name: found "), "{error}");
        assert!(matches!(shelf.remove(name), Err(Error::Name(_))), "{name:?}");
    }
}

#[test]
fn strangers_are_neither_listed_nor_opened() {
    let (directory, shelf) = shelf();
    let outside = directory.path().join("secret");
    fs::write(&outside, "outside").unwrap();
    let link = "x-20260210T100000Z-00000000.tar.zst";
    symlink(&outside, shelf.directory.join(link)).unwrap();
    let inside = "y-20260210T100000Z-00000000.tar.zst";
    fs::create_dir(shelf.directory.join(inside)).unwrap();
    fs::write(shelf.directory.join("README"), "").unwrap();
    assert_eq!(shelf.list().unwrap(), []);
    assert!(shelf.open(link).is_err());
    assert!(matches!(shelf.open(inside), Err(Error::Missing { .. })));
}

#[test]
fn any_stack_and_any_time_make_a_name() {
    let (_directory, shelf) = shelf();
    for at in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        let stack = "s".repeat(253);
        let built = Builder::new(About { stack, at, ..about() }, &keep).unwrap().finish().unwrap();
        let name = shelf.put(&built).unwrap();
        let listed = shelf.list().unwrap().into_iter().find(|pack| pack.name == name).unwrap();
        assert_eq!(listed.at.as_second(), at.as_second().max(0));
        assert_eq!(Pack::read(shelf.open(&name).unwrap()).unwrap().manifest().about.at, at);
    }
}
