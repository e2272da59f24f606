//! Every attempt, by family. One file for each; a new way out is a new line in its family's list.

use super::Attempt;

mod bait;
mod cgroup;
mod descriptors;
mod keys;
mod namespace;
mod privilege;
mod probes;
mod process;
mod services;
mod system;
mod tamper;
mod tcp;
mod unix;

/// All of them, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Attempt> {
    [
        tcp::ALL,
        descriptors::ALL,
        unix::ALL,
        services::ALL,
        process::ALL,
        cgroup::ALL,
        namespace::ALL,
        keys::ALL,
        privilege::ALL,
        tamper::ALL,
    ]
    .into_iter()
    .flatten()
}

/// The attempt of this name.
pub fn by_name(name: &str) -> Option<&'static Attempt> {
    all().find(|attempt| attempt.name == name)
}
