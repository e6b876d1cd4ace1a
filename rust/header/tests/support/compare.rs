//! Compares what the C reader returns with what the core's decoder returns: every leaf, by every getter.

use std::ffi::CString;

use traincast_core::snapshot::shape::{Dtype, Key, Kind};
use traincast_header::{Part, Reader};

use crate::value::Value;

/// Room for a path in C: 3 bytes more than its length for each name, 9 for each int.
const PATH_BYTES: usize = 232;

/// How many leaves were compared.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub compared: u64,
    /// How many have a path that C cannot express: with a zero byte in a name, with a big int, or too long.
    pub unsayable: u64,
}

/// Compares all leaves of a dictionary with those of the snapshot in hand.
pub fn compare(reader: &mut Reader, value: &Value, counts: &mut Counts) {
    let mut path = Vec::new();
    below(reader, value, &mut path, counts);
    path.push(Part::Name(c"there is no such key".into()));
    let mut key = reader.key_of(&path).expect("it is a path");
    assert_eq!(reader.f64(&mut key), Err(libc::ENOENT));
}

fn below(reader: &mut Reader, value: &Value, path: &mut Vec<Part>, counts: &mut Counts) {
    if !path.is_empty() {
        leaf(reader, value, path, counts);
    }
    let mut child = |part: Option<Part>, item: &Value| match part {
        Some(part) => {
            path.push(part);
            below(reader, item, path, counts);
            path.pop();
        }
        None => counts.unsayable += 1,
    };
    match value {
        Value::Dict(entries) => entries.iter().for_each(|(key, item)| child(part_of(key), item)),
        Value::List(items) | Value::Tuple(items) => {
            for (index, item) in items.iter().enumerate() {
                // In turn by each way: counted from either end, and by name.
                let (front, back) = (index as i64, index as i64 - items.len() as i64);
                let part = match index % 3 {
                    0 => Part::Int(front),
                    1 => Part::Int(back),
                    _ => Part::Name(CString::new(front.to_string()).expect("a number has no zero byte")),
                };
                child(Some(part), item);
            }
        }
        _ => {}
    }
}

fn part_of(key: &Key<'_>) -> Option<Part> {
    match key.canonical() {
        Key::Str(name) => CString::new(name.as_bytes()).ok().map(Part::Name),
        Key::Int(number) => Some(Part::Int(number)),
        Key::BigInt(_) => None,
    }
}

fn leaf(reader: &mut Reader, value: &Value, path: &[Part], counts: &mut Counts) {
    let cost = |part: &Part| if let Part::Name(name) = part { name.count_bytes() + 3 } else { 9 };
    if path.iter().map(cost).sum::<usize>() > PATH_BYTES {
        assert_eq!(reader.key_of(path).map(drop), Err(libc::ENAMETOOLONG));
        counts.unsayable += 1;
        return;
    }
    counts.compared += 1;
    let mut key = reader.key_of(path).expect("it is a path");
    assert_eq!(reader.kind(&mut key), kind_of(value) as u32, "{path:?}");
    let key = &mut key;
    let (real, whole, truth) = (reader.f64(key).map(f64::to_bits), reader.i64(key), reader.bool(key));
    let expected = number(value);
    assert_eq!(real, expected.map(|number| number.real().to_bits()), "{path:?}: {value:?}");
    assert_eq!(whole, expected.and_then(Number::whole), "{path:?}: {value:?}");
    assert_eq!(truth, expected.and_then(Number::truth), "{path:?}: {value:?}");
    let other = if matches!(value, Value::BigInt(_)) { libc::EOVERFLOW } else { libc::EINVAL };
    match value {
        Value::Str(text) => assert_eq!(reader.str(key), Ok(text.as_bytes())),
        _ => assert_eq!(reader.str(key), Err(other)),
    }
    match value {
        Value::Bytes(bytes) => assert_eq!(reader.bytes(key), Ok(&bytes[..])),
        _ => assert_eq!(reader.bytes(key), Err(other)),
    }
    match value {
        Value::Array(_, dtype, dims, bytes) => array(reader, key, dtype, dims, bytes, 64),
        Value::Scalar(dtype, words) => {
            let bytes: Vec<_> =
                words.iter().flat_map(|word| word.to_le_bytes()).take(dtype.itemsize).collect();
            array(reader, key, dtype, &[], &bytes, 8);
        }
        _ => assert_eq!(reader.view(key).err(), Some(other)),
    }
}

fn array(
    reader: &mut Reader,
    key: &mut traincast_header::Key,
    dtype: &Dtype,
    dims: &[u64],
    bytes: &[u8],
    alignment: usize,
) {
    let found = reader.view(key).expect("it is an array");
    assert_eq!((found.dtype, found.itemsize), (dtype.name.as_bytes(), dtype.itemsize));
    assert_eq!((found.shape, found.bytes), (dims, bytes));
    assert!(found.bytes.as_ptr().addr().is_multiple_of(alignment));
    assert!(bytes.len().checked_div(dtype.itemsize).is_none_or(|count| found.count == count));
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::None => Kind::None,
        Value::Bool(_) => Kind::Bool,
        Value::Int(_) => Kind::Int,
        Value::Float(_) => Kind::Float,
        Value::BigInt(_) => Kind::BigInt,
        Value::Str(_) => Kind::Str,
        Value::Bytes(_) => Kind::Bytes,
        Value::Scalar(..) => Kind::Scalar,
        Value::Array(kind, ..) => *kind,
        Value::List(_) => Kind::List,
        Value::Tuple(_) => Kind::Tuple,
        Value::Dict(_) => Kind::Dict,
    }
}

/// The type of a number.
#[derive(Clone, Copy, Debug)]
enum Number {
    Real(f64),
    Whole(i64),
}

impl Number {
    fn real(self) -> f64 {
        match self {
            Self::Real(real) => real,
            Self::Whole(whole) => whole as f64,
        }
    }

    fn whole(self) -> Result<i64, i32> {
        match self {
            Self::Whole(whole) => Ok(whole),
            Self::Real(real) => {
                let fits = (-(2_f64.powi(63))..2_f64.powi(63)).contains(&real) && real.fract() == 0.0;
                fits.then_some(real as i64).ok_or(libc::EINVAL)
            }
        }
    }

    fn truth(self) -> Result<bool, i32> {
        match self {
            Self::Whole(whole) => Ok(whole != 0),
            Self::Real(_) => Err(libc::EINVAL),
        }
    }
}

/// The number for a value, or the error that C must return.
fn number(value: &Value) -> Result<Number, i32> {
    match value {
        Value::Bool(value) => Ok(Number::Whole((*value).into())),
        Value::Int(value) => Ok(Number::Whole(*value)),
        Value::Float(bits) => Ok(Number::Real(f64::from_bits(*bits))),
        Value::BigInt(_) => Err(libc::EOVERFLOW),
        Value::Scalar(dtype, words) => scalar(dtype, words),
        _ => Err(libc::EINVAL),
    }
}

fn scalar(dtype: &Dtype, words: &[u64]) -> Result<Number, i32> {
    let word = words.first().copied().unwrap_or(0);
    Ok(match (&*dtype.name, dtype.itemsize) {
        ("<f8", 8) => Number::Real(f64::from_bits(word)),
        ("<f4", 4) => Number::Real(f32::from_bits(word as u32).into()),
        ("<f2", 2) => Number::Real(half(word as u16)),
        ("bfloat16", 2) => Number::Real(f32::from_bits((word as u32) << 16).into()),
        ("|b1" | "<b1", 1) => Number::Whole((word as u8 != 0).into()),
        ("|i1" | "<i1", 1) => Number::Whole((word as i8).into()),
        ("<i2", 2) => Number::Whole((word as i16).into()),
        ("<i4", 4) => Number::Whole((word as i32).into()),
        ("<i8", 8) => Number::Whole(word as i64),
        ("|u1" | "<u1", 1) => Number::Whole((word as u8).into()),
        ("<u2", 2) => Number::Whole((word as u16).into()),
        ("<u4", 4) => Number::Whole((word as u32).into()),
        ("<u8", 8) => Number::Whole(i64::try_from(word).map_err(|_| libc::EOVERFLOW)?),
        _ => return Err(libc::EINVAL),
    })
}

/// By the definition of IEEE 754.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN.copysign(sign),
        _ => sign * (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}
