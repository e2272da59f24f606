//! What the whole table says, and that it could say something else.

use egress_agent::escape::verdict::{Identity, Verdict};

use super::{judged, play, report, row};

#[test]
fn no_packet_gets_out_beyond_the_limits() {
    let strays: Vec<_> = report()
        .verdicts()
        .filter(|(row, identity, judged)| {
            *identity != Identity::Bare && row.limit.is_none() && !judged.run.frames.is_empty()
        })
        .map(|(row, identity, judged)| (&row.name, identity, &judged.run.frames))
        .collect();
    assert!(strays.is_empty(), "{strays:#?}");
}

/// The same attempts under a policy that allows the bait are reported as what they are.
#[test]
fn a_guard_that_is_open_is_found_out() {
    let names = ["tcp-connect", "udp-sendto"];
    let report = play(vec![Identity::Agent, Identity::Root], &names, true);
    for name in names {
        for identity in [Identity::Agent, Identity::Root] {
            let judged = judged(row(&report, name), identity);
            assert_eq!(judged.verdict, Verdict::NotHeld, "{name} as {identity}");
            assert!(
                judged
                    .run
                    .frames
                    .iter()
                    .any(|frame| frame.contains("203.0.113.10:4433")),
                "{:?}",
                judged.run.frames
            );
        }
    }
    assert!(report.stray_frames() >= 4, "{}", report.stray_frames());
}

/// What the kernel programs hold alone, without the launcher and against every capability: all that
/// is IP and goes through a socket.
#[test]
fn the_kernel_programs_hold_alone_what_goes_through_an_ip_socket() {
    for name in [
        "tcp-connect",
        "udp-sendto",
        "raw-v4",
        "raw-v6",
        "raw-header-v4",
    ] {
        let judged = judged(row(report(), name), Identity::Bare);
        assert_eq!(judged.verdict, Verdict::Held, "{name}: {}", judged.reason);
    }
}

/// And what they cannot see. When one of these is held one day, the README has to say so.
#[test]
fn frames_that_no_ip_socket_sends_pass_the_kernel_programs() {
    let judged = judged(row(report(), "packet-raw"), Identity::Bare);
    assert_eq!(judged.verdict, Verdict::NotHeld, "{}", judged.reason);
}
