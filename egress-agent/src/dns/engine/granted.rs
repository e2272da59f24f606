//! Names that one session alone was granted, and names that a person is asked about.

use std::convert::Infallible;

use super::*;
use crate::dns::fake::{FakeHost, FakeNames, SECOND, a, client, message, name, query};

const A: u16 = 1;
const NAME: &str = "asked.example.com";

type TestEngine = Engine<FakeNames, u16>;

/// The session is the port of the client.
fn world() -> (TestEngine, FakeHost) {
    let mut names = FakeNames::new(&[("www.example.com", 1)]);
    names.ask = vec![NAME.to_owned()];
    let mut host = FakeHost::new(names);
    host.session_per_port = true;
    (Engine::new(Leases::default()), host)
}

/// From now on this session alone may have the name, until then.
fn grant(host: &FakeHost, session: u64, until: u64) {
    let mut names = FakeNames::new(&[("www.example.com", 1), (NAME, 2)]);
    names.settings.alone = Some(session);
    names.until = until;
    host.alone.borrow_mut().insert(session, Arc::new(names));
    // Another policy is another `Arc`, for everybody.
    let all = (**host.names.borrow()).clone();
    host.set_names(all);
}

fn ask(engine: &mut TestEngine, host: &FakeHost, port: u16, may_wait: bool) -> (Step, Vec<u8>) {
    let mut out = Vec::new();
    let asked = query(NAME, A);
    let mut reply_to = Some(|| port);
    let step = engine.ask_with(
        host,
        (client(port), &asked),
        &mut out,
        &mut reply_to,
        may_wait,
    );
    assert_eq!(
        reply_to.is_some(),
        !matches!(step, Step::Ask(_) | Step::Wait),
        "{step:?}"
    );
    (step, out)
}

fn answer(engine: &mut TestEngine, host: &FakeHost) -> Vec<(u16, Message)> {
    let lookup = Lookup {
        name: name(NAME),
        kind: A,
    };
    let answer = message(
        NAME,
        A,
        hickory_proto::op::ResponseCode::NoError,
        vec![a(NAME, 300, "203.0.113.9")],
    );
    let upstream: Result<Upstream, Infallible> = Ok(Upstream {
        message: Box::new(answer),
        server: "192.0.2.53:53".parse().unwrap(),
        latency: Duration::from_millis(3),
    });
    let replies = engine.answered(host, &lookup, upstream);
    replies
        .into_iter()
        .map(|(port, bytes)| (port, Message::from_vec(&bytes).unwrap()))
        .collect()
}

fn code(bytes: &[u8]) -> u16 {
    u16::from(Message::from_vec(bytes).unwrap().metadata.response_code)
}

#[test]
fn a_question_that_may_wait_is_neither_answered_nor_recorded_nor_passed_on() {
    let (mut engine, host) = world();
    let (step, out) = ask(&mut engine, &host, 4000, true);
    let Step::Approve { client, name, .. } = step else {
        panic!("{step:?}");
    };
    assert_eq!((client.session, &*name), (4000, NAME));
    assert!(out.is_empty() && host.records.borrow().is_empty());
    let (step, out) = ask(&mut engine, &host, 4000, false);
    assert_eq!((step, code(&out)), (Step::Reply, 5));
    assert_eq!(host.last().reason, Some(Reason::NeedsApproval));
    // An observed session is refused nothing, and waits for nobody.
    let mut names = (**host.names.borrow()).clone();
    names.settings.observe = true;
    host.set_names(names);
    assert!(matches!(
        ask(&mut engine, &host, 4000, true).0,
        Step::Ask(_)
    ));
}

#[test]
fn what_one_session_is_answered_is_for_nobody_else() {
    let (mut engine, host) = world();
    grant(&host, 4000, u64::MAX);
    assert!(matches!(
        ask(&mut engine, &host, 4000, true).0,
        Step::Ask(_)
    ));
    assert_eq!(answer(&mut engine, &host).len(), 1);
    // From its cache.
    assert_eq!(ask(&mut engine, &host, 4000, true).0, Step::Reply);
    assert!(host.last().cached);
    for (port, may_wait) in [(4001, false), (4001, true)] {
        let (step, _) = ask(&mut engine, &host, port, may_wait);
        assert_eq!(matches!(step, Step::Approve { .. }), may_wait);
        assert!(host.grants(4001, "203.0.113.9").is_empty());
    }
    // Both wait for the same upstream; one may have the answer.
    grant(&host, 4000, u64::MAX);
    assert!(matches!(
        ask(&mut engine, &host, 4000, true).0,
        Step::Ask(_)
    ));
    grant(&host, 4001, u64::MAX);
    assert_eq!(ask(&mut engine, &host, 4001, true).0, Step::Wait);
    host.alone.borrow_mut().remove(&4001);
    let replies = answer(&mut engine, &host);
    let answers: Vec<_> = replies
        .iter()
        .map(|(port, reply)| (*port, reply.answers.len()))
        .collect();
    assert_eq!(answers, [(4000, 1), (4001, 0)]);
    assert!(host.grants(4001, "203.0.113.9").is_empty());
    engine.end(&host, 4000).unwrap();
    assert!(engine.cached() == 0 && host.grants(4000, "203.0.113.9").is_empty());
}

/// The kernel ends it, though the answer is good for longer and the daemon may be dead by then.
#[test]
fn a_lease_lasts_no_longer_than_the_grant_behind_it() {
    let (mut engine, host) = world();
    let now = host.now();
    grant(&host, 4000, now + 50 * SECOND);
    assert!(matches!(
        ask(&mut engine, &host, 4000, true).0,
        Step::Ask(_)
    ));
    answer(&mut engine, &host);
    assert_eq!(host.grants(4000, "203.0.113.9"), [(2, 50)]);
    let installs = host.installs.get();
    host.pass(30);
    assert_eq!(ask(&mut engine, &host, 4000, true).0, Step::Reply);
    assert_eq!(host.grants(4000, "203.0.113.9"), [(2, 20)]);
    assert_eq!(host.installs.get(), installs, "nothing had to be written");
    // It was granted for longer.
    grant(&host, 4000, now + 100 * SECOND);
    assert!(matches!(
        ask(&mut engine, &host, 4000, true).0,
        Step::Ask(_)
    ));
    answer(&mut engine, &host);
    assert_eq!(host.grants(4000, "203.0.113.9"), [(2, 70)]);
    // And then without an end, and the table of a restarted daemon knows no grant at all.
    let until = |until| {
        let leases = engine.leases();
        let judged = leases.rejudged(|_, _| {
            Some(crate::dns::leases::Grant {
                rules: [RuleId(2)].into(),
                set: egress_common::PortSet(2),
                until,
            })
        });
        let lease = judged.image().next().unwrap().2;
        lease.grants.iter().map(|grant| grant.expires).max()
    };
    assert_eq!(until(now + 5 * SECOND), Some(now + 5 * SECOND));
    assert!(until(u64::MAX) > Some(now + 100 * SECOND));
    assert!(engine.leases().rejudged(|_, _| None).is_empty());
}
