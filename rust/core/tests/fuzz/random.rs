//! Edits of a committed corpus, from fixed seeds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Longest input, the same as libFuzzer's limit.
const MAX_LEN: usize = 512;

/// xorshift64*: enough to choose edits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Edits an input a few times, sometimes with parts of another one.
    fn edit(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(6) {
            let at = self.below(input.len() + 1);
            match self.below(6) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.next() as u8,
                2 => input.insert(at, self.next() as u8),
                3 if at < input.len() => drop(input.remove(at)),
                4 => {
                    let from = self.below(other.len() + 1);
                    let to = from + self.below(other.len() - from + 1);
                    input.splice(at..at, other[from..to].iter().copied());
                }
                _ => input.truncate(at.max(1)),
            }
        }
        input.truncate(MAX_LEN);
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs the target on the corpus and on `executions` edits of it.
pub fn run(name: &str, executions: usize, target: fn(&[u8])) {
    let executions =
        std::env::var("TRAINCAST_FUZZ_EXECUTIONS").map_or(executions, |text| text.parse().expect("a number"));
    let checked = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
            eprintln!("{name} fails with the input b\"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
    };
    let corpus = corpus(name);
    corpus.iter().for_each(|input| checked(input));
    let mut random = Random(0x7261_696e_6361_7374);
    for _ in 0..executions {
        let mut input = corpus[random.below(corpus.len())].clone();
        let other = &corpus[random.below(corpus.len())];
        random.edit(&mut input, other);
        checked(&input);
    }
    println!("{name}: {} inputs of the corpus, {executions} edits", corpus.len());
}
