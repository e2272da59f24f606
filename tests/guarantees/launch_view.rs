//! What a session sees: not the sockets of others, unless they are listed; and not less than
//! programs need.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use xtask::world::wait_for;

use super::policy;
use crate::harness::TestWorld;

/// Listens at a path until it is killed, and answers `hello`.
const LISTEN: &str = r"
import socket, sys
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()
while True:
    try: listener.accept()[0].sendall(b'hello')
    except OSError: pass
";

/// Connects to each path, and prints what it hears or why not.
const CONNECT: &str = r"
import socket, sys
for path in sys.argv[1:]:
    path = chr(0) + path[1:] if path[0] == '@' else path
    client = socket.socket(socket.AF_UNIX)
    try: client.connect(path); print(client.recv(9).decode())
    except OSError as error: print(error.strerror)
";

/// A program outside of the guard, with a socket. Both go when it is dropped.
struct Outside {
    child: Child,
    path: PathBuf,
}

impl Outside {
    fn listens(world: &TestWorld, path: &Path) -> Self {
        let words = [
            "/usr/bin/python3",
            "-c",
            LISTEN,
            path.to_str().expect("it is text"),
        ];
        let outside = Self::runs(world, &words, path);
        wait_for("the socket", Duration::from_secs(5), || {
            std::os::unix::net::UnixStream::connect(path).is_ok()
        })
        .unwrap_or_else(|error| panic!("{error:#}"));
        outside
    }

    fn runs(world: &TestWorld, words: &[&str], path: &Path) -> Self {
        let child = world
            .unguarded(words)
            .within(Duration::from_mins(1))
            .command()
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let path = path.to_path_buf();
        wait_for("the socket", Duration::from_secs(5), || path.exists())
            .unwrap_or_else(|error| panic!("{error:#}"));
        Self { child, path }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_file(&self.path).ok();
    }
}

/// A directory in `/run` that everybody can write, and that goes when it is dropped.
struct InRun(PathBuf);

impl InRun {
    fn make(name: &str) -> Self {
        let path = PathBuf::from(format!("/run/egressd-test-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("root makes directories in /run");
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).expect("root gives it away");
        Self(path)
    }
}

impl Drop for InRun {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn with_sockets(sockets: &[&str]) -> Value {
    let mut policy = policy();
    policy["session"] = json!({ "unix_sockets": sockets });
    policy
}

fn connect<'a>(paths: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["/usr/bin/python3", "-c", CONNECT];
    words.extend(paths);
    words
}

#[test]
fn a_bus_in_run_is_out_of_reach_unless_it_is_listed() {
    let directory = InRun::make("bus");
    let bus = directory.0.join("system_bus_socket");
    let path = bus.to_str().expect("it is text");
    for (policy, heard) in [(policy(), "No such file"), (with_sockets(&[path]), "hello")] {
        let world = TestWorld::guarded(policy);
        let _outside = Outside::listens(&world, &bus);
        world.run_unguarded(&connect(&[path])).works().says("hello");
        let run = world.run(&connect(&[path]));
        run.works().says(heard);
        run.must(run.outcome.stderr.is_empty(), "should have said nothing");
    }
}

#[test]
fn a_socket_outside_of_run_is_covered_alone_or_with_its_directory() {
    let world = TestWorld::guarded(policy());
    let home = world.agent_home();
    fs::create_dir(home.join("tmux")).expect("it can be made");
    std::os::unix::fs::chown(home.join("tmux"), Some(65534), Some(65534)).expect("we are root");
    let (alone, among) = (home.join("editor.sock"), home.join("tmux/default"));
    let _editor = Outside::listens(&world, &alone);
    let _tmux = Outside::listens(&world, &among);
    let paths = [alone.to_str().expect("text"), among.to_str().expect("text")];
    let free = world.run_unguarded(&connect(&paths));
    assert_eq!(free.works().outcome.stdout, "hello\nhello\n");
    let run = world.run(&connect(&paths));
    // The cover has no permissions for anyone.
    assert_eq!(
        run.works().outcome.stdout,
        "Permission denied\nNo such file or directory\n",
        "{}",
        run.outcome
    );
}

/// An abstract socket needs no file: Landlock holds it.
#[test]
fn an_abstract_socket_of_others_is_out_of_reach_unless_one_is_listed() {
    let name = format!("@egressd-test-{}", std::process::id());
    let listen = LISTEN.replace("sys.argv[1]", "chr(0) + sys.argv[1][1:]");
    for (policy, heard) in [
        (policy(), "not permitted"),
        (with_sockets(&[&name]), "hello"),
    ] {
        let world = TestWorld::guarded(policy);
        let words = ["/usr/bin/python3", "-c", &listen, &name];
        let _outside = Outside::runs(&world, &words, Path::new("/"));
        wait_for("the socket", Duration::from_secs(5), || {
            let free = world.run_unguarded(&connect(&[&name]));
            free.outcome.stdout.contains("hello")
        })
        .unwrap_or_else(|error| panic!("{error:#}"));
        world.run(&connect(&[&name])).works().says(heard);
    }
}

#[test]
fn a_listed_ssh_agent_answers_and_another_one_does_not() {
    let list = [
        "sh",
        "-c",
        "ssh-add -l; echo status $? ${SSH_AUTH_SOCK-unset}",
    ];
    for (policy, said) in [
        (with_sockets(&["$SSH_AUTH_SOCK"]), "status 1 "),
        (policy(), "status 2 unset"),
    ] {
        let world = TestWorld::guarded(policy);
        let socket = world.agent_home().join("agent.sock");
        let path = socket.to_str().expect("text");
        let _agent = Outside::runs(&world, &["ssh-agent", "-D", "-a", path], &socket);
        let client = world
            .guarded(&list)
            .expect("one")
            .env("SSH_AUTH_SOCK", path);
        // 1: the agent has no keys. 2: there is no agent.
        world.finish(client.run()).works().says(said);
    }
}

#[test]
fn a_listed_socket_that_is_not_there_is_told_and_the_command_runs() {
    let world = TestWorld::guarded(with_sockets(&["/run/no-such.sock", "$XDG_RUNTIME_DIR/x"]));
    let run = world.run(&["echo", "started"]);
    run.works()
        .says("started")
        .says("the listed socket /run/no-such.sock is not there")
        .says("the listed socket $XDG_RUNTIME_DIR/x is nowhere");
}

/// The view holds where files are; Landlock and the owner of files hold them too. What a session
/// could use to leave is written to, one by one.
#[test]
fn control_files_cannot_be_written_from_a_session_even_by_root() {
    let world = TestWorld::guarded(policy());
    let files = world.daemon().expect("one").files();
    let script = format!(
        "for file in {} {} {} /sys/fs/cgroup/unified/cgroup.procs /sys/fs/cgroup/cgroup.procs; do \
         [ -e $file ] || continue; if echo 0 2>/dev/null >>$file; then echo wrote $file; fi; done; \
         ls -A {}; touch {}/new; mkdir /sys/fs/cgroup/unified/new; echo end",
        files.policy.display(),
        files.audit.display(),
        files.socket.with_file_name("x").display(),
        files.pins.parent().expect("one").display(),
        files.policy.parent().expect("one").display(),
    );
    let socket = files.socket.display().to_string();
    let before = fs::read(&files.policy).expect("it is there");
    let words = [
        "egressctl",
        "--socket",
        &socket,
        "run",
        "--allow-root",
        "--",
        "sh",
        "-c",
        &script,
    ];
    for run in [
        world.run(&["sh", "-c", &script]),
        world.finish(world.unguarded(&words).as_root().run()),
    ] {
        run.works()
            .must(run.outcome.stdout == "end\n", "should have written nothing");
    }
    assert_eq!(fs::read(&files.policy).expect("it is there"), before);
}

#[test]
fn the_control_socket_answers_inside_also_after_a_restart() {
    let mut world = TestWorld::guarded(policy());
    let socket = world
        .daemon()
        .expect("one")
        .files()
        .socket
        .display()
        .to_string();
    let home = world.agent_home();
    let script = format!(
        "egressctl --socket {socket} status >one 2>&1; echo $? >first; while [ ! -e go ]; do sleep 0.05; done; egressctl --socket {socket} status >two 2>&1"
    );
    let mut child = world
        .guarded(&["sh", "-c", &script])
        .expect("one")
        .command()
        .spawn()
        .expect("it starts");
    wait_for("the first answer", Duration::from_secs(5), || {
        home.join("first").exists()
    })
    .unwrap_or_else(|error| panic!("{error:#}"));
    world
        .with_daemon(0, |daemon, world| {
            daemon.kill()?;
            daemon.start(world)
        })
        .expect("it restarts");
    fs::write(home.join("go"), "").expect("root writes there");
    child.wait().expect("it ends");
    for name in ["one", "two"] {
        let said = fs::read_to_string(home.join(name)).unwrap_or_default();
        assert!(
            said.contains("enforcing"),
            "{name}: {said}\n{}",
            world.report()
        );
    }
}

#[test]
fn a_terminal_goes_on_working() {
    let world = TestWorld::guarded(policy());
    let socket = world
        .daemon()
        .expect("one")
        .files()
        .socket
        .display()
        .to_string();
    // Job control, the window's size, the name of the terminal, and Ctrl-C, in a real one.
    let script = "tty; stty size; set -m; sleep 5 & jobs; kill %1; trap 'echo caught; exit 9' INT; kill -INT $$";
    let command = format!(
        "egressctl --socket {socket} run -- sh -c \"{}\"",
        script.replace("$$", "\\$\\$")
    );
    let run = world.run_unguarded(&[
        "script",
        "-qec",
        &format!("stty cols 91 rows 17; {command}"),
        "/dev/null",
    ]);
    run.must(run.outcome.status == 9, "should have ended with 9");
    run.says("/dev/pts/")
        .says("17 91")
        // On a terminal, the start of a run says what holds it.
        .says("is held by seccomp, ")
        .says("caught")
        .says("sleep 5");
}

#[test]
fn a_required_view_that_cannot_be_had_starts_nothing() {
    for (need, status) in [("require", 125), ("best-effort", 0)] {
        let mut policy = policy();
        policy["session"] = json!({ "view": need });
        let world = TestWorld::guarded(policy);
        let socket = world
            .daemon()
            .expect("one")
            .files()
            .socket
            .display()
            .to_string();
        let home = world.agent_home();
        // In a user namespace that may have no others below it, and without the right to mounts.
        let script = format!(
            "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all egressctl --socket {socket} run --allow-root -- touch {}/started",
            home.display()
        );
        let run = world.run_unguarded(&["unshare", "--map-root-user", "sh", "-c", &script]);
        run.must(
            run.outcome.status == status,
            &format!("should have ended with {status}"),
        );
        run.says("user namespaces");
        assert_eq!(home.join("started").exists(), status == 0);
    }
}

/// A user's files, terminals and tools are there as before.
#[test]
fn tools_of_an_agent_work() {
    let world = TestWorld::guarded(policy());
    let script = "set -e
        git init -q repo && cd repo && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --oneline | wc -l
        mkdir -p a/b && touch a/b/c && mv a/b/c a/c && ln a/c d && rm -r a
        test -w /tmp && touch /tmp/egressd-$$ && rm /tmp/egressd-$$
        test -r /etc/resolv.conf && test -e /dev/shm && id -u
        python3 -c 'import multiprocessing, tempfile; print(multiprocessing.Pool(2).map(abs, [-3]))'
        cat /proc/self/cgroup >/dev/null; sleep 0.1 & wait; echo done";
    let run = world.run(&["bash", "-c", script]);
    run.works().says("65534").says("[3]").says("done");
    let status = world.ctl(&["status"]);
    status.works();
}

#[test]
fn what_holds_a_session_is_listed() {
    let world = TestWorld::guarded(policy());
    let home = world.agent_home();
    let mut child = world
        .guarded(&["sh", "-c", "touch up; sleep 20"])
        .expect("one")
        .command()
        .spawn()
        .expect("it starts");
    wait_for("the command", Duration::from_secs(5), || {
        home.join("up").exists()
    })
    .unwrap_or_else(|error| panic!("{error:#}"));
    let list = world.ctl(&["session", "list"]);
    list.works().says("seccomp, landlock (ABI ").says("view");
    let status = world.ctl(&["status"]);
    status.works().must(
        !status.outcome.stdout.contains("gap:"),
        "should have no gap",
    );
    child.kill().ok();
    child.wait().ok();
}

/// What leads around the view, and into the memory of others, asks the question of ptrace(2). The
/// user namespace answers it, also where neither Landlock nor the filter of system calls does.
#[test]
fn processes_outside_are_out_of_reach_without_landlock_and_seccomp() {
    let mut policy = policy();
    policy["session"] = json!({ "landlock": "off", "seccomp": "off" });
    let world = TestWorld::guarded(policy);
    let mark = world.agent_home().join("pid");
    let script = "echo $$ >\"$0\"; exec sleep 60";
    let outside = Outside::runs(
        &world,
        &["sh", "-c", script, mark.to_str().expect("it is text")],
        &mark,
    );
    let mut pid = String::new();
    wait_for("its number", Duration::from_secs(5), || {
        pid = fs::read_to_string(&mark).unwrap_or_default();
        pid.ends_with('\n')
    })
    .expect("it writes");
    let pid = pid.trim();
    let look = "for what in root cwd fd/1; do readlink /proc/$0/$what >/dev/null 2>&1 && echo $what; done; \
        (true >>/proc/$0/mem) 2>/dev/null && echo mem; true";
    let words = ["sh", "-c", look, pid];
    // Somebody who is the same user, outside, may.
    world
        .run_unguarded(&words)
        .works()
        .says("root\ncwd\nfd/1\nmem\n");
    let run = world.run(&words);
    run.works();
    assert_eq!(run.outcome.stdout, "", "as nobody, started by nobody");
    let words = [&["run", "--user", "65534", "--"], &words[..]].concat();
    let run = world.ctl(&words);
    run.works();
    assert_eq!(run.outcome.stdout, "", "as nobody, started by root");
    drop(outside);
}
