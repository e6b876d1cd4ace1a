//! A newcomer takes a file whose writer has not noticed its loss: with the machine's own atomics.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use traincast_core::numbering::Position;
use traincast_core::ring::handover;
use traincast_core::ring::seqlock::{Head, Ring, RingWriter, load_head};

const SLOTS: usize = 4;
const WORDS: usize = 4;

#[test]
fn a_mark_does_not_undo_an_announcement() {
    let head = AtomicU64::new(Head::of(Position(1)).bits());
    let slots: Vec<_> = (0..SLOTS * WORDS).map(|_| AtomicU64::new(0)).collect();
    let (over, marks_seen) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ring = RingWriter::new(&head, &slots, SLOTS);
            while !over.load(Ordering::Relaxed) {
                ring.mark(Head::SUPERSEDED);
            }
        });
        let reader = scope.spawn(|| {
            let (mut last, mut back) = (Position(0), false);
            while !over.load(Ordering::Relaxed) {
                let head = load_head(&head);
                back |= head.position() < last;
                last = head.position();
                marks_seen.fetch_add(u64::from(head.superseded()), Ordering::Relaxed);
            }
            back
        });
        let ring = RingWriter::new(&head, &slots, SLOTS);
        // On a busy machine the other threads may not have run yet: go on until they have met.
        let enough = |position| position >= 300_000 && marks_seen.load(Ordering::Relaxed) > 0;
        let taken_back = (2..).take_while(|&position| !enough(position)).find(|&position| {
            ring.announce(Position(position));
            load_head(&head).position() != Position(position)
        });
        over.store(true, Ordering::Relaxed);
        assert_eq!(taken_back, None, "a mark undid an announcement");
        assert!(!reader.join().unwrap(), "a reader went back");
    });
}

/// loom shows it for every order of a few steps; here there are millions of them.
#[test]
fn after_a_file_was_taken_its_writer_stores_at_most_one_more_snapshot() {
    for round in 0..500 {
        let (head, taken) = (AtomicU64::new(Head::of(Position(1)).bits()), AtomicU64::new(0));
        let slots: Vec<_> = (0..SLOTS * WORDS).map(|_| AtomicU64::new(0)).collect();
        let ready = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let old = scope.spawn(|| {
                let ring = RingWriter::new(&head, &slots, SLOTS);
                let mut position = 1;
                while !handover::is_taken(&taken, 0) {
                    position += 1;
                    let slot = ring.begin(Position(position));
                    (1..WORDS).for_each(|word| slot.put(word, position));
                    slot.finish();
                    ring.announce(Position(position));
                    handover::settle();
                    ready.store(true, Ordering::Relaxed);
                }
                position
            });
            while !ready.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            (0..round % 64).for_each(|_| std::hint::spin_loop());
            let found = handover::take(&taken, &head).1.position();
            let ring = Ring::new(&head, &slots, SLOTS);
            let copy = |position: Position, slot: traincast_core::ring::seqlock::Slot<'_>| {
                (position, [1, 2, 3].map(|word| slot.get(word)))
            };
            if found > Position(1) {
                let (_, (position, words), _) = ring.read(copy).unwrap();
                assert!(position >= found && words == [position.get(); 3]);
            }
            let last = old.join().unwrap();
            assert!(last <= found.get() + 1, "{last} was announced after {found} had been found");
        });
    }
}

/// N4 and T3: the announcement may overwrite the newcomer's mark, and then the old writer sets it again.
#[test]
fn the_mark_of_the_newcomer_stays() {
    for round in 0..500_u64 {
        let (head, taken) = (AtomicU64::new(Head::of(Position(1)).bits()), AtomicU64::new(0));
        let slots: Vec<_> = (0..SLOTS * WORDS).map(|_| AtomicU64::new(0)).collect();
        let ready = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let ring = RingWriter::new(&head, &slots, SLOTS);
                let mut position = 1;
                while !handover::is_taken(&taken, 0) {
                    position += 1;
                    ring.announce(Position(position));
                    handover::settle();
                    ready.store(true, Ordering::Relaxed);
                }
                ring.mark(Head::SUCCEEDED);
            });
            while !ready.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            (0..round % 64).for_each(|_| std::hint::spin_loop());
            handover::take(&taken, &head);
            RingWriter::new(&head, &slots, SLOTS).mark(Head::SUCCEEDED);
        });
        assert!(load_head(&head).ended());
    }
}
