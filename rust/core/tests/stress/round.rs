//! One class's round: a writer and its readers, until enough has been verified.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::classes::{CLASSES, Goal};
use crate::common::Place;
use crate::page::{Count, LINES, Line, Page};
use crate::roles::Part;

/// A round without any progress for this time hangs. It is no limit on how slow a round may be.
const HANGS: Duration = Duration::from_secs(120);
/// Number of failures after which a round ends.
const ENOUGH: u64 = 100;
const LOOK: Duration = Duration::from_millis(5);
const TELL: Duration = Duration::from_secs(60);

/// The participants, by line of the page. On a machine with one core, all share it.
pub const CAST: [&str; LINES] = ["writer", "beside", "across", "free"];
/// The reader on the writer's core: it only retries if it was preempted during a copy and lapped.
const BESIDE: usize = 1;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_signal: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Turns a signal that ends the process into a panic, which also ends children and removes files.
pub fn clean_up_after_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let handler: extern "C" fn(i32) = interrupt;
        // SAFETY: the handler only stores an atomic.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Processes that are killed when the round ends before them.
struct Crew(Vec<Child>);

impl Crew {
    /// Fails if one of them ended without being told to, or with an error.
    fn look(&mut self, stopped: bool) -> bool {
        let mut over = true;
        for (child, who) in self.0.iter_mut().zip(CAST) {
            let ended = child.try_wait().unwrap();
            assert!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
            if let Some(status) = ended {
                assert!(stopped && status.success(), "{who} has ended: {status}");
            }
            over &= ended.is_some();
        }
        over
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill(); // it may have ended
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// Runs a class until its readers together have verified as many snapshots as the goal says, and each of them some; until the one
/// on the writer's core was preempted during a copy; and, where sizes change, until files have been replaced.
pub fn play(class: usize, goal: Goal, cores: &[usize]) -> (&'static Page, Duration) {
    let start = Instant::now();
    let place = Place::new();
    let page = Page::map(&place.directory.path().with_file_name("page"));
    let (writer, across) = (cores[0], *cores.get(1).unwrap_or(&cores[0]));
    // Readers on the writer's core yield to it: while it does not run, there is nothing new to read.
    let cast = [(Some(writer), false), (Some(writer), true), (Some(across), false), (None, true)];
    let mut crew = Crew(Vec::new()); // declared after `place`, so that it is dropped first
    for (line, (core, yields)) in cast.into_iter().enumerate() {
        crew.0.push(Part { place: &place, class, line, core, yields }.start());
    }
    let (mut before, mut changed, mut told) = ((0, 0, false), Instant::now(), Instant::now());
    loop {
        crew.look(false);
        let verified = sum(page, |line| &line.verified).min(goal.verified);
        let new = sum(page, |line| &line.new).min(goal.new);
        let stopped_inside = page.lines[BESIDE].retries.get() > 0;
        let moved = !CLASSES[class].changes() || sum(page, |line| &line.moves) > 3;
        let all_read = page.lines[1..].iter().all(|line| line.verified.get() > 0);
        let now = (verified, new, stopped_inside && moved && all_read);
        let failures = sum(page, |line| &line.torn) + sum(page, |line| &line.back);
        if now == (goal.verified, goal.new, true) || failures > ENOUGH {
            break;
        }
        if now != before {
            (before, changed) = (now, Instant::now());
        }
        assert!(changed.elapsed() < HANGS, "watchdog: {now:?} of {goal:?} for {HANGS:?}");
        if told.elapsed() > TELL {
            eprintln!("{}: {verified} verified, {new} new, of {goal:?}", CLASSES[class].title);
            told = Instant::now();
        }
        std::thread::sleep(LOOK);
    }
    page.stop();
    let (took, stop) = (start.elapsed(), Instant::now());
    while !crew.look(true) {
        assert!(stop.elapsed() < HANGS, "watchdog: told to stop, they go on");
        std::thread::sleep(LOOK);
    }
    (page, took)
}

/// A number, summed over the lines.
fn sum(page: &Page, count: impl Fn(&Line) -> &Count) -> u64 {
    page.lines.iter().map(|line| count(line).get()).sum()
}
