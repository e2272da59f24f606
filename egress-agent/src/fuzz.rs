//! What must hold for any bytes that somebody else wrote: one check for each parser.
//!
//! The checks stand in the rooms of their parsers, where they reach what is private. The targets in
//! `tests/fuzz` feed them to libFuzzer (`cargo xtask fuzz`); the tests here feed them the committed
//! corpus. A check is more than "it does not panic": what was read is written and read again, two
//! readers of the same bytes must agree, and what is let through is judged once more by other means.

mod packet;

use crate::{audit, control, daemon, dns, kernel, mcp, policy, proxy, rules, sse, tools};

/// A parser, and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of the program in `tests/fuzz/fuzz_targets` and of the directory in `tests/fuzz/corpus`.
    pub name: &'static str,
    check: fn(&[u8]),
}

pub const TARGETS: [Target; 24] = [
    Target::new("audit_log", audit::fuzz::log),
    Target::new("control_reply", control::fuzz::reply),
    Target::new("control_request", control::fuzz::request),
    Target::new("dns_answer", dns::fuzz::answer),
    Target::new("dns_question", dns::fuzz::question),
    Target::new("dns_snoop", dns::fuzz::snoop),
    Target::new("event_stream", sse::fuzz),
    Target::new("foreign_pack", rules::fuzz::foreign),
    Target::new("hook_event", tools::fuzz::hook_event),
    Target::new("journal", daemon::fuzz::journal),
    Target::new("kernel_event", kernel::fuzz::event),
    Target::new("mcp_message", mcp::fuzz::message),
    Target::new("mountinfo", kernel::fuzz::mountinfo),
    Target::new("pack", rules::fuzz::pack),
    Target::new("packet", packet::check),
    Target::new("policy", policy::fuzz::check),
    Target::new("proxy_decode", proxy::decode::fuzz),
    Target::new("proxy_chunks", proxy::http1::fuzz::chunks),
    Target::new("proxy_hello", proxy::hello::fuzz),
    Target::new("proxy_multipart", proxy::multipart::fuzz),
    Target::new("proxy_request", proxy::http1::fuzz::request),
    Target::new("proxy_websocket", proxy::websocket::fuzz),
    Target::new("resolv_conf", dns::fuzz::resolv),
    Target::new("shell", tools::fuzz::shell),
];

impl Target {
    const fn new(name: &'static str, check: fn(&[u8])) -> Self {
        Self { name, check }
    }

    /// Panics when something does not hold for these bytes.
    pub fn attack(&self, bytes: &[u8]) {
        (self.check)(bytes);
    }
}

/// What a fuzz target does with its input: the check, and a bound on its time that is linear in
/// the input.
pub fn attack(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let before = processor_time();
    assert!(
        target.map(|target| target.attack(bytes)).is_some(),
        "no target is called {name}"
    );
    let spent = processor_time() - before;
    // Sanitizer and coverage cost about ten times; what is quadratic passes this by far at 64 KiB.
    let bound = 300_000_000 + 50_000 * bytes.len() as u128;
    assert!(
        spent < bound,
        "{} bytes took {spent} ns, and {bound} would have been linear",
        bytes.len()
    );
}

/// Of this thread, in nanoseconds: what else runs on the machine does not count.
fn processor_time() -> u128 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u128::from(time.tv_sec.unsigned_abs()) * 1_000_000_000 + u128::from(time.tv_nsec.unsigned_abs())
}

#[cfg(test)]
mod tests;
