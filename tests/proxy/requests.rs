//! Level `http`, over plain HTTP: what may be said, and what comes back.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use xtask::world::{World, wait_for};

use super::curl;
use crate::harness::{Run, TestWorld};

const APP: &str = include_str!("app.py");
const SOCKET: &str = include_str!("ws.py");
/// Of the form of a token of GitHub; nobody's.
const TOKEN: &str = "ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2";
/// What no agent holds.
const SECRET: &str = "kept-by-the-proxy-0815";

/// A world with the application of [`APP`] on port 8081 of every name.
struct AppWorld {
    world: TestWorld,
    log: PathBuf,
    app: Child,
}

impl AppWorld {
    fn new(policy: Value) -> Self {
        let world = TestWorld::build(World::builder().policy(policy).local_ca());
        let (script, log) = (world.home().join("app.py"), world.home().join("app.log"));
        fs::write(&script, APP).expect("the application can be written");
        fs::write(&log, "").expect("its log can be made");
        fs::write(world.agent_home().join("ws.py"), SOCKET).expect("a client can be written");
        let app = world
            .internet()
            .command("/usr/bin/python3")
            .arg(&script)
            .arg(&log)
            .stderr(Stdio::null())
            .spawn()
            .expect("the application starts");
        let app = Self { world, log, app };
        let is_up = || {
            let get = curl(&["http://open.allowed.test:8081/up"]);
            app.world.run_unguarded(&get).outcome.succeeded()
        };
        wait_for("the application", Duration::from_secs(10), is_up).expect("it listens");
        app
    }

    /// What the application has got, in all.
    fn got(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("its log")).into_owned()
    }

    #[track_caller]
    fn never_got(&self, word: &str) {
        let got = self.got();
        assert!(!got.contains(word), "`{word}` has left:\n{got}");
    }

    /// `curl` to a name of the application; `at` is `name/path`.
    fn curl(&self, at: &str, more: &[&str]) -> Run<'_> {
        let (name, path) = at.split_once('/').unwrap_or((at, ""));
        let address = format!("http://{name}.allowed.test:8081/{path}");
        self.world
            .run(&curl(&[&["-i", "--path-as-is", &address], more].concat()))
    }

    fn websocket(&self, words: &[&str]) -> Run<'_> {
        let script = self.world.agent_home().join("ws.py").display().to_string();
        let words = [&["/usr/bin/python3", &script, "open.allowed.test"], words].concat();
        self.world.run(&words)
    }

    /// A file of the agent's.
    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.world.agent_home().join(name);
        fs::write(&path, bytes).expect("a file can be written");
        format!("@{}", path.display())
    }

    #[track_caller]
    fn records(&self, word: &str) {
        let has = || {
            let log = self.world.ctl(&["log", "--json"]);
            log.works().outcome.stdout.contains(word)
        };
        let found = wait_for("the record", Duration::from_secs(3), has);
        let log = self.world.ctl(&["log"]).outcome;
        assert!(found.is_ok(), "no `{word}` in\n{log}");
    }

    /// The whole log, when everything is written.
    fn log(&self) -> String {
        self.world.ctl(&["log", "--json"]).outcome.stdout
    }
}

impl Drop for AppWorld {
    fn drop(&mut self) {
        self.app.kill().ok();
        self.app.wait().ok();
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what is given is made where it is given"
)]
fn rule(name: &str, more: Value) -> Value {
    let mut rule = json!({
        "name": name,
        "hosts": [format!("{name}.allowed.test")],
        "ports": ["8081/tcp"],
        "level": "http",
    });
    let fields = rule.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    rule
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what is given is made where it is given"
)]
fn policy(proxy: Value, rules: &[Value]) -> Value {
    let mut all = vec![rule("open", json!({}))];
    all.extend_from_slice(rules);
    json!({ "version": 1, "network": { "allow": all }, "proxy": proxy })
}

#[test]
fn a_request_passes_where_an_entry_fits_and_is_refused_with_what_would_allow_it() {
    let entries = json!([
        { "methods": ["GET", "HEAD"], "paths": ["/repos/acme/**"] },
        { "methods": ["POST"], "paths": ["/repos/acme/*/issues"],
          "headers": { "content-type": ["application/json"] } },
    ]);
    let rules = [
        rule("api", json!({ "requests": entries })),
        rule("none", json!({ "requests": [] })),
    ];
    let app = AppWorld::new(policy(json!({}), &rules));
    app.curl("api/repos/acme/tool?page=2", &[])
        .works()
        .says("200 OK")
        .says("/repos/acme/tool?page=2");
    let kind = ["-H", "content-type: application/json", "-d", "{}"];
    app.curl("api/repos/acme/tool/issues", &kind).says("200 OK");
    app.curl("api/repos/acme/tool/issues", &["-d", "{}"])
        .says("403 Forbidden")
        .says("content-type");
    app.curl("api/repos/other/tool", &[])
        .says("403 Forbidden")
        .says("egressd: request-denied")
        .says("rule `api`")
        .says(r#"{"methods":["GET"],"paths":["/repos/other/tool"]}"#)
        .says("do not retry");
    app.curl("api/repos/acme/tool", &["-X", "DELETE"])
        .says("request-denied");
    for path in [
        "acme/../other",
        "acme/%2e%2e/other",
        "acme/..%2fother",
        "acme//x",
        "acme/%252e",
    ] {
        app.curl(&format!("api/repos/{path}"), &[])
            .says("request-denied")
            .says("no one meaning");
    }
    app.curl("none/", &[]).says("request-denied");
    app.never_got("other");
    app.never_got("DELETE");
    app.world.records_a_denial_of("request-denied");
    // One connection, an allowed request and one that is not.
    let both = curl(&[
        "http://api.allowed.test:8081/repos/acme/a",
        "http://api.allowed.test:8081/other",
    ]);
    app.world
        .run(&both)
        .says("/repos/acme/a")
        .says("request-denied");
}

#[test]
fn a_secret_leaves_in_no_place_of_a_request() {
    let rules = [
        rule("login", json!({ "login_headers": ["authorization"] })),
        rule("small", json!({ "max_body": "1KiB" })),
    ];
    let app = AppWorld::new(policy(json!({}), &rules));
    let refused = |at: &str, more: &[&str], place: &str| {
        app.curl(at, more)
            .says("403 Forbidden")
            .says("egressd: content-denied")
            .says(place);
    };
    refused(&format!("open/x?y={TOKEN}"), &[], "the query");
    refused(&format!("open/x/{TOKEN}"), &[], "the path");
    refused("open/", &["-H", &format!("x-note: {TOKEN}")], "`x-note`");
    let login = format!("authorization: Bearer {TOKEN}");
    refused("open/", &["-H", &login], "`login_headers` of rule `open`");
    refused("open/", &["-d", &format!("note={TOKEN}")], "the body");
    let form = format!("note={TOKEN};type=text/plain");
    refused("open/", &["-F", "a=b", "-F", &form], "of the body");
    let json = format!(r#"{{ "a": [ "{TOKEN}" ] }}"#);
    let kind = "content-type: application/json";
    refused("open/", &["-H", kind, "-d", &json], "the body");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(TOKEN.as_bytes()).expect("gzip");
    let file = app.file("body.gz", &gzip.finish().expect("gzip"));
    let coded = ["-H", "content-encoding: gzip", "--data-binary", &file];
    refused("open/", &coded, "the body");
    let mut brotli = Vec::new();
    let mut text = TOKEN.as_bytes();
    brotli::BrotliCompress(
        &mut text,
        &mut brotli,
        &brotli::enc::BrotliEncoderParams::default(),
    )
    .expect("brotli");
    let file = app.file("body.br", &brotli);
    let coded = ["-H", "content-encoding: br", "--data-binary", &file];
    refused("open/", &coded, "the body");
    let coded = ["-H", "content-encoding: odd", "-d", "x"];
    refused("open/", &coded, "not known");
    app.never_got("content-encoding");
    app.never_got(TOKEN);
    let long = app.file("long", &vec![b'x'; 2000]);
    app.curl("small/", &["--data-binary", &long])
        .says("413")
        .says("body-too-large")
        .says("`max_body` of rule `small`");
    let chunked = ["-H", "transfer-encoding: chunked", "--data-binary", &long];
    app.curl("small/", &chunked).says("413");
    app.curl("open/", &["--data-binary", &long]).says("200 OK");
    app.world.records_a_denial_of("content-denied");
    assert!(!app.log().contains(TOKEN), "the log holds the secret");
    // Where the rule says that clients log in, and nowhere else of it.
    app.curl("login/", &["-H", &login]).says("200 OK");
    refused(&format!("login/?x={TOKEN}"), &[], "the query");
    assert!(!app.log().contains(TOKEN), "the log holds the secret");
}

#[test]
fn a_secret_in_pieces_is_whole_again() {
    let app = AppWorld::new(policy(json!({}), &[]));
    let (one, two) = TOKEN.split_at(18);
    // Each command is a session.
    let at = |rest: &str| format!("http://open.allowed.test:8081/{rest}");
    let queries = [
        format!("a?d={one}"),
        "b?e=other".to_owned(),
        format!("c?d={two}"),
    ];
    let [first, between, last] = queries.map(|query| at(&query));
    app.world
        .run(&curl(&[&first, &between, &last]))
        .says("b?e=other")
        .says("content-denied")
        .says("several requests together (query d)");
    app.never_got(two);
    let script = format!(
        "for part in '{one}' '{two}'; do curl -sS -m 10 http://open.allowed.test:8081/ \
         -d \"{{ \\\"n\\\": 7, \\\"part\\\": \\\"$part\\\" }}\"; done"
    );
    app.world.run(&["sh", "-c", &script]).says("content-denied");
    app.never_got(two);
    // Over the fragments of one message, and over messages.
    app.websocket(&["hello", "two", "+ parts"])
        .works()
        .says("101 Switching")
        .says("message hello")
        .says("message ");
    for words in [[one, &format!("+{two}")], [one, two]] {
        app.websocket(&words)
            .says("close 1008 egressd: content-denied");
        app.never_got(two);
    }
    assert!(!app.got().contains("permessage-deflate"), "{}", app.got());
    app.world.records_a_denial_of("a message of the WebSocket");
    assert!(!app.log().contains(one), "the log holds a part of it");
}

#[test]
fn orders_in_an_answer_are_recorded_and_go_on_by_default() {
    let app = AppWorld::new(policy(json!({ "responses": "warn" }), &[]));
    for path in ["orders", "orders.json", "orders.bin", "orders.gz"] {
        app.curl(&format!("open/{path}"), &[])
            .works()
            .says("Ignore all previous");
    }
    app.records("reads like orders");
    let records = app.log();
    let noted = records.matches("reads like orders").count();
    assert_eq!(noted, 4, "{records}");
    app.curl(
        "open/binary",
        &["-o", "/dev/null", "-w", "%{size_download}"],
    )
    .works()
    .says("1048576");
    app.curl("open/odd", &[]).says("cannot be judged");
}

#[test]
fn orders_in_an_answer_are_stripped() {
    let app = AppWorld::new(policy(json!({ "responses": "strip" }), &[]));
    for path in ["orders", "orders.json", "orders.bin", "orders.gz"] {
        let run = app.curl(&format!("open/{path}"), &[]);
        run.works().says("The weather is fine").says("[redacted");
        let said = &run.outcome.stdout;
        run.must(!said.contains("Ignore all"), "should have lost the orders");
    }
    app.curl("open/events?orders", &[])
        .works()
        .says("data: number 1")
        .says("[redacted")
        .says("data: number 3");
    app.websocket(&["orders", "more"])
        .works()
        .says("The weather is fine")
        .says("[redacted")
        .says("message more");
    app.records("were taken out");
}

#[test]
fn orders_in_an_answer_are_refused() {
    let app = AppWorld::new(policy(json!({ "responses": "deny" }), &[]));
    for path in ["orders", "orders.json", "orders.bin", "orders.gz"] {
        let run = app.curl(&format!("open/{path}"), &[]);
        run.says("403 Forbidden").says("content-denied");
        let said = &run.outcome.stdout;
        run.must(!said.contains("Ignore all"), "should not have the orders");
    }
    let run = app.curl("open/events?orders", &[]);
    run.says("data: number 1");
    run.must(!run.outcome.succeeded(), "should have been cut");
    app.websocket(&["hello", "orders"])
        .says("message hello")
        .says("close 1008");
    app.curl(
        "open/binary",
        &["-o", "/dev/null", "-w", "%{size_download}"],
    )
    .works()
    .says("1048576");
}

/// Each event comes when it was sent, whatever is done about answers.
#[test]
fn a_stream_of_events_does_not_wait() {
    for act in ["warn", "deny"] {
        let app = AppWorld::new(policy(json!({ "responses": act }), &[]));
        let program = "import http.client, time\n\
            c = http.client.HTTPConnection('open.allowed.test', 8081, timeout=8)\n\
            c.request('GET', '/events')\n\
            r = c.getresponse()\n\
            begun = time.monotonic()\n\
            for line in iter(r.readline, b''):\n\
            \x20   if line.strip(): print(round(time.monotonic() - begun, 2), line.decode().strip())";
        let run = app.world.run(&["/usr/bin/python3", "-c", program]);
        run.works().says("data: number 3");
        let times: Vec<f64> = run
            .outcome
            .stdout
            .lines()
            .filter_map(|line| line.split(' ').next()?.parse().ok())
            .collect();
        assert_eq!(times.len(), 4, "{}", run.outcome);
        for (index, time) in times.iter().enumerate() {
            let sent = 0.4 * f64::from(u8::try_from(index).expect("few"));
            run.must(
                (time - sent).abs() < 0.3,
                "should have come when it was sent",
            );
        }
    }
}

#[test]
fn a_budget_ends_and_says_when_it_begins_anew() {
    let rules = [
        rule("few", json!({ "budget": { "requests": 2, "per": "1m" } })),
        rule("once", json!({ "budget": { "up": "1KiB" } })),
        rule("less", json!({ "budget": { "down": "100KiB" } })),
    ];
    let app = AppWorld::new(policy(json!({}), &rules));
    let get = "http://few.allowed.test:8081/";
    let run = app.world.run(&curl(&["-i", get, get, get]));
    run.says("200 OK")
        .says("429 Too Many Requests")
        .says("host-budget")
        .says("2 requests");
    let said = run.outcome.stdout.to_ascii_lowercase();
    let wait = said
        .split("retry-after: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let wait: u64 = wait
        .and_then(|text| text.trim().parse().ok())
        .expect("seconds");
    assert!((1..=60).contains(&wait), "{said}");
    let long = app.file("long", &vec![b'x'; 2000]);
    let run = app.curl("once/", &["--data-binary", &long]);
    run.says("429").says("do not retry");
    let said = &run.outcome.stdout;
    run.must(!said.contains("etry-after"), "should not say when");
    let run = app.curl("less/fill", &[]);
    run.must(!run.outcome.succeeded(), "should have been cut");
    app.records("host-budget");
}

#[test]
fn a_credential_is_added_and_never_seen() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{SECRET}").expect("a file can be written");
    let path = file.path().display().to_string();
    let header = json!({ "credential":
        { "header": "authorization", "value": "Bearer {secret}", "file": path } });
    let placeholder = json!({ "credential":
        { "placeholder": "EGRESSD_TOKEN", "command": ["/bin/echo", SECRET] } });
    let rules = [rule("key", header), rule("place", placeholder)];
    let app = AppWorld::new(policy(json!({}), &rules));
    let own = ["-H", "authorization: Bearer of-the-agent"];
    // The application says all headers that it got.
    app.curl("key/", &own)
        .works()
        .says(&format!("Bearer {}", "*".repeat(SECRET.len())));
    let got = app.got();
    assert!(got.contains(&format!("Bearer {SECRET}")), "{got}");
    assert!(!got.contains("of-the-agent"), "{got}");
    let before = got.matches(SECRET).count();
    app.curl("place/", &["-H", "x-key: k EGRESSD_TOKEN"])
        .works();
    let got = app.got();
    assert!(got.contains(&format!("k {SECRET}")), "{got}");
    assert_eq!(got.matches(SECRET).count(), before + 1);
    app.curl("open/", &["-H", "x-key: EGRESSD_TOKEN"])
        .says("403")
        .says("credential-misplaced");
    app.curl("open/", &["-d", SECRET]).says("content-denied");
    assert_eq!(app.got().matches(SECRET).count(), before + 1);
    app.curl("open/", &[]).says("200 OK");
    let said = app.log() + &app.world.report();
    assert!(!said.contains(SECRET), "{said}");
}

/// Inside TLS that is opened, in both versions of HTTP.
#[test]
fn the_same_holds_inside_tls() {
    let entries = json!([{ "methods": ["GET"], "paths": ["/", "/big"] }]);
    let rule = json!({
        "name": "one",
        "hosts": ["one.allowed.test"],
        "ports": ["443/tcp"],
        "level": "http",
        "requests": entries,
    });
    let policy = json!({ "version": 1, "network": { "allow": [rule] } });
    let world = TestWorld::build(World::builder().policy(policy).local_ca());
    for version in ["--http1.1", "--http2"] {
        let get = |rest: &str, more: &[&str]| {
            let address = format!("https://one.allowed.test/{rest}");
            world.run(&curl(&[&[version, "-i", &address], more].concat()))
        };
        get("", &[]).works().says("hello from one.allowed.test");
        get("other", &[]).says(" 403").says("request-denied");
        get("", &["-d", "x"]).says(" 403").says("request-denied");
        get(&format!("?x={TOKEN}"), &[])
            .says(" 403")
            .says("content-denied")
            .says("the query");
        get("big", &["-o", "/dev/null", "-w", "%{size_download}"])
            .works()
            .says("268435456");
    }
}

/// What a policy that observes would refuse goes on, and is recorded.
#[test]
fn a_policy_that_observes_refuses_nothing() {
    let rules = [
        rule("none", json!({ "requests": [] })),
        rule("small", json!({ "max_body": "1KiB" })),
    ];
    let mut policy = policy(json!({ "responses": "deny" }), &rules);
    policy["mode"] = json!("observe");
    let app = AppWorld::new(policy);
    app.curl("none/x", &[]).says("200 OK");
    app.curl("open/", &["-d", TOKEN]).says("200 OK");
    let long = app.file("long", &vec![b'x'; 200_000]);
    for more in [&[][..], &["-H", "transfer-encoding: chunked"]] {
        app.curl("small/", &[&["--data-binary", &long], more].concat())
            .says("200 OK");
    }
    app.curl("open/orders", &[]).says("Ignore all previous");
    app.curl("open/odd", &[]).says("200 OK");
    for reason in ["request-denied", "content-denied", "body-too-large"] {
        app.records(reason);
    }
}
