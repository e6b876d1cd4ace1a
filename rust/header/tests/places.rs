//! A C reader finds channels where the core finds them, follows them, and refuses what the core refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "support/channels.rs"]
mod channels;
#[path = "../../core/tests/common/mod.rs"]
mod common;
#[path = "../../core/tests/fuzz/targets/input.rs"]
#[allow(dead_code, reason = "the fuzzers make their values from bytes")]
mod input;
#[path = "../../core/tests/node/mod.rs"]
mod node;
#[path = "../../core/tests/fuzz/targets/value.rs"]
#[allow(dead_code, reason = "as above")]
mod value;

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use channels::{attach, name, place_with};
use common::{Place, channel, fork, until};
use node::{Publisher, info};
use traincast_core::directory::{ChannelName, Directory, Places};
use traincast_core::error::Error;
use traincast_core::layout::{HEADER_BYTES, PAGE, WORD, header, slot};
use traincast_core::reader::Reader as CoreReader;
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Writer, WriterOptions};
use traincast_header::Reader;
use value::Value;

#[test]
fn a_channel_is_followed_from_before_its_first_snapshot_to_its_next_life() {
    let place = Place::new();
    let (mut reader, code) = Reader::open_soon(Some(place.directory.path()), "run", 3);
    assert_eq!((code, reader.poll()), (-libc::ENOENT, Err(libc::ENOENT)));
    let mut seed = reader.key(c"approx_total_training_steps").unwrap();
    assert_eq!(reader.i64(&mut seed), Err(libc::ENOENT));
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    publisher.publish(&mut writer, &info(1)).unwrap();
    until(|| reader.poll() == Ok(true));
    assert_eq!((reader.i64(&mut seed), reader.closed()), (Ok(1), false));
    // It grows.
    let blob = Value::Dict(vec![
        (name("approx_total_training_steps"), Value::Int(2)),
        (name("blob"), Value::Bytes(vec![9; 300_000])),
    ]);
    publisher.publish(&mut writer, &blob).unwrap();
    assert_eq!(reader.poll(), Ok(true));
    let mut bytes = reader.key(c"blob").unwrap();
    assert_eq!((reader.i64(&mut seed), reader.bytes(&mut bytes)), (Ok(2), Ok(&[9; 300_000][..])));
    // It is closed: the snapshot stays.
    writer.close();
    assert_eq!((reader.poll(), reader.closed()), (Ok(false), true));
    assert_eq!((reader.refresh(), reader.i64(&mut seed)), (Ok(false), Ok(2)));
    // It is opened again.
    let mut writer = place.writer();
    Publisher::default().publish(&mut writer, &info(3)).unwrap();
    until(|| reader.poll() == Ok(true));
    assert_eq!((reader.i64(&mut seed), reader.closed()), (Ok(3), false));
    // It grows and is closed before anybody reads.
    Publisher::default().publish(&mut writer, &blob).unwrap();
    writer.close();
    until(|| reader.poll().is_ok() && reader.closed());
    reader.close();
    assert_eq!((reader.poll(), reader.refresh()), (Err(libc::EBADF), Err(libc::EBADF)));
    reader.close();
}

#[test]
fn a_reader_leaves_a_file_that_was_removed_without_a_mark() {
    let place = Place::new();
    place.leave_behind_info(1);
    let mut reader = attach(&place);
    let mut seed = reader.key(c"approx_total_training_steps").unwrap();
    fs::remove_dir_all(place.directory.path()).unwrap();
    assert_eq!((reader.poll(), reader.refresh(), reader.i64(&mut seed)), (Ok(false), Ok(false), Ok(1)));
    let _writer = place_with(&place, &info(2));
    until(|| (0..1000).any(|_| reader.poll() == Ok(true)));
    assert_eq!(reader.i64(&mut seed), Ok(2));
}

#[test]
fn a_forked_child_goes_on_with_its_copy() {
    let place = Place::new();
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    publisher.publish(&mut writer, &info(1)).unwrap();
    let mut reader = attach(&place);
    let mut seed = reader.key(c"approx_total_training_steps").unwrap();
    let child = fork(|| {
        place.wait_for("second");
        i32::from(reader.poll() != Ok(true) || reader.i64(&mut seed) != Ok(2))
    });
    publisher.publish(&mut writer, &info(2)).unwrap();
    place.raise("second");
    assert_eq!(child.join(), 0);
    assert_eq!(reader.poll(), Ok(true));
}

#[test]
fn channels_are_found_where_python_finds_them() {
    // Without TRAINCAST_DIR: in the user's directory of shared memory.
    let run = format!("native-{}", std::process::id());
    let mut writer = Writer::open(
        Places::new(
            Directory::at(default_directory("/dev/shm")).unwrap(),
            Directory::at(default_directory("/tmp")).unwrap(),
        ),
        ChannelName::new(&run, 0).unwrap(),
        WriterOptions::default(),
    )
    .unwrap();
    Publisher::default().publish(&mut writer, &info(4)).unwrap();
    assert!(std::env::var_os("TRAINCAST_DIR").is_none(), "this test needs it to be unset");
    let mut reader = Reader::open(None, &run, 0).unwrap();
    assert!(reader.key(c"lr").is_ok_and(|mut lr| reader.f64(&mut lr) == Ok(4.0 / 7.0)));
    writer.close();
    // In the second place, if the first has none.
    let other = Directory::at(default_directory("/tmp")).unwrap();
    let mut writer =
        Writer::open(&other, ChannelName::new(&run, 0).unwrap(), WriterOptions::default()).unwrap();
    Publisher::default().publish(&mut writer, &info(5)).unwrap();
    until(|| reader.poll() == Ok(true));
    assert_eq!(Reader::open(None, &run, 0).unwrap().numbers().stamp, reader.numbers().stamp);
}

fn default_directory(parent: &str) -> String {
    let user = fs::read_to_string("/proc/self/uid_map").unwrap();
    let outside: Vec<u32> = user.split_whitespace().take(2).map(|number| number.parse().unwrap()).collect();
    // SAFETY: no arguments.
    let user = unsafe { libc::geteuid() };
    format!("{parent}/traincast-{}", outside[1] + (user - outside[0]))
}

#[test]
fn a_relative_directory_stays_the_same_when_the_program_moves() {
    let place = Place::new();
    let _writer = place_with(&place, &info(1));
    let child = fork(|| {
        std::env::set_current_dir(place.directory.path()).unwrap();
        let (mut reader, code) = Reader::open_soon(Some(Path::new(".")), "run", 3);
        std::env::set_current_dir("/").unwrap();
        i32::from(code != 0 || reader.refresh() != Ok(false) || reader.closed())
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn invalid_names_are_refused() {
    let place = Place::new();
    for bad in ["", ".hidden", "a/b", "a b", "ü", &"x".repeat(129)] {
        let (reader, code) = Reader::open_soon(Some(place.directory.path()), bad, 0);
        assert_eq!(code, -libc::EINVAL, "{bad:?}");
        assert!(reader.error().contains("channel"), "{}", reader.error());
    }
    assert_eq!(Reader::open(Some(place.directory.path()), &"x".repeat(128), 0).err(), Some(libc::ENOENT));
    assert_eq!(Reader::open(Some(Path::new(&"d/".repeat(4096))), "run", 0).err(), Some(libc::ENAMETOOLONG));
}

/// Both readers refuse a file for the same reason.
fn refused(place: &Place) -> i32 {
    let core = CoreReader::attach(&place.directory, channel(), Duration::ZERO)
        .and_then(|mut reader| reader.read_into(&mut Snapshot::default()));
    let (reader, code) = Reader::open_soon(Some(place.directory.path()), "run", 3);
    let wanted = match core {
        Ok(_) => 0,
        Err(Error::ChannelNotFound { .. }) => libc::ENOENT,
        Err(Error::CorruptChannel { .. }) => libc::EBADMSG,
        Err(Error::IncompatibleChannel { .. }) => libc::EPROTO,
        Err(Error::InsecureDirectory { .. }) => libc::EACCES,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(-code, wanted, "{}", reader.error());
    wanted
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused_as_the_core_refuses_them() {
    let place = Place::new();
    place.leave_behind_info(1);
    let path = place.path("run@3");
    let good = fs::read(&path).unwrap();
    let mode = |mode: u32| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let put = |bytes: &[u8]| {
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
        mode(0o600);
    };
    assert_eq!(refused(&place), 0);
    for open in [0o640, 0o604, 0o660] {
        mode(open);
        assert_eq!(refused(&place), libc::EBADMSG);
    }
    for len in [0, 8, HEADER_BYTES - 1, HEADER_BYTES, good.len() - 1, good.len() - PAGE, good.len() + PAGE] {
        let mut bytes = good.clone();
        bytes.resize(len, 0);
        put(&bytes);
        assert_eq!(refused(&place), libc::EBADMSG, "{len} bytes");
    }
    let with = |word: usize, value: u64| {
        let mut bytes = good.clone();
        bytes[word * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
        put(&bytes);
        refused(&place)
    };
    let first = 512 + slot_of(&good) * (good.len() - HEADER_BYTES) / 4 / WORD;
    assert_eq!(with(header::MAGIC, 0), libc::EBADMSG);
    assert_eq!(with(header::MAGIC, 77), libc::EPROTO);
    assert_eq!(with(header::LAYOUT, 3), libc::EPROTO);
    let over = Head::of(traincast_core::numbering::Position::MAX).bits() + 4;
    for (word, value) in [
        (header::TOTAL, 4096),
        (header::CAPACITY, 0),
        (header::CAPACITY, 4097),
        (header::CAPACITY, 1 << 62),
        (header::SLOTS, 2),
        (header::IDENTITY, 4 | 3 << 32),
        (header::NAME, 1),
        (header::NAME + 15, 1),
        (header::HEAD, 0),
        (header::HEAD, over),
        (header::HEAD, 99 << 2),
        (first + slot::POSITION, 2),
        (first + slot::VERSION, 0),
        (first + slot::TAKEOVER, 0),
        (first + slot::SHAPE_ID, 0),
        (first + slot::SHAPE_LEN, u64::MAX),
        (first + slot::VALUES_LEN, 1 << 61),
        (first + slot::BLOB_WORDS, u64::MAX - 8),
    ] {
        assert_eq!(with(word, value), libc::EBADMSG, "word {word} is {value:#x}");
    }
    assert_eq!(
        with(header::HEAD, get(&good, header::HEAD) | 1),
        libc::ENOENT,
        "a closed channel is about to be removed"
    );
    assert_eq!(with(header::HEAD, get(&good, header::HEAD) | 2), 0);
    put(&good);
    fs::hard_link(&path, place.path("other")).unwrap();
    assert_eq!(refused(&place), libc::EBADMSG);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("other", &path).unwrap();
    assert_eq!(refused(&place), libc::EBADMSG);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(refused(&place), libc::EBADMSG);
    fs::remove_dir(&path).unwrap();
    let fifo = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a terminated path.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    assert_eq!(refused(&place), libc::EBADMSG);
    fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(refused(&place), libc::EBADMSG);
    fs::remove_file(&path).unwrap();
    assert_eq!(refused(&place), libc::ENOENT);
    fs::set_permissions(place.directory.path(), fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(refused(&place), libc::EACCES);
    fs::remove_dir_all(place.directory.path()).unwrap();
    assert_eq!(refused(&place), libc::ENOENT);
    std::os::unix::fs::symlink("/dev/shm", place.directory.path()).unwrap();
    assert_eq!(refused(&place), libc::EACCES);
    fs::remove_file(place.directory.path()).unwrap();
    fs::write(place.directory.path(), "").unwrap();
    assert_eq!(refused(&place), libc::EACCES);
}

fn get(bytes: &[u8], word: usize) -> u64 {
    u64::from_le_bytes(*bytes[word * WORD..].first_chunk().unwrap())
}

fn slot_of(bytes: &[u8]) -> usize {
    Head::from_bits(get(bytes, header::HEAD)).position().get() as usize % 4
}

impl Place {
    /// A channel whose writer ended without closing it.
    fn leave_behind_info(&self, seed: u64) {
        let dead = fork(|| {
            std::mem::forget(place_with(self, &info(seed)));
            0
        });
        assert_eq!(dead.join(), 0);
    }
}
