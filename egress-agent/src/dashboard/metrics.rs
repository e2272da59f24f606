//! Numbers in the text format of Prometheus.
//!
//! Labels are guards, layers, verdicts, reasons and hooks: words of egressd and of its command
//! line. No name, no address and no session is a label, so that the number of series does not
//! depend on what an agent does.

use std::fmt::Display;

use crate::{
    audit::{record::Mode, tally::Tally},
    control::status::{Guard, Status},
};

/// What a family of numbers is.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// The answer of `/metrics`.
pub fn text(status: &Status, tally: &Tally) -> String {
    let mut page = Page::default();
    about(&mut page, status);
    decisions(&mut page, tally);
    guards(&mut page, &status.guards);
    log(&mut page, status, tally);
    page.0
}

fn about(page: &mut Page, status: &Status) {
    let Status {
        version,
        pid: _,
        uptime_ms,
        mode: _,
        guards,
        sessions,
        audit: _,
        listeners: _,
    } = status;
    page.family(
        "egressd_build_info",
        Kind::Gauge,
        "",
        "The version that runs; always 1.",
    );
    page.sample("egressd_build_info", &[("version", version)], 1);
    page.family(
        "egressd_uptime_seconds",
        Kind::Gauge,
        "seconds",
        "Time since egressd started.",
    );
    page.sample("egressd_uptime_seconds", &[], Thousandths(*uptime_ms));
    page.family("egressd_guards", Kind::Gauge, "", "Guarded cgroups.");
    page.sample("egressd_guards", &[], guards.len());
    page.family(
        "egressd_sessions",
        Kind::Gauge,
        "",
        "Sessions that run, by mode.",
    );
    for mode in [Mode::Enforce, Mode::Observe] {
        let running = sessions.iter().filter(|session| session.mode == mode);
        page.sample(
            "egressd_sessions",
            &[("mode", mode_code(mode))],
            running.count(),
        );
    }
}

fn decisions(page: &mut Page, tally: &Tally) {
    let name = "egressd_decisions_total";
    page.family(
        name,
        Kind::Counter,
        "",
        "Decisions that were recorded, by layer, verdict and mode. Connections that are allowed are recorded where the policy asks for it.",
    );
    for (layer, verdict, mode, count) in tally.decisions() {
        let labels = [
            ("layer", layer.code()),
            ("verdict", verdict.code()),
            ("mode", mode_code(mode)),
        ];
        page.sample(name, &labels, count);
    }
    let name = "egressd_denials_total";
    page.family(
        name,
        Kind::Counter,
        "",
        "Denials that were recorded, by layer and reason; those that were only observed too.",
    );
    for (layer, reason, count) in tally.reasons() {
        page.sample(name, &[("layer", layer.code()), ("reason", reason)], count);
    }
}

/// One number of each guard.
type OfGuard = fn(&Guard) -> u64;

fn guards(page: &mut Page, guards: &[Guard]) {
    const NUMBERS: [(&str, Kind, &str, OfGuard); 9] = [
        (
            "egressd_guard_enforcing",
            Kind::Gauge,
            "Whether the policy of the guard enforces (1) or only observes (0).",
            |guard| u64::from(guard.mode == Mode::Enforce),
        ),
        (
            "egressd_guard_gaps",
            Kind::Gauge,
            "What was asked for and is not enforced in full; see egressctl status.",
            |guard| guard.gaps.len() as u64,
        ),
        (
            "egressd_guard_hooks_detached",
            Kind::Gauge,
            "Kernel programs of the guard that are not attached.",
            |guard| guard.hooks.iter().filter(|hook| !hook.attached).count() as u64,
        ),
        (
            "egressd_guard_lsm_programs",
            Kind::Gauge,
            "Programs of the second layer that are attached; 0 where the kernel does not take it.",
            |guard| guard.lsm.as_ref().map_or(0, |lsm| lsm.programs),
        ),
        (
            "egressd_leases",
            Kind::Gauge,
            "Addresses that are allowed because a name resolved to them.",
            |guard| guard.leases,
        ),
        (
            "egressd_proxy_flows_open",
            Kind::Gauge,
            "Flows that the proxy carries.",
            |guard| guard.proxy.as_ref().map_or(0, |proxy| proxy.flows),
        ),
        (
            "egressd_proxied_total",
            Kind::Counter,
            "Connections that the kernel led to the proxy.",
            |guard| counter(guard, "proxied"),
        ),
        (
            "egressd_dns_steered_total",
            Kind::Counter,
            "DNS packets and connections that the kernel led to the guard resolver.",
            |guard| counter(guard, "dns-steered"),
        ),
        (
            "egressd_events_lost_total",
            Kind::Counter,
            "Events of the kernel that found their ring full: decided, and not recorded.",
            |guard| guard.lost,
        ),
    ];
    for (name, kind, help, number) in NUMBERS {
        page.family(name, kind, "", help);
        for guard in guards {
            page.sample(name, &[("guard", &guard.cgroup)], number(guard));
        }
    }
    kernel(page, guards);
}

/// What the kernel counted itself: complete, whatever is recorded.
fn kernel(page: &mut Page, guards: &[Guard]) {
    const COUNTED: [(&str, &str, &str); 8] = [
        ("connect", "allow", "connect-allowed"),
        ("connect", "deny", "connect-denied"),
        ("sendmsg", "allow", "send-allowed"),
        ("sendmsg", "deny", "send-denied"),
        ("packet", "deny", "packet-denied"),
        ("packet-again", "deny", "packet-denied-again"),
        ("socket", "deny", "socket-denied"),
        ("lsm", "deny", "lsm-denied"),
    ];
    let name = "egressd_kernel_decisions_total";
    page.family(
        name,
        Kind::Counter,
        "",
        "Decisions that the kernel counted since the programs were attached, recorded or not. Of a flow whose packets are dropped the first counts as packet, the others as packet-again.",
    );
    for guard in guards {
        for (hook, verdict, key) in COUNTED {
            let labels = [
                ("guard", guard.cgroup.as_str()),
                ("hook", hook),
                ("verdict", verdict),
            ];
            page.sample(name, &labels, counter(guard, key));
        }
    }
}

fn log(page: &mut Page, status: &Status, tally: &Tally) {
    let life = tally.life();
    let name = "egressd_policy_loads_total";
    page.family(
        name,
        Kind::Counter,
        "",
        "Policies that came into force at the start and at reloads, and those that were refused.",
    );
    page.sample(name, &[("result", "loaded")], life.policies_loaded);
    page.sample(name, &[("result", "refused")], life.policies_refused);
    let mut counter = |name, help, value: u64| {
        page.family(name, Kind::Counter, "", help);
        page.sample(name, &[], value);
    };
    counter(
        "egressd_sessions_begun_total",
        "Sessions that began.",
        life.sessions_begun,
    );
    counter(
        "egressd_sessions_ended_total",
        "Sessions that ended.",
        life.sessions_ended,
    );
    counter(
        "egressd_guards_lost_total",
        "Times that a guarded cgroup was removed or entered before it was guarded again.",
        life.guards_lost,
    );
    page.family(
        "egressd_audit_written_bytes_total",
        Kind::Counter,
        "bytes",
        "Bytes written to the audit log since the start.",
    );
    page.sample("egressd_audit_written_bytes_total", &[], life.bytes);
    let Some(audit) = &status.audit else {
        return;
    };
    page.family(
        "egressd_audit_records_total",
        Kind::Counter,
        "",
        "Records written to the audit log since the start.",
    );
    page.sample("egressd_audit_records_total", &[], audit.written);
    let name = "egressd_audit_records_lost_total";
    page.family(
        name,
        Kind::Counter,
        "",
        "Records that could not be kept, by the layer that made them.",
    );
    for layer in crate::audit::record::Layer::ALL {
        let lost = audit.lost.get(&layer).copied().unwrap_or(0);
        page.sample(name, &[("layer", layer.code())], lost);
    }
    page.family(
        "egressd_audit_writable",
        Kind::Gauge,
        "",
        "Whether the last write to the audit log worked.",
    );
    page.sample(
        "egressd_audit_writable",
        &[],
        u8::from(audit.failure.is_none()),
    );
}

fn counter(guard: &Guard, key: &str) -> u64 {
    guard.counters.get(key).copied().unwrap_or(0)
}

const fn mode_code(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}

/// Milliseconds, written in seconds.
struct Thousandths(u64);

impl Display for Thousandths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a family. `# UNIT` is of `OpenMetrics`, and a comment to older readers.
    fn family(&mut self, name: &str, kind: Kind, unit: &str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        if !unit.is_empty() {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let mut text = String::new();
        for (label, word) in labels {
            let comma = if text.is_empty() { "" } else { "," };
            text.push_str(comma);
            text.push_str(label);
            text.push_str("=\"");
            for c in word.chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    c => text.push(c),
                }
            }
            text.push('"');
        }
        if text.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{text}}} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::record::tests::denial,
        control::status::{Audit, Dns, Policy},
    };

    fn status() -> Status {
        Status {
            version: "1.2.3".to_owned(),
            pid: 1,
            uptime_ms: 61_007,
            mode: Mode::Enforce,
            guards: vec![Guard {
                cgroup: "a\"b\\c\nd".to_owned(),
                policy: Policy {
                    name: "n".to_owned(),
                    file: "f".to_owned(),
                    digest: "d".to_owned(),
                },
                mode: Mode::Observe,
                dns: Dns::Steer,
                hooks: Vec::new(),
                lsm: None,
                proxy: None,
                counters: [("connect-denied".to_owned(), 7)].into(),
                leases: 3,
                sessions: 0,
                grants: 0,
                waiting: 0,
                lost: 2,
                gaps: vec!["one".to_owned()],
            }],
            sessions: Vec::new(),
            audit: Some(Audit {
                file: "f".to_owned(),
                written: 9,
                lost: std::collections::BTreeMap::new(),
                failure: None,
            }),
            listeners: Vec::new(),
        }
    }

    #[test]
    fn numbers_stand_under_their_names() {
        let mut tally = Tally::default();
        tally.add(&denial(1, "192.0.2.1"), 120);
        let text = text(&status(), &tally);
        for line in [
            "egressd_build_info{version=\"1.2.3\"} 1",
            "egressd_uptime_seconds 61.007",
            "egressd_decisions_total{layer=\"kernel\",verdict=\"deny\",mode=\"enforce\"} 1",
            "egressd_denials_total{layer=\"kernel\",reason=\"no-rule\"} 1",
            r#"egressd_kernel_decisions_total{guard="a\"b\\c\nd",hook="connect",verdict="deny"} 7"#,
            r#"egressd_guard_enforcing{guard="a\"b\\c\nd"} 0"#,
            "egressd_audit_written_bytes_total 120",
            "egressd_audit_records_total 9",
            "egressd_audit_writable 1",
            "# UNIT egressd_uptime_seconds seconds",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn what_an_agent_chooses_is_in_no_label() {
        let mut tally = Tally::default();
        let before = text(&status(), &tally).lines().count();
        for number in 0..100 {
            let mut record = denial(1, "192.0.2.1");
            record.name = Some(format!("secret{number}.evil.test"));
            record.session = Some(format!("secret{number}"));
            tally.add(&record, 120);
        }
        let text = text(&status(), &tally);
        assert_eq!(text.lines().count(), before + 1);
        assert!(!text.contains("secret") && !text.contains("192.0.2"));
    }
}
