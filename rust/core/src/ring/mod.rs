//! The protocol between a writer and its readers: the only files with memory orderings, beside `sync`.
//!
//! | file | concern |
//! |---|---|
//! | [`seqlock`] | storing and copying snapshots |
//! | [`bell`] | waking those who sleep |
//! | [`handover`] | how a writer finds out that another one took its file |
//! | [`tally`] | counters of a scoreboard: a writer that may be killed, readers who never wait |

pub mod bell;
pub mod handover;
pub mod seqlock;
pub mod tally;
