//! The fuzz targets in every test run: their corpus as it is, and then changed at random for a while, so that no run
//! of CI needs a compiler for fuzzing. `make fuzz` looks deeper.

#[path = "../fuzz/src/gate.rs"]
mod gate;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use integrations_gateway::domain::clock::{Entropy as _, random};

use crate::support::clock::SeededEntropy;

/// How long the changed inputs run.
const A_WHILE: Duration = Duration::from_secs(30);
/// The longest changed input, in bytes.
const LONGEST: usize = 16 * 1024;
/// What a change puts in.
const WORDS: [&str; 24] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "!",
    "$",
    "@",
    "...",
    "=",
    "\"",
    "\"\"\"",
    "#",
    "\\u{0}",
    "on",
    "query",
    "fragment f on Query",
    "subscription",
    "@include(if: $a)",
    "connections(first: 100) { nodes {",
    "null",
    "\0{\"a\": 1}",
];

struct Dice {
    entropy: std::sync::Arc<SeededEntropy>,
}

impl Dice {
    fn below(&self, bound: usize) -> usize {
        let drawn = u64::from_be_bytes(random(&*self.entropy)) % bound.max(1) as u64;
        usize::try_from(drawn).expect("less than a usize")
    }

    /// A place in the input, between two bytes.
    fn range(&self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(input.len() + 1);
        start..start + self.below((input.len() - start).min(64) + 1)
    }

    fn change(&self, input: &mut Vec<u8>, other: &[u8]) {
        let range = self.range(input);
        match self.below(6) {
            0 => drop(input.drain(range)),
            1 => drop(input.splice(range, WORDS[self.below(WORDS.len())].bytes())),
            2 => {
                let copy = input[range].to_vec();
                let times = 1 << self.below(6);
                let at = self.below(input.len() + 1);
                input.splice(at..at, copy.repeat(times));
            }
            3 => {
                let from = other[self.range(other)].to_vec();
                input.splice(range, from);
            }
            4 => {
                let mut byte = [0];
                self.entropy.fill(&mut byte);
                input.splice(range, byte);
            }
            _ => {
                let at = self.below(input.len() + 1);
                input.splice(at..at, WORDS[self.below(WORDS.len())].bytes());
            }
        }
        input.truncate(LONGEST);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the run is bounded by real time")]
fn the_gate_stands_whatever_comes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/gate");
    let mut paths: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("an input")).collect();
    assert!(corpus.len() >= 50, "{} inputs", corpus.len());
    for input in &corpus {
        gate::run(input);
    }

    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let dice = Dice { entropy: SeededEntropy::new(seed) };
    let until = Instant::now() + A_WHILE;
    let mut runs = 0;
    while Instant::now() < until {
        let mut input = corpus[dice.below(corpus.len())].clone();
        let other = &corpus[dice.below(corpus.len())];
        for _ in 0..=dice.below(8) {
            dice.change(&mut input, other);
        }
        let shown = String::from_utf8_lossy(&input).into_owned();
        let run = std::panic::catch_unwind(|| gate::run(&input));
        assert!(run.is_ok(), "seed {seed}, run {runs}: {shown:?}");
        runs += 1;
    }
    println!("{runs} changed inputs");
}
