//! A snapshot's bytes: the core's decoder gets them directly, and the C reader finds them in a sound file.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use traincast_core::directory::{ChannelName, Directory};
use traincast_core::layout::{HEADER_BYTES, SLOTS, WORD, header, slot};
use traincast_core::numbering::Position;
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::decode::{MalformedValues, check, decode};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::lookup::KeyPath;
use traincast_core::snapshot::shape::{Key, Shape};
use traincast_core::snapshot::{Payload, to_words};
use traincast_core::writer::{Writer, WriterOptions};
use traincast_header::Reader;

use crate::compare::{Counts, compare};
use crate::input::Input;
use crate::value::{Build, Value, region};

/// Bytes of a slot: room for the largest number of values that an input can ask for.
const CAPACITY: usize = 1 << 20;
const MOST_VALUES: usize = 1 << 16;

/// Snapshots that both accepted, snapshots that both refused, leaves that were compared, paths that were followed.
static COUNTS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

pub fn counts() -> String {
    let [accepted, refused, leaves, paths] = COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed));
    format!(
        "{accepted} snapshots accepted, {refused} refused; {leaves} leaves compared, {paths} paths followed"
    )
}

fn add(count: usize, more: u64) {
    COUNTS[count].fetch_add(more, Ordering::Relaxed);
}

/// A file into which the test itself stores one snapshot after the other.
struct Bench {
    file: File,
    reader: Reader,
    position: u64,
    /// It writes no more: the test writes the file.
    _writer: Writer,
    _root: tempfile::TempDir,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::Builder::new().prefix("traincast-fuzz-").tempdir_in("/dev/shm").unwrap();
        let directory = Directory::at(root.path().join("channels")).unwrap();
        let name = ChannelName::new("run", 3).unwrap();
        let options = WriterOptions { capacity: CAPACITY, ..WriterOptions::default() };
        let mut writer = Writer::open(&directory, name, options).unwrap();
        let empty = Payload::<&[u8]> {
            shape_id: 1,
            shape: &to_words(&[9, 0]),
            shape_len: 2,
            values: &[],
            blobs: &[],
            blob_words: 0,
        };
        writer.publish(&empty).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(directory.path().join("run@3")).unwrap();
        let reader = Reader::open(Some(directory.path()), "run", 3).unwrap();
        Self { file, reader, position: 1, _writer: writer, _root: root }
    }

    fn store(&self, at: usize, words: &[u64]) {
        let bytes: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.file.write_all_at(&bytes, at as u64).unwrap();
    }

    /// Publishes a snapshot without a writer.
    fn put(&mut self, shape: &[u8], values: &[u64], blobs: &[u8]) {
        self.position += 1;
        let position = self.position;
        let start = HEADER_BYTES + position as usize % SLOTS * CAPACITY;
        let (shape_words, blob_words) = (to_words(shape), to_words(blobs));
        let mut meta = [0; slot::PAYLOAD];
        for (index, value) in [
            (slot::SEQ, 2 * position + 2),
            (slot::POSITION, position),
            (slot::TERM, 1),
            (slot::EPOCH, 1),
            (slot::VERSION, position),
            (slot::TAKEOVER, 1),
            (slot::SHAPE_ID, position),
            (slot::SHAPE_LEN, shape.len() as u64),
            (slot::VALUES_LEN, values.len() as u64),
            (slot::BLOB_WORDS, blob_words.len() as u64),
        ] {
            meta[index] = value;
        }
        self.store(start, &[&meta[..], &shape_words, values, &blob_words].concat());
        self.store(header::HEAD * WORD, &[Head::of(Position(position)).bits()]);
    }
}

/// What the core decodes. `Err`: it refuses. `Ok(None)`: the only fault is a string that is not UTF-8.
fn decoded(shape: &Shape, values: &[u64], blobs: &[u8]) -> Result<Option<Value>, MalformedValues> {
    check(shape, values, blobs)?;
    let mut build = Build::default();
    match decode(shape, values, blobs, &mut build) {
        Ok(()) => Ok(Some(build.root.expect("there is a root"))),
        Err(MalformedValues::NotUtf8) => Ok(None),
        Err(error) => panic!("check and decode disagree: {error}"),
    }
}

fn differ(shape: &[u8], values: &[u64], blobs: &[u8]) {
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(Bench::new);
        let before = bench.reader.numbers();
        bench.put(shape, values, blobs);
        let mut whole = blobs.to_vec();
        whole.resize(blobs.len().next_multiple_of(WORD), 0); // as in the file
        let parsed = Shape::parse(shape);
        let core = parsed
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|shape| decoded(shape, values, &whole).map_err(|error| error.to_string()));
        match (core, bench.reader.poll()) {
            (Ok(value), Ok(true)) => {
                add(0, 1);
                assert_eq!(bench.reader.numbers().stamp, [1, 1, bench.position]);
                if let Some(value) = value {
                    let mut counts = Counts::default();
                    compare(&mut bench.reader, &value, &mut counts);
                    add(2, counts.compared);
                }
                follow(&mut bench.reader, &parsed.unwrap());
            }
            (Err(_), Err(libc::EBADMSG)) => {
                add(1, 1);
                assert_eq!(bench.reader.numbers(), before, "the snapshot in hand stays");
                assert!(bench.reader.error().contains("damaged"));
            }
            (core, c) => panic!("the core: {core:?}; in C: {c:?}, {}", bench.reader.error()),
        }
    });
}

/// Checks that both find the same at each key of the root, and at a path of two of its names.
fn follow(reader: &mut Reader, shape: &Shape) {
    let names = shape.keys().filter_map(|key| match key {
        Key::Str(name) => Some(name.into_owned()),
        _ => None,
    });
    let mut before = "-1".to_owned();
    for name in names.take(4) {
        follow_one(reader, shape, &name);
        follow_one(reader, shape, &format!("{before}.{name}"));
        before = name;
    }
}

fn follow_one(reader: &mut Reader, shape: &Shape, text: &str) {
    let Ok(c_text) = std::ffi::CString::new(text) else { return };
    let core = KeyPath::dotted(text).map(|path| shape.find(&path));
    match (core, reader.key(&c_text)) {
        (Err(_), Err(libc::EINVAL)) => {}
        (Ok(found), Ok(mut key)) => {
            let kind = found.map_or(255, |node| shape.nodes[node].kind as u32);
            assert_eq!(reader.kind(&mut key), kind, "{text:?}");
            add(3, 1);
        }
        (core, c) => panic!("{text:?}: the core: {core:?}; in C: {:?}", c.map(drop)),
    }
}

/// Decodes `len (2 bytes) │ shape │ flags │ length of the values in bytes (2) │ values │ blobs`, as the core's target does.
pub fn arbitrary(data: &[u8]) {
    let input = &mut Input(data);
    let len = input.short();
    let shape = input.take(len);
    let flags = input.byte();
    let len = input.short();
    let mut values: Vec<_> = input.take(len).chunks(8).map(|chunk| Input(chunk).word()).collect();
    // Most inputs get the right number of values, and small ones: other numbers are refused early.
    if flags & 3 != 0
        && let Ok(shape) = Shape::parse(shape)
        && shape.value_words < MOST_VALUES
    {
        values.resize(shape.value_words, 1);
    }
    if flags & 4 != 0 {
        values.iter_mut().for_each(|value| *value &= 0x1f);
    }
    differ(shape, &values, input.0);
}

/// Encodes the dictionary that the bytes describe.
pub fn well_formed(data: &[u8]) {
    let input = &mut Input(data);
    let value = Value::root(input);
    let mut encoder = Encoder::default();
    encoder.start(None);
    value.encode(&mut encoder);
    let shape = encoder.recorded().expect("recorded").to_vec();
    differ(&shape, encoder.values(), &region(&encoder));
}
