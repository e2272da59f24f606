//! One side: a thread in a network namespace of its own, which does what it is asked for.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use anyhow::Context as _;
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};

type Job = Box<dyn FnOnce() + Send>;

/// Threads and processes that are started from here are born into the same namespace.
#[derive(Debug)]
pub(super) struct Side {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    network: OwnedFd,
}

impl Side {
    /// A network of its own.
    pub(super) fn new() -> io::Result<Self> {
        Self::start(CloneFlags::CLONE_NEWNET)
    }

    /// A network and mounts of its own; what is mounted here is seen nowhere else.
    pub(super) fn with_mounts() -> io::Result<Self> {
        Self::start(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
    }

    fn start(flags: CloneFlags) -> io::Result<Self> {
        let (jobs, received) = mpsc::channel::<Job>();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("arena".to_owned())
            .spawn(move || {
                let entered = enter(flags);
                let goes_on = entered.is_ok();
                if ready.send(entered).is_ok() && goes_on {
                    for job in received {
                        job();
                    }
                }
            })?;
        let network = is_ready.recv().map_err(io::Error::other)??;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            network,
        })
    }

    /// The namespace itself, for moving devices into it.
    pub(super) fn network(&self) -> &OwnedFd {
        &self.network
    }

    /// Runs `work` on the thread of this side and waits for it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (answer, answered) = mpsc::channel();
        let job: Job = Box::new(move || {
            // Whoever asked waits below, unless it is gone with its whole thread.
            answer.send(work()).unwrap_or_default();
        });
        let jobs = self.jobs.as_ref().context("this side has ended")?;
        jobs.send(job).map_err(|_gone| gone())?;
        answered.recv().map_err(|_gone| gone())
    }
}

fn gone() -> anyhow::Error {
    anyhow::anyhow!("the thread of a side is gone")
}

fn enter(flags: CloneFlags) -> io::Result<OwnedFd> {
    unshare(flags)?;
    if flags.contains(CloneFlags::CLONE_NEWNS) {
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )?;
    }
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

impl Drop for Side {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A job that panicked has been reported where it was asked for.
            thread.join().unwrap_or_default();
        }
    }
}
