//! The second layer: what it refuses, what it leaves alone, what it costs.
//!
//! Where the kernel does not take LSM programs, these tests assert that this is said; the emulated
//! kernels (`EGRESS_VM=1`) must take them. What a guarded process does is done by [`actor`]: this
//! same program, started again inside the cgroup.

mod actor;

use std::{
    env,
    net::{TcpListener, UdpSocket},
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
    process::{Command, Stdio},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use egress_agent::kernel::{
    Programs, Tables,
    events::{Decided, Events},
    lsm::{self, Missing},
    tables::Generation,
};
use egress_common::{Counter, Hook, Reason};

use super::{Place, busybox, one_allowed_address};

fn is_vm() -> bool {
    env::var("EGRESS_VM").is_ok_and(|value| value == "1")
}

/// Gives the emulated machine, which is the tests' alone, its loopback device and the address that
/// is allowed. To do it again changes nothing.
fn raise_network() {
    busybox("ip link set lo up; ip addr add 203.0.113.10/31 dev lo");
}

/// A guard with the layer, or `None` where the kernel refuses it and says so.
struct Layer {
    place: Place,
    tables: Tables,
    ring: RingBuf<MapData>,
}

impl Layer {
    fn new(generation: &Generation<'_>) -> Option<Self> {
        let place = Place::new();
        let (programs, tables, ring) = place.guard(generation);
        match programs.lsm() {
            Ok(()) => {
                assert_eq!(lsm::attached(&place.pins), lsm::COUNT);
                Some(Self {
                    place,
                    tables,
                    ring,
                })
            }
            Err(missing) => {
                refused(&place, &programs, &missing);
                None
            }
        }
    }

    /// What a process in the guarded cgroup meets, each deed with `ok` or the name of its error.
    fn act(&self, deeds: &[&str], stdin: impl Into<Stdio>) -> Vec<String> {
        let procs = self.place.cgroup.directory().join("cgroup.procs");
        act(&format!("echo $$ > {} &&", procs.display()), deeds, stdin)
    }

    #[track_caller]
    fn check(&self, deeds: &[&str], stdin: impl Into<Stdio>, expected: &[&str]) {
        assert_eq!(self.act(deeds, stdin), expected, "{deeds:?}");
    }

    /// What the kernel reported since the last call.
    fn events(self) -> Vec<Decided> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut events = Events::new(self.ring).unwrap();
            let next = tokio::time::timeout(Duration::from_secs(10), events.next());
            next.await.expect("no event came").unwrap()
        })
    }
}

/// The kernel of the emulated machines takes the programs; any other may refuse, and is quoted.
#[track_caller]
fn refused(place: &Place, programs: &Programs, missing: &Missing) {
    assert!(!is_vm(), "{missing}");
    assert!(programs.require_lsm().is_err());
    assert_eq!(lsm::attached(&place.pins), 0);
    let line = missing.to_string();
    assert!(!line.contains('\n'), "{line}");
    // A daemon that takes the guard over says the same.
    let adopted = Programs::adopt(&place.pins).unwrap();
    assert_eq!(adopted.lsm().unwrap_err(), *missing);
}

/// Does deeds in a process of its own.
fn act(before: &str, deeds: &[&str], stdin: impl Into<Stdio>) -> Vec<String> {
    let program = env::current_exe().unwrap();
    let line = format!(
        "{before} exec {} --exact kernel::lsm::actor::acts --ignored --nocapture",
        program.display()
    );
    let output = Command::new("busybox")
        .args(["sh", "-c", &line])
        .env(actor::DEEDS, deeds.join(" "))
        .stdin(stdin)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said.lines()
        .filter_map(|line| line.strip_prefix(actor::ANSWER))
        .map(str::to_owned)
        .collect()
}

/// A name in the abstract space: nothing to clean up.
fn abstract_name(text: &str) -> (SocketAddr, String) {
    let name = format!("egress-{text}-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    (address, format!("@{name}"))
}

/// A path for a socket; gone with it.
struct Path(String);

impl Path {
    fn new(text: &str) -> Self {
        let name = format!("egress-{text}-{}", std::process::id());
        Self(env::temp_dir().join(name).display().to_string())
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // The socket may never have been bound.
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn the_layer_is_taken_over_with_the_rest() {
    let Some(layer) = Layer::new(&one_allowed_address()) else {
        return;
    };
    let adopted = Programs::adopt(&layer.place.pins).unwrap();
    assert_eq!(adopted.lsm(), Ok(()));
    let links = layer.place.pins.current().join("links");
    std::fs::remove_file(links.join("lsm_unix_may_send")).unwrap();
    let adopted = Programs::adopt(&layer.place.pins).unwrap();
    assert_eq!(adopted.lsm(), Err(Missing::Broken("lsm_unix_may_send")));
}

#[test]
fn other_families_are_refused_to_guarded_tasks_only() {
    let Some(layer) = Layer::new(&one_allowed_address()) else {
        return;
    };
    let mut deeds = vec!["packet", "alg", "unix", "netlink", "tcp", "udp6"];
    let mut inside = vec!["EACCES", "EACCES", "ok", "ok", "ok", "ok"];
    if is_vm() {
        // On a machine that is not emulated a vsock may reach a hypervisor.
        deeds.push("vsock");
        inside.push("EACCES");
    }
    layer.check(&deeds, Stdio::null(), &inside);
    let outside = act("", &deeds, Stdio::null());
    assert_eq!(outside[0], "ok", "AF_PACKET outside the guard");
    assert!(!outside.contains(&"EACCES".to_owned()), "{outside:?}");
    let refused = u64::from(is_vm()) + 2;
    assert_eq!(layer.tables.counter(Counter::LsmDenied).unwrap(), refused);
    let events = layer.events();
    let first = events[0].event;
    assert_eq!(first.hook, Hook::Lsm as u8);
    assert_eq!(first.reason, Reason::SocketFamily as u8);
    assert_eq!(first.family, 17);
    assert_eq!(events[0].unix, None);
}

#[test]
fn sockets_from_outside_are_refused() {
    let Some(layer) = Layer::new(&one_allowed_address()) else {
        return;
    };
    if is_vm() {
        raise_network();
    }
    let udp = || OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    layer.check(&["send-given"], udp(), &["EACCES"]);
    layer.check(&["connect-given"], udp(), &["EACCES"]);
    let outside = act("", &["send-given", "connect-given"], udp());
    assert_eq!(outside, ["ok", "ok"]);
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    layer.check(
        &["accept-given", "listen-given"],
        listener(),
        &["EACCES", "EACCES"],
    );
    let packet = rustix::net::socket(
        rustix::net::AddressFamily::PACKET,
        rustix::net::SocketType::RAW,
        None,
    );
    layer.check(&["send-given"], packet.unwrap(), &["EACCES"]);
    let events = layer.events();
    let seen: Vec<_> = events
        .iter()
        .map(|one| (one.event.reason, one.event.family))
        .collect();
    let outside = (Reason::OutsideSocket as u8, 2);
    let other = (Reason::SocketFamily as u8, 17);
    assert_eq!(seen, [outside, outside, outside, outside, other]);
}

#[test]
fn what_a_session_makes_itself_goes_on() {
    let Some(layer) = Layer::new(&one_allowed_address()) else {
        return;
    };
    let mut deeds = vec!["pair-stream", "pair-datagram", "own-stream", "own-datagram"];
    if is_vm() {
        raise_network();
        deeds.push("own-tcp");
    }
    let expected = vec!["ok"; deeds.len()];
    layer.check(&deeds, Stdio::null(), &expected);
    assert_eq!(layer.tables.counter(Counter::LsmDenied).unwrap(), 0);
}

#[test]
fn unix_sockets_outside_are_refused_by_name_unless_listed() {
    let listed = Path::new("listed");
    let (address, listed_abstract) = abstract_name("listed");
    let mut bound = address.as_abstract_name().unwrap().to_vec();
    bound.insert(0, 0);
    let generation = Generation {
        unix_paths: &[(0, listed.0.clone().into_bytes()), (0, bound)],
        ..one_allowed_address()
    };
    let Some(layer) = Layer::new(&generation) else {
        return;
    };
    let secret = Path::new("secret");
    let log = Path::new("log");
    let (hidden_address, hidden) = abstract_name("hidden");
    let _listed = UnixListener::bind(&listed.0).unwrap();
    let _listed_abstract = UnixListener::bind_addr(&address).unwrap();
    let _secret = UnixListener::bind(&secret.0).unwrap();
    let _hidden = UnixListener::bind_addr(&hidden_address).unwrap();
    let _log = UnixDatagram::bind(&log.0).unwrap();
    let deeds = [
        format!("stream={}", listed.0),
        format!("stream={listed_abstract}"),
        format!("stream={}", secret.0),
        format!("stream={hidden}"),
        format!("datagram={}", log.0),
        format!("datagram-connected={}", log.0),
    ];
    let deeds: Vec<&str> = deeds.iter().map(String::as_str).collect();
    let outside = act("", &deeds, Stdio::null());
    assert_eq!(outside, ["ok"; 6]);
    layer.check(
        &deeds,
        Stdio::null(),
        &["ok", "ok", "EACCES", "EACCES", "EACCES", "EACCES"],
    );
    let names: Vec<String> = layer
        .events()
        .into_iter()
        .map(|one| {
            assert_eq!(one.event.reason, Reason::UnixSocket as u8);
            assert_eq!(one.event.family, 1);
            let name = String::from_utf8(one.unix.unwrap()).unwrap();
            name.trim_end_matches('\0').replace('\0', "@")
        })
        .collect();
    assert_eq!(
        names,
        [&secret.0, &hidden, &log.0, &log.0].map(Clone::clone)
    );
}

/// As stdout of a service is, and the pair through which systemd starts a unit in the slice.
#[test]
fn a_connected_unix_socket_that_is_handed_in_goes_on() {
    let Some(layer) = Layer::new(&one_allowed_address()) else {
        return;
    };
    let (given, _kept) = UnixDatagram::pair().unwrap();
    let given = OwnedFd::from(given);
    layer.check(&["send-connected"], given, &["ok"]);
    assert_eq!(layer.tables.counter(Counter::LsmDenied).unwrap(), 0);
}

/// Prints what the layer adds to a connect. In software emulation single calls scatter widely; the
/// assertion is against nonsense only, and the figure is the line.
#[test]
fn the_layer_costs_a_connect_little() {
    const ROUNDS: usize = 9;
    if !is_vm() {
        let place = Place::new();
        let (programs, _tables, _ring) = place.guard(&one_allowed_address());
        if let Err(missing) = programs.lsm() {
            refused(&place, &programs, &missing);
        }
        return;
    }
    raise_network();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let layer = Layer::new(&one_allowed_address()).unwrap();
        let median = || -> f64 {
            let said = layer.act(&["measure"], Stdio::null());
            said[0].parse().expect("a number of nanoseconds")
        };
        // The first process of a round finds colder caches: it is not counted.
        let _warm = median();
        let with = median();
        let links = layer.place.pins.current().join("links");
        busybox(&format!("rm {}/lsm_*", links.display()));
        assert_eq!(lsm::attached(&layer.place.pins), 0);
        // Links go some time after their last reference.
        std::thread::sleep(Duration::from_millis(200));
        let without = median();
        println!("bench: lsm connect round {round}: {with:.0} ns with, {without:.0} ns without");
        rounds.push(with / without);
    }
    rounds.sort_by(f64::total_cmp);
    let ratio = rounds[ROUNDS / 2];
    println!("bench: lsm connect ratio {ratio:.3}");
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
}
