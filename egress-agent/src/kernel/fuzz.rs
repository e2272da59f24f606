//! What must hold for any bytes in the event ring, and for any text in /proc.

use std::path::Path;

use egress_common::Event;

use super::{
    cgroup::{mount_point, unified_path},
    events,
};
use crate::audit::{
    chain::{Head, seal},
    record::{Flow, Kind, Layer, Process, Record, Sealed, Time},
};

/// Nothing of an event is lost, and whatever a process calls itself fits into a record.
pub(crate) fn event(bytes: &[u8]) {
    let Some(event) = events::parse(bytes) else {
        assert_ne!(bytes.len(), Event::BYTES);
        return;
    };
    assert_eq!(write(&event), bytes);
    let mut record = Record::new(
        Time::new(jiff::Timestamp::UNIX_EPOCH),
        Layer::Kernel,
        Kind::Flow,
    );
    record.boot_ns = Some(event.time);
    record.process = Some(Process::from(event.process));
    record.flow = Some(Flow::from(event.flow));
    let mut line = Vec::new();
    let head = seal(&record, Head::START, &mut line);
    assert!(head.is_ok(), "{record:?}");
    let controls = line
        .iter()
        .filter(|byte| byte.is_ascii_control() && **byte != 0x7f);
    assert_eq!(controls.count(), 1, "a record is one line");
    let sealed: Option<Sealed> = serde_json::from_slice(&line).ok();
    assert_eq!(sealed.map(|sealed| sealed.record), Some(record));
}

/// The layout of `#[repr(C)] Event`, written out.
fn write(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [event.time, event.session, event.cookie] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(event.process.pid.to_ne_bytes());
    out.extend(event.process.uid.to_ne_bytes());
    out.extend(event.process.comm);
    out.extend(event.flow.destination.octets());
    out.extend(event.flow.port.to_ne_bytes());
    out.extend([event.flow.protocol.0, event.flow.reserved]);
    out.extend(event.rule.to_ne_bytes());
    out.extend(event.generation.to_ne_bytes());
    out.extend([event.hook, event.allowed, event.reason, event.observed]);
    out.extend(event.reserved.iter().flat_map(|word| word.to_ne_bytes()));
    out
}

/// Any mount point that the kernel writes is read as it is; other lines change nothing.
pub(crate) fn mountinfo(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(path) = mount_point(&text) {
        assert!(text.contains("cgroup2"), "{}", path.display());
    }
    if let Some(path) = unified_path(&text) {
        assert!(!path.starts_with('/') && text.contains(&path));
    }
    // As the kernel does it (seq_path): the four bytes that would end a field.
    let written: String = text
        .chars()
        .map(|c| match c {
            ' ' => "\\040".to_owned(),
            '\t' => "\\011".to_owned(),
            '\n' => "\\012".to_owned(),
            '\\' => "\\134".to_owned(),
            // Lines end at \n alone, and no carriage return belongs to that.
            '\r' => "r".to_owned(),
            c => c.to_string(),
        })
        .collect();
    let meant = text.replace('\r', "r");
    let line = format!("35 24 0:30 / /{written} rw shared:9 - cgroup2 cgroup2 rw\n");
    assert_eq!(
        mount_point(&line).as_deref(),
        Some(Path::new(&format!("/{meant}")))
    );
}
