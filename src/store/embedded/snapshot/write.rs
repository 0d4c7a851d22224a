//! Writes a snapshot.

use std::io::{Read, Seek, SeekFrom, Write};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::bolt::write::Writer;
use super::{AUTH, Contents, Error, KEYS, LEASES, Lease, META, Member, Revision};

/// The version that the cluster says it runs. An etcd that is older does not start with the data.
const CLUSTER_VERSION: &[u8] = b"3.5.0";

/// Writes a snapshot to `out`, a new and empty file, and returns it with the position at its end. What is in memory does
/// not grow with the data. Nothing is synced to the disk.
///
/// `revisions` are all that are not compacted, in ascending order, each with its `mvccpb.KeyValue`. If none has the current
/// revision, [`Contents::compacted`] has to be it: nothing else says what it is. `leases` are in ascending order of their
/// identifiers, taken as unsigned numbers.
///
/// # Errors
///
/// [`Error::Source`] with an error of `revisions` or `leases`, [`Error::Misplaced`] for revisions and [`Error::Write`] for
/// leases that are out of order, [`Error::Write`] and [`Error::Io`] if `out` cannot be written. What was written is then to
/// be thrown away; it is no snapshot.
pub fn write_snapshot<W, E>(
    out: W,
    contents: &Contents,
    revisions: impl IntoIterator<Item = Result<(Revision, Vec<u8>), E>>,
    leases: impl IntoIterator<Item = Result<Lease, E>>,
) -> Result<W, Error>
where
    W: Read + Write + Seek,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let source = |error: E| Error::Source(error.into());
    let mut file = Writer::new(out)?;
    file.bucket(b"alarm")?;
    file.bucket(AUTH)?;
    file.put(b"authRevision", &1_u64.to_be_bytes())?;
    file.bucket(b"authRoles")?;
    file.bucket(b"authUsers")?;
    file.bucket(b"cluster")?;
    file.put(b"clusterVersion", CLUSTER_VERSION)?;

    file.bucket(KEYS)?;
    let mut before = (0, i64::MAX);
    for item in revisions {
        let (revision, value) = item.map_err(source)?;
        let place = (revision.main, revision.sub);
        if place <= before || revision.sub < 0 {
            return Err(Error::Misplaced(revision));
        }
        file.put(&revision.encode(), &value)?;
        before = place;
    }

    file.bucket(LEASES)?;
    for lease in leases {
        let lease = lease.map_err(source)?;
        file.put(&lease.key(), &lease.encode())?;
    }

    let member = &contents.member;
    file.bucket(b"members")?;
    file.put(format!("{:016x}", member.id).as_bytes(), &json(member))?;
    file.bucket(b"members_removed")?;

    file.bucket(META)?;
    file.put(b"confState", format!(r#"{{"voters":[{}],"auto_leave":false}}"#, member.id).as_bytes())?;
    file.put(b"consistent_index", &contents.index.to_be_bytes())?;
    // Both, or etcd would take the compaction for one that it has to go on with.
    let compacted = Revision { main: contents.compacted, sub: 0, tombstone: false }.encode();
    if contents.compacted > 0 {
        file.put(b"finishedCompactRev", &compacted)?;
        file.put(b"scheduledCompactRev", &compacted)?;
    }
    file.put(b"term", &contents.term.to_be_bytes())?;
    seal(file.finish()?)
}

/// Appends the SHA-256 of the whole file to it.
fn seal<W: Read + Write + Seek>(mut file: W) -> Result<W, Error> {
    let length = file.stream_position()?;
    file.seek(SeekFrom::Start(0))?;
    let digest = digest(&mut file, length)?;
    file.seek(SeekFrom::Start(length))?;
    file.write_all(&digest)?;
    file.flush()?;
    Ok(file)
}

/// The SHA-256 of the next `length` bytes, or of those that there are.
pub(super) fn digest(input: &mut impl Read, length: u64) -> Result<[u8; super::DIGEST], Error> {
    let mut input = input.take(length);
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(sum.finalize().into()),
            Ok(read) => sum.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A member as etcd keeps it.
fn json(member: &Member) -> Vec<u8> {
    #[derive(Serialize)]
    struct Stored<'m> {
        id: u64,
        #[serde(rename = "peerURLs")]
        peer_urls: &'m [String],
        #[serde(skip_serializing_if = "str::is_empty")]
        name: &'m str,
    }
    let stored = Stored { id: member.id, peer_urls: &member.peer_urls, name: &member.name };
    serde_json::to_vec(&stored).expect("numbers and strings are always JSON")
}

#[cfg(test)]
mod tests {
    use super::{Member, json};

    #[test]
    fn a_member_is_what_etcd_writes() {
        let peer_urls = vec!["http://a:1".into(), "http://b:2".into()];
        let named = Member { id: 7_383_792, name: "default".into(), peer_urls };
        assert_eq!(json(&named), br#"{"id":7383792,"peerURLs":["http://a:1","http://b:2"],"name":"default"}"#);
        let nameless = Member { name: String::new(), ..named };
        assert_eq!(json(&nameless), br#"{"id":7383792,"peerURLs":["http://a:1","http://b:2"]}"#);
    }
}
