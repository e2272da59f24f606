//! One guarded cgroup: its policy, its kernel tables, its names and sessions.
//!
//! The policy is compiled once and shared as a whole. What the resolver answers, what stands in
//! the kernel and what `why` says come from the same [`Policy`]; a reload replaces all of it.

use std::{
    cell::RefCell,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use aya::maps::{MapData, RingBuf};
use egress_common::{
    ABI_VERSION, Address, Config, DnsMode, Network, PortKey, PortSet, RESOLVER_SLOTS, RuleId,
};
use rustix::fs::{FlockOperation, flock};

use super::{
    approvals::Approvals,
    bundle,
    host::{InForce, World},
    journal::{self, Journal},
    records::Records,
    sessions::{SessionError, Sessions},
    sockets,
};
use crate::{
    control::confinement::Held,
    dns::{
        Leases, Server,
        leases::{Bounds, Grant, Hold},
    },
    kernel::{
        Cgroup, CgroupError, Hierarchy, KernelError, Programs, Tables, flows::Flows, lsm,
        pins::Pins, programs, tables::Generation,
    },
    policy::{Given, Name, NameDecision, Policy, PortSets},
    proxy::{Gate, Ports, gate::Ends, open::Opener},
};

/// Why a cgroup cannot be guarded.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(
        "another egressd guards the cgroup `{0}`; stop it with `systemctl stop egressd`, or guard another cgroup"
    )]
    Taken(String),
    #[error("write the certificates for sessions to {}: {source}", .path.display())]
    Bundle {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("lock the cgroup `{cgroup}`: {source}")]
    Lock {
        cgroup: String,
        source: std::io::Error,
    },
}

/// How a guard came to be, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was there.
    Fresh,
    /// Pinned by an egressd with the same programs: taken over as it ran.
    Adopted,
    /// Pinned by another build: replaced, the new programs attached before the old ones went.
    Replaced { found: Vec<String> },
}

/// One guarded cgroup.
pub struct Guard {
    pub cgroup: Cgroup,
    pub pins: Pins,
    pub policy_path: PathBuf,
    /// The guard resolver, with the world that it decides about.
    pub resolver: Server<World>,
    resolver_ports: [u16; RESOLVER_SLOTS],
    proxy_ports: Ports,
    /// What the proxy knows of this guard.
    pub gate: Arc<Gate>,
    /// Whom the guard resolver asks; in snoop mode, whose answers count.
    pub upstreams: Vec<SocketAddr>,
    /// Whether the second layer stands.
    pub lsm: Result<(), lsm::Missing>,
    /// What the control socket is bound to: sessions talk to it.
    control_socket: Vec<u8>,
    /// Where sessions find the certificates that they are to trust while TLS is opened.
    bundle: PathBuf,
    /// Held for as long as the guard is ours.
    _lock: std::fs::File,
}

/// A guard that is loaded, and enforces nothing yet that was not enforced before.
pub struct Prepared {
    cgroup: Cgroup,
    pins: Pins,
    programs: Programs,
    tables: Tables,
    events: RingBuf<MapData>,
    flows: Flows,
    origin: Origin,
    lock: std::fs::File,
    /// Where links go, for programs that are to be attached.
    links: Option<PathBuf>,
}

/// What a guard is started with.
pub struct Start<'a> {
    pub policy: Arc<Policy>,
    /// What TLS is opened with, if the policy wants that.
    pub opener: Option<Arc<Opener>>,
    /// Where sessions find the certificates that they are to trust then.
    pub bundle: PathBuf,
    pub policy_path: PathBuf,
    pub resolver_ports: [u16; RESOLVER_SLOTS],
    pub proxy_ports: Ports,
    pub sessions: &'a Path,
    pub upstreams: &'a [SocketAddr],
    pub records: Rc<Records>,
    /// What waits for a person, of all guards.
    pub(super) approvals: Rc<RefCell<Approvals>>,
    /// What the control socket is bound to.
    pub control_socket: Vec<u8>,
    /// Refuse to start without the second layer.
    pub require_lsm: bool,
}

impl Prepared {
    /// Locks the cgroup and loads the programs, or opens those that are pinned.
    ///
    /// With `require_lsm`, pinned programs that lack the second layer are replaced, and a kernel
    /// that refuses it is an error.
    pub fn new(cgroup: Cgroup, pin_dir: &Path, require_lsm: bool) -> Result<Self, GuardError> {
        let lock = lock(&cgroup)?;
        let pins = Pins::new(pin_dir, cgroup.path(), &programs::version());
        pins.prepare().map_err(KernelError::from)?;
        if pins.is_whole() {
            match adopt(&pins, &cgroup, require_lsm) {
                Ok((programs, tables, events, flows)) => {
                    return Ok(Self {
                        cgroup,
                        pins,
                        programs,
                        tables,
                        events,
                        flows,
                        origin: Origin::Adopted,
                        lock,
                        links: None,
                    });
                }
                Err(error) => {
                    tracing::warn!(cgroup = cgroup.path(), %error, "the pinned programs cannot be taken over and are replaced");
                }
            }
        }
        let mut found = pins.others().map_err(KernelError::from)?;
        if pins.is_whole() {
            found.push(programs::version());
        }
        let origin = if found.is_empty() {
            Origin::Fresh
        } else {
            Origin::Replaced { found }
        };
        let mut programs = Programs::load(&cgroup)?;
        if require_lsm {
            programs.require_lsm()?;
        }
        let (links, maps) = pins.begin().map_err(KernelError::from)?;
        programs.pin_maps(&maps)?;
        let (tables, events, flows) = Tables::open(&mut programs)?;
        Ok(Self {
            cgroup,
            pins,
            programs,
            tables,
            events,
            flows,
            origin,
            lock,
            links: Some(links),
        })
    }

    /// The resolver ports of the guard that was taken over: sockets that ask them are still open.
    pub fn resolver_ports(&self) -> Option<[u16; RESOLVER_SLOTS]> {
        let config = self.tables.config().ok()?;
        let is_steering = config.dns == DnsMode::Steer as u32;
        (config.generation != 0 && is_steering).then_some(config.resolver_ports)
    }

    /// The proxy's ports of the guard that was taken over.
    pub fn proxy_ports(&self) -> Option<Ports> {
        let config = self.tables.config().ok()?;
        (config.generation != 0).then_some(Ports {
            explicit: config.proxy_port,
            steered: config.steer_port,
        })
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Fills the tables, then attaches. From the return on, the policy is enforced.
    pub fn start(
        self,
        start: Start<'_>,
        hierarchy: &Hierarchy,
    ) -> Result<(Guard, RingBuf<MapData>, Ends), GuardError> {
        let Self {
            cgroup,
            pins,
            mut programs,
            tables,
            events,
            flows,
            origin: _,
            lock,
            links,
        } = self;
        let sessions = Sessions::open(cgroup.clone(), start.sessions.to_path_buf(), hierarchy)?;
        let (journal, entries) = Journal::read(&tables)?;
        let names = InForce::new(&start.policy);
        let leases = recall(&tables, entries, &sessions);
        let world = World {
            sets: RefCell::new(PortSets::starting_at(tables.next_set())),
            tables: RefCell::new(tables),
            names: RefCell::new(names),
            journal: RefCell::new(journal),
            sessions: RefCell::new(sessions),
            records: start.records,
            approvals: start.approvals,
            cgroup: cgroup.path().to_owned(),
        };
        let (gate, ends) = Gate::new(flows, Arc::clone(&start.policy), start.opener.clone());
        let mut guard = Guard {
            gate,
            proxy_ports: start.proxy_ports,
            lsm: programs.lsm(),
            control_socket: start.control_socket,
            bundle: start.bundle,
            cgroup,
            pins,
            policy_path: start.policy_path,
            resolver: Server::new(world, leases, start.upstreams),
            resolver_ports: start.resolver_ports,
            upstreams: start.upstreams.to_vec(),
            _lock: lock,
        };
        guard.install(&start.policy, start.opener)?;
        guard.recall_observed()?;
        if let Some(links) = links {
            programs.attach(&guard.cgroup, &links)?;
            guard.lsm = programs.lsm();
            if start.require_lsm {
                programs.require_lsm()?;
            }
            guard.pins.finish().map_err(KernelError::from)?;
        }
        Ok((guard, events, ends))
    }
}

impl Guard {
    /// Makes a policy the running one: in the kernel at one instant, and for names with it.
    ///
    /// Leases are judged anew. A name that the policy no longer allows loses its addresses at
    /// that same instant, and the flows that it led to are cut.
    pub fn install(
        &self,
        policy: &Arc<Policy>,
        opener: Option<Arc<Opener>>,
    ) -> Result<(), GuardError> {
        bundle::keep(&self.bundle, opener.as_deref()).map_err(|source| GuardError::Bundle {
            path: self.bundle.clone(),
            source,
        })?;
        let world = self.world();
        let mut sets = PortSets::starting_at(world.tables.borrow().next_set());
        let compiled = policy.compile(&mut sets);
        let mut ports: Vec<(PortKey, u32, RuleId)> = compiled
            .ports
            .iter()
            .map(|entry| (entry.key, entry.bits, entry.rule))
            .collect();
        let observes = policy.mode() == egress_common::Mode::Observe;
        let rejudged = self.resolver.with_engine(|engine, _| {
            engine.leases().rejudged(|session, name| {
                let name = Name::parse(name).ok()?;
                let (rules, until) = match policy.for_session(session).decide_name(&name) {
                    NameDecision::Allow(grant) => (grant.rules, grant.until),
                    NameDecision::Deny { .. } if observes => (Vec::new(), u64::MAX),
                    NameDecision::Deny { .. } => return None,
                };
                let set = if rules.is_empty() {
                    PortSet::EMPTY
                } else {
                    let (set, entries) = sets.for_rules(policy, &rules);
                    ports.extend(
                        entries
                            .iter()
                            .map(|entry| (entry.key, entry.bits, entry.rule)),
                    );
                    set
                };
                Some(Grant {
                    rules: rules.into(),
                    set,
                    until,
                })
            })
        });
        let leases: Vec<_> = rejudged.image().collect();
        let networks: Vec<(Address, u8, Network)> = compiled.networks;
        let unix_paths = self.unix_paths(policy);
        world.tables.borrow_mut().install(&Generation {
            config: self.config(policy),
            networks: &networks,
            ports: &ports,
            leases: &leases,
            unix_paths: &unix_paths,
        })?;
        self.resolver
            .with_engine(|engine, _| engine.replace_leases(rejudged));
        *world.sets.borrow_mut() = sets;
        self.gate.replace(Arc::clone(policy), opener);
        *world.names.borrow_mut() = InForce::new(policy);
        Ok(())
    }

    /// Makes a policy the running one that allows more names than the one that runs, for which no
    /// table of the kernel has to change: nobody has been led by such a name. Says whether it did.
    pub fn widen(&self, policy: &Arc<Policy>, by: &Given) -> bool {
        let is_led = self.resolver.with_engine(|engine, _| {
            let mut held = engine.leases().iter();
            held.any(|held| {
                let mut patterns = by.rule.hosts.iter();
                patterns.any(|pattern| pattern.covers(held.name.as_str()))
            })
        });
        if is_led || !by.rule.networks.is_empty() {
            return false;
        }
        self.gate.replace(Arc::clone(policy), self.gate.opener());
        *self.world().names.borrow_mut() = InForce::new(policy);
        true
    }

    /// The UNIX sockets outside that may be talked to under this policy.
    fn unix_paths(&self, policy: &Policy) -> Vec<(u64, Vec<u8>)> {
        let mut paths = sockets::of_everyone(&self.control_socket);
        paths.extend(sockets::of_policy(policy));
        let sessions = self.world().sessions.borrow();
        for running in sessions.iter() {
            let session = &running.session;
            paths.extend(sockets::of_session(
                policy,
                running.cgroup.id(),
                &session.sockets,
            ));
        }
        paths
    }

    /// Lets a session that begins talk to the sockets that the policy lists for it.
    pub fn allow_sockets(&self, session: u64, sockets: &[PathBuf]) -> Result<(), KernelError> {
        let world = self.world();
        let paths = sockets::of_session(&world.policy(), session, sockets);
        world.tables.borrow_mut().allow_unix(&paths)
    }

    /// A session that begins is observed, though the policy enforces.
    pub fn observe(&self, session: u64) -> Result<(), KernelError> {
        self.world().tables.borrow_mut().observe(session)
    }

    /// The sessions know who is observed; the kernel is told, and what it knows of others goes.
    fn recall_observed(&self) -> Result<(), KernelError> {
        let world = self.world();
        let mut tables = world.tables.borrow_mut();
        for session in tables.observed()? {
            if !world.observes(session) {
                tables.enforce(session)?;
            }
        }
        for session in world.sessions.borrow().ids() {
            if world.observes(session) {
                tables.observe(session)?;
            }
        }
        Ok(())
    }

    pub fn world(&self) -> &World {
        self.resolver.host()
    }

    fn config(&self, policy: &Policy) -> Config {
        let mut config = Config {
            guard: self.cgroup.id(),
            proxy_port: self.proxy_ports.explicit,
            steer_port: self.proxy_ports.steered,
            ..policy.config(0, self.resolver_ports)
        };
        if policy.dns().mode == DnsMode::Snoop {
            config.resolver_ports = [0; RESOLVER_SLOTS];
            let places = config
                .resolver_ports
                .iter_mut()
                .zip(&mut config.resolver_addresses);
            for ((port, address), server) in places.zip(&self.upstreams) {
                *port = server.port();
                *address = server.ip().into();
            }
        }
        config
    }

    /// The proxy's port for clients that ask it by themselves.
    /// Whether the proxy listens there on loopback.
    pub const fn is_proxy_port(&self, port: u16) -> bool {
        let Ports { explicit, steered } = self.proxy_ports;
        port != 0 && (port == explicit || port == steered)
    }

    /// Whether the resolver of this guard listens there on loopback.
    pub fn is_resolver_port(&self, port: u16) -> bool {
        port != 0 && self.resolver_ports.contains(&port)
    }

    pub const fn proxy_port(&self) -> u16 {
        self.proxy_ports.explicit
    }

    /// The directory of the local CA that TLS is opened with; `None` where none is.
    pub fn ca(&self) -> Option<PathBuf> {
        let is_there = self.gate.opener().is_some();
        is_there.then(|| self.world().policy().proxy().ca.clone())
    }

    /// The certificates that sessions are to trust; `None` where no TLS is opened.
    pub fn bundle(&self) -> Option<&Path> {
        let is_there = self.gate.opener().is_some();
        is_there.then_some(self.bundle.as_path())
    }

    /// What is asked for and not held in full.
    pub fn gaps(&self) -> Vec<String> {
        let policy = self.world().policy();
        let mut gaps = Vec::new();
        if policy.dns().mode == DnsMode::Snoop {
            gaps.push(
                "dns.mode is snoop: best effort; a first connect may be refused, and denied names still leave the machine"
                    .to_owned(),
            );
        }
        if policy.opens_tls() && !policy.proxy().exempt.is_empty() {
            let hosts: Vec<String> = policy
                .proxy()
                .exempt
                .iter()
                .map(ToString::to_string)
                .collect();
            gaps.push(format!(
                "proxy.exempt: TLS is not opened for {}: their names are checked, and no request",
                hosts.join(", ")
            ));
        }
        if policy.denial_errno() != 1 && !programs::has_set_retval() {
            gaps.push("network.errno: this kernel (before 5.18) can only say EPERM".to_owned());
        }
        if !self.cgroup.is_current() {
            gaps.push(format!(
                "the cgroup {} was removed and could not be guarded again yet; the log of egressd says why",
                self.cgroup.path()
            ));
        }
        for running in self.world().sessions.borrow().iter() {
            let held = running.session.held.iter().flat_map(Held::gaps);
            gaps.extend(held.map(|gap| format!("session {}: {gap}", running.session.name)));
        }
        for (hook, attached) in programs::attached(&self.pins) {
            if !attached {
                gaps.push(format!("the hook {hook} is not attached; restart egressd"));
            }
        }
        if self.lsm.is_ok() && lsm::attached(&self.pins) != lsm::COUNT {
            gaps.push("the second layer lost a program; restart egressd".to_owned());
        }
        gaps
    }
}

/// The names that an earlier daemon learnt, with the expiry that their leases have.
fn recall(tables: &Tables, entries: Vec<journal::Entry>, sessions: &Sessions) -> Leases {
    let mut holds = Vec::new();
    for journal::Entry {
        session,
        address,
        name,
        learned,
    } in entries
    {
        let is_alive = sessions.is_alive(session);
        let (Some(lease), Ok(name), true) = (
            tables.leased(session, address),
            Name::parse(&name),
            is_alive,
        ) else {
            continue;
        };
        let expires = lease.grants.iter().map(|grant| grant.expires).max();
        holds.push(Hold {
            session,
            name,
            address,
            expires: expires.unwrap_or(0),
            since: learned,
        });
    }
    Leases::recall(Bounds::default(), holds)
}

/// Takes over a pinned set, if it still guards this very cgroup: removing a cgroup takes its links
/// off, and a new one of the same name has none.
fn adopt(
    pins: &Pins,
    cgroup: &Cgroup,
    require_lsm: bool,
) -> Result<(Programs, Tables, RingBuf<MapData>, Flows), KernelError> {
    let mut programs = Programs::adopt(pins)?;
    if require_lsm {
        programs.require_lsm()?;
    }
    let (tables, events, flows) = Tables::open(&mut programs)?;
    let config = tables.config()?;
    if config.abi == ABI_VERSION && config.guard == cgroup.id() {
        Ok((programs, tables, events, flows))
    } else {
        Err(KernelError::Elsewhere)
    }
}

/// One egressd for each cgroup.
fn lock(cgroup: &Cgroup) -> Result<std::fs::File, GuardError> {
    let failed = |source| GuardError::Lock {
        cgroup: cgroup.path().to_owned(),
        source,
    };
    let directory = std::fs::File::open(cgroup.directory()).map_err(failed)?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(directory),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(GuardError::Taken(cgroup.path().to_owned())),
        Err(errno) => Err(failed(errno.into())),
    }
}
