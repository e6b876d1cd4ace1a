//! A channel, and what is published in it.

use traincast_core::directory::{ChannelName, Directory};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Kind;
use traincast_core::writer::{Payload, Writer, WriterOptions};

const COEFFICIENTS: [&str; 8] = ["goal", "alive", "speed", "energy", "smooth", "contact", "height", "effort"];

/// A channel in a directory of its own.
pub struct Place {
    pub writer: Writer,
    pub directory: Directory,
    _root: tempfile::TempDir,
}

/// Its name.
pub fn name() -> ChannelName {
    ChannelName::new("bench", 0).expect("a good name")
}

/// A new one, nothing published yet.
pub fn place(options: WriterOptions) -> Place {
    let base = ["/dev/shm", "/tmp"]
        .into_iter()
        .find(|path| std::path::Path::new(path).is_dir())
        .expect("a directory for temporary files");
    let root =
        tempfile::Builder::new().prefix("traincast-bench-").tempdir_in(base).expect("a temporary directory");
    let directory = Directory::open(root.path().join("channels")).expect("a channel directory");
    let writer = Writer::open(&directory, name(), options).expect("a writer");
    Place { writer, directory, _root: root }
}

/// The payload of the other benchmarks.
pub fn walk(encoder: &mut Encoder<()>, step: i64) {
    encoder.container(Kind::Dict, 3);
    encoder.key_str("approx_total_training_steps");
    encoder.int(step);
    encoder.key_str("epoch");
    encoder.int(7);
    encoder.key_str("reward_shaping");
    encoder.container(Kind::Dict, COEFFICIENTS.len());
    for (index, key) in COEFFICIENTS.iter().enumerate() {
        encoder.key_str(key);
        encoder.float(step as f64 + index as f64 * 0.1);
    }
}

/// The payload's words, as they are published.
pub fn payload<'a>(shape: &'a [u64], shape_len: usize, values: &'a [u64]) -> Payload<'a> {
    Payload { shape_id: 1, shape, shape_len, values, blobs: &[], blob_words: 0 }
}

/// The payload's shape, as bytes, and its values.
pub fn encoded() -> (Vec<u8>, Vec<u64>) {
    let mut encoder = Encoder::<()>::default();
    encoder.start(None);
    walk(&mut encoder, 1);
    let shape = encoder.recorded().expect("a shape that was recorded").to_vec();
    (shape, encoder.values().to_vec())
}
