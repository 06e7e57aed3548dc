//! Every seed of every target, as a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_seed_holds() {
    for target in TARGETS {
        let folder = fuzz().join("seeds").join(target.name);
        for seed in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            println!("{}", seed.display());
            target.check(&fs::read(&seed).unwrap());
        }
    }
}

/// A target without a program, without a seed or without a line in the manifest is run by nobody.
#[test]
fn every_entry_point_has_a_target_and_seeds() {
    let known: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&fuzz().join("targets")), known);
    assert_eq!(names(&fuzz().join("seeds")), known);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &known {
        let lines = format!("name = \"{name}\"\npath = \"targets/{name}.rs\"\n");
        assert!(manifest.contains(&lines), "{lines}");
        let program = fs::read_to_string(fuzz().join(format!("targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("run(\"{name}\", bytes)")), "{program}");
        assert!(fs::read_dir(fuzz().join("seeds").join(name)).unwrap().next().is_some(), "{name}");
    }
}

/// Bytes that end anywhere, and bytes with one bit changed: a little of what a fuzzer does, without
/// one.
#[test]
fn every_seed_holds_in_part() {
    for target in TARGETS {
        let folder = fuzz().join("seeds").join(target.name);
        for seed in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let bytes = fs::read(&seed).unwrap();
            for nth in 1..8 {
                let at = bytes.len() * nth / 8;
                target.check(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (nth % 8);
                target.check(&changed);
            }
        }
    }
}
