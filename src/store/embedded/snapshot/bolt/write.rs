//! Writes a bbolt file in one pass, from keys that come in order.
//!
//! A page is written as soon as the next element does not fit in it, and its first key goes to the page above, which is
//! written in the same way. What is in memory is one page a level of the tree, however large the file. Pages are full; a
//! leaf with a value longer than a page is as long as that value asks for. The meta pages come last, so that a file that was
//! not finished is no bbolt file.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use super::{BRANCH, BUCKET_FLAG, BUCKET_HEADER, ELEMENT_HEADER, FREELIST, LEAF, META, Meta, PAGE_HEADER};

/// Bytes of a page: what bbolt takes on the usual hosts (it takes the host's own, and reads any).
pub const PAGE_SIZE: u32 = 4096;

/// Bytes that a key may have (bbolt: `MaxKeySize`).
pub const MAX_KEY: usize = 32_768;

/// Bytes that a value may have (bbolt: `MaxValueSize`).
pub const MAX_VALUE: usize = (1 << 31) - 2;

/// The transaction that a file is the work of. Its parity says that page 0 holds the newer meta, as in etcd's snapshots.
const TRANSACTION: u64 = 2;

/// Why a file was not written. What has been written of it is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be written; a full disk, most often.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
    /// A bucket or key came that is not above the one before. The caller's order is wrong.
    #[error("{} is not above {}, which came before it", key.escape_ascii(), before.escape_ascii())]
    Unordered {
        /// What came last.
        key: Vec<u8>,
        /// What came before it.
        before: Vec<u8>,
    },
    /// A bucket or key is empty or longer than [`MAX_KEY`].
    #[error("a key of {0} bytes: 1 to {MAX_KEY} are allowed")]
    KeyLength(usize),
    /// A value is longer than [`MAX_VALUE`].
    #[error("a value of {0} bytes: {MAX_VALUE} are allowed at most")]
    ValueLength(usize),
    /// A key came before the first bucket. The caller has to name a bucket first.
    #[error("a key came before the first bucket")]
    NoBucket,
}

/// A file that is being written: buckets in ascending order, and in each its keys in ascending order.
///
/// After an error the file cannot be finished; what was written is to be thrown away.
pub struct Writer<W: Write + Seek> {
    pages: Pages<W>,
    /// The root bucket: a name and a header for each bucket that is complete.
    buckets: Tree,
    /// The bucket that keys go to.
    open: Option<(Vec<u8>, Tree)>,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins a file. What `out` holds is overwritten; it has to be empty, since what lies behind the new end would stay.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn new(out: W) -> Result<Self, Error> {
        let mut out = BufWriter::new(out);
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&[0; 2 * PAGE_SIZE as usize])?;
        Ok(Self { pages: Pages { out, next: 2 }, buckets: Tree::default(), open: None })
    }

    /// Begins a bucket, which is complete with the next one. It may stay empty.
    ///
    /// # Errors
    ///
    /// [`Error::Unordered`] if `name` is not above the bucket before, [`Error::KeyLength`] and [`Error::Io`].
    pub fn bucket(&mut self, name: &[u8]) -> Result<(), Error> {
        if let Some((before, _)) = &self.open {
            ascending(before, name)?;
        }
        if name.is_empty() || name.len() > MAX_KEY {
            return Err(Error::KeyLength(name.len()));
        }
        self.close_bucket()?;
        self.open = Some((name.to_vec(), Tree::default()));
        Ok(())
    }

    /// Puts a key into the bucket that was begun last.
    ///
    /// # Errors
    ///
    /// [`Error::Unordered`] if `key` is not above the key before, [`Error::KeyLength`], [`Error::ValueLength`],
    /// [`Error::NoBucket`] and [`Error::Io`].
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let (_, tree) = self.open.as_mut().ok_or(Error::NoBucket)?;
        tree.put(&mut self.pages, 0, key, value)
    }

    /// Completes the file: 4096 bytes a page, no page unused. Returns what it was written to, flushed to the system but not
    /// synced to the disk, and positioned at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<W, Error> {
        self.close_bucket()?;
        let Self { mut pages, buckets, .. } = self;
        let root = buckets.close(&mut pages)?;
        let freelist = pages.append(FREELIST, 0, &[], &[])?;
        let high_water = pages.next;
        for number in [0, 1] {
            let transaction = TRANSACTION - number;
            let meta = Meta { page_size: PAGE_SIZE, root, freelist, high_water, transaction };
            pages.out.seek(SeekFrom::Start(number * u64::from(PAGE_SIZE)))?;
            pages.out.write_all(&page_header(number, META, 0, 0))?;
            pages.out.write_all(&meta.encode())?;
        }
        pages.out.seek(SeekFrom::Start(high_water * u64::from(PAGE_SIZE)))?;
        Ok(pages.out.into_inner().map_err(io::IntoInnerError::into_error)?)
    }

    /// Completes the open bucket, if there is one, and enters it in the root bucket.
    fn close_bucket(&mut self) -> Result<(), Error> {
        let Some((name, tree)) = self.open.take() else { return Ok(()) };
        let root = tree.close(&mut self.pages)?;
        let mut header = [0; BUCKET_HEADER]; // root page and sequence
        header[..8].copy_from_slice(&root.to_le_bytes());
        self.buckets.put(&mut self.pages, BUCKET_FLAG, &name, &header)
    }
}

/// Refuses a key that is not above the one before.
fn ascending(before: &[u8], key: &[u8]) -> Result<(), Error> {
    if key > before { Ok(()) } else { Err(Error::Unordered { key: key.to_vec(), before: before.to_vec() }) }
}

/// What every page begins with.
fn page_header(number: u64, kind: u16, elements: u16, further: u32) -> [u8; PAGE_HEADER] {
    let mut header = [0; PAGE_HEADER];
    header[..8].copy_from_slice(&number.to_le_bytes());
    header[8..10].copy_from_slice(&kind.to_le_bytes());
    header[10..12].copy_from_slice(&elements.to_le_bytes());
    header[12..].copy_from_slice(&further.to_le_bytes());
    header
}

/// The pages of the file, in the order in which they are written.
struct Pages<W: Write + Seek> {
    out: BufWriter<W>,
    /// The number of the next page.
    next: u64,
}

impl<W: Write + Seek> Pages<W> {
    /// Writes a page, and as many behind it as its content asks for. Returns its number.
    fn append(&mut self, kind: u16, elements: u16, headers: &[u8], body: &[u8]) -> io::Result<u64> {
        let page = PAGE_SIZE as usize;
        let used = PAGE_HEADER + headers.len() + body.len();
        let pages = u32::try_from(used.div_ceil(page)).map_err(io::Error::other)?;
        let number = self.next;
        self.out.write_all(&page_header(number, kind, elements, pages - 1))?;
        self.out.write_all(headers)?;
        self.out.write_all(body)?;
        self.out.write_all(&[0; PAGE_SIZE as usize][..used.next_multiple_of(page) - used])?;
        self.next += u64::from(pages);
        Ok(number)
    }
}

/// A B+tree that grows at its right edge: the page of each level that is not written yet, leaves first.
#[derive(Default)]
struct Tree {
    levels: Vec<Node>,
    /// The key that was put last; empty before the first.
    last: Vec<u8>,
}

impl Tree {
    /// Puts a key behind the last.
    fn put<W: Write + Seek>(&mut self, pages: &mut Pages<W>, flags: u32, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Error::KeyLength(key.len()));
        }
        if value.len() > MAX_VALUE {
            return Err(Error::ValueLength(value.len()));
        }
        ascending(&self.last, key)?;
        self.last.clear();
        self.last.extend_from_slice(key);
        self.push(pages, 0, u64::from(flags), key, value)
    }

    /// Puts an element on a level, whose page is written first if it is full.
    fn push<W: Write + Seek>(
        &mut self,
        pages: &mut Pages<W>,
        level: usize,
        tag: u64,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Error> {
        if level == self.levels.len() {
            self.levels.push(Node::default());
        }
        if self.levels[level].is_full(level, key.len() + value.len()) {
            // A branch takes its last child along, so that there is none with a single child.
            let carried = if level > 0 { self.levels[level].pop() } else { None };
            let (first, number) = self.levels[level].write(pages, level)?;
            if let Some((tag, key)) = carried {
                self.levels[level].push(tag, &key, &[]);
            }
            self.push(pages, level + 1, number, &first, &[])?;
        }
        self.levels[level].push(tag, key, value);
        Ok(())
    }

    /// Writes what is left. Returns the page of the root.
    fn close<W: Write + Seek>(mut self, pages: &mut Pages<W>) -> Result<u64, Error> {
        if self.levels.is_empty() {
            self.levels.push(Node::default());
        }
        let mut level = 0;
        loop {
            let (first, number) = self.levels[level].write(pages, level)?;
            level += 1;
            if level == self.levels.len() {
                return Ok(number);
            }
            self.push(pages, level, number, &first, &[])?;
        }
    }
}

/// A page that is being filled.
#[derive(Default)]
struct Node {
    /// Its elements.
    slots: Vec<Slot>,
    /// Keys and values, one behind the other.
    body: Vec<u8>,
}

/// An element of a page that is being filled.
struct Slot {
    /// Where its key begins in the node's body. Its value follows.
    start: usize,
    /// Bytes of its key.
    key: usize,
    /// A leaf's flags, or a branch's child.
    tag: u64,
}

impl Node {
    /// Whether the page has to be written before an element with so many bytes can go to it. A leaf takes at least one, and
    /// a branch three (it keeps two), however long they are.
    fn is_full(&self, level: usize, bytes: usize) -> bool {
        let least = if level == 0 { 1 } else { 3 };
        let used = PAGE_HEADER + (self.slots.len() + 1) * ELEMENT_HEADER + self.body.len() + bytes;
        self.slots.len() >= least && used > PAGE_SIZE as usize
    }

    /// Puts an element behind the last.
    fn push(&mut self, tag: u64, key: &[u8], value: &[u8]) {
        self.slots.push(Slot { start: self.body.len(), key: key.len(), tag });
        self.body.extend_from_slice(key);
        self.body.extend_from_slice(value);
    }

    /// Takes the last element of a branch away.
    fn pop(&mut self) -> Option<(u64, Vec<u8>)> {
        let slot = self.slots.pop()?;
        Some((slot.tag, self.body.split_off(slot.start)))
    }

    /// Writes the page and empties it. Returns its first key and its number.
    fn write<W: Write + Seek>(&mut self, pages: &mut Pages<W>, level: usize) -> io::Result<(Vec<u8>, u64)> {
        let count = self.slots.len();
        let narrow = |number: usize| u32::try_from(number).map_err(io::Error::other);
        let mut headers = Vec::with_capacity(count * ELEMENT_HEADER);
        for (index, slot) in self.slots.iter().enumerate() {
            // A position counts from the element's own header.
            let position = narrow((count - index) * ELEMENT_HEADER + slot.start)?.to_le_bytes();
            let key = narrow(slot.key)?.to_le_bytes();
            if level == 0 {
                let end = self.slots.get(index + 1).map_or(self.body.len(), |next| next.start);
                let value = narrow(end - slot.start - slot.key)?.to_le_bytes();
                let flags = u32::try_from(slot.tag).map_err(io::Error::other)?.to_le_bytes();
                headers.extend([flags, position, key, value].concat());
            } else {
                headers.extend([position, key].concat());
                headers.extend(slot.tag.to_le_bytes());
            }
        }
        let elements = u16::try_from(count).map_err(io::Error::other)?;
        let number = pages.append(if level == 0 { LEAF } else { BRANCH }, elements, &headers, &self.body)?;
        let first = self.slots.first().map_or_else(Vec::new, |slot| self.body[..slot.key].to_vec());
        self.slots.clear();
        self.body.clear();
        Ok((first, number))
    }
}
