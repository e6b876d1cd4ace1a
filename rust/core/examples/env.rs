//! An env in Rust that reads a coefficient of the training at each reset.
//!
//!     cargo run --package traincast-core --example env
//!
//! The learner is in the same process here. It may also be a Python process: `traincast.Run("corridor", unique=False)` writes the
//! same channel, and with `TRAINCAST_NAME=corridor` in its environment this program reads that one.

use std::time::Duration;

use traincast_core::directory::{ChannelName, Places};
use traincast_core::reader::{Key, Reader};
use traincast_core::snapshot::cache::ShapeCache;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Kind;
use traincast_core::writer::{Writer, WriterOptions};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const CELLS: i32 = 100;
const LONGEST_EPISODE: u32 = 400;

/// The agent starts in the middle and is rewarded at the right end. Until it has learned that, progress is rewarded too.
struct Corridor {
    reader: Reader,
    weight_key: Key,
    weight: f64,
    position: i32,
    step: u32,
}

impl Corridor {
    fn new(places: &Places, run: &str) -> Result<Self> {
        let reader = Reader::attach(places, ChannelName::new(run, 0)?, Duration::from_secs(10))?;
        let weight_key = reader.key("reward_shaping.progress")?;
        Ok(Self { reader, weight_key, weight: 1.0, position: CELLS / 2, step: 0 })
    }

    fn reset(&mut self) -> Result<()> {
        self.weight = self.weight_key.f64(&mut self.reader)?.unwrap_or(1.0);
        (self.position, self.step) = (CELLS / 2, 0);
        Ok(())
    }

    /// Returns the reward, and whether the episode is over.
    fn step(&mut self, right: bool) -> (f64, bool) {
        let before = self.position;
        self.position = (self.position + if right { 1 } else { -1 }).max(0);
        self.step += 1;
        let won = self.position == CELLS;
        let progress = f64::from(self.position - before) / f64::from(CELLS);
        (f64::from(u8::from(won)) + self.weight * progress, won || self.step == LONGEST_EPISODE)
    }
}

/// A learner: after each update it publishes the next weight.
struct Learner {
    writer: Writer,
    encoder: Encoder<Vec<u8>>,
    shapes: ShapeCache<()>,
}

impl Learner {
    fn new(places: &Places, run: &str) -> Result<Self> {
        let writer = Writer::open(places, ChannelName::new(run, 0)?, WriterOptions::default())?;
        Ok(Self { writer, encoder: Encoder::default(), shapes: ShapeCache::default() })
    }

    fn publish(&mut self, steps: i64, progress: f64) -> Result<()> {
        let encoder = &mut self.encoder;
        encoder.start(self.shapes.last().map(|last| &last.shape));
        encoder.container(Kind::Dict, 2);
        encoder.key_str("approx_total_training_steps");
        encoder.int(steps);
        encoder.key_str("reward_shaping");
        encoder.container(Kind::Dict, 1);
        encoder.key_str("progress");
        encoder.float(progress);
        self.writer.publish(&encoder.finish(&mut self.shapes)?)?;
        Ok(())
    }
}

fn main() -> Result<()> {
    let places = Places::from_env()?;
    let other = std::env::var("TRAINCAST_NAME").ok();
    let run = other.clone().unwrap_or_else(|| format!("corridor-{}", std::process::id()));
    let mut learner = if other.is_none() { Some(Learner::new(&places, &run)?) } else { None };
    if let Some(learner) = &mut learner {
        learner.publish(0, 1.0)?;
    }
    let mut env = Corridor::new(&places, &run)?;
    let mut random = 1_u64;
    for episode in 0..10 {
        env.reset()?;
        let (mut earned, mut steps) = (0.0, 0);
        loop {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (reward, over) = env.step(random >> 33 & 15 >= 7);
            (earned, steps) = (earned + reward, steps + 1);
            if over {
                break;
            }
        }
        println!(
            "episode {episode}: {steps} steps, return {earned:.2}, weight of progress {:.1}",
            env.weight
        );
        if let Some(learner) = &mut learner {
            learner.publish(i64::from(steps) * (episode + 1), 1.0 - (episode + 1) as f64 / 10.0)?;
        }
    }
    Ok(())
}
