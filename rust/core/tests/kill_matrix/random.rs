//! Kills at random moments, for what no list of steps covers.

use std::time::{Duration, Instant};

use traincast_core::inspect;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::Leftover;

use crate::common::{Place, Sample, fork, verify};
use crate::witness::Witness;

/// Kills `kills` processes, every fifth of them a reader.
pub fn kill(kills: u64) {
    let start = Instant::now();
    let place = Place::new();
    let mut witness = Witness::default();
    let (mut random, mut seed) = (0x9e37_79b9_7f4a_7c15_u64, 0_u64);
    let (mut slowest, mut published) = (Duration::ZERO, 0);
    for round in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let life = Duration::from_nanos(random >> 33 & 0x1f_ffff); // up to 2 ms
        if round % 5 == 4 {
            read_and_be_killed(&place, life, &mut seed);
            continue;
        }
        // Seeds only grow: each writer begins above all seeds that the previous one can have published.
        seed += 1 << 32;
        let (base, leftover) = (seed, if round % 7 == 6 { Leftover::Replace } else { Leftover::Continue });
        let child = fork(|| {
            let mut seed = base;
            loop {
                let mut writer = place.try_writer(leftover).unwrap();
                for step in 0..200 {
                    seed += 1;
                    let blob = if step == 50 { 100_000 } else { seed as usize % 2000 };
                    Sample::new(seed, seed % 3 + 1, 8, blob).publish(&mut writer).unwrap();
                }
            }
        });
        let end = Instant::now() + life;
        while Instant::now() < end {
            witness.attach(&place);
            published += u64::from(witness.look());
        }
        child.kill();
        witness.look();
        if round % 50 == 0 {
            let begin = Instant::now();
            let mut writer = place.writer();
            slowest = slowest.max(begin.elapsed());
            seed += 1 << 32;
            Sample::new(seed, 1, 8, 0).publish(&mut writer).unwrap();
            witness.attach(&place);
            witness.look_until_news();
            assert_eq!(witness.seed, seed);
            std::mem::drop(writer);
            assert_eq!(place.files(), [""; 0]);
        }
    }
    assert!(slowest < Duration::from_secs(1), "taking over took {slowest:?}");
    for file in inspect::leftovers(&place.directory).unwrap() {
        inspect::remove_leftover(&place.directory, &file.path).unwrap();
    }
    assert_eq!(place.files(), [""; 0], "clean has left something");
    println!(
        "{kills} kills at random moments in {:.1} s; {published} snapshots verified meanwhile, slowest take-over \
         {slowest:.2?}, slowest read {:.2?}",
        start.elapsed().as_secs_f64(),
        witness.slowest
    );
}

fn read_and_be_killed(place: &Place, life: Duration, seed: &mut u64) {
    *seed += 1 << 32;
    let mut writer = place.writer();
    let mut publish = || {
        *seed += 1;
        Sample::new(*seed, 1, 8, 0).publish(&mut writer).unwrap()
    };
    publish();
    let child = fork(|| {
        let mut out = Snapshot::default();
        loop {
            let mut reader = place.reader();
            if reader.read_into(&mut out).unwrap() {
                verify(&out);
            }
            reader.waiter().wait(Duration::from_micros(50));
        }
    });
    let end = Instant::now() + life;
    while Instant::now() < end {
        publish();
    }
    child.kill();
    publish();
}
