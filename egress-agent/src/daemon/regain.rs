//! A guarded cgroup that is removed takes its programs with it. It is made anew and guarded again.

use std::{rc::Rc, time::Duration};

use tokio::{
    task::{AbortHandle, spawn_local},
    time::sleep,
};

use super::{Daemon, Ended, guard::Guard, heap, run::Options, start::raise_again};
use crate::{audit::record::Kind, kernel::watch};

impl Daemon {
    /// Waits in the background for the removal of the guarded cgroup.
    pub(super) fn watch_cgroup(&self, guard: &Guard) -> AbortHandle {
        let (cgroup, lost) = (guard.cgroup.clone(), self.lost.clone());
        let task = spawn_local(async move {
            if let Err(error) = watch::removed(&cgroup).await {
                tracing::warn!(cgroup = cgroup.path(), %error, "a removal of the guarded cgroup will not be noticed");
                return;
            }
            // The receiver is gone when the daemon is.
            drop(lost.send(cgroup.path().to_owned()));
        });
        task.abort_handle()
    }

    /// A guarded cgroup was removed, and its links with it: it is made anew and guarded before
    /// anyone has a reason to enter it.
    pub(super) fn regain(&mut self, options: &Options, path: &str) {
        let found = self.guards.iter_mut().find(|running| {
            running.guard.cgroup.path() == path && !running.guard.cgroup.is_current()
        });
        let Some(running) = found else {
            return;
        };
        let lost = Rc::clone(&running.guard);
        // Every guard has tasks until it is lost: a later try finds none and has nothing to tell.
        let tasks = std::mem::take(&mut running.tasks);
        running.proxy = None;
        if !tasks.is_empty() {
            for task in tasks {
                task.abort();
            }
            self.tell_lost(&lost);
        }
        match raise_again(self, options, &lost) {
            Ok(running) => {
                let early = running.guard.cgroup.processes().unwrap_or_default();
                if !early.is_empty() {
                    self.tell_early(path, &early);
                }
                self.take(running);
                self.know();
                heap::give_back();
            }
            Err(error) => {
                tracing::error!(cgroup = path, "the cgroup is not guarded: {error:#}");
                self.regain_later(path);
            }
        }
    }

    fn tell_lost(&mut self, lost: &Guard) {
        let path = lost.cgroup.path();
        tracing::error!(
            cgroup = path,
            "the guarded cgroup was removed, and its programs with it"
        );
        let sessions = lost.world().sessions.borrow().ids();
        for session in sessions {
            self.finish(&Ended {
                cgroup: path.to_owned(),
                session,
            });
        }
        self.records.life(Kind::GuardLost, |record| {
            record.guard = Some(path.to_owned());
            record.message = Some("the cgroup was removed".to_owned());
        });
    }

    /// Somebody else made the cgroup, and processes were in it before the programs were.
    fn tell_early(&self, path: &str, early: &[u32]) {
        let shown: Vec<String> = early.iter().take(8).map(ToString::to_string).collect();
        let message = format!(
            "{} processes were in it when it was guarded again (pids {}); what they sent before was not judged",
            early.len(),
            shown.join(", ")
        );
        tracing::error!(cgroup = path, "{message}");
        self.records.life(Kind::GuardLost, |record| {
            record.guard = Some(path.to_owned());
            record.message = Some(message.clone());
        });
    }

    fn regain_later(&self, path: &str) {
        const PAUSE: Duration = Duration::from_secs(1);
        let (path, lost) = (path.to_owned(), self.lost.clone());
        spawn_local(async move {
            sleep(PAUSE).await;
            drop(lost.send(path));
        });
    }
}
