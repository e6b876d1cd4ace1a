//! Words of a scoreboard: `NAME@POLICY.scores`.
//!
//! ```text
//! word   0  magic                             block b, at byte 4096 + b · block bytes
//!        1  layout version                    word 0  pid of the process that holds it, for people
//!        2  tasks                                  1  its start time
//!        3  bytes of a block                       2  inode of its pid namespace
//!        4  incarnation: random                    8  seq of task 0, of task 1, ...
//!        5  creation time, Unix ns                    then, at the next line: for each task two copies of
//!        6  1: it has ended                        0  episodes
//!        7  policy_id │ length of name << 32       1  successes
//!        8  name, 128 bytes                        2  sum of returns, a double
//!       24  who may end it: random                 3  sum of their squares, a double
//!       25  its process: pid, start time,          4  sum of lengths
//!           inode of its pid namespace             5  last score, a double
//!       28  0, or the scoreboard on another node   block word 3: 0, or whose totals of another node it has
//!           that this one is a part of
//! ```
//!
//! A process holds a block by an open-file-description lock on the block's first byte. The learner that keeps the scoreboard
//! holds one on the first byte of the file.

/// [`super::SCORES_MAGIC`].
pub const MAGIC: usize = 0;
/// [`super::SCORES_LAYOUT_VERSION`].
pub const LAYOUT: usize = 1;
/// How many tasks there are.
pub const TASKS: usize = 2;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 3;
/// Random, drawn when the file is created: another incarnation counts from zero.
pub const INCARNATION: usize = 4;
/// Unix time in ns.
pub const CREATED: usize = 5;
/// 1: nobody collects from it any more.
pub const ENDED: usize = 6;
/// `policy_id | length of name << 32`.
pub const IDENTITY: usize = 7;
/// The name's bytes, padded with zeros.
pub const NAME: usize = 8;
/// Random, drawn by the learner's `Scoreboard` object. Only the newest such object may end the scoreboard.
pub const KEEPER: usize = 24;
/// That object's process id.
pub const KEEPER_PID: usize = 25;
/// Its start time in clock ticks since boot.
pub const KEEPER_STARTED: usize = 26;
/// Inode of its pid namespace.
pub const KEEPER_NAMESPACE: usize = 27;
/// 0: the learner's own scoreboard. Otherwise a relay keeps it for a learner on another node: the incarnation of the scoreboard
/// there.
pub const PART_OF: usize = 28;
/// Of a block: process id, for people.
pub const PID: usize = 0;
/// Of a block: the process's start time in clock ticks since boot, for people.
pub const STARTED: usize = 1;
/// Of a block: inode of the process's pid namespace.
pub const PID_NAMESPACE: usize = 2;
/// Of a block: 0, or the incarnation of another node's scoreboard. Then the block holds that node's totals for good, and no
/// process records into it.
pub const NODE: usize = 3;
/// Of a block: where the seqs begin.
pub const SEQS: usize = 8;
/// Words of a copy of a row: a cache line, so that no two copies share one.
pub const COPY: usize = 8;
/// Of a copy: episodes.
pub const EPISODES: usize = 0;
/// Of a copy: successes.
pub const SUCCESSES: usize = 1;
/// Of a copy: sum of the episodes' returns, bits of a double.
pub const RETURNS: usize = 2;
/// Of a copy: sum of the squares of the returns, bits of a double.
pub const SQUARES: usize = 3;
/// Of a copy: sum of the episodes' lengths.
pub const LENGTHS: usize = 4;
/// Of a copy: the last episode's score, bits of a double.
pub const LAST: usize = 5;
/// Largest number of tasks: 2²⁰.
pub const MAX_TASKS: usize = 1 << 20;
/// Largest number of blocks; each process that records needs one.
pub const MAX_BLOCKS: usize = 1 << 14;

/// Where the copies of a block begin.
pub const fn copies(tasks: usize) -> usize {
    (SEQS + tasks).next_multiple_of(super::LINE_WORDS)
}

/// Bytes of a block.
pub const fn block_bytes(tasks: usize) -> usize {
    ((copies(tasks) + 2 * COPY * tasks) * super::WORD).next_multiple_of(super::PAGE)
}
