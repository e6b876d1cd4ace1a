//! Negative guarantees: no system calls where none are promised, no writable mappings, no waiting for each other.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use common::{Place, Sample, fork, next, publish, until, watchdog};
use traincast_core::snapshot::Snapshot;

/// Makes the kernel kill this process at any further system call except `read`, `write` and `exit`.
fn no_more_system_calls() {
    // SAFETY: a plain system call in a forked, single-threaded process.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, 1, 0, 0, 0) }, 0);
}

fn leave() -> ! {
    // SAFETY: ends this process; `_exit` would use another system call, exit_group.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!()
}

/// Verifying the ownership takes system calls; in between there are none.
const NEVER: Duration = Duration::MAX;

#[test]
fn publishing_and_reading_make_no_system_call() {
    let place = Place::new();
    let child = fork(|| {
        let mut writer = place.writer_verifying(NEVER);
        let mut out = Snapshot::default();
        let samples = [Sample::new(1, 1, 8, 3000), Sample::new(2, 2, 8, 0)];
        // Once round the ring with each, so that everything is allocated.
        for sample in samples.iter().cycle().take(8) {
            sample.publish(&mut writer).unwrap();
        }
        let mut reader = place.reader();
        next(&mut reader, &mut out);
        samples[0].publish(&mut writer).unwrap();
        next(&mut reader, &mut out);
        let head = reader.head_ref();
        no_more_system_calls();
        for sample in samples.iter().cycle().take(10_000) {
            sample.publish(&mut writer).unwrap();
            writer.check_fork().unwrap();
            assert!(matches!(reader.read_into(&mut out), Ok(true)));
            assert_eq!(head.load(), reader.head());
        }
        leave()
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn a_system_call_would_have_been_noticed() {
    let place = Place::new();
    let child = fork(|| {
        let mut writer = place.writer();
        publish(&mut writer, 1);
        no_more_system_calls();
        let _ = place.try_writer(traincast_core::writer::Leftover::Continue);
        leave()
    });
    assert!(std::panic::catch_unwind(|| child.join()).is_err());
}

#[test]
fn readers_map_the_channel_read_only() {
    let place = Place::new();
    let _writer = fork(|| {
        let mut writer = place.writer();
        publish(&mut writer, 1);
        std::thread::sleep(Duration::from_secs(3600));
        0
    });
    let child = fork(|| {
        let mut reader = place.reader_soon();
        next(&mut reader, &mut Snapshot::default());
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let path = place.path("run@3");
        let of_channel: Vec<_> = maps.lines().filter(|line| line.ends_with(path.to_str().unwrap())).collect();
        assert_eq!(of_channel.len(), 1, "{of_channel:?}");
        assert!(of_channel[0].contains(" r--s "), "{of_channel:?}");
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn nobody_waits_for_a_stopped_process() {
    watchdog();
    let place = Place::new();
    // A reader that is stopped, maybe in the middle of a copy, does not hold up the writer.
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let stopped = fork(|| {
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        std::fs::write(place.path(".reading"), "").unwrap();
        loop {
            let _ = reader.read_into(&mut out);
        }
    });
    until(|| place.path(".reading").exists());
    // SAFETY: a child of this test.
    unsafe { libc::kill(stopped.pid, libc::SIGSTOP) };
    for seed in 2..1000 {
        publish(&mut writer, seed);
    }
    stopped.kill();
    drop(writer);
    // A writer that is stopped, maybe in the middle of a slot, does not hold up readers, and keeps its channel.
    for round in 0..20 {
        let stopped = fork(|| {
            let mut writer = place.writer();
            loop {
                let version = writer.version().get() + 1;
                Sample::new(version, 1, 64, 500).publish(&mut writer).unwrap();
            }
        });
        let (mut reader, mut out) = (place.reader_soon(), Snapshot::default());
        until(|| reader.writer_alive().unwrap());
        std::thread::sleep(Duration::from_micros(100 * round));
        // SAFETY: a child of this test.
        unsafe { libc::kill(stopped.pid, libc::SIGSTOP) };
        next(&mut reader, &mut out);
        until(|| matches!(reader.read_into(&mut out), Ok(false)));
        assert!(reader.writer_alive().unwrap());
        assert!(place.try_writer(traincast_core::writer::Leftover::Continue).is_err());
        stopped.kill();
    }
}
