//! A sound channel's file with edits, read by the core's reader and the C reader: two that had read it before, or two new ones.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use traincast_core::directory::{ChannelName, Directory};
use traincast_core::error::Error;
use traincast_core::layout::{PAGE, WORD, header};
use traincast_core::numbering::Position;
use traincast_core::reader::Reader as CoreReader;
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::decode::{MalformedValues, check, decode};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Shape;
use traincast_core::snapshot::{Payload, PlacedBlob, Snapshot, to_bytes, to_words};
use traincast_core::writer::{Writer, WriterOptions};
use traincast_header::Reader;

use crate::compare::{Counts, compare};
use crate::image::{Image, VERSIONS};
use crate::input::Input;
use crate::value::{Build, Value, region};

/// Live edits, attachments, snapshots that were accepted, leaves that were compared.
static COUNTS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

pub fn counts() -> String {
    let [live, attached, accepted, leaves] = COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed));
    format!("{live} live edits, {attached} attachments; {accepted} accepted, {leaves} leaves compared")
}

fn add(count: usize, more: u64) {
    COUNTS[count].fetch_add(more, Ordering::Relaxed);
}

struct Bench {
    root: tempfile::TempDir,
    sound: Image,
    image: Image,
    live: Pair,
    live_file: File,
    file: File,
}

/// The core's reader and the C reader.
struct Pair {
    core: CoreReader,
    snapshot: Snapshot,
    c: Reader,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

fn channel() -> ChannelName {
    ChannelName::new("run", 3).unwrap()
}

fn create(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).unwrap()
}

/// A channel that has had two structures, and seven snapshots.
fn sound(directory: &Directory) -> Image {
    let seeds: [&[u8]; 2] = [
        b"\x07\x02\x05steps\x02\x01\x07\x02\x03tag\x05\x04abcd\x02\x01w\x08\x00\x00\x02\x02\x03\x02\x01l\x0a\x03\x01\x01\x00\x06\x02hi",
        b"\x03\x02\x05steps\x02\x01\x09\x00\x01\x05\x04\x09aaaaaaaaa\x02\x01t\x0b\x02\x07\x00\x01\x02\x03\x04\x05\x06\x07\x08\x03\x05",
    ];
    let options = WriterOptions { capacity: PAGE, ..WriterOptions::default() };
    let mut writer = Writer::open(directory, channel(), options).unwrap();
    for version in 1..=VERSIONS {
        let index = usize::from(version > 4);
        let mut encoder = Encoder::default();
        encoder.start(None);
        Value::root(&mut Input(seeds[index])).encode(&mut encoder);
        let shape = encoder.recorded().expect("recorded").to_vec();
        let bytes = region(&encoder);
        let payload = Payload {
            shape_id: 1 + index as u64,
            shape: &to_words(&shape),
            shape_len: shape.len(),
            values: encoder.values(),
            blobs: &[PlacedBlob { offset: 0, bytes: &bytes[..] }],
            blob_words: bytes.len().div_ceil(WORD),
        };
        writer.publish(&payload).unwrap();
    }
    let segment = fs::read(directory.path().join("run@3")).unwrap();
    let roster = fs::read(directory.path().join("run@3.roster")).unwrap();
    Image { size: segment.len(), roster_size: Some(roster.len()), segment, roster }
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::Builder::new().prefix("traincast-fuzz-").tempdir_in("/dev/shm").unwrap();
        let made = Directory::at(root.path().join("made")).unwrap();
        let sound = sound(&made);
        let live = Directory::at(root.path().join("live")).unwrap();
        live.make().unwrap();
        create(&live.path().join("run@3.roster")).write_all_at(&sound.roster, 0).unwrap();
        let live_file = create(&live.path().join("run@3"));
        live_file.write_all_at(&sound.segment, 0).unwrap();
        let other = Directory::at(root.path().join("other")).unwrap();
        other.make().unwrap();
        let live = Pair {
            core: CoreReader::attach(&live, channel(), Duration::ZERO).unwrap(),
            snapshot: Snapshot::default(),
            c: Reader::open(Some(live.path()), "run", 3).unwrap(),
        };
        let file = create(&root.path().join("other/run@3"));
        Self { image: sound.clone(), sound, live, live_file, file, root }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("other/run@3")
    }

    /// Restores the sound file, with this newest position.
    fn put_back(&self, position: u64) {
        self.live_file.write_all_at(&self.sound.segment, 0).unwrap();
        let head = Head::of(Position(position)).bits().to_le_bytes();
        self.live_file.write_all_at(&head, (header::HEAD * WORD) as u64).unwrap();
    }

    /// Restores the sound file, with another newest position than the readers have in hand: they read it.
    fn mend(&mut self, position: u64) {
        self.put_back(position);
        let Pair { core, snapshot, c } = &mut self.live;
        snapshot.forget(); // the edits may have stored a shape under the sound one's id
        core.read_into(snapshot).unwrap();
        c.poll().unwrap();
        assert_eq!((snapshot.meta.position, c.numbers().stamp[2]), (Position(position), position));
    }

    fn live(&mut self) {
        self.mend(VERSIONS - 1);
        self.live_file.write_all_at(&self.image.segment, 0).unwrap();
        let Pair { core, snapshot, c } = &mut self.live;
        let read = core.read_into(snapshot);
        let polled = c.poll();
        same(read, snapshot, polled, c);
        // If the edits left one of these positions as the newest one, the other one is news.
        for position in [VERSIONS - 2, VERSIONS] {
            self.put_back(position);
            let _ = self.live.c.poll();
        }
        self.mend(VERSIONS - 2);
    }

    fn attach(&mut self) {
        let mut ours = self.file.metadata().unwrap();
        if !fs::metadata(self.path()).is_ok_and(|named| named.ino() == ours.ino()) {
            self.file = create(&self.path());
            ours = self.file.metadata().unwrap();
        }
        // Nobody has the file mapped now: a mapped file must not be truncated.
        if ours.size() != self.image.size as u64 {
            self.file.set_len(self.image.size as u64).unwrap();
        }
        let content = &self.image.segment[..self.image.size.min(self.sound.size)];
        self.file.write_all_at(content, 0).unwrap();
        let directory = Directory::at(self.root.path().join("other")).unwrap();
        let mut snapshot = Snapshot::default();
        let core = CoreReader::attach(&directory, channel(), Duration::ZERO);
        let read = core.and_then(|mut core| core.read_into(&mut snapshot));
        let (mut c, code) = Reader::open_soon(Some(directory.path()), "run", 3);
        let opened = if code < 0 { Err(-code) } else { Ok(true) };
        same(read, &snapshot, opened, &mut c);
    }
}

/// Checks that both readers say the same about the newest snapshot.
fn same(read: Result<bool, Error>, snapshot: &Snapshot, polled: Result<bool, i32>, c: &mut Reader) {
    let core = match read {
        Ok(_) => value_of(snapshot),
        Err(Error::ChannelNotFound { .. }) => Err(libc::ENOENT),
        Err(Error::CorruptChannel { .. }) => Err(libc::EBADMSG),
        Err(Error::IncompatibleChannel { .. }) => Err(libc::EPROTO),
        Err(error) => panic!("{error}"),
    };
    match (core, polled) {
        (Ok(value), Ok(_)) => {
            add(2, 1);
            let stamp = snapshot.meta.stamp;
            assert_eq!(c.numbers().stamp, [stamp.term.get(), stamp.epoch.get(), stamp.version.get()]);
            if let Some(value) = value {
                let mut counts = Counts::default();
                compare(c, &value, &mut counts);
                add(3, counts.compared);
            }
        }
        (Err(core), Err(polled)) => assert_eq!(core, polled, "{}", c.error()),
        (core, polled) => panic!("the core: {core:?}; in C: {polled:?}, {}", c.error()),
    }
}

/// `Ok(None)`: its only fault is a string that is not UTF-8.
fn value_of(snapshot: &Snapshot) -> Result<Option<Value>, i32> {
    let blobs: &[u8] = if snapshot.meta.blob_words > 0 { snapshot.blobs.bytes() } else { &[] };
    let shape =
        Shape::parse(to_bytes(&snapshot.shape, snapshot.meta.shape_len)).map_err(|_| libc::EBADMSG)?;
    check(&shape, &snapshot.values, blobs).map_err(|_| libc::EBADMSG)?;
    let mut build = Build::default();
    match decode(&shape, &snapshot.values, blobs, &mut build) {
        Ok(()) => Ok(build.root),
        Err(MalformedValues::NotUtf8) => Ok(None),
        Err(error) => panic!("check and decode disagree: {error}"),
    }
}

/// Edits the file as `data` says.
pub fn mended(data: &[u8]) {
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(Bench::new);
        let input = &mut Input(data);
        let live = input.byte() < 128;
        bench.image.clone_from(&bench.sound);
        bench.image.edit(input);
        if live {
            bench.live()
        } else {
            bench.attach()
        }
        add(usize::from(!live), 1);
    });
}
