//! A channel's files: a sound segment and roster are edited, and then opened, read, listed, cleaned up and taken over.
//!
//! The files are real ones on a tmpfs, because half of the code checks what the system says about them. An input edits the words
//! of a sound channel; arbitrary files would hardly ever get past the first check.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use traincast_core::directory::{ChannelName, Directory};
use traincast_core::error::Error;
use traincast_core::inspect;
use traincast_core::layout::{PAGE, WORD, header, roster};
use traincast_core::numbering::Position;
use traincast_core::reader::Reader;
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Shape;
use traincast_core::snapshot::wire::Message;
use traincast_core::snapshot::{Payload, PlacedBlob, Snapshot, to_bytes, to_words};
use traincast_core::writer::{Leftover, Writer, WriterOptions};

use super::image::{Image, STRIDE, VERSIONS};
use super::input::Input;
use super::snapshot::decoded;
use super::value::{Value, region};

/// After this time, a reader that should move to a new file counts as stuck. A watchdog, not a measurement.
const STUCK: Duration = Duration::from_secs(40);

/// What has been done so far: reads of a live file, attachments, listings, clean-ups, takeovers.
static COUNTS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

/// What has been done so far, in words.
pub fn counts() -> String {
    let [live, attached, listed, cleaned, taken] =
        COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed));
    format!(
        "{live} live edits read, {attached} attached, {listed} listed, {cleaned} cleaned up, {taken} taken over"
    )
}

/// An encoded snapshot.
struct Sample {
    value: Value,
    shape: Vec<u8>,
    values: Vec<u64>,
    blobs: Vec<u8>,
}

impl Sample {
    fn new(seed: &[u8]) -> Self {
        let value = Value::root(&mut Input(seed));
        let mut encoder = Encoder::default();
        encoder.start(None);
        value.encode(&mut encoder);
        Self {
            shape: encoder.recorded().expect("recorded").to_vec(),
            values: encoder.values().to_vec(),
            blobs: region(&encoder),
            value,
        }
    }

    /// Publishes it, with `more` bytes of blobs beyond its own.
    fn publish(&self, writer: &mut Writer, id: u64, more: usize) -> Result<u64, Error> {
        let mut bytes = self.blobs.clone();
        bytes.resize(bytes.len() + more, 0x77);
        let blobs = [PlacedBlob { offset: 0, bytes: &bytes[..] }];
        let payload = Payload {
            shape_id: id,
            shape: &to_words(&self.shape),
            shape_len: self.shape.len(),
            values: &self.values,
            blobs: &blobs,
            blob_words: bytes.len().div_ceil(WORD),
        };
        writer.publish(&payload).map(|version| version.get())
    }
}

/// Two directories: in one a reader stays attached while words change, in the other the files are created and removed.
struct Bench {
    live: Live,
    directory: Directory,
    path: PathBuf,
    roster_path: PathBuf,
    file: File,
    /// The roster's file is `sound`'s.
    roster_is_sound: bool,
    sound: Image,
    image: Image,
    samples: Vec<Sample>,
    _root: tempfile::TempDir,
}

struct Live {
    file: File,
    reader: Reader,
    buffer: Snapshot,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// Edits a sound channel as `data` says, and uses the channel.
///
/// After any edits, a read is a clear error or a snapshot whose parts are within the file. As soon as the channel is sound again,
/// the same reader reads sound snapshots. The next reader reads what a writer publishes after a takeover.
pub fn segment(data: &[u8]) {
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(Bench::new);
        let input = &mut Input(data);
        let plan = input.byte();
        bench.image.clone_from(&bench.sound);
        bench.image.edit(input);
        let kind = match plan {
            0..=191 => 0,
            192..=223 => 1,
            224..=233 => 2,
            234..=243 => 3,
            _ => 4,
        };
        COUNTS[kind].fetch_add(1, Ordering::Relaxed);
        match kind {
            0 => bench.read_live(plan & 1 == 1),
            1 => bench.attach(),
            2 => bench.list(),
            3 => bench.clean(),
            _ => bench.take_over(plan),
        }
    });
}

fn channel() -> ChannelName {
    ChannelName::new("run", 3).unwrap()
}

fn create(path: &PathBuf) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).unwrap()
}

impl Bench {
    fn new() -> Self {
        let base = std::env::var_os("TRAINCAST_FUZZ_DIR").map_or("/dev/shm".into(), PathBuf::from);
        let base = if base.is_dir() { base } else { std::env::temp_dir() };
        let root = tempfile::Builder::new().prefix("traincast-fuzz-").tempdir_in(base).unwrap();
        let directory = Directory::at(root.path().join("channels")).unwrap();
        let path = directory.path().join("run@3");
        let roster_path = directory.path().join("run@3.roster");
        let seeds: [&[u8]; 2] = [
            b"\x07\x02\x05steps\x02\x01\x07\x02\x03tag\x05\x04abcd\x02\x01w\x08\x00\x00\x02\x02\x03\x02\x01l\x0a\x03\x01\x01\x00\x06\x02hi",
            b"\x03\x02\x05steps\x02\x01\x09\x00\x01\x05\x04\x09aaaaaaaaa\x02\x01t\x0b\x02\x07\x00\x01\x02\x03\x04\x05\x06\x07\x08\x03\x05",
        ];
        let samples: Vec<_> = seeds.into_iter().map(Sample::new).collect();
        let options = WriterOptions { capacity: PAGE, ..WriterOptions::default() };
        let mut writer = Writer::open(&directory, channel(), options).unwrap();
        for version in 1..=VERSIONS {
            let index = usize::from(version > 4);
            samples[index].publish(&mut writer, 1 + index as u64, 0).unwrap();
        }
        let segment = fs::read(&path).unwrap();
        let roster = fs::read(&roster_path).unwrap();
        drop(writer);
        let sound = Image { size: segment.len(), roster_size: Some(roster.len()), segment, roster };
        let live = Directory::at(root.path().join("live")).unwrap();
        live.make().unwrap();
        // Without a roster a reader looks for one at each snapshot, which would take most of the time.
        fs::write(live.path().join("run@3.roster"), &sound.roster).unwrap();
        fs::set_permissions(live.path().join("run@3.roster"), fs::Permissions::from_mode(0o600)).unwrap();
        let file = create(&live.path().join("run@3"));
        file.write_all_at(&sound.segment, 0).unwrap();
        let live = Live {
            file,
            reader: Reader::attach(&live, channel(), Duration::ZERO).unwrap(),
            buffer: Snapshot::default(),
        };
        Self {
            live,
            file: create(&path),
            directory,
            path,
            roster_path,
            roster_is_sound: false,
            image: sound.clone(),
            sound,
            samples,
            _root: root,
        }
    }

    // ---- files --------------------------------------------------------------------------------------------

    /// Writes the image to the channel's files; a file that was replaced or removed in the meantime is created again.
    fn write(&mut self) {
        let mut ours = self.file.metadata().unwrap();
        if !fs::metadata(&self.path).is_ok_and(|named| named.ino() == ours.ino()) {
            let _ = fs::remove_file(&self.path);
            self.file = create(&self.path);
            ours = self.file.metadata().unwrap();
        }
        // Nobody has the file mapped now: a mapped file must not be truncated.
        if ours.size() != self.image.size as u64 {
            self.file.set_len(self.image.size as u64).unwrap();
        }
        let content = &self.image.segment[..self.image.size.min(self.sound.size)];
        self.file.write_all_at(content, 0).unwrap();
        self.write_roster();
    }

    fn write_roster(&mut self) {
        let sound =
            self.image.roster_size == self.sound.roster_size && self.image.roster == self.sound.roster;
        if sound && self.roster_is_sound {
            return;
        }
        self.roster_is_sound = sound;
        match self.image.roster_size {
            None => drop(fs::remove_file(&self.roster_path)),
            Some(size) => {
                let file = create(&self.roster_path);
                let content = &self.image.roster[..size.min(self.image.roster.len())];
                file.write_all_at(content, 0).unwrap();
                file.set_len(size as u64).unwrap();
            }
        }
    }

    // ---- uses -------------------------------------------------------------------------------------------------------

    /// A reader that has read the sound channel meets the edits, and then the sound channel again.
    fn read_live(&mut self, knows_the_shape: bool) {
        self.expect_sound(VERSIONS);
        let Live { file, reader, buffer } = &mut self.live;
        file.write_all_at(&self.image.segment, 0).unwrap();
        if !knows_the_shape {
            buffer.forget();
        }
        use_read(reader.read_into(buffer), buffer);
        self.expect_sound(VERSIONS - 1);
    }

    fn expect_sound(&mut self, position: u64) {
        let Live { file, reader, buffer } = &mut self.live;
        file.write_all_at(&self.sound.segment, 0).unwrap();
        let head = Head::of(Position(position)).bits().to_le_bytes();
        file.write_all_at(&head, (header::HEAD * WORD) as u64).unwrap();
        // If the edits have stored a shape under the sound one's id, it would count as known.
        buffer.forget();
        match reader.read_into(buffer) {
            Ok(new) => assert!(new && buffer.meta.position == Position(position)),
            Err(error) => panic!("a sound channel: {error}"),
        }
        assert_reads(buffer, &self.samples[1]);
    }

    fn attach(&mut self) {
        self.write();
        let buffer = &mut Snapshot::default();
        match Reader::attach(&self.directory, channel(), Duration::ZERO) {
            Ok(mut reader) => {
                use_read(reader.read_into(buffer), buffer);
                if buffer.is_filled() {
                    let message = reader.read_wire(buffer).unwrap();
                    let _ = Message::parse(&message); // refused or not: its content may be anything
                }
                let _ = (reader.closed(), reader.link(), reader.newest().map(|meta| reader.age(&meta)));
                assert!(!reader.writer_alive().unwrap());
            }
            Err(error) => assert_refusal(&error),
        }
    }

    fn list(&mut self) {
        self.write();
        let channels = inspect::list(&self.directory).unwrap();
        assert_eq!(channels.len(), 1);
        assert!(channels[0].age >= 0.0 && channels[0].created >= 0.0);
        assert!(channels[0].readers.len() <= roster::MAX_BYTES / 64);
    }

    fn clean(&mut self) {
        self.write();
        self.roster_is_sound = false;
        for leftover in inspect::leftovers(&self.directory).unwrap() {
            assert!(inspect::remove_leftover(&self.directory, &leftover.path).unwrap());
        }
        assert_eq!(fs::read_dir(self.directory.path()).unwrap().count(), 0);
    }

    fn take_over(&mut self, plan: u8) {
        self.write();
        self.roster_is_sound = false;
        let leftover = match plan % 3 {
            0 => Leftover::Continue,
            1 => Leftover::Replace,
            _ => Leftover::Refuse,
        };
        let options = WriterOptions { capacity: PAGE, leftover, ..WriterOptions::default() };
        let mut old = Reader::attach(&self.directory, channel(), Duration::ZERO).ok();
        match Writer::open(&self.directory, channel(), options) {
            Ok(mut writer) => self.publish(&mut writer, &mut old, usize::from(plan & 4) * 4096),
            Err(Error::ChannelExists { .. }) => assert_eq!(leftover, Leftover::Refuse),
            Err(error) => assert_refusal(&error),
        }
    }

    /// Three snapshots of a writer that has taken over, read by an old reader and by a new one.
    fn publish(&self, writer: &mut Writer, old: &mut Option<Reader>, more: usize) {
        let mut late: Option<Reader> = None;
        let mut buffers = [Snapshot::default(), Snapshot::default()];
        for (turn, (sample, more)) in [(0, 0), (1, 0), (0, more)].into_iter().enumerate() {
            let sample = &self.samples[sample];
            let before = writer.version().get();
            let version = sample.publish(writer, 1, more).unwrap();
            // The previous writer may live, and then it may have published one more.
            assert!(version == before + 1 || turn == 0 && before > 0 && version == before + 2);
            let late = late
                .get_or_insert_with(|| Reader::attach(&self.directory, channel(), Duration::ZERO).unwrap());
            let wanted = late.newest().unwrap().stamp;
            assert_eq!((wanted.version.get(), wanted.epoch), (version, writer.epoch()));
            let readers = [Some(late), old.as_mut()].into_iter().flatten();
            for (at, (reader, buffer)) in readers.zip(&mut buffers).enumerate() {
                let since = Instant::now();
                loop {
                    assert!(
                        since.elapsed() < STUCK,
                        "reader {at} is stuck at {:?} of {wanted:?}, turn {turn}; the directory holds {:?}",
                        buffer.meta,
                        fs::read_dir(self.directory.path()).map(Iterator::collect::<Vec<_>>)
                    );
                    match reader.read_into(buffer) {
                        Ok(_) if buffer.meta.stamp == wanted => break,
                        // If the file had a mark before, the reader looks for its successor after 10 ms.
                        Ok(_) => {}
                        Err(error) => assert!(at == 1 && turn == 0, "{error}"),
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                assert_reads(buffer, sample);
            }
        }
        writer.close();
        assert!(late.is_some_and(|mut late| late.closed()));
        assert_eq!(fs::read_dir(self.directory.path()).unwrap().count(), 0);
    }
}

/// Checks the result of a read from a file that may be damaged.
fn use_read(read: Result<bool, Error>, buffer: &Snapshot) {
    match read {
        Ok(false) => {}
        Ok(true) => {
            let meta = buffer.meta;
            let stride = 5 * STRIDE;
            let blobs: &[u8] = if meta.blob_words > 0 { buffer.blobs.bytes() } else { &[] };
            assert!(meta.values_len == buffer.values.len() && meta.values_len <= stride);
            assert!(meta.blob_words * WORD == blobs.len() && meta.blob_words <= stride);
            assert!(buffer.values.capacity() <= 2 * stride && buffer.blobs.capacity() <= 2 * stride);
            assert_eq!(buffer.shape.len(), meta.shape_len.div_ceil(WORD));
            if let Ok(shape) = Shape::parse(to_bytes(&buffer.shape, meta.shape_len)) {
                let _ = decoded(&shape, &buffer.values, blobs);
            }
        }
        Err(error) => {
            assert_refusal(&error);
            assert!(!buffer.is_filled());
        }
    }
}

fn assert_reads(buffer: &Snapshot, sample: &Sample) {
    assert_eq!(to_bytes(&buffer.shape, buffer.meta.shape_len), sample.shape);
    let shape = Shape::parse(&sample.shape[..]).unwrap();
    let blobs: &[u8] = if buffer.meta.blob_words > 0 { buffer.blobs.bytes() } else { &[] };
    assert_eq!(decoded(&shape, &buffer.values, blobs).as_ref(), Some(&sample.value));
}

fn assert_refusal(error: &Error) {
    let clear = matches!(
        error,
        Error::CorruptChannel { .. } | Error::IncompatibleChannel { .. } | Error::ChannelNotFound { .. }
    );
    assert!(clear, "{error}");
}
