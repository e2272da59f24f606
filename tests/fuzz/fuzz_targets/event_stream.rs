#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| egress_agent::fuzz::attack("event_stream", bytes));
