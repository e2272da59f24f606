//! What must hold for any bytes in the event ring, and for any text in /proc.

use std::path::Path;

use egress_common::{Event, UnixEvent};

use super::{
    cgroup::{mount_point, unified_path},
    events::{self, Decided},
};
use crate::audit::{
    chain::{Head, seal},
    record::{Flow, Kind, Layer, Process, Record, Sealed, Socket, Time},
};

/// Nothing of an event is lost, and whatever a process calls itself fits into a record.
pub(crate) fn event(bytes: &[u8]) {
    let Some(Decided { event, unix }) = events::parse(bytes) else {
        return assert!(![Event::BYTES, size_of::<UnixEvent>()].contains(&bytes.len()));
    };
    assert_eq!(bytes.get(..Event::BYTES), Some(&*write(&event)));
    if let Some(path) = &unix {
        assert!(
            bytes
                .get(Event::BYTES + 4..)
                .is_some_and(|place| place.starts_with(path))
        );
    }
    assert_eq!(unix.is_some(), bytes.len() != Event::BYTES);
    let mut record = Record::new(
        Time::new(jiff::Timestamp::UNIX_EPOCH),
        Layer::Kernel,
        Kind::Flow,
    );
    record.boot_ns = Some(event.time);
    record.process = Some(Process::from(event.process));
    record.flow = Some(Flow::from(event.flow));
    record.socket = Some(Socket::new(event.family, unix.as_deref()));
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
    out.extend(event.family.to_ne_bytes());
    out.extend(event.reserved.to_ne_bytes());
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
