//! Kills processes by SIGKILL at every named step of a channel's life, and at random moments.
//!
//! The steps are the failpoints in `src`: one of the scenarios must reach each of them. After each kill, the surviving readers
//! read whole snapshots, nothing goes back, the next writer takes over, and `clean` leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "../common/mod.rs"]
mod common;
mod random;
mod roles;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use common::{Place, Sample, channel, publish, watchdog};
use roles::Stage;
use traincast_core::directory::Places;
use traincast_core::writer::{Leftover, Writer};
use traincast_core::{inspect, relay};
use witness::Witness;

/// The channel before, and the process that is killed.
struct Scenario {
    title: &'static str,
    role: &'static str,
    /// The point at which a first writer was killed, which left its channel. Empty: there is no channel.
    left_by: &'static str,
    /// Whether the roster has no free line.
    crowded: bool,
}

const fn scenario(title: &'static str, role: &'static str, left_by: &'static str) -> Scenario {
    Scenario { title, role, left_by, crowded: false }
}

const SCENARIOS: [Scenario; 12] = [
    scenario("first", "continue", ""),
    scenario("continue", "continue", "publish.half-stored:4"),
    scenario("growth", "continue", "end.marked:1"),
    scenario("closing", "continue", "close.woken:1"),
    scenario("replace", "replace", "publish.half-stored:4"),
    scenario("draft", "replace", "create.header-half-done:2"),
    scenario("cramped", "cramped", "publish.half-stored:4"),
    scenario("robbed", "robbed", ""),
    scenario("relay", "relay", "publish.half-stored:4"),
    scenario("clean", "clean", "publish.half-stored:4"),
    scenario("reader", "read", ""),
    Scenario { crowded: true, ..scenario("crowd", "read", "") },
];

/// The points at which a writer rings. It passes them only if a reader sleeps just then.
const BELL: [&str; 2] = ["publish.rung", "publish.woken"];

#[derive(Clone, Copy, PartialEq)]
enum After {
    TakeOver,
    TakeOverBesideOrphan,
    Clean,
}

#[derive(Default)]
struct Report {
    /// Kills by point and scenario.
    kills: BTreeMap<(String, &'static str), u32>,
    slowest_take_over: Duration,
    slowest_read: Duration,
}

fn main() {
    if roles::play() {
        return;
    }
    watchdog();
    // Children of killed processes become this process's, so that it can wait for them.
    // SAFETY: only sets a flag of this process.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let start = Instant::now();
    let mut report = Report::default();
    for scenario in &SCENARIOS {
        for (point, passings) in passed(scenario) {
            let passings = match (scenario.role, point.as_str()) {
                // How often the bell is rung, or a reader passes, is not deterministic.
                (_, point) if BELL.contains(&point) => BTreeSet::from([1]),
                ("read", _) => BTreeSet::from([1, passings.div_ceil(4)]),
                _ => BTreeSet::from([1, passings.div_ceil(2), passings]),
            };
            for passing in passings {
                for after in [After::TakeOver, After::TakeOverBesideOrphan, After::Clean] {
                    let failpoint = format!("{point}:{passing}");
                    let what = format!("{}, killed at {failpoint}", scenario.title);
                    let guard = Named(what);
                    match scenario.role {
                        "read" => kill_reader(scenario, failpoint, after, &mut report),
                        _ => kill_writer(scenario, &failpoint, after, &mut report),
                    }
                    std::mem::forget(guard);
                    *report.kills.entry((point.clone(), scenario.title)).or_default() += 1;
                }
            }
        }
    }
    report.print(start.elapsed());
    random::kill(1000);
}

/// Says which case failed.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        eprintln!("FAILED: {}", self.0);
    }
}

/// The points that a role passes if nobody kills it, and how often.
fn passed(scenario: &Scenario) -> BTreeMap<String, u64> {
    let place = Place::new();
    let status = run(scenario, &place, String::new(), false, true, &mut Witness::default());
    assert!(status.success(), "{}: {status}", scenario.title);
    let trace = std::fs::read_to_string(place.directory.path().with_file_name("trace")).unwrap();
    let mut points = BTreeMap::new();
    for point in trace.lines() {
        *points.entry(point.to_owned()).or_insert(0) += 1;
    }
    points
}

/// Plays a scenario to its end.
fn run(
    scenario: &Scenario,
    place: &Place,
    failpoint: String,
    orphan: bool,
    trace: bool,
    witness: &mut Witness,
) -> ExitStatus {
    let mut stage =
        Stage { place, seed: 0, failpoint: scenario.left_by.to_owned(), orphan: false, trace: false };
    if !scenario.left_by.is_empty() {
        let status = follow(&stage, "continue", witness);
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
        witness.attach(place);
        witness.look();
    }
    stage = Stage { seed: 1000, failpoint, orphan, trace, ..stage };
    if scenario.role == "read" { lead(scenario, &stage) } else { follow(&stage, scenario.role, witness) }
}

/// Watches a writing role until it ends.
fn follow(stage: &Stage<'_>, role: &str, witness: &mut Witness) -> ExitStatus {
    let mut child = stage.start(role);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        witness.attach(stage.place);
        witness.look();
        witness.doze();
    }
}

/// Publishes for a reading role until it ends: small snapshots, some that need a larger file, and now and then a new channel.
fn lead(scenario: &Scenario, stage: &Stage<'_>) -> ExitStatus {
    let mut writer = stage.place.writer();
    let mut seed = 1;
    publish(&mut writer, seed);
    let crowd = scenario.crowded.then(|| roles::fill_roster(stage.place));
    let mut child = stage.start(scenario.role);
    loop {
        for step in 0..20 {
            seed += 1;
            let blob = if step == 10 { 100_000 } else { 10 };
            Sample::new(seed, 1, 4, blob).publish(&mut writer).unwrap();
            std::thread::sleep(Duration::from_micros(300));
            if let Some(status) = child.try_wait().unwrap() {
                seed += 1;
                assert_eq!(publish(&mut writer, seed), writer.version().get());
                let mut late = Witness::default();
                late.attach(stage.place);
                assert!(late.look() && late.seed == seed, "the writer goes on");
                drop((writer, crowd));
                return status;
            }
        }
        drop(writer);
        writer = stage.place.writer();
        seed += 1;
        publish(&mut writer, seed);
    }
}

fn kill_reader(scenario: &Scenario, failpoint: String, after: After, _: &mut Report) {
    let place = Place::new();
    let orphan = after == After::TakeOverBesideOrphan;
    let status = run(scenario, &place, failpoint, orphan, false, &mut Witness::default());
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
    if orphan {
        Orphan::find(&place);
    }
    assert_eq!(place.files(), [""; 0]);
}

fn kill_writer(scenario: &Scenario, failpoint: &str, after: After, report: &mut Report) {
    let orphan = after == After::TakeOverBesideOrphan;
    let (place, mut witness) = kill(scenario, failpoint, orphan);
    let orphan = orphan.then(|| Orphan::find(&place));

    // The witness goes on; a late reader finds the same snapshot or a newer one, unless the channel had ended.
    witness.look();
    let mut late = Witness::default();
    late.attach(&place);
    if late.reader.is_some() {
        assert!(late.look());
        assert!(late.seed >= witness.seed);
    } else if let Some(reader) = &mut witness.reader {
        let ended = reader.closed() || !matches!(scenario.role, "continue" | "cramped");
        assert!(ended, "the channel has vanished");
    }
    if after == After::Clean {
        for file in inspect::leftovers(&place.directory).unwrap() {
            inspect::remove_leftover(&place.directory, &file.path).unwrap();
        }
        assert_eq!(place.files(), [""; 0], "clean has left something");
        witness.look(); // reading still works
    }
    let mut writer = take_over(&place, report);
    if after != After::Clean {
        assert!(late.reader.is_none() || writer.version() >= late.stamp.version);
    }
    let before = writer.version();
    assert_eq!(publish(&mut writer, 2000), before.get() + 1, "the killed writer is known to be dead");
    for witness in [&mut witness, &mut late] {
        witness.attach(&place);
        witness.look_until_news();
        assert_eq!(witness.seed, 2000, "the next snapshot is read");
        report.slowest_read = report.slowest_read.max(witness.slowest);
    }
    drop(writer);
    if scenario.role == "relay" {
        relay::serve(&Places::from(&place.directory), &channel()).unwrap().release();
    }
    assert_eq!(place.files(), [""; 0], "the next writer has left something");
    drop(orphan);
}

/// A place whose writer was killed, and the reader that watched. A writer whose readers were all awake rings no bell, so it is
/// not killed there: another one lives in its stead.
fn kill(scenario: &Scenario, failpoint: &str, orphan: bool) -> (Place, Witness) {
    let rings = BELL.iter().any(|point| failpoint.starts_with(point));
    for _ in 0..if rings { 100 } else { 1 } {
        let (place, mut witness) = (Place::new(), Witness::default());
        let status = run(scenario, &place, failpoint.to_owned(), orphan, false, &mut witness);
        if status.signal() == Some(libc::SIGKILL) {
            return (place, witness);
        }
        assert!(rings && status.success(), "{status}");
    }
    panic!("no reader ever slept");
}

fn take_over(place: &Place, report: &mut Report) -> Writer {
    let start = Instant::now();
    let writer = place.try_writer(Leftover::Continue).unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "taking over took {took:?}");
    report.slowest_take_over = report.slowest_take_over.max(took);
    writer
}

/// A forked child of the killed process.
struct Orphan(i32);

impl Orphan {
    fn find(place: &Place) -> Self {
        let path = place.directory.path().with_file_name("orphan");
        let orphan = Self(std::fs::read_to_string(path).unwrap().parse().unwrap());
        // SAFETY: signal 0 only checks that the process exists.
        assert_eq!(unsafe { libc::kill(orphan.0, 0) }, 0, "the orphan lives");
        orphan
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        // SAFETY: a child that was reparented to us and has not been waited for.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

impl Report {
    fn print(&self, took: Duration) {
        print!("{:<24}", "kills at");
        for scenario in &SCENARIOS {
            print!("{:>9}", scenario.title);
        }
        println!();
        let points = points(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        for point in &points {
            print!("{point:<24}");
            for scenario in &SCENARIOS {
                match self.kills.get(&(point.clone(), scenario.title)) {
                    Some(kills) => print!("{kills:>9}"),
                    None => print!("{:>9}", "-"),
                }
            }
            println!();
        }
        let killed: BTreeSet<_> = self.kills.keys().map(|(point, _)| point.clone()).collect();
        assert_eq!(killed, points, "a scenario reaches each point");
        println!(
            "{} kills at {} points in {:.1} s; slowest take-over {:.2?}, slowest read beside a kill {:.2?}",
            self.kills.values().sum::<u32>(),
            points.len(),
            took.as_secs_f64(),
            self.slowest_take_over,
            self.slowest_read,
        );
    }
}

/// The points in the sources, except those of scoreboards, which `kill_scores` covers.
fn points(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name == "scores") {
            continue;
        }
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
