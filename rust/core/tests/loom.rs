//! The protocol under loom, which tries every interleaving and every outcome that the memory model allows.
//! The source is `seqlock.rs` itself; only its atomics are loom's.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p traincast-core --release --test loom`
//!
//! Threads are stopped against their will at most [`PREEMPTIONS`] times per execution, which is what keeps
//! this to minutes; `LOOM_MAX_PREEMPTIONS` overrides it. What a load may return is not bounded.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use traincast_core::seqlock::{Bell, Head, Ring, RingWriter, load_head};

/// The smallest ring that the proof allows: the writer is back at a slot with the second publish.
const SLOTS: usize = 2;
/// The seq and two words of payload: enough for a mixture.
const STRIDE: usize = 3;

struct Channel {
    head: AtomicU64,
    slots: Vec<AtomicU64>,
    futex: AtomicU32,
    waiters: AtomicU64,
    /// The kernel's queue of sleepers: comparing and going to sleep is one step to it.
    queue: Mutex<()>,
    wake_up: Condvar,
}

impl Channel {
    /// With version 1 inside, as every channel that can be opened.
    fn new() -> Arc<Self> {
        let channel = Self {
            head: AtomicU64::new(0),
            slots: (0..SLOTS * STRIDE).map(|_| AtomicU64::new(0)).collect(),
            futex: AtomicU32::new(0),
            waiters: AtomicU64::new(0),
            queue: Mutex::new(()),
            wake_up: Condvar::new(),
        };
        channel.publish(1, STEPS);
        Arc::new(channel)
    }

    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.head, &self.slots, SLOTS)
    }

    fn ring_writer(&self) -> RingWriter<'_> {
        RingWriter::new(&self.head, &self.slots, SLOTS)
    }

    /// The first `steps` steps of a publication.
    fn publish(&self, version: u64, steps: u32) {
        let ring = self.ring_writer();
        if steps == 0 {
            return;
        }
        let slot = ring.begin(version);
        if steps > 1 {
            slot.put(1, version * 10);
        }
        if steps > 2 {
            slot.put(2, version * 100);
        }
        if steps > 3 {
            slot.finish();
        }
        if steps > 4 {
            ring.announce(version);
        }
    }

    /// The newest version, which must be whole.
    fn read(&self) -> Head {
        let read = self.ring().read(|version, slot| (version, slot.get(1), slot.get(2)));
        let (head, (version, first, second), _laps) = read.expect("no writer of ours damages a file");
        assert_eq!((first, second), (version * 10, version * 100), "torn");
        assert_eq!(head.version(), version);
        head
    }

    fn bell(&self) -> Bell<'_> {
        Bell { head: &self.head, futex: &self.futex, waiters: Some(&self.waiters) }
    }

    fn publish_and_ring(&self, version: u64) {
        self.publish(version, STEPS);
        if self.bell().ring() {
            self.wake();
        }
    }

    fn wake(&self) {
        drop(self.queue.lock().unwrap());
        self.wake_up.notify_all();
    }

    /// Sleeps until the head is another one than `seen`. A wake-up that gets lost is a deadlock, which loom
    /// reports.
    fn wait(&self, seen: Head) {
        while let Some(value) = self.bell().prepare(seen) {
            let queue = self.queue.lock().unwrap();
            if self.futex.load(std::sync::atomic::Ordering::Relaxed) == value {
                drop(self.wake_up.wait(queue).unwrap());
            }
        }
    }
}

const PREEMPTIONS: usize = 3;

fn model(body: impl Fn() + Sync + Send + 'static) {
    bounded(PREEMPTIONS, body);
}

fn bounded(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new(); // reads the environment
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(body);
}

/// Steps of a publication.
const STEPS: u32 = 5;

#[test]
fn one_reader_while_the_writer_goes_round_the_ring() {
    model(|| {
        let channel = Channel::new();
        let reader = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                channel.read();
            })
        };
        for version in 2..=3 {
            channel.publish(version, STEPS);
        }
        reader.join().unwrap();
        assert_eq!(channel.read(), Head::of(3));
    });
}

#[test]
fn versions_never_go_back() {
    model(|| {
        let channel = Channel::new();
        let reader = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let first = channel.read();
                assert!(channel.read().version() >= first.version());
            })
        };
        channel.publish(2, STEPS);
        reader.join().unwrap();
    });
}

#[test]
fn two_readers_while_the_writer_goes_round_the_ring() {
    bounded(2, || {
        let channel = Channel::new();
        let readers = [(); 2].map(|()| {
            let channel = Arc::clone(&channel);
            thread::spawn(move || channel.read())
        });
        for version in 2..=3 {
            channel.publish(version, STEPS);
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
            // The kernel gives the lock away when its holder is gone: the second writer sees all that the
            // first has done.
            dead.join().unwrap();
            let left = load_head(&channel.head).version();
            assert_eq!(left, if steps == STEPS { 2 } else { 1 });
            channel.read();
            channel.publish(left + 1, STEPS);
            channel.publish(left + 2, STEPS);
            reader.join().unwrap();
            assert_eq!(channel.read(), Head::of(left + 2));
        });
    }
}

#[test]
fn a_mark_brings_its_version_with_it() {
    model(|| {
        let channel = Channel::new();
        let reader = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let head = channel.read();
                assert!(!head.ended() || head.version() == 2, "marked before its last snapshot was visible");
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
                let mut seen = Head::of(1);
                while seen.version() < 3 {
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
fn two_sleepers_miss_nothing_though_one_clears_the_mark_of_both() {
    model(|| {
        let channel = Channel::new();
        let sleepers = [Head::of(1), Head::of(1)].map(|seen| {
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
            thread::spawn(move || channel.wait(Head::of(1)))
        };
        channel.ring_writer().mark(Head::CLOSED);
        channel.bell().bump();
        channel.wake();
        sleeper.join().unwrap();
        assert!(channel.read().closed());
    });
}
