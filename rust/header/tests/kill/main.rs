//! Writers are killed by SIGKILL at every named step of a channel's life, while a C reader goes on reading.
//!
//! Like the core's kill matrix, with the same roles and steps, but the snapshots are dictionaries, which the C reader can read,
//! and it is the witness. It is never killed itself, because it has nothing to leave behind: no lock, no line in a roster.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;
#[path = "../../../core/tests/fuzz/targets/input.rs"]
#[allow(dead_code, reason = "the fuzzers make their values from bytes")]
mod input;
#[path = "../support/proven.rs"]
mod proven;
#[path = "../../../core/tests/kill_matrix/roles.rs"]
#[allow(dead_code, reason = "nobody kills readers here")]
mod roles;
#[path = "../../../core/tests/fuzz/targets/value.rs"]
#[allow(dead_code, reason = "as above")]
mod value;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

use common::{Place, Sample, watchdog};
use roles::Stage;
use traincast_core::inspect;
use traincast_core::writer::Leftover;
use witness::{Sleeper, Witness};

/// A title, the role that is killed, and the point at which a first writer was killed before.
const SCENARIOS: [(&str, &str, &str); 10] = [
    ("first", "continue", ""),
    ("continue", "continue", "publish.half-stored:4"),
    ("growth", "continue", "end.marked:1"),
    ("closing", "continue", "close.woken:1"),
    ("replace", "replace", "publish.half-stored:4"),
    ("draft", "replace", "create.header-half-done:2"),
    ("cramped", "cramped", "publish.half-stored:4"),
    ("robbed", "robbed", ""),
    ("relay", "relay", "publish.half-stored:4"),
    ("clean", "clean", "publish.half-stored:4"),
];

/// Says which case failed.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        eprintln!("FAILED: {}", self.0);
    }
}

fn main() {
    if roles::play() {
        return;
    }
    watchdog();
    let (start, mut kills, mut points, mut snapshots) = (Instant::now(), 0, BTreeSet::new(), 0);
    for scenario in SCENARIOS {
        for (point, passings) in passed(scenario) {
            // How often the bell is rung is not deterministic.
            let last =
                if point.starts_with("publish.") && point != "publish.half-stored" { 1 } else { passings };
            for (passing, clean) in BTreeSet::from([(1, kills % 4 < 2), (last, kills % 4 >= 2)]) {
                let guard = Named(format!("{}, killed at {point}:{passing}, clean: {clean}", scenario.0));
                snapshots += kill(scenario, format!("{point}:{passing}"), clean);
                std::mem::forget(guard);
                kills += 1;
            }
            points.insert(point);
        }
    }
    let missed: Vec<_> = points_of_writers().difference(&points).cloned().collect();
    assert!(missed.is_empty(), "no scenario reaches {missed:?}");
    println!(
        "{kills} writers killed at {} points in {:.1} s; the C reader went on, {snapshots} snapshots verified meanwhile",
        points.len(),
        start.elapsed().as_secs_f64()
    );
}

/// Plays a scenario to its end, watched by a C reader and by a sleeping reader, for whom the writer rings the bell.
fn run(
    (title, role, left_by): (&str, &str, &str),
    place: &Place,
    failpoint: String,
    trace: bool,
    witness: &mut Witness,
) -> ExitStatus {
    let mut sleeper = Sleeper::default();
    let mut stage = Stage { place, seed: 0, failpoint: left_by.to_owned(), orphan: false, trace: false };
    if !left_by.is_empty() {
        let status = follow(&stage, "continue", witness, &mut sleeper);
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{title}: {status}");
        witness.look();
    }
    stage = Stage { seed: 1000, failpoint, trace, ..stage };
    follow(&stage, role, witness, &mut sleeper)
}

fn follow(stage: &Stage<'_>, role: &str, witness: &mut Witness, sleeper: &mut Sleeper) -> ExitStatus {
    let mut child = stage.start(role);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        witness.look();
        sleeper.doze(stage.place);
    }
}

/// The points that a role passes if nobody kills it, and how often.
fn passed(scenario: (&str, &str, &str)) -> BTreeMap<String, u64> {
    let place = Place::new();
    let status = run(scenario, &place, String::new(), true, &mut Witness::new(&place));
    assert!(status.success(), "{}: {status}", scenario.0);
    let trace = std::fs::read_to_string(place.beside("trace")).unwrap();
    let mut points = BTreeMap::new();
    for point in trace.lines() {
        *points.entry(point.to_owned()).or_insert(0) += 1;
    }
    points
}

fn kill(scenario: (&str, &str, &str), failpoint: String, clean: bool) -> u64 {
    let place = Place::new();
    let mut witness = Witness::new(&place);
    let status = run(scenario, &place, failpoint, false, &mut witness);
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
    witness.look();
    let mut late = Witness::new(&place);
    late.look();
    assert!(
        late.seed == 0 || late.seed >= witness.seed,
        "a late reader finds the same snapshot or a newer one"
    );
    if clean {
        for file in inspect::leftovers(&place.directory).unwrap() {
            inspect::remove_leftover(&place.directory, &file.path).unwrap();
        }
        witness.look(); // reading still works
    }
    let mut writer = place.try_writer(Leftover::Continue).unwrap();
    Sample::new(2000, 1, 4, 0).publish(&mut writer).unwrap();
    for witness in [&mut witness, &mut late] {
        witness.look_until(2000);
        assert!(!witness.reader.closed());
    }
    drop(writer);
    witness.look();
    assert!(witness.reader.closed());
    witness.snapshots + late.snapshots
}

/// The points in the sources, without those that only the core's own reader passes.
fn points_of_writers() -> BTreeSet<String> {
    let own = ["attach.", "follow.", "read.", "wait.", "roster.", "seat.", "scores.", "record."];
    let points = points(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src"));
    points.into_iter().filter(|point| !own.iter().any(|own| point.starts_with(own))).collect()
}

fn points(directory: &std::path::Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(points(&path));
        } else if path.file_name().is_some_and(|name| name != "failpoints.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for rest in text.split("failpoint!(\"").skip(1) {
                found.insert(rest.split('"').next().unwrap().to_owned());
            }
        }
    }
    found
}
