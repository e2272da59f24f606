//! The acts that are looked for, each with its judgement and cases.

mod access;
mod cover;
mod database;
mod deletion;
mod disk;
mod foreign;
mod history;
mod leak;
mod process;

pub(crate) use self::{cover::is_started_later, leak::is_credential};

use super::Detector;
use crate::{Confidence::Medium, Severity};

pub(super) const ALL: &[Detector] = &[
    deletion::RECURSIVE_DELETION,
    deletion::WILDCARD_DELETION,
    deletion::FIND_DELETION,
    deletion::OVERWRITING,
    history::FORCE_PUSH,
    history::HISTORY_LOSS,
    foreign::DOWNLOAD_EXECUTED,
    access::OPEN_PERMISSIONS,
    access::RECURSIVE_OWNERSHIP,
    disk::DISK_COPY,
    disk::DISK_FORMAT,
    disk::DEVICE_WRITE,
    process::FORCED_KILL,
    access::PRIVILEGED,
    database::SQL_LOSS,
    process::FORK_BOMB,
    leak::ENVIRONMENT_DUMP,
    leak::EXFILTRATION,
    foreign::REVERSE_SHELL,
    foreign::ENCODED_COMMAND,
    foreign::PACKAGE_INSTALL,
    cover::PERSISTENCE,
    process::DETACHED,
    cover::LOG_TAMPERING,
    leak::CREDENTIAL_ACCESS,
    cover::PROTECTION_OFF,
    deletion::REMOTE_DELETION,
    process::POWER,
    CUT,
];

/// *What it does*: tells that a text holds more commands than are kept. *Why it matters*: what is
/// not kept is not judged. *Known gaps*: none. *Example*: a command of several hundred kilobytes.
const CUT: Detector = Detector {
    id: "too-many-commands",
    positive: &[],
    negative: &["ls"],
    judge: |facts| facts.reach.is_cut.then_some((Severity::High, Medium)),
};
