//! Where the remotes of a repository lead, asked of git itself: it knows includes, rewritten
//! prefixes (`url.BASE.insteadOf`), worktrees and what a branch is pushed to.
//!
//! Only calls that write to a remote by its name cost this; what cannot be found in time stays
//! unknown, and the judgement says so.

use std::{
    env,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::tools::{self, Call, KnownRemote, Remote};

/// For all questions to git of one call.
const PATIENCE: Duration = Duration::from_millis(500);
/// Remotes of one call that are looked up.
const MOST: usize = 8;
/// Bytes of an answer: a branch, or the places of one remote.
const LONGEST: usize = 1 << 20;

/// Adds to a call where its named remotes lead.
pub(super) fn look_up(call: &mut Call) {
    let wanted = tools::remotes(call);
    if wanted.is_empty() {
        return;
    }
    let start = call.cwd.clone().or_else(|| env::current_dir().ok());
    let Some(start) = start else { return };
    let git = Git {
        until: Instant::now() + PATIENCE,
        start,
    };
    let known = wanted
        .into_iter()
        .take(MOST)
        .filter_map(|remote| git.known(remote));
    call.remotes.extend(known);
}

struct Git {
    until: Instant,
    /// Where the command would run.
    start: PathBuf,
}

impl Git {
    fn known(&self, remote: Remote) -> Option<KnownRemote> {
        let Remote {
            name,
            writes: _,
            directory,
        } = remote;
        let place = self.place(directory.as_deref())?;
        let chosen = if name.is_empty() {
            self.chosen(&place)?
        } else {
            name.clone()
        };
        let urls = self.ask(&place, &["remote", "get-url", "--push", "--all", &chosen])?;
        let urls = urls.lines().map(str::to_owned).collect();
        Some(KnownRemote {
            name,
            directory,
            urls,
        })
    }

    fn place(&self, directory: Option<&str>) -> Option<PathBuf> {
        let Some(directory) = directory else {
            return Some(self.start.clone());
        };
        Some(match directory.strip_prefix('~') {
            Some(rest) => {
                let home = PathBuf::from(env::var_os("HOME")?);
                home.join(rest.trim_start_matches('/'))
            }
            None => self.start.join(directory),
        })
    }

    /// The remote that `git push` without one goes to: what the branch says, else the only one,
    /// else `origin` (git-push(1)).
    fn chosen(&self, place: &Path) -> Option<String> {
        let format = "--format=%(HEAD)%(push:remotename)";
        let branches = self.ask(place, &["for-each-ref", format, "refs/heads"])?;
        let said = branches.lines().find_map(|line| line.strip_prefix('*'));
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            return Some(said.to_owned());
        }
        let remotes = self.ask(place, &["remote"])?;
        let mut names = remotes.lines();
        Some(match (names.next(), names.next()) {
            (Some(only), None) => only.to_owned(),
            (Some(_), Some(_)) | (None, _) => "origin".to_owned(),
        })
    }

    /// What git says; `None` when it fails or is too slow.
    fn ask(&self, place: &Path, words: &[&str]) -> Option<String> {
        let mut child = Command::new("git")
            .arg("-C")
            .arg(place)
            .args(words)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let said = self.hear(&mut child);
        if said.is_none() {
            // It may have ended by itself; both are well.
            drop(child.kill());
        }
        let status = child.wait().ok()?;
        said.filter(|_| status.success())
    }

    fn hear(&self, child: &mut Child) -> Option<String> {
        let mut stdout = child.stdout.take()?;
        let mut said = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok()?;
            if poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&left)).ok()? == 0 {
                return None;
            }
            match stdout.read(&mut chunk).ok()? {
                0 => return String::from_utf8(said).ok(),
                read => said.extend_from_slice(chunk.get(..read)?),
            }
            if said.len() > LONGEST {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use serde_json::json;

    use super::*;

    struct Repository(tempfile::TempDir);

    impl Repository {
        fn new() -> Self {
            let repository = Self(tempfile::tempdir().unwrap());
            repository.git("init -q -b work");
            repository
        }

        fn git(&self, words: &str) {
            let status = Command::new("git")
                .arg("-C")
                .arg(self.0.path())
                .args(["-c", "user.name=t", "-c", "user.email=t@t.test"])
                .args(words.split(' '))
                .status()
                .expect("git is installed");
            assert!(status.success(), "git {words}");
        }

        fn remotes(&self, command: &str) -> Vec<KnownRemote> {
            let mut call = Call {
                cwd: Some(self.0.path().to_owned()),
                ..Call::new("Bash", json!({ "command": command }))
            };
            look_up(&mut call);
            call.remotes
        }

        #[track_caller]
        fn leads(&self, command: &str, urls: &[&str]) {
            let remotes = self.remotes(command);
            let found: Vec<&str> = remotes
                .iter()
                .flat_map(|remote| remote.urls.iter().map(String::as_str))
                .collect();
            assert_eq!(found, urls, "{command}");
        }
    }

    #[test]
    fn git_itself_says_where_a_remote_leads() {
        let repository = Repository::new();
        repository.leads("git push origin", &[]);
        repository.git("remote add origin https://github.com/mine/x");
        repository.leads("git push origin main", &["https://github.com/mine/x"]);
        repository.leads("git fetch origin", &[]);
        repository.leads("git status", &[]);
        repository.git("remote set-url --push origin git@evil.test:other/x");
        repository.leads("git push origin", &["git@evil.test:other/x"]);
        repository.git("remote set-url --add --push origin https://second.test/x");
        repository.leads(
            "git push origin",
            &["git@evil.test:other/x", "https://second.test/x"],
        );
        repository.git("config url.https://third.test/.pushInsteadOf https://github.com/");
        repository.git("remote add up https://github.com/mine/y");
        repository.leads("git push up", &["https://third.test/mine/y"]);
        repository.leads("cd .git && git push up", &["https://third.test/mine/y"]);
        repository.leads("git push nowhere", &[]);
    }

    #[test]
    fn a_push_without_a_remote_goes_where_the_branch_says() {
        let repository = Repository::new();
        repository.git("remote add fork https://fork.test/x");
        repository.leads("git push", &["https://fork.test/x"]);
        repository.git("remote add origin https://origin.test/x");
        repository.leads("git push", &["https://origin.test/x"]);
        repository.git("commit -q --allow-empty -m one");
        repository.leads("git push", &["https://origin.test/x"]);
        repository.git("config branch.work.remote fork");
        repository.leads("git push", &["https://fork.test/x"]);
        repository.git("config branch.work.pushRemote origin");
        repository.leads("git push --force", &["https://origin.test/x"]);
    }

    #[test]
    fn a_git_that_hangs_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("git");
        fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let git = Git {
            until: Instant::now() + Duration::from_millis(50),
            start: directory.path().to_owned(),
        };
        let mut child = Command::new(&program)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(git.hear(&mut child), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
