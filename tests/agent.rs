//! A process under the guard that does what the test says, one line at a time (`agent/agent.py`).

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use xtask::world::wait_for;

use crate::harness::TestWorld;

const PROGRAM: &str = include_str!("agent/agent.py");
/// What one line may take; floods and ten thousand names are lines too.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Agent {
    /// Of the daemon, shown when something fails.
    logs: Vec<PathBuf>,
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Agent {
    /// In a session of its own, as nobody, under the first daemon.
    #[track_caller]
    pub(crate) fn start(world: &TestWorld) -> Self {
        let files = world.daemon().expect("there is an egressd").files();
        let mut agent = Self::at(world, &files.socket, &[]);
        agent.logs = vec![files.audit.clone(), files.log.clone()];
        agent
    }

    /// Under the daemon of this socket, with more words for `egressctl run`; as root when they
    /// allow it.
    #[track_caller]
    pub(crate) fn at(world: &TestWorld, socket: &Path, options: &[&str]) -> Self {
        let socket = socket.display().to_string();
        let words = [
            &["egressctl", "--socket", &socket, "run", "--quiet"],
            options,
            &["--", "/usr/bin/python3", "agent.py"],
        ]
        .concat();
        Self::spawn(world, &words, options.contains(&"--allow-root"))
    }

    /// Outside of every guard.
    #[track_caller]
    pub(crate) fn unguarded(world: &TestWorld) -> Self {
        Self::spawn(world, &["/usr/bin/python3", "agent.py"], false)
    }

    #[track_caller]
    fn spawn(world: &TestWorld, words: &[&str], root: bool) -> Self {
        fs::write(world.agent_home().join("agent.py"), PROGRAM).expect("the agent has a home");
        let mut client = world.unguarded(words).within(Duration::from_mins(5));
        if root {
            client = client.as_root();
        }
        let mut child = client
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an agent starts");
        let (tell, answers) = channel();
        let stdout = child.stdout.take().expect("it is a pipe");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        let mut agent = Self {
            logs: Vec::new(),
            child,
            stdin,
            answers,
        };
        // The first answer: it is in its session, and Python runs.
        agent.does("whoami");
        agent
    }

    /// Says a line and returns the answer.
    #[track_caller]
    pub(crate) fn does(&mut self, line: &str) -> String {
        self.begins(line);
        self.ends(line)
    }

    /// Says a line; the answer is for [`Self::ends`].
    #[track_caller]
    pub(crate) fn begins(&mut self, line: &str) {
        let told = self
            .stdin
            .as_mut()
            .map(|stdin| writeln!(stdin, "{line}").and_then(|()| stdin.flush()));
        assert!(
            matches!(told, Some(Ok(()))),
            "the agent cannot be told `{line}`: {told:?}\n{}",
            self.report()
        );
    }

    #[track_caller]
    pub(crate) fn ends(&mut self, line: &str) -> String {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(error) => panic!(
                "the agent does not answer `{line}` ({error})\n{}",
                self.report()
            ),
        }
    }

    /// Says a line, whose answer must be this.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str, expected: &str) {
        let answer = self.does(line);
        assert!(
            answer == expected,
            "`{line}` should have been answered `{expected}` and was answered `{answer}`\n{}",
            self.report()
        );
    }

    /// Says a line again and again until it is answered like this: the kernel takes programs off a
    /// cgroup a moment after their pins.
    #[track_caller]
    pub(crate) fn becomes(&mut self, line: &str, expected: &str) {
        let waited = wait_for(line, Duration::from_secs(5), || self.does(line) == expected);
        assert!(waited.is_ok(), "{waited:?}\n{}", self.report());
    }

    /// Says a line that is answered with outcomes and how often there were.
    #[track_caller]
    pub(crate) fn counts(&mut self, line: &str) -> BTreeMap<String, u64> {
        self.begins(line);
        self.ends_counting(line)
    }

    #[track_caller]
    pub(crate) fn ends_counting(&mut self, line: &str) -> BTreeMap<String, u64> {
        let answer = self.ends(line);
        match serde_json::from_str(&answer) {
            Ok(counts) => counts,
            Err(error) => panic!(
                "`{line}` was answered `{answer}` ({error})\n{}",
                self.report()
            ),
        }
    }

    /// Its process id, as the machine has it, its uid and its command name.
    #[track_caller]
    pub(crate) fn identity(&mut self) -> (u32, u32, String) {
        let answer = self.does("whoami");
        let words: Vec<&str> = answer.split(' ').collect();
        match *words.as_slice() {
            [pid, uid, comm] => (
                pid.parse().expect("a number"),
                uid.parse().expect("a number"),
                comm.to_owned(),
            ),
            _ => panic!("`whoami` was answered `{answer}`"),
        }
    }

    /// The ends of the daemon's logs.
    fn report(&self) -> String {
        let mut report = String::new();
        for log in &self.logs {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines.len().saturating_sub(15);
            report.extend([
                "=== ",
                &log.to_string_lossy(),
                "\n",
                &lines[end..].join("\n"),
                "\n",
            ]);
        }
        report
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It ends with its input; what does not is the janitor's.
        self.child.wait().ok();
    }
}
