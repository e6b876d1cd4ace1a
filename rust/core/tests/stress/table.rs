//! Printing the results.

use std::time::Duration;

use crate::page::{Line, Page};
use crate::round::CAST;

/// The table, line by line, and its sums.
#[derive(Default)]
pub struct Table {
    pub verified: u64,
    pub new: u64,
    pub torn: u64,
    pub back: u64,
    published: u64,
    retries: u64,
    preempted: u64,
    moves: u64,
    seconds: f64,
}

impl Table {
    pub fn head(&self) {
        println!(
            "{:<9} {:<7} {:>13} {:>14} {:>14} {:>13} {:>9} {:>7} {:>5} {:>5} {:>8} {:>11}",
            "class",
            "reader",
            "publishes",
            "verified",
            "of them new",
            "retries",
            "preempted",
            "moves",
            "torn",
            "back",
            "seconds",
            "new/s"
        );
    }

    /// Prints a round: a line for each reader, the writer's numbers on the first.
    pub fn round(&mut self, title: &str, page: &Page, took: Duration) {
        let seconds = took.as_secs_f64();
        for (index, (line, reader)) in page.lines.iter().zip(CAST).enumerate().skip(1) {
            let Line { verified, new, retries, torn, back, moves, preempted, .. } = line;
            let counts = [verified, new, retries, preempted, moves, torn, back].map(|count| count.get());
            let first = (index == 1).then(|| page.lines[0].published.get());
            row(if index == 1 { title } else { "" }, reader, first, counts, seconds);
            self.verified += counts[0];
            self.new += counts[1];
            self.retries += counts[2];
            self.preempted += counts[3];
            self.moves += counts[4];
            self.torn += counts[5];
            self.back += counts[6];
        }
        self.published += page.lines[0].published.get();
        self.seconds += seconds;
    }

    pub fn total(&self) {
        let Self { verified, new, retries, preempted, moves, torn, back, .. } = *self;
        let counts = [verified, new, retries, preempted, moves, torn, back];
        row("all", "", Some(self.published), counts, self.seconds);
    }
}

fn row(title: &str, reader: &str, published: Option<u64>, counts: [u64; 7], seconds: f64) {
    let [verified, new, retries, preempted, moves, torn, back] = counts.map(grouped);
    let rate = grouped((counts[1] as f64 / seconds) as u64);
    let published = published.map_or(String::new(), grouped);
    println!(
        "{title:<9} {reader:<7} {published:>13} {verified:>14} {new:>14} {retries:>13} {preempted:>9} {moves:>7} {torn:>5} \
         {back:>5} {seconds:>8.1} {rate:>11}"
    );
}

/// 1234567 as 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The machine, as far as it matters here.
pub fn machine(cores: &[usize]) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let named = |line: &&str| line.starts_with("model name");
    let model = cpus.lines().find(named).and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown CPU");
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let release = read("/proc/sys/kernel/osrelease");
    format!("{} cores, {model}, Linux {}, {profile} build", cores.len(), release.trim())
}
