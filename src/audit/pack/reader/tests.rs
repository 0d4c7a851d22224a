use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::about::About;
use super::super::fixtures::{about, repacked, small};
use super::*;

fn told(file: &[u8]) -> Vec<String> {
    verify(file, None).unwrap().iter().map(ToString::to_string).collect()
}

/// A pack of a tar that somebody has written, with its right seal.
fn forged(tar: &[u8]) -> Vec<u8> {
    archive::seal(tar).unwrap()
}

/// What is to be found first in a pack that somebody has forged, and that it is not read.
fn refused(what: &str, tar: &[u8], expected: &str) {
    let file = forged(tar);
    let told = told(&file);
    assert!(told.iter().any(|violation| violation.starts_with(expected)), "{what}: {told:#?}");
    assert!(matches!(Pack::read(&file[..]), Err(PackError::Damaged(_))), "{what}");
}

fn tar_of(built: &[u8]) -> Vec<u8> {
    zstd::decode_all(built).unwrap()
}

/// A tar with these entries after a manifest that lists those that it is told.
fn tar(listed: &[(&str, &[u8])], entries: &[(&str, &[u8])]) -> Vec<u8> {
    let list: Vec<Value> = listed
        .iter()
        .map(|(path, content)| json!({"path": path, "kind": "Text", "bytes": content.len(), "sha256": sha256(content)}))
        .collect();
    let manifest: Manifest = serde_json::from_value(json!({"version": 1, "about": about(), "entries": list})).unwrap();
    let manifest = manifest.render().unwrap();
    let mut all = vec![(path::MANIFEST, manifest.as_bytes())];
    all.extend(entries);
    plain(&all)
}

/// A tar with these entries, the first not a manifest unless it is one.
fn plain(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (path, content) in entries {
        raw(&mut tar, path, content, |_| ());
    }
    archive::end(&mut tar);
    tar
}

/// An entry whose header is changed, with its right checksum.
fn raw(tar: &mut Vec<u8>, path: &str, content: &[u8], change: impl FnOnce(&mut Header)) {
    let mut header = archive::header("x", content.len() as u64, about().at).unwrap();
    header.as_mut_bytes()[..100].fill(0);
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    change(&mut header);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

/// A good pack with one more entry, whose header is changed.
fn with_entry(path: &str, content: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut tar = tar(&[("a", b"x"), ("b", content)], &[("a", b"x")]);
    tar.truncate(tar.len() - END);
    raw(&mut tar, path, content, change);
    archive::end(&mut tar);
    tar
}

#[test]
fn a_pack_as_it_was_written_is_whole() {
    assert_eq!(told(&small().bytes), [""; 0]);
    let tar = tar(&[("a", b"x"), ("b", b"")], &[("a", b"x"), ("b", b"")]);
    assert_eq!(told(&forged(&tar)), [""; 0]);
    assert_eq!(told(&forged(&with_entry("b", b"yy", |_| ()))), [""; 0]);
}

#[test]
fn every_byte_that_is_changed_is_found() {
    let whole = small().bytes;
    for at in 0..whole.len() {
        // In the header of the frame, and in the seal, each bit has another meaning.
        let single = if at < 16 || at >= whole.len() - SEAL_LEN { 0..8 } else { at % 8..at % 8 + 1 };
        for change in single.map(|bit| 1 << bit).chain([0xff]) {
            let mut changed = whole.clone();
            changed[at] ^= change;
            assert!(!told(&changed).is_empty(), "{change:08b} in byte {at}");
        }
    }
}

#[test]
fn every_byte_that_is_missing_doubled_or_put_in_is_found() {
    let whole = small().bytes;
    for at in 0..whole.len() {
        assert!(Pack::read(&whole[..at]).is_err(), "cut at {at}");
        assert!(Pack::read(&whole[at + 1..]).is_err(), "from {at} on");
        let without = [&whole[..at], &whole[at + 1..]].concat();
        assert!(Pack::read(&without[..]).is_err(), "without {at}");
        for byte in [0, whole[at], 0xff] {
            let with = [&whole[..=at], &[byte], &whole[at + 1..]].concat();
            assert!(Pack::read(&with[..]).is_err(), "{byte} after {at}");
        }
    }
    assert!(Pack::read([&whole[..], &whole[..]].concat().as_slice()).is_err());
}

/// Whoever seals a pack again cannot hide a change but in what the manifest says of itself.
#[test]
fn every_byte_of_the_tar_that_is_changed_is_found_although_it_was_sealed_again() {
    let built = small();
    let whole = tar_of(&built.bytes);
    let head = BLOCK..BLOCK + built.manifest.render().unwrap().len();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        let mut findings = Findings::default();
        let read = inspect(&changed, &mut findings);
        let hidden = head.contains(&at) && read.is_some_and(|(manifest, _)| manifest != built.manifest);
        assert!(!findings.0.is_empty() || hidden, "byte {at}");
    }
    for at in (0..whole.len()).step_by(BLOCK).flat_map(|block| [block, block + 1, block + BLOCK - 1]) {
        let mut findings = Findings::default();
        inspect(&whole[..at], &mut findings);
        assert!(!findings.0.is_empty(), "cut at {at}");
    }
}

#[test]
fn a_change_is_told_with_its_entry() {
    let good = || tar(&[("a", b"x"), ("b", b"yy")], &[("a", b"x"), ("b", b"yy")]);
    let x = sha256(b"x");
    let table: Vec<(&str, Vec<u8>, String)> = vec![
        (
            "other content",
            tar(&[("a", b"x")], &[("a", b"y")]),
            format!("a: found content with the SHA-256 {}", sha256(b"y")),
        ),
        ("other length", tar(&[("a", b"x")], &[("a", b"xx")]), "a: found 2 bytes, expected 1, as the manifest says".into()),
        ("one is missing", tar(&[("a", b"x"), ("b", b"")], &[("a", b"x")]), "b: found no entry, expected 0 bytes".into()),
        (
            "one too many",
            tar(&[("a", b"x")], &[("a", b"x"), ("b", b"")]),
            "b: found an entry that is not in the manifest".into(),
        ),
        ("twice", tar(&[("a", b"x")], &[("a", b"x"), ("a", b"x")]), "a: found a second entry of this name".into()),
        (
            "not in order",
            tar(&[("a", b"x"), ("b", b"yy")], &[("b", b"yy"), ("a", b"x")]),
            "a: found it after \"b\", expected entries in the order".into(),
        ),
        (
            "a file and a directory",
            tar(&[("a", b"x"), ("a/b", b"")], &[("a", b"x"), ("a/b", b"")]),
            "a/b: found it inside of \"a\", which is a file".into(),
        ),
        ("a second manifest", tar(&[], &[("manifest.json", b"{}")]), "manifest.json: found a second entry".into()),
        ("no manifest", plain(&[("a", b"x")]), "manifest.json: found \"a\" as the first entry".into()),
        ("nothing", plain(&[]), "manifest.json: found no entry".into()),
        ("a manifest that is none", plain(&[("manifest.json", b"{}")]), "manifest.json: found missing field".into()),
        (
            "more after the end",
            [good(), vec![0; BLOCK]].concat(),
            "(file): found 1536 bytes from the end of the tar at byte".into(),
        ),
        ("a tar after the end", [good(), good()].concat(), "(file): found".into()),
        ("no end", good()[..good().len() - END].to_vec(), "(file): found a tar that ends at byte".into()),
        ("half an end", good()[..good().len() - BLOCK].to_vec(), "(file): found 512 bytes from the end".into()),
    ];
    for (what, tar, expected) in &table {
        refused(what, tar, expected);
    }
    let wrong = forged(&tar(&[("a", b"x")], &[("a", b"y")]));
    assert!(told(&wrong)[0].ends_with(&format!("expected \"{x}\", as the manifest says")), "{:?}", told(&wrong));
}

#[test]
fn no_entry_leaves_its_place_or_is_anything_but_a_file() {
    for path in ["../x", "/etc/passwd", "a/../../x", "a//x", "./b", "B", "b\nc", ".b", "-b", "b/c/d/e/f", "b/"] {
        let expected = format!("(entry 3): found {path:?}, expected a path that an entry may have");
        refused(path, &with_entry(path, b"", |_| ()), &expected);
    }
    let link = |kind| {
        with_entry("b", b"", |header| {
            header.set_entry_type(kind);
            header.set_link_name("../../etc/passwd").unwrap();
        })
    };
    for kind in [EntryType::Symlink, EntryType::Link] {
        refused("link", &link(kind), &format!("b: found an entry of type {kind:?}, expected a regular file"));
    }
    let others = [
        EntryType::Directory,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Continuous,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::new(b'?'),
    ];
    for kind in others {
        refused("kind", &with_entry("b", b"", |header| header.set_entry_type(kind)), "b: found an entry of type");
    }
}

#[test]
fn a_header_that_no_pack_has_is_told_by_its_field() {
    type Change = fn(&mut Header);
    let table: [(&str, Change); 9] = [
        ("mode", |header| header.set_mode(0o4755)),
        ("owner", |header| header.set_uid(1000)),
        ("group", |header| header.set_gid(1000)),
        ("time", |header| header.set_mtime(1)),
        ("owner's name", |header| header.set_username("root").unwrap()),
        ("group's name", |header| header.set_groupname("root").unwrap()),
        ("link", |header| header.set_link_name("x").unwrap()),
        ("magic", |header| header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0")),
        ("padding", |header| header.as_mut_bytes()[511] = 1),
    ];
    for (field, change) in table {
        let changed = with_entry("b", b"yy", |header| {
            change(header);
            header.set_cksum();
        });
        refused(field, &changed, &format!("b: found another {field} in its header"));
    }
}

/// A frame of four bytes for each 128 KiB of zeros, which says that it has so many bytes (RFC 8878, 3.1.1).
fn bomb(says: u64, blocks: u32) -> Vec<u8> {
    const RLE: u32 = 1 << 1;
    let mut frame = b"\x28\xb5\x2f\xfd\xe0".to_vec();
    frame.extend(says.to_le_bytes());
    for block in 1..=blocks {
        let header = u32::from(block == blocks) | RLE | 0x2_0000 << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[test]
fn what_would_not_fit_into_memory_is_not_unpacked() {
    let small = bomb(0x2_0000, 1);
    assert_eq!(zstd::bulk::decompress(&small, 0x2_0000).unwrap(), vec![0; 0x2_0000], "it is a frame");
    for says in [WHOLE_MOST + 1, 1 << 40, u64::MAX >> 1] {
        let found = told(&bomb(says, 1 << 16));
        let expected = format!("(file): found {says} bytes when unpacked, expected at most {WHOLE_MOST}");
        assert!(found.contains(&expected), "{found:?}");
    }
    // One that says less than it has.
    let found = told(&bomb(512, 1 << 16));
    assert!(found[1].contains("expected a zstd frame that can be unpacked"), "{found:?}");
    // One that does not say how large it is.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    io::copy(&mut io::repeat(0).take(1 << 20), &mut encoder).unwrap();
    let silent = told(&encoder.finish().unwrap());
    assert!(silent.iter().any(|v| v.starts_with("(file): found a frame that does not say its size")), "{silent:?}");
    // One that is endless.
    let endless = verify(io::repeat(0x28), None).unwrap();
    assert!(endless[0].to_string().starts_with("(file): found more than"), "{endless:?}");
}

#[test]
fn sizes_in_headers_are_believed_only_as_far_as_there_is_something() {
    for size in [2048, 1 << 20, u64::MAX >> 1] {
        let bad = with_entry("b", b"", |header| header.set_size(size));
        refused("size", &bad, &format!("b: found {size} bytes, expected at most the "));
    }
    let bad = with_entry("b", b"", |header| header.as_mut_bytes()[124..136].fill(b'x'));
    refused("size", &bad, "b: found no size");
}

#[test]
fn more_entries_than_a_pack_has_are_not_read() {
    let name = |n: usize| format!("p{n:05}");
    let names: Vec<String> = (0..=ENTRIES_MOST).map(name).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    refused("entries", &tar(&[], &entries), "(file): found more than 4096 entries");
    let mut long = b"{\"version\":1,".to_vec();
    long.resize(usize::try_from(MANIFEST_MOST).unwrap() + 1, b' ');
    refused("manifest", &plain(&[("manifest.json", &long)]), "manifest.json: found ");
}

#[test]
fn what_is_told_is_bounded() {
    let name = |n: usize| format!("p{n:05}");
    let names: Vec<String> = (0..1000).map(name).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert_eq!(told(&forged(&tar(&[], &entries))).len(), TOLD_MOST);
}

#[test]
fn a_manifest_is_read_as_it_is_written_and_in_no_other_way() {
    let good: Value = serde_json::from_str(&small().manifest.render().unwrap()).unwrap();
    let with = |change: fn(&mut Value)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let table: [(&str, Value, &str); 6] = [
        ("version", with(|m| m["version"] = json!(2)), "manifest.json: found version 2, expected version 1"),
        ("field", with(|m| m["more"] = json!(2)), "manifest.json: found unknown field `more`"),
        ("entry field", with(|m| m["entries"][0]["more"] = json!(2)), "manifest.json: found unknown field `more`"),
        ("about", with(|m| m["about"]["stack"] = json!("a/b")), "manifest.json: found about.stack \"a/b\", expected a name"),
        (
            "twice",
            with(|m| m["entries"][1] = m["entries"][0].clone()),
            "manifest.json: found \"events.jsonl\" listed after \"events.jsonl\"",
        ),
        ("path", with(|m| m["entries"][0]["path"] = json!("../x")), "../x: found no entry"),
    ];
    for (what, manifest, expected) in table {
        let text = manifest_text(&manifest);
        refused(what, &plain(&[("manifest.json", text.as_bytes())]), expected);
    }
    let empty: Manifest = serde_json::from_value(json!({"version": 1, "about": about(), "entries": []})).unwrap();
    let text = empty.render().unwrap();
    for other in [text.trim_end().to_owned(), text.replace("  ", " "), text.replacen('{', "{\"version\": 1,", 1)] {
        let found = told(&forged(&plain(&[("manifest.json", other.as_bytes())])));
        assert!(found[0].starts_with("manifest.json: found "), "{found:?}");
    }
}

fn manifest_text(value: &Value) -> String {
    super::super::manifest::document(&super::super::manifest::sorted(value.clone()))
}

#[test]
fn what_follows_the_pack_is_refused() {
    let whole = small().bytes;
    let (frame, seal) = whole.split_at(whole.len() - SEAL_LEN);
    let table: [(&str, Vec<u8>); 5] = [
        ("no seal", frame.to_vec()),
        ("a seal and more", [&whole[..], b"x"].concat()),
        ("two seals", [&whole[..], seal].concat()),
        ("two frames", [frame, frame, seal].concat()),
        ("a seal first", [seal, frame].concat()),
    ];
    for (what, file) in table {
        assert!(!told(&file).is_empty(), "{what}");
    }
    assert!(told(frame)[0].starts_with("(seal): found 0 bytes, expected 40 bytes"), "{:?}", told(frame));
}

#[test]
fn what_is_no_pack_is_said_to_be_none() {
    for none in [&b""[..], b"x", b"hello, world", &[0; 100], b"\x28\xb5\x2f\xfd"] {
        let error = Pack::read(none).unwrap_err().to_string();
        assert!(error.starts_with("(file): found") && error.contains("no whole zstd frame"), "{error}");
    }
}

#[test]
fn a_pack_that_was_changed_and_sealed_again_is_not_the_one_that_was_made() {
    let built = small();
    assert_eq!(verify(&built.bytes[..], Some(&built.digest)).unwrap(), []);
    let other = repacked(&built, "spec.json", |text| text.replacen('1', "7", 1));
    assert_eq!(verify(&other.bytes[..], None).unwrap(), []);
    let told = verify(&other.bytes[..], Some(&built.digest)).unwrap();
    assert!(told.iter().any(|violation| violation.to_string().contains(&built.digest)), "{told:#?}");
}

#[test]
fn a_source_that_fails_is_no_damage() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    assert!(matches!(Pack::read(Failing), Err(PackError::Read(_))));
    assert!(verify(Failing, None).is_err());
}

#[test]
fn any_time_makes_a_header() {
    for at in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        let about = About { at, ..about() };
        let built = super::super::builder::Builder::new(about, &|text: &str| text.to_owned()).unwrap().finish().unwrap();
        assert_eq!(told(&built.bytes), [""; 0]);
    }
}
