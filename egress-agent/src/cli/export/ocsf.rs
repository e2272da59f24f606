//! A record as an event of the Open Cybersecurity Schema Framework, <https://schema.ocsf.io/1.5.0>.
//!
//! | record | class |
//! |---|---|
//! | a flow, a socket, a request | Network Activity, 4001 |
//! | a DNS question | DNS Activity, 4003 |
//! | a tool call, an MCP message | API Activity, 6003 |
//! | any of these with findings | Detection Finding, 2004 |
//! | the daemon's life | Application Lifecycle, 6002 |
//!
//! What has no attribute there stands in `unmapped`, so that nothing is lost.

use serde_json::{Map, Value, json};

use crate::audit::record::{Kind, Mode, Process, Record, Sealed, Verdict};

const VERSION: &str = "1.5.0";
const OUTBOUND: u8 = 2;
/// Activity of every class that has no number of its own.
const OTHER: u8 = 99;

/// Class, activity and its name.
#[derive(Clone, Copy)]
struct Class {
    category: u32,
    uid: u32,
    activity: u8,
    name: &'static str,
}

/// The event of a record.
pub(super) fn event(sealed: &Sealed) -> Value {
    let record = &sealed.record;
    let class = class(record);
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| {
        event.insert(key.to_owned(), value);
    };
    put("category_uid", json!(class.category));
    put("class_uid", json!(class.uid));
    put("activity_id", json!(class.activity));
    put("activity_name", json!(class.name));
    put(
        "type_uid",
        json!(u64::from(class.uid) * 100 + u64::from(class.activity)),
    );
    put("time", json!(record.time.timestamp().as_millisecond()));
    put("severity_id", json!(severity(record)));
    put("count", json!(record.count));
    put("metadata", metadata(sealed, class));
    put("message", json!(message(record)));
    if let Some(reason) = &record.reason {
        put("status_detail", json!(reason));
    }
    match class.uid {
        4001 => {
            put("dst_endpoint", endpoint(record));
            put("connection_info", connection(record));
        }
        4003 => {
            // The guard resolver, or the one that was asked.
            put(
                "dst_endpoint",
                json!({ "name": "resolver", "svc_name": "dns" }),
            );
            put("query", question(record));
            let answers = record.answers.iter();
            let answers: Vec<_> = answers
                .map(|it| json!({ "rdata": it.to_string() }))
                .collect();
            if !answers.is_empty() {
                put("answers", json!(answers));
            }
        }
        6003 => {
            put("api", api(record));
            put("src_endpoint", source(record));
        }
        2004 => {
            put("finding_info", finding_info(sealed));
            put("evidences", json!([evidence(record)]));
            put("is_alert", json!(record.verdict != Some(Verdict::Allow)));
        }
        _ => put("app", product()),
    }
    if class.uid != 6002 {
        put("actor", actor(record));
        let (action, disposition) = outcome(record);
        put("action_id", json!(action));
        put("disposition_id", json!(disposition));
        if let Some(rule) = &record.rule {
            put("firewall_rule", json!({ "name": rule.name }));
        }
        if let Some(policy) = &record.policy {
            put(
                "policy",
                json!({ "name": policy.name, "uid": policy.digest }),
            );
        }
    }
    put("unmapped", unmapped(record));
    Value::Object(event)
}

fn class(record: &Record) -> Class {
    let is_refused = matches!(record.verdict, Some(Verdict::Deny | Verdict::Ask));
    let network = |uid, activity, name| Class {
        category: 4,
        uid,
        activity,
        name,
    };
    let application = |uid, activity, name| Class {
        category: 6,
        uid,
        activity,
        name,
    };
    if !record.findings.is_empty() {
        return Class {
            category: 2,
            uid: 2004,
            activity: 1,
            name: "Create",
        };
    }
    match record.event {
        Kind::Flow | Kind::Socket | Kind::Request if is_refused => network(4001, 5, "Refuse"),
        Kind::Flow | Kind::Socket | Kind::Request => network(4001, 1, "Open"),
        Kind::Question => network(4003, 6, "Traffic"),
        Kind::ToolCall => application(6003, OTHER, "tool-call"),
        Kind::Message => application(6003, OTHER, "message"),
        Kind::Start => application(6002, 3, "Start"),
        Kind::Stop => application(6002, 4, "Stop"),
        Kind::PolicyLoaded
        | Kind::PolicyRefused
        | Kind::SessionBegin
        | Kind::SessionEnd
        | Kind::GuardAttached
        | Kind::GuardLost
        | Kind::GuardReleased
        | Kind::SettingChanged
        | Kind::GrantAdded
        | Kind::GrantEnded
        | Kind::Approval
        | Kind::Lost
        | Kind::Mended => application(6002, OTHER, record.event.code()),
    }
}

/// 1 informational, 2 low, 3 medium, 4 high.
fn severity(record: &Record) -> u8 {
    match record.event {
        Kind::GuardLost | Kind::Lost | Kind::Mended | Kind::PolicyRefused => 4,
        Kind::GuardReleased | Kind::SettingChanged | Kind::GrantAdded => 3,
        Kind::GrantEnded => 1,
        Kind::Flow
        | Kind::Socket
        | Kind::Question
        | Kind::ToolCall
        | Kind::Message
        | Kind::Request
        | Kind::Start
        | Kind::Stop
        | Kind::PolicyLoaded
        | Kind::SessionBegin
        | Kind::SessionEnd
        | Kind::Approval
        | Kind::GuardAttached => match record.verdict {
            _ if !record.findings.is_empty() => 4,
            Some(Verdict::Deny) => 3,
            Some(Verdict::Redact | Verdict::Ask) => 2,
            Some(Verdict::Allow) | None => 1,
        },
    }
}

/// Action and disposition of the profile `security_control`.
fn outcome(record: &Record) -> (u8, u8) {
    match (record.verdict, record.mode) {
        // Observed, logged.
        (Some(Verdict::Deny | Verdict::Redact | Verdict::Ask), Some(Mode::Observe)) => (3, 17),
        // Denied, blocked.
        (Some(Verdict::Deny), Some(Mode::Enforce) | None) => (2, 2),
        // Modified, corrected.
        (Some(Verdict::Redact), Some(Mode::Enforce) | None) => (4, 11),
        // Unknown, delayed: a person decides.
        (Some(Verdict::Ask), Some(Mode::Enforce) | None) => (0, 14),
        // Allowed.
        (Some(Verdict::Allow), _) => (1, 1),
        (None, _) => (0, 0),
    }
}

fn metadata(sealed: &Sealed, class: Class) -> Value {
    let mut metadata = json!({
        "version": VERSION,
        "product": product(),
        "uid": sealed.hash.to_string(),
        "sequence": sealed.seq,
        "log_name": "audit",
        "log_version": sealed.v.to_string(),
        "log_provider": sealed.record.layer.code(),
    });
    let profiles: &[&str] = match class.uid {
        6002 => &[],
        // These classes have an actor of their own.
        6003 => &["security_control"],
        _ => &["security_control", "host"],
    };
    if !profiles.is_empty() {
        set(&mut metadata, "profiles", json!(profiles));
    }
    metadata
}

fn product() -> Value {
    json!({
        "name": "egressd",
        "vendor_name": "egressd",
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// One line for people.
fn message(record: &Record) -> String {
    if let Some(message) = &record.message {
        return message.clone();
    }
    let what = record
        .tool
        .as_ref()
        .map(|tool| tool.name.as_str())
        .or(record.name.as_deref());
    let words = [
        record.verdict.map(Verdict::code),
        Some(record.event.code()),
        what,
        record.reason.as_deref(),
    ];
    let words: Vec<_> = words.into_iter().flatten().collect();
    words.join(" ")
}

fn endpoint(record: &Record) -> Value {
    let mut endpoint = Map::new();
    if let Some(flow) = &record.flow {
        endpoint.insert("ip".to_owned(), json!(flow.address.to_string()));
        endpoint.insert("port".to_owned(), json!(flow.port));
    }
    if let Some(name) = &record.name {
        endpoint.insert("hostname".to_owned(), json!(name));
    }
    if let Some(socket) = &record.socket {
        let path = socket.path.as_deref();
        endpoint.insert("name".to_owned(), json!(path.unwrap_or(&socket.family)));
    }
    if endpoint.is_empty() {
        let host = record.hosts.first().map_or("unknown", String::as_str);
        endpoint.insert("name".to_owned(), json!(host));
    }
    Value::Object(endpoint)
}

fn connection(record: &Record) -> Value {
    let mut connection = json!({ "direction_id": OUTBOUND, "direction": "Outbound" });
    if let Some(flow) = &record.flow {
        set(&mut connection, "protocol_name", json!(flow.protocol));
        // IANA's numbers.
        let number = match flow.protocol.as_ref() {
            "tcp" => Some(6),
            "udp" => Some(17),
            other => other
                .strip_prefix("ip-protocol-")
                .and_then(|it| it.parse().ok()),
        };
        if let Some(number) = number {
            set(&mut connection, "protocol_num", json!(number));
        }
    } else if let Some(socket) = &record.socket {
        set(&mut connection, "protocol_name", json!(socket.family));
    }
    connection
}

fn question(record: &Record) -> Value {
    let mut question = json!({ "hostname": record.name.as_deref().unwrap_or_default() });
    if let Some(qtype) = &record.qtype {
        set(&mut question, "type", json!(qtype));
    }
    question
}

fn api(record: &Record) -> Value {
    let tool = record.tool.as_ref();
    let operation = tool.map_or(record.event.code(), |tool| tool.name.as_str());
    let mut api = json!({ "operation": operation });
    if let Some(server) = tool.and_then(|tool| tool.server.as_ref()) {
        set(&mut api, "service", json!({ "name": server }));
    }
    if let Some(call) = tool.and_then(|tool| tool.call.as_ref()) {
        set(&mut api, "request", json!({ "uid": call }));
    }
    api
}

fn source(record: &Record) -> Value {
    match &record.session {
        Some(session) => json!({ "uid": session, "name": "agent" }),
        None => json!({ "name": "agent" }),
    }
}

fn actor(record: &Record) -> Value {
    let mut actor = json!({ "app_name": "agent" });
    if let Some(Process { pid, uid, comm }) = &record.process {
        set(
            &mut actor,
            "process",
            json!({
                "pid": pid, "name": comm, "user": { "uid": uid.to_string() },
            }),
        );
    }
    if let Some(session) = &record.session {
        set(&mut actor, "session", json!({ "uid": session }));
    }
    actor
}

fn finding_info(sealed: &Sealed) -> Value {
    let record = &sealed.record;
    let mut detectors: Vec<_> = record
        .findings
        .iter()
        .map(|it| it.detector.as_str())
        .collect();
    detectors.sort_unstable();
    detectors.dedup();
    let what = record
        .tool
        .as_ref()
        .map_or(record.event.code(), |tool| tool.name.as_str());
    json!({
        "uid": sealed.hash.to_string(),
        "title": format!("{} in {what}", detectors.join(", ")),
        "types": detectors,
        "analytic": { "name": "egressd inspection", "type": "Rule", "type_id": 1 },
        "data_sources": [record.layer.code()],
    })
}

fn evidence(record: &Record) -> Value {
    let findings: Vec<_> = record.findings.iter().map(|it| json!(it)).collect();
    let mut evidence = json!({ "data": { "findings": findings } });
    if record.tool.is_some() {
        set(&mut evidence, "api", api(record));
    }
    if record.flow.is_some() || record.name.is_some() {
        set(&mut evidence, "dst_endpoint", endpoint(record));
    }
    evidence
}

/// Adds a member to an object.
fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

/// What has no attribute, in the words of the log.
fn unmapped(record: &Record) -> Value {
    let mut unmapped = json!({ "layer": record.layer, "event": record.event });
    let Some(fields) = unmapped.as_object_mut() else {
        return unmapped;
    };
    let mut put = |key: &str, value: Option<Value>| {
        fields.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("verdict", record.verdict.map(|it| json!(it)));
    put("mode", record.mode.map(|it| json!(it)));
    put("guard", record.guard.as_ref().map(|it| json!(it)));
    put("hook", record.hook.map(|it| json!(it)));
    put("boot_ns", record.boot_ns.map(|it| json!(it)));
    put("socket", record.socket.as_ref().map(|it| json!(it)));
    put("tool", record.tool.as_ref().map(|it| json!(it)));
    put("rule", record.rule.as_ref().map(|it| json!(it)));
    put("allow_with", record.allow_with.clone());
    put("gap", record.gap.as_ref().map(|it| json!(it)));
    put(
        "hosts",
        (!record.hosts.is_empty()).then(|| json!(record.hosts)),
    );
    put(
        "lost",
        (!record.lost.is_empty()).then(|| json!(record.lost)),
    );
    unmapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::record::{Finding, Layer, Policy, Rule, Socket, Tool, tests::denial},
        cli::export::tests::sealed,
    };

    /// The attributes that OCSF 1.5 requires of the class.
    #[track_caller]
    fn check(record: Record, class: u64, activity: u64) -> Value {
        let event = event(&sealed(record));
        let number = |key: &str| {
            event[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{key} in {event}"))
        };
        assert_eq!(number("class_uid"), class);
        assert_eq!(number("category_uid"), class / 1000);
        assert_eq!(number("activity_id"), activity);
        assert_eq!(number("type_uid"), class * 100 + activity);
        assert!((1..=6).contains(&number("severity_id")));
        // Milliseconds of the year 2026.
        assert!((1_767_000_000_000..1_800_000_000_000).contains(&number("time")));
        let metadata = &event["metadata"];
        assert_eq!(metadata["version"], VERSION);
        assert!(metadata["product"]["vendor_name"].is_string());
        assert!(metadata["product"]["name"].is_string());
        match class {
            4001 => {
                assert!(event["connection_info"]["direction_id"].is_u64());
                assert!(!event["dst_endpoint"].as_object().unwrap().is_empty());
            }
            4003 => {
                assert!(event["query"]["hostname"].is_string());
                assert!(event["dst_endpoint"]["name"].is_string());
            }
            6003 => {
                assert!(event["api"]["operation"].is_string());
                assert!(event["src_endpoint"]["name"].is_string());
                assert!(event["actor"]["app_name"].is_string());
            }
            2004 => {
                assert!(event["finding_info"]["uid"].is_string());
                assert!(event["finding_info"]["title"].is_string());
                assert!(event["evidences"][0]["data"].is_object());
            }
            6002 => assert!(event["app"]["vendor_name"].is_string()),
            other => panic!("class {other}"),
        }
        event
    }

    fn call() -> Record {
        let mut record = denial(5, "203.0.113.7");
        record.event = Kind::ToolCall;
        record.layer = Layer::Hook;
        record.flow = None;
        record.tool = Some(Tool {
            name: "mcp__tracker__comment".to_owned(),
            class: Some("other".to_owned()),
            server: Some("tracker".to_owned()),
            call: Some("c1".to_owned()),
        });
        record.policy = Some(Policy {
            name: "p".to_owned(),
            digest: "0".repeat(64),
        });
        record.rule = Some(Rule {
            name: "r".to_owned(),
            line: Some(3),
        });
        record
    }

    #[test]
    fn a_flow_is_network_activity() {
        let event = check(denial(5, "203.0.113.7"), 4001, 5);
        assert_eq!(
            event["dst_endpoint"],
            json!({ "ip": "203.0.113.7", "port": 443 })
        );
        assert_eq!(event["connection_info"]["protocol_num"], 6);
        assert_eq!(event["actor"]["process"]["pid"], 4242);
        assert_eq!(
            (&event["action_id"], &event["disposition_id"]),
            (&json!(2), &json!(2))
        );
        let mut allowed = denial(5, "2001:db8::7");
        allowed.verdict = Some(Verdict::Allow);
        let event = check(allowed, 4001, 1);
        assert_eq!(
            (&event["action_id"], &event["disposition_id"]),
            (&json!(1), &json!(1))
        );
        let mut observed = denial(5, "203.0.113.7");
        observed.mode = Some(Mode::Observe);
        let event = check(observed, 4001, 5);
        assert_eq!(
            (&event["action_id"], &event["disposition_id"]),
            (&json!(3), &json!(17))
        );
        let mut socket = denial(5, "::");
        socket.event = Kind::Socket;
        socket.flow = None;
        socket.socket = Some(Socket {
            family: "vsock".into(),
            path: None,
        });
        let event = check(socket, 4001, 5);
        assert_eq!(event["dst_endpoint"]["name"], "vsock");
    }

    #[test]
    fn a_question_is_dns_activity() {
        let mut record = denial(5, "::");
        record.event = Kind::Question;
        record.layer = Layer::Dns;
        record.flow = None;
        record.name = Some("evil.example".to_owned());
        record.qtype = Some("AAAA".to_owned());
        record.answers = vec!["2001:db8::1".parse().unwrap()];
        let event = check(record, 4003, 6);
        assert_eq!(
            event["query"],
            json!({ "hostname": "evil.example", "type": "AAAA" })
        );
        assert_eq!(event["answers"], json!([{ "rdata": "2001:db8::1" }]));
    }

    #[test]
    fn a_tool_call_is_api_activity_and_with_findings_a_finding() {
        let event = check(call(), 6003, 99);
        assert_eq!(event["api"]["service"]["name"], "tracker");
        assert_eq!(event["activity_name"], "tool-call");
        assert_eq!(event["firewall_rule"]["name"], "r");
        let mut found = call();
        found.findings = vec![Finding {
            detector: "aws-access-key".to_owned(),
            offset: 3,
            length: 20,
        }];
        let event = check(found, 2004, 1);
        assert_eq!(
            event["finding_info"]["title"],
            "aws-access-key in mcp__tracker__comment"
        );
        assert_eq!(event["severity_id"], 4);
        assert_eq!(
            event["evidences"][0]["api"]["operation"],
            "mcp__tracker__comment"
        );
    }

    #[test]
    fn the_daemons_life_is_that_of_an_application() {
        let time = denial(5, "::").time;
        check(Record::new(time, Layer::Daemon, Kind::Start), 6002, 3);
        check(Record::new(time, Layer::Daemon, Kind::Stop), 6002, 4);
        let mut lost = Record::new(time, Layer::Daemon, Kind::Lost);
        lost.lost = [(Layer::Kernel, 12)].into();
        let event = check(lost, 6002, 99);
        assert_eq!(event["activity_name"], "lost");
        assert_eq!(event["unmapped"]["lost"], json!({ "kernel": 12 }));
        assert_eq!(event["severity_id"], 4);
    }

    #[test]
    fn every_kind_of_record_has_an_event() {
        for event in [
            Kind::Flow,
            Kind::Socket,
            Kind::Question,
            Kind::ToolCall,
            Kind::Message,
            Kind::Request,
            Kind::Start,
            Kind::Stop,
            Kind::PolicyLoaded,
            Kind::PolicyRefused,
            Kind::SessionBegin,
            Kind::SessionEnd,
            Kind::GuardAttached,
            Kind::GuardLost,
            Kind::GuardReleased,
            Kind::SettingChanged,
            Kind::GrantAdded,
            Kind::GrantEnded,
            Kind::Approval,
            Kind::Lost,
            Kind::Mended,
        ] {
            let record = Record::new(denial(5, "::").time, Layer::Daemon, event);
            let class = class(&record);
            check(record, class.uid.into(), class.activity.into());
        }
    }
}
