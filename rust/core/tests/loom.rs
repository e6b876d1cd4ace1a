//! The protocol under loom, which explores every interleaving and every result that the memory model allows. The code is that of
//! `ring` itself; only the atomics are loom's.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p traincast-core --release --test 'loom*'`
//!
//! Threads are preempted at most `PREEMPTIONS` times per execution, which limits the run to minutes; `LOOM_MAX_PREEMPTIONS`
//! overrides it. The values that a load may return are not limited.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod model;

use loom::sync::Arc;
use loom::thread;
use model::{Channel, STEPS, at, bounded, model};
use traincast_core::ring::seqlock::{Head, load_head};

#[test]
fn one_reader_gets_whole_snapshots_while_the_writer_laps_it() {
    model(|| {
        let channel = Channel::new();
        let reader = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                channel.read();
            })
        };
        for position in 2..=3 {
            channel.publish(position, STEPS);
        }
        reader.join().unwrap();
        assert_eq!(channel.read(), at(3));
    });
}

#[test]
fn positions_never_go_back() {
    model(|| {
        let channel = Channel::new();
        let reader = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let first = channel.read();
                assert!(channel.read().position() >= first.position());
            })
        };
        channel.publish(2, STEPS);
        reader.join().unwrap();
    });
}

#[test]
fn two_readers_get_whole_snapshots_while_the_writer_laps_them() {
    bounded(2, || {
        let channel = Channel::new();
        let readers = [(); 2].map(|()| {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.read())
        });
        for position in 2..=3 {
            channel.publish(position, STEPS);
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_writer_takes_over_from_one_that_stopped_at_any_step() {
    for steps in 0..=STEPS {
        model(move || {
            let channel = Channel::new();
            let reader = {
                let channel = Arc::clone(&channel);
                thread::spawn(move || channel.read())
            };
            let dead = {
                let channel = Arc::clone(&channel);
                thread::spawn(move || channel.publish(2, steps))
            };
            // The kernel releases the lock when its holder is gone: the second writer sees everything that the first one has
            // done.
            dead.join().unwrap();
            let left = load_head(&channel.head).position().get();
            assert_eq!(left, if steps == STEPS { 2 } else { 1 });
            channel.read();
            channel.publish(left + 1, STEPS);
            channel.publish(left + 2, STEPS);
            reader.join().unwrap();
            assert_eq!(channel.read(), at(left + 2));
        });
    }
}

#[test]
fn a_reader_that_sees_a_mark_sees_the_last_snapshot() {
    model(|| {
        let channel = Channel::new();
        let reader = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let head = channel.read();
                assert!(
                    !head.ended() || head.position().get() == 2,
                    "marked before its last snapshot was visible"
                );
            })
        };
        channel.publish(2, STEPS);
        channel.ring_writer().mark(Head::SUPERSEDED);
        reader.join().unwrap();
        assert!(channel.read().superseded() && !channel.read().closed());
    });
}

#[test]
fn a_sleeper_misses_nothing() {
    model(|| {
        let channel = Channel::new();
        let sleeper = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let mut seen = at(1);
                while seen.position().get() < 3 {
                    channel.wait(seen);
                    seen = channel.read();
                }
            })
        };
        channel.publish_and_ring(2);
        channel.publish_and_ring(3);
        sleeper.join().unwrap();
    });
}

#[test]
fn two_sleepers_miss_nothing_although_they_share_one_mark() {
    model(|| {
        let channel = Channel::new();
        let sleepers = [at(1), at(1)].map(|seen| {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.wait(seen))
        });
        channel.publish_and_ring(2);
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}

#[test]
fn closing_wakes_a_sleeper_without_a_roster() {
    model(|| {
        let channel = Channel::new();
        let sleeper = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.wait(at(1)))
        };
        channel.ring_writer().mark(Head::CLOSED);
        channel.bell().bump();
        channel.wake();
        sleeper.join().unwrap();
        assert!(channel.read().closed());
    });
}
