use proptest::prelude::*;

use super::*;

fn wrapping() -> Wrapping {
    Wrapping {
        program: "/usr/bin/egressctl".to_owned(),
        options: vec!["--policy".to_owned(), "/etc/p.json".to_owned()],
        of_commands: Vec::new(),
        wraps_urls: false,
    }
}

#[track_caller]
fn check(form: Form, text: &str, wrapped: &str) {
    let found = wrap(text, form, &wrapping()).unwrap();
    assert_eq!(found.text, wrapped);
    let again = wrap(wrapped, form, &wrapping()).unwrap();
    assert_eq!(again.text, wrapped, "the second time nothing changes");
    assert_eq!(unwrap(wrapped, form).unwrap().text, text, "and back");
}

#[test]
fn a_server_of_claude_code_is_put_behind_the_guard_and_taken_out() {
    check(
        Form::Json,
        r#"{
  // mine
  "other": [1,2],
  "mcpServers": {
    "git": { "type": "stdio", "command": "n\u0070x", "args": [
        "-y", // yes
        "server-git" ], "env": { "A": "b" } },
    "bare": {"command":"run-it"},
    "none": { "command": "x", "args": [ ] },
    "web": { "type": "http", "url": "https://x.test/mcp" },
  },
  "projects": { "/src": { "mcpServers": { "db": { "args": ["a"], "command": "/opt/db" } } } }
}
"#,
        r#"{
  // mine
  "other": [1,2],
  "mcpServers": {
    "git": { "type": "stdio", "command": "/usr/bin/egressctl", "args": ["mcp", "--name", "git", "--policy", "/etc/p.json", "--", "n\u0070x", 
        "-y", // yes
        "server-git" ], "env": { "A": "b" } },
    "bare": {"command":"/usr/bin/egressctl", "args": ["mcp", "--name", "bare", "--policy", "/etc/p.json", "--no-args", "--", "run-it"]},
    "none": { "command": "/usr/bin/egressctl", "args": ["mcp", "--name", "none", "--policy", "/etc/p.json", "--", "x" ] },
    "web": { "type": "http", "url": "https://x.test/mcp" },
  },
  "projects": { "/src": { "mcpServers": { "db": { "args": ["mcp", "--name", "db", "--policy", "/etc/p.json", "--", "/opt/db", "a"], "command": "/usr/bin/egressctl" } } } }
}
"#,
    );
}

#[test]
fn a_server_of_codex_is_put_behind_the_guard_and_taken_out() {
    check(
        Form::Toml,
        "model = \"x\" # mine\n\n[mcp_servers.git]\ncommand = 'npx' # starter\nargs = [ \"-y\",\n  'git' ]\n\n[mcp_servers.bare]\ncommand = \"run-it\" # c\n\n[mcp_servers.bare.env]\nA = \"b\"\n\n[mcp_servers.web]\nurl = \"https://x.test\"\n",
        "model = \"x\" # mine\n\n[mcp_servers.git]\ncommand = \"/usr/bin/egressctl\" # starter\nargs = [\"mcp\", \"--name\", \"git\", \"--policy\", \"/etc/p.json\", \"--\", 'npx',  \"-y\",\n  'git' ]\n\n[mcp_servers.bare]\ncommand = \"/usr/bin/egressctl\"\nargs = [\"mcp\", \"--name\", \"bare\", \"--policy\", \"/etc/p.json\", \"--no-args\", \"--\", \"run-it\"] # c\n\n[mcp_servers.bare.env]\nA = \"b\"\n\n[mcp_servers.web]\nurl = \"https://x.test\"\n",
    );
    check(
        Form::Toml,
        "mcp_servers = { a = { command = \"x\" }, b = { command = \"y\", args = [] } }\n",
        "mcp_servers = { a = { command = \"/usr/bin/egressctl\", args = [\"mcp\", \"--name\", \"a\", \"--policy\", \"/etc/p.json\", \"--no-args\", \"--\", \"x\"] }, b = { command = \"/usr/bin/egressctl\", args = [\"mcp\", \"--name\", \"b\", \"--policy\", \"/etc/p.json\", \"--\", \"y\"] } }\n",
    );
}

#[test]
fn servers_are_told_by_name() {
    let text = r#"{ "mcpServers": { "a": { "command": "x" }, "b": { "url": "https://x" } } }"#;
    let found = wrap(text, Form::Json, &wrapping()).unwrap();
    assert_eq!(found.servers, ["a"]);
    let (name, why) = found.left.first().unwrap();
    assert_eq!(name, "b");
    assert!(why.contains("--urls") && why.contains("--listen"), "{why}");
    let none = wrap("{}", Form::Json, &wrapping()).unwrap();
    assert_eq!(none.text, "{}");
}

/// An agent writes its file anew as it likes.
#[test]
fn what_another_program_has_rewritten_is_taken_out_too() {
    let text = r#"{ "mcpServers": { "a": { "command": "npx", "args": ["-y", "b"] }, "c": { "command": "d" }, "e": { "command": "f", "args": [] } } }"#;
    let wrapped = wrap(text, Form::Json, &wrapping()).unwrap().text;
    let value: serde_json::Value = serde_json::from_str(&wrapped).unwrap();
    for rewritten in [format!("{value:#}"), value.to_string()] {
        let back = unwrap(&rewritten, Form::Json).unwrap().text;
        let back: serde_json::Value = serde_json::from_str(&back).unwrap();
        assert_eq!(
            back,
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
    }
}

#[test]
fn a_guard_with_other_options_is_replaced() {
    let text = r#"{ "mcpServers": { "a": { "command": "npx", "args": ["b"] } } }"#;
    let old = Wrapping {
        program: "/old/egressctl".to_owned(),
        of_commands: vec!["--run".to_owned()],
        ..wrapping()
    };
    let wrapped = wrap(text, Form::Json, &old).unwrap().text;
    let renewed = wrap(&wrapped, Form::Json, &wrapping()).unwrap().text;
    assert_eq!(renewed, wrap(text, Form::Json, &wrapping()).unwrap().text);
}

#[track_caller]
fn check_refused(form: Form, text: &str, says: &str) {
    let refused = wrap(text, form, &wrapping()).unwrap_err().to_string();
    assert!(refused.contains(says), "{refused}");
}

#[test]
fn a_file_that_is_not_understood_is_left_alone() {
    check_refused(Form::Json, "{", "cannot be parsed");
    check_refused(Form::Json, "[]", "`the file` is not an object");
    check_refused(
        Form::Json,
        r#"{"mcpServers":[]}"#,
        "`mcpServers` is not an object",
    );
    check_refused(
        Form::Json,
        r#"{"mcpServers":{"a":{"command":7}}}"#,
        "`mcpServers.a.command` is not a text",
    );
    check_refused(
        Form::Json,
        r#"{"mcpServers":{"a":{"command":"x","args":[7]}}}"#,
        "args[]` is not a text",
    );
    check_refused(
        Form::Json,
        r#"{"mcpServers":{},"mcpServers":{}}"#,
        "more than once",
    );
    check_refused(
        Form::Json,
        r#"{"mcpServers":{"a":{"command":"x"},"a":{}}}"#,
        "more than once",
    );
    check_refused(
        Form::Json,
        r#"{"mcpServers":{"a":{"command":"x","command":"y"}}}"#,
        "more than once",
    );
    check_refused(Form::Toml, "a = ", "cannot be parsed");
    check_refused(
        Form::Toml,
        "mcp_servers = 1",
        "`mcp_servers` is not a table",
    );
    check_refused(Form::Toml, "mcp_servers.a.command = \"x\"\n", "dotted keys");
}

fn with_urls() -> Wrapping {
    Wrapping {
        of_commands: vec!["--run".to_owned()],
        wraps_urls: true,
        ..wrapping()
    }
}

#[track_caller]
fn check_url(form: Form, text: &str, wrapped: &str) {
    let found = wrap(text, form, &with_urls()).unwrap();
    assert_eq!(found.text, wrapped, "{:?}", found.left);
    for again in [with_urls(), wrapping()] {
        let again = wrap(wrapped, form, &again).unwrap();
        assert_eq!(again.text, wrapped, "it stays behind the guard");
    }
    let back = unwrap(wrapped, form).unwrap();
    assert_eq!((back.text.as_str(), back.urls.len()), (text, 1));
}

#[test]
fn a_server_that_is_called_by_a_url_becomes_a_command_and_a_url_again() {
    check_url(
        Form::Json,
        r#"{ "mcpServers": { "web": { "type": "h\u0074tp", // mine
            "url" : "https:\/\/x.test/mcp", "timeout": 5,
            "headers": { "Authorization": "Bearer ${TOKEN}", /* two */ "X-Key": "k" } } } }"#,
        r#"{ "mcpServers": { "web": { "type": "stdio", // mine
            "command" : "/usr/bin/egressctl", "args": ["mcp", "--name", "web", "--policy", "/etc/p.json", "--header", "Authorization", "--header", "X-Key", "--was", "h\u0074tp", "--upstream", "https:\/\/x.test/mcp"], "timeout": 5,
            "env": { "EGRESSCTL_HEADER_Authorization": "Bearer ${TOKEN}", /* two */ "EGRESSCTL_HEADER_X-Key": "k" } } } }"#,
    );
    check_url(
        Form::Json,
        r#"{"mcpServers":{"web":{"url":"http://localhost:1/"}}}"#,
        r#"{"mcpServers":{"web":{"command":"/usr/bin/egressctl", "args": ["mcp", "--name", "web", "--policy", "/etc/p.json", "--upstream", "http://localhost:1/"]}}}"#,
    );
    check_url(
        Form::Toml,
        "[mcp_servers.web]\nurl = 'https://x.test' # c\nhttp_headers = { X-Key = \"k\", \"Y\" = 'z' }\n",
        "[mcp_servers.web]\ncommand = \"/usr/bin/egressctl\"\nargs = [\"mcp\", \"--name\", \"web\", \"--policy\", \"/etc/p.json\", \"--header\", \"X-Key\", \"--header\", \"Y\", \"--upstream\", 'https://x.test'] # c\nenv = { EGRESSCTL_HEADER_X-Key = \"k\", \"EGRESSCTL_HEADER_Y\" = 'z' }\n",
    );
    check_url(
        Form::Toml,
        "[mcp_servers.web]\nurl = \"https://x.test\"\n\n[mcp_servers.web.http_headers]\nX-Key = \"k\"\n",
        "[mcp_servers.web]\ncommand = \"/usr/bin/egressctl\"\nargs = [\"mcp\", \"--name\", \"web\", \"--policy\", \"/etc/p.json\", \"--header\", \"X-Key\", \"--upstream\", \"https://x.test\"]\n\n[mcp_servers.web.env]\nEGRESSCTL_HEADER_X-Key = \"k\"\n",
    );
    check_url(
        Form::Toml,
        "mcp_servers = { a = { url = \"https://x.test\" } }\n",
        "mcp_servers = { a = { command = \"/usr/bin/egressctl\", args = [\"mcp\", \"--name\", \"a\", \"--policy\", \"/etc/p.json\", \"--upstream\", \"https://x.test\"] } }\n",
    );
}

#[test]
fn a_url_that_another_program_has_rewritten_is_taken_out_too() {
    let text = r#"{ "mcpServers": { "a": { "type": "http", "url": "https://x.test", "headers": { "K": "v" } }, "b": { "url": "https://y.test" } } }"#;
    let wrapped = wrap(text, Form::Json, &with_urls()).unwrap().text;
    let value: serde_json::Value = serde_json::from_str(&wrapped).unwrap();
    let mut sorted = value.clone();
    for server in sorted["mcpServers"].as_object_mut().unwrap().values_mut() {
        server.sort_all_objects();
        // The arguments come first, the command last.
        let command = server.as_object_mut().unwrap().remove("command").unwrap();
        server["command"] = command;
    }
    for rewritten in [
        format!("{value:#}"),
        value.to_string(),
        format!("{sorted:#}"),
    ] {
        let back = unwrap(&rewritten, Form::Json).unwrap().text;
        let back: serde_json::Value = serde_json::from_str(&back).unwrap();
        let before: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(back, before, "{rewritten}");
    }
}

#[test]
fn servers_that_cannot_become_a_command_are_left_with_the_reason() {
    for (server, why) in [
        (
            r#""url": "https://x.test", "oauth": {}"#,
            "`oauth` says how",
        ),
        (
            r#""url": "https://x.test", "headersHelper": "x""#,
            "`headersHelper`",
        ),
        (r#""url": "https://x.test/?key=k""#, "words of a command"),
        (r#""url": "https://${HOST}/""#, "words of a command"),
        (r#""url": "https://me:pass@x.test/""#, "words of a command"),
        (r#""url": "ws://x.test""#, "words of a command"),
        (
            r#""url": "https://x.test", "type": "ws""#,
            "`ws` is not known",
        ),
        (r#""url": "https://x.test", "env": {}"#, "`url`"),
        (
            r#""url": "https://x.test", "headers": { "A": 7 }"#,
            "`headers`",
        ),
        (
            r#""url": "https://x.test", "headers": { "A b": "c" }"#,
            "`headers`",
        ),
        (r#""url": "https://x.test", "headers": "A: b""#, "`headers`"),
    ] {
        let text = format!(r#"{{ "mcpServers": {{ "a": {{ {server} }} }} }}"#);
        let found = wrap(&text, Form::Json, &with_urls()).unwrap();
        assert_eq!(found.text, text);
        let (_, told) = found.left.first().unwrap();
        assert!(told.contains(why), "{server}: {told}");
    }
    let text = "[mcp_servers.a]\nurl = \"https://x.test\"\nbearer_token_env_var = \"T\"\n";
    let found = wrap(text, Form::Toml, &with_urls()).unwrap();
    assert_eq!((found.text.as_str(), found.left.len()), (text, 1));
}

proptest! {
    #[test]
    fn taking_out_is_exact_whatever_the_spelling(
        command in "\"[a-z/ ]{1,8}\"",
        args in prop::option::of(prop::collection::vec("[ \n]{0,2}\"[a-z,\\[\\]-]{0,6}\"[ \n]{0,2}", 0..4)),
        space in "[ \n]{0,2}",
        first in any::<bool>(),
    ) {
        let command = format!("{space}\"command\":{space}{command}{space}");
        let args = args.map(|args| format!("{space}\"args\"{space}:[{space}{}{space}]", args.join(",")));
        let members = match args {
            None => command,
            Some(args) if first => format!("{args},{command}"),
            Some(args) => format!("{command},{args}"),
        };
        let text = format!("{{{space}\"mcpServers\":{{\"a\":{{{members}}}}}}}{space}");
        let wrapped = wrap(&text, Form::Json, &wrapping()).unwrap().text;
        prop_assert!(wrapped.contains("egressctl"));
        prop_assert_eq!(unwrap(&wrapped, Form::Json).unwrap().text, text);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,80}") {
        drop(wrap(&text, Form::Json, &with_urls()));
        drop(wrap(&text, Form::Toml, &with_urls()));
    }
}
