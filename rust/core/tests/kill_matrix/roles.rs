//! What the killed processes do: this test, executed again with a role.

use std::process::{Child, Command};
use std::time::Duration;

use traincast_core::directory::{ChannelName, Directory};
use traincast_core::inspect;
use traincast_core::layout::{PAGE, WORD, roster};
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer, WriterOptions};

use crate::common::{Place, Sample, channel, until, verify, watchdog};

/// Where and how a role is played.
pub struct Stage<'a> {
    pub place: &'a Place,
    /// Above every seed that was published in this place before.
    pub seed: u64,
    /// `NAME:N`, or nothing.
    pub failpoint: String,
    /// Whether a forked child is to outlive the process.
    pub orphan: bool,
    pub trace: bool,
}

impl Stage<'_> {
    pub fn start(&self, role: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .env("TRAINCAST_ROLE", role)
            .env("TRAINCAST_SEED", self.seed.to_string())
            .env("TRAINCAST_DIR", self.place.directory.path())
            .env("TRAINCAST_FAILPOINT", &self.failpoint);
        let beside = self.place.directory.path().parent().unwrap();
        if self.orphan {
            command.env("TRAINCAST_FAILPOINT_ORPHAN", beside.join("orphan"));
        }
        if self.trace {
            command.env("TRAINCAST_FAILPOINT_TRACE", beside.join("trace"));
        }
        command.spawn().unwrap()
    }
}

/// Plays the role that the environment asks for, if any.
pub fn play() -> bool {
    let Ok(role) = std::env::var("TRAINCAST_ROLE") else {
        return false;
    };
    watchdog();
    let directory = Directory::from_env().unwrap();
    let seed = std::env::var("TRAINCAST_SEED").unwrap().parse().unwrap();
    match role.as_str() {
        "continue" => write(&directory, seed, Leftover::Continue),
        "replace" => write(&directory, seed, Leftover::Replace),
        "clean" => clean(&directory),
        "read" => read(&directory),
        other => panic!("no role {other}"),
    }
    true
}

/// A writer's whole life: open, publish round the ring, ring the bell, grow, publish, close.
fn write(directory: &Directory, mut seed: u64, leftover: Leftover) {
    let options = WriterOptions { leftover, ..WriterOptions::default() };
    let mut writer = Writer::open(directory, channel(), options).unwrap();
    for (count, blob) in [(1, 9), (6, 100), (1, 70_000), (5, 1000)] {
        for _ in 0..count {
            seed += 1;
            Sample::new(seed, seed % 2 + 1, 8, blob).publish(&mut writer).unwrap();
        }
        until(|| asleep(directory)); // so that the next publish finds somebody to wake
    }
}

fn asleep(directory: &Directory) -> bool {
    let Ok(bytes) = std::fs::read(directory.path().join("run@3.roster")) else {
        return false;
    };
    bytes[roster::WAITERS * WORD] == 1
}

fn clean(directory: &Directory) {
    for file in inspect::leftovers(directory).unwrap() {
        inspect::remove_leftover(directory, &file.path).unwrap();
    }
}

/// A reader's whole life: attach, read, wait, follow the channel to other files, leave.
fn read(directory: &Directory) {
    let mut out = Snapshot::default();
    let mut reader = attach(directory, channel());
    let (mut last, mut moves, mut reads) = (0, 0, 0);
    while moves < 3 || reads < 20 {
        let key = reader.segment_key();
        if reader.read_into(&mut out).unwrap() {
            let meta = out.meta;
            let seed = verify(&meta, &out);
            assert!(seed >= last, "{seed} after {last}");
            (last, reads) = (seed, reads + 1);
        }
        moves += i32::from(reader.segment_key() != key);
        reader.waiter().wait(reader.head(), Duration::from_millis(2));
    }
}

fn attach(directory: &Directory, name: ChannelName) -> Reader {
    Reader::attach(directory, name, Duration::from_secs(60)).unwrap()
}

/// Gives every line of the first page of a channel's roster to this process, so that the next reader has to
/// extend the file.
pub fn fill_roster(place: &Place) {
    let path = place.path("run@3.roster");
    let mut bytes = std::fs::read(&path).unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let start: u64 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    let token = u64::from(std::process::id()) << 40 | start;
    for line in (roster::LINES * WORD..PAGE).step_by(roster::LINE * WORD) {
        bytes[line..line + WORD].copy_from_slice(&token.to_le_bytes());
    }
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
}
