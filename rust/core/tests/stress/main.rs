//! Reads that race with a writer, millions in `cargo test` and billions in `make stress`: none may be torn, and none may go back.
//!
//! Each class of payloads has a round of its own: a process that publishes as fast as possible, and three readers: on the
//! writer's core (`beside`: it is preempted during copies and finds that the writer has lapped it), on another core (`across`),
//! and wherever the kernel puts it (`free`). Each copies the newest snapshot again and again, new or not, and checks every word.
//!
//! `TRAINCAST_STRESS_READS` is the number of copies to verify, `TRAINCAST_STRESS_NEW` how many of them must be of a version that
//! is new to their reader: by default a quarter, on one core hardly any. `make stress` asks for all.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod classes;
#[path = "../common/mod.rs"]
mod common;
mod content;
mod cores;
mod mixtures;
mod page;
mod roles;
mod round;
mod table;

use classes::{CLASSES, Goal};
use table::{Table, grouped, machine};

/// Enough for each class to meet every race within seconds.
const READS: u64 = 4_000_000;

fn main() {
    if roles::play() {
        return;
    }
    round::clean_up_after_signals();
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let verified = number("TRAINCAST_STRESS_READS").unwrap_or(READS);
    let cores = cores::allowed();
    // On one core, no two processes run at once: a reader sees a new version only once per time slice.
    let new = if cores.len() > 1 { verified / 4 } else { verified / 10_000 };
    let goal = Goal { verified, new: number("TRAINCAST_STRESS_NEW").unwrap_or(new) };
    println!("stress: {} reads, {} of them new, {}", grouped(verified), grouped(goal.new), machine(&cores));
    println!("{} mixtures made on purpose, all refused", grouped(mixtures::refused()));
    let mut table = Table::default();
    table.head();
    for (index, class) in CLASSES.iter().enumerate() {
        let (page, took) = round::play(index, class.goal(goal), &cores);
        table.round(class.title, page, took);
    }
    table.total();
    assert_eq!((table.torn, table.back), (0, 0), "a read was torn or went back");
    assert!(table.verified >= goal.verified && table.new >= goal.new, "fewer than {goal:?}");
}
