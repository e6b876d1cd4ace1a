//! One relay for each channel and node, and the channel after the relay leaves it or takes it from a learner that has lost.
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

use std::fs;

use common::{Place, channel, fork};
use node::{Node, Publisher, deliver, info, seed_of};
use traincast_core::directory::Places;
use traincast_core::error::Error;
use traincast_core::inspect::{Link, leftovers, list, remove_leftover};
use traincast_core::numbering::Version;
use traincast_core::relay::{RelayLock, displace, serve};
use traincast_core::snapshot::wire::Origin;
use traincast_core::writer::Delivery;

fn places(place: &Place) -> Places {
    Places::from(&place.directory)
}

fn served(place: &Place) -> RelayLock {
    serve(&places(place), &channel()).unwrap()
}

fn winner() -> Origin {
    Origin { host: "other-host".into(), pid: 77 }
}

/// Messages of a learner on another node.
fn messages(seeds: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    let place = Place::new();
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    let mut made = Vec::new();
    for seed in seeds {
        publisher.publish(&mut writer, &info(seed)).unwrap();
        made.push(Node::attach(&place).message());
    }
    made
}

#[test]
fn a_node_has_one_relay_and_another_can_start_when_it_is_killed() {
    let place = Place::new();
    let relay = fork(|| {
        let _lock = served(&place);
        place.raise("locked");
        std::thread::sleep(std::time::Duration::from_secs(3600));
        0
    });
    place.wait_for("locked");
    match serve(&places(&place), &channel()) {
        Err(Error::ChannelBusy { holder, .. }) => {
            assert!(holder.contains(&relay.pid.to_string()), "{holder}")
        }
        other => panic!("{other:?}"),
    }
    relay.kill();
    let lock = served(&place);
    assert!(
        matches!(serve(&places(&place), &channel()), Err(Error::ChannelBusy { .. })),
        "also in one process"
    );
    lock.release();
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn a_relay_notices_that_its_file_was_removed_and_that_another_one_came() {
    let place = Place::new();
    let mut lock = served(&place);
    lock.keep().unwrap();
    fs::remove_file(place.path("run@3.relay")).unwrap();
    lock.keep().unwrap();
    assert!(place.path("run@3.relay").exists());
    fs::remove_file(place.path("run@3.relay")).unwrap();
    let other = fork(|| {
        let _lock = served(&place);
        place.raise("came");
        std::thread::sleep(std::time::Duration::from_secs(3600));
        0
    });
    place.wait_for("came");
    assert!(matches!(lock.keep(), Err(Error::ChannelBusy { .. })));
    other.kill();
}

/// Others find its status, and it does so itself, although it must not open the file that it has locked.
#[test]
fn the_status_of_a_relay_is_listed_while_it_lives() {
    let place = Place::new();
    let mut writer = place.writer();
    let lock = served(&place);
    deliver(&mut writer, &messages(1..2)[0]).unwrap();
    let tree = format!(r#"{{"tree":"{}"}}"#, "x".repeat(100_000));
    for status in [r#"{"via":"a longer one"}"#.into(), "{}".into(), tree, "{}".to_owned()] {
        lock.announce(&status).unwrap();
        assert_eq!(list(&place.directory).unwrap()[0].relay.as_deref(), Some(&*status));
        let other = fork(|| {
            let seen = list(&place.directory).unwrap();
            i32::from(seen[0].relay.as_deref() != Some(&*status))
        });
        assert_eq!(other.join(), 0);
    }
    let other =
        fork(|| i32::from(!matches!(serve(&places(&place), &channel()), Err(Error::ChannelBusy { .. }))));
    assert_eq!(other.join(), 0, "the lock is still held");
    lock.announce(&"x".repeat(2 << 20)).unwrap();
    assert_eq!(list(&place.directory).unwrap()[0].relay.as_ref().map(String::len), Some(1 << 20));
    lock.release();
    assert_eq!(list(&place.directory).unwrap()[0].relay, None);
}

#[test]
fn a_relay_leaves_a_channel_to_its_readers_and_to_the_next_writer() {
    for link in [Link::LearnerLost, Link::LinkLost] {
        let place = Place::new();
        let lock = served(&place);
        let messages = messages(1..4);
        let mut relay = place.writer();
        deliver(&mut relay, &messages[0]).unwrap();
        let mut env = Node::attach(&place);
        assert_eq!(seed_of(&env.read().unwrap().1), 1);
        assert!(env.reader.writer_alive().unwrap());
        relay.leave(link);
        assert_eq!(env.reader.link(), link);
        assert!(!env.reader.writer_alive().unwrap() && !env.reader.closed() && env.reader.served().unwrap());
        assert!(matches!(deliver(&mut relay, &messages[1]), Err(Error::ChannelClosed { .. })));
        assert!(leftovers(&place.directory).unwrap().is_empty(), "its relay lives");
        assert!(!remove_leftover(&place.directory, &place.path("run@3")).unwrap());

        // The relay hears from the learner again, which has published nothing in the meantime: alive again, but no news.
        let mut relay = place.writer();
        assert_eq!(deliver(&mut relay, &messages[0]).unwrap(), Delivery::Published(Version(1)));
        assert!(env.read().is_none() && env.reader.writer_alive().unwrap());
        assert_eq!(deliver(&mut relay, &messages[0]).unwrap(), Delivery::Known(Version(1)));
        assert!(matches!(deliver(&mut relay, &messages[2]).unwrap(), Delivery::Published(_)));
        assert_eq!(seed_of(&env.read().unwrap().1), 3);
        relay.leave(link);

        // The learner comes back on this node: the epoch grows by 1, and versions go on.
        let before = env.reader.newest().unwrap().stamp;
        let mut learner = place.writer();
        Publisher::default().publish(&mut learner, &info(4)).unwrap();
        let after = env.read().unwrap().0;
        assert_eq!((after.term, after.epoch), (before.term, before.epoch.next()));
        assert!(after.version > before.version && env.reader.writer_alive().unwrap());
        assert_eq!(env.reader.link(), Link::Local);
        lock.release();
    }
}

#[test]
fn a_channel_that_its_learner_closed_ends_here_too() {
    let place = Place::new();
    let mut relay = place.writer();
    deliver(&mut relay, &messages(1..2)[0]).unwrap();
    let mut env = Node::attach(&place);
    relay.leave(Link::LearnerClosed);
    assert!(env.reader.closed() && !env.reader.writer_alive().unwrap());
    assert_eq!(seed_of(&env.read().unwrap().1), 1);
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn a_second_learner_is_told_where_the_first_one_is() {
    let place = Place::new();
    let mut relay = place.writer();
    let message = messages(1..2).remove(0);
    let origin = traincast_core::snapshot::wire::Message::parse(&message).unwrap().origin;
    deliver(&mut relay, &message).unwrap();
    let other = fork(|| match place.try_writer(traincast_core::writer::Leftover::Continue) {
        Err(Error::ChannelBusy { holder, .. }) => {
            i32::from(!holder.contains(&format!("process {} on {}", origin.pid, origin.host)))
        }
        _ => 2,
    });
    assert_eq!(other.join(), 0);
}

/// The learner has the lock until its next publish; then the relay gets it, and the envs see the winner's snapshots.
#[test]
fn a_learner_that_has_lost_is_told_who_has_won_at_its_next_publish() {
    let place = Place::new();
    assert!(!displace(&places(&place), &channel(), &winner()).unwrap(), "nothing to take");
    let loser = fork(|| {
        let (mut writer, mut publisher) = (place.writer(), Publisher::default());
        publisher.publish(&mut writer, &info(1)).unwrap();
        place.raise("publishes");
        place.wait_for("displaced");
        let status = match publisher.publish(&mut writer, &info(2)) {
            Err(Error::ChannelLost { reason, .. }) => i32::from(!reason.contains("process 77 on other-host")),
            _ => 2,
        };
        place.raise("lost");
        place.wait_for("taken");
        status
    });
    place.wait_for("publishes");
    let mut env = Node::attach(&place);
    assert!(displace(&places(&place), &channel(), &winner()).unwrap());
    assert!(
        matches!(place.try_writer(Default::default()), Err(Error::ChannelBusy { .. })),
        "it has not published"
    );
    assert!(displace(&places(&place), &channel(), &winner()).unwrap(), "a second call does no harm");
    assert_eq!(seed_of(&env.read().unwrap().1), 1);
    place.raise("displaced");
    place.wait_for("lost");
    let mut relay = place.writer();
    // The winner's term is later, because its channel began later.
    deliver(&mut relay, &messages(7..8)[0]).unwrap();
    assert_eq!(seed_of(&env.read().unwrap().1), 7);
    assert!(env.reader.writer_alive().unwrap());
    place.raise("taken");
    assert_eq!(loser.join(), 0);
}
