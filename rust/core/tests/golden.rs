//! Files and messages of layout 2 from the day on which it was fixed: each later version reads them and writes the same bytes.
//! And a file of layout 1, which is refused with its version.
//!
//! `GOLDEN=write cargo test -p traincast-core --test golden` writes `tests/golden/layout-2` again. Only for a layout that is not
//! released yet: afterwards a difference means that older programs read wrong values.
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

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Place, channel, fork};
use node::{Node, Publisher, deliver, info, mend, seed_of};
use traincast_core::error::Error;
use traincast_core::inspect::{Link, Status, list};
use traincast_core::layout::{HEADER_WORDS, PAGE, SLOTS, WORD, header, owner, roster, slot};
use traincast_core::numbering::{Epoch, Position, ShapeKey, Stamp, Term, Version};
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::wire::{Message, Origin, word};
use traincast_core::writer::{Leftover, WriterOptions};

fn folder(layout: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(layout)
}

fn golden(file: &str) -> Vec<u8> {
    fs::read(folder("layout-2").join(file)).unwrap()
}

/// Copies files into a place, with the user's permissions.
fn put(place: &Place, layout: &str, files: &[&str]) {
    for file in files {
        fs::copy(folder(layout).join(file), place.path(file)).unwrap();
        fs::set_permissions(place.path(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

const FILES: [&str; 7] =
    ["run@3", "run@3.owner", "run@3.roster", "relayed@0", "closed@65535", "first.message", "fifth.message"];

// Their content.
const TERM: u64 = 0x0011_2233_4455_6677;
const CREATED: u64 = 1_700_000_000_000_000_000;
const PID: u64 = 4711;
const NONCE: u64 = 0x0123_4567_89ab_cdef;
const ORIGIN: (&str, u64) = ("learner-7.example", 4242);
/// Versions of the five snapshots, with jumps, one of them by the length of the ring.
const VERSIONS: [u64; 5] = [1, 2, 6, 7, 1 << 40];

fn published_ns(position: u64) -> u64 {
    1_000_000 * position
}

fn published_unix_ns(position: u64) -> u64 {
    CREATED + published_ns(position)
}

fn set(bytes: &mut [u8], index: usize, value: u64) {
    bytes[index * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
}

fn get(bytes: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(*bytes[index * WORD..].first_chunk().unwrap())
}

/// Sets the words that differ between runs and machines.
fn settle_segment(bytes: &mut [u8]) {
    let fixed =
        [(header::CREATED, CREATED), (header::PID, PID), (header::STARTED, 33), (header::NONCE, NONCE)];
    let namespaces = [(header::PID_NAMESPACE, 44), (header::TIME_NAMESPACE, 55), (header::LINK_SINCE, 66)];
    for (index, value) in fixed.into_iter().chain(namespaces).chain([(header::ORIGIN_PID, ORIGIN.1)]) {
        set(bytes, index, value);
    }
    let host = &mut bytes[header::ORIGIN_HOST * WORD..][..64];
    host.fill(0);
    host[..ORIGIN.0.len()].copy_from_slice(ORIGIN.0.as_bytes());
    for index in 0..SLOTS {
        let start = HEADER_WORDS + index * PAGE / WORD;
        let position = get(bytes, start + slot::POSITION);
        set(bytes, start + slot::TERM, TERM);
        set(bytes, start + slot::PUBLISHED, published_ns(position));
        set(bytes, start + slot::PUBLISHED_UNIX, published_unix_ns(position));
    }
}

fn settle_message(message: &mut [u8], position: u64) {
    set(message, word::TERM, TERM);
    set(message, word::PUBLISHED, published_ns(position));
    set(message, word::PUBLISHED_UNIX, published_unix_ns(position));
    set(message, word::ORIGIN_PID, ORIGIN.1);
    let host = &mut message[word::ORIGIN_HOST * WORD..][..64];
    host.fill(0);
    host[..ORIGIN.0.len()].copy_from_slice(ORIGIN.0.as_bytes());
    mend(message);
}

/// The files, written by the present code.
fn make() -> BTreeMap<&'static str, Vec<u8>> {
    let place = Place::new();
    let options = WriterOptions { capacity: PAGE, ..WriterOptions::default() };
    let mut files = BTreeMap::new();
    let mut writer = place.writer_with(options).unwrap();
    let (mut publisher, mut messages) = (Publisher::default(), Vec::new());
    for (position, version) in (1..).zip(VERSIONS) {
        writer.resume_at(Version(version - 1), Epoch(0)).unwrap();
        assert_eq!(publisher.publish(&mut writer, &info(position)).unwrap(), version);
        let mut message = Node::attach(&place).message();
        settle_message(&mut message, position);
        messages.push(message);
    }
    fork(|| {
        let mut reader = place.reader();
        reader.read_into(&mut Snapshot::default()).unwrap();
        std::mem::forget(reader);
        0
    })
    .join();
    let mut segment = fs::read(place.path("run@3")).unwrap();
    settle_segment(&mut segment);
    files.insert("run@3", segment);
    let mut record = fs::read(place.path("run@3.owner")).unwrap();
    for (index, value) in
        [(owner::PID, PID), (owner::STARTED, 33), (owner::PID_NAMESPACE, 44), (owner::IMAGE, 77)]
    {
        set(&mut record, index, value);
    }
    set(&mut record, owner::NONCE, NONCE);
    let check = (0..owner::CHECK).fold(0, |check, index| check ^ get(&record, index));
    set(&mut record, owner::CHECK, check);
    files.insert("run@3.owner", record);
    let mut lines = fs::read(place.path("run@3.roster")).unwrap();
    let line = roster::LINES;
    assert_ne!(get(&lines, line + roster::OWNER), 0);
    let fixed =
        [(roster::OWNER, NONCE), (roster::PID, 8128), (roster::STARTED, 88), (roster::PID_NAMESPACE, 44)];
    for (index, value) in fixed {
        set(&mut lines, line + index, value);
    }
    set(&mut lines, line + roster::PUBLISHED, published_ns(5));
    files.insert("run@3.roster", lines);

    let name = |name: &str, policy: u16| traincast_core::directory::ChannelName::new(name, policy).unwrap();
    let mut relay =
        traincast_core::writer::Writer::open(&place.directory, name("relayed", 0), options).unwrap();
    for message in &messages[3..] {
        deliver(&mut relay, message).unwrap();
    }
    let mut segment = fs::read(place.path("relayed@0")).unwrap();
    settle_segment(&mut segment);
    files.insert("relayed@0", segment);

    let other = name("closed", 65535);
    let mut closing = traincast_core::writer::Writer::open(&place.directory, other.clone(), options).unwrap();
    Publisher::default().publish(&mut closing, &info(9)).unwrap();
    let kept = fs::File::open(place.path("closed@65535")).unwrap(); // no lock file: closing it does no harm
    closing.close();
    let mut segment = Vec::new();
    std::io::Read::read_to_end(&mut &kept, &mut segment).unwrap();
    settle_segment(&mut segment);
    files.insert("closed@65535", segment);
    files.insert("fifth.message", messages.pop().unwrap());
    files.insert("first.message", messages.swap_remove(0));
    files
}

#[test]
fn the_files_are_written_as_when_the_layout_was_made() {
    let made = make();
    assert!(made.keys().copied().eq({
        let mut names = FILES;
        names.sort_unstable();
        names
    }));
    for (name, bytes) in made {
        if std::env::var("GOLDEN").as_deref() == Ok("write") {
            fs::create_dir_all(folder("layout-2")).unwrap();
            fs::write(folder("layout-2").join(name), bytes).unwrap();
            continue;
        }
        let golden = golden(name);
        let first = golden.iter().zip(&bytes).position(|(golden, made)| golden != made);
        assert_eq!(
            (golden.len(), None),
            (bytes.len(), first.map(|at| at / WORD)),
            "{name}: length, first word"
        );
    }
}

/// The offsets are literals: if a constant changed, older programs would look elsewhere.
#[test]
fn the_words_are_where_the_documentation_says() {
    let segment = golden("run@3");
    assert_eq!(&segment[..8], b"traincst");
    let word = |index: usize| get(&segment, index);
    assert_eq!([1, 2, 3, 4, 5, 6].map(word), [2, 20_480, 4096, 4, 1, CREATED]);
    assert_eq!((word(7), &segment[64..70]), (3 | 3 << 32, &b"run\0\0\0"[..]));
    assert_eq!([64, 66].map(word), [5 << 2, 0]);
    assert_eq!([80, 81, 82, 83, 84, 85].map(word), [PID, 33, 44, 55, NONCE, 1]);
    assert_eq!([96, 97, 98].map(word), [ORIGIN.1, 0, 66]);
    assert_eq!(&segment[104 * 8..][..ORIGIN.0.len()], ORIGIN.0.as_bytes());
    // Position 5 is in slot 1.
    let slot = |index: usize| get(&segment, 512 + 512 + index);
    assert_eq!([0, 1, 2, 3, 4].map(slot), [12, 5, TERM, 1, 1 << 40]);
    assert_eq!([5, 6, 7].map(slot), [published_ns(5), published_unix_ns(5), 1]);
    let [shape, values, blobs] = [9, 10, 11].map(slot);
    let parts = 16 + shape.div_ceil(8) + values + blobs;
    assert!(shape > 0 && values > 0 && blobs > 0 && parts <= 512 && slot(12) == 0);

    let record = golden("run@3.owner");
    assert_eq!((&record[..8], record.len()), (&b"trainown"[..], 64));
    assert_eq!([1, 2, 3, 4, 5, 6].map(|index| get(&record, index)), [2, PID, 33, 44, 77, NONCE]);

    let lines = golden("run@3.roster");
    assert_eq!((&lines[..8], lines.len()), (&b"trainros"[..], 4096));
    let line = [1, 8, 16, 17, 18, 19, 20, 21, 22, 23].map(|index| get(&lines, index));
    assert_eq!(line, [2, 0, NONCE, 8128, 88, 44, 1, 5, 1 << 40, published_ns(5)]);

    let message = golden("fifth.message");
    assert_eq!((&message[..8], message.len() % 8), (&b"trainwir"[..], 0));
    let word = |index: usize| get(&message, index);
    assert_eq!([1, 2, 4, 5, 6].map(word), [1, message.len() as u64, TERM, 1, 1 << 40]);
    assert_eq!([7, 8, 9].map(word), [published_ns(5), published_unix_ns(5), ORIGIN.1]);
    assert_eq!([10, 11, 12, 13, 14, 15].map(word), [shape, values, blobs, 0, 0, 0]);
    assert_eq!(word(3), u64::from(crc32fast::hash(&message[32..])));
    assert_eq!(message[24 * 8..], segment[(512 + 512 + 16) * 8..][..(parts as usize - 16) * 8]);
}

#[test]
fn a_segment_is_read_and_taken_over() {
    let place = Place::new();
    put(&place, "layout-2", &["run@3", "run@3.roster", "run@3.owner"]);
    let mut node = Node::attach(&place);
    let (stamp, value) = node.read().unwrap();
    let newest = Stamp { term: Term(TERM), epoch: Epoch(1), version: Version(1 << 40) };
    assert_eq!((stamp, seed_of(&value)), (newest, 5));
    let meta = node.out.meta;
    assert_eq!((meta.position, meta.shape.takeover), (Position(5), 1));
    assert_ne!(meta.shape, ShapeKey::default());
    assert_eq!((meta.published_ns, meta.published_unix_ns), (published_ns(5), published_unix_ns(5)));
    assert_eq!(node.reader.origin(), Origin { host: ORIGIN.0.into(), pid: ORIGIN.1 });
    assert_eq!(node.reader.link(), Link::Local);
    assert!(!node.reader.closed() && !node.reader.writer_alive().unwrap());
    let info_of = &list(&place.directory).unwrap()[0];
    assert_eq!(
        (&info_of.status, info_of.version, info_of.epoch, info_of.term),
        (&Status::Dead, 1 << 40, 1, TERM)
    );
    assert_eq!((info_of.generation, info_of.capacity, info_of.writer_pid), (1, 4096, PID as u32));
    assert!((info_of.created - CREATED as f64 / 1e9).abs() < 1e-3);
    let listed = info_of.readers.iter().find(|reader| reader.pid == 8128).unwrap();
    assert!(!listed.alive && listed.elsewhere);
    assert_eq!((listed.generation, listed.version, listed.published_ns), (1, 1 << 40, published_ns(5)));
    // The record names the owner: the process that holds the lock is this test.
    let holder = fork(|| {
        let mut options = fs::File::options();
        let lock = options.create_new(true).read(true).write(true).mode(0o600).open(place.path("run@3.lock"));
        common::machine::lock(lock.as_ref().unwrap(), 0..1);
        place.raise("locked");
        std::thread::sleep(Duration::from_secs(3600));
        0
    });
    place.wait_for("locked");
    let info_of = &list(&place.directory).unwrap()[0];
    assert_eq!((&info_of.status, info_of.writer_pid), (&Status::Live, PID as u32));
    assert!(matches!(place.try_writer(Leftover::Continue), Err(Error::ChannelBusy { .. })));
    holder.kill();
    let mut writer = place.writer();
    Publisher::default().publish(&mut writer, &info(6)).unwrap();
    common::until(|| node.read().is_some_and(|(_, value)| seed_of(&value) == 6));
    // Its writer is of another pid namespace, so nobody can know that it is dead.
    let next = Stamp { epoch: Epoch(2), version: Version((1 << 40) + 2), ..newest };
    assert_eq!(node.out.meta.stamp, next);
}

#[test]
fn a_relayed_segment_and_a_closed_one_are_known_as_such() {
    let place = Place::new();
    put(&place, "layout-2", &["relayed@0", "closed@65535"]);
    let relayed = traincast_core::directory::ChannelName::new("relayed", 0).unwrap();
    let mut reader = Reader::attach(&place.directory, relayed, Duration::ZERO).unwrap();
    let mut out = Snapshot::default();
    assert!(reader.read_into(&mut out).unwrap());
    assert_eq!(seed_of(&node::value_of(&out)), 5);
    assert_eq!((out.meta.position, out.meta.stamp.version), (Position(2), Version(1 << 40)));
    assert_eq!(out.meta.shape.id >> 63, 1, "an id that the core has given");
    assert_eq!(reader.link(), Link::Live);
    assert_eq!(reader.origin(), Origin { host: ORIGIN.0.into(), pid: ORIGIN.1 });
    let closed = traincast_core::directory::ChannelName::new("closed", 65535).unwrap();
    let refused = Reader::attach(&place.directory, closed, Duration::ZERO);
    assert!(matches!(refused, Err(Error::ChannelNotFound { .. })));
    let statuses: Vec<_> = list(&place.directory).unwrap().into_iter().map(|info| info.status).collect();
    assert_eq!(statuses, [Status::Closed, Status::Dead]);
}

#[test]
fn messages_are_parsed_and_sent_on_as_they_were() {
    let place = Place::new();
    let mut relay = place.writer();
    let mut node = None;
    for (file, position) in [("first.message", 1), ("fifth.message", 5)] {
        let bytes = golden(file);
        let message = Message::parse(&bytes).unwrap();
        let version = Version(VERSIONS[position as usize - 1]);
        assert_eq!(message.stamp, Stamp { term: Term(TERM), epoch: Epoch(1), version });
        assert_eq!(message.origin, Origin { host: ORIGIN.0.into(), pid: ORIGIN.1 });
        assert_eq!(message.published_ns, published_ns(position));
        relay.publish_message(&message, Some(message.published_ns)).unwrap();
        let node = node.get_or_insert_with(|| Node::attach(&place));
        assert_eq!(seed_of(&node.read().unwrap().1), position);
        assert_eq!(node.message(), bytes);
    }
}

#[test]
fn a_file_of_layout_1_is_refused_by_name_and_can_be_replaced() {
    let place = Place::new();
    put(&place, "layout-1", &["run@3", "run@3.roster"]);
    let refused = [
        Reader::attach(&place.directory, channel(), Duration::ZERO).map(drop),
        place.try_writer(Leftover::Continue).map(drop),
        place.try_writer(Leftover::Replace).map(drop),
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::IncompatibleChannel { .. }), "{text}");
        assert!(
            text.contains("layout version 1, which traincast 0.1 wrote") && text.contains("traincast clean"),
            "{text}"
        );
    }
    let status = &list(&place.directory).unwrap()[0].status;
    assert!(matches!(status, Status::Broken(reason) if reason.contains("traincast 0.1")), "{status:?}");
    fs::remove_file(place.path("run@3")).unwrap();
    let mut writer = place.writer();
    Publisher::default().publish(&mut writer, &info(6)).unwrap();
    assert_eq!(seed_of(&Node::attach(&place).read().unwrap().1), 6);
    assert_eq!(list(&place.directory).unwrap()[0].readers.len(), 0, "the roster of layout 1 is replaced");
}
