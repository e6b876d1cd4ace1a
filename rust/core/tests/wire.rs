//! Snapshots in wire form: a snapshot arrives on another node as it was published, with the same numbers, or is refused.
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

use common::{Place, channel};
use node::{Node, Publisher, deliver, info, mend, seed_of};
use traincast_core::error::Error;
use traincast_core::inspect::{Link, list};
use traincast_core::layout::WORD;
use traincast_core::numbering::{Epoch, Version};
use traincast_core::snapshot::shape::{Dtype, Kind};
use traincast_core::snapshot::wire::{Message, encode, word};
use traincast_core::writer::{Delivery, Writer, WriterOptions};

/// A message of the snapshot with this seed, and its bytes.
fn message(seed: u64) -> Vec<u8> {
    let place = Place::new();
    let mut writer = place.writer();
    Publisher::default().publish(&mut writer, &info(seed)).unwrap();
    Node::attach(&place).message()
}

fn with_word(message: &[u8], index: usize, value: u64) -> Vec<u8> {
    let mut message = message.to_vec();
    message[index * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
    mend(&mut message);
    message
}

#[test]
fn a_snapshot_arrives_under_its_own_numbers() {
    let (here, there) = (Place::new(), Place::new());
    let (mut learner, mut relay) = (here.writer(), there.writer());
    let mut publisher = Publisher::default();
    learner.resume_at(Version(40), Epoch(6)).unwrap();
    publisher.publish(&mut learner, &info(1)).unwrap();
    let (mut source, mut env) = (Node::attach(&here), None);
    for seed in 2..40 {
        let version = publisher.publish(&mut learner, &info(seed)).unwrap();
        let message = source.message();
        assert_eq!(deliver(&mut relay, &message).unwrap(), Delivery::Published(Version(version)));
        let env = env.get_or_insert_with(|| Node::attach(&there));
        let (stamp, value) = env.read().unwrap();
        assert_eq!((stamp, seed_of(&value)), (source.out.meta.stamp, seed));
        assert_eq!((stamp.epoch, stamp.version), (Epoch(7), Version(version)));
        assert_eq!(env.out.meta.published_unix_ns, source.out.meta.published_unix_ns);
        assert_eq!(env.reader.origin(), source.reader.origin());
        assert_eq!((env.reader.link(), source.reader.link()), (Link::Live, Link::Local));
        // The message from there is the same, except for the time at which it arrived.
        let (first, again) = (Message::parse(&message).unwrap(), Message::parse(&env.message()).unwrap());
        assert!(again.published_ns >= first.published_ns);
        assert_eq!((again.stamp, &again.origin), (first.stamp, &first.origin));
        assert_eq!(again.published_unix_ns, first.published_unix_ns);
        let mut second = env.message();
        second[word::PUBLISHED * WORD..][..WORD].copy_from_slice(&first.published_ns.to_le_bytes());
        mend(&mut second);
        assert_eq!(second, message);
    }
    let origin = source.reader.origin();
    assert_eq!(origin.pid, u64::from(std::process::id()));
    assert_eq!(list(&there.directory).unwrap()[0].origin, (origin.host, origin.pid));
}

#[test]
fn a_writer_gives_the_message_that_its_readers_get() {
    let place = Place::new();
    let mut learner = place.writer();
    assert_eq!(learner.wire().unwrap(), None);
    let mut publisher = Publisher::default();
    for seed in 0..40 {
        publisher.publish(&mut learner, &info(seed)).unwrap();
        let message = Node::attach(&place).message();
        assert_eq!(learner.wire().unwrap().as_ref(), Some(&message));
        // The snapshot from a message is complete.
        let parsed = Message::parse(&message).unwrap();
        let origin = parsed.origin.clone();
        assert_eq!(encode(&parsed.into_snapshot(), &origin), message);
    }
}

#[test]
fn a_message_that_comes_twice_is_known_and_an_older_one_is_outdated() {
    let (here, there) = (Place::new(), Place::new());
    let (mut learner, mut relay) = (here.writer(), there.writer());
    let mut publisher = Publisher::default();
    let mut messages = Vec::new();
    for seed in 1..=3 {
        publisher.publish(&mut learner, &info(seed)).unwrap();
        messages.push(Node::attach(&here).message());
    }
    assert_eq!(deliver(&mut relay, &messages[1]).unwrap(), Delivery::Published(Version(2)));
    for _ in 0..3 {
        assert_eq!(deliver(&mut relay, &messages[1]).unwrap(), Delivery::Known(Version(2)));
        let error = deliver(&mut relay, &messages[0]).unwrap_err();
        assert!(
            matches!(error, Error::Outdated { .. }) && error.to_string().contains("version 2"),
            "{error}"
        );
        assert_eq!(seed_of(&Node::attach(&there).read().unwrap().1), 2);
    }
    assert_eq!(deliver(&mut relay, &messages[2]).unwrap(), Delivery::Published(Version(3)));
    let mut env = Node::attach(&there);
    assert_eq!(seed_of(&env.read().unwrap().1), 3);
    assert!(matches!(deliver(&mut relay, &messages[1]), Err(Error::Outdated { .. })));
    assert!(env.read().is_none());
    // A later epoch and a later term are newer, whatever the versions are.
    let later = [
        with_word(&messages[0], word::EPOCH, 2),
        with_word(
            &messages[0],
            word::TERM,
            u64::from_le_bytes(*messages[0][32..].first_chunk().unwrap()) + 1,
        ),
    ];
    for message in later {
        assert_eq!(deliver(&mut relay, &message).unwrap(), Delivery::Published(Version(1)));
        assert_eq!(seed_of(&env.read().unwrap().1), 1);
        assert!(matches!(deliver(&mut relay, &messages[2]), Err(Error::Outdated { .. })));
    }
}

/// If the version chose the slot, a jump by a multiple of the ring's length would overwrite the newest snapshot.
#[test]
fn versions_may_jump_by_any_number_within_a_file() {
    let place = Place::new();
    let mut relay = place.writer();
    let base = message(5);
    let mut version = 1;
    deliver(&mut relay, &with_word(&base, word::VERSION, version)).unwrap();
    let mut env = Node::attach(&place);
    env.read().unwrap();
    let key = env.reader.segment_key();
    for jump in [4, 4, 8, 400, 1, 3, 4, 1 << 40] {
        version += jump;
        let position = env.out.meta.position;
        deliver(&mut relay, &with_word(&base, word::VERSION, version)).unwrap();
        let (stamp, value) = env.read().unwrap();
        assert_eq!((stamp.version, seed_of(&value)), (Version(version), 5));
        assert_eq!(env.out.meta.position, position.next());
    }
    assert_eq!(env.reader.segment_key(), key);
}

#[test]
fn the_publish_time_is_the_one_that_the_relay_knows() {
    let place = Place::new();
    let mut relay = place.writer();
    let arrived = Message::parse(&message(5)).unwrap();
    relay.publish_message(&arrived, Some(1_234_567)).unwrap();
    let mut env = Node::attach(&place);
    env.read().unwrap();
    assert_eq!(env.out.meta.published_ns, 1_234_567);
    assert_eq!(env.out.meta.published_unix_ns, arrived.published_unix_ns);
}

#[test]
fn a_message_that_is_too_large_changes_nothing() {
    let place = Place::new();
    let options = WriterOptions { capacity: 4096, max_capacity: 4096, ..WriterOptions::default() };
    let mut relay = Writer::open(&place.directory, channel(), options).unwrap();
    let small = message(3);
    deliver(&mut relay, &small).unwrap();
    let large = {
        let place = Place::new();
        let mut writer = place.writer();
        let mut entries = info(4).entries().to_vec();
        entries[4].1 = value::Value::Bytes(vec![7; 5000]);
        Publisher::default().publish(&mut writer, &value::Value::Dict(entries)).unwrap();
        Node::attach(&place).message()
    };
    let large = with_word(&large, word::TERM, u64::MAX >> 2);
    let large = with_word(&large, word::ORIGIN_PID, 77);
    let mut env = Node::attach(&place);
    let (before, value) = env.read().unwrap();
    for _ in 0..2 {
        let error = deliver(&mut relay, &large).unwrap_err();
        assert!(matches!(error, Error::PayloadTooLarge { .. }), "{error}");
        assert!(env.read().is_none());
        assert_eq!(deliver(&mut relay, &small).unwrap(), Delivery::Known(before.version));
    }
    assert_eq!(seed_of(&value), 3);
    assert_ne!(env.reader.origin().pid, 77);
}

/// A writer that publishes a snapshot of its own continues the numbers of the messages, as after a takeover.
#[test]
fn own_snapshots_are_newer_than_relayed_ones() {
    let place = Place::new();
    let mut relay = place.writer();
    let arrived = message(5);
    deliver(&mut relay, &arrived).unwrap();
    let mut env = Node::attach(&place);
    let (before, _) = env.read().unwrap();
    Publisher::default().publish(&mut relay, &info(6)).unwrap();
    until_read(&mut env, 6);
    let stamp = env.out.meta.stamp;
    assert!(stamp > before && stamp.epoch == before.epoch.next() && stamp.version == before.version.next());
    assert!(matches!(deliver(&mut relay, &arrived), Err(Error::Outdated { .. })));
    assert_eq!(env.reader.link(), Link::Local);
}

fn until_read(env: &mut Node, seed: u64) {
    common::until(|| env.read().is_some_and(|(_, value)| seed_of(&value) == seed));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let whole = message(9);
    let parsed = Message::parse(&whole).unwrap();
    assert_eq!(parsed.stamp.version, Version(1));
    let mut damaged = whole.clone();
    for bit in 0..whole.len() * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Message::parse(&damaged).is_err(), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    for len in 0..whole.len() {
        assert!(Message::parse(&whole[..len]).is_err(), "{len} bytes");
        // With a length and a checksum that fit.
        let mut cut = whole[..len].to_vec();
        if len >= (word::CHECKSUM + 1) * WORD {
            mend(&mut cut);
        }
        assert!(Message::parse(&cut).is_err(), "{len} bytes, mended");
    }
    for more in [1, 7, 8, 64] {
        let mut longer = [&whole[..], &vec![0; more]].concat();
        assert!(Message::parse(&longer).is_err());
        mend(&mut longer);
        assert!(Message::parse(&longer).is_err(), "{more} bytes more");
    }
}

/// A message with the right checksum may say anything that can be read.
#[test]
fn a_flipped_bit_under_a_right_checksum_is_refused_or_read_as_it_came() {
    let whole = message(9);
    let (mut refused, mut read) = (0, 0);
    for bit in 0..whole.len() * 8 {
        let mut mended = whole.clone();
        mended[bit / 8] ^= 1 << (bit % 8);
        mend(&mut mended);
        let Ok(parsed) = Message::parse(&mended) else {
            refused += 1;
            continue;
        };
        read += 1;
        if bit % 7 == 0 {
            let place = Place::new();
            let mut relay = place.writer();
            relay.publish_message(&parsed, None).unwrap();
            let mut env = Node::attach(&place);
            let (stamp, _) = env.read().unwrap();
            assert_eq!(stamp, parsed.stamp, "bit {bit}");
            let again = env.message();
            assert_eq!(again[word::PAYLOAD * WORD..], mended[word::PAYLOAD * WORD..], "bit {bit}");
            assert_eq!(Message::parse(&again).unwrap().origin, parsed.origin, "bit {bit}");
        }
    }
    assert!(refused > 500 && read > 500, "{refused} refused, {read} read");
}

#[test]
fn numbers_that_no_origin_can_have_are_refused() {
    let whole = message(2);
    for (index, value) in [
        (word::FORM, 2),
        (word::MAGIC, 0),
        (word::VERSION, 0),
        (word::VERSION, Version::MAX.get() + 1),
        (word::EPOCH, 0),
        (word::EPOCH, u64::MAX),
        (word::SHAPE_LEN, u64::MAX),
        (word::SHAPE_LEN, 0),
        (word::VALUES_LEN, 1 << 61),
        (word::VALUES_LEN, u64::MAX),
        (word::BLOB_WORDS, u64::MAX - 7),
    ] {
        let refused = Message::parse(&with_word(&whole, index, value));
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("no snapshot in wire form"), "{text}");
    }
    assert!(Message::parse(&[]).is_err() && Message::parse(&[0; 1000]).is_err());
}

#[test]
fn impossible_arrays_are_refused() {
    let arrays: [(&str, usize, &[u64]); 5] = [
        ("|S0", 0, &[1 << 40, 1 << 40]),
        ("|S0", 0, &[1 << 63]),
        ("<f8", 8, &[1 << 62, 0]),
        ("<f8", 8, &[0, 1 << 61, 2]),
        ("<f8", 8, &[0; 65]),
    ];
    for (name, itemsize, dims) in arrays {
        let place = Place::new();
        let mut writer = place.writer();
        let dtype = Dtype { name: name.into(), itemsize };
        let mut entries = info(3).entries().to_vec();
        entries[3].1 = value::Value::Array(Kind::Array, dtype, dims.to_vec(), Vec::new());
        Publisher::default().publish(&mut writer, &value::Value::Dict(entries)).unwrap();
        let refused = Message::parse(&Node::attach(&place).message());
        let text = refused.map(drop).unwrap_err().to_string();
        assert!(text.contains("axes"), "{name} {dims:?}: {text}");
    }
}
