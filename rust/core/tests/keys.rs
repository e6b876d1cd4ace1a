//! Reading values by path, as an env in Rust does.
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

use common::{Place, Sample, until};
use node::{Publisher, info};
use traincast_core::error::Error;
use traincast_core::reader::{Key as ValueKey, Leaf};
use traincast_core::snapshot::lookup::KeyPath;
use traincast_core::snapshot::shape::{Key, Kind};
use value::Value;

fn name(text: &str) -> Key<'static> {
    Key::Str(text.to_owned().into())
}

#[test]
fn numbers_follow_the_learner_through_structures_files_and_lives() {
    let place = Place::new();
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    publisher.publish(&mut writer, &info(1)).unwrap();
    let mut reader = place.reader();
    let mut seed = reader.key("approx_total_training_steps").unwrap();
    let mut rate = reader.key("lr").unwrap();
    for step in 1..1000 {
        publisher.publish(&mut writer, &info(step)).unwrap(); // of five structures
        assert_eq!(seed.i64(&mut reader).unwrap(), Some(step as i64));
        assert_eq!(rate.f64(&mut reader).unwrap(), Some(step as f64 / 7.0));
        assert_eq!(seed.f64(&mut reader).unwrap(), Some(step as f64));
    }
    let large = Value::Dict(vec![
        (name("approx_total_training_steps"), Value::Int(-5)),
        (name("blob"), Value::Bytes(vec![1; 300_000])),
    ]);
    publisher.publish(&mut writer, &large).unwrap();
    until(|| seed.i64(&mut reader).unwrap() == Some(-5));
    assert_eq!(rate.f64(&mut reader).unwrap(), None);
    writer.close();
    assert_eq!(seed.i64(&mut reader).unwrap(), Some(-5), "the last value stays");
    let mut writer = place.writer();
    Publisher::default().publish(&mut writer, &info(7)).unwrap();
    until(|| seed.i64(&mut reader).unwrap() == Some(7));
    assert_eq!(rate.f64(&mut reader).unwrap(), Some(1.0));
}

#[test]
fn a_reader_leaves_a_file_that_was_removed_without_a_mark() {
    let place = Place::new();
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    publisher.publish(&mut writer, &info(1)).unwrap();
    let mut reader = place.reader();
    let mut seed = reader.key("approx_total_training_steps").unwrap();
    assert_eq!(seed.i64(&mut reader).unwrap(), Some(1));
    std::mem::forget(writer);
    std::fs::remove_dir_all(place.directory.path()).unwrap();
    place.directory.make().unwrap();
    let other = common::fork(|| {
        let mut writer = place.writer();
        Publisher::default().publish(&mut writer, &info(2)).unwrap();
        place.raise("published");
        place.wait_for("seen");
        0
    });
    place.wait_for("published");
    until(|| (0..1000).any(|_| seed.i64(&mut reader).unwrap() == Some(2)));
    place.raise("seen");
    assert_eq!(other.join(), 0);
}

#[test]
fn every_kind_of_value_can_be_read() {
    let place = Place::new();
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    let mut reader = None;
    for seed in [4, 9, 5, 5] {
        publisher.publish(&mut writer, &info(seed)).unwrap();
        let reader = reader.get_or_insert_with(|| place.reader());
        for (key, wanted) in info(seed).entries() {
            let mut found = ValueKey::of(KeyPath::new(vec![key.clone()]).unwrap());
            let leaf = found.get(reader).unwrap().unwrap();
            match wanted {
                Value::Int(int) => assert_eq!(leaf, Leaf::Int(*int)),
                Value::Float(bits) => assert_eq!(leaf, Leaf::Float(f64::from_bits(*bits))),
                Value::BigInt(bytes) => assert_eq!(leaf, Leaf::BigInt(bytes)),
                Value::Str(text) => assert_eq!(leaf, Leaf::Str(text)),
                Value::Bytes(bytes) => assert_eq!(leaf, Leaf::Bytes(bytes)),
                Value::Scalar(dtype, words) => assert_eq!(leaf, Leaf::Scalar(dtype, words)),
                Value::Array(_, dtype, dims, bytes) => assert_eq!(leaf, Leaf::Array(dtype, dims, bytes)),
                Value::Tuple(items) => assert_eq!(leaf, Leaf::Container(Kind::Tuple, items.len())),
                Value::List(items) => assert_eq!(leaf, Leaf::Container(Kind::List, items.len())),
                other => panic!("{other:?}"),
            }
        }
        let mut inner = ValueKey::of(KeyPath::new(vec![Key::Int(-3), Key::Int(1)]).unwrap());
        assert_eq!(inner.get(reader).unwrap(), Some(Leaf::Bool(seed.is_multiple_of(2))));
        assert_eq!(inner.bool(reader).unwrap(), Some(seed.is_multiple_of(2)));
        let mut none = ValueKey::of(KeyPath::new(vec![Key::Int(-3), Key::Int(0)]).unwrap());
        assert_eq!(none.get(reader).unwrap(), Some(Leaf::None));
        assert_eq!(none.f64(reader).unwrap(), None);
        assert_eq!(reader.key("nothing.there").unwrap().get(reader).unwrap(), None);
    }
}

#[test]
fn damage_is_an_error_and_the_next_sound_snapshot_is_read() {
    let place = Place::new();
    let (mut writer, mut publisher) = (place.writer(), Publisher::default());
    publisher.publish(&mut writer, &info(1)).unwrap();
    let mut reader = place.reader();
    let mut seed = reader.key("approx_total_training_steps").unwrap();
    assert_eq!(seed.i64(&mut reader).unwrap(), Some(1));
    Sample::new(2, 77, 4, 0).publish(&mut writer).unwrap(); // its shape is malformed
    for _ in 0..2 {
        assert!(matches!(seed.i64(&mut reader), Err(Error::CorruptChannel { .. })));
    }
    publisher.publish(&mut writer, &info(3)).unwrap();
    assert_eq!(seed.i64(&mut reader).unwrap(), Some(3));
    assert!(reader.key("").is_err() && reader.key("a..b").is_err());
}
