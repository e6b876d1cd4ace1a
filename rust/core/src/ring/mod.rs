//! The protocol between a writer and its readers: the only files with memory orderings, beside `sync` and `words`.
//!
//! | file | concern |
//! |---|---|
//! | [`seqlock`] | storing and copying snapshots |
//! | [`bell`] | waking sleepers |
//! | [`handover`] | how a writer finds out that another one has taken its file |
//! | [`tally`] | counters of a scoreboard: a writer that may be killed, readers that never wait |

pub mod bell;
pub mod handover;
pub mod seqlock;
pub mod tally;
