#![no_main]

mod gate;

libfuzzer_sys::fuzz_target!(|input: &[u8]| gate::run(input));
