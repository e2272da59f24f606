//! Whole conversations with values alone: question in, upstream's answer in, replies out.

use std::convert::Infallible;

use egress_common::Address;
use hickory_proto::{op::ResponseCode, rr::RecordType};
use proptest::prelude::*;

use super::*;
use crate::dns::fake::{
    FakeHost, FakeNames, SESSION, a, client, cname, message, name, query, query_edns, soa,
};

type TestEngine = Engine<FakeNames, u16>;

fn names() -> FakeNames {
    FakeNames::new(&[
        ("www.example.com", 1),
        ("api.example.com", 2),
        ("intern.example.com", 3),
        ("gist.example.com", 4),
        ("**.wild.example.com", 5),
    ])
}

fn world() -> (TestEngine, FakeHost) {
    (Engine::new(Leases::default()), FakeHost::new(names()))
}

/// One question of the client with this port; the reply, if it came at once.
fn ask_from(
    engine: &mut TestEngine,
    host: &FakeHost,
    port: u16,
    question: &[u8],
) -> (Step, Option<Message>) {
    let mut out = Vec::new();
    let step = engine.ask(host, client(port), question, &mut out, || port);
    let reply = (step == Step::Reply).then(|| Message::from_vec(&out).unwrap());
    (step, reply)
}

fn ask(engine: &mut TestEngine, host: &FakeHost, name: &str, kind: u16) -> (Step, Option<Message>) {
    ask_from(engine, host, 4000, &query_edns(name, kind, 1232, 0, &[]))
}

fn reply(engine: &mut TestEngine, host: &FakeHost, name: &str, kind: u16) -> Message {
    ask(engine, host, name, kind).1.expect("no reply at once")
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a result is what the engine takes"
)]
fn upstream(message: Message) -> Result<Upstream, Infallible> {
    let server = "192.0.2.53:53".parse().unwrap();
    Ok(Upstream {
        message: Box::new(message),
        server,
        latency: Duration::from_millis(3),
    })
}

/// Asks, lets the upstream answer, and reads the reply.
fn resolve(
    engine: &mut TestEngine,
    host: &FakeHost,
    question: &str,
    kind: u16,
    answers: Vec<hickory_proto::rr::Record>,
) -> Message {
    let lookup = Lookup {
        name: name(question),
        kind,
    };
    assert_eq!(
        ask(engine, host, question, kind).0,
        Step::Ask(lookup.clone())
    );
    let mut replies = engine.answered(
        host,
        &lookup,
        upstream(message(question, kind, ResponseCode::NoError, answers)),
    );
    assert_eq!(replies.len(), 1);
    Message::from_vec(&replies.remove(0).1).unwrap()
}

fn code(message: &Message) -> u16 {
    message.metadata.response_code.into()
}

/// Code and text of the extended error.
fn extended(message: &Message) -> (u16, String) {
    let edns = message.edns.as_ref().expect("no EDNS");
    for (number, option) in edns.options().as_ref() {
        if u16::from(*number) == 15 {
            let bytes = Vec::<u8>::try_from(option).unwrap();
            return (
                u16::from_be_bytes([bytes[0], bytes[1]]),
                String::from_utf8(bytes[2..].to_vec()).unwrap(),
            );
        }
    }
    panic!("no extended error: {message:?}");
}

#[track_caller]
fn check_refused(host: &FakeHost, message: &Message, reason: Reason, words: &str) {
    assert_eq!(code(message), 5, "{message:?}");
    let (number, text) = extended(message);
    assert_eq!(number, 18);
    assert!(
        text.starts_with(&format!("egressd: {}: ", reason.code())) && text.contains(words),
        "{text}"
    );
    assert_eq!(host.last().reason, Some(reason));
    assert!(message.answers.is_empty());
}

#[test]
fn a_denied_name_is_refused_at_once_and_says_why() {
    let (mut engine, host) = world();
    for denied in [
        "evil.example",
        "example.com",
        "com",
        "",
        "1.113.0.203.in-addr.arpa",
    ] {
        let message = reply(&mut engine, &host, denied, 1);
        check_refused(&host, &message, Reason::NameDenied, "is in no allow rule");
    }
    let message = reply(&mut engine, &host, "gist.example.com", 1);
    check_refused(&host, &message, Reason::DeniedByRule, "use a pull request");
    assert_eq!(host.installs.get(), 0);
}

#[test]
fn a_type_that_the_policy_does_not_name_is_refused() {
    let (mut engine, host) = world();
    for kind in [2, 6, 10, 12, 15, 33, 46, 48, 251, 252, 255, 65_280] {
        let message = reply(&mut engine, &host, "www.example.com", kind);
        check_refused(&host, &message, Reason::TypeDenied, &kind.to_string());
    }
    for kind in [1, 5, 16, 28, 64, 65] {
        assert!(
            matches!(
                ask(&mut engine, &host, "www.example.com", kind).0,
                Step::Ask(_)
            ),
            "{kind}"
        );
    }
}

#[test]
fn an_asker_whom_nobody_knows_is_refused() {
    let (mut engine, host) = world();
    let message = ask_from(
        &mut engine,
        &host,
        5,
        &query_edns("www.example.com", 1, 1232, 0, &[]),
    )
    .1
    .unwrap();
    check_refused(&host, &message, Reason::UnknownClient, "");
}

#[test]
fn what_is_no_question_is_recorded_as_such() {
    let (mut engine, host) = world();
    let mut question = query("www.example.com", 1);
    question[5] = 2;
    let message = ask_from(&mut engine, &host, 4000, &question).1.unwrap();
    assert_eq!(
        (code(&message), host.last().reason),
        (1, Some(Reason::BadQuestion))
    );
    question[2] |= 0x80;
    assert_eq!(
        ask_from(&mut engine, &host, 4000, &question).0,
        Step::Silent
    );
    assert_eq!(host.records.borrow().len(), 1);
}

#[test]
fn an_answer_is_leased_before_it_is_given() {
    let (mut engine, host) = world();
    let answers = vec![
        cname("www.example.com", 90, "edge.example.org"),
        a("edge.example.org", 60, "203.0.113.1"),
    ];
    let message = resolve(&mut engine, &host, "www.example.com", 1, answers);
    assert_eq!((code(&message), message.answers.len()), (0, 2));
    assert!(message.answers.iter().all(|record| record.ttl == 60));
    assert_eq!(host.grants(SESSION, "203.0.113.1"), [(1, 70)]);
    let last = host.last();
    assert_eq!(
        (last.reason, last.addresses, last.upstream, last.cached),
        (None, vec!["203.0.113.1".to_owned()], true, false)
    );
}

#[test]
fn a_cached_answer_ages_and_leases_for_each_session_before_it_is_given() {
    let (mut engine, mut host) = world();
    host.session_per_port = true;
    let question = query("www.example.com", 1);
    assert!(matches!(
        ask_from(&mut engine, &host, 100, &question).0,
        Step::Ask(_)
    ));
    let lookup = Lookup {
        name: name("www.example.com"),
        kind: 1,
    };
    let answer = message(
        "www.example.com",
        1,
        ResponseCode::NoError,
        vec![a("www.example.com", 60, "203.0.113.1")],
    );
    engine.answered(&host, &lookup, upstream(answer));
    assert_eq!(host.installs.get(), 1);

    host.pass(10);
    let hit = ask_from(&mut engine, &host, 100, &question).1.unwrap();
    assert_eq!(hit.answers[0].ttl, 50);
    assert_eq!(
        host.installs.get(),
        1,
        "the lease outlives the answer already"
    );
    assert!(host.grants(200, "203.0.113.1").is_empty());
    ask_from(&mut engine, &host, 200, &question).1.unwrap();
    assert_eq!(host.grants(200, "203.0.113.1"), [(1, 60)]);
    assert!(host.last().cached);

    host.pass(49);
    assert_eq!(
        ask_from(&mut engine, &host, 100, &question)
            .1
            .unwrap()
            .answers[0]
            .ttl,
        1
    );
    assert_eq!(host.grants(100, "203.0.113.1"), [(1, 30)], "floored anew");
    host.pass(1);
    assert!(
        matches!(ask_from(&mut engine, &host, 100, &question).0, Step::Ask(_)),
        "too old"
    );
}

#[test]
fn a_lease_always_outlives_the_answer() {
    for ttl in [1_u32, 19, 20, 21, 100, 300, 5000] {
        let (mut engine, host) = world();
        resolve(
            &mut engine,
            &host,
            "www.example.com",
            1,
            vec![a("www.example.com", ttl, "203.0.113.1")],
        );
        for _ in 0..40 {
            host.pass(7);
            let (step, reply) = ask(&mut engine, &host, "www.example.com", 1);
            let Some(reply) = reply else {
                assert!(matches!(step, Step::Ask(_)));
                break;
            };
            let left = host.grants(SESSION, "203.0.113.1")[0].1;
            assert!(
                left >= u64::from(reply.answers[0].ttl) + 5,
                "{left} s for {:?}",
                reply.answers[0]
            );
            assert!(left <= 310);
        }
    }
}

#[test]
fn a_kernel_that_takes_no_lease_means_no_answer_and_no_memory_of_it() {
    let (mut engine, host) = world();
    host.is_broken.set(true);
    let message = resolve(
        &mut engine,
        &host,
        "www.example.com",
        1,
        vec![a("www.example.com", 60, "203.0.113.1")],
    );
    assert_eq!((code(&message), message.answers.len()), (2, 0));
    assert!(extended(&message).1.starts_with("egressd: lease-failed: "));
    assert_eq!(host.last().reason, Some(Reason::LeaseFailed));
    assert!(engine.leases().is_empty());
    assert_eq!(
        code(&reply(&mut engine, &host, "www.example.com", 1)),
        2,
        "from the cache neither"
    );
    host.is_broken.set(false);
    assert_eq!(code(&reply(&mut engine, &host, "www.example.com", 1)), 0);
    assert_eq!(host.grants(SESSION, "203.0.113.1"), [(1, 70)]);
}

#[test]
fn an_answer_that_leads_into_private_space_is_refused_unless_the_name_may() {
    let (mut engine, host) = world();
    let message = resolve(
        &mut engine,
        &host,
        "www.example.com",
        1,
        vec![a("www.example.com", 60, "10.0.0.1")],
    );
    check_refused(&host, &message, Reason::PrivateAnswer, "dns.private");
    let message = resolve(
        &mut engine,
        &host,
        "intern.example.com",
        1,
        vec![a("intern.example.com", 60, "10.0.0.1")],
    );
    assert_eq!(message.answers.len(), 1);
    assert_eq!(host.grants(SESSION, "10.0.0.1"), [(3, 70)]);
}

#[test]
fn identical_questions_are_asked_once_and_answered_each_in_its_own_words() {
    let (mut engine, host) = world();
    let questions = [
        query("WWW.example.com", 1),
        query_edns("www.EXAMPLE.com", 1, 1232, 0, &[]),
        query("www.example.com", 1),
    ];
    let steps: Vec<_> = (100..)
        .zip(&questions)
        .map(|(port, question)| ask_from(&mut engine, &host, port, question).0)
        .collect();
    let lookup = Lookup {
        name: name("www.example.com"),
        kind: 1,
    };
    assert_eq!(steps, [Step::Ask(lookup.clone()), Step::Wait, Step::Wait]);
    let answer = message(
        "www.example.com",
        1,
        ResponseCode::NoError,
        vec![a("www.example.com", 60, "203.0.113.1")],
    );
    let replies = engine.answered(&host, &lookup, upstream(answer.clone()));
    assert_eq!(
        replies.iter().map(|(port, _)| *port).collect::<Vec<_>>(),
        [100, 101, 102]
    );
    for ((_, reply), question) in replies.iter().zip(&questions) {
        assert_eq!(reply[12..33], question[12..33]);
        assert_eq!(Message::from_vec(reply).unwrap().answers.len(), 1);
    }
    assert!(
        engine.answered(&host, &lookup, upstream(answer)).is_empty(),
        "answered once"
    );
}

#[test]
fn a_session_has_a_bound_of_open_questions_that_others_do_not_feel() {
    let (mut engine, mut host) = world();
    host.session_per_port = true;
    let question = query_edns("www.example.com", 1, 1232, 0, &[]);
    for _ in 0..MAX_OPEN {
        assert_ne!(ask_from(&mut engine, &host, 100, &question).0, Step::Reply);
    }
    let message = ask_from(&mut engine, &host, 100, &question).1.unwrap();
    check_refused(&host, &message, Reason::TooManyQuestions, "later");
    assert_eq!(ask_from(&mut engine, &host, 200, &question).0, Step::Wait);
    let lookup = Lookup {
        name: name("www.example.com"),
        kind: 1,
    };
    let replies = engine.answered(&host, &lookup, Err("nobody is there"));
    assert_eq!(replies.len(), MAX_OPEN + 1);
    let message = Message::from_vec(&replies[0].1).unwrap();
    assert_eq!((code(&message), extended(&message).0), (2, 22));
    assert!(matches!(
        ask_from(&mut engine, &host, 100, &question).0,
        Step::Ask(_)
    ));
}

#[test]
fn a_wildcard_has_a_budget_of_names_and_misses_count() {
    let (mut engine, host) = world();
    for number in 0..3 {
        let question = format!("n{number}.wild.example.com");
        let lookup = Lookup {
            name: name(&question),
            kind: 1,
        };
        assert_eq!(
            ask(&mut engine, &host, &question, 1).0,
            Step::Ask(lookup.clone())
        );
        let mut answer = message(&question, 1, ResponseCode::NXDomain, vec![]);
        answer.authorities.push(soa("example.com", 60, 60));
        let replies = engine.answered(&host, &lookup, upstream(answer));
        assert_eq!(code(&Message::from_vec(&replies[0].1).unwrap()), 3);
    }
    assert_eq!(
        code(&reply(&mut engine, &host, "n1.wild.example.com", 1)),
        3,
        "a miss is cached and known"
    );
    let message = reply(&mut engine, &host, "n3.wild.example.com", 1);
    check_refused(&host, &message, Reason::NameBudget, "**.wild.example.com");
    assert!(matches!(
        ask(&mut engine, &host, "www.example.com", 1).0,
        Step::Ask(_)
    ));
    assert_eq!(engine.budgets().used(SESSION, "**.wild.example.com"), 3);
}

#[test]
fn a_label_that_looks_like_data_is_refused_under_a_wildcard_and_not_counted() {
    let (mut engine, host) = world();
    let message = reply(
        &mut engine,
        &host,
        "mzxw6ytboi4dsmjrgezdgnbvgy3tqojq.wild.example.com",
        1,
    );
    check_refused(&host, &message, Reason::SuspiciousName, "mzxw6");
    assert_eq!(engine.budgets().used(SESSION, "**.wild.example.com"), 0);
}

#[test]
fn another_policy_is_another_cache_and_judges_what_is_on_its_way() {
    let (mut engine, host) = world();
    resolve(
        &mut engine,
        &host,
        "www.example.com",
        1,
        vec![a("www.example.com", 60, "203.0.113.1")],
    );
    assert!(matches!(
        ask(&mut engine, &host, "api.example.com", 1).0,
        Step::Ask(_)
    ));
    host.set_names(FakeNames::new(&[("other.example.com", 1)]));
    let message = reply(&mut engine, &host, "www.example.com", 1);
    check_refused(&host, &message, Reason::NameDenied, "");
    let lookup = Lookup {
        name: name("api.example.com"),
        kind: 1,
    };
    let answer = crate::dns::fake::message(
        "api.example.com",
        1,
        ResponseCode::NoError,
        vec![a("api.example.com", 60, "203.0.113.2")],
    );
    let replies = engine.answered(&host, &lookup, upstream(answer));
    assert_eq!(code(&Message::from_vec(&replies[0].1).unwrap()), 5);
    assert!(host.grants(SESSION, "203.0.113.2").is_empty());
}

#[test]
fn names_of_the_machine_itself_never_leave_it() {
    let (mut engine, host) = world();
    for (question, kind, rcode, answer) in [
        ("localhost", 1, 0, Some("127.0.0.1")),
        ("a.b.localhost", 28, 0, Some("::1")),
        ("localhost", 65, 0, None),
        ("use-application-dns.net", 1, 3, None),
        ("1.0.0.127.in-addr.arpa", 12, 0, Some("localhost.")),
    ] {
        let message = reply(&mut engine, &host, question, kind);
        assert_eq!(code(&message), rcode, "{question}");
        assert_eq!(
            message
                .answers
                .first()
                .map(|record| record.data.to_string())
                .as_deref(),
            answer
        );
    }
    assert_eq!(host.installs.get(), 0);
    let message = reply(&mut engine, &host, "_dns.resolver.arpa", 64);
    check_refused(&host, &message, Reason::NameDenied, "");
}

#[test]
fn a_reverse_name_is_answered_from_the_sessions_own_live_leases() {
    let (mut engine, mut host) = world();
    host.session_per_port = true;
    let lookup = Lookup {
        name: name("www.example.com"),
        kind: 1,
    };
    ask_from(&mut engine, &host, 100, &query("www.example.com", 1));
    let answer = message(
        "www.example.com",
        1,
        ResponseCode::NoError,
        vec![a("www.example.com", 60, "203.0.113.1")],
    );
    engine.answered(&host, &lookup, upstream(answer));
    let question = query_edns("1.113.0.203.in-addr.arpa", 12, 1232, 0, &[]);
    let message = ask_from(&mut engine, &host, 100, &question).1.unwrap();
    assert_eq!(message.answers[0].record_type(), RecordType::PTR);
    assert_eq!(message.answers[0].data.to_string(), "www.example.com.");
    let message = ask_from(&mut engine, &host, 200, &question).1.unwrap();
    check_refused(&host, &message, Reason::NameDenied, "");
    host.pass(1000);
    let message = ask_from(&mut engine, &host, 100, &question).1.unwrap();
    check_refused(&host, &message, Reason::NameDenied, "");
}

#[test]
fn a_session_that_ended_holds_nothing_and_gets_nothing() {
    let (mut engine, host) = world();
    resolve(
        &mut engine,
        &host,
        "www.example.com",
        1,
        vec![a("www.example.com", 60, "203.0.113.1")],
    );
    ask(&mut engine, &host, "api.example.com", 1);
    engine.end(&host, SESSION).unwrap();
    assert!(host.kernel.borrow().is_empty());
    let lookup = Lookup {
        name: name("api.example.com"),
        kind: 1,
    };
    let answer = message(
        "api.example.com",
        1,
        ResponseCode::NoError,
        vec![a("api.example.com", 60, "203.0.113.2")],
    );
    assert!(engine.answered(&host, &lookup, upstream(answer)).is_empty());
    assert!(host.kernel.borrow().is_empty());
}

#[test]
fn a_policy_that_observes_refuses_nothing_records_everything_and_grants_nothing() {
    let mut names = names();
    names.settings.observe = true;
    let (mut engine, host) = (Engine::new(Leases::default()), FakeHost::new(names));
    let message = resolve(
        &mut engine,
        &host,
        "evil.example",
        1,
        vec![a("evil.example", 60, "203.0.113.1")],
    );
    assert_eq!(message.answers.len(), 1);
    assert_eq!(
        (host.last().reason, host.last().observed),
        (Some(Reason::NameDenied), true)
    );
    assert!(host.grants(SESSION, "203.0.113.1").is_empty());
    let held = engine
        .leases()
        .name(SESSION, Address::from_v4([203, 0, 113, 1]))
        .unwrap();
    assert_eq!(&**held.name, "evil.example", "known by name all the same");
    let message = resolve(
        &mut engine,
        &host,
        "www.example.com",
        1,
        vec![a("www.example.com", 60, "10.0.0.1")],
    );
    assert_eq!(message.answers.len(), 1);
    assert_eq!(
        (host.last().reason, host.last().observed),
        (Some(Reason::PrivateAnswer), true)
    );
    for number in 0..5 {
        let question = format!("n{number}.wild.example.com");
        resolve(
            &mut engine,
            &host,
            &question,
            1,
            vec![a(&question, 60, "203.0.113.5")],
        );
        assert_eq!(
            host.last().reason,
            (number >= 3).then_some(Reason::NameBudget),
            "{question}"
        );
    }
    let message = reply(&mut engine, &host, "evil.example", 255);
    check_refused(&host, &message, Reason::NameDenied, "");
}

#[test]
fn an_observed_answer_teaches_the_same_leases() {
    let (mut engine, host) = world();
    let observe = |engine: &mut TestEngine, question: &str, address: &str| {
        let lookup = Lookup {
            name: name(question),
            kind: 1,
        };
        let answer = message(
            question,
            1,
            ResponseCode::NoError,
            vec![a(question, 60, address)],
        );
        let client_ = Client {
            session: SESSION,
            ..Client::default()
        };
        engine.observe(&host, client_, client(4000), &lookup, &answer);
        host.last().reason
    };
    assert_eq!(observe(&mut engine, "www.example.com", "203.0.113.1"), None);
    assert_eq!(host.grants(SESSION, "203.0.113.1"), [(1, 70)]);
    assert_eq!(
        observe(&mut engine, "evil.example", "203.0.113.2"),
        Some(Reason::NameDenied)
    );
    assert_eq!(
        observe(&mut engine, "www.example.com", "10.0.0.1"),
        Some(Reason::PrivateAnswer)
    );
    assert_eq!(host.kernel.borrow().len(), 1);
}

#[test]
fn an_answer_of_four_thousand_records_is_bounded() {
    let (mut engine, host) = world();
    let many = (0..4000_u32)
        .map(|number| {
            a(
                "www.example.com",
                60,
                &std::net::Ipv4Addr::from(0xcb00_0000 + number).to_string(),
            )
        })
        .collect();
    let message = resolve(&mut engine, &host, "www.example.com", 1, many);
    assert!(!message.metadata.truncation);
    assert_eq!(message.answers.len(), 64);
    assert_eq!(host.kernel.borrow().len(), 64);
}

proptest! {
    #[test]
    fn a_reply_parses_and_repeats_id_and_question_whatever_is_asked(
        name in "[a-zA-Z0-9_-]{1,20}(\\.[a-zA-Z0-9_-]{1,20}){0,4}",
        kind: u16,
        id: u16,
        size: u16,
        options in prop::collection::vec(any::<u8>(), 0..40),
        is_known: bool,
    ) {
        let (mut engine, host) = world();
        let name = if is_known { "wWw.eXample.com".to_owned() } else { name };
        let mut question = query_edns(&name, kind, size, 0, &options);
        question[..2].copy_from_slice(&id.to_be_bytes());
        let end = question.len() - 11 - options.len();
        let mut out = Vec::new();
        let reply = match engine.ask(&host, client(4000), &question, &mut out, || 1) {
            Step::Reply => out,
            Step::Ask(lookup) => {
                let answers = vec![a(&lookup.name, 5, "203.0.113.1"), a(&lookup.name, 5, "2001:db8::1")];
                let answer = message(&lookup.name, lookup.kind, ResponseCode::NoError, answers);
                engine.answered(&host, &lookup, upstream(answer)).remove(0).1
            }
            Step::Silent | Step::Wait | Step::Approve { .. } => panic!("a good question must be answered"),
        };
        prop_assert!(reply.len() <= 1232);
        prop_assert_eq!(&reply[..2], &id.to_be_bytes());
        prop_assert_eq!(&reply[12..end], &question[12..end]);
        Message::from_vec(&reply).unwrap();
    }

    #[test]
    fn no_message_panics_and_every_reply_parses(bytes in prop::collection::vec(any::<u8>(), 0..300), port: u16) {
        let (mut engine, host) = world();
        let mut out = Vec::new();
        if engine.ask(&host, client(port), &bytes, &mut out, || 1) == Step::Reply {
            Message::from_vec(&out).unwrap();
        }
    }
}
