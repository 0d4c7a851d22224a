use std::collections::BTreeMap;
use std::io::Cursor;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::read::{Damage, Error as ReadError, Reader};
use super::write::{Error as WriteError, MAX_KEY, PAGE_SIZE, Writer};
use super::{BRANCH, LEAF, META_BYTES, Meta, PAGE_HEADER, u16_at, u64_at};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type File = BTreeMap<Vec<u8>, Map>;

const PAGE: usize = PAGE_SIZE as usize;

fn write(file: &File) -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    for (name, bucket) in file {
        writer.bucket(name).unwrap();
        for (key, value) in bucket {
            writer.put(key, value).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn read(bytes: &[u8]) -> Result<File, ReadError> {
    let mut reader = Reader::open(Cursor::new(bytes))?;
    let mut file = File::new();
    for name in reader.buckets()? {
        let entries = reader.bucket(&name)?.expect("a bucket that was just listed");
        let bucket = entries.collect::<Result<Map, _>>()?;
        file.insert(name, bucket);
    }
    Ok(file)
}

/// A bucket `b` with so many keys, each with a value of so many bytes.
fn numbered(keys: u32, value: usize) -> File {
    let bucket = (0..keys).map(|n| (n.to_be_bytes().to_vec(), vec![n.to_le_bytes()[0]; value])).collect();
    File::from([(b"b".to_vec(), bucket)])
}

/// The numbers of the pages of a kind.
fn pages(bytes: &[u8], kind: u16) -> Vec<usize> {
    (2..bytes.len() / PAGE).filter(|page| u16_at(bytes, page * PAGE + 8) == Some(kind)).collect()
}

/// The damage that reading ends with.
fn damage(bytes: &[u8]) -> Damage {
    match read(bytes) {
        Err(ReadError::Page { damage, .. }) => damage,
        other => panic!("expected a damaged page, got {other:?}"),
    }
}

#[test]
fn what_was_written_is_read() {
    for file in [
        File::new(),
        File::from([(b"empty".to_vec(), Map::new())]),
        numbered(1, 0),
        numbered(3, 5000),
        numbered(20_000, 10),
        numbered(3, 2 << 20),
        numbered(100, 4096 - 16 - 16 - 4), // each value fills its page to the last byte
        numbered(100, 4096 - 16 - 16 - 3), // and is one byte too long for it
    ] {
        let bytes = write(&file);
        assert_eq!(bytes.len() % PAGE, 0);
        assert!(read(&bytes).unwrap() == file);
    }
}

#[test]
fn keys_of_the_greatest_length_make_branches_longer_than_a_page() {
    let key = |n: u8| [vec![b'k'; MAX_KEY - 1], vec![n]].concat();
    let file = File::from([(key(0), (0..200).map(|n| (key(n), vec![n])).collect())]);
    let bytes = write(&file);
    assert!(read(&bytes).unwrap() == file);
}

#[test]
fn no_branch_has_a_single_child() {
    for keys in (1..40_000).step_by(997) {
        let bytes = write(&numbered(keys, 40));
        for page in pages(&bytes, BRANCH) {
            assert!(u16_at(&bytes, page * PAGE + 10).unwrap() >= 2, "page {page} of a file with {keys} keys");
        }
    }
}

#[test]
fn an_order_that_is_not_ascending_is_refused() {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    assert!(matches!(writer.put(b"a", b""), Err(WriteError::NoBucket)));
    assert!(matches!(writer.bucket(b""), Err(WriteError::KeyLength(0))));
    writer.bucket(b"m").unwrap();
    writer.put(b"b", b"").unwrap();
    assert!(matches!(writer.put(b"b", b""), Err(WriteError::Unordered { .. })));
    assert!(matches!(writer.put(b"a", b""), Err(WriteError::Unordered { .. })));
    assert!(matches!(writer.put(b"", b""), Err(WriteError::KeyLength(0))));
    assert!(matches!(writer.put(&vec![b'x'; MAX_KEY + 1], b""), Err(WriteError::KeyLength(_))));
    assert!(matches!(writer.bucket(b"m"), Err(WriteError::Unordered { .. })));
    writer.bucket(b"n").unwrap();
    writer.put(b"a", b"").unwrap();
    let file = read(&writer.finish().unwrap().into_inner()).unwrap();
    assert_eq!(file.into_keys().collect::<Vec<_>>(), [b"m", b"n"]);
}

#[test]
fn a_file_that_was_not_finished_is_no_bbolt_file() {
    let mut bytes = write(&numbered(5000, 10));
    bytes[..2 * PAGE].fill(0);
    assert!(matches!(read(&bytes), Err(ReadError::NoMeta)));
    assert!(matches!(read(b""), Err(ReadError::NoMeta)));
}

#[test]
fn the_newer_of_two_valid_meta_pages_counts() {
    let file = numbered(3, 10);
    let bytes = write(&file);
    let meta = Meta::decode(&bytes[PAGE_HEADER..]).unwrap();
    let other = Meta { root: 99, ..meta };
    for (transaction, second_counts) in [(meta.transaction + 1, true), (meta.transaction - 1, false)] {
        let mut bytes = bytes.clone();
        let at = PAGE + PAGE_HEADER;
        bytes[at..at + META_BYTES].copy_from_slice(&Meta { transaction, ..other }.encode());
        assert_eq!(read(&bytes).is_err(), second_counts);
        bytes[at + 20] ^= 1;
        assert!(read(&bytes).unwrap() == file, "one that is not valid does not count");
    }
    let mut bytes = bytes;
    bytes[PAGE_HEADER] ^= 1;
    assert!(read(&bytes).unwrap() == file, "the second is found without the first");
}

#[test]
fn a_file_that_was_cut_off_says_how_long_it_should_be() {
    let bytes = write(&numbered(100, 100));
    let (length, expected) = (bytes.len() as u64 - 1, bytes.len() as u64);
    match read(&bytes[..bytes.len() - 1]) {
        Err(ReadError::Short { length: l, expected: e }) => assert_eq!((l, e), (length, expected)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_branch_that_leads_back_to_itself_ends_in_an_error() {
    let bytes = write(&numbered(5000, 10));
    let branch = *pages(&bytes, BRANCH).first().unwrap();
    for element in [0, 1, 7] {
        let mut bytes = bytes.clone();
        let child = branch * PAGE + PAGE_HEADER + element * 16 + 8;
        bytes[child..child + 8].copy_from_slice(&(branch as u64).to_le_bytes());
        assert!(matches!(damage(&bytes), Damage::Loop | Damage::Unordered(_)));
    }
}

#[test]
fn each_kind_of_damage_is_named() {
    let bytes = write(&numbered(5000, 10));
    let leaf = pages(&bytes, LEAF)[0];
    let at = leaf * PAGE;
    let with = |offset: usize, patch: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at + offset..at + offset + patch.len()].copy_from_slice(patch);
        damage(&bytes)
    };
    assert_eq!(with(0, &77_u64.to_le_bytes()), Damage::OtherPage(77));
    assert_eq!(with(8, &16_u16.to_le_bytes()), Damage::Kind(16));
    assert_eq!(with(8, &BRANCH.to_le_bytes()), Damage::OutOfBounds);
    assert_eq!(with(12, &u32::MAX.to_le_bytes()), Damage::Overflow(u32::MAX));
    assert_eq!(with(PAGE_HEADER, &1_u32.to_le_bytes()), Damage::Bucket(0));
    for field in [4, 8, 12] {
        assert_eq!(with(PAGE_HEADER + 16 + field, &u32::MAX.to_le_bytes()), Damage::Element(1));
    }
    let key = usize::try_from(u64_at(&bytes, at + PAGE_HEADER).unwrap() >> 32).unwrap() + PAGE_HEADER;
    assert_eq!(with(key, &[0xff]), Damage::Unordered(1));
}

#[test]
fn an_inline_bucket_is_read() {
    // The root leaf of a file with one bucket, made anew with the bucket's leaf inside of it.
    let mut bytes = write(&numbered(2, 3));
    let (leaf, root) = (pages(&bytes, LEAF)[0] * PAGE, pages(&bytes, LEAF)[1] * PAGE);
    let inner = bytes[leaf..leaf + 128].to_vec();
    bytes[root + PAGE_HEADER + 12..][..4].copy_from_slice(&(16 + 128_u32).to_le_bytes());
    let value = root + PAGE_HEADER + 16 + 1;
    bytes[value..value + 16].fill(0);
    bytes[value + 16..value + 16 + 128].copy_from_slice(&inner);
    bytes[leaf..leaf + PAGE].fill(0xee);
    assert!(read(&bytes).unwrap() == numbered(2, 3));
    bytes[value + 16 + 8] = 1;
    assert_eq!(damage(&bytes), Damage::Kind(BRANCH));
}

fn files() -> impl Strategy<Value = File> {
    let value = prop_oneof![
        8 => vec(any::<u8>(), 0..100),
        2 => (0_usize..20_000, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
        1 => (0_usize..(2 << 20), any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ];
    let few = btree_map(vec(any::<u8>(), 1..40), value, 0..60);
    let many = (0_u32..8000, 0_usize..120).prop_map(|(keys, value)| numbered(keys, value).remove(&b"b"[..]).unwrap());
    btree_map(vec(any::<u8>(), 1..12), prop_oneof![3 => few, 1 => many], 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_is_read_as_it_was_written(file in files()) {
        prop_assert!(read(&write(&file)).unwrap() == file);
    }

    #[test]
    fn a_file_that_was_cut_off_is_an_error(file in files(), cut in 1_usize..100_000) {
        let bytes = write(&file);
        prop_assert!(read(&bytes[..bytes.len().saturating_sub(cut)]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage to a value is not seen by this layer; what is promised is an end, and no panic.
    #[test]
    fn a_damaged_file_is_read_to_an_end(
        keys in 0_u32..3000,
        value in 0_usize..60,
        damage in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = write(&numbered(keys, value));
        let pages = bytes.len() / PAGE;
        for (page, offset, byte) in damage {
            // Headers are where damage matters: half of it goes there.
            let offset = if byte % 2 == 0 { offset.index(64) } else { offset.index(PAGE) };
            bytes[page.index(pages) * PAGE + offset] = byte;
        }
        if let Ok(file) = read(&bytes) {
            prop_assert!(file.values().map(Map::len).sum::<usize>() <= bytes.len() / 16);
        }
    }
}
