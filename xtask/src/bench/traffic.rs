//! Connections, datagrams and a stream: guarded, unguarded, and under nftables.

use std::net::Ipv4Addr;

use anyhow::Result;
use xtask::world::{
    cgroup::Cgroup,
    place::{ALLOWED_V4, RESOLVER_V4},
};

use super::{
    figure::{Figure, Target, Unit},
    guard::Guard,
    nft::{self, Tracking},
    policies,
    rounds::{self, Series},
    stage::{SERVE_PORT, SINK_PORT, Stage, served},
};

/// Of one arm in one round: short, for many rounds even out what else the machine does.
const CONNECTIONS: &str = "1500";
const MILLIS: &str = "150";

/// Who decides about the load.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arm {
    Guarded,
    /// Guarded, to an address that a name led to.
    Leased,
    Bare,
    Nft(Tracking),
}

/// A guard with the usual policy, and load beside it.
struct Lanes<'a> {
    stage: &'a Stage,
    guard: Guard,
    bare: Cgroup,
    nft: Cgroup,
}

pub(crate) fn connect(stage: &Stage) -> Result<Vec<Figure>> {
    const ARMS: [Arm; 5] = [
        Arm::Guarded,
        Arm::Bare,
        Arm::Leased,
        Arm::Nft(Tracking::With),
        Arm::Nft(Tracking::Without),
    ];
    let lanes = Lanes::new(stage, "connect")?;
    let measured = rounds::run(stage.rounds(45), ARMS.len(), |_, which| {
        lanes.run(ARMS.get(which), |arm| {
            let address = if arm == Arm::Leased {
                format!("{ALLOWED_V4}:{SERVE_PORT}")
            } else {
                served(SERVE_PORT)
            };
            vec!["connect".to_owned(), address, CONNECTIONS.to_owned()]
        })
    })?;
    let [guarded, bare, leased, tracked, untracked] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    let [connect, whole] = guarded;
    let against = |name: &str, ours: &Series, what: &str, other: &Series, target| {
        compared(name, Unit::Micros, (ours, 1e-3), (what, other), target)
    };
    let [bare, bare_whole] = bare;
    let [leased, leased_whole] = leased;
    let [tracked, tracked_whole] = tracked;
    let [untracked, untracked_whole] = untracked;
    let close = Target::RatioAtMost(1.05);
    Ok(vec![
        against(
            "TCP connect, allowed by a network",
            connect,
            "unguarded",
            bare,
            close,
        ),
        against(
            "  with socket and close",
            whole,
            "unguarded",
            bare_whole,
            Target::None,
        ),
        against(
            "TCP connect, allowed by a lease",
            leased,
            "unguarded",
            bare,
            close,
        ),
        against(
            "  with socket and close",
            leased_whole,
            "unguarded",
            bare_whole,
            Target::None,
        ),
        against(
            "TCP connect, against nftables",
            connect,
            "with conntrack",
            tracked,
            Target::RatioBelow(1.0),
        ),
        against(
            "  with socket and close",
            whole,
            "with conntrack",
            tracked_whole,
            Target::None,
        ),
        against(
            "TCP connect, against nftables",
            connect,
            "without conntrack",
            untracked,
            Target::RatioAtMost(1.02),
        ),
        against(
            "  with socket and close",
            whole,
            "without conntrack",
            untracked_whole,
            Target::None,
        ),
    ])
}

pub(crate) fn send(stage: &Stage) -> Result<Vec<Figure>> {
    const ARMS: [Arm; 4] = [
        Arm::Guarded,
        Arm::Bare,
        Arm::Nft(Tracking::With),
        Arm::Nft(Tracking::Without),
    ];
    let lanes = Lanes::new(stage, "send")?;
    let measured = rounds::run(stage.rounds(31), ARMS.len(), |_, which| {
        lanes.run(ARMS.get(which), |_| {
            vec!["send".to_owned(), served(SERVE_PORT), MILLIS.to_owned()]
        })
    })?;
    let [[guarded], [bare], [tracked], [untracked]] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    let sends = |ours: &Series, what: &str, other: &Series, name: &str, target| {
        compared(name, Unit::PerSecond, (ours, 1.0), (what, other), target)
    };
    let target = Target::RatioAtLeast(0.86);
    Ok(vec![
        sends(guarded, "unguarded", bare, "UDP sends, unconnected", target),
        sends(
            guarded,
            "nftables with conntrack",
            tracked,
            "UDP sends, against nftables",
            Target::None,
        ),
        sends(
            guarded,
            "nftables without",
            untracked,
            "UDP sends, against nftables",
            Target::None,
        ),
        sends(
            tracked,
            "unguarded",
            bare,
            "  nftables with conntrack itself",
            Target::None,
        ),
        sends(
            untracked,
            "unguarded",
            bare,
            "  nftables without itself",
            Target::None,
        ),
    ])
}

pub(crate) fn stream(stage: &Stage) -> Result<Vec<Figure>> {
    const ARMS: [Arm; 2] = [Arm::Guarded, Arm::Bare];
    let lanes = Lanes::new(stage, "stream")?;
    let measured = rounds::run(stage.rounds(41), ARMS.len(), |_, which| {
        lanes.run(ARMS.get(which), |_| {
            vec!["stream".to_owned(), served(SINK_PORT), MILLIS.to_owned()]
        })
    })?;
    let [[guarded], [bare]] = measured.as_slice() else {
        return Ok(Vec::new());
    };
    let target = Target::RatioAtLeast(0.98);
    Ok(vec![compared(
        "one TCP stream",
        Unit::BytesPerSecond,
        (guarded, 1.0),
        ("unguarded", bare),
        target,
    )])
}

/// A figure of two series, whose values times `scale` are in `unit`.
pub(crate) fn compared(
    name: &str,
    unit: Unit,
    (ours, scale): (&Series, f64),
    (what, other): (&str, &Series),
    target: Target,
) -> Figure {
    Figure {
        name: name.to_owned(),
        ours: unit.of(ours.median() * scale),
        against: Some((what.to_owned(), unit.of(other.median() * scale))),
        ratio: Some(ours.ratio(other)),
        target,
    }
}

impl<'a> Lanes<'a> {
    fn new(stage: &'a Stage, name: &str) -> Result<Self> {
        Ok(Self {
            stage,
            guard: stage.guard(name, &policies::usual(), None)?,
            bare: stage.unguarded("bare")?,
            nft: stage.unguarded("nft")?,
        })
    }

    /// One run of load in the lane of `arm`.
    fn run<const N: usize>(
        &self,
        arm: Option<&Arm>,
        words: impl Fn(Arm) -> Vec<String>,
    ) -> Result<[f64; N]> {
        let arm = arm.copied().unwrap_or(Arm::Bare);
        let world = self.stage.world();
        let cgroup = match arm {
            Arm::Guarded => self.guard.cgroup(),
            Arm::Leased => {
                self.resolve(RESOLVER_V4)?;
                self.guard.cgroup()
            }
            Arm::Bare => &self.bare,
            Arm::Nft(tracking) => {
                nft::load(world, &self.nft, &policies::ten_networks(), tracking)?;
                &self.nft
            }
        };
        let words = words(arm);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let numbers = self.stage.load(cgroup, &words)?;
        if matches!(arm, Arm::Nft(_)) {
            nft::clear(world)?;
        }
        Ok(numbers)
    }

    /// Takes a lease on the address of the allowed names.
    fn resolve(&self, server: Ipv4Addr) -> Result<()> {
        let server = format!("{server}:53");
        let words = ["ask", &server, "allowed.test", "0", "1"];
        self.stage.load::<1>(self.guard.cgroup(), &words).map(drop)
    }
}
