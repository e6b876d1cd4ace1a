//! Finding a channel whose files are being replaced, and looking for the successor of an ended one no more often than necessary.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Child, Place, Sample, channel, fork, next, next_polled, publish, until, verify, watchdog};
use traincast_core::error::Error;
use traincast_core::numbering::Stamp;
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::WriterOptions;

/// A process that takes the channel, publishes, needs a larger file a few times, and dies without closing.
fn one_life(place: &Place, first: u64) -> Child {
    fork(|| {
        let options = WriterOptions { capacity: 4096, ..WriterOptions::default() };
        let mut writer = place.writer_with(options).unwrap();
        for (seed, pages) in (first..).zip([1, 3, 5, 8, 12, 17, 24, 33]) {
            Sample::new(seed, 1, 8, pages * 4000).publish(&mut writer).unwrap();
        }
        std::mem::forget(writer);
        0
    })
}

#[test]
fn attaching_while_files_are_replaced_always_finds_the_channel() {
    watchdog();
    let place = Place::new();
    assert_eq!(one_life(&place, 1).join(), 0);
    let lives = fork(|| {
        for life in 1.. {
            assert_eq!(one_life(&place, life * 100).join(), 0);
        }
        0
    });
    let (mut last, mut generations, mut attached) = (Stamp::default(), std::collections::BTreeSet::new(), 0);
    while attached < 3_000 || generations.len() < 200 {
        // Without waiting: the channel exists all the time.
        let mut reader = match Reader::attach(&place.directory, channel(), Duration::ZERO) {
            Ok(reader) => reader,
            Err(error) => panic!("after {attached}: {error}"),
        };
        let mut out = Snapshot::default();
        let stamp = next(&mut reader, &mut out).stamp();
        assert!(stamp >= last, "{stamp} after {last}");
        last = stamp;
        generations.insert(stamp);
        attached += 1;
        if attached % 10 == 0 {
            let listed = traincast_core::inspect::list(&place.directory).unwrap();
            assert!(listed.len() == 1 && listed[0].version > 0, "{listed:?}");
        }
    }
    lives.kill();
}

/// Attaches as often as possible, so that some file loses its name between being opened and being examined.
#[test]
fn opening_a_file_that_is_replaced_at_that_moment_finds_the_next_one() {
    watchdog();
    let place = Place::new();
    let options = WriterOptions { capacity: 4096, ..WriterOptions::default() };
    let mut writer = place.writer_with(options).unwrap();
    publish(&mut writer, 1);
    let replacing = fork(|| {
        let (content, copy) = (std::fs::read(place.path("run@3")).unwrap(), place.path(".copy"));
        loop {
            let mut options = std::fs::File::options();
            let mut file = options.create_new(true).write(true).mode(0o600).open(&copy).unwrap();
            file.write_all(&content).unwrap();
            std::fs::rename(&copy, place.path("run@3")).unwrap();
        }
    });
    for attached in 0..5_000 {
        match Reader::attach(&place.directory, channel(), Duration::ZERO) {
            Ok(mut reader) => assert_eq!(next(&mut reader, &mut Snapshot::default()).seed, 1),
            Err(error) => panic!("after {attached}: {error}"),
        }
    }
    replacing.kill();
}

/// Counts how often a directory is opened: each look-up of a channel's name opens it once.
struct Looks(std::fs::File);

impl Looks {
    fn at(directory: &Path) -> Self {
        let path = std::ffi::CString::new(directory.as_os_str().as_bytes()).unwrap();
        // SAFETY: plain system calls with a string that outlives them; nobody else owns the new descriptor.
        unsafe {
            let queue = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
            assert!(queue >= 0 && libc::inotify_add_watch(queue, path.as_ptr(), libc::IN_OPEN) >= 0);
            Self(std::fs::File::from_raw_fd(queue))
        }
    }

    /// Whether there were any since the last call. (The kernel merges equal events that follow each other.)
    fn any(&mut self) -> bool {
        let mut events = [0; 4096];
        self.0.read(&mut events).is_ok_and(|bytes| bytes > 0)
    }

    /// Calls `read` until `time` has passed. Returns how many calls looked up the name, and how many there were.
    fn during(&mut self, time: Duration, mut read: impl FnMut()) -> (u32, u32) {
        while self.any() {}
        let (start, mut looks, mut reads) = (Instant::now(), 0, 0);
        while start.elapsed() < time {
            read();
            (looks, reads) = (looks + u32::from(self.any()), reads + 1);
        }
        (looks, reads)
    }
}

const WHILE: Duration = Duration::from_millis(500);

#[test]
fn reads_after_a_close_look_for_a_successor_at_most_every_ten_milliseconds() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let (mut reader, mut out) = (place.reader(), Snapshot::default());
    next(&mut reader, &mut out);
    drop(writer);
    let mut looks = Looks::at(place.directory.path());
    let start = Instant::now();
    let (looked, reads) = looks.during(WHILE, || assert!(!reader.read_into(&mut out).unwrap()));
    // The coarse clock stands still between two ticks of the kernel: one more look-up at each end.
    let most = start.elapsed().as_millis() / 10 + 2;
    assert!(looked > 0 && u128::from(looked) <= most, "{looked} looks in {reads} reads, at most {most}");
    assert!(reads > looked);
    // That is often enough to find a successor.
    let mut writer = place.writer();
    publish(&mut writer, 7);
    assert_eq!(next_polled(&mut reader, &mut out).seed, 7);
}

#[test]
fn reads_of_a_channel_that_is_published_look_for_nothing() {
    let place = Place::new();
    let mut writer = place.writer_verifying(Duration::MAX);
    publish(&mut writer, 1);
    let (mut reader, mut out) = (place.reader(), Snapshot::default());
    next(&mut reader, &mut out);
    let mut looks = Looks::at(place.directory.path());
    let mut seed = 1;
    let start = Instant::now();
    let (looked, reads) = looks.during(2 * WHILE, || {
        seed += 1;
        publish(&mut writer, seed);
        assert_eq!(next(&mut reader, &mut out).seed, seed);
        assert!(!reader.read_into(&mut out).unwrap());
    });
    // Once a second it looks anyway: somebody may have removed the file.
    assert!(u64::from(looked) <= 2 * (start.elapsed().as_secs() + 1), "{looked} looks in {reads} reads");
}

#[test]
fn a_reader_that_waits_for_a_channel_gets_its_first_snapshot() {
    let place = Place::new();
    let child = fork(|| {
        place.wait_for("waiting");
        let mut writer = place.writer();
        publish(&mut writer, 5);
        place.wait_for("read");
        0
    });
    let mut reader = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Reader::attach(&place.directory, channel(), Duration::from_secs(600)));
        std::thread::sleep(Duration::from_millis(20));
        place.raise("waiting");
        waiting.join().unwrap().unwrap()
    });
    let mut out = Snapshot::default();
    assert_eq!(next(&mut reader, &mut out).seed, 5);
    place.raise("read");
    assert_eq!(child.join(), 0);
    until(|| reader.closed());
    assert_eq!(verify(&out).seed, 5);
    let gone = Reader::attach(&place.directory, channel(), Duration::from_millis(20));
    assert!(matches!(gone, Err(Error::ChannelNotFound { .. })));
}
