//! The killed processes: this test, executed again with a role.

use std::os::unix::fs::FileExt;
use std::process::{Child, Command};
use std::time::Duration;

use traincast_core::directory::{ChannelName, Directory, Places};
use traincast_core::inspect;
use traincast_core::layout::{Link, PAGE, WORD, roster};
use traincast_core::numbering::Stamp;
use traincast_core::reader::Reader;
use traincast_core::relay::serve;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer, WriterOptions};

use crate::common::{self, FILES, Place, Sample, channel, fork, machine, until, verify, watchdog};

/// Where and how a role is played.
pub struct Stage<'a> {
    pub place: &'a Place,
    /// Larger than every seed that was published in this place before.
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

/// Plays the role that the environment names, if any.
pub fn play() -> bool {
    let Ok(role) = std::env::var("TRAINCAST_ROLE") else {
        return false;
    };
    watchdog();
    let directory = Directory::at(std::env::var_os("TRAINCAST_DIR").unwrap()).unwrap();
    let seed = std::env::var("TRAINCAST_SEED").unwrap().parse().unwrap();
    match role.as_str() {
        "continue" => write(&directory, seed, Leftover::Continue, &GROWING),
        "replace" => write(&directory, seed, Leftover::Replace, &GROWING),
        "cramped" => {
            machine::limit(libc::RLIMIT_FSIZE, 2 * PAGE as u64); // too little for any segment
            write(&directory, seed, Leftover::Continue, &SMALL);
        }
        "robbed" => be_robbed(&directory, seed),
        "relay" => relay(&directory, seed),
        "clean" => clean(&directory),
        "read" => read(&directory),
        other => panic!("no role {other}"),
    }
    true
}

/// Numbers of snapshots, and bytes of their blobs: some rounds of the ring, and one for which the file grows.
const GROWING: [(u64, usize); 4] = [(1, 9), (6, 100), (1, 70_000), (5, 1000)];
const SMALL: [(u64, usize); 2] = [(1, 9), (6, 100)];

/// A writer's whole life: open, publish round the ring, ring the bell, grow, publish, close.
fn write(directory: &Directory, mut seed: u64, leftover: Leftover, plan: &[(u64, usize)]) {
    let options = WriterOptions { leftover, ..WriterOptions::default() };
    let mut writer = Writer::open(directory, channel(), options).unwrap();
    for (count, blob) in plan {
        for _ in 0..*count {
            seed += 1;
            Sample::new(seed, seed % 2 + 1, 8, *blob).publish(&mut writer).unwrap();
        }
        until(|| asleep(directory)); // so that the next publish finds somebody to wake
    }
}

/// A writer whose files are removed one by one, and then together with the directory. It puts them back.
fn be_robbed(directory: &Directory, mut seed: u64) {
    let options = WriterOptions { verify_every: Duration::ZERO, ..WriterOptions::default() };
    let mut writer = Writer::open(directory, channel(), options).unwrap();
    let mut publish = || {
        seed += 1;
        Sample::new(seed, seed % 2 + 1, 8, 100).publish(&mut writer).unwrap();
    };
    publish();
    until(|| asleep(directory)); // so that the next publish finds somebody to wake
    publish();
    for file in FILES {
        std::fs::remove_file(directory.path().join(file)).unwrap();
        publish();
        assert!(FILES.iter().all(|file| directory.path().join(file).exists()));
    }
    std::fs::remove_dir_all(directory.path()).unwrap();
    publish();
    assert!(FILES.iter().all(|file| directory.path().join(file).exists()));
}

/// A relay's life on a node without the learner, which lives, is lost, lives again, and closes the channel.
fn relay(directory: &Directory, mut seed: u64) {
    let mut lock = serve(&Places::from(directory), &channel()).unwrap();
    for link in [Link::LearnerLost, Link::LinkLost, Link::LearnerClosed] {
        let mut writer = Writer::open(directory, channel(), WriterOptions::default()).unwrap();
        lock.announce("{}").unwrap();
        for count in [1, 4] {
            for _ in 0..count {
                seed += 1;
                Sample::new(seed, seed % 2 + 1, 8, 100).publish(&mut writer).unwrap();
            }
            until(|| asleep(directory)); // so that the next publish finds somebody to wake
        }
        writer.leave(link);
        lock.keep().unwrap();
    }
    lock.release();
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
    let (mut last, mut moves, mut reads) = (Stamp::default(), 0, 0);
    // How often it passes a point is not deterministic, so a reader that is to be killed goes on for longer.
    let longer =
        if std::env::var("TRAINCAST_FAILPOINT").is_ok_and(|point| !point.is_empty()) { 5 } else { 1 };
    while moves < 3 * longer || reads < 20 * longer {
        let key = reader.segment_key();
        if reader.read_into(&mut out).unwrap() {
            let stamp = verify(&out).stamp();
            assert!(stamp > last, "{stamp} after {last}");
            (last, reads) = (stamp, reads + 1);
        }
        moves += i32::from(reader.segment_key() != key);
        reader.waiter().wait(Duration::from_millis(2));
    }
}

fn attach(directory: &Directory, name: ChannelName) -> Reader {
    Reader::attach(directory, name, Duration::from_secs(60)).unwrap()
}

/// Starts a process that takes every line of the first page of a channel's roster, so that the next reader has to extend the
/// file.
pub fn fill_roster(place: &Place) -> common::Child {
    let path = place.path("run@3.roster");
    let child = fork(|| {
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        for line in (roster::LINES..PAGE / WORD).step_by(roster::LINE) {
            file.write_all_at(&1_u64.to_le_bytes(), ((line + roster::OWNER) * WORD) as u64).unwrap();
        }
        machine::lock(&file, (roster::LINES * WORD) as i64..PAGE as i64);
        std::fs::write(place.path(".full"), "").unwrap();
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    });
    until(|| place.path(".full").exists());
    std::fs::remove_file(place.path(".full")).unwrap();
    child
}
