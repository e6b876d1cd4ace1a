//! Messages: arbitrary bytes, and sound messages with edits and a checksum that fits.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use traincast_core::BlobBuffer;
use traincast_core::directory::{ChannelName, Directory};
use traincast_core::error::Error;
use traincast_core::layout::{PAGE, WORD};
use traincast_core::numbering::{Epoch, Position, ShapeKey, Stamp, Term, Version};
use traincast_core::reader::Reader;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::wire::{Message, Origin, encode, word};
use traincast_core::snapshot::{Snapshot, to_bytes, to_words};
use traincast_core::writer::{Delivery, Writer, WriterOptions};

use super::input::Input;
use super::snapshot::{assert_bounded, decoded};
use super::value::{Value, region};

/// A message is refused, or a reader on the node reads its content and sends it on.
pub fn wire(data: &[u8]) {
    let input = &mut Input(data);
    let plan = input.byte();
    if plan >= 224 {
        return check(input.0, None);
    }
    let edits = usize::from(plan % 6);
    let (mut message, value) = sound(input);
    for _ in 0..edits {
        edit(&mut message, input);
    }
    // Most get a checksum that fits: otherwise nothing gets past the first check.
    if plan < 208 {
        mend(&mut message);
    }
    check(&message, (edits == 0).then_some(&value));
}

/// A message as from a relay, with a dictionary that the input describes.
fn sound(input: &mut Input<'_>) -> (Vec<u8>, Value) {
    let numbers = Stamp {
        term: Term(input.word() >> 8),
        epoch: Epoch(1 + u64::from(input.byte())),
        version: Version(1 + u64::from(input.byte())),
    };
    let len = input.below(80);
    let origin = Origin { host: String::from_utf8_lossy(input.take(len)).into_owned(), pid: input.word() };
    let len = input.below(200);
    let value = Value::root(&mut Input(input.take(len)));
    let mut encoder = Encoder::default();
    encoder.start(None);
    value.encode(&mut encoder);
    let shape = encoder.recorded().expect("recorded");
    let words: Vec<_> = to_words(&region(&encoder)).into_iter().map(AtomicU64::new).collect();
    let mut blobs = BlobBuffer::default();
    blobs.refill(&words);
    let mut snapshot = Snapshot::default();
    snapshot.meta.position = Position(1);
    snapshot.meta.stamp = numbers;
    snapshot.meta.shape = ShapeKey { takeover: 1, id: 1 };
    snapshot.meta.shape_len = shape.len();
    snapshot.meta.values_len = encoder.values().len();
    snapshot.meta.blob_words = words.len();
    snapshot.shape = to_words(shape);
    snapshot.values = encoder.values().to_vec();
    snapshot.blobs = Arc::new(blobs);
    (encode(&snapshot, &origin), value)
}

fn edit(message: &mut Vec<u8>, input: &mut Input<'_>) {
    let words = message.len() / WORD;
    match input.below(8) {
        // A word of the head, of the payload, or anywhere.
        0 | 1 => replace(message, input.below(word::PAYLOAD), input),
        2 | 3 => {
            let at = word::PAYLOAD + input.short() % words.saturating_sub(word::PAYLOAD).max(1);
            replace(message, at, input);
        }
        4 if !message.is_empty() => {
            let at = input.short() % message.len();
            message[at] = input.byte();
        }
        5 => message.truncate(input.short() % (message.len() + 1)),
        6 => message.extend_from_slice(&vec![input.byte(); input.below(70)]),
        _ => {
            // Other lengths of the parts, with the same sum.
            let (from, to) = (word::SHAPE_LEN + input.below(3), word::SHAPE_LEN + input.below(3));
            let by = u64::from(input.byte() % 4);
            for (at, by) in [(from, by.wrapping_neg()), (to, by)] {
                let length = get(message, at).wrapping_add(by);
                put(message, at, length);
            }
        }
    }
}

fn get(message: &[u8], index: usize) -> u64 {
    Input(message.get(index * WORD..).unwrap_or_default()).word()
}

fn put(message: &mut [u8], index: usize, value: u64) {
    if let Some(word) = message.get_mut(index * WORD..).and_then(|rest| rest.first_chunk_mut()) {
        *word = value.to_le_bytes();
    }
}

fn replace(message: &mut [u8], index: usize, input: &mut Input<'_>) {
    let value = input.number(get(message, index));
    put(message, index, value);
}

fn mend(message: &mut [u8]) {
    put(message, word::TOTAL, message.len() as u64);
    if let Some(rest) = message.get((word::CHECKSUM + 1) * WORD..) {
        let checksum = crc32fast::hash(rest);
        put(message, word::CHECKSUM, checksum.into());
    }
}

/// Parses it and uses the result. `value`: its content, if known.
fn check(bytes: &[u8], value: Option<&Value>) {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => return assert!(value.is_none(), "a sound message: {error}"),
    };
    assert_eq!(bytes.len() % WORD, 0);
    assert!(bytes.len() >= word::PAYLOAD * WORD);
    assert_bounded(&message.shape, &message.shape.bytes.clone());
    assert!(message.shape.bytes.len() <= bytes.len() && message.origin.host.len() <= 3 * 64);
    let payload = message.payload(1);
    assert_eq!(payload.fault(), None);
    let words = payload.slot_words().expect("no more than the message");
    assert!(words * WORD <= bytes.len());
    NODE.with_borrow_mut(|node| node.get_or_insert_with(Node::new).deliver(&message, bytes, value));
}

thread_local! {
    static NODE: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// A node at which messages arrive. Each message gets a channel of its own, because its numbers may be anything.
struct Node {
    directory: Directory,
    _root: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let base = std::env::var_os("TRAINCAST_FUZZ_DIR").map_or("/dev/shm".into(), std::path::PathBuf::from);
        let base = if base.is_dir() { base } else { std::env::temp_dir() };
        let root = tempfile::Builder::new().prefix("traincast-fuzz-").tempdir_in(base).unwrap();
        Self { directory: Directory::at(root.path().join("channels")).unwrap(), _root: root }
    }

    fn deliver(&self, message: &Message, bytes: &[u8], value: Option<&Value>) {
        let name = ChannelName::new("run", 3).unwrap();
        let options = WriterOptions { capacity: PAGE, ..WriterOptions::default() };
        let mut writer = Writer::open(&self.directory, name.clone(), options).unwrap();
        let version = message.stamp.version;
        assert_eq!(writer.publish_message(message, Some(9)).unwrap(), Delivery::Published(version));
        assert_eq!(writer.publish_message(message, Some(9)).unwrap(), Delivery::Known(version));
        let mut reader = Reader::attach(&self.directory, name, Duration::ZERO).unwrap();
        let mut out = Snapshot::default();
        let again = reader.read_wire(&mut out).unwrap();
        assert_eq!((out.meta.stamp, out.meta.published_ns), (message.stamp, 9));
        assert_eq!(again[word::PAYLOAD * WORD..], bytes[word::PAYLOAD * WORD..], "the payload goes through");
        let parsed = Message::parse(&again).expect("what is sent on is sound");
        assert_eq!((parsed.stamp, &parsed.origin.pid), (message.stamp, &message.origin.pid));
        assert_eq!(parsed.published_unix_ns, message.published_unix_ns);
        // What readers rely on.
        let blobs: &[u8] = if out.meta.blob_words > 0 { out.blobs.bytes() } else { &[] };
        assert_eq!(to_bytes(&out.shape, out.meta.shape_len), message.shape.bytes);
        let read = decoded(&message.shape, &out.values, blobs).expect("what was checked is decoded");
        if let Some(value) = value {
            assert_eq!(read, *value);
        }
        match writer.publish_message(&older(message), None) {
            Err(Error::Outdated { .. }) => {}
            other => panic!("older: {other:?}"),
        }
        // The memory belongs to the channel, which is removed.
        writer.close();
    }
}

/// The same message, as if it had been sent earlier.
fn older(message: &Message) -> Message {
    let mut sent = Snapshot::default();
    sent.meta.stamp = message.stamp;
    sent.meta.shape_len = 2;
    sent.shape = vec![9];
    let bytes = encode(&sent, &message.origin);
    let mut older = Message::parse(&bytes).expect("an empty dictionary");
    older.stamp.version = Version(message.stamp.version.get() - 1);
    older
}
