//! The memory map of a channel's files, layout 2. All integers are little-endian 64-bit words; offsets are in words. Words
//! without a name are zero and reserved. `docs/layout.md` is the same description for authors of other readers.
//!
//! ```text
//! segment NAME@POLICY                                   roster NAME@POLICY.roster
//! word   0  magic                                       word 0  magic
//!        1  layout version                                   1  layout version
//!        2  size of the file, bytes                          8  waiters: 1 = somebody may sleep
//!        3  capacity: stride of a slot, bytes                16 a line of 8 words per reading process
//!        4  number of slots                                       0 its number, 0 = free
//!        5  generation                                            1 pid
//!        6  creation time, Unix ns                                2 start time
//!        7  policy_id │ length of name << 32                      3 inode of its pid namespace
//!        8  name, 128 bytes                                       4 generation that it reads
//!       64  head: position << 2 │ superseded │ closed             5 position last seen
//!       65  futex (its low 4 bytes, a u32)                        6 version last seen
//!       66  taken: how many others have taken the channel         7 publish time of that snapshot
//!       80  pid of the writer of this file              24 the next process ...
//!       81  its start time
//!       82  inode of its pid namespace                  owner NAME@POLICY.owner
//!       83  inode of its time namespace                 word 0  magic
//!       84  its nonce                                        1  layout version
//!       85  its number: 1, or what it was in taken, plus 1   2  pid of the writer
//!       96  pid of the origin, in its own namespace          3  its start time
//!       97  link state                                       4  inode of its pid namespace
//!       98  link state since, CLOCK_MONOTONIC ns             5  its program's random number
//!      104  host of the origin, 64 bytes                     6  its nonce
//!      512  slot 0                                           7  all of these, xored
//!             0  seq: 2p+1 while position p is written, 2p+2 once it is complete
//!             1  position p
//!             2  term
//!             3  epoch
//!             4  version
//!             5  publish time on this node, CLOCK_MONOTONIC ns
//!             6  publish time at the origin, Unix ns
//!             7  takeover of the writer that stored it
//!             8  shape id (that writer's own)
//!             9  length of the shape, bytes
//!            10  length of the values, words
//!            11  length of the blobs, words
//!            16  shape │ values │ blobs
//!  512 + n·capacity/8  slot n
//! ```

pub mod scores;

/// First word of a segment.
pub const SEGMENT_MAGIC: u64 = u64::from_le_bytes(*b"traincst");
/// First word of a roster.
pub const ROSTER_MAGIC: u64 = u64::from_le_bytes(*b"trainros");
/// First word of an owner record.
pub const OWNER_MAGIC: u64 = u64::from_le_bytes(*b"trainown");
/// First word of a scoreboard.
pub const SCORES_MAGIC: u64 = u64::from_le_bytes(*b"trainsco");
/// Goes up whenever the meaning of a word of a scoreboard changes.
pub const SCORES_LAYOUT_VERSION: u64 = 1;
/// Goes up whenever the meaning of a word changes; files of another version are refused.
pub const LAYOUT_VERSION: u64 = 2;

/// Bytes of a word.
pub const WORD: usize = 8;
/// File sizes and slot strides are multiples of this.
pub const PAGE: usize = 4096;
/// Bytes before the first slot.
pub const HEADER_BYTES: usize = PAGE;
/// Words before the first slot.
pub const HEADER_WORDS: usize = HEADER_BYTES / WORD;
/// Slots of the ring.
pub const SLOTS: usize = 4;
/// Default stride of a slot, bytes.
pub const DEFAULT_CAPACITY: usize = 64 * 1024;
/// Default upper limit of the stride, bytes.
pub const DEFAULT_MAX_CAPACITY: usize = 64 * 1024 * 1024;
/// Upper limit of the stride in any file, 2⁴⁰ bytes: a larger one in a header means damage.
pub const LARGEST_CAPACITY: usize = 1 << 40;
/// Longest channel name, bytes.
pub const NAME_BYTES: usize = 128;
/// Longest host name that is stored, bytes: Linux's limit.
pub const HOST_BYTES: usize = 64;

/// File systems that other machines may share or that a user-space program serves, by the magic number in `statfs`: no channel is
/// placed on one.
pub const REMOTE_FILE_SYSTEMS: [(u32, &str); 16] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x1980_0202, "BeeGFS"),
    (0x6573_5546, "FUSE"),
];

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
    /// The word that readers watch: see [`crate::ring::seqlock::Head`].
    pub const HEAD: usize = 64;
    /// The word that sleepers sleep on: a u32, never touched as a u64.
    pub const FUTEX: usize = 65;
    /// How many other writers have taken the channel from this file. See [`crate::ring::handover`].
    pub const TAKEN: usize = 66;
    /// Process id of the writer of this file.
    pub const PID: usize = 80;
    /// Its start time in clock ticks since boot.
    pub const STARTED: usize = 81;
    /// Inode of its pid namespace.
    pub const PID_NAMESPACE: usize = 82;
    /// Inode of its time namespace: in another one, its monotonic times mean nothing.
    pub const TIME_NAMESPACE: usize = 83;
    /// Random; the same as in the owner record.
    pub const NONCE: usize = 84;
    /// 1 for the writer that made the file; for one that took it over in place, its number in [`TAKEN`] plus 1.
    pub const TAKEOVERS: usize = 85;
    /// Process id of the learner, where it runs.
    pub const ORIGIN_PID: usize = 96;
    /// See [`super::Link`].
    pub const LINK: usize = 97;
    /// When the link entered that state, `CLOCK_MONOTONIC` in ns.
    pub const LINK_SINCE: usize = 98;
    /// Name of the learner's machine, padded with zeros.
    pub const ORIGIN_HOST: usize = 104;
}

/// How snapshots get from the learner to this file: [`header::LINK`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u64)]
pub enum Link {
    /// The learner itself writes it.
    #[default]
    Local = 0,
    /// A relay writes it and hears from the learner.
    Live = 1,
    /// A relay writes it; the learner has closed the channel.
    LearnerClosed = 2,
    /// A relay writes it; the learner is gone without closing the channel.
    LearnerLost = 3,
    /// A relay writes it and has lost its connection to the learner's node.
    LinkLost = 4,
}

impl Link {
    /// As people read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Live => "live",
            Self::LearnerClosed => "learner closed",
            Self::LearnerLost => "learner lost",
            Self::LinkLost => "link lost",
        }
    }

    /// Why a relay leaves a channel, from the text of [`Link::word`].
    pub fn from_relay_word(word: &str) -> Option<Self> {
        [Self::LearnerClosed, Self::LearnerLost, Self::LinkLost].into_iter().find(|link| link.word() == word)
    }

    /// From the word in the file; an unknown value counts as [`Link::LinkLost`].
    pub const fn from_word(word: u64) -> Self {
        match word {
            0 => Self::Local,
            1 => Self::Live,
            2 => Self::LearnerClosed,
            3 => Self::LearnerLost,
            _ => Self::LinkLost,
        }
    }
}

/// Words of a slot.
pub mod slot {
    /// `2p+1` while position p is written, `2p+2` once it is complete. The position is part of the value, so there is no ABA.
    pub const SEQ: usize = 0;
    /// The position again.
    pub const POSITION: usize = 1;
    /// The origin's term.
    pub const TERM: usize = 2;
    /// The origin's epoch.
    pub const EPOCH: usize = 3;
    /// The origin's version.
    pub const VERSION: usize = 4;
    /// `CLOCK_MONOTONIC` of this node in ns.
    pub const PUBLISHED: usize = 5;
    /// Unix time at the origin in ns.
    pub const PUBLISHED_UNIX: usize = 6;
    /// [`super::header::TAKEOVERS`] of the writer that stored it.
    pub const TAKEOVER: usize = 7;
    /// That writer's number for the shape.
    pub const SHAPE_ID: usize = 8;
    /// Bytes of the shape.
    pub const SHAPE_LEN: usize = 9;
    /// Words of the values.
    pub const VALUES_LEN: usize = 10;
    /// Words of the blobs.
    pub const BLOB_WORDS: usize = 11;
    /// Where the payload begins.
    pub const PAYLOAD: usize = 16;
}

/// Words of an owner record.
pub mod owner {
    /// [`super::OWNER_MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::LAYOUT_VERSION`].
    pub const LAYOUT: usize = 1;
    /// Process id of the writer.
    pub const PID: usize = 2;
    /// Its start time in clock ticks since boot.
    pub const STARTED: usize = 3;
    /// Inode of its pid namespace.
    pub const PID_NAMESPACE: usize = 4;
    /// Random bits that the kernel gave the program at exec.
    pub const IMAGE: usize = 5;
    /// Random, drawn when the lock was taken.
    pub const NONCE: usize = 6;
    /// XOR of all the words before it.
    pub const CHECK: usize = 7;
    /// Words of the record.
    pub const WORDS: usize = 8;
}

/// Bytes of a relay's lock file, which holds its status: a JSON object, padded with spaces.
pub const RELAY_STATUS_BYTES: usize = 4096;
/// Largest size of a longer status: the relay on the learner's node reports on all the others.
pub const RELAY_STATUS_MOST: usize = 1 << 20;

/// Bytes of a lock file that a writer locks.
pub const WRITER_LOCK: std::ops::Range<u64> = 0..1;
/// Bytes of a lock file that `clean` locks: the writer's and one more, so that the two can be told apart.
pub const CLEANER_LOCK: std::ops::Range<u64> = 0..2;

/// Words of a roster.
pub mod roster {
    /// [`super::ROSTER_MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::LAYOUT_VERSION`].
    pub const LAYOUT: usize = 1;
    /// Not zero: somebody may be asleep. On a cache line of its own: the writer loads it at every publish.
    pub const WAITERS: usize = 8;
    /// Where the lines begin.
    pub const LINES: usize = 16;
    /// Words of a line.
    pub const LINE: usize = 8;
    /// Of a line: the random token of the seat that has it, 0 = free.
    pub const OWNER: usize = 0;
    /// Of a line: process id, for people.
    pub const PID: usize = 1;
    /// Of a line: the process's start time in clock ticks since boot, for people.
    pub const STARTED: usize = 2;
    /// Of a line: inode of the process's pid namespace.
    pub const PID_NAMESPACE: usize = 3;
    /// Of a line: the generation that the process reads.
    pub const GENERATION: usize = 4;
    /// Of a line: the position that it has last seen.
    pub const POSITION: usize = 5;
    /// Of a line: the version that it has last seen.
    pub const VERSION: usize = 6;
    /// Of a line: when that snapshot was published, `CLOCK_MONOTONIC` in ns.
    pub const PUBLISHED: usize = 7;
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

/// The header word with a channel's policy and the length of its name.
pub const fn identity(name_len: usize, policy_id: u16) -> u64 {
    (name_len as u64) << 32 | policy_id as u64
}

const LINE_WORDS: usize = 64 / WORD;
const _: () = {
    assert!(header::NAME + NAME_BYTES / WORD <= header::HEAD);
    // The words that publishing writes share no cache line, and no pair of lines that the prefetcher fetches together, with other
    // words.
    assert!(header::HEAD.is_multiple_of(2 * LINE_WORDS) && header::TAKEN < header::HEAD + LINE_WORDS);
    assert!(header::PID >= header::HEAD + 2 * LINE_WORDS && header::TAKEOVERS < header::ORIGIN_PID);
    assert!(
        header::LINK_SINCE < header::ORIGIN_HOST && header::ORIGIN_HOST + HOST_BYTES / WORD <= HEADER_WORDS
    );
    assert!(HEADER_WORDS.is_multiple_of(LINE_WORDS) && slot::PAYLOAD == 2 * LINE_WORDS);
    assert!(slot::BLOB_WORDS < slot::PAYLOAD && slot::SEQ == 0);
    assert!(SLOTS.is_power_of_two() && SLOTS >= 2);
    assert!(roster::WAITERS.is_multiple_of(LINE_WORDS) && roster::LINES == roster::WAITERS + LINE_WORDS);
    assert!(roster::LINE == LINE_WORDS && roster::PUBLISHED < roster::LINE);
    assert!(owner::CHECK + 1 == owner::WORDS);
    assert!(scores::NAME + NAME_BYTES / WORD == scores::KEEPER && scores::COPY == LINE_WORDS);
    // A channel of small snapshots, all files at their first size, stays under 320 KiB.
    assert!(HEADER_BYTES + SLOTS * DEFAULT_CAPACITY == 266_240);
    assert!(HEADER_BYTES + SLOTS * DEFAULT_CAPACITY + roster::FIRST_BYTES + PAGE <= 320 * 1024);
};
