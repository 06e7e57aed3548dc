#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tokenwatch::fuzzed::run("paths", bytes));
