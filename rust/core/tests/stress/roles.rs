//! The processes of a round: this test, executed again with a role.

use std::io::Write;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Signal, getppid, nice, set_parent_process_death_signal};
use traincast_core::directory::Directory;
use traincast_core::numbering::{Stamp, Version};
use traincast_core::reader::Reader;
use traincast_core::snapshot;
use traincast_core::writer::Writer;

use crate::classes::{CLASSES, Class};
use crate::common::{Place, channel};
use crate::content::{Snapshot, check};
use crate::cores;
use crate::page::{Line, Page};

/// A role, and where to play it.
pub struct Part<'a> {
    pub place: &'a Place,
    /// Of `CLASSES`.
    pub class: usize,
    /// Of the page; line 0 is the writer's.
    pub line: usize,
    /// `None`: on any core.
    pub core: Option<usize>,
    /// Whether it yields the core to others most of the time.
    pub yields: bool,
}

impl Part<'_> {
    pub fn start(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .env("TRAINCAST_ROLE", if self.line == 0 { "write" } else { "read" })
            .env("TRAINCAST_DIR", self.place.directory.path())
            .env("TRAINCAST_STRESS_CLASS", self.class.to_string())
            .env("TRAINCAST_STRESS_LINE", self.line.to_string())
            .env("TRAINCAST_STRESS_CORE", self.core.map_or(String::new(), |core| core.to_string()))
            .env("TRAINCAST_STRESS_YIELDS", u8::from(self.yields).to_string())
            .env("TRAINCAST_STRESS_PARENT", std::process::id().to_string())
            .spawn()
            .unwrap()
    }
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).unwrap().parse().ok()
}

/// Plays the role that the environment names, if any.
pub fn play() -> bool {
    let Ok(role) = std::env::var("TRAINCAST_ROLE") else {
        return false;
    };
    // No role outlives the parent, which may have died before this line.
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get() as usize);
    assert_eq!(parent, number("TRAINCAST_STRESS_PARENT"), "the parent is gone");
    if let Some(core) = number("TRAINCAST_STRESS_CORE") {
        cores::pin(core);
    }
    if number("TRAINCAST_STRESS_YIELDS") == Some(1) {
        nice(10).unwrap();
    }
    let directory = Directory::at(std::env::var_os("TRAINCAST_DIR").unwrap()).unwrap();
    let page = Page::map(&directory.path().with_file_name("page"));
    let class = &CLASSES[number("TRAINCAST_STRESS_CLASS").unwrap()];
    let line = &page.lines[number("TRAINCAST_STRESS_LINE").unwrap()];
    match role.as_str() {
        "write" => write(&directory, class, page, line),
        "read" => read(&directory, class, page, line),
        other => panic!("no role {other}"),
    }
    line.preempted.set(cores::preemptions());
    true
}

/// Number of snapshots that are prepared and then published without a pause.
const BURST: usize = 16;

/// Publishes as fast as possible: the more time it spends inside of a slot, the more races there are.
fn write(directory: &Directory, class: &Class, page: &Page, line: &Line) {
    let open = || Writer::open(directory, channel(), class.options()).unwrap();
    let mut writer = open();
    let mut burst: [Snapshot; BURST] = Default::default();
    while !page.stopped() {
        let before = writer.version().get();
        if class.begins_anew(before) {
            let epoch = writer.epoch();
            writer.close();
            writer = open();
            writer.resume_at(Version(before), epoch).unwrap();
        }
        for (snapshot, version) in burst.iter_mut().zip(before + 1..) {
            snapshot.fill(class, version);
        }
        for (snapshot, version) in burst.iter().zip(before + 1..) {
            assert_eq!(snapshot.lend(|payload| writer.publish(payload)).unwrap(), Version(version));
            line.published.increment();
        }
    }
}

/// Number of torn snapshots that a reader describes; it only counts further ones.
const DESCRIBED: u64 = 5;

/// Copies and checks the newest snapshot again and again, new or not.
fn read(directory: &Directory, class: &Class, page: &Page, line: &Line) {
    let mut reader = Reader::attach(directory, channel(), Duration::from_secs(60)).unwrap();
    let mut out = snapshot::Snapshot::default();
    let (mut last, mut file) = (Stamp::default(), reader.segment_key());
    while !page.stopped() {
        match reader.read_into(&mut out) {
            Ok(true) => {}
            Err(error) => {
                fail(line, format!("TORN: {}, {error}\n", class.title));
                continue;
            }
            Ok(false) => {
                // Forgotten, so that it is copied once more: the writer may interfere at any moment.
                out.forget();
                continue;
            }
        }
        let stamp = out.meta.stamp;
        if out.segment != file {
            line.moves.increment();
            file = out.segment;
        }
        line.retries.set(reader.laps());
        match check(class, &out) {
            Ok(()) => line.verified.increment(),
            Err(torn) => {
                fail(line, format!("TORN: {}, {stamp}: {torn}\n", class.title));
                continue;
            }
        }
        if stamp < last {
            line.back.increment();
            eprintln!("BACK: {}, {stamp} after {last}", class.title);
        }
        if stamp > last {
            line.new.increment();
            last = stamp;
        }
    }
}

/// A single write, so that the output of several processes does not mix.
#[cold]
fn fail(line: &Line, what: String) {
    line.torn.increment();
    if line.torn.get() <= DESCRIBED {
        std::io::stderr().write_all(what.as_bytes()).unwrap();
    }
}
