//! Waiting for a cgroup to lose its last process, without asking again and again.

use std::{fs::File, io, io::Read as _, io::Seek as _};

use tokio::io::{Interest, unix::AsyncFd};

use super::Cgroup;

/// Returns when no process is left in the cgroup or below it, or when it is gone.
///
/// The kernel marks `cgroup.events` as having an exceptional condition whenever `populated`
/// changes (Documentation/admin-guide/cgroup-v2.rst, "Basic Operations").
#[expect(
    unsafe_code,
    reason = "tokio cannot see that the file owns its descriptor"
)]
pub async fn emptied(cgroup: &Cgroup) -> io::Result<()> {
    let Ok(file) = File::open(cgroup.directory().join("cgroup.events")) else {
        return Ok(());
    };
    // SAFETY: the file owns the descriptor, gives the same one each time, and keeps it open until
    // it is dropped.
    let mut events = unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY)? };
    loop {
        let mut text = String::new();
        let file = events.get_mut();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        if read.is_err() || text.lines().any(|line| line == "populated 0") {
            return Ok(());
        }
        events.ready(Interest::PRIORITY).await?.clear_ready();
    }
}
