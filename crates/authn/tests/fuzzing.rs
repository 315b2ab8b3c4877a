//! The fuzz targets on a stable compiler: every seed, and thousands of repeatable mutations of them.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is a failed test")]

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library of its own for the fuzzer")]
mod targets;

use std::fs;
use std::path::Path;

/// Mutations of each target.
const MUTATIONS: usize = 20_000;
/// The longest input; longer ones take long and find nothing more.
const LONGEST: usize = 4000;
/// Texts that mean something to one of the targets.
const WORDS: [&[u8]; 24] = [
    b"\"",
    b"{",
    b"[",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b".",
    b"..",
    b"=",
    b"%2e",
    b"%2f",
    b"%00",
    b"/../",
    b"//",
    b"\\",
    b"\n",
    b"; ",
    b"\"alg\":\"none\",",
    b"\"crit\":[],",
    b"Bearer ",
    b"\xff",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }

    /// A part of the input, perhaps empty.
    fn range(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(input.len() + 1);
        start..(start + self.below(40)).min(input.len())
    }

    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len() + 1);
        match self.below(6) {
            0 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            1 => drop(input.drain(self.range(&input.clone()))),
            2 => {
                let part = input[self.range(input)].to_vec();
                input.splice(at..at, part);
            }
            3 => {
                let part = other[self.range(other)].to_vec();
                input.splice(at..at, part);
            }
            4 => input.truncate(at),
            _ => drop(input.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
        }
        input.truncate(LONGEST);
    }
}

/// The seeds of a target, in an order that does not depend on the machine.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn run(name: &str) {
    let (_, target) = targets::TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has seeds");
    for seed in &seeds {
        target(seed);
    }
    let mut random = Random(20_261_123);
    for _ in 0..MUTATIONS {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            let other = &seeds[random.below(seeds.len())];
            random.mutate(&mut input, other);
        }
        target(&input);
    }
}

#[test]
fn no_bytes_for_a_token_panic_or_pass_as_one() {
    run("token");
}

#[test]
fn no_bytes_for_a_key_set_panic() {
    run("key_set");
}

#[test]
fn no_bytes_for_a_configuration_panic() {
    run("configuration");
}

#[test]
fn no_bytes_for_a_request_panic_or_pass_as_public() {
    run("admission");
}
