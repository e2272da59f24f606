//! What the tests add to the world of `xtask`: they panic where it returns errors, and print what
//! the daemon knows when they do.

use std::{
    net::IpAddr,
    ops::{Deref, DerefMut},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use xtask::world::{Builder, World, capture::Capture, client::Outcome, wait_for};

/// A world that belongs to one test.
pub(crate) struct TestWorld {
    world: World,
}

impl TestWorld {
    /// Servers and a machine, no guard.
    #[track_caller]
    pub(crate) fn unguarded() -> Self {
        Self::build(World::builder())
    }

    /// One agent cgroup under `policy`.
    #[track_caller]
    pub(crate) fn guarded(policy: Value) -> Self {
        Self::build(World::builder().policy(policy))
    }

    /// Anything else.
    #[track_caller]
    pub(crate) fn build(builder: Builder) -> Self {
        let programs = Path::new(env!("CARGO_BIN_EXE_egressd"))
            .parent()
            .expect("a program is in a directory");
        match builder.programs(programs).build() {
            Ok(world) => Self { world },
            Err(error) => panic!("the world cannot be built: {error:#}"),
        }
    }

    /// Runs a command under the guard.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Run<'_> {
        self.finish(self.world.guarded(words).and_then(|client| client.run()))
    }

    /// Runs a command without any guard.
    #[track_caller]
    pub(crate) fn run_unguarded(&self, words: &[&str]) -> Run<'_> {
        self.finish(self.world.unguarded(words).run())
    }

    /// Runs `egressctl` as root.
    #[track_caller]
    pub(crate) fn ctl(&self, words: &[&str]) -> Run<'_> {
        self.finish(self.world.egressctl(words))
    }

    /// The log has a denial of this name or address, or will have it in a moment.
    #[track_caller]
    pub(crate) fn records_a_denial_of(&self, word: &str) {
        let recorded = wait_for("the record", Duration::from_secs(2), || {
            let denials = self.ctl(&["log", "--denied", "--json"]);
            denials.works().outcome.stdout.contains(word)
        });
        let log = || self.ctl(&["log"]).outcome;
        assert!(
            recorded.is_ok(),
            "no denial of {word} in\n{}\n{}",
            log(),
            self.world.report()
        );
    }

    /// The packets to and from `address` that `work` put on the wire.
    #[track_caller]
    pub(crate) fn packets_of(
        &self,
        address: impl Into<IpAddr>,
        work: impl FnOnce(),
    ) -> Vec<String> {
        let capture = self.capture(&format!("host {}", address.into()));
        work();
        self.packets(&capture)
    }

    #[track_caller]
    pub(crate) fn capture(&self, filter: &str) -> Capture {
        self.world
            .capture(filter)
            .unwrap_or_else(|error| panic!("no capture: {error:#}"))
    }

    #[track_caller]
    pub(crate) fn packets(&self, capture: &Capture) -> Vec<String> {
        self.world
            .packets(capture)
            .unwrap_or_else(|error| panic!("no packets: {error:#}"))
    }

    /// Turns the result of a client into a [`Run`].
    #[track_caller]
    pub(crate) fn finish(&self, outcome: anyhow::Result<Outcome>) -> Run<'_> {
        match outcome {
            Ok(outcome) => Run {
                world: self,
                outcome,
            },
            Err(error) => panic!("{error:#}\n{}", self.world.report()),
        }
    }
}

impl Deref for TestWorld {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for TestWorld {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

/// A command that has ended, and what may be said about it.
pub(crate) struct Run<'world> {
    world: &'world TestWorld,
    pub(crate) outcome: Outcome,
}

impl Run<'_> {
    /// It succeeded.
    #[track_caller]
    pub(crate) fn works(&self) -> &Self {
        self.must(self.outcome.succeeded(), "should have worked");
        self
    }

    /// It failed by itself, and did so before `limit`.
    #[track_caller]
    pub(crate) fn fails_within(&self, limit: Duration) {
        self.must(!self.outcome.succeeded(), "should have failed");
        self.must(
            !self.outcome.timed_out() && self.outcome.took < limit,
            &format!("should have failed within {limit:?}"),
        );
    }

    /// It failed before `limit`, because the kernel said so.
    #[track_caller]
    pub(crate) fn is_refused_within(&self, limit: Duration) {
        self.fails_within(limit);
        let said = self.outcome.said().to_ascii_lowercase();
        let words = ["not permitted", "eperm", "errno=1", "failed to connect"];
        self.must(
            words.iter().any(|word| said.contains(word)),
            "should have named the refusal",
        );
    }

    /// `word` is in its output.
    #[track_caller]
    pub(crate) fn says(&self, word: &str) -> &Self {
        self.must(
            self.outcome.said().contains(word),
            &format!("should have said `{word}`"),
        );
        self
    }

    #[track_caller]
    pub(crate) fn must(&self, holds: bool, what: &str) {
        assert!(
            holds,
            "it {what}:\n{}\n{}",
            self.outcome,
            self.world.report()
        );
    }
}

/// A world that the tests of one module share. It is never dropped: when this process ends, the
/// namespaces end and the janitor sweeps.
pub(crate) struct Shared {
    world: Mutex<Option<&'static TestWorld>>,
}

impl Shared {
    pub(crate) const fn new() -> Self {
        Self {
            world: Mutex::new(None),
        }
    }

    pub(crate) fn get(&self, build: impl FnOnce() -> TestWorld) -> &'static TestWorld {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.get_or_insert_with(|| Box::leak(Box::new(build())))
    }
}
