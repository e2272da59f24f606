//! `egressctl top` on a real terminal (tmux), against the real daemon.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use xtask::world::{daemon::Daemon, place::DENIED_V4};

use super::{policy, start};
use crate::harness::TestWorld;

const CTL: &str = env!("CARGO_BIN_EXE_egressctl");
const PATIENCE: Duration = Duration::from_secs(15);

/// A terminal of 80 by 24 with its own tmux server, which ends with it.
struct Terminal {
    directory: PathBuf,
}

impl Terminal {
    /// Runs a shell script in it; `$CTL` is egressctl with the socket of the world's daemon.
    fn start(world: &TestWorld, script: &str) -> Self {
        let daemon = world.daemon().expect("a daemon");
        let directory = world.home().join("terminal");
        fs::create_dir_all(&directory).expect("a directory for the terminal");
        let file = directory.join("script");
        let text = format!(
            "#!/bin/sh\ncd {directory}\nctl() {{ {CTL} --socket {socket} \"$@\"; }}\n\
             stty -a >before\n{script}\necho ended $?\nstty -a >after\nsleep 300\n",
            directory = directory.display(),
            socket = daemon.files().socket.display(),
        );
        fs::write(&file, text).expect("the script is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("and runs");
        let terminal = Self { directory };
        let file = file.display().to_string();
        terminal.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &file]);
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(self.directory.join("tmux.sock"))
            .args(["-f", "/dev/null"])
            .args(words)
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("tmux is installed: cargo xtask setup");
        assert!(output.status.success(), "tmux {words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    fn shows(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(begin.elapsed() < PATIENCE, "no {what} in\n{text}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    fn says(&self, word: &str) -> String {
        self.shows(word, |text| text.contains(word))
    }

    /// The program has ended and the terminal is as it was.
    #[track_caller]
    fn is_given_back(&self) {
        let text = self.says("ended 0");
        assert!(!text.contains("Denials"), "{text}");
        let shown = |name: &str| fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        let begin = Instant::now();
        while shown("after").is_empty() && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(shown("before"), shown("after"));
        let state = self.tmux(&["display", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(state.trim(), "0 1");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        Command::new("tmux")
            .arg("-S")
            .arg(self.directory.join("tmux.sock"))
            .arg("kill-server")
            .output()
            .ok();
    }
}

#[test]
fn a_denied_connection_is_seen_explained_and_its_session_ended() {
    let mut world = TestWorld::guarded(policy());
    let mut agent = start(&world, "seen");
    let terminal = Terminal::start(&world, "ctl top");
    let first = terminal.says("ENFORCING");
    assert!(first.contains("Live flows (0)"), "{first}");
    assert_eq!(agent.does(&format!("connect {DENIED_V4} 443")), "EPERM");
    let denied = format!("{DENIED_V4}:443");
    let seen = terminal.says(&denied);
    let row = seen
        .lines()
        .find(|line| line.contains(&denied))
        .expect("its row");
    assert!(row.contains("no-rule") && row.contains("seen"), "{seen}");

    terminal.press("Enter");
    let explained = terminal.says("to allow it, add to network.allow");
    assert!(explained.contains("deny  198.51.100.10:443"), "{explained}");
    terminal.press("Escape");
    terminal.shows("the list again", |text| !text.contains("to allow it"));

    assert_eq!(agent.does("open a raw.allowed.test 9000"), "ok");
    let flows = terminal.says("Live flows (1)");
    assert!(flows.contains("raw.allowed.test:9000"), "{flows}");
    terminal.tmux(&["resize-window", "-x", "60", "-y", "20"]);
    terminal.shows("a smaller picture", |text| {
        text.contains("raw.allowed.test:9000") && text.lines().count() <= 20
    });
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);

    // The daemon goes and comes again.
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("killed");
    let gone = terminal.says("does not answer: what is pinned goes on denying");
    assert!(gone.contains(&denied), "{gone}");
    assert_eq!(agent.does(&format!("connect {DENIED_V4} 443")), "EPERM");
    world.with_daemon(0, Daemon::start).expect("started");
    terminal.shows("the daemon again", |text| {
        text.contains("ENFORCING") && !text.contains("does not answer")
    });

    terminal.press("1");
    terminal.press("x");
    terminal.says("Every process of session seen is killed.");
    terminal.press("n");
    terminal.shows("no question", |text| !text.contains("is killed."));
    assert_eq!(agent.does("whoami").split(' ').count(), 3);
    terminal.press("x");
    terminal.says("Every process of session seen is killed.");
    terminal.press("y");
    terminal.says("session seen was ended");
    terminal.says("Sessions (0)");

    terminal.press("q");
    terminal.is_given_back();
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let world = TestWorld::guarded(policy());
    let terminal = Terminal::start(
        &world,
        &format!(
            "sh -c 'echo $$ >pid; exec {CTL} --socket {} top --interval 0.5'",
            world.daemon().expect("a daemon").files().socket.display()
        ),
    );
    terminal.says("ENFORCING");
    let pid = fs::read_to_string(terminal.directory.join("pid")).expect("its number");
    let killed = Command::new("kill").arg(pid.trim()).status();
    assert!(killed.is_ok_and(|status| status.success()));
    terminal.is_given_back();
}

#[test]
fn a_terminal_that_is_none_is_refused_with_what_to_do() {
    let world = TestWorld::guarded(policy());
    let run = world.ctl(&["top"]);
    run.must(!run.outcome.succeeded(), "should have been refused");
    run.says("egressctl top --plain");
    let terminal = Terminal::start(&world, "export TERM=dumb; ctl top 2>said");
    terminal.says("ended 2");
    let said = fs::read_to_string(terminal.directory.join("said")).expect("what it said");
    assert!(said.contains("egressctl top --plain"), "{said}");
}

/// `egressctl top` with these words, its lines as they come.
struct Lines {
    child: Child,
    lines: Receiver<String>,
}

impl Lines {
    fn start(world: &TestWorld, words: &[&str]) -> Self {
        let mut child = Command::new(CTL)
            .arg("--socket")
            .arg(&world.daemon().expect("a daemon").files().socket)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("egressctl starts");
        let stdout = child.stdout.take().expect("it is a pipe");
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn says(&self, word: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(word) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("no {word} ({error}) after {before:#?}"),
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn plain_lines_say_what_happens_without_a_terminal() {
    let mut world = TestWorld::guarded(policy());
    let plain = Lines::start(&world, &["top", "--plain", "--interval", "3"]);
    plain.says("summary: enforcing");
    let mut agent = start(&world, "told");
    plain.says("session told began");
    assert_eq!(agent.does(&format!("connect {DENIED_V4} 443")), "EPERM");
    let line = plain.says("denied: session told");
    assert!(line.contains("198.51.100.10:443, no-rule"), "{line}");
    assert_eq!(agent.does("open a raw.allowed.test 9000"), "ok");
    let line = plain.says("new flow: session told");
    assert!(line.contains("raw.allowed.test"), "{line}");
    plain.says("new lease: session told may reach");
    plain.says("flows 1");
    world
        .with_daemon(0, |daemon, _| daemon.kill())
        .expect("killed");
    plain.says("egressd does not answer: what is pinned goes on denying");
    world.with_daemon(0, Daemon::start).expect("started");
    plain.says("egressd answers again");
    drop(agent);
    plain.says("session told ended");
}

#[test]
fn one_picture_and_json_are_for_pipes() {
    let world = TestWorld::guarded(policy());
    let mut agent = start(&world, "piped");
    assert_eq!(agent.does(&format!("connect {DENIED_V4} 443")), "EPERM");
    assert_eq!(agent.does("open a raw.allowed.test 9000"), "ok");
    world.records_a_denial_of(&DENIED_V4.to_string());
    let once = world.ctl(&["top", "--once"]);
    once.works()
        .says("raw.allowed.test:9000")
        .says("198.51.100.10:443")
        .says("piped");
    assert!(!once.outcome.stdout.contains('\u{1b}'));
    let json = Lines::start(&world, &["--json", "top", "--interval", "0.5"]);
    for _ in 0..2 {
        let line = json.says("raw.allowed.test");
        let value: Value = serde_json::from_str(&line).expect("a line is one value");
        assert_eq!(value["flows_total"], 1);
    }
    // Whoever reads no more ends it.
    let mut child = Command::new(CTL)
        .arg("--socket")
        .arg(&world.daemon().expect("a daemon").files().socket)
        .args(["--json", "top", "--interval", "0.5"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("egressctl starts");
    let mut stdout = child.stdout.take().expect("it is a pipe");
    stdout.read_exact(&mut [0; 8]).expect("it writes");
    drop(stdout);
    let begin = Instant::now();
    while child.try_wait().is_ok_and(|status| status.is_none()) {
        assert!(begin.elapsed() < PATIENCE, "it goes on for nobody");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(child.wait().expect("it ended").code(), Some(0));
}
