#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| meridian::fuzzing::release(octets));
