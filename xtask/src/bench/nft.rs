//! nftables, making the decision that egressd makes: agents reach a set of addresses and no other.

use std::process::Command;

use anyhow::{Context as _, Result};
use xtask::{
    program,
    world::{World, cgroup::Cgroup},
};

/// nft(8) looks cgroups up below /sys/fs/cgroup alone. On a hybrid machine version 2 is mounted
/// elsewhere, and nft gets to see it there in mounts of its own.
const SCRIPT: &str = r#"mount --bind "$1" /sys/fs/cgroup && exec nft -f -"#;

/// With or without the rule for established connections, which needs connection tracking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tracking {
    With,
    Without,
}

/// Loads the rules for the processes in `cgroup`.
pub(crate) fn load(
    world: &World,
    cgroup: &Cgroup,
    networks: &[String],
    tracking: Tracking,
) -> Result<()> {
    let mount = xtask::world::cgroup::mount_point()?;
    let mut command = world.machine().command("unshare");
    command
        .args(["--mount", "sh", "-c", SCRIPT, "nft"])
        .arg(mount);
    program::run_with_input(&mut command, &rules(cgroup.name(), networks, tracking))
        .context("loading the nftables rules")
        .map(drop)
}

pub(crate) fn clear(world: &World) -> Result<()> {
    let mut command: Command = world.machine().command("nft");
    program::run(command.args(["flush", "ruleset"])).map(drop)
}

fn rules(cgroup: &str, networks: &[String], tracking: Tracking) -> String {
    let level = cgroup.split('/').filter(|part| !part.is_empty()).count();
    let of_agent = format!("socket cgroupv2 level {level} \"{cgroup}\"");
    let established = match tracking {
        Tracking::With => "ct state established,related accept\n",
        Tracking::Without => "",
    };
    format!(
        "flush ruleset\n\
         table inet bench {{\n\
         set allowed {{ type ipv4_addr; flags interval; elements = {{ {elements} }}; }}\n\
         chain output {{\n\
         type filter hook output priority filter; policy accept;\n\
         {established}\
         {of_agent} ip daddr @allowed accept\n\
         {of_agent} reject\n\
         }}\n\
         }}\n",
        elements = networks.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_depth_of_the_cgroup() {
        let text = rules(
            "world/agent",
            &["203.0.113.0/24".to_owned()],
            Tracking::Without,
        );
        assert!(
            text.contains("socket cgroupv2 level 2 \"world/agent\" ip daddr"),
            "{text}"
        );
        assert!(!text.contains("ct state"), "{text}");
    }

    #[test]
    fn established_connections_come_first() {
        let text = rules("a", &["203.0.113.0/24".to_owned()], Tracking::With);
        let (before, after) = text.split_once("ct state").expect("the rule is there");
        assert!(!before.contains("daddr"));
        assert!(after.contains("reject"));
    }
}
