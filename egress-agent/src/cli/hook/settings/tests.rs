use serde_json::Value;

use super::*;

const COMMAND: &str = "/usr/bin/egressctl hook claude";

/// What a person has in such a file: comments, odd indentation, hooks of others.
const FOREIGN: &str = r#"// mine
{
	"model" : "opus",   // two   spaces
	"hooks": {
		"PreToolUse": [
			{ "matcher": "Bash",
			  "hooks": [ {"type":"command","command":"~/bin/lint.sh hook"} ] },
		],
		/* later */
		"Stop": [{"hooks":[{"type":"command","command":"say done"}]}]
	},
	"permissions": {"allow":["Bash(ls:*)"], "deny" : [ ]},
}
"#;

fn wanted() -> Vec<Entry> {
    entries(Dialect::Claude, COMMAND)
}

fn value(text: &str) -> Value {
    let node = CstRootNode::parse(text, &ParseOptions::default()).unwrap();
    jsonc_value(&node.value().unwrap())
}

fn jsonc_value(node: &CstNode) -> Value {
    if let Some(object) = node.as_object() {
        let members = object.properties().into_iter();
        return members
            .map(|one| {
                (
                    one.decoded_name().unwrap(),
                    jsonc_value(&one.value().unwrap()),
                )
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
    }
    if let Some(array) = node.as_array() {
        return array.elements().iter().map(jsonc_value).collect();
    }
    serde_json::from_str(&node.to_string()).unwrap()
}

#[test]
fn a_new_file_has_every_matcher_a_timeout_and_blocks_on_failure() {
    let text = with("", &wanted()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let before = &value["hooks"]["PreToolUse"][0];
    let matcher = before["matcher"].as_str().unwrap();
    for tool in ["Bash", "WebFetch", "WebSearch", "Write", "Edit", "mcp__.*"] {
        assert!(matcher.split('|').any(|one| one == tool), "{tool}");
    }
    assert_eq!(
        before["hooks"][0],
        serde_json::json!({ "type": "command", "command": COMMAND, "timeout": 10, "onFailure": "block" })
    );
    for event in ["PostToolUse", "PostToolUseFailure"] {
        assert_eq!(value["hooks"][event][0]["matcher"], "*");
        assert_eq!(value["hooks"][event][0]["hooks"][0]["command"], COMMAND);
    }
    let codex = with("", &entries(Dialect::Codex, "egressctl hook codex")).unwrap();
    let codex: Value = serde_json::from_str(&codex).unwrap();
    assert!(
        codex["hooks"]["PreToolUse"][0]["matcher"]
            .as_str()
            .unwrap()
            .contains("apply_patch")
    );
    assert_eq!(codex["hooks"]["PostToolUse"][0]["matcher"], "*");
    assert!(codex["hooks"].get("PostToolUseFailure").is_none());
}

#[test]
fn installing_keeps_every_foreign_line() {
    let text = with(FOREIGN, &wanted()).unwrap();
    for line in FOREIGN.lines() {
        let line = line.trim_end_matches(',');
        assert!(text.contains(line), "{line}\n{text}");
    }
    let (mut after, before) = (value(&text), value(FOREIGN));
    let groups = after["hooks"]["PreToolUse"].as_array_mut().unwrap();
    assert_eq!(groups.len(), 2);
    groups.pop();
    for event in ["PostToolUse", "PostToolUseFailure"] {
        after["hooks"]
            .as_object_mut()
            .unwrap()
            .remove(event)
            .unwrap();
    }
    assert_eq!(after, before);
}

#[test]
fn installing_twice_is_installing_once() {
    for text in ["", "{}", "{\"model\":\"opus\"}\n", FOREIGN] {
        let once = with(text, &wanted()).unwrap();
        assert_eq!(with(&once, &wanted()).unwrap(), once, "{text}");
    }
}

#[test]
fn an_older_entry_of_ours_is_replaced() {
    let old = entries(
        Dialect::Claude,
        "'/my tools/egressctl' hook claude --exit-code",
    );
    let text = with(&with(FOREIGN, &old).unwrap(), &wanted()).unwrap();
    assert!(!text.contains("my tools"), "{text}");
    assert_eq!(text.matches(COMMAND).count(), 3);
    assert_eq!(value(&text), value(&with(FOREIGN, &wanted()).unwrap()));
}

#[test]
fn an_entry_that_did_not_see_every_result_is_replaced() {
    let all = with("", &wanted()).unwrap();
    let narrow = all.replace(r#""matcher": "*""#, r#""matcher": "Bash|WebFetch""#);
    assert_ne!(narrow, all);
    assert_eq!(with(&narrow, &wanted()).unwrap(), all);
}

#[test]
fn removing_takes_ours_and_nothing_else() {
    let text = without(&with(FOREIGN, &wanted()).unwrap()).unwrap();
    assert_eq!(value(&text), value(FOREIGN));
    for line in FOREIGN.lines() {
        let line = line.trim_end_matches(',');
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(without(FOREIGN).unwrap(), FOREIGN);
    assert_eq!(
        value(&without(&with("", &wanted()).unwrap()).unwrap()),
        serde_json::json!({})
    );
}

#[test]
fn a_foreign_handler_in_a_group_with_ours_stays() {
    let text = r#"{"hooks":{"PreToolUse":[{"matcher":"Bash","hooks":[
        {"type":"command","command":"egressctl hook"},
        {"type":"command","command":"other"}]}]}}"#;
    let left = value(&without(text).unwrap());
    assert_eq!(
        left["hooks"]["PreToolUse"][0]["hooks"],
        serde_json::json!([{ "type": "command", "command": "other" }])
    );
}

#[test]
fn a_command_is_ours_by_its_program_and_its_verb() {
    for ours in [
        "egressctl hook",
        "/usr/bin/egressctl hook claude",
        " '/my tools/egressctl'  hook codex --exit-code",
    ] {
        assert!(is_ours(ours), "{ours}");
    }
    for foreign in [
        "",
        "egressctl status",
        "egressctl-wrapper hook",
        "lint egressctl hook",
        "'egressctl hook'",
        "egressctl hooks",
    ] {
        assert!(!is_ours(foreign), "{foreign}");
    }
}

#[track_caller]
fn check_refused(text: &str, says: &str) {
    let error = with(text, &wanted()).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
    assert_eq!(without(text).unwrap_err().to_string(), error);
}

#[test]
fn what_cannot_be_parsed_or_is_not_understood_is_refused() {
    check_refused("{", "cannot be parsed");
    check_refused("{'model': 1}", "cannot be parsed");
    check_refused("{} {}", "cannot be parsed");
    check_refused("[]", "`the file` is not an object");
    check_refused(r#"{"hooks":[]}"#, "`hooks` is not an object");
    check_refused(r#"{"hooks":{"Stop":{}}}"#, "`hooks.Stop` is not a list");
    check_refused(
        r#"{"hooks":{"Stop":["x"]}}"#,
        "`hooks.Stop[]` is not an object",
    );
    check_refused(
        r#"{"hooks":{"Stop":[{"hooks":"x"}]}}"#,
        "`hooks.Stop[].hooks` is not a list",
    );
    check_refused(
        r#"{"hooks":{},"hooks":{}}"#,
        "`hooks` stands there more than once",
    );
    check_refused(
        r#"{"hooks":{"Stop":[],"Stop":[]}}"#,
        "`hooks.Stop` stands there more than once",
    );
}

#[test]
fn windows_line_ends_and_tabs_are_kept() {
    let text = "{\r\n\t\"model\": \"opus\"\r\n}\r\n";
    let after = with(text, &wanted()).unwrap();
    assert!(
        after.starts_with("{\r\n\t\"model\": \"opus\",\r\n\t\"hooks\""),
        "{after:?}"
    );
    assert!(!after.replace("\r\n", "").contains('\n'), "{after:?}");
}
