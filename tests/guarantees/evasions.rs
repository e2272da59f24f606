//! Every evasion that the hook lets through is stopped by the kernel or the resolver.
//!
//! The corpus marks them `kernel` and `unclear`; a test beside the judge says that these are all.
//! Each is asked about and then run in a session of its own, in a directory that has the scripts,
//! programs and configuration which it needs, and once more without a guard: a command that would
//! not get out there either proves nothing.

use std::{fs, os::unix::fs as unix, os::unix::fs::PermissionsExt as _, path::PathBuf};
use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use xtask::world::{
    client::{AGENT_GID, AGENT_UID},
    place::{DENIED_V4, DENIED_V6},
    wait_for,
};

use super::{hook::bash, service::records};
use crate::harness::TestWorld;

const CORPUS: &str = include_str!("../hook/evasions.txt");
const NAME: &str = "denied.test";

/// The corpus speaks of `evil.tld`; in the small internet that is somebody else.
fn commands() -> Vec<String> {
    let marked = CORPUS.lines().filter_map(|line| {
        let (mark, command) = line.split_once('\t')?;
        matches!(mark, "kernel" | "unclear").then_some(command)
    });
    let code = STANDARD.encode(include_str!("evasions/client.py"));
    let rotated: String = NAME.chars().map(rotate).collect();
    let replacements = [
        ("github.com", "web.allowed.test"),
        ("evil", "denied"),
        ("tld", "test"),
        (
            "6, 6, 6, 6",
            &DENIED_V4.octets().map(|n| n.to_string()).join(", "),
        ),
        ("rivl.gyq", &rotated),
        ("ZXZpbC50bGQ=", &STANDARD.encode(NAME)),
        ("aW1wb3J0", &code),
        ("<NL>", "\n"),
    ];
    let adapt = |command: &str| {
        let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        replacements.iter().fold(command.to_owned(), replace)
    };
    marked.map(adapt).collect()
}

fn rotate(c: char) -> char {
    match c {
        'a'..='m' => char::from(c as u8 + 13),
        'n'..='z' => char::from(c as u8 - 13),
        _ => c,
    }
}

#[test]
fn what_the_hook_lets_through_is_stopped_where_the_packets_are() {
    let commands = commands();
    assert!(commands.len() >= 50, "{}", commands.len());
    let world = TestWorld::guarded(json!({
        "version": 1,
        "network": { "allow": [
            { "name": "allowed", "hosts": ["*.allowed.test"], "ports": ["80/tcp", "443/tcp"] },
        ] },
    }));
    let place = Place::make(&world);
    let mut wrong = Vec::new();
    for (number, command) in commands.iter().enumerate() {
        let failures = [place.guarded(number, command), place.unguarded(command)];
        let failures = failures.into_iter().flatten();
        wrong.extend(failures.map(|failure| format!("{command}\n  {failure}")));
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), world.report());
}

/// Where the commands run.
struct Place<'world> {
    world: &'world TestWorld,
    directory: PathBuf,
    /// What the shell of an agent begins with.
    prelude: String,
}

impl<'world> Place<'world> {
    fn make(world: &'world TestWorld) -> Self {
        let directory = world.agent_home().join("work");
        let command = format!("curl -sS -m 5 http://{NAME}/\n");
        let client = include_str!("evasions/client.c");
        let manifest =
            json!({ "name": "x", "scripts": { "test": "node client.js", "build": "./a.out" } });
        for (name, text) in [
            ("client.c", client.to_owned()),
            ("client.py", include_str!("evasions/client.py").to_owned()),
            ("client.js", include_str!("evasions/client.js").to_owned()),
            ("client.pl", include_str!("evasions/client.pl").to_owned()),
            ("Makefile", include_str!("evasions/Makefile").to_owned()),
            ("build.sh", include_str!("evasions/build.sh").to_owned()),
            ("setup.py", "import client\n".to_owned()),
            ("package.json", manifest.to_string()),
            ("prog.awk", "BEGIN { system(\"./a.out\") }\n".to_owned()),
            // Nobody has the compiler of Rust on this machine.
            ("bin/cargo", "#!/bin/sh\nexec ./a.out\n".to_owned()),
            ("host", format!("{NAME}\n")),
            ("address", format!("{DENIED_V4}\n")),
            ("address6", format!("{DENIED_V6}\n")),
            ("urls", format!("http://{NAME}/\n")),
            ("config", format!("url = \"http://{NAME}/\"\n")),
            ("rc/.curlrc", format!("connect-to = \"::{NAME}:443\"\n")),
            ("rc/wgetrc", format!("http_proxy = http://{NAME}:80/\n")),
            ("packed", STANDARD.encode(&command)),
            ("command", command),
        ] {
            write(&directory.join(name), &text);
        }
        for made in ["rc", "bin", ""] {
            give(&directory.join(made));
        }
        let hook = "printf '#!/bin/sh\\n./a.out\\n'";
        let made = format!(
            "set -e; cd work; cc -o a.out client.c; cc -shared -fPIC -DLIBRARY -o lib.so client.c
             tar cf a.tar Makefile; git init -q .
             git config user.name A; git config user.email a@allowed.test
             {hook} > .git/hooks/pre-commit; {hook} > .git/hooks/watch; chmod +x .git/hooks/*
             git config core.fsmonitor .git/hooks/watch
             git remote add origin http://{NAME}/x.git"
        );
        world.run_unguarded(&["sh", "-c", &made]).works();
        let socket = world.daemon().expect("an egressd").files().socket.clone();
        let prelude = format!(
            "cd work && export EGRESSD_SOCKET={} PATH=$PWD/bin:$PATH CMD=curl TARGET={NAME} \
             URL=http://{NAME}/ PROXY={NAME}:80\n",
            socket.display()
        );
        Self {
            world,
            directory,
            prelude,
        }
    }

    /// What went wrong in a session.
    fn guarded(&self, number: usize, command: &str) -> Vec<String> {
        let (session, call) = (format!("evasion-{number}"), format!("t{number}"));
        self.event("before", "PreToolUse", &call, command);
        self.event("after", "PostToolUse", &call, command);
        let script = format!(
            "{}egressctl hook <../before.json >../before.out || exit 9
             timeout 10 bash -c \"$1\" </dev/null
             egressctl hook <../after.json >../after.out || exit 9",
            self.prelude
        );
        let files = self.world.daemon().expect("an egressd").files();
        let socket = files.socket.display().to_string();
        let words = ["egressctl", "--socket", &socket, "run", "--quiet"];
        let named = [
            "--session",
            &session,
            "--",
            "bash",
            "-c",
            &script,
            "bash",
            command,
        ];
        let run = self.world.unguarded(&[&words[..], &named[..]].concat());
        let capture = self.capture();
        let asked = self.world.resolver().queries().len();
        let run = self.world.finish(run.run());
        let mut wrong = Vec::new();
        if !run.outcome.succeeded() {
            wrong.push(format!("the session failed: {}", run.outcome));
        }
        let (before, after) = (self.answer("before"), self.answer("after"));
        if !before.is_empty() {
            wrong.push(format!("the hook did not let it through: {before}"));
        }
        let places = [
            NAME.to_owned(),
            DENIED_V4.to_string(),
            DENIED_V6.to_string(),
        ];
        if !places.iter().any(|place| after.contains(place)) {
            wrong.push(format!("it was not explained: {after:?}\n{}", run.outcome));
        }
        let packets = self.world.packets(&capture);
        if !packets.is_empty() {
            wrong.push(format!("it reached the denied place: {packets:#?}"));
        }
        let questions = self.questions(asked);
        if !questions.is_empty() {
            wrong.push(format!("denied names left the machine: {questions:?}"));
        }
        let of_session = || {
            let all = records(&files.audit).into_iter();
            all.filter(|record| record["session"] == session.as_str())
                .collect::<Vec<_>>()
        };
        let is_denial = |record: &Value| {
            let text = record.to_string();
            let layer = record["layer"] == "kernel" || record["layer"] == "dns";
            layer && record["verdict"] == "deny" && places.iter().any(|place| text.contains(place))
        };
        let is_judged = |record: &Value| {
            let is_call = record["tool"]["call"] == call.as_str();
            record["layer"] == "hook" && record["verdict"] == "allow" && is_call
        };
        let recorded = wait_for("the records", Duration::from_secs(2), || {
            let records = of_session();
            records.iter().any(is_denial) && records.iter().any(is_judged)
        });
        if recorded.is_err() {
            wrong.push(format!("not both are recorded: {:#?}", of_session()));
        }
        wrong
    }

    /// What went wrong without a guard: nothing arrived.
    fn unguarded(&self, command: &str) -> Vec<String> {
        let capture = self.capture();
        let asked = self.world.resolver().queries().len();
        let script = format!("{}timeout 10 bash -c \"$1\" </dev/null", self.prelude);
        let run = self
            .world
            .run_unguarded(&["bash", "-c", &script, "bash", command]);
        let is_out = !self.world.packets(&capture).is_empty() || !self.questions(asked).is_empty();
        let failure = || format!("it gets nowhere without a guard either: {}", run.outcome);
        (!is_out).then(failure).into_iter().collect()
    }

    fn capture(&self) -> xtask::world::capture::Capture {
        // Both have their whole network to themselves.
        self.world
            .capture("net 198.51.100.0/24 or net 2001:db8:ff::/48")
    }

    /// What the upstream was asked about the denied place since then.
    fn questions(&self, since: usize) -> Vec<String> {
        let queries = self.world.resolver().queries();
        let new = queries.into_iter().skip(since);
        new.filter(|query| query.contains("denied")).collect()
    }

    fn event(&self, file: &str, event: &str, call: &str, command: &str) {
        let mut event = bash(event, call, command);
        event["cwd"] = json!(self.directory);
        let file = self.world.agent_home().join(file);
        write(&file.with_extension("json"), &event.to_string());
        fs::remove_file(file.with_extension("out")).ok();
    }

    fn answer(&self, file: &str) -> String {
        let file = self.world.agent_home().join(file).with_extension("out");
        fs::read_to_string(file).unwrap_or_else(|_| "no answer".to_owned())
    }
}

/// A file of the agent's, which it may run.
fn write(file: &Path, text: &str) {
    let directory = file.parent().expect("it is in a directory");
    fs::create_dir_all(directory).expect("root makes it");
    fs::write(file, text).expect("root writes it");
    give(file);
}

fn give(file: &Path) {
    unix::chown(file, Some(AGENT_UID), Some(AGENT_GID)).expect("root gives it away");
    let rights = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, rights).expect("root may");
}
