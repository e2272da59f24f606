//! Watching: what an overview says of what runs.

use std::time::Duration;

use egress_agent::control::{
    client::{Client, ClientError},
    message::{Code, Reply, Request},
    overview::{Flow, Overview, Through},
};
use serde_json::{Value, json};
use xtask::world::{
    place::{DENIED_V4, NAMELESS_V4, NAMELESS_V6},
    wait_for,
};

use crate::{agent::Agent, harness::TestWorld};

mod top;

fn policy() -> Value {
    json!({
        "version": 1,
        "network": { "allow": [
            { "name": "web", "hosts": ["*.allowed.test", "raw.wild.test"], "ports": ["443/tcp", "9000/tcp"] },
            { "name": "nameless", "cidrs": [NAMELESS_V4, NAMELESS_V6], "ports": ["9000/tcp"] },
        ] },
    })
}

fn ask(world: &TestWorld, session: Option<&str>) -> Result<Overview, ClientError> {
    let socket = &world.daemon().expect("a daemon").files().socket;
    let session = session.map(str::to_owned);
    let reply = Client::connect(socket)?.request(&Request::Overview { session })?;
    let Reply::Overview(overview) = reply else {
        panic!("{reply:?}");
    };
    Ok(*overview)
}

#[track_caller]
fn overview(world: &TestWorld, session: Option<&str>) -> Overview {
    // Older than what the daemon still remembers.
    std::thread::sleep(Duration::from_millis(600));
    ask(world, session).unwrap_or_else(|error| panic!("{error}\n{}", world.report()))
}

#[track_caller]
fn flow(overview: &Overview, port: u16, fits: impl Fn(&Flow) -> bool) -> &Flow {
    let found: Vec<&Flow> = overview
        .flows
        .iter()
        .filter(|flow| flow.remote.port() == port && fits(flow))
        .collect();
    let [flow] = found[..] else {
        panic!("{} of that kind in {:#?}", found.len(), overview.flows);
    };
    flow
}

fn start(world: &TestWorld, session: &str) -> Agent {
    let socket = &world.daemon().expect("a daemon").files().socket;
    Agent::at(world, socket, &["--session", session])
}

#[test]
fn open_flows_are_shown_with_name_bytes_and_session() {
    let world = TestWorld::guarded(policy());
    let mut agent = start(&world, "one");
    let mut other = start(&world, "two");
    let nameless = NAMELESS_V4.to_string();
    assert_eq!(agent.does(&format!("open a {nameless} 9000")), "ok");
    assert_eq!(agent.does("talk a"), "ok");
    assert_eq!(agent.does("open b raw.wild.test 9000"), "ok");
    // Led to the proxy, which waits for what it is to judge.
    assert_eq!(agent.does("open c web.allowed.test 443"), "ok");
    assert_eq!(other.does(&format!("open a {NAMELESS_V6} 9000")), "ok");
    assert_eq!(other.does(&format!("connect {DENIED_V4} 443")), "EPERM");
    assert!(other.does("lookup secret.denied.test").starts_with("EAI"));

    let all = overview(&world, None);
    assert_eq!(all.flows_missing, None);
    let direct = flow(&all, 9000, |flow| {
        flow.name.is_none() && flow.session == "one"
    });
    assert_eq!(direct.remote.ip(), NAMELESS_V4);
    assert_eq!((direct.sent, direct.received), (Some(4), Some(4)));
    assert_eq!(
        (
            direct.state.as_str(),
            direct.protocol.as_str(),
            direct.through
        ),
        ("established", "tcp", None)
    );
    let named = flow(&all, 9000, |flow| flow.name.is_some());
    assert_eq!(named.name.as_deref(), Some("raw.wild.test"));
    let proxied = flow(&all, 443, |_| true);
    assert_eq!(proxied.name.as_deref(), Some("web.allowed.test"));
    assert_eq!(proxied.through, Some(Through::Proxy));
    assert!(proxied.pid.is_some());
    assert!(!proxied.remote.ip().is_loopback());
    let sixth = flow(&all, 9000, |flow| flow.session == "two");
    assert_eq!(sixth.remote.ip(), NAMELESS_V6);
    assert_eq!((all.flows.len(), all.flows_total), (4, 4));

    let denied = |overview: &Overview| -> Vec<String> {
        let mut denied: Vec<_> = overview
            .denials
            .iter()
            .map(|record| {
                let address = record.flow.as_ref().map(|flow| flow.address.to_string());
                record.name.clone().or(address).unwrap_or_default()
            })
            .collect();
        denied.dedup();
        denied
    };
    assert_eq!(
        denied(&all),
        [DENIED_V4.to_string(), "secret.denied.test".to_owned()]
    );
    assert!(all.denials_total >= 2);
    let asked: Vec<_> = all
        .questions
        .iter()
        .filter_map(|one| one.name.as_deref())
        .collect();
    assert!(asked.contains(&"secret.denied.test"), "{asked:?}");
    assert!(all.questions_total >= 3 && all.events >= 5);
    let leased: Vec<_> = all.leases.iter().map(|lease| lease.name.as_str()).collect();
    assert!(leased.contains(&"raw.wild.test"), "{leased:?}");
    assert_eq!(all.leases_total, all.leases.len() as u64);
    let hosts = all
        .hosts
        .iter()
        .find(|one| one.session == "two")
        .expect("its rows");
    assert_eq!(hosts.hosts[0].host, DENIED_V4.to_string());

    // One session: nothing of the other.
    let one = overview(&world, Some("one"));
    assert!(one.flows.iter().all(|flow| flow.session == "one"));
    assert_eq!((one.flows_total, one.status.sessions.len()), (3, 1));
    assert!(denied(&one).is_empty());
    assert!(
        one.leases
            .iter()
            .all(|lease| lease.session.as_deref() == Some("one"))
    );
    assert!(ask(&world, Some("none")).is_err_and(|error| matches!(
        error,
        ClientError::Failed(failure) if failure.code == Code::NotFound
    )));

    drop(other);
    wait_for("the end of a flow", Duration::from_secs(5), || {
        ask(&world, None).is_ok_and(|all| all.flows.iter().all(|flow| flow.session == "one"))
    })
    .unwrap_or_else(|error| panic!("{error:#}"));
}

/// A session may have been given cgroups of its own: what is opened in them is its own.
#[test]
fn flows_of_a_cgroup_below_a_session_are_the_sessions() {
    let world = TestWorld::guarded(policy());
    let mut agent = start(&world, "deep");
    let status = overview(&world, None).status;
    let mount = xtask::world::cgroup::mount_point().expect("cgroup2");
    let session = mount.join(&status.guards[0].cgroup).join("deep");
    let below = session.join("a/b");
    std::fs::create_dir_all(&below).expect("root makes cgroups");
    let listed = std::fs::read_to_string(session.join("cgroup.procs")).expect("its processes");
    for pid in listed.lines() {
        std::fs::write(below.join("cgroup.procs"), pid).expect("root moves processes");
    }
    assert_eq!(agent.does(&format!("open a {NAMELESS_V4} 9000")), "ok");
    let all = overview(&world, None);
    assert_eq!(flow(&all, 9000, |_| true).session, "deep");
}

/// The lists are of the whole machine.
#[test]
fn nobody_inside_a_guard_sees_an_overview() {
    let world = TestWorld::guarded(policy());
    let mut agent = start(&world, "curious");
    let socket = world
        .daemon()
        .expect("a daemon")
        .files()
        .socket
        .display()
        .to_string();
    for session in ["", r#","session":"curious""#] {
        let answer = agent.does(&format!(
            r#"control {socket} {{"v":1,"op":"overview"{session}}}"#
        ));
        assert!(answer.contains("forbidden"), "{answer}");
    }
}
