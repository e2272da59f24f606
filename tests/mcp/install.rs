//! The servers of agents behind the guard, and out again.

use super::*;

fn egressctl(home: &Path, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(EGRESSCTL)
        .arg("mcp")
        .args(words)
        .env("HOME", home)
        .env_remove("CLAUDE_CONFIG_DIR")
        .env_remove("CODEX_HOME")
        .current_dir(home)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn every_agent_is_found_and_left_as_it_was() {
    let json = "{\n  \"mcpServers\": {\n    \"git\": { \"command\": \"npx\", \"args\": [\"-y\", \"git\"] },\n    \"web\": { \"url\": \"https://x.test\" }\n  }\n}\n";
    let toml = "[mcp_servers.git]\ncommand = \"npx\" # c\n";
    for (agent, project, file, text) in [
        ("claude", false, ".claude.json", json),
        ("claude", true, ".mcp.json", json),
        ("codex", false, ".codex/config.toml", toml),
        ("cursor", false, ".cursor/mcp.json", json),
        ("./some.json", false, "some.json", json),
    ] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let read = || std::fs::read_to_string(&path).unwrap();
        let mut words = vec!["install", agent];
        words.extend(project.then_some("--project"));
        let (status, said) = egressctl(home.path(), &[&words[..], &["--dry-run"]].concat());
        assert_eq!(
            (status, read().as_str()),
            (Some(0), text),
            "{agent}: {said}"
        );
        assert!(
            said.contains("would change") && said.contains("+ "),
            "{said}"
        );
        let (status, said) = egressctl(home.path(), &words);
        assert_eq!(status, Some(0), "{said}");
        assert!(
            read().contains(EGRESSCTL) && said.contains("git: behind the guard"),
            "{said}"
        );
        assert_eq!(said.contains("web: left as it is"), text == json, "{said}");
        let all = [&words[..], &["--urls"]].concat();
        let (_, said) = egressctl(home.path(), &all);
        assert_eq!(
            said.contains("web: behind the guard"),
            text == json,
            "{said}"
        );
        let (_, said) = egressctl(home.path(), &words);
        assert!(said.contains("nothing to change"), "{said}");
        words[0] = "uninstall";
        assert_eq!(egressctl(home.path(), &words).0, Some(0));
        assert_eq!(read(), text, "{agent}");
    }
}

/// What is written can be run as it stands, and holds no secret in its words.
#[test]
fn an_installed_url_answers() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("some.json");
    let (mut upstream, url) = http::upstream();
    let headers = json!({ "Authorization": "Bearer sesame" });
    let web = json!({ "type": "http", "url": url, "headers": headers });
    let config = json!({ "mcpServers": { "web": web } }).to_string();
    std::fs::write(&path, &config).unwrap();
    std::fs::write(home.path().join("policy.json"), r#"{ "version": 1 }"#).unwrap();
    let words = ["install", "some.json", "--policy", "policy.json", "--urls"];
    let (status, said) = egressctl(home.path(), &words);
    assert_eq!(status, Some(0), "{said}");
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let server = &written["mcpServers"]["web"];
    assert_eq!(server["type"], "stdio");
    assert!(!server["args"].to_string().contains("sesame"), "{server}");
    let texts = |value: &Value| value.as_str().unwrap().to_owned();
    let variables = server["env"].as_object().unwrap().iter();
    let mut command = Command::new(server["command"].as_str().unwrap());
    command
        .args(server["args"].as_array().unwrap().iter().map(texts))
        .envs(variables.map(|(name, value)| (name, texts(value))))
        .env("HOME", home.path())
        .env_remove("XDG_STATE_HOME");
    let mut guard = Guarded::spawn(tempfile::tempdir().unwrap(), &mut command);
    assert!(guard.list().contains(&"log".to_owned()));
    let log = guard.ask(&call(1, "log", &json!({})));
    assert!(text(&log).contains("Bearer sesame"), "{log}");
    assert!(guard.end().0.success());
    let state = home.path().join(".local/state/egressd/mcp/web.json");
    assert!(state.exists());
    assert_eq!(
        egressctl(home.path(), &["uninstall", "some.json"]).0,
        Some(0)
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), config);
    upstream.kill().unwrap();
    upstream.wait().unwrap();
}

#[test]
fn a_file_that_is_not_understood_is_refused_and_left() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".claude.json");
    std::fs::write(&path, "{ nonsense").unwrap();
    let (status, said) = egressctl(home.path(), &["install", "claude"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("left as it is"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ nonsense");
}

/// What is written can be run as it stands.
#[test]
fn an_installed_server_answers() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("some.json");
    let script = SERVER.replace("#MORE#", "");
    let config =
        json!({ "mcpServers": { "my server": { "command": "python3", "args": ["-c", script] } } });
    std::fs::write(&path, config.to_string()).unwrap();
    let policy = home.path().join("policy.json");
    std::fs::write(&policy, r#"{ "version": 1 }"#).unwrap();
    let words = ["install", "some.json", "--policy", "policy.json"];
    assert_eq!(egressctl(home.path(), &words).0, Some(0));
    let config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let server = &config["mcpServers"]["my server"];
    let args: Vec<_> = server["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arg| arg.as_str().unwrap())
        .collect();
    let mut child = Command::new(server["command"].as_str().unwrap())
        .args(args)
        .env("HOME", home.path())
        .env_remove("XDG_STATE_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(
        input,
        "{}",
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })
    )
    .unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["result"]["tools"][0]["name"], "add");
    let state = home
        .path()
        .join(".local/state/egressd/mcp/my%20server.json");
    assert!(state.exists());
}
