//! Processes of another pid namespace, as in another container that shares the directory: their pids mean nothing here, and only
//! the kernel's locks tell whether they live.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use common::machine::{small_tmpfs, unshare};
use common::{Child, FILES, Place, fork, next, next_polled, publish, until, verify};
use traincast_core::error::Error;
use traincast_core::inspect::{ReaderInfo, Status, leftovers, list};
use traincast_core::numbering::Version;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::Leftover;

/// Runs `body` as process 1 of a new pid namespace; the whole namespace ends with it.
fn elsewhere(body: impl FnOnce() -> i32) -> Child {
    fork(|| {
        unshare(libc::CLONE_NEWPID);
        let inner = fork(|| {
            assert_eq!(std::process::id(), 1);
            // SAFETY: only sets a flag of this process: it must not outlive its parent.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            body()
        });
        inner.join()
    })
}

fn readers(place: &Place) -> Vec<ReaderInfo> {
    list(&place.directory).unwrap().remove(0).readers
}

fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[test]
fn readers_elsewhere_live_and_keep_their_lines_until_they_are_killed() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let read = |flag: &str| {
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        next(&mut reader, &mut out);
        place.raise(flag);
        forever()
    };
    // Two containers, each with a process 1.
    let there = [elsewhere(|| read("first")), elsewhere(|| read("second"))];
    place.wait_for("first");
    place.wait_for("second");
    let mut here = place.reader();
    next(&mut here, &mut Snapshot::default());
    let found = readers(&place);
    let kinds: Vec<_> = found.iter().map(|reader| (reader.pid, reader.alive, reader.elsewhere)).collect();
    let mut wanted = vec![(1, true, true), (1, true, true), (std::process::id(), true, false)];
    wanted.sort_unstable();
    assert_eq!(kinds, wanted);
    assert!(found.iter().all(|reader| reader.version == 1 && reader.generation == 1));
    // Other readers come and go; none takes these lines.
    for _ in 0..50 {
        drop(place.reader());
        assert_eq!(fork(|| next(&mut place.reader(), &mut Snapshot::default()).seed as i32).join(), 1);
    }
    assert_eq!(readers(&place).iter().filter(|reader| reader.alive && reader.elsewhere).count(), 2);
    let [first, second] = there;
    first.kill();
    until(|| readers(&place).iter().filter(|reader| reader.alive && reader.elsewhere).count() == 1);
    second.kill();
    until(|| !readers(&place).iter().any(|reader| reader.alive && reader.elsewhere));
    // The next readers take their lines.
    let lines = || std::fs::metadata(place.path("run@3.roster")).unwrap().len();
    assert_eq!(lines(), 4096);
    let crowd: Vec<_> = (0..61)
        .map(|_| {
            fork(|| {
                std::mem::forget(place.reader());
                forever()
            })
        })
        .collect();
    until(|| readers(&place).iter().filter(|reader| reader.alive).count() == 62);
    assert_eq!(lines(), 4096, "62 lines, and 62 readers");
    drop(crowd);
}

#[test]
fn a_writer_elsewhere_lives_and_its_channel_is_busy_until_it_is_killed() {
    let place = Place::new();
    let child = elsewhere(|| {
        let mut writer = place.writer_verifying(Duration::ZERO);
        publish(&mut writer, 1);
        place.raise("published");
        place.wait_for("looked at");
        publish(&mut writer, 2);
        forever()
    });
    place.wait_for("published");
    let (mut reader, mut out) = (place.reader(), Snapshot::default());
    next(&mut reader, &mut out);
    assert!(reader.writer_alive().unwrap());
    let error = place.try_writer(Leftover::Continue).unwrap_err();
    assert!(matches!(error, Error::ChannelBusy { .. }), "{error}");
    // In a sibling container it has no pid at all.
    let beside = elsewhere(|| match place.try_writer(Leftover::Continue) {
        Err(Error::ChannelBusy { holder, .. }) if holder == "a process of another container" => 0,
        _ => 1,
    });
    assert_eq!(beside.join(), 0);
    assert_eq!(list(&place.directory).unwrap()[0].status, Status::Live);
    assert!(leftovers(&place.directory).unwrap().is_empty());
    place.raise("looked at");
    until(|| reader.read_into(&mut out).unwrap());
    assert_eq!(verify(&out).seed, 2);
    child.kill();
    until(|| !reader.writer_alive().unwrap());
    // Nobody can know that a process elsewhere is dead: it may have published one more.
    let mut writer = place.writer();
    assert_eq!(publish(&mut writer, 3), 4);
    assert_eq!(next_polled(&mut reader, &mut out).seed, 3);
    assert_eq!(place.files(), FILES);
}

#[test]
fn sleepers_elsewhere_are_woken() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let child = elsewhere(|| {
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        (1..=50).all(|seed| common::next_soon(&mut reader, &mut out).seed == seed) as i32 - 1
    });
    for seed in 2..=50 {
        // The previous snapshot has been read, and its reader sleeps again.
        until(|| readers(&place).iter().any(|reader| reader.version == seed - 1));
        publish(&mut writer, seed);
    }
    assert_eq!(child.join(), 0);
}

/// A file is only stored into if its writer is known to be dead. Here nobody can know that.
#[test]
fn without_room_the_file_of_a_writer_elsewhere_is_not_stored_into() {
    let place = Place::new();
    let child = fork(|| {
        small_tmpfs(place.directory.path(), 300);
        let dead = elsewhere(|| {
            let mut writer = place.writer();
            publish(&mut writer, 1);
            std::mem::forget(writer);
            0
        });
        assert_eq!(dead.join(), 0);
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        next(&mut reader, &mut out);
        let mut writer = place.writer();
        assert_eq!(writer.version(), Version(1));
        for _ in 0..3 {
            let error = common::Sample::new(2, 1, 4, 60_000).publish(&mut writer).unwrap_err();
            assert!(matches!(error, Error::StorageFull { .. }), "{error}");
            assert!(!reader.read_into(&mut out).unwrap());
            assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 1);
        }
        // A snapshot for which there is room goes into a new file.
        assert_eq!(publish(&mut writer, 3), 3);
        assert_eq!(next_polled(&mut reader, &mut out).seed, 3);
        0
    });
    assert_eq!(child.join(), 0);
}

/// Pids cannot be compared across containers, so the records are.
#[test]
fn a_newcomer_elsewhere_serves_a_channel_from_its_first_snapshot_on() {
    let place = Place::new();
    let learner = |flag: &'static str| {
        let place = &place;
        elsewhere(move || {
            let mut writer = place.try_writer(Leftover::Replace).unwrap();
            place.raise(&format!("{flag} taken"));
            place.wait_for(&format!("{flag} looked"));
            publish(&mut writer, 7);
            place.raise(&format!("{flag} published"));
            forever()
        })
    };
    let first = learner("first");
    place.raise("first looked");
    place.wait_for("first published");
    let mut reader = place.reader();
    assert!(reader.served().unwrap());
    first.kill();
    until(|| !reader.writer_alive().unwrap());
    let second = learner("second");
    place.wait_for("second taken");
    assert!(reader.writer_alive().unwrap() && !reader.served().unwrap());
    place.raise("second looked");
    place.wait_for("second published");
    assert!(reader.served().unwrap());
    second.kill();
}
