use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::mcp::{drift::Ledger, gate::Inspect, inventory::Store};

/// Denies tools that are called `bad`, and texts that hold a word.
struct Words;

const WORD: &str = "forbidden-word";

impl Inspect for Words {
    fn inspect(&self, subject: Subject, json: &[u8]) -> Option<Block> {
        let text = serde_json::from_slice::<Value>(json).unwrap().to_string();
        let found =
            text.contains(WORD) || subject == Subject::Description && text.contains("poison");
        found.then(|| Block::new("word", "a word is forbidden", "do not use it"))
    }
}

impl Gate for Words {
    fn call(&self, tool: &str, arguments: &Value, _: &str) -> Option<Block> {
        let is_bad = tool == "mcp__s__bad"
            || arguments["uri"]
                .as_str()
                .is_some_and(|uri| uri.contains("evil"));
        is_bad.then(|| Block::new("denied", "it is bad", "use another"))
    }
}

/// A disk that several guards share.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Option<Ledger>>>);

impl Store for Disk {
    fn load(&self) -> Result<Option<Ledger>, String> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn save(&self, ledger: &Ledger) -> Result<(), String> {
        *self.0.lock().unwrap() = Some(ledger.clone());
        Ok(())
    }
}

struct World {
    session: Session,
    now: Duration,
}

const TOOLS: &[&str] = &["add", "bad"];

impl World {
    fn with(limits: Limits, refused: &[&str], disk: &Disk) -> Self {
        let guard = Guard {
            server: "s".to_owned(),
            gate: Box::new(Words),
            inventory: Mutex::new(Inventory::open("s", Box::new(disk.clone())).unwrap()),
            limits,
            refused: refused.iter().map(|method| (*method).to_owned()).collect(),
        };
        let budget = Arc::default();
        Self {
            session: Session::new(Arc::new(guard), budget, Framing::Line),
            now: Duration::from_secs(1),
        }
    }

    /// A conversation of a revision in which the tools have been listed.
    fn new(revision: &str) -> Self {
        Self::limited(revision, Limits::default())
    }

    fn limited(revision: &str, limits: Limits) -> Self {
        let mut world = Self::with(limits, &["roots/list"], &Disk::default());
        world.initialize(revision);
        world.list(
            &TOOLS
                .iter()
                .map(|name| json!({ "name": name }))
                .collect::<Vec<_>>(),
        );
        world
    }

    fn initialize(&mut self, revision: &str) {
        assert_eq!(
            self.client(&request(0, "initialize", &json!({}))),
            Step::Forward
        );
        let result = json!({ "protocolVersion": revision, "capabilities": {} });
        assert_eq!(self.server(&result_of(0, &result)), Step::Forward);
    }

    /// The tools that the client sees of a listing.
    fn list(&mut self, tools: &[Value]) -> Vec<String> {
        assert_eq!(
            self.client(&request(0, "tools/list", &json!({}))),
            Step::Forward
        );
        let answer = result_of(0, &json!({ "tools": tools }));
        let seen = match self.server(&answer) {
            Step::Forward => answer,
            Step::Replace(bytes) => String::from_utf8(bytes).unwrap(),
            Step::Reply(_) | Step::Drop => panic!("no list"),
        };
        let seen: Value = serde_json::from_str(&seen).unwrap();
        let seen = seen["result"]["tools"].as_array().unwrap();
        seen.iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    fn client(&mut self, text: &str) -> Step {
        let mut actions = self.session.from_client(text.as_bytes(), self.now);
        assert_eq!(actions.len(), 1);
        actions.remove(0).step
    }

    #[track_caller]
    fn server(&mut self, text: &str) -> Step {
        let mut actions = self.session.from_server(text.as_bytes(), self.now);
        assert_eq!(actions.len(), 1, "{actions:?}");
        actions.remove(0).step
    }

    /// The code with which a call is answered at once; nothing when it goes on.
    fn call(&mut self, id: i64, tool: &str, arguments: &Value) -> String {
        code(&self.client(&call(id, tool, arguments)))
    }
}

fn request(id: i64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

fn call(id: i64, tool: &str, arguments: &Value) -> String {
    request(
        id,
        "tools/call",
        &json!({ "name": tool, "arguments": arguments }),
    )
}

fn result_of(id: i64, result: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

fn text_result(id: i64, text: &str) -> String {
    result_of(
        id,
        &json!({ "content": [{ "type": "text", "text": text }] }),
    )
}

fn value(step: &Step) -> Value {
    match step {
        Step::Replace(bytes) | Step::Reply(bytes) => serde_json::from_slice(bytes).unwrap(),
        Step::Forward | Step::Drop => Value::Null,
    }
}

fn code(step: &Step) -> String {
    let code = value(step)["error"]["data"]["code"].clone();
    code.as_str().unwrap_or_default().to_owned()
}

const NOW: &str = "2025-11-25";

#[test]
fn a_call_that_is_allowed_and_its_result_go_on() {
    let mut world = World::new(NOW);
    assert_eq!(
        world.client(&call(1, "add", &json!({ "a": 1 }))),
        Step::Forward
    );
    assert_eq!(world.server(&text_result(1, "2")), Step::Forward);
}

#[test]
fn a_denied_call_is_answered_with_all_that_is_known() {
    let mut world = World::new(NOW);
    let step = world.client(&call(1, "bad", &json!({})));
    assert_eq!(
        value(&step),
        json!({ "jsonrpc": "2.0", "id": 1, "error": {
            "code": -32001,
            "message": "egressd: it is bad (denied); use another",
            "data": { "code": "denied", "rule": null, "reason": "it is bad", "hint": "use another" },
        } })
    );
    assert!(matches!(step, Step::Reply(_)));
    assert_eq!(
        world.server(&text_result(1, "2")),
        Step::Drop,
        "nobody waits for it"
    );
}

#[test]
fn arguments_are_looked_at_wherever_the_word_stands() {
    let mut world = World::new(NOW);
    for (id, arguments) in [
        json!({ "a": WORD }),
        json!({ "a": [{ "b": format!("x {WORD} y") }] }),
        json!({ WORD: 1 }),
    ]
    .iter()
    .enumerate()
    {
        let id = i64::try_from(id).unwrap();
        assert_eq!(world.call(id, "add", arguments), "word", "{arguments}");
    }
    let escaped = r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"add","arguments":{"a":"\u0066orbidden-word"}}}"#;
    assert_eq!(code(&world.client(escaped)), "word");
    let meta = json!({ "name": "add", "_meta": { "progressToken": WORD } });
    assert_eq!(
        code(&world.client(&request(10, "tools/call", &meta))),
        "word"
    );
    let beside = r#"{"jsonrpc":"2.0","id":9,"method":"ping","more":"forbidden-word"}"#;
    assert_eq!(code(&world.client(beside)), "word");
}

#[test]
fn a_call_must_be_well_formed() {
    let mut world = World::new(NOW);
    for (params, expected) in [
        (json!({}), "malformed-call"),
        (json!({ "name": 7 }), "malformed-call"),
        (json!({ "name": "add", "arguments": [1] }), "malformed-call"),
        (json!({ "name": "add", "Name": "bad" }), "ambiguous-key"),
        (
            json!({ "name": "add", "ARGUMENTS": { "a": 1 } }),
            "ambiguous-key",
        ),
        (json!({ "name": "sub" }), "unknown-tool"),
    ] {
        let step = world.client(&request(1, "tools/call", &params));
        assert_eq!(code(&step), expected, "{params}");
    }
    assert_eq!(
        world.client(&request(1, "tools/call", &json!({ "name": "add" }))),
        Step::Forward
    );
}

#[test]
fn a_blocked_result_is_replaced_and_nothing_of_it_is_left() {
    let mut world = World::new(NOW);
    let bad = [
        json!({ "content": [{ "type": "text", "text": "fine" }, { "type": "text", "text": WORD }] }),
        json!({ "content": [], "structuredContent": { "fine": { WORD: 1 } } }),
        json!({ "content": [{ "type": "resource", "resource": { "uri": "a:fine", "text": WORD } }] }),
        json!({ "content": [], "_meta": { "fine": WORD } }),
    ];
    for result in bad {
        assert_eq!(world.call(1, "add", &json!({})), "");
        let step = world.server(&result_of(1, &result));
        let told = value(&step);
        assert_eq!(
            (&told["id"], &told["result"]["isError"]),
            (&json!(1), &json!(true))
        );
        let text = told.to_string();
        assert!(!text.contains(WORD) && !text.contains("fine"), "{text}");
        assert!(
            text.contains("a word is forbidden (word); do not use it"),
            "{text}"
        );
    }
    assert_eq!(
        world.client(&request(2, "prompts/get", &json!({ "name": "p" }))),
        Step::Forward
    );
    let step = world.server(&result_of(2, &json!({ "messages": [WORD] })));
    assert_eq!(code(&step), "word");
    assert_eq!(world.call(3, "add", &json!({})), "");
    let error = json!({ "jsonrpc": "2.0", "id": 3, "error": { "code": 1, "message": WORD } });
    assert!(
        !value(&world.server(&error.to_string()))
            .to_string()
            .contains(WORD)
    );
}

#[test]
fn a_result_of_the_stateless_revision_says_that_it_is_complete() {
    let mut world = World::new(NOW);
    let meta = |revision: &str| json!({ "io.modelcontextprotocol/protocolVersion": revision });
    let params = json!({ "name": "add", "_meta": meta("2026-07-28") });
    assert_eq!(
        world.client(&request(1, "tools/call", &params)),
        Step::Forward
    );
    let told = value(&world.server(&text_result(1, WORD)));
    assert_eq!(told["result"]["resultType"], "complete");
    let params = json!({ "name": "add", "_meta": meta("2031-01-01") });
    let told = value(&world.client(&request(2, "tools/call", &params)));
    assert_eq!(told["error"]["code"], -32022);
    assert_eq!(told["error"]["data"]["requested"], "2031-01-01");
    assert_eq!(told["error"]["data"]["supported"][4], "2026-07-28");
}

#[test]
fn a_revision_that_nobody_knows_is_refused() {
    let mut world = World::with(Limits::default(), &[], &Disk::default());
    assert_eq!(
        world.client(&request(0, "initialize", &json!({}))),
        Step::Forward
    );
    let step = world.server(&result_of(0, &json!({ "protocolVersion": "2031-01-01" })));
    assert_eq!(code(&step), "unknown-revision");
}

#[test]
fn answers_belong_to_one_request_each() {
    let mut world = World::new(NOW);
    assert_eq!(
        world.server(&text_result(7, "x")),
        Step::Drop,
        "nobody asked"
    );
    assert_eq!(world.call(1, "add", &json!({})), "");
    assert_eq!(world.server(&text_result(2, "x")), Step::Drop, "another id");
    let text_id = r#"{"jsonrpc":"2.0","id":"1","result":{}}"#;
    assert_eq!(world.server(text_id), Step::Drop, "a text is no number");
    assert_eq!(world.server(&text_result(1, "x")), Step::Forward);
    assert_eq!(
        world.server(&text_result(1, "x")),
        Step::Drop,
        "the second time"
    );
    assert_eq!(
        world.client(&result_of(5, &json!({}))),
        Step::Drop,
        "of the client too"
    );
}

#[test]
fn an_id_that_waits_is_not_taken_twice() {
    let mut world = World::new(NOW);
    assert_eq!(world.call(1, "add", &json!({})), "");
    let told = value(&world.client(&call(1, "add", &json!({}))));
    assert_eq!(told["error"]["data"]["code"], "duplicate-id");
    assert_eq!(told["id"], Value::Null, "the first request still waits");
    assert_eq!(world.server(&text_result(1, "x")), Step::Forward);
    assert_eq!(world.call(1, "add", &json!({})), "", "it is free again");
}

#[test]
fn cancelled_requests_wait_no_more() {
    let mut world = World::new(NOW);
    assert_eq!(world.call(1, "add", &json!({})), "");
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    assert_eq!(world.client(&cancel.to_string()), Step::Forward);
    assert_eq!(world.server(&text_result(1, "x")), Step::Drop);
}

#[test]
fn requests_of_the_server_are_looked_at() {
    let mut world = World::new(NOW);
    let sample = |id, text: &str| {
        let content = json!({ "type": "text", "text": text });
        request(
            id,
            "sampling/createMessage",
            &json!({ "messages": [{ "role": "user", "content": content }] }),
        )
    };
    assert_eq!(world.server(&sample(1, "hello")), Step::Forward);
    assert_eq!(
        world.client(&result_of(1, &json!({ "role": "assistant" }))),
        Step::Forward
    );
    assert_eq!(code(&world.server(&sample(1, WORD))), "word");
    assert_eq!(
        code(&world.server(&request(2, "roots/list", &json!({})))),
        "method-refused"
    );
    assert_eq!(world.server(&sample(3, "hello")), Step::Forward);
    assert_eq!(code(&world.server(&sample(3, "again"))), "duplicate-id");
    let step = world.client(&result_of(3, &json!({ "content": WORD })));
    assert!(matches!(step, Step::Replace(_)));
    assert_eq!(code(&step), "word", "the server gets an error in its place");
}

#[test]
fn a_server_must_not_ask_for_secrets() {
    let mut world = World::new(NOW);
    let ask = |key: &str| {
        json!({ "mode": "form", "message": "m", "requestedSchema": {
        "type": "object", "properties": { "name": { "type": "string" }, key: { "type": "string" } }
    } })
    };
    for key in ["password", "API-Key", "apiKey", "your_secret", "token"] {
        let step = world.server(&request(1, "elicitation/create", &ask(key)));
        assert_eq!(code(&step), "elicits-secret", "{key}");
    }
    for (id, key) in (1..).zip(["city", "max_tokens", "pinned", "tokenizer"]) {
        let step = world.server(&request(id, "elicitation/create", &ask(key)));
        assert_eq!(step, Step::Forward, "{key}");
    }
    assert_eq!(world.call(1, "add", &json!({})), "");
    let inner = json!({ "resultType": "input_required", "inputRequests": {
        "login": { "method": "elicitation/create", "params": ask("password") }
    } });
    let told = value(&world.server(&result_of(1, &inner)));
    assert_eq!(told["result"]["isError"], true, "inside of a result too");
}

#[test]
fn resources_that_lie_outside_are_judged() {
    let mut world = World::new(NOW);
    let read = |uri: &str| request(1, "resources/read", &json!({ "uri": uri }));
    assert_eq!(
        code(&world.client(&read("https://evil.test/?q=1"))),
        "denied"
    );
    assert_eq!(code(&world.client(&read("FILE:///evil"))), "denied");
    assert_eq!(world.client(&read("memo://evil")), Step::Forward);
}

#[test]
fn what_a_server_says_of_itself_is_taken_out_when_it_must_not_pass() {
    let mut world = World::with(Limits::default(), &[], &Disk::default());
    assert_eq!(
        world.client(&request(0, "initialize", &json!({}))),
        Step::Forward
    );
    let result = json!({ "protocolVersion": NOW, "instructions": "poison", "capabilities": {} });
    let told = value(&world.server(&result_of(0, &result)));
    assert_eq!(
        told["result"],
        json!({ "protocolVersion": NOW, "capabilities": {} })
    );
}

#[test]
fn tools_that_say_what_they_must_not_are_hidden_and_not_called() {
    let mut world = World::with(Limits::default(), &[], &Disk::default());
    world.initialize(NOW);
    let tools = [
        json!({ "name": "add", "description": "adds" }),
        json!({ "name": "mean", "description": "poison" }),
        json!({ "name": "deep", "inputSchema": { "properties": { "x": { "description": "poison" } } } }),
        json!({ "name": "add", "description": "adds differently" }),
        json!({ "name": "" }),
        json!("sub"),
        json!({ "name": "two", "Description": "x" }),
    ];
    assert_eq!(world.list(&tools), ["add"]);
    assert_eq!(world.call(1, "add", &json!({})), "");
    assert_eq!(world.call(2, "mean", &json!({})), "word");
    assert_eq!(world.call(3, "deep", &json!({})), "word");
    assert_eq!(world.call(4, "two", &json!({})), "unknown-tool");
}

#[test]
fn other_lists_lose_only_what_must_not_pass() {
    let mut world = World::new(NOW);
    for (method, key) in [
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ] {
        assert_eq!(world.client(&request(1, method, &json!({}))), Step::Forward);
        let result = json!({ key: [{ "name": "a" }, { "name": "b", "title": "poison" }] });
        let told = value(&world.server(&result_of(1, &result)));
        assert_eq!(told["result"], json!({ key: [{ "name": "a" }] }));
        assert_eq!(world.client(&request(1, method, &json!({}))), Step::Forward);
        assert_eq!(
            code(&world.server(&result_of(1, &json!({ "x": [] })))),
            "malformed-list"
        );
    }
}

#[test]
fn a_tool_that_changes_waits_for_a_person_over_all_sessions() {
    let disk = Disk::default();
    let start = || {
        let mut world = World::with(Limits::default(), &[], &disk);
        world.initialize(NOW);
        world
    };
    let (plain, changed) = (
        json!({ "name": "add", "description": "adds" }),
        json!({ "name": "add", "description": "adds, and tells" }),
    );
    let mut first = start();
    assert_eq!(first.list(std::slice::from_ref(&plain)), ["add"]);
    let mut second = start();
    assert_eq!(second.call(1, "add", &json!({})), "", "known from the disk");
    let none: Vec<String> = Vec::new();
    assert_eq!(
        second.list(&[changed.clone(), json!({ "name": "new" })]),
        none
    );
    assert_eq!(second.call(2, "add", &json!({})), "tool-changed");
    assert_eq!(second.call(3, "new", &json!({})), "tool-changed");
    let mut ledger = disk.load().unwrap().unwrap();
    assert_eq!(ledger.accept(), ["add", "new"]);
    disk.save(&ledger).unwrap();
    assert_eq!(
        second.list(&[changed, json!({ "name": "new" })]),
        ["add", "new"]
    );
    assert_eq!(second.call(4, "new", &json!({})), "");
}

#[test]
fn budgets_come_to_an_end() {
    let limits = Limits {
        calls: Some(3),
        concurrent: 2,
        ..Limits::default()
    };
    let mut world = World::limited(NOW, limits);
    let any = json!({});
    assert_eq!(world.call(1, "add", &any), "");
    assert_eq!(world.call(2, "add", &any), "");
    assert_eq!(world.call(3, "add", &any), "budget-concurrency");
    assert_eq!(world.server(&text_result(1, "x")), Step::Forward);
    assert_eq!(world.call(3, "bad", &any), "denied");
    assert_eq!(world.call(4, "add", &any), "budget-calls");
    assert_eq!(world.client(&request(5, "ping", &any)), Step::Forward);
}

#[test]
fn a_server_that_does_not_answer_is_told_off() {
    let mut world = World::new(NOW);
    assert_eq!(world.call(1, "add", &json!({})), "");
    assert_eq!(
        world.client(&request(2, "subscriptions/listen", &json!({}))),
        Step::Forward
    );
    assert!(world.session.expired(Duration::from_mins(10)).is_empty());
    let expired = world.session.expired(Duration::from_secs(601));
    let [one] = expired.as_slice() else {
        panic!("{expired:?}");
    };
    let told: Value = serde_json::from_slice(&one.to_client).unwrap();
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(1), &json!(-32000))
    );
    let cancel: Value = serde_json::from_slice(&one.to_server).unwrap();
    assert_eq!(cancel["params"]["requestId"], 1);
    assert_eq!(world.server(&text_result(1, "late")), Step::Drop);
}

#[test]
fn when_a_server_is_gone_whoever_waits_is_told() {
    let mut world = World::new(NOW);
    assert_eq!(world.call(1, "add", &json!({})), "");
    assert_eq!(world.client(&request(2, "ping", &json!({}))), Step::Forward);
    let errors = world.session.server_gone("it died");
    let ids: Vec<_> = errors
        .iter()
        .map(|error| serde_json::from_slice::<Value>(error).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!(2)]);
    assert!(world.session.server_gone("again").is_empty());
}

#[test]
fn what_cannot_be_read_is_not_forwarded_and_nobody_waits_for_it() {
    let mut world = World::new(NOW);
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1,"a":2}}"#;
    let told = value(&world.client(twice));
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(1), &json!(-32600))
    );
    let told = value(&world.client("{nonsense"));
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(null), &json!(-32700))
    );
    assert_eq!(world.server("Server started on port 80"), Step::Drop);
    assert_eq!(world.call(1, "add", &json!({})), "");
    let told = value(&world.server(r#"{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}"#));
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(1), &json!(-32001))
    );
    let told =
        value(&world.server(r#"{"jsonrpc":"2.0","id":4,"method":"ping","params":{"a":1,"a":2}}"#));
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(4), &json!(-32600))
    );
    assert_eq!(world.server(&request(5, "ping", &json!({}))), Step::Forward);
    let step = world.client(r#"{"jsonrpc":"2.0","id":5,"result":{"a":1,"a":2}}"#);
    assert!(matches!(step, Step::Replace(_)), "the server waits too");
}

#[test]
fn notifications_that_must_not_pass_are_dropped() {
    let mut world = World::new(NOW);
    let log = |text: &str| {
        json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "data": text } })
            .to_string()
    };
    assert_eq!(world.server(&log("hello")), Step::Forward);
    assert_eq!(world.server(&log(WORD)), Step::Drop);
    assert_eq!(world.client(&log(WORD)), Step::Drop);
}

#[test]
fn batches_are_for_one_revision() {
    let batch = format!(
        "[{},{}]",
        request(1, "ping", &json!({})),
        call(2, "add", &json!({}))
    );
    for revision in ["2024-11-05", "2025-06-18", NOW, "2026-07-28"] {
        let mut world = World::new(revision);
        let told = value(&world.client(&batch));
        assert_eq!(told[0]["error"]["data"]["code"], "batch", "{revision}");
        assert_eq!(told[1]["id"], 2);
        assert_eq!(world.call(2, "add", &json!({})), "", "it does not wait");
        let answers = format!("[{},{}]", text_result(2, "x"), text_result(3, "y"));
        let actions = world.session.from_server(answers.as_bytes(), world.now);
        let told: Vec<_> = actions.iter().map(|action| value(&action.step)).collect();
        assert_eq!(
            (&told[0]["id"], &told[0]["error"]["code"]),
            (&json!(2), &json!(-32001))
        );
        assert_eq!(actions[1].step, Step::Drop);
    }
    let mut world = World::new("2025-03-26");
    assert_eq!(world.client(&batch), Step::Forward);
    let answers = format!("[{}, {}]", result_of(1, &json!({})), text_result(2, "x"));
    assert_eq!(world.server(&answers), Step::Forward);
}

#[test]
fn of_a_batch_all_goes_on_or_nothing() {
    let mut world = World::new("2025-03-26");
    let batch = |second: &str| format!("[{},{second}]", request(1, "ping", &json!({})));
    for (second, expected) in [
        (call(2, "bad", &json!({})), "denied"),
        (call(1, "add", &json!({})), "duplicate-id"),
        ("7".to_owned(), "not-a-message"),
    ] {
        let told = value(&world.client(&batch(&second)));
        assert_eq!(told[0]["error"]["data"]["code"], expected);
    }
    assert_eq!(
        world.client(&request(1, "ping", &json!({}))),
        Step::Forward,
        "1 is free"
    );
    assert_eq!(world.call(2, "add", &json!({})), "");
    let answers = format!("[{}, {},7]", result_of(1, &json!({})), text_result(2, WORD));
    let told = value(&world.server(&answers));
    assert_eq!(told[0], json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    assert_eq!(told[1]["result"]["isError"], true);
    assert_eq!(told.as_array().unwrap().len(), 2);
}

#[test]
fn the_number_of_requests_that_wait_is_bounded() {
    let mut world = World::new(NOW);
    for id in 0..i64::try_from(MOST_OPEN).unwrap() {
        assert_eq!(
            world.client(&request(id, "ping", &json!({}))),
            Step::Forward
        );
        assert_eq!(
            world.server(&request(id, "ping", &json!({}))),
            Step::Forward
        );
    }
    let more = request(-1, "ping", &json!({}));
    assert_eq!(code(&world.client(&more)), "too-many-open");
    assert_eq!(code(&world.server(&more)), "too-many-open");
}

/// Messages as both sides might send them, some of them bad.
fn messages() -> impl Strategy<Value = (bool, String)> {
    let id = 0..4_i64;
    let text = prop_oneof![Just("fine"), Just(WORD), Just("poison")];
    let message = (id, text, 0..9_u8).prop_map(|(id, text, kind)| match kind {
        0 => call(id, "add", &json!({ "a": text })),
        1 => call(id, "bad", &json!({ "a": text })),
        2 => request(id, "tools/list", &json!({})),
        3 => result_of(
            id,
            &json!({ "tools": [{ "name": "add" }, { "name": "x", "title": text }] }),
        ),
        4 => text_result(id, text),
        5 => request(id, "sampling/createMessage", &json!({ "m": text })),
        6 => {
            json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "a": text } })
                .to_string()
        }
        7 => format!(
            "[{},{}]",
            text_result(id, text),
            request(id, "ping", &json!({}))
        ),
        _ => format!("{{{text}"),
    });
    (any::<bool>(), message)
}

proptest! {
    #[test]
    fn any_bytes_have_an_action(
        lines in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20),
    ) {
        let mut world = World::new("2025-03-26");
        for (is_client, bytes) in lines {
            let actions = if is_client {
                world.session.from_client(&bytes, world.now)
            } else {
                world.session.from_server(&bytes, world.now)
            };
            prop_assert!(!actions.is_empty());
        }
    }

    /// However messages are mixed: what goes on as it came holds nothing forbidden, what goes on
    /// instead does not either, every request of the client is answered at most once, and only
    /// with an id that waits.
    #[test]
    fn any_mixture_of_messages_keeps_the_promises(
        mixture in prop::collection::vec(messages(), 0..60),
        batches in any::<bool>(),
    ) {
        let mut world = World::new(if batches { "2025-03-26" } else { NOW });
        let mut waiting = std::collections::BTreeSet::new();
        for (is_client, text) in mixture {
            let actions = if is_client {
                world.session.from_client(text.as_bytes(), world.now)
            } else {
                world.session.from_server(text.as_bytes(), world.now)
            };
            for Action { step, notes } in actions {
                let onwards = match &step {
                    Step::Forward => Some(text.clone()),
                    Step::Replace(bytes) => Some(String::from_utf8(bytes.clone()).unwrap()),
                    Step::Reply(bytes) => {
                        prop_assert!(!String::from_utf8_lossy(bytes).contains(WORD));
                        None
                    }
                    Step::Drop => None,
                };
                prop_assert!(step == Step::Forward || notes.iter().any(|note| note.block.is_some()) || !is_client);
                let Some(onwards) = onwards else { continue };
                prop_assert!(!onwards.contains(WORD), "{}", onwards);
                let parts: Value = serde_json::from_str(&onwards).unwrap();
                let parts = parts.as_array().cloned().unwrap_or_else(|| vec![parts.clone()]);
                for part in parts {
                    let Some(id) = part.get("id").cloned() else { continue };
                    let is_request = part.get("method").is_some();
                    if is_client && is_request {
                        prop_assert!(waiting.insert(id.to_string()), "twice: {}", id);
                    } else if !is_client && !is_request {
                        prop_assert!(waiting.remove(&id.to_string()), "unasked: {}", id);
                    }
                }
            }
        }
    }
}
