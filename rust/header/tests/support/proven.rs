//! Self-checking dictionaries: all of the content follows from the seed. `programs/racer.c` checks the same content.

use traincast_core::snapshot::shape::{Dtype, Key, Kind};
use traincast_core::snapshot::to_bytes;

use crate::value::Value;

/// MurmurHash3's finalizer.
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

/// The dictionary for a seed, with an array of `words` words. There are three structures, which take turns.
pub fn proven(seed: u64, words: usize) -> Value {
    let name = |text: &str| Key::Str(text.to_owned().into());
    let first = mix(seed);
    let array: Vec<_> = (0..words as u64).map(|index| first.wrapping_add(index)).collect();
    let dtype = Dtype { name: "<u8".into(), itemsize: 8 };
    let mut entries = vec![
        (name("seed"), Value::Int(seed as i64)),
        (name("real"), Value::Float(((first >> 11) as f64).to_bits())),
        (name("words"), Value::Array(Kind::Array, dtype, vec![words as u64], to_bytes(&array, words * 8))),
        (name("text"), Value::Str(seed.to_string())),
    ];
    let nested = (name("nested"), Value::Dict(vec![(name("deep"), Value::Int((first >> 1) as i64))]));
    match seed % 3 {
        0 => {}
        1 => entries.insert(0, nested),
        _ => entries.push(nested),
    }
    Value::Dict(entries)
}
