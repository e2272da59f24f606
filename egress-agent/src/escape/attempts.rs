//! Every attempt, by family. One file for each; a new way out is a new line in its family's list.

use super::Attempt;

mod bait;
mod cgroup;
mod descriptors;
mod group;
mod inbound;
mod ip;
mod keys;
mod link;
mod names;
mod namespace;
mod packet;
mod place;
mod privilege;
mod probes;
mod process;
mod question;
mod raw;
mod ring;
mod services;
mod special;
mod system;
mod tamper;
mod tcp;
mod transport;
mod udp;
mod unix;
mod variants;
mod vsock;
mod xdp;

/// All of them, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Attempt> {
    [
        tcp::ALL,
        udp::ALL,
        transport::ALL,
        ip::ALL,
        link::ALL,
        group::ALL,
        special::ALL,
        ring::ALL,
        inbound::ALL,
        vsock::ALL,
        names::ALL,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_and_fits_a_command_line() {
        let mut names: Vec<_> = all().map(|attempt| attempt.name).collect();
        for name in &names {
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{name}"
            );
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
