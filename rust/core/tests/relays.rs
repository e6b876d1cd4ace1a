//! Learners and relays that are killed and restarted: the envs of the other node see whole snapshots, under the learner's
//! numbers, and never go back to an older one.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;
#[path = "fuzz/targets/input.rs"]
#[allow(dead_code, reason = "the fuzzers make their values from bytes")]
mod input;
mod node;
#[path = "fuzz/targets/value.rs"]
#[allow(dead_code, reason = "as above")]
mod value;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use common::{Child, Place, fork, until, watchdog};
use node::{Node, Publisher, deliver, info, seed_of};
use traincast_core::error::Error;
use traincast_core::numbering::Stamp;
use traincast_core::writer::{Delivery, Leftover};

/// Publishes as fast as possible; seeds only grow, also from one learner to the next.
fn learner(place: &Place, first: u64, leftover: Leftover) -> Child {
    fork(|| {
        let mut writer = place.try_writer(leftover).unwrap();
        let mut publisher = Publisher::default();
        for seed in first.. {
            // Structures repeat a few times, so that they are known by id; and each life begins with another one.
            publisher.publish(&mut writer, &info(seed / 3 * 5 + first % 5)).unwrap();
            std::thread::sleep(Duration::from_micros(50));
        }
        0
    })
}

/// Carries snapshots from one node to the other.
fn relay(here: &Place, there: &Place) -> Child {
    fork(|| {
        let mut source = Node::attach(here);
        let mut writer = there.writer();
        loop {
            match deliver(&mut writer, &source.message()) {
                Ok(Delivery::Published(_) | Delivery::Known(_)) => {}
                // The learner has restarted between two reads of this relay: its new term will arrive.
                Err(Error::Outdated { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            source.reader.waiter().wait(Duration::from_millis(1));
        }
    })
}

/// What was seen on both nodes: a stamp means a single snapshot.
#[derive(Default)]
struct Seen(HashMap<Stamp, u64>);

impl Seen {
    fn look(&mut self, node: &mut Node, last: &mut Stamp) -> bool {
        let Some((stamp, value)) = node.read() else { return false };
        let seed = seed_of(&value);
        assert!(stamp > *last, "{stamp} after {last}");
        *last = stamp;
        let known = *self.0.entry(stamp).or_insert(seed);
        assert_eq!(known, seed, "{stamp} is two snapshots");
        true
    }
}

#[test]
fn restarts_of_relay_and_learner_change_no_value_and_mix_no_shapes() {
    watchdog();
    let (here, there) = (Place::new(), Place::new());
    let (mut seen, mut lasts) = (Seen::default(), [Stamp::default(); 2]);
    let (mut learning, mut relaying) = (learner(&here, 1, Leftover::Continue), relay(&here, &there));
    let (mut learner_node, mut env) = (Node::attach(&here), Node::attach(&there));
    for round in 1..=60_u64 {
        let mut news = 0;
        while news < 20 {
            seen.look(&mut learner_node, &mut lasts[0]);
            news += u32::from(seen.look(&mut env, &mut lasts[1]));
        }
        if round % 3 == 0 {
            learning.kill();
            // Some learners continue the channel (another epoch), and some start again (another term).
            let leftover = if round % 2 == 0 { Leftover::Continue } else { Leftover::Replace };
            learning = learner(&here, round * 1_000_000, leftover);
        } else {
            relaying.kill();
            relaying = relay(&here, &there);
        }
    }
    let lives: BTreeSet<_> = seen.0.keys().map(|stamp| stamp.term).collect();
    assert!(lives.len() > 5 && seen.0.keys().any(|stamp| stamp.epoch.get() > 1));
}

#[test]
fn a_restarted_relay_knows_what_its_predecessor_delivered() {
    let (here, there) = (Place::new(), Place::new());
    let mut learner = here.writer();
    let mut publisher = Publisher::default();
    publisher.publish(&mut learner, &info(1)).unwrap();
    let mut source = Node::attach(&here);
    let first = source.message();
    for epoch in 1..5 {
        let message = source.message();
        let child = fork(|| {
            let mut writer = there.writer();
            let wanted = if epoch == 1 { Delivery::Published } else { Delivery::Known };
            let version = source.out.meta.stamp.version;
            assert_eq!(deliver(&mut writer, &message).unwrap(), wanted(version));
            std::mem::forget(writer); // as if killed
            0
        });
        assert_eq!(child.join(), 0);
    }
    let mut env = Node::attach(&there);
    assert_eq!(env.read().unwrap().0, source.out.meta.stamp, "relays have no epoch of their own");
    // Its successor publishes the next snapshot into a new file, and the env follows.
    publisher.publish(&mut learner, &info(2)).unwrap();
    let second = source.message();
    let mut writer = there.writer();
    assert_eq!(deliver(&mut writer, &second).unwrap(), Delivery::Published(source.out.meta.stamp.version));
    assert!(matches!(deliver(&mut writer, &first), Err(Error::Outdated { .. })));
    until(|| {
        env.read().is_some_and(|(stamp, value)| {
            assert_eq!(stamp, source.out.meta.stamp);
            seed_of(&value) == 2
        })
    });
}

/// Both learners number their shapes from 1, and so do both relays.
#[test]
fn the_same_id_for_another_shape_is_not_mistaken_for_the_same_shape() {
    let (here, there) = (Place::new(), Place::new());
    let mut env = None;
    let mut source = None;
    for life in 1..=6_u64 {
        let child = fork(|| {
            let mut learner = here.writer();
            // One structure in each life: it has id 1 in all of them.
            for seed in [5 * life + life % 5, 5 * (life + 100) + life % 5] {
                Publisher::default().publish(&mut learner, &info(seed)).unwrap();
            }
            std::mem::forget(learner);
            0
        });
        assert_eq!(child.join(), 0);
        let source = source.get_or_insert_with(|| Node::attach(&here));
        until(|| source.read().is_some());
        let message = source.message();
        let child = fork(|| {
            let mut relay = there.writer();
            assert!(matches!(deliver(&mut relay, &message), Ok(Delivery::Published(_))));
            std::mem::forget(relay);
            0
        });
        assert_eq!(child.join(), 0);
        let env = env.get_or_insert_with(|| Node::attach(&there));
        until(|| env.read().is_some_and(|(_, value)| seed_of(&value) == 5 * (life + 100) + life % 5));
    }
}
