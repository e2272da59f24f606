//! The guide of `policy/README.md`, line by line as a person would type it: from nothing to a policy
//! that fits, and off again.

use std::{
    fs,
    process::{Child, Stdio},
    time::Duration,
};

use xtask::{program, world::wait_for};

use crate::harness::{Run, TestWorld};

const README: &str = include_str!("../policy/README.md");

/// What a line of the guide does here.
struct Expected {
    line: &'static str,
    /// What is said more on the command line, for nobody answers questions here.
    more: &'static str,
    status: i32,
    says: &'static str,
}

const fn line(line: &'static str, says: &'static str) -> Expected {
    Expected {
        line,
        more: "",
        status: 0,
        says,
    }
}

const EXPECTED: &[Expected] = &[
    Expected {
        more: " --yes",
        ..line(
            "sudo egressctl init --profile claude-code python",
            "/etc/egressd/policy.json",
        )
    },
    line(START, ""),
    line("egressctl status", "enforcing"),
    Expected {
        status: 6,
        ..line(
            "egressctl run -- curl -sS https://example.com/",
            "name-denied",
        )
    },
    Expected {
        status: 1,
        ..line("egressctl why example.com:443", "name-denied")
    },
    line("egressctl log --denied -n 2", "example.com"),
    Expected {
        more: " --yes",
        ..line(
            r#"sudo egressctl allow example.com --for 1h --why "the manual is there""#,
            "example.com",
        )
    },
    line("egressctl run -- curl -sS https://example.com/", "hello"),
    line("sudo egressctl allow --list", "the manual is there"),
    line("sudo egressctl allow --remove 1", "grant 1"),
    line(
        "egressctl run --observe --session first -- make deps",
        "deps are there",
    ),
    line(
        "sudo egressctl policy suggest /etc/egressd/policy.json --session first",
        "files.example.net",
    ),
    line(
        "sudo egressctl policy suggest /etc/egressd/policy.json --session first --write",
        "",
    ),
    line("egressctl policy check /etc/egressd/policy.json", ""),
    line("sudo egressctl reload", "policy"),
    line(
        "egressctl run --session second -- make deps",
        "deps are there",
    ),
    line("sudo egressctl log --session second --denied", ""),
    line("egressctl top --once", "example.com"),
    line("sudo egressctl report --html report.html", ""),
    line("sudo egressctl log verify", ""),
    Expected {
        more: " --yes",
        ..line("sudo egressctl uninstall", "/etc/egressd/policy.json")
    },
];

/// There is no systemd on the machine of the tests: the daemon is started as its unit does it.
const START: &str = "sudo systemctl enable --now egressd";

/// The commands of the guide, in their order.
fn guide() -> Vec<&'static str> {
    let (_, rest) = README
        .split_once("## From nothing to a policy that fits\n")
        .expect("the guide");
    let (guide, _) = rest.split_once("\n## ").expect("the end of the guide");
    let lines = guide.lines().filter_map(|line| line.strip_prefix("    "));
    lines.collect()
}

/// What the guide's `make deps` is: a page of a host that no profile has.
const MAKEFILE: &str =
    "deps:\n\t@curl -sS https://files.example.net/ >/dev/null && echo deps are there\n";

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
    let lines = guide();
    let expected: Vec<&str> = EXPECTED.iter().map(|one| one.line).collect();
    assert_eq!(
        lines, expected,
        "what each line of the guide does stands in this test"
    );

    let mut machine = Machine::new();
    let mut wrong = Vec::new();
    for one in EXPECTED {
        if one.line == START {
            machine.start();
            continue;
        }
        let run = machine.run(&format!("{}{}", one.line, one.more));
        let does = run.outcome.status == one.status && run.outcome.said().contains(one.says);
        if !does {
            let Expected { status, says, .. } = one;
            wrong.push(format!(
                "should have ended with {status} and said `{says}`:\n{}",
                run.outcome
            ));
        }
        // What taught the policy is refused nothing under it.
        if one.line.ends_with("--session second --denied") {
            run.must(run.outcome.stdout.is_empty(), "should have shown no denial");
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
