//! `ScoreWriter`, `ScoreCounters` and `RemoteScores`.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyString};
use traincast_core::directory::{ChannelName, Places};
use traincast_core::error::Result;
use traincast_core::scores::{self, Tally};
use traincast_core::snapshot::shape::Kind;
use traincast_core::tick_ns;

use crate::arguments::truth;
use crate::channel::{channel_name, places_of, policy_id};
use crate::errors::{exception, raise};
use crate::ffi::{self, GilCell, Given, QuickMethod, QuickPlace};

/// Interval at which a missing scoreboard is looked for.
const LOOK_EVERY_NS: u64 = 20_000_000;
/// This many look-ups come first, one for each episode.
const EAGER: u32 = 100;

/// The block of a scoreboard that all writers of a process share.
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

    fn record(&self, py: Python<'_>, task: usize, episode: &Episode) -> Result<bool> {
        self.state.with(py, |state| match &state.writer {
            Some(writer) if writer.is_good() => episode.record(writer, task).map(|()| true),
            _ => match self.look(state)? {
                Some(writer) => episode.record(writer, task).map(|()| true),
                None => Ok(false),
            },
        })
    }

    /// The same if this process has a block and the episode is valid. `false`: it was not recorded.
    #[inline]
    fn record_again(&self, py: Python<'_>, task: usize, episode: &Episode) -> bool {
        self.state.with(py, |state| match &state.writer {
            Some(writer) if writer.is_good() => episode.record(writer, task).is_ok(),
            _ => false,
        })
    }

    /// Takes a block, if there is a scoreboard now: before the first episode, after a fork, and after the learner has ended the
    /// last one.
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

impl Episode {
    #[inline]
    fn record(&self, writer: &scores::ScoreWriter, task: usize) -> Result<()> {
        writer.record(task, self.success, self.episode_return, self.length, self.score)
    }
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
        #[pyo3(from_py_with = truth)] success: bool,
        episode_return: f64,
        length: u64,
        score: Option<f64>,
    ) -> PyResult<bool> {
        let episode = Episode { success, episode_return, length, score: score.unwrap_or(episode_return) };
        self.block.record(py, task, &episode).map_err(|error| raise(py, error))
    }
}

impl QuickMethod for ScoreWriter {
    const METHOD: &'static CStr = c"record";
    const TEXT: &'static CStr = ffi::terminated(
        concat!(
            "record($self, /, task, *, success=False, episode_return=0.0, length=0, score=None)\n--\n\n",
            doc!("ScoreWriter.record"),
            "\0"
        )
        .as_bytes(),
    );
    const NAMES: [&'static str; 5] = ["task", "success", "episode_return", "length", "score"];

    fn place() -> &'static QuickPlace {
        static PLACE: QuickPlace = QuickPlace::new();
        &PLACE
    }

    fn quickly(&self, py: Python<'_>, given: &Given<'_, '_>) -> Option<Py<PyAny>> {
        let word = |index: usize, kind, default| match given[index] {
            Some(value) => ffi::word(kind, value),
            None => Some(default),
        };
        let whole = |index| {
            word(index, Kind::Int, 0).and_then(|word| i64::try_from(word).ok()).map(|whole| whole as u64)
        };
        let task = usize::try_from(whole(0)?).ok()?;
        let success = word(1, Kind::Bool, 0)? != 0;
        let episode_return = f64::from_bits(word(2, Kind::Float, 0)?);
        let length = whole(3)?;
        let score = f64::from_bits(word(4, Kind::Float, episode_return.to_bits())?);
        let episode = Episode { success, episode_return, length, score };
        self.block
            .record_again(py, task, &episode)
            .then(|| PyBool::new(py, true).to_owned().into_any().unbind())
    }
}

#[doc = doc!("ScoreCounters")]
#[pyclass(frozen, weakref, module = "traincast._core")]
pub struct ScoreCounters {
    board: GilCell<Option<scores::Scoreboard>>,
    account: GilCell<scores::Account>,
    #[doc = doc!("ScoreCounters.tasks")]
    #[pyo3(get)]
    tasks: usize,
}

impl ScoreCounters {
    fn with<R>(&self, py: Python<'_>, work: impl FnOnce(&mut scores::Scoreboard) -> R) -> PyResult<R> {
        let done = self.board.with(py, |board| board.as_mut().map(work));
        done.ok_or_else(|| exception(py, "ChannelClosedError", "this scoreboard is closed; make a new one"))
    }

    fn tallies(&self, bytes: &[u8]) -> PyResult<Vec<Tally>> {
        if bytes.len() != self.tasks * TALLY_BYTES {
            let message = format!("{} bytes are not the tallies of {} tasks", bytes.len(), self.tasks);
            return Err(PyValueError::new_err(message));
        }
        let (words, _) = bytes.as_chunks::<8>();
        let (rows, _) = words.as_chunks::<6>();
        Ok(rows.iter().map(|row| tally_of(row.map(u64::from_le_bytes))).collect())
    }
}

/// Bytes of a tally: six words.
const TALLY_BYTES: usize = 48;

fn words_of(tally: &Tally) -> [u64; 6] {
    let Tally { episodes, successes, returns, squares, lengths, last } = *tally;
    [episodes, successes, returns.to_bits(), squares.to_bits(), lengths, last.to_bits()]
}

fn tally_of(words: [u64; 6]) -> Tally {
    let [episodes, successes, returns, squares, lengths, last] = words;
    let [returns, squares, last] = [returns, squares, last].map(f64::from_bits);
    Tally { episodes, successes, returns, squares, lengths, last }
}

fn bytes_of(tallies: &[Tally]) -> Vec<u8> {
    tallies.iter().flat_map(words_of).flat_map(u64::to_le_bytes).collect()
}

/// The tallies of the tasks that have episodes: seven words each, the task's number first.
fn records_of(tallies: &[Tally]) -> Vec<u8> {
    let played = tallies.iter().enumerate().filter(|(_, tally)| tally.episodes > 0);
    played
        .flat_map(|(task, tally)| std::iter::once(task as u64).chain(words_of(tally)))
        .flat_map(u64::to_le_bytes)
        .collect()
}

/// The inverse of [`records_of`]; `None` for bytes of another length.
fn tallies_of(records: &[u8]) -> Option<Vec<(usize, Tally)>> {
    let (words, rest) = records.as_chunks::<8>();
    let (records, more) = words.as_chunks::<7>();
    let read = |record: &[[u8; 8]; 7]| {
        let [task, words @ ..] = record.map(u64::from_le_bytes);
        usize::try_from(task).ok().map(|task| (task, tally_of(words)))
    };
    if rest.is_empty() && more.is_empty() { records.iter().map(read).collect() } else { None }
}

#[pymethods]
impl ScoreCounters {
    #[new]
    #[pyo3(signature = (name, policy_id=0, tasks=None, *, part_of=0, directory=None))]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        #[pyo3(from_py_with = policy_id)] policy_id: i128,
        tasks: Option<usize>,
        part_of: u64,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let name = channel_name(py, name, policy_id)?;
        let places = places_of(py, directory)?;
        let opened = match tasks {
            Some(tasks) => scores::Scoreboard::open_part(&places, &name, tasks, part_of).map(Some),
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
        let account = GilCell::new(scores::Account::new(tasks));
        Ok(Self { board: GilCell::new(Some(board)), account, tasks })
    }

    #[doc = doc!("ScoreCounters.collect")]
    fn collect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let added = self.with(py, |board| {
            board.collect()?;
            Ok(self.account.with(py, |account| bytes_of(&account.take(board.totals()))))
        })?;
        ffi::byte_string(py, &added.map_err(|error| raise(py, error))?)
    }

    #[doc = doc!("ScoreCounters.resume")]
    #[pyo3(signature = (collected=None, counted=None))]
    fn resume(&self, py: Python<'_>, collected: Option<&[u8]>, counted: Option<&[u8]>) -> PyResult<()> {
        let read = |bytes: Option<&[u8]>| bytes.map(|bytes| self.tallies(bytes)).transpose();
        let (collected, counted) = (read(collected)?, read(counted)?);
        self.account.with(py, |account| account.resume(collected, counted));
        Ok(())
    }

    #[doc = doc!("ScoreCounters.collected")]
    fn collected<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        ffi::byte_string(py, &self.account.with(py, |account| bytes_of(account.collected())))
    }

    #[doc = doc!("ScoreCounters.counted")]
    fn counted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        ffi::byte_string(py, &self.account.with(py, |account| bytes_of(account.counted())))
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

    #[doc = doc!("ScoreCounters.ended")]
    #[getter]
    fn ended(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |board| board.ended())
    }

    #[doc = doc!("ScoreCounters.totals")]
    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let found = self.with(py, |board| board.collect().map(|()| records_of(board.totals())))?;
        ffi::byte_string(py, &found.map_err(|error| raise(py, error))?)
    }

    #[doc = doc!("ScoreCounters.finish")]
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.with(py, scores::Scoreboard::close)?;
        let last = self.totals(py);
        self.close(py);
        last
    }

    #[doc = doc!("ScoreCounters.close")]
    fn close(&self, py: Python<'_>) {
        drop(self.board.with(py, Option::take));
    }
}

#[doc = doc!("RemoteScores")]
#[pyclass(frozen, module = "traincast._core")]
pub struct RemoteScores {
    scores: GilCell<scores::RemoteScores>,
}

#[pymethods]
impl RemoteScores {
    #[new]
    #[pyo3(signature = (name, policy_id=0, *, directory=None))]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        #[pyo3(from_py_with = policy_id)] policy_id: i128,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let name = channel_name(py, name, policy_id)?;
        let opened = scores::RemoteScores::open(&places_of(py, directory)?, &name);
        match opened.map_err(|error| raise(py, error))? {
            Some(scores) => Ok(Self { scores: GilCell::new(scores) }),
            None => {
                let message = format!("{name} has no scoreboard of a learner on this machine");
                Err(exception(py, "ChannelNotFoundError", &message))
            }
        }
    }

    #[doc = doc!("RemoteScores.incarnation")]
    #[getter]
    fn incarnation(&self, py: Python<'_>) -> u64 {
        self.scores.with(py, |scores| scores.incarnation())
    }

    #[doc = doc!("RemoteScores.tasks")]
    #[getter]
    fn tasks(&self, py: Python<'_>) -> usize {
        self.scores.with(py, |scores| scores.tasks())
    }

    #[doc = doc!("RemoteScores.ended")]
    #[getter]
    fn ended(&self, py: Python<'_>) -> bool {
        self.scores.with(py, |scores| scores.ended())
    }

    #[doc = doc!("RemoteScores.take")]
    #[pyo3(signature = (node, totals, /))]
    fn take(&self, py: Python<'_>, node: u64, totals: &[u8]) -> PyResult<usize> {
        let Some(totals) = tallies_of(totals) else {
            return Err(PyValueError::new_err("these bytes are not totals"));
        };
        self.scores.with(py, |scores| scores.take(node, &totals)).map_err(|error| raise(py, error))
    }
}
