use super::*;
use crate::schema::{RECORD, tests::assert_of};

/// A denial as the kernel layer would write it, `second`s into a fixed minute.
pub(crate) fn denial(second: u32, address: &str) -> Record {
    let time = format!("2026-03-01T10:20:{second:02}.000250Z");
    let mut record = Record::new(Time::new(time.parse().unwrap()), Layer::Kernel, Kind::Flow);
    record.verdict = Some(Verdict::Deny);
    record.mode = Some(Mode::Enforce);
    record.reason = Some(egress_common::Reason::NoRule.code().into());
    record.session = Some("s1".to_owned());
    record.process = Some(Process {
        pid: 4242,
        uid: 1000,
        comm: "curl".to_owned(),
    });
    record.flow = Some(Flow {
        protocol: "tcp".into(),
        address: address.parse().unwrap(),
        port: 443,
    });
    record
}

#[test]
fn members_keep_their_order_and_absent_ones_are_left_out() {
    assert_eq!(
        serde_json::to_string(&denial(5, "203.0.113.7")).unwrap(),
        concat!(
            r#"{"time":"2026-03-01T10:20:05.000250Z","layer":"kernel","event":"flow","#,
            r#""verdict":"deny","mode":"enforce","reason":"no-rule","session":"s1","#,
            r#""process":{"pid":4242,"uid":1000,"comm":"curl"},"#,
            r#""flow":{"protocol":"tcp","address":"203.0.113.7","port":443}}"#,
        )
    );
}

#[test]
fn the_schema_is_the_one_of_the_type() {
    assert_of::<Sealed>(RECORD, "egress-agent/src/audit/record.schema.json");
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let mut record = denial(5, "2001:db8::7");
    record.boot_ns = Some(u64::MAX);
    record.name = Some("example.com".to_owned());
    record.answers = vec!["203.0.113.1".parse().unwrap()];
    record.count = 3;
    record.lost = BTreeMap::from([(Layer::Dns, 2), (Layer::Kernel, 9)]);
    record.allow_with = Some(serde_json::json!({"hosts": ["example.com"]}));
    record.rule = Some(Rule {
        name: "gists".to_owned(),
        line: Some(9),
    });
    record.findings = vec![Finding {
        detector: "aws-key".to_owned(),
        offset: 3,
        length: 20,
    }];
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
}

#[test]
fn codes_are_what_serde_writes() {
    for layer in Layer::ALL {
        assert_eq!(serde_json::to_value(layer).unwrap(), layer.code());
    }
    for kind in [Kind::ToolCall, Kind::PolicyRefused, Kind::Lost] {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.code());
    }
}

#[test]
fn time_is_cut_to_the_microsecond_and_always_has_six_digits() {
    let time = |text: &str| Time::new(text.parse().unwrap()).to_string();
    assert_eq!(
        time("2026-03-01T10:20:30.1234569Z"),
        "2026-03-01T10:20:30.123456Z"
    );
    assert_eq!(
        time("2026-03-01T11:20:30+01:00"),
        "2026-03-01T10:20:30.000000Z"
    );
}

#[test]
fn kernel_values_become_record_values() {
    let process = Process::from(egress_common::Process {
        pid: 7,
        uid: 0,
        comm: *b"\xffgit\0garbage\0\0\0\0",
    });
    assert_eq!(process.comm, "\u{fffd}git");
    let flow = Flow::from(egress_common::Flow::new(
        egress_common::Protocol(132),
        egress_common::Address::from_v4([203, 0, 113, 9]),
        0,
    ));
    assert_eq!(flow.protocol, "sctp");
    assert_eq!(flow.address.to_string(), "203.0.113.9");
}

#[test]
fn a_socket_says_its_family_and_name() {
    let check = |family, name: Option<&[u8]>, expected: (&str, Option<&str>)| {
        let socket = Socket::new(family, name);
        assert_eq!((&*socket.family, socket.path.as_deref()), expected);
    };
    check(40, None, ("vsock", None));
    check(99, None, ("family-99", None));
    check(1, Some(b""), ("unix", None));
    check(1, Some(b"/run/x\0"), ("unix", Some("/run/x")));
    check(1, Some(b"\0hidden"), ("unix", Some("@hidden")));
}
