//! Reads a bbolt file, bucket by bucket, in the order of the keys.
//!
//! Nothing in the file is trusted. Every number is checked against what it is taken from, every key against the one before
//! and against the branch that led to it, and no more pages are read for a bucket than the file has: a page that leads back
//! to itself ends in an error. What is in memory is one page a level of the tree.

use std::io::{self, Read, Seek, SeekFrom};

use super::{
    BRANCH, BUCKET_FLAG, BUCKET_HEADER, ELEMENT_HEADER, LEAF, META_BYTES, Meta, PAGE_HEADER, u16_at, u32_at, u64_at,
};

/// Page sizes that bbolt looks for: 1 KiB to 16 MiB.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 10..=24;

/// Levels of a tree, at most. A branch has two children at least, so that 2^32 leaves would not need more.
const MAX_DEPTH: usize = 32;

/// Bytes of a page with all that follow it. bbolt lets four values share one before it splits them, and etcd takes values of
/// 1.5 MiB (`--max-request-bytes`): a longer one is damage, and is not worth the memory it asks for.
const MAX_PAGE: u64 = 256 << 20;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system could not read it.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// Neither meta page is valid: another kind of file, or one that was never finished.
    #[error("not a bbolt file: no valid meta page")]
    NoMeta,
    /// The file is shorter than its meta page says. It was cut off; take another copy.
    #[error("the file has {length} bytes and should have {expected}")]
    Short {
        /// Bytes that there are.
        length: u64,
        /// Bytes that there should be, at least.
        expected: u64,
    },
    /// A page is not what it should be. The file is damaged; take another copy.
    #[error("page {page}: {damage}")]
    Page {
        /// The page's number; that of the bucket's element for a bucket that is inline.
        page: u64,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// What can be wrong with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It is a meta page, or at or above the high-water mark.
    #[error("not a page of the tree")]
    OutOfBounds,
    /// It says that it is another page.
    #[error("it calls itself page {0}")]
    OtherPage(u64),
    /// It is neither a branch nor a leaf.
    #[error("it is of kind {0:#06x}, neither branch nor leaf")]
    Kind(u16),
    /// The pages that it claims are more than there are, or than any value needs.
    #[error("it claims {0} further pages")]
    Overflow(u32),
    /// An element lies outside the page.
    #[error("element {0} lies outside the page")]
    Element(u16),
    /// A key is not above the one before, or below what its branch says.
    #[error("the key of element {0} is out of order")]
    Unordered(u16),
    /// A branch has no children.
    #[error("a branch without children")]
    NoChildren,
    /// The tree is deeper, or has more pages, than there can be: it leads back to itself.
    #[error("the tree leads back to itself")]
    Loop,
    /// A bucket where a value should be, a value where a bucket should be, or a bucket's header that is cut off.
    #[error("element {0} is not what its bucket holds")]
    Bucket(u16),
}

/// A bbolt file that is open for reading.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    meta: Meta,
}

impl<R: Read + Seek> Reader<R> {
    /// Opens a file by the newer one of its valid meta pages. What follows the last page in use is ignored.
    ///
    /// # Errors
    ///
    /// [`Error::NoMeta`], [`Error::Short`] and [`Error::Io`].
    pub fn open(mut input: R) -> Result<Self, Error> {
        let length = input.seek(SeekFrom::End(0))?;
        let first = meta_at(&mut input, 0)?;
        let second = match first {
            Some(meta) => {
                meta_at(&mut input, u64::from(meta.page_size))?.filter(|second| second.page_size == meta.page_size)
            }
            None => {
                let mut found = None;
                for size in PAGE_SIZES.map(|bits| 1 << bits) {
                    found = found.or(meta_at(&mut input, size)?.filter(|meta| u64::from(meta.page_size) == size));
                }
                found
            }
        };
        let meta = first.into_iter().chain(second).max_by_key(|meta| meta.transaction).ok_or(Error::NoMeta)?;
        let expected = meta.high_water.checked_mul(u64::from(meta.page_size)).ok_or(Error::NoMeta)?;
        if expected > length {
            return Err(Error::Short { length, expected });
        }
        Ok(Self { input, meta })
    }

    /// The names of the buckets, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Page`] and [`Error::Io`].
    pub fn buckets(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let mut names = Vec::new();
        let mut walk = Walk::new(self.page(self.meta.root)?);
        while let Some(element) = walk.next(self)? {
            names.push(element.key);
        }
        Ok(names)
    }

    /// The keys and values of a bucket, in order. `None` if there is no such bucket.
    ///
    /// # Errors
    ///
    /// [`Error::Page`] and [`Error::Io`], here and from the iterator, which ends with the first one.
    pub fn bucket(&mut self, name: &[u8]) -> Result<Option<Entries<'_, R>>, Error> {
        let mut walk = Walk::new(self.page(self.meta.root)?);
        while let Some(Element { key, value, bucket, page, index }) = walk.next(self)? {
            if key != name {
                continue;
            }
            let misplaced = Error::Page { page, damage: Damage::Bucket(index) };
            let Some(root) = u64_at(&value, 0).filter(|_| bucket && value.len() >= BUCKET_HEADER) else {
                return Err(misplaced);
            };
            let root = if root == 0 { Page::inline(page, value[BUCKET_HEADER..].to_vec())? } else { self.page(root)? };
            return Ok(Some(Entries { reader: self, walk: Some(Walk::new(root)) }));
        }
        Ok(None)
    }

    /// Reads a page of a tree, with those that follow it.
    fn page(&mut self, number: u64) -> Result<Page, Error> {
        let size = u64::from(self.meta.page_size);
        let damaged = |damage| Error::Page { page: number, damage };
        if number < 2 || number >= self.meta.high_water {
            return Err(damaged(Damage::OutOfBounds));
        }
        let mut header = [0; PAGE_HEADER];
        self.input.seek(SeekFrom::Start(number * size))?;
        self.input.read_exact(&mut header)?;
        let [a, b, c, d] = *header.last_chunk().unwrap_or(&[0; 4]);
        let further = u32::from_le_bytes([a, b, c, d]);
        let pages = u64::from(further) + 1;
        if pages > self.meta.high_water - number || pages * size > MAX_PAGE {
            return Err(damaged(Damage::Overflow(further)));
        }
        let length = usize::try_from(pages * size).map_err(|_| damaged(Damage::Overflow(further)))?;
        let mut bytes = vec![0; length];
        bytes[..PAGE_HEADER].copy_from_slice(&header);
        self.input.read_exact(&mut bytes[PAGE_HEADER..])?;
        let named = u64_at(&bytes, 0).unwrap_or_default();
        if named == number { Page::new(number, pages, bytes) } else { Err(damaged(Damage::OtherPage(named))) }
    }
}

/// The meta record of the page at `at`. `None` if there is none that is valid.
fn meta_at(input: &mut (impl Read + Seek), at: u64) -> Result<Option<Meta>, Error> {
    let mut bytes = Vec::with_capacity(PAGE_HEADER + META_BYTES);
    input.seek(SeekFrom::Start(at))?;
    input.take((PAGE_HEADER + META_BYTES) as u64).read_to_end(&mut bytes)?;
    let meta = bytes.get(PAGE_HEADER..).and_then(Meta::decode);
    Ok(meta.filter(|meta| meta.page_size.is_power_of_two() && PAGE_SIZES.contains(&meta.page_size.ilog2())))
}

/// The keys and values of a bucket. Ends with the first error.
pub struct Entries<'a, R> {
    reader: &'a mut Reader<R>,
    /// Gone when there is nothing more to come.
    walk: Option<Walk>,
}

impl<R: Read + Seek> Iterator for Entries<'_, R> {
    type Item = Result<(Vec<u8>, Vec<u8>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.walk.as_mut()?.next(self.reader).transpose();
        let item = element.map(|element| match element? {
            Element { bucket: true, page, index, .. } => Err(Error::Page { page, damage: Damage::Bucket(index) }),
            Element { key, value, .. } => Ok((key, value)),
        });
        if !matches!(item, Some(Ok(_))) {
            self.walk = None;
        }
        item
    }
}

/// An element of a leaf.
struct Element {
    key: Vec<u8>,
    value: Vec<u8>,
    /// Whether the value is a bucket.
    bucket: bool,
    /// Where it was found.
    page: u64,
    /// Its place on that page.
    index: u16,
}

/// A walk over the leaves of a tree, from left to right.
struct Walk {
    /// The pages from the root to where the walk is, each with its next element.
    path: Vec<(Page, u16)>,
    /// Pages read so far, with those that follow them.
    read: u64,
    /// The last key; `None` before the first.
    last: Option<Vec<u8>>,
}

impl Walk {
    /// A walk that has not begun.
    fn new(root: Page) -> Self {
        Self { read: root.pages, path: vec![(root, 0)], last: None }
    }

    /// The next element, or `None` behind the last.
    fn next<R: Read + Seek>(&mut self, reader: &mut Reader<R>) -> Result<Option<Element>, Error> {
        while let Some((page, next)) = self.path.last_mut() {
            let index = *next;
            if index == page.count {
                self.path.pop();
                continue;
            }
            *next += 1;
            if page.branch {
                let (key, child) = page.child(index)?;
                if self.last.as_deref().is_some_and(|last| last >= key) {
                    return Err(page.damaged(Damage::Unordered(index)));
                }
                let child = reader.page(child)?;
                if child.count > 0 && child.key(0)? < key {
                    return Err(child.damaged(Damage::Unordered(0)));
                }
                self.read += child.pages;
                if self.path.len() == MAX_DEPTH || self.read > reader.meta.high_water {
                    return Err(child.damaged(Damage::Loop));
                }
                self.path.push((child, 0));
            } else {
                let element = page.element(index)?;
                if self.last.as_ref().is_some_and(|last| *last >= element.key) {
                    return Err(page.damaged(Damage::Unordered(index)));
                }
                self.last = Some(element.key.clone());
                return Ok(Some(element));
            }
        }
        Ok(None)
    }
}

/// A branch or leaf, with the pages that follow it.
struct Page {
    /// Its own number; that of the element's page for an inline bucket.
    number: u64,
    /// Pages of the file that it takes.
    pages: u64,
    branch: bool,
    /// Elements on it.
    count: u16,
    bytes: Vec<u8>,
}

impl Page {
    /// A page from its bytes, whose elements are looked at when they are asked for.
    fn new(number: u64, pages: u64, bytes: Vec<u8>) -> Result<Self, Error> {
        let damaged = |damage| Err(Error::Page { page: number, damage });
        let (Some(kind), Some(count)) = (u16_at(&bytes, 8), u16_at(&bytes, 10)) else { return damaged(Damage::Kind(0)) };
        match kind {
            BRANCH if count == 0 => damaged(Damage::NoChildren),
            BRANCH | LEAF => Ok(Self { number, pages, branch: kind == BRANCH, count, bytes }),
            _ => damaged(Damage::Kind(kind)),
        }
    }

    /// The only leaf of a bucket that is a value of page `number`.
    fn inline(number: u64, bytes: Vec<u8>) -> Result<Self, Error> {
        let page = Self::new(number, 0, bytes)?;
        if page.branch { Err(page.damaged(Damage::Kind(BRANCH))) } else { Ok(page) }
    }

    /// An error of this page.
    fn damaged(&self, damage: Damage) -> Error {
        Error::Page { page: self.number, damage }
    }

    /// `length` bytes, `skip` bytes behind the position that is `at` bytes into the header of an element.
    fn field(&self, index: u16, at: usize, skip: u32, length: u32) -> Option<&[u8]> {
        let header = PAGE_HEADER + usize::from(index) * ELEMENT_HEADER;
        let position = u64::from(u32_at(&self.bytes, header + at)?) + u64::from(skip);
        let start = usize::try_from(position).ok()?.checked_add(header)?;
        self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }

    /// The number `at` bytes into the header of an element.
    fn number_of(&self, index: u16, at: usize) -> Result<u32, Error> {
        let header = PAGE_HEADER + usize::from(index) * ELEMENT_HEADER;
        u32_at(&self.bytes, header + at).ok_or_else(|| self.damaged(Damage::Element(index)))
    }

    /// The key of an element.
    fn key(&self, index: u16) -> Result<&[u8], Error> {
        let (position, length) = if self.branch { (0, 4) } else { (4, 8) };
        let length = self.number_of(index, length)?;
        self.field(index, position, 0, length).ok_or_else(|| self.damaged(Damage::Element(index)))
    }

    /// An element of a branch: the child's first key, or one below it, and the child.
    fn child(&self, index: u16) -> Result<(&[u8], u64), Error> {
        let child = u64_at(&self.bytes, PAGE_HEADER + usize::from(index) * ELEMENT_HEADER + 8);
        Ok((self.key(index)?, child.ok_or_else(|| self.damaged(Damage::Element(index)))?))
    }

    /// An element of a leaf.
    fn element(&self, index: u16) -> Result<Element, Error> {
        let (flags, length) = (self.number_of(index, 0)?, self.number_of(index, 12)?);
        let key = self.key(index)?;
        let skip = self.number_of(index, 8)?;
        let value = self.field(index, 4, skip, length).ok_or_else(|| self.damaged(Damage::Element(index)))?;
        let bucket = flags & BUCKET_FLAG != 0;
        Ok(Element { key: key.to_vec(), value: value.to_vec(), bucket, page: self.number, index })
    }
}
