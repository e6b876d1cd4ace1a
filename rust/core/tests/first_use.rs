//! A process forks while another of its threads uses the library for the first time. Each case runs in a new process, because
//! there is only one first use, and in a binary of its own, because another test would be the first use.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Place, fork, next, publish, until, watchdog};
use traincast_core::directory::ChannelName;
use traincast_core::error::Error;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer, WriterOptions};

static READY: AtomicBool = AtomicBool::new(false);
static BEGIN: AtomicBool = AtomicBool::new(false);
static WRITER: Mutex<Option<Writer>> = Mutex::new(None);

/// Forks after `begin` was called, while another thread takes the channel. Nobody may get stuck, and only this process is its
/// writer.
fn fork_beside_first_use(place: &Place, begin: impl FnOnce()) {
    std::thread::scope(|scope| {
        let user = scope.spawn(|| {
            READY.store(true, Ordering::SeqCst);
            while !BEGIN.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            let mut writer = place.writer();
            publish(&mut writer, 1);
            *WRITER.lock().unwrap() = Some(writer);
        });
        until(|| READY.load(Ordering::SeqCst));
        begin();
        let child = fork(|| {
            // None, or locked for ever, if the thread had not got so far at the time of the fork.
            if let Some(mut inherited) = WRITER.try_lock().ok().and_then(|mut writer| writer.take()) {
                assert!(matches!(inherited.check_fork(), Err(Error::ForkedWriter { .. })));
                inherited.close();
            }
            let name = ChannelName::new("child", 0).unwrap();
            publish(&mut Writer::open(&place.directory, name, WriterOptions::default()).unwrap(), 1);
            0
        });
        assert_eq!(child.join(), 0);
        user.join().unwrap();
    });
    let mut writer = WRITER.lock().unwrap().take().unwrap();
    let taken = fork(|| match place.try_writer(Leftover::Continue) {
        Err(Error::ChannelBusy { .. }) => 0,
        _ => 1,
    });
    assert_eq!(taken.join(), 0);
    publish(&mut writer, 2);
    assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 2);
}

#[test]
fn a_fork_that_overtakes_the_first_use_leaves_no_child_stuck() {
    watchdog();
    for round in 0..1000 {
        let place = Place::new();
        let process = fork(|| {
            fork_beside_first_use(&place, || {
                BEGIN.store(true, Ordering::SeqCst);
                let since = Instant::now();
                while since.elapsed() < Duration::from_micros(round % 100) {}
            });
            0
        });
        assert_eq!(process.join(), 0, "round {round}");
    }
}

/// Like the handler of a library that takes some time before a fork (OpenBLAS ends its threads).
extern "C" fn linger() {
    BEGIN.store(true, Ordering::SeqCst);
    let since = Instant::now();
    // With a limit: a libc may block the registration of handlers in the meantime.
    while since.elapsed() < Duration::from_secs(1) && WRITER.lock().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_first_use_within_a_fork_gives_no_writer_away() {
    let place = Place::new();
    let process = fork(|| {
        // SAFETY: the function is safe to call, and lives for ever.
        assert_eq!(unsafe { libc::pthread_atfork(Some(linger), None, None) }, 0);
        fork_beside_first_use(&place, || {});
        0
    });
    assert_eq!(process.join(), 0);
}
