//! The C reader gives what the core gives: every kind of value, the golden files, names and places, and who refuses what.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "../../core/tests/common/mod.rs"]
mod common;
#[path = "support/compare.rs"]
mod compare;
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

use common::{Place, channel, fork, until};
use compare::{Counts, compare};
use node::{Publisher, info, value_of};
use traincast_core::directory::{ChannelName, Directory, Places};
use traincast_core::error::Error;
use traincast_core::layout::{HEADER_BYTES, PAGE, WORD, header, slot};
use traincast_core::reader::Reader as CoreReader;
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::shape::{Dtype, Key, Kind};
use traincast_core::snapshot::{MAX_DEPTH, Snapshot, to_words};
use traincast_core::writer::{Writer, WriterOptions};
use traincast_header::{Key as CKey, Part, Reader};
use value::Value;

fn attach(place: &Place) -> Reader {
    Reader::open(Some(place.directory.path()), "run", 3).unwrap()
}

fn name(text: &str) -> Key<'static> {
    Key::Str(text.to_owned().into())
}

fn scalar(dtype: &str, bytes: &[u8]) -> Value {
    Value::Scalar(Dtype { name: dtype.into(), itemsize: bytes.len() }, to_words(bytes))
}

fn part(text: &str) -> Part {
    Part::Name(CString::new(text).unwrap())
}

/// Publishes a value, and compares what both readers make of it.
fn both(place: &Place, publisher: &mut Publisher, writer: &mut Writer, value: &Value) -> Counts {
    publisher.publish(writer, value).unwrap();
    let mut snapshot = Snapshot::default();
    place.reader().read_into(&mut snapshot).unwrap();
    let decoded = value_of(&snapshot);
    let (mut reader, mut counts) = (attach(place), Counts::default());
    let numbers = reader.numbers();
    let stamp = snapshot.meta.stamp;
    assert_eq!(numbers.stamp, [stamp.term.get(), stamp.epoch.get(), stamp.version.get()]);
    assert_eq!(numbers.published_ns, snapshot.meta.published_ns);
    assert_eq!(numbers.published_unix_ns, snapshot.meta.published_unix_ns);
    compare(&mut reader, &decoded, &mut counts);
    counts
}

#[test]
fn every_kind_of_value_is_read_as_the_core_reads_it() {
    let place = Place::new();
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    for seed in 0..40 {
        let counts = both(&place, &mut publisher, &mut writer, &info(seed));
        assert!(counts.compared >= 10 && counts.unsayable == 1, "{counts:?}"); // one key is a big int
    }
    let numbers = [
        0.0,
        -0.0,
        1.5,
        f64::NAN,
        f64::INFINITY,
        -f64::INFINITY,
        2_f64.powi(63),
        -(2_f64.powi(63)),
        5e-324,
        1e300,
    ];
    let mut entries: Vec<_> = numbers
        .iter()
        .enumerate()
        .map(|(i, real)| (Key::Int(i as i64), Value::Float(real.to_bits())))
        .collect();
    for int in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53] {
        entries.push((name(&format!("int {int}")), Value::Int(int)));
    }
    for dtype in ["<f8", "<i8", "<u8", ">f8", "<m8[s]"] {
        for word in [0, 1, u64::MAX, 1 << 63, 0x3ff8 << 48] {
            entries.push((name(&format!("{dtype} {word}")), scalar(dtype, &word.to_le_bytes())));
        }
    }
    for word in
        [0_u16, 1, 0x3c00, 0xbc00, 0x7bff, 0x0400, 0x03ff, 0x7c00, 0xfc00, 0x3555, 0x8000, 0x8001, 0xffff]
    {
        for dtype in ["<i2", "<u2", "bfloat16", ">i2"] {
            entries.push((name(&format!("{dtype} {word:x}")), scalar(dtype, &word.to_le_bytes())));
        }
        if word != 0xffff {
            entries.push((name(&format!("half {word:x}")), scalar("<f2", &word.to_le_bytes()))); // no NaN: it has many forms
        }
        entries.push((name(&format!("single {word:x}")), scalar("<f4", &u32::from(word).to_le_bytes())));
        entries.push((name(&format!("u4 {word:x}")), scalar("<u4", &(u32::from(word) << 16).to_le_bytes())));
        entries.push((name(&format!("i4 {word:x}")), scalar("<i4", &(u32::from(word) << 16).to_le_bytes())));
    }
    for byte in [0_u8, 1, 2, 127, 128, 255] {
        for dtype in ["|b1", "|i1", "|u1", "|S1", "?"] {
            entries.push((name(&format!("{dtype} {byte}")), scalar(dtype, &[byte])));
        }
    }
    entries.push((name("nothing in it"), scalar("|S0", &[])));
    entries.push((name("long"), scalar("<U9", &[7; 36])));
    let empty = |dims: &[u64]| {
        Value::Array(Kind::Array, Dtype { name: "<f8".into(), itemsize: 8 }, dims.to_vec(), vec![])
    };
    entries.push((name("empty"), empty(&[0])));
    entries.push((name("empty, and large"), empty(&[u64::MAX, 3, 0, u64::MAX])));
    let one = Value::Array(Kind::Array, Dtype { name: "<f8".into(), itemsize: 8 }, vec![], vec![1; 8]);
    entries.push((name("without axes"), one));
    entries.push((name(""), Value::Str(String::new())));
    entries.push((name("ein ü"), Value::Str("ü𝄞".into())));
    entries.push((name("dots.in.it"), Value::Bytes(vec![0; 3])));
    entries.push((name(&"x".repeat(229)), Value::Bool(true)));
    entries.push((name(&"x".repeat(230)), Value::Bool(true)));
    entries.push((name("a zero \0 in it"), Value::Bool(true)));
    entries.push((Key::BigInt(vec![55, 0, 0].into()), Value::Int(5)));
    entries.push((Key::Int(i64::MIN), Value::None));
    let counts = both(&place, &mut publisher, &mut writer, &Value::Dict(entries));
    assert_eq!(counts.unsayable, 2, "{counts:?}");
}

#[test]
fn golden_files_are_read_as_the_core_reads_them() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/golden");
    let place = Place::new();
    let put = |layout: &str, file: &str| {
        fs::copy(golden.join(layout).join(file), place.path(file)).unwrap();
        fs::set_permissions(place.path(file), fs::Permissions::from_mode(0o600)).unwrap();
    };
    ["run@3", "relayed@0", "closed@65535"].into_iter().for_each(|file| put("layout-2", file));
    let directory = place.directory.path();
    for (file, policy) in [("run", 3), ("relayed", 0)] {
        let mut reader = Reader::open(Some(directory), file, policy).unwrap();
        let channel = ChannelName::new(file, policy).unwrap();
        let mut core = CoreReader::attach(&place.directory, channel, Duration::ZERO).unwrap();
        let mut snapshot = Snapshot::default();
        core.read_into(&mut snapshot).unwrap();
        let (mut counts, value) = (Counts::default(), value_of(&snapshot));
        assert_eq!(value, info(5));
        compare(&mut reader, &value, &mut counts);
        assert!(counts.compared >= 10);
        assert_eq!(reader.numbers().stamp, [0x0011_2233_4455_6677, 1, 1 << 40]);
        assert_eq!((reader.numbers().published_ns, reader.closed()), (snapshot.meta.published_ns, false));
    }
    assert_eq!(Reader::open(Some(directory), "closed", 65535).err(), Some(libc::ENOENT));
    put("layout-1", "run@3");
    let (reader, code) = Reader::open_soon(Some(directory), "run", 3);
    assert_eq!(
        (code, reader.error().contains("another layout")),
        (-libc::EPROTO, true),
        "{}",
        reader.error()
    );
}

#[test]
fn paths_lead_where_the_core_says() {
    let place = Place::new();
    let inner = vec![
        (name("b"), Value::Int(1)),
        (Key::Int(7), Value::Int(2)),
        (name(""), Value::Int(3)),
        (name("7"), Value::Int(4)),
    ];
    let list = Value::List(vec![Value::None, Value::Tuple(vec![Value::Int(5), Value::Int(6)])]);
    let value =
        Value::Dict(vec![(name("a"), Value::Dict(inner)), (name("l"), list), (name("a.b"), Value::Int(8))]);
    let _writer = place_with(&place, &value);
    let mut reader = attach(&place);
    for (path, wanted) in [
        (c"a.b", Ok(1)),
        (c"a.7", Ok(4)),
        (c"l.1.0", Ok(5)),
        (c"l.-1.-1", Ok(6)),
        (c"l.1.2", Err(libc::ENOENT)),
        (c"l.-3", Err(libc::ENOENT)),
        (c"l.01", Err(libc::ENOENT)),
        (c"l.-0", Err(libc::ENOENT)),
        (c"l.1.99999999999999999999", Err(libc::ENOENT)),
        (c"a.b.c", Err(libc::ENOENT)),
        (c"b", Err(libc::ENOENT)),
        (c"l.0", Err(libc::EINVAL)),
        (c"a", Err(libc::EINVAL)),
    ] {
        let mut key = reader.key(path).unwrap();
        assert_eq!(reader.i64(&mut key), wanted, "{path:?}");
    }
    for (parts, wanted) in [
        (vec![part("a.b")], Ok(8)),
        (vec![part("a"), part("")], Ok(3)),
        (vec![part("a"), Part::Int(7)], Ok(2)),
        (vec![part("l"), Part::Int(-1), Part::Int(0)], Ok(5)),
        (vec![part("l"), Part::Int(i64::MIN)], Err(libc::ENOENT)),
        (vec![Part::Int(0)], Err(libc::ENOENT)),
    ] {
        let mut key = reader.key_of(&parts).unwrap();
        assert_eq!(reader.i64(&mut key), wanted, "{parts:?}");
    }
    for path in [c"", c".", c"a.", c".a", c"a..b"] {
        assert_eq!(reader.key(path).map(drop), Err(libc::EINVAL), "{path:?}");
    }
    assert_eq!(reader.key_of(&[]).map(drop), Err(libc::EINVAL));
    assert_eq!(reader.f64(&mut CKey::unresolved()), Err(libc::ENOENT));
}

#[test]
fn a_key_is_found_again_when_the_structure_changes() {
    let place = Place::new();
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    let mut publish = |entries: Vec<(&str, Value)>| {
        let entries = entries.into_iter().map(|(key, value)| (name(key), value)).collect();
        publisher.publish(&mut writer, &Value::Dict(entries)).unwrap();
    };
    publish(vec![("x", Value::Int(1)), ("y", Value::Int(2))]);
    let mut reader = attach(&place);
    let mut y = reader.key(c"y").unwrap();
    assert_eq!(reader.i64(&mut y), Ok(2));
    publish(vec![("y", Value::Int(3)), ("x", Value::Int(1))]);
    assert_eq!(reader.i64(&mut y), Ok(2), "of the snapshot in hand");
    assert_eq!(reader.poll(), Ok(true));
    assert_eq!(reader.i64(&mut y), Ok(3));
    publish(vec![("x", Value::Int(1))]);
    assert_eq!((reader.poll(), reader.i64(&mut y)), (Ok(true), Err(libc::ENOENT)));
    publish(vec![("x", Value::Str("a long one".into())), ("y", Value::Float(0.5_f64.to_bits()))]);
    assert_eq!(
        (reader.poll(), reader.f64(&mut y), reader.i64(&mut y)),
        (Ok(true), Ok(0.5), Err(libc::EINVAL))
    );
    assert_eq!(reader.poll(), Ok(false));
}

#[test]
fn a_key_may_be_used_with_another_reader() {
    let places = [Place::new(), Place::new()];
    let long = Value::Dict((0..600).map(|i| (name(&format!("k{i}")), Value::Int(i))).collect());
    let short = Value::Dict(vec![(name("k599"), Value::Int(-1))]);
    let writers = [place_with(&places[0], &long), place_with(&places[1], &short)];
    let mut readers = [attach(&places[0]), attach(&places[1])];
    let mut key = readers[0].key(c"k599").unwrap();
    for _ in 0..3 {
        assert_eq!(readers[0].i64(&mut key), Ok(599));
        assert_eq!(readers[1].i64(&mut key), Ok(-1));
    }
    // Another life of the reader, at the same address.
    drop(writers);
    let _writer = place_with(&places[0], &short);
    for _ in 0..3 {
        readers[0] = attach(&places[0]);
        assert_eq!(readers[0].i64(&mut key), Ok(-1));
    }
}

fn place_with(place: &Place, value: &Value) -> Writer {
    let mut writer = place.writer();
    Publisher::default().publish(&mut writer, value).unwrap();
    writer
}

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
    // It closes: the snapshot stays.
    writer.close();
    assert_eq!((reader.poll(), reader.closed()), (Ok(false), true));
    assert_eq!((reader.refresh(), reader.i64(&mut seed)), (Ok(false), Ok(2)));
    // It opens again.
    let mut writer = place.writer();
    Publisher::default().publish(&mut writer, &info(3)).unwrap();
    until(|| reader.poll() == Ok(true));
    assert_eq!((reader.i64(&mut seed), reader.closed()), (Ok(3), false));
    // It grows, and closes before anybody looks.
    Publisher::default().publish(&mut writer, &blob).unwrap();
    writer.close();
    until(|| reader.poll().is_ok() && reader.closed());
    reader.close();
    assert_eq!((reader.poll(), reader.refresh()), (Err(libc::EBADF), Err(libc::EBADF)));
    reader.close();
}

#[test]
fn a_file_that_was_removed_without_a_mark_is_left_in_the_end() {
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
fn names_that_no_channel_has_are_refused() {
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
        "a closed one is about to vanish"
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
    // SAFETY: a path that ends with a zero.
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

#[test]
fn depth_is_bounded_exactly_as_in_the_core() {
    let nested = |levels: usize, leaf: Value| {
        let inner = (1..levels).fold(leaf, |inner, _| Value::List(vec![inner]));
        Value::Dict(vec![(name("a"), inner)])
    };
    for (levels, leaf, fits) in [
        (MAX_DEPTH, Value::Int(7), true),
        (MAX_DEPTH, Value::List(vec![]), false),
        (MAX_DEPTH - 1, Value::List(vec![]), true),
        (MAX_DEPTH + 1, Value::Int(7), false),
    ] {
        let place = Place::new();
        let mut encoder = traincast_core::snapshot::encode::Encoder::<Vec<u8>>::default();
        encoder.start(None);
        nested(levels, leaf).encode(&mut encoder);
        let shape = encoder.recorded().unwrap().to_vec();
        assert_eq!(traincast_core::snapshot::shape::Shape::parse(&shape[..]).is_ok(), fits, "{levels}");
        let mut writer = place.writer();
        let payload = traincast_core::snapshot::Payload::<&[u8]> {
            shape_id: 1,
            shape: &to_words(&shape),
            shape_len: shape.len(),
            values: encoder.values(),
            blobs: &[],
            blob_words: 0,
        };
        writer.publish(&payload).unwrap();
        let code = Reader::open_soon(Some(place.directory.path()), "run", 3).1;
        assert_eq!(code, if fits { 0 } else { -libc::EBADMSG }, "{levels}");
    }
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
