//! Damaged and foreign files, and bytes that change under a reader.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use common::{Place, Sample, channel, fork, next, publish, watchdog};
use traincast_core::directory::ChannelName;
use traincast_core::error::{Error, Result};
use traincast_core::inspect::{Status, leftovers, list, remove_leftover};
use traincast_core::layout::{HEADER_BYTES, header, slot};
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::Leftover;

/// The bytes of a channel whose writer died after five snapshots.
fn dead_channel(place: &Place) -> Vec<u8> {
    fork(|| {
        let mut writer = place.writer();
        for seed in 1..=5 {
            Sample::new(seed, 1, 9, 50).publish(&mut writer).unwrap();
        }
        std::mem::forget(writer);
        0
    })
    .join();
    std::fs::read(place.path("run@3")).unwrap()
}

fn private(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Readers, writers and tools name the fault; once the file is removed as they advise, the channel works.
fn is_refused(place: &Place, incompatible: bool, says: &str) {
    let attach = Reader::attach(&place.directory, channel(), Duration::ZERO).map(drop);
    let open = |leftover| place.try_writer(leftover).map(drop);
    let results: [Result<()>; 4] =
        [attach, open(Leftover::Continue), open(Leftover::Replace), open(Leftover::Refuse)];
    for result in results {
        let error = result.unwrap_err();
        let fits = match error {
            Error::CorruptChannel { .. } => !incompatible,
            Error::IncompatibleChannel { .. } => incompatible,
            _ => false,
        };
        let text = error.to_string();
        let path = place.path("run@3");
        assert!(fits && text.contains(says) && text.contains(path.to_str().unwrap()), "{error:?}: {text}");
        assert!(text.contains("traincast clean"), "{text}");
    }
    let listed = list(&place.directory).unwrap();
    assert!(
        matches!(&listed[0].status, Status::Broken(reason) if reason.contains(says)),
        "{:?}",
        listed[0].status
    );
    for file in leftovers(&place.directory).unwrap() {
        remove_leftover(&place.directory, &file.path).unwrap();
    }
    assert!(place.files().is_empty(), "{:?}", place.files());
    let mut writer = place.writer();
    publish(&mut writer, 1);
    assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 1);
}

fn with_word(bytes: &[u8], word: usize, value: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[8 * word..8 * word + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn files_that_are_not_channels_are_refused() {
    let good = dead_channel(&Place::new());
    let cases: Vec<(Vec<u8>, bool, &str)> = vec![
        (vec![], false, "has 0 bytes"),
        (vec![1; 100], false, "has 100 bytes"),
        (vec![0; good.len()], false, "zeros"),
        (vec![0; 4096], false, "zeros"),
        (vec![b'x'; good.len()], true, "not written by traincast"),
        (good[..HEADER_BYTES].to_vec(), false, "its header speaks of"),
        (good[..good.len() - 4096].to_vec(), false, "its header speaks of"),
        (good[..good.len() - 1].to_vec(), false, "which no channel has"),
        (with_word(&good, header::LAYOUT, 3), true, "layout version 3, and this is version 2"),
        (with_word(&good, header::LAYOUT, 1), true, "layout version 1, which traincast 0.1 wrote"),
        (with_word(&good, header::TOTAL, 1 << 60), false, "its header speaks of"),
        (with_word(&good, header::CAPACITY, u64::MAX / 4), false, "its header speaks of"),
        (with_word(&good, header::CAPACITY, 0), false, "its header speaks of"),
        (with_word(&good, header::SLOTS, 0), false, "its header speaks of"),
        (with_word(&good, header::IDENTITY, 3), false, "another channel"),
        (with_word(&good, header::NAME, 3), false, "another channel"),
        (with_word(&good, header::HEAD, 0), false, "newest position is 0"),
        (with_word(&good, header::HEAD, !3), false, "newest position is"),
    ];
    for (bytes, incompatible, says) in cases {
        let place = Place::new();
        private(&place.path("run@3"), &bytes);
        is_refused(&place, incompatible, says);
    }
}

#[test]
fn anything_but_a_private_regular_file_is_refused() {
    let place = Place::new();
    let elsewhere = Place::new();
    let good = dead_channel(&elsewhere);
    std::fs::create_dir(place.path("run@3")).unwrap();
    is_refused(&place, false, "it is a directory");

    let place = Place::new();
    symlink(elsewhere.path("run@3"), place.path("run@3")).unwrap();
    is_refused(&place, false, "it is a symbolic link");
    assert_eq!(std::fs::read(elsewhere.path("run@3")).unwrap(), good, "the target of the link is untouched");

    let place = Place::new();
    let fifo = std::ffi::CString::new(place.path("run@3").to_str().unwrap()).unwrap();
    // SAFETY: a string that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    is_refused(&place, false, "it is a named pipe");

    let place = Place::new();
    private(&place.path("run@3"), &good);
    std::fs::set_permissions(place.path("run@3"), std::fs::Permissions::from_mode(0o644)).unwrap();
    is_refused(&place, false, "others may open it (mode 0644)");

    let place = Place::new();
    private(&place.path("run@3"), &good);
    std::fs::hard_link(place.path("run@3"), place.path(".other")).unwrap();
    let error = Reader::attach(&place.directory, channel(), Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("2 names"), "{error}");
}

#[test]
fn a_lock_file_that_cannot_be_one_is_refused_and_cleaned_up() {
    for (kind, says) in
        [("link", "symbolic link"), ("directory", "directory"), ("open", "others may open it")]
    {
        let place = Place::new();
        dead_channel(&place);
        let lock = place.path("run@3.lock");
        std::fs::remove_file(&lock).unwrap();
        match kind {
            "link" => symlink("/etc/passwd", &lock).unwrap(),
            "directory" => std::fs::create_dir(&lock).unwrap(),
            _ => {
                private(&lock, b"");
                std::fs::set_permissions(&lock, std::fs::Permissions::from_mode(0o666)).unwrap();
            }
        }
        let text = place.try_writer(Leftover::Continue).unwrap_err().to_string();
        assert!(text.contains("run@3.lock is damaged") && text.contains(says), "{text}");
        for file in leftovers(&place.directory).unwrap() {
            remove_leftover(&place.directory, &file.path).unwrap();
        }
        assert!(place.files().is_empty(), "{:?}", place.files());
        publish(&mut place.writer(), 1);
    }
}

#[test]
fn an_invalid_slot_is_an_error_and_the_next_snapshot_is_read() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = Snapshot::default();
    let file = || std::fs::OpenOptions::new().write(true).open(place.path("run@3")).unwrap();
    publish(&mut writer, 1);
    let start = (HEADER_BYTES + 65536) / 8; // version 1 is in slot 1
    for (word, value) in [
        (slot::SEQ, 3),
        (slot::SEQ, 5),
        (slot::SEQ, u64::MAX),
        (slot::POSITION, 77),
        (slot::VERSION, 0),
        (slot::TAKEOVER, 0),
        (slot::SHAPE_ID, 0),
        (slot::SHAPE_LEN, u64::MAX),
        (slot::SHAPE_LEN, 65536),
        (slot::VALUES_LEN, 1 << 61),
        (slot::VALUES_LEN, 8192),
        (slot::BLOB_WORDS, u64::MAX - 7),
    ] {
        let offset = 8 * (start + word) as u64;
        let mut before = [0; 8];
        std::fs::File::open(place.path("run@3")).unwrap().read_exact_at(&mut before, offset).unwrap();
        file().write_all_at(&value.to_le_bytes(), offset).unwrap();
        let mut reader = place.reader();
        for _ in 0..2 {
            let error = reader.read_into(&mut out).unwrap_err();
            assert!(matches!(error, Error::CorruptChannel { .. }), "{error}");
        }
        assert!(matches!(list(&place.directory).unwrap()[0].status, Status::Broken(_)));
        file().write_all_at(&before, offset).unwrap();
        assert_eq!(next(&mut reader, &mut out).seed, 1);
    }
    file().write_all_at(&[0xff; 128], 8 * start as u64).unwrap();
    let mut reader = place.reader();
    assert!(reader.read_into(&mut out).is_err());
    publish(&mut writer, 2);
    assert_eq!(next(&mut reader, &mut out).seed, 2);
}

#[test]
fn bytes_that_change_under_readers_do_no_harm() {
    watchdog();
    let place = Place::new();
    let mut writer = place.writer();
    Sample::new(1, 1, 64, 4000).publish(&mut writer).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(place.path("run@3")).unwrap();
    let size = file.metadata().unwrap().len();
    let mut random = 88_172_645_463_325_252u64;
    let mut next_random = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut reader, mut out) = (place.reader(), Snapshot::default());
    let (mut good, mut bad) = (0, 0);
    for round in 0..20_000u64 {
        // Mostly where it does most damage: the header's live words and the slots' headers; sometimes anywhere.
        let offset = match next_random() % 4 {
            0 => 8 * (header::HEAD as u64 + next_random() % 2),
            1 | 2 => HEADER_BYTES as u64 + 65536 * (next_random() % 4) + 8 * (next_random() % 16),
            _ => next_random() % (size - 8),
        };
        let mut word = [0; 8];
        file.read_exact_at(&mut word, offset).unwrap();
        let mut value = u64::from_le_bytes(word);
        value = if next_random() % 8 == 0 { next_random() } else { value ^ 1 << (next_random() % 64) };
        file.write_all_at(&value.to_le_bytes(), offset).unwrap();
        match reader.read_into(&mut out) {
            Ok(new) => good += u32::from(new),
            Err(_) => bad += 1,
        }
        assert!(out.shape.len() + out.values.len() + out.blobs.words().len() <= 3 * 8192);
        if round % 16 == 0 {
            Sample::new(1, 1, 64, 4000).publish(&mut writer).unwrap();
        }
        if round % 64 == 0 {
            drop(list(&place.directory));
        }
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}

#[test]
fn hostile_names_are_refused() {
    let long = "x".repeat(129);
    for (name, says) in [
        ("", "empty"),
        ("a/b", "'/'"),
        ("..", "dot"),
        (".hidden", "dot"),
        ("../../etc/passwd", "dot"),
        ("a\0b", "'\\0'"),
        ("a@1", "'@'"),
        ("a b", "' '"),
        ("é", "'é'"),
        (&long, "129 bytes"),
    ] {
        let error = ChannelName::new(name, 0).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::InvalidName(_)) && text.contains(says) && text.contains("1 to 128"),
            "{text}"
        );
    }
    for policy in [-1, 65536, i64::MAX, i64::MIN] {
        let text = ChannelName::new("run", policy).unwrap_err().to_string();
        assert!(text.contains(&policy.to_string()) && text.contains("0 to 65535"), "{text}");
    }
    ChannelName::new(&long[1..], 65535).unwrap();
    ChannelName::new("a.b-c_D9.lock", 0).unwrap();
}
