use std::convert::Infallible;
use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Contents, Error, Lease, Member, Revision, Snapshot, Trailer, bolt, write_snapshot};

type Revisions = Vec<(Revision, Vec<u8>)>;

fn contents(compacted: i64) -> Contents {
    let peer_urls = vec!["http://localhost:2380".to_owned()];
    Contents { compacted, index: 7, term: 2, member: Member { id: 0xa1, name: "default".to_owned(), peer_urls } }
}

fn put(main: i64, sub: i64) -> (Revision, Vec<u8>) {
    (Revision { main, sub, tombstone: false }, format!("value of {main}.{sub}").into_bytes())
}

fn lease(id: i64) -> Lease {
    Lease { id, ttl: 60, remaining: 0 }
}

fn write(compacted: i64, revisions: &Revisions, leases: &[Lease]) -> Result<Vec<u8>, Error> {
    let revisions = revisions.iter().cloned().map(Ok::<_, Infallible>);
    let out = write_snapshot(Cursor::new(Vec::new()), &contents(compacted), revisions, leases.iter().copied().map(Ok))?;
    Ok(out.into_inner())
}

fn read(bytes: &[u8], trailer: Trailer) -> Result<(i64, Revisions, Vec<Lease>), Error> {
    let mut snapshot = Snapshot::open(Cursor::new(bytes), trailer)?;
    let leases = snapshot.leases()?.collect::<Result<_, _>>()?;
    let revisions = snapshot.revisions()?.collect::<Result<_, _>>()?;
    Ok((snapshot.compacted(), revisions, leases))
}

#[test]
fn what_was_written_is_read() {
    let revisions: Revisions = (2..3000).flat_map(|main| [put(main, 0), put(main, 1)]).collect();
    let leases = [lease(1), lease(i64::MAX), lease(-1)];
    let bytes = write(2500, &revisions, &leases).unwrap();
    assert_eq!(bytes.len() % 512, 32);
    assert_eq!(read(&bytes, Trailer::Required).unwrap(), (2500, revisions, leases.to_vec()));
    assert_eq!(read(&write(0, &vec![], &[]).unwrap(), Trailer::Required).unwrap(), (0, vec![], vec![]));
}

#[test]
fn a_snapshot_has_the_buckets_of_etcd() {
    let bytes = write(5, &vec![put(6, 0)], &[]).unwrap();
    let mut file = bolt::read::Reader::open(Cursor::new(&bytes)).unwrap();
    let names: Vec<_> = file.buckets().unwrap().into_iter().map(|name| String::from_utf8(name).unwrap()).collect();
    let expected = "alarm auth authRoles authUsers cluster key lease members members_removed meta";
    assert_eq!(names.join(" "), expected);
    let keys = |entry: Result<(Vec<u8>, Vec<u8>), _>| String::from_utf8(entry.unwrap().0).unwrap();
    let meta: Vec<_> = file.bucket(b"meta").unwrap().unwrap().map(keys).collect();
    assert_eq!(meta.join(" "), "confState consistent_index finishedCompactRev scheduledCompactRev term");
    let members: Vec<_> = file.bucket(b"members").unwrap().unwrap().map(keys).collect();
    assert_eq!(members, ["00000000000000a1"]);
}

#[test]
fn a_file_without_its_sum_is_read_only_if_that_is_allowed() {
    let bytes = write(0, &vec![put(2, 0)], &[]).unwrap();
    let bare = &bytes[..bytes.len() - 32];
    assert!(matches!(read(bare, Trailer::Required), Err(Error::NoTrailer)));
    assert_eq!(read(bare, Trailer::Optional).unwrap().1, [put(2, 0)]);
    for length in [0, 31, bytes.len() - 1, bytes.len() - 33] {
        assert!(read(&bytes[..length], Trailer::Required).is_err());
    }
    assert!(matches!(read(&bytes[..bytes.len() - 1], Trailer::Optional), Err(Error::Length(_))));
}

#[test]
fn a_sum_that_is_there_has_to_be_right() {
    let mut bytes = write(0, &vec![put(2, 0)], &[]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    for trailer in [Trailer::Required, Trailer::Optional] {
        assert!(matches!(read(&bytes, trailer), Err(Error::Digest)));
    }
}

#[test]
fn revisions_and_leases_out_of_order_are_refused() {
    let gone = |main| (Revision { main, sub: 0, tombstone: true }, vec![]);
    for wrong in [vec![put(0, 0)], vec![put(-1, 0)], vec![put(2, -1)], vec![put(3, 0), put(2, 0)], vec![put(2, 0), gone(2)]]
    {
        assert!(matches!(write(0, &wrong, &[]), Err(Error::Misplaced(_))), "{wrong:?}");
    }
    assert!(matches!(write(0, &vec![], &[lease(2), lease(2)]), Err(Error::Write(_))));
    assert!(matches!(write(0, &vec![], &[lease(-1), lease(2)]), Err(Error::Write(_))));
}

#[test]
fn an_error_of_the_source_ends_the_writing() {
    let revisions = [Ok(put(2, 0)), Err("the store is gone")];
    let result = write_snapshot(Cursor::new(Vec::new()), &contents(0), revisions, []);
    assert_eq!(result.unwrap_err().to_string(), "cannot read what to write: the store is gone");
}

#[test]
fn another_bbolt_file_is_not_taken_for_a_snapshot() {
    let mut file = bolt::write::Writer::new(Cursor::new(Vec::new())).unwrap();
    file.bucket(b"keys").unwrap();
    let bytes = file.finish().unwrap().into_inner();
    assert!(matches!(read(&bytes, Trailer::Optional), Err(Error::NotEtcd)));
}

#[test]
fn entries_that_are_not_what_their_bucket_holds_are_named() {
    let with = |bucket: &str, key: &[u8], value: &[u8]| {
        let mut file = bolt::write::Writer::new(Cursor::new(Vec::new())).unwrap();
        for name in ["key", "lease", "meta"] {
            file.bucket(name.as_bytes()).unwrap();
            if name == bucket {
                file.put(key, value).unwrap();
            }
        }
        read(&file.finish().unwrap().into_inner(), Trailer::Optional).unwrap_err().to_string()
    };
    assert_eq!(with("key", b"a", b""), "bucket key, key a: it is not a revision");
    assert_eq!(
        with("lease", &[7; 8], b"\x08\x07"),
        "bucket lease, key \\x07\\x07\\x07\\x07\\x07\\x07\\x07\\x07: its value is not that lease"
    );
    assert_eq!(
        with("meta", b"finishedCompactRev", b"5"),
        "bucket meta, key finishedCompactRev: its value is not a revision"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_snapshot_is_an_error_or_says_the_same(
        count in 0_i64..400,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)],
    ) {
        let revisions: Revisions = (0..count).map(|n| put(2 + n, 0)).collect();
        let whole = write(count / 2, &revisions, &[lease(3)]).unwrap();
        let mut bytes = whole.clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = read(&bytes, Trailer::Required) {
            prop_assert_eq!(read, (count / 2, revisions, vec![lease(3)]));
            prop_assert_eq!(&bytes, &whole);
        }
        // Without its sum, too, it is read to an end.
        bytes.truncate(bytes.len() / 512 * 512);
        let _ = read(&bytes, Trailer::Optional);
    }
}
