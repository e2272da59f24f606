//! The guide of `policy/README.md`, line by line as a person would type it: from nothing to a policy
//! that fits, and off again.

use std::{
    fs,
    process::{Child, Stdio},
    time::Duration,
};

use xtask::{
    guide::{self, MAKEFILE, START},
    program,
    world::wait_for,
};

use crate::harness::{Run, TestWorld};

/// `/etc` and `/var` as they are, and what is written there stays in the world.
const OWN_FILES: &str = "
set -e
# What is mounted below /var would be hidden.
mount --rbind $(dirname $1) /mnt
for name in etc var; do
    mkdir -p $1/own/$name/upper $1/own/$name/work
    mount -t overlay overlay -o lowerdir=/$name,upperdir=$1/own/$name/upper,workdir=$1/own/$name/work /$name
done
mount --rbind /mnt $(dirname $1)
for name in resolv.conf nsswitch.conf; do
    rm -f /etc/$name
    cp $1/$name /etc/$name
done
printf 'egressd:x:65534:\\n' >>/etc/group
";

/// A machine whose system files are its own, and the guide's place on it.
struct Machine {
    world: TestWorld,
    daemon: Option<Child>,
}

impl Machine {
    fn new() -> Self {
        let world = TestWorld::unguarded();
        let mut command = world.command("sh");
        command.args(["-c", OWN_FILES, "sh"]).arg(world.home());
        program::run(&mut command).expect("files of its own");
        fs::write(world.agent_home().join("Makefile"), MAKEFILE).expect("the Makefile");
        Self {
            world,
            daemon: None,
        }
    }

    fn socket(&self) -> String {
        let path = self.world.home().join("run/control.sock");
        path.display().to_string()
    }

    /// As its unit does it, but for the places of socket and pins.
    fn start(&mut self) {
        let home = self.world.home();
        let log = fs::File::create(home.join("egressd.log")).expect("the log");
        let cgroup = format!("{}/agent.slice", self.world.cgroup().name());
        let mut command = self.world.command(home.join("bin/egressd"));
        command
            .args(["run", "--cgroup", &cgroup])
            .args(["--policy", "/etc/egressd/policy.json"])
            .arg("--runtime-dir")
            .arg(home.join("run"))
            .arg("--pin-dir")
            .arg(home.join("bpf/guide"))
            .env("SSL_CERT_FILE", &self.world.tls().ca)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log);
        self.daemon = Some(command.spawn().expect("egressd"));
        wait_for("egressd", Duration::from_secs(10), || {
            self.run("egressctl status").outcome.succeeded()
        })
        .unwrap_or_else(|error| {
            let log = fs::read_to_string(self.world.home().join("egressd.log"));
            panic!("{error:#}\n{}", log.unwrap_or_default());
        });
    }

    /// As a shell would: by root behind `sudo`, otherwise by the agents' user.
    fn run(&self, line: &str) -> Run<'_> {
        let (line, is_root) = match line.strip_prefix("sudo ") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let mut client = self.world.unguarded(&["sh", "-c", line]);
        client = client.env("EGRESSD_SOCKET", self.socket());
        client = client.env("USER", "nobody");
        if is_root {
            client = client.as_root();
        }
        self.world.finish(client.run())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill().ok();
            daemon.wait().ok();
        }
    }
}

#[test]
fn every_line_of_the_guide_does_what_it_says() {
    let lines = guide::lines().expect("the guide");
    let mut machine = Machine::new();
    let mut wrong = Vec::new();
    for line in lines {
        if line.text == START {
            machine.start();
            continue;
        }
        let run = machine.run(&line.command());
        let ended = &run.outcome;
        if !line.holds(ended.status, &ended.stdout, &ended.stderr) {
            wrong.push(format!("{}:\n{ended}", line.wanted()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What `suggest` has written since is the person's own: it is left, and was named.
    let policy = machine
        .world
        .home()
        .join("own/etc/upper/egressd/policy.json");
    let left = fs::read_to_string(policy).expect("the policy");
    assert!(left.contains("files.example.net"), "{left}");
}
