//! A channel in loom's memory: the ring, the bell and the word of the handover, as in a file.
#![allow(dead_code, reason = "each test binary uses its own part")]

use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::sync::{Arc, Condvar, Mutex};
use traincast_core::numbering::Position;
use traincast_core::ring::bell::Bell;
use traincast_core::ring::seqlock::{Head, Ring, RingWriter, SlotWriter};

/// The smallest ring that the proof allows: the writer reuses a slot with every second publish.
const SLOTS: usize = 2;

/// Versions jump by a multiple of the ring's length each time: if they chose the slot, it would always be the same one.
pub const fn version_of(position: u64) -> u64 {
    position * 2 * SLOTS as u64 + 1
}

pub struct Channel {
    pub head: AtomicU64,
    pub taken: AtomicU64,
    /// The file's writer.
    pub signature: AtomicU64,
    slots: Vec<AtomicU64>,
    futex: AtomicU32,
    waiters: AtomicU64,
    /// The kernel's queue of sleepers: comparing the futex and going to sleep is one step.
    queue: Mutex<()>,
    wake_up: Condvar,
}

impl Channel {
    /// With a first snapshot, as in every channel that can be opened: the seq and two words of payload, enough for a mixture.
    pub fn new() -> Arc<Self> {
        let channel = Self::empty(2);
        channel.publish(1, STEPS);
        Arc::new(channel)
    }

    /// With empty slots of `words` words of payload.
    pub fn empty(words: usize) -> Self {
        Self {
            head: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            signature: AtomicU64::new(0),
            slots: (0..SLOTS * (1 + words)).map(|_| AtomicU64::new(0)).collect(),
            futex: AtomicU32::new(0),
            waiters: AtomicU64::new(0),
            queue: Mutex::new(()),
            wake_up: Condvar::new(),
        }
    }

    pub fn ring(&self) -> Ring<'_> {
        Ring::new(&self.head, &self.slots, SLOTS)
    }

    pub fn ring_writer(&self) -> RingWriter<'_> {
        RingWriter::new(&self.head, &self.slots, SLOTS)
    }

    /// The first `steps` steps of a publication.
    pub fn publish(&self, position: u64, steps: u32) {
        let ring = self.ring_writer();
        if steps == 0 {
            return;
        }
        let slot = ring.begin(Position(position));
        if steps > 1 {
            slot.put(1, version_of(position));
        }
        if steps > 2 {
            slot.put(2, version_of(position) * 100);
        }
        if steps > 3 {
            slot.finish();
        }
        if steps > 4 {
            ring.announce(Position(position));
        }
    }

    /// A publication whose payload `store` stores.
    pub fn publish_by(&self, position: u64, store: impl FnOnce(&SlotWriter<'_>)) {
        let ring = self.ring_writer();
        let slot = ring.begin(Position(position));
        store(&slot);
        slot.finish();
        ring.announce(Position(position));
    }

    /// The newest snapshot, which must be whole.
    pub fn read(&self) -> Head {
        let read = self.ring().read(|position, slot| (position, slot.get(1), slot.get(2)));
        let (head, (position, first, second), _laps) = read.expect("no writer of ours damages a file");
        let version = version_of(position.get());
        assert_eq!((first, second), (version, version * 100), "torn");
        assert_eq!(head.position(), position);
        head
    }

    pub fn bell(&self) -> Bell<'_> {
        Bell { head: &self.head, futex: &self.futex, waiters: Some(&self.waiters) }
    }

    pub fn publish_and_ring(&self, position: u64) {
        self.publish(position, STEPS);
        if self.bell().ring() {
            self.wake();
        }
    }

    pub fn wake(&self) {
        drop(self.queue.lock().unwrap());
        self.wake_up.notify_all();
    }

    /// Sleeps until the head differs from `seen`. A lost wake-up is a deadlock, which loom reports.
    pub fn wait(&self, seen: Head) {
        while let Some(value) = self.bell().prepare(seen) {
            let queue = self.queue.lock().unwrap();
            if self.futex.load(std::sync::atomic::Ordering::Relaxed) == value {
                drop(self.wake_up.wait(queue).unwrap());
            }
        }
    }
}

/// Largest number of preemptions per execution.
const PREEMPTIONS: usize = 3;

pub fn model(body: impl Fn() + Sync + Send + 'static) {
    bounded(PREEMPTIONS, body);
}

pub fn bounded(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new(); // reads the environment
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(body);
}

/// Steps of a publication.
pub const STEPS: u32 = 5;

/// The head of a position.
pub fn at(position: u64) -> Head {
    Head::of(Position(position))
}
