//! A channel, and what is published in it.

use traincast_core::directory::{ChannelName, Directory};
use traincast_core::snapshot::cache::ShapeCache;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Kind;
use traincast_core::writer::{Writer, WriterOptions};

const COEFFICIENTS: [&str; 8] = ["goal", "alive", "speed", "energy", "smooth", "contact", "height", "effort"];

/// A channel in a directory of its own.
pub struct Place {
    pub writer: Writer,
    pub directory: Directory,
    pub encoding: Encoding,
    _root: tempfile::TempDir,
}

/// Bytes of an array, or whatever else lies apart from the values.
pub type Bytes = &'static [u8];

/// What one publish leaves for the next.
pub struct Encoding {
    pub shapes: ShapeCache<()>,
    pub encoder: Encoder<Bytes>,
    pub step: i64,
}

impl Encoding {
    /// Starts beside the shape of the one before.
    pub fn start(&mut self) {
        self.step += 1;
        self.encoder.start(self.shapes.last().map(|cached| &cached.shape));
    }
}

impl Place {
    /// Encodes and publishes the payload of the other benchmarks.
    pub fn publish(&mut self) {
        self.encoding.start();
        walk(&mut self.encoding.encoder, self.encoding.step);
        self.store();
    }

    /// Publishes what was encoded.
    pub fn store(&mut self) {
        let Encoding { encoder, shapes, .. } = &mut self.encoding;
        let payload = encoder.finish(shapes).expect("a snapshot");
        self.writer.publish(&payload).expect("published");
    }
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
    let directory = Directory::at(root.path().join("channels")).expect("a channel directory");
    // Verifying asks the kernel, once a second: under valgrind, at any publish.
    let options = WriterOptions { verify_every: std::time::Duration::MAX, ..options };
    let writer = Writer::open(&directory, name(), options).expect("a writer");
    let encoding = Encoding { shapes: ShapeCache::default(), encoder: Encoder::default(), step: 0 };
    Place { writer, directory, encoding, _root: root }
}

/// The payload of the other benchmarks.
pub fn walk(encoder: &mut Encoder<Bytes>, step: i64) {
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
