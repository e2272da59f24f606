//! Waiting for a cgroup to lose its last process, or to be removed, without asking again and again.

use std::{fs::File, io, io::Read as _, io::Seek as _, mem::MaybeUninit};

use rustix::{
    fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init},
    io::Errno,
};
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

/// Returns when the cgroup is no longer the one that was opened: removed, or removed and made anew.
///
/// The directory that it stands in is watched (inotify(7)), not itself: a directory that someone
/// holds open is not told of its own end.
#[expect(unsafe_code, reason = "tokio cannot see that the descriptor is owned")]
pub async fn removed(cgroup: &Cgroup) -> io::Result<()> {
    let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    // SAFETY: an owned descriptor gives the same number each time, and stays open until it is
    // dropped.
    let inotify = unsafe { AsyncFd::register_with_interest(inotify, Interest::READABLE)? };
    let parent = cgroup.directory().parent();
    let parent = parent.ok_or_else(|| io::Error::other("the cgroup has no parent"))?;
    let changes = WatchFlags::DELETE | WatchFlags::CREATE | WatchFlags::DELETE_SELF;
    match add_watch(inotify.get_ref(), parent, changes) {
        Ok(_) => {}
        // The parent is gone, and the cgroup with it.
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    // Looked at after the watch stands: no removal falls between the two.
    while cgroup.is_current() {
        let mut ready = inotify.readable().await?;
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(inotify.get_ref(), &mut room);
        while events.next().is_ok() {}
        ready.clear_ready();
    }
    Ok(())
}
