//! Starting a command under the guard.
//!
//! Two processes: the parent stays outside the guard, forwards signals and reports at the end
//! ([`parent`]); the child enters the session, gives up everything that could undo it, and becomes
//! the command ([`child`]). Each step of the child is checked before the next: a command that is
//! not held is never started.

mod carve;
pub mod child;
mod descriptors;
mod environment;
pub mod filter;
mod landlock;
mod mounts;
pub mod parent;
pub mod privileges;
mod root;
mod view;

/// Own failures of `run`, as env(1) and timeout(1) number them.
pub mod status {
    /// The session could not be prepared.
    pub const NOT_STARTED: u8 = 125;
    /// The command was found and could not be executed.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// There is no such command.
    pub const NOT_FOUND: u8 = 127;
}

/// A name for a session: sortable by start, and unique as far as one machine can tell.
pub fn session_name(now: jiff::Timestamp, pid: u32) -> String {
    format!("{}-{pid}", now.strftime("s%Y%m%d-%H%M%S"))
}

/// Whether a name may stand as a session's: it becomes the name of a cgroup.
pub fn is_session_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_is_a_session_name() {
        let name = session_name(jiff::Timestamp::UNIX_EPOCH, 4_294_967_295);
        assert_eq!(name, "s19700101-000000-4294967295");
        assert!(is_session_name(&name));
        for bad in ["", "..", "a/b", "-a", "a b", "cgroup.procs"] {
            assert!(!is_session_name(bad), "{bad}");
        }
    }
}
