//! The C reader returns what the core returns: every kind of value, the golden files, paths, depth.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "support/channels.rs"]
mod channels;
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

use channels::{attach, name, place_with};
use common::Place;
use compare::{Counts, compare};
use node::{Publisher, info, value_of};
use traincast_core::directory::ChannelName;
use traincast_core::reader::Reader as CoreReader;
use traincast_core::snapshot::shape::{Dtype, Key, Kind};
use traincast_core::snapshot::{MAX_DEPTH, Snapshot, to_words};
use traincast_core::writer::Writer;
use traincast_header::{Key as CKey, Part, Reader};
use value::Value;

fn scalar(dtype: &str, bytes: &[u8]) -> Value {
    Value::Scalar(Dtype { name: dtype.into(), itemsize: bytes.len() }, to_words(bytes))
}

fn part(text: &str) -> Part {
    Part::Name(CString::new(text).unwrap())
}

/// Publishes a value and compares what both readers return.
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
    // A new reader at the same address.
    drop(writers);
    let _writer = place_with(&places[0], &short);
    for _ in 0..3 {
        readers[0] = attach(&places[0]);
        assert_eq!(readers[0].i64(&mut key), Ok(-1));
    }
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
