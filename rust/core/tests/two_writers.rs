//! Two writers of one channel in two processes, after the first one silently lost its lock or its directory. They never store
//! into one file, the loser finds out, and readers see whole snapshots that only get newer.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::fs;
use std::time::Duration;

use common::{Child, FILES, Place, Sample, fork, next, next_polled, publish, until, verify, watchdog};
use traincast_core::error::Error;
use traincast_core::numbering::Stamp;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer, WriterOptions};

const VERIFY_EVERY: Duration = Duration::from_millis(10);

/// What happens to a learner while it publishes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Loss {
    /// Code in its process opens and closes the lock file.
    Lock,
    /// The lock file is removed.
    LockFile,
    /// The directory is removed.
    Directory,
    /// The directory is moved with all of its content.
    Moved,
}

const LOSSES: [Loss; 4] = [Loss::Lock, Loss::LockFile, Loss::Directory, Loss::Moved];

impl Loss {
    fn happen(self, place: &Place) {
        let directory = place.directory.path();
        match self {
            Self::Lock => drop(fs::File::open(place.path("run@3.lock")).unwrap()),
            Self::LockFile => fs::remove_file(place.path("run@3.lock")).unwrap(),
            Self::Directory => fs::remove_dir_all(directory).unwrap(),
            Self::Moved => fs::rename(directory, place.beside("moved")).unwrap(),
        }
    }
}

/// A learner in a process of its own. It publishes, suffers its loss, waits until another process has the channel, and then must
/// be told at its next publish and at each further attempt. Closing removes nothing.
fn learner(place: &Place, loss: Loss, verify_every: Duration) -> Child {
    fork(|| {
        let mut writer = place.writer_verifying(verify_every);
        for seed in 1..=5 {
            Sample::new(seed, 1, 64, 5_000).publish(&mut writer).unwrap();
        }
        place.wait_for("attached");
        loss.happen(place);
        place.raise("lost");
        place.wait_for("taken");
        std::thread::sleep(2 * VERIFY_EVERY);
        for seed in 6..9 {
            let error = Sample::new(seed, 1, 64, 5_000).publish(&mut writer).unwrap_err();
            assert!(matches!(error, Error::ChannelLost { .. }), "{error}");
            let parent = std::os::unix::process::parent_id();
            let text = error.to_string();
            assert!(text.contains(&format!("process {parent} has it")) || text.contains("another"), "{text}");
            assert!(writer.resume_at(writer.version(), writer.epoch()).is_err());
        }
        assert!(writer.is_closed());
        if loss == Loss::Lock {
            drop(writer);
        } else {
            writer.close();
        }
        0
    })
}

#[test]
fn a_writer_that_lost_its_channel_is_told_and_removes_nothing_of_the_winner() {
    for loss in LOSSES {
        let place = Place::new();
        let mut out = Snapshot::default();
        let learner = learner(&place, loss, VERIFY_EVERY);
        let mut reader = place.reader_soon();
        until(|| reader.read_into(&mut out).unwrap() && verify(&out).seed == 5);
        let before = out.meta.stamp;
        place.raise("attached");
        place.wait_for("lost");
        let mut winner = place.writer();
        Sample::new(100, 2, 64, 5_000).publish(&mut winner).unwrap();
        place.raise("taken");
        assert_eq!(learner.join(), 0, "{loss:?}");
        assert_eq!(place.files(), FILES, "{loss:?}");
        assert_eq!(publish(&mut winner, 101), winner.version().get());
        let found = next_polled(&mut reader, &mut out);
        assert!(found.stamp() > before, "{loss:?}: {} after {before}", found.stamp());
        until(|| verify(&out).seed == 101 || reader.read_into(&mut out).unwrap());
        assert!(reader.writer_alive().unwrap() && !reader.closed());
        assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 101);
    }
}

/// The word in the file tells it, however far away the next verification is.
#[test]
fn a_writer_whose_file_was_taken_is_told_at_its_next_publish() {
    for loss in [Loss::Lock, Loss::LockFile] {
        let place = Place::new();
        let learner = learner(&place, loss, Duration::MAX);
        let reader = place.reader_soon();
        until(|| reader.head().position().get() == 5);
        place.raise("attached");
        place.wait_for("lost");
        let winner = place.writer();
        assert_eq!(winner.version().get(), 5);
        place.raise("taken");
        assert_eq!(learner.join(), 0, "{loss:?}");
    }
}

#[test]
fn a_writer_that_loses_the_channel_before_its_first_snapshot_is_told_too() {
    let place = Place::new();
    place.leave_behind();
    let learner = fork(|| {
        let mut writer = place.writer();
        Loss::Lock.happen(&place);
        place.raise("lost");
        place.wait_for("taken");
        // The first snapshot needs a new file, which is never created without verifying.
        let error = Sample::new(2, 1, 4, 0).publish(&mut writer).unwrap_err();
        assert!(matches!(error, Error::ChannelLost { .. }), "{error}");
        0
    });
    place.wait_for("lost");
    let mut winner = place.writer();
    assert_eq!(winner.epoch().get(), 3, "the loser would have published under 2");
    publish(&mut winner, 7);
    place.raise("taken");
    assert_eq!(learner.join(), 0);
    assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 7);
}

/// A writer that came, published and closed has had the channel too.
#[test]
fn a_writer_that_came_and_went_in_the_meantime_had_the_channel() {
    let place = Place::new();
    let mut writer = place.writer_verifying(Duration::MAX);
    publish(&mut writer, 1);
    Loss::Lock.happen(&place);
    let guest = fork(|| {
        publish(&mut place.writer(), 2);
        0
    });
    assert_eq!(guest.join(), 0);
    let error = Sample::new(3, 1, 4, 0).publish(&mut writer).unwrap_err();
    assert!(matches!(error, Error::ChannelLost { .. }), "{error}");
    drop(writer);
    assert_eq!(place.files(), [""; 0]);
}

/// Growing verifies first, too: the loser's larger file does not replace a newcomer's.
#[test]
fn a_writer_that_lost_its_channel_does_not_grow_it() {
    let place = Place::new();
    let learner = fork(|| {
        let mut writer = place.writer_verifying(Duration::MAX);
        publish(&mut writer, 1);
        Loss::Directory.happen(&place);
        place.raise("lost");
        place.wait_for("taken");
        let error = Sample::new(2, 1, 4, 100_000).publish(&mut writer).unwrap_err();
        assert!(matches!(error, Error::ChannelLost { .. }), "{error}");
        0
    });
    place.wait_for("lost");
    let mut winner = place.writer();
    publish(&mut winner, 7);
    place.raise("taken");
    assert_eq!(learner.join(), 0);
    assert_eq!(fs::metadata(place.path("run@3")).unwrap().len(), 266_240);
    assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 7);
}

/// Takes the channel whenever it is free, publishes as fast as possible, grows now and then, and starts again when it has lost
/// the channel. A thread of its own makes it lose the lock again and again.
fn contend(place: &Place, seed: u64) -> ! {
    let lock = place.path("run@3.lock");
    std::thread::spawn(move || {
        loop {
            drop(fs::File::open(&lock));
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    let (mut seed, options) =
        (seed, WriterOptions { verify_every: VERIFY_EVERY, ..WriterOptions::default() });
    loop {
        let mut writer = match place.writer_with(options) {
            Ok(writer) => writer,
            Err(Error::ChannelBusy { .. }) => {
                std::thread::sleep(Duration::from_micros(100));
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        loop {
            seed += 1;
            let blob = if seed.is_multiple_of(5000) { 20_000 } else { 2_000 };
            match Sample::new(seed, seed % 3 + 1, 64, blob).publish(&mut writer) {
                Ok(_) => {}
                Err(Error::ChannelLost { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn writers_that_take_the_channel_from_each_other_never_mix_their_snapshots() {
    watchdog();
    let place = Place::new();
    let mut writers: Vec<_> = (1..=3).map(|number| fork(|| contend(&place, number << 40))).collect();
    let mut reader = place.reader_soon();
    let (mut out, mut last, mut epochs, mut verified) = (Snapshot::default(), Stamp::default(), 0, 0);
    while epochs < 100 || verified < 10_000 {
        if !reader.read_into(&mut out).unwrap() {
            assert!(writers.iter_mut().all(Child::lives), "a writer has failed");
            continue;
        }
        let stamp = verify(&out).stamp(); // all words belong to one snapshot of one writer
        assert!(stamp > last, "{stamp} after {last}");
        epochs += u64::from(stamp.epoch != last.epoch);
        (last, verified) = (stamp, verified + 1);
    }
    // A late reader finds a whole snapshot of one of them.
    verify_late(&place);
}

fn verify_late(place: &Place) {
    let mut out = Snapshot::default();
    next(&mut place.reader(), &mut out);
}

/// A writer that is refused because another one lives changes nothing for that one.
#[test]
fn a_writer_that_finds_the_channel_busy_changes_nothing() {
    let place = Place::new();
    let mut writer: Writer = place.writer_verifying(Duration::ZERO);
    publish(&mut writer, 1);
    for leftover in [Leftover::Continue, Leftover::Replace, Leftover::Refuse] {
        let refused = fork(|| match place.try_writer(leftover) {
            Err(Error::ChannelBusy { .. }) => 0,
            _ => 1,
        });
        assert_eq!(refused.join(), 0);
        publish(&mut writer, 2);
    }
    assert_eq!(place.files(), FILES);
}

/// A newcomer does not serve the file of a killed writer until it has published: it may start again.
#[test]
fn a_newcomer_serves_a_channel_from_its_first_snapshot_on() {
    for leftover in [Leftover::Continue, Leftover::Replace] {
        let place = Place::new();
        place.leave_behind();
        let mut reader = place.reader();
        assert!(!reader.served().unwrap() && !reader.writer_alive().unwrap());

        // A process has the lock, and the record is still the previous owner's.
        let locked = fork(|| {
            let file = std::fs::OpenOptions::new().write(true).open(place.path("run@3.lock")).unwrap();
            let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
            // SAFETY: `flock` is a struct of numbers, for which zeros are valid, and the file is open.
            unsafe {
                let mut lock: libc::flock = std::mem::zeroed();
                (lock.l_type, lock.l_len) = (libc::F_WRLCK as libc::c_short, 1);
                assert_eq!(libc::fcntl(descriptor, libc::F_SETLK, &lock), 0);
            }
            place.raise("locked");
            loop {
                std::thread::sleep(Duration::from_secs(3600));
            }
        });
        place.wait_for("locked");
        assert!(reader.writer_alive().unwrap() && !reader.served().unwrap());
        locked.kill();

        let newcomer = fork(|| {
            let mut writer = place.try_writer(leftover).unwrap();
            place.raise("taken");
            place.wait_for("looked");
            publish(&mut writer, 9);
            loop {
                std::thread::sleep(Duration::from_secs(3600));
            }
        });
        place.wait_for("taken");
        assert!(reader.writer_alive().unwrap() && !reader.served().unwrap(), "{leftover:?}");
        place.raise("looked");
        until(|| reader.served().unwrap());
        assert_eq!(next_polled(&mut reader, &mut Snapshot::default()).seed, 9);
        newcomer.kill();
        assert!(!reader.served().unwrap());

        // The same in this process.
        let mut writer = place.try_writer(leftover).unwrap();
        assert!(reader.writer_alive().unwrap() && !reader.served().unwrap());
        publish(&mut writer, 10);
        assert!(reader.served().unwrap());
    }
}
