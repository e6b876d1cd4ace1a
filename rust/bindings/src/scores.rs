//! `ScoreWriter` and `Scoreboard`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use traincast_core::directory::{ChannelName, Places};
use traincast_core::error::Result;
use traincast_core::scores::{self, Tally};
use traincast_core::tick_ns;

use crate::channel::{channel_name, places_of, policy_id};
use crate::errors::{exception, raise};
use crate::ffi::{self, GilCell};

/// How often a scoreboard that is not there is looked for.
const LOOK_EVERY_NS: u64 = 20_000_000;
/// So many looks come first, one for each episode.
const EAGER: u32 = 100;

/// What all writers of one channel share in a process: its block.
struct Block {
    places: Places,
    name: ChannelName,
    state: GilCell<State>,
}

#[derive(Default)]
struct State {
    writer: Option<scores::ScoreWriter>,
    looks: u32,
    next_look_ns: u64,
}

static BLOCKS: GilCell<BTreeMap<(Places, ChannelName), Weak<Block>>> = GilCell::new(BTreeMap::new());

impl Block {
    fn of(py: Python<'_>, places: Places, name: ChannelName) -> Arc<Self> {
        BLOCKS.with(py, |blocks| {
            blocks.retain(|_, block| block.strong_count() > 0);
            let key = (places, name);
            if let Some(block) = blocks.get(&key).and_then(Weak::upgrade) {
                return block;
            }
            let (places, name) = key.clone();
            let block = Arc::new(Self { places, name, state: GilCell::new(State::default()) });
            blocks.insert(key, Arc::downgrade(&block));
            block
        })
    }

    #[inline]
    fn record(&self, py: Python<'_>, task: usize, episode: &Episode) -> Result<bool> {
        let recorded = |writer: &scores::ScoreWriter| {
            let Episode { success, episode_return, length, score } = *episode;
            writer.record(task, success, episode_return, length, score).map(|()| true)
        };
        self.state.with(py, |state| match &state.writer {
            Some(writer) if writer.is_good() => recorded(writer),
            _ => match self.look(state)? {
                Some(writer) => recorded(writer),
                None => Ok(false),
            },
        })
    }

    /// Takes a block, if there is a scoreboard by now: before the first episode, after a fork, after the learner has ended the one
    /// before.
    #[cold]
    fn look<'a>(&self, state: &'a mut State) -> Result<Option<&'a scores::ScoreWriter>> {
        let now = tick_ns();
        if state.writer.is_some() {
            *state = State::default();
        }
        if state.looks >= EAGER && now < state.next_look_ns {
            return Ok(None);
        }
        (state.looks, state.next_look_ns) = (state.looks.saturating_add(1), now + LOOK_EVERY_NS);
        state.writer = scores::ScoreWriter::open(&self.places, &self.name)?;
        Ok(state.writer.as_ref())
    }
}

struct Episode {
    success: bool,
    episode_return: f64,
    length: u64,
    score: f64,
}

#[doc = doc!("ScoreWriter")]
#[pyclass(frozen, subclass, weakref, module = "traincast._core")]
pub struct ScoreWriter {
    block: Arc<Block>,
}

#[pymethods]
impl ScoreWriter {
    #[new]
    #[pyo3(signature = (name, policy_id=0, *, directory=None))]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        #[pyo3(from_py_with = policy_id)] policy_id: i128,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let name = channel_name(py, name, policy_id)?;
        Ok(Self { block: Block::of(py, places_of(py, directory)?, name) })
    }

    #[doc = doc!("ScoreWriter.record")]
    #[pyo3(signature = (task, *, success=false, episode_return=0.0, length=0, score=None))]
    fn record(
        &self,
        py: Python<'_>,
        task: usize,
        success: bool,
        episode_return: f64,
        length: u64,
        score: Option<f64>,
    ) -> PyResult<bool> {
        let episode = Episode { success, episode_return, length, score: score.unwrap_or(episode_return) };
        self.block.record(py, task, &episode).map_err(|error| raise(py, error))
    }
}

#[doc = doc!("ScoreCounters")]
#[pyclass(frozen, weakref, module = "traincast._core")]
pub struct ScoreCounters {
    board: GilCell<Option<scores::Scoreboard>>,
    #[doc = doc!("ScoreCounters.tasks")]
    #[pyo3(get)]
    tasks: usize,
}

impl ScoreCounters {
    fn with<R>(&self, py: Python<'_>, work: impl FnOnce(&mut scores::Scoreboard) -> R) -> PyResult<R> {
        let done = self.board.with(py, |board| board.as_mut().map(work));
        done.ok_or_else(|| exception(py, "ChannelClosedError", "this scoreboard is closed; make a new one"))
    }
}

fn bytes_of(tallies: &[Tally]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(tallies.len() * 48);
    for Tally { episodes, successes, returns, squares, lengths, last } in tallies {
        let words = [*episodes, *successes, returns.to_bits(), squares.to_bits(), *lengths, last.to_bits()];
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    bytes
}

#[pymethods]
impl ScoreCounters {
    #[new]
    #[pyo3(signature = (name, policy_id=0, tasks=None, *, directory=None))]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        #[pyo3(from_py_with = policy_id)] policy_id: i128,
        tasks: Option<usize>,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let name = channel_name(py, name, policy_id)?;
        let places = places_of(py, directory)?;
        let opened = match tasks {
            Some(tasks) => scores::Scoreboard::open(&places, &name, tasks).map(Some),
            None => scores::Scoreboard::look(&places, &name),
        };
        let Some(board) = opened.map_err(|error| raise(py, error))? else {
            let (shown, policy_id) = (name.name(), name.policy_id());
            let message = format!(
                "channel {shown:?} (policy {policy_id}) has no scoreboard; its learner makes one: \
                 traincast.scores.Scoreboard(run, tasks=...)"
            );
            return Err(exception(py, "ChannelNotFoundError", &message));
        };
        let tasks = board.tasks();
        Ok(Self { board: GilCell::new(Some(board)), tasks })
    }

    #[doc = doc!("ScoreCounters.collect")]
    fn collect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let totals = self.with(py, |board| board.collect().map(|()| bytes_of(board.totals())))?;
        ffi::byte_string(py, &totals.map_err(|error| raise(py, error))?)
    }

    #[doc = doc!("ScoreCounters.blocks")]
    fn blocks(&self, py: Python<'_>) -> PyResult<Vec<(bool, u32, u64)>> {
        self.with(py, |board| board.blocks())
    }

    #[doc = doc!("ScoreCounters.incarnation")]
    #[getter]
    fn incarnation(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |board| board.incarnation())
    }

    #[doc = doc!("ScoreCounters.close")]
    fn close(&self, py: Python<'_>) {
        drop(self.board.with(py, Option::take));
    }
}
