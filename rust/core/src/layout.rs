//! The memory map of a channel's files. All integers are little-endian 64-bit words; offsets are in words.
//!
//! ```text
//! segment NAME@POLICY                                   roster NAME@POLICY.roster
//! word   0  magic                                       word 0  magic
//!        1  layout version                                   1  layout version
//!        2  size of the file, bytes                          8  waiters: 1 = somebody may sleep
//!        3  capacity: stride of a slot, bytes                16 a line of 8 words per reading process
//!        4  number of slots                                       0 pid and start time, 0 = free
//!        5  generation                                            1 generation that it reads
//!        6  creation time, Unix ns                                2 version last seen
//!        7  policy_id │ length of name << 32                 24 the next process ...
//!        8  name, 128 bytes
//!       64  head: version << 2 │ superseded │ closed    a cache line that only publishing writes
//!       65  futex (its low 4 bytes, a u32)
//!       80  epoch                                       information only
//!       81  writer's pid
//!       82  writer's start time
//!      512  slot 0
//!             0  seq: 2v+1 while v is written, 2v+2 once it is complete
//!             1  version v
//!             2  publish time, CLOCK_MONOTONIC ns
//!             3  epoch
//!             4  shape id (the writer's own)
//!             5  length of the shape, bytes
//!             6  length of the values, words
//!             7  length of the blobs, words
//!             8  shape │ values │ blobs
//!  512 + n·capacity/8  slot n
//! ```

/// First word of a segment.
pub const SEGMENT_MAGIC: u64 = u64::from_le_bytes(*b"traincst");
/// First word of a roster.
pub const ROSTER_MAGIC: u64 = u64::from_le_bytes(*b"trainros");
/// Goes up whenever the meaning of a word changes; files of another version are refused.
pub const LAYOUT_VERSION: u64 = 1;

/// Bytes of a word.
pub const WORD: usize = 8;
/// What sizes are rounded up to.
pub const PAGE: usize = 4096;
/// Bytes before the first slot.
pub const HEADER_BYTES: usize = PAGE;
/// Words before the first slot.
pub const HEADER_WORDS: usize = HEADER_BYTES / WORD;
/// Slots of the ring.
pub const SLOTS: usize = 4;
/// Default stride of a slot, bytes.
pub const DEFAULT_CAPACITY: usize = 64 * 1024;
/// Default bound of the stride, bytes.
pub const DEFAULT_MAX_CAPACITY: usize = 64 * 1024 * 1024;
/// No file claims more: larger strides in a header are damage. 2⁴⁰ bytes.
pub const LARGEST_CAPACITY: usize = 1 << 40;
/// Longest channel name, bytes.
pub const NAME_BYTES: usize = 128;

/// Words of a segment's header.
pub mod header {
    /// [`super::SEGMENT_MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::LAYOUT_VERSION`].
    pub const LAYOUT: usize = 1;
    /// Size of the file in bytes.
    pub const TOTAL: usize = 2;
    /// Stride of a slot in bytes.
    pub const CAPACITY: usize = 3;
    /// Number of slots.
    pub const SLOTS: usize = 4;
    /// 1 for a channel's first file, +1 for each file that replaces it.
    pub const GENERATION: usize = 5;
    /// Unix time in ns.
    pub const CREATED: usize = 6;
    /// `policy_id | length of name << 32`.
    pub const IDENTITY: usize = 7;
    /// The name's bytes, padded with zeros.
    pub const NAME: usize = 8;
    /// The word that readers watch: see [`crate::seqlock::Head`].
    pub const HEAD: usize = 64;
    /// The word that sleepers sleep on: a u32, never touched as a u64.
    pub const FUTEX: usize = 65;
    /// Epoch of the newest writer.
    pub const EPOCH: usize = 80;
    /// Its process id.
    pub const PID: usize = 81;
    /// Its start time in clock ticks since boot.
    pub const STARTED: usize = 82;
}

/// Words of a slot.
pub mod slot {
    /// `2v+1` while version v is written, `2v+2` once it is complete. Version-tagged, so no value ever comes
    /// back.
    pub const SEQ: usize = 0;
    /// The version, once more.
    pub const VERSION: usize = 1;
    /// `CLOCK_MONOTONIC` in ns.
    pub const PUBLISHED: usize = 2;
    /// Epoch of the writer.
    pub const EPOCH: usize = 3;
    /// The writer's number for the shape.
    pub const SHAPE_ID: usize = 4;
    /// Bytes of the shape.
    pub const SHAPE_LEN: usize = 5;
    /// Words of the values.
    pub const VALUES_LEN: usize = 6;
    /// Words of the blobs.
    pub const BLOB_WORDS: usize = 7;
    /// Where the payload begins.
    pub const PAYLOAD: usize = 8;
}

/// Words of a roster.
pub mod roster {
    /// [`super::ROSTER_MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::LAYOUT_VERSION`].
    pub const LAYOUT: usize = 1;
    /// Not zero: somebody may be asleep. On a line of its own: the writer looks at it at every publish.
    pub const WAITERS: usize = 8;
    /// Where the lines begin.
    pub const LINES: usize = 16;
    /// Words of a line.
    pub const LINE: usize = 8;
    /// Of a line: who holds it, 0 = nobody.
    pub const OWNER: usize = 0;
    /// Of a line: the generation that the process reads.
    pub const GENERATION: usize = 1;
    /// Of a line: the version that it has last seen.
    pub const VERSION: usize = 2;
    /// Bytes of a new roster.
    pub const FIRST_BYTES: usize = super::PAGE;
    /// Bytes beyond which a roster does not grow.
    pub const MAX_BYTES: usize = 1 << 20;
}

/// Size of a segment whose slots have this stride; `None` if no file can be that large.
pub const fn segment_bytes(capacity: usize) -> Option<usize> {
    match capacity.checked_mul(SLOTS) {
        Some(slots) => slots.checked_add(HEADER_BYTES),
        None => None,
    }
}

/// `bytes` rounded up to whole pages; `None` on overflow.
pub const fn whole_pages(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(PAGE)
}

/// The word that holds a channel's policy and the length of its name.
pub const fn identity(name_len: usize, policy_id: u16) -> u64 {
    (name_len as u64) << 32 | policy_id as u64
}

const LINE_WORDS: usize = 64 / WORD;
const _: () = {
    assert!(header::NAME + NAME_BYTES / WORD <= header::HEAD);
    // What publishing writes shares no line, and no pair of lines that a prefetcher takes together, with
    // anything else.
    assert!(header::HEAD.is_multiple_of(2 * LINE_WORDS) && header::FUTEX < header::HEAD + LINE_WORDS);
    assert!(header::EPOCH >= header::HEAD + 2 * LINE_WORDS && header::STARTED < HEADER_WORDS);
    assert!(HEADER_WORDS.is_multiple_of(LINE_WORDS) && slot::PAYLOAD == LINE_WORDS);
    assert!(SLOTS.is_power_of_two() && SLOTS >= 2);
    assert!(roster::WAITERS.is_multiple_of(LINE_WORDS) && roster::LINES == roster::WAITERS + LINE_WORDS);
    assert!(roster::LINE == LINE_WORDS && roster::VERSION < roster::LINE);
    // A channel of small snapshots, both files at their first size, stays under 320 KiB.
    assert!(HEADER_BYTES + SLOTS * DEFAULT_CAPACITY == 266_240);
    assert!(HEADER_BYTES + SLOTS * DEFAULT_CAPACITY + roster::FIRST_BYTES <= 320 * 1024);
};
