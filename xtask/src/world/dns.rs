//! The resolver of the small internet: Debian's dnsmasq, which answers for everything below `test`,
//! and for the hosts of examples (RFC 2606), and writes down every query.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    namespace::Namespace,
    place::{
        ALLOWED_V4, ALLOWED_V6, DENIED_V4, DENIED_V6, EDGE_V4, EDGE_V6, INTRANET_V4, METADATA_V4,
        RESOLVER_V4, RESOLVER_V6, STRANGER_V4, STRANGER_V6,
    },
    wait_for,
};
use crate::program;

/// The log of queries.
#[derive(Debug)]
pub struct Resolver {
    log: PathBuf,
}

impl Resolver {
    /// Starts dnsmasq in `internet`; it listens when this returns.
    pub(super) fn start(internet: &Namespace, home: &Path, bulk: u32) -> Result<Self> {
        let log = home.join("queries.log");
        let (hosts, conf) = (home.join("bulk.hosts"), home.join("dnsmasq.conf"));
        fs::write(&hosts, bulk_hosts(bulk)).context("writing the hosts of dnsmasq")?;
        fs::write(&conf, configuration(&log, &hosts, home)).context("writing dnsmasq.conf")?;
        program::run(
            internet
                .command("dnsmasq")
                .arg(format!("--conf-file={}", conf.display())),
        )?;
        Ok(Self { log })
    }

    /// Every question that came in, as `TYPE name`, in order.
    pub fn queries(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(question).collect()
    }

    /// Whether anybody asked for `name`, of any type. Asking for a name of one's own first and waiting
    /// for that makes "nobody" a proof: see [`Self::wait_for_query`].
    pub fn saw(&self, name: &str) -> bool {
        self.queries().iter().any(|query| {
            query
                .split(' ')
                .nth(1)
                .is_some_and(|asked| asked.eq_ignore_ascii_case(name))
        })
    }

    /// Waits until the log has a query for `name`.
    pub fn wait_for_query(&self, name: &str) -> Result<()> {
        wait_for(
            &format!("a query for {name}"),
            Duration::from_secs(5),
            || self.saw(name),
        )
    }
}

/// The `n`th name of the many (`n17.bulk.test`) and its addresses; there is no name beyond 2^20.
pub fn bulk_name(n: u32) -> (String, Ipv4Addr, Ipv6Addr) {
    let [_, high, middle, low] = n.to_be_bytes();
    // Hosts 101 to 240: above every address that stands for something.
    let last = 101 + u8::try_from(n % 140).unwrap_or(0);
    let v6 = Ipv6Addr::new(
        0x2001,
        0xdb8,
        0xb000 | u16::from(high),
        u16::from_be_bytes([middle, low]),
        0,
        0,
        0,
        1,
    );
    (
        format!("n{n}.bulk.test"),
        Ipv4Addr::new(203, 0, 113, last),
        v6,
    )
}

fn bulk_hosts(count: u32) -> String {
    let mut text = String::new();
    for n in 0..count {
        let (name, v4, v6) = bulk_name(n);
        // INVARIANT: writing to a String does not fail.
        writeln!(text, "{v4} {name}\n{v6} {name}").ok();
    }
    text
}

fn configuration(log: &Path, hosts: &Path, home: &Path) -> String {
    format!(
        "no-resolv\nno-hosts\nlocal=/test/\nlocal=/in-addr.arpa/\nlocal=/ip6.arpa/\n\
         user=root\nbind-interfaces\nlocal-ttl=60\ncache-size=0\nedns-packet-max=1232\n\
         listen-address={RESOLVER_V4},{RESOLVER_V6},{STRANGER_V4},{STRANGER_V6}\n\
         log-queries=extra\nlog-facility={log}\npid-file={pid}\naddn-hosts={hosts}\n\
         address=/allowed.test/{ALLOWED_V4}\naddress=/allowed.test/{ALLOWED_V6}\n\
         address=/denied.test/{DENIED_V4}\naddress=/denied.test/{DENIED_V6}\n\
         address=/example.com/{DENIED_V4}\naddress=/example.com/{DENIED_V6}\n\
         address=/example.net/{DENIED_V4}\naddress=/example.net/{DENIED_V6}\n\
         address=/wild.test/{EDGE_V4}\naddress=/wild.test/{EDGE_V6}\n\
         host-record=v4.single.test,{ALLOWED_V4}\n\
         host-record=v6.single.test,{ALLOWED_V6}\n\
         host-record=edge.cdn.test,{EDGE_V4},{EDGE_V6}\n\
         cname=alias.chain.test,middle.chain.test\n\
         cname=middle.chain.test,edge.cdn.test\n\
         host-record=db.intranet.test,{INTRANET_V4}\n\
         address=/loopback.rebind.test/127.0.0.1\naddress=/loopback.rebind.test/::1\n\
         address=/private.rebind.test/{INTRANET_V4}\n\
         address=/metadata.rebind.test/{METADATA_V4}\n\
         txt-record=note.allowed.test,a text of no importance\n\
         {big}\
         mx-host=allowed.test,mail.allowed.test,10\n\
         srv-host=_git._tcp.allowed.test,git.allowed.test,9418\n",
        log = log.display(),
        pid = home.join("dnsmasq.pid").display(),
        hosts = hosts.display(),
        // More than fits into one UDP answer of 1,232 octets.
        big = ["txt-record=big.allowed.test,", &"x".repeat(200), "\n"]
            .concat()
            .repeat(8),
    )
}

/// From `… 12 192.0.2.2/4711 query[A] web.allowed.test from 192.0.2.2`.
fn question(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("query[")?;
    let (kind, rest) = rest.split_once("] ")?;
    let (name, _) = rest.split_once(" from ")?;
    Some(format!("{kind} {name}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_question_is_read_from_the_log() {
        let line = "Nov 21 00:40:00 dnsmasq[7]: 1 192.0.2.2/4711 query[AAAA] web.allowed.test from 192.0.2.2";
        assert_eq!(question(line).as_deref(), Some("AAAA web.allowed.test"));
        assert_eq!(
            question("Nov 21 00:40:00 dnsmasq[7]: started, version 2.90"),
            None
        );
        assert_eq!(question("query["), None);
    }

    #[test]
    fn bulk_names_have_distinct_v6_addresses() {
        let addresses: BTreeSet<_> = (0..10_000).map(|n| bulk_name(n).2).collect();
        assert_eq!(addresses.len(), 10_000);
    }
}
