//! Tells userspace, and counts what could not be told.

use egress_common::{
    Config, Counter, Event, Flow, Hook, Process, Ruling, UNIX_PATH_BYTES, UnixEvent,
};

use crate::{
    lsm::AF_UNIX,
    maps::{self, EVENTS},
};

/// What an event says besides the verdict.
pub(crate) struct Subject<'a> {
    pub(crate) hook: Hook,
    pub(crate) session: u64,
    pub(crate) cookie: u64,
    pub(crate) process: &'a Process,
    pub(crate) flow: &'a Flow,
}

/// Reports one decision. A full ring counts as a lost event; it never changes the decision.
#[inline(always)]
pub(crate) fn report(config: &Config, subject: &Subject<'_>, ruling: Ruling) {
    let Some(mut entry) = EVENTS.reserve(0) else {
        maps::count(Counter::EventLost);
        return;
    };
    entry.write(event(config, subject, ruling, 0));
    entry.submit(0);
}

/// Reports what was decided about a socket of this family, which has no flow.
#[inline(always)]
pub(crate) fn report_socket(config: &Config, subject: &Subject<'_>, ruling: Ruling, family: u32) {
    let Some(mut entry) = EVENTS.reserve(0) else {
        maps::count(Counter::EventLost);
        return;
    };
    entry.write(event(config, subject, ruling, family));
    entry.submit(0);
}

/// Reports what was decided about a UNIX socket, with its name.
#[inline(always)]
pub(crate) fn report_unix(
    config: &Config,
    subject: &Subject<'_>,
    ruling: Ruling,
    (length, path): (u32, &[u8; UNIX_PATH_BYTES]),
) {
    let Some(mut entry) = EVENTS.reserve_untyped::<UnixEvent>(0) else {
        maps::count(Counter::EventLost);
        return;
    };
    entry.write(UnixEvent {
        event: event(config, subject, ruling, AF_UNIX),
        length,
        path: *path,
    });
    entry.submit(0);
}

#[inline(always)]
fn event(config: &Config, subject: &Subject<'_>, ruling: Ruling, family: u32) -> Event {
    Event {
        // SAFETY: takes nothing and returns a number.
        time: unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns() },
        session: subject.session,
        cookie: subject.cookie,
        process: *subject.process,
        flow: *subject.flow,
        rule: ruling.rule.0,
        generation: config.generation,
        hook: subject.hook as u8,
        allowed: u8::from(ruling.is_allow()),
        reason: ruling.reason as u8,
        observed: u8::from(maps::observes(config, subject.session)),
        family,
        reserved: 0,
    }
}
