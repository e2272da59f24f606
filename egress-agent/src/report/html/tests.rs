use std::collections::BTreeMap;

use super::{super::page::page, *};
use crate::{
    audit::record::{
        Egress, Finding, Kind, Layer, Mode, Policy, Record, Time, Tool, tests::denial,
    },
    report::{Chain, Gather, Head, Report, markdown},
};

/// One of everything that a page can have.
pub(super) fn example(name: &str) -> Report {
    let mut gather = Gather::default();
    let time = |second| denial(second, "::").time;
    let life = |second, kind| Record::new(time(second), Layer::Daemon, kind);
    let mut loaded = life(1, Kind::PolicyLoaded);
    loaded.guard = Some("agents".to_owned());
    loaded.mode = Some(Mode::Enforce);
    loaded.policy = Some(Policy {
        name: name.to_owned(),
        digest: "ab".repeat(32),
    });
    let mut begin = life(2, Kind::SessionBegin);
    begin.session = Some(name.to_owned());
    begin.guard = Some("agents".to_owned());
    begin.message = Some(format!("pid 7 uid 1000: {name}"));
    let mut denied = denial(3, "203.0.113.7");
    denied.session = Some(name.to_owned());
    denied.name = Some(name.to_owned());
    denied.allow_with = Some(serde_json::json!({ "hosts": [name], "ports": ["443/tcp"] }));
    let mut call = Record::new(time(4), Layer::Hook, Kind::ToolCall);
    call.session = Some(name.to_owned());
    call.verdict = Some(Verdict::Ask);
    call.tool = Some(Tool {
        name: name.to_owned(),
        class: Some("shell".to_owned()),
        server: None,
        call: None,
    });
    call.findings = vec![Finding {
        detector: name.to_owned(),
        offset: 0,
        length: 1,
    }];
    let mut asked = Record::new(time(5), Layer::Dns, Kind::Question);
    asked.session = Some(name.to_owned());
    asked.name = Some(name.to_owned());
    asked.verdict = Some(Verdict::Allow);
    let mut end = life(6, Kind::SessionEnd);
    end.session = Some(name.to_owned());
    end.egress = vec![Egress {
        host: name.to_owned(),
        verdict: Verdict::Allow,
        connections: 3,
        bytes_up: Some(2_048),
        bytes_down: None,
        duration_ms: Some(1_500),
    }];
    let mut lost = life(7, Kind::Lost);
    lost.lost = BTreeMap::from([(Layer::Dns, 2)]);
    lost.message = Some(name.to_owned());
    for record in [
        life(0, Kind::Start),
        loaded,
        begin,
        denied,
        call,
        asked,
        end,
        lost,
        life(8, Kind::Start),
    ] {
        gather.add(&record);
    }
    gather.unreadable(name);
    gather.finish(
        Head {
            made: Time::new(jiff::Timestamp::UNIX_EPOCH),
            machine: name.to_owned(),
            log: name.to_owned(),
            since: Some(time(0)),
            until: None,
            session: Some(name.to_owned()),
            chain: Chain::Broken {
                why: name.to_owned(),
            },
        },
        10,
    )
}

/// Elements and their attributes, without text: what a page is made of.
fn structure(html: &str) -> Vec<String> {
    let body = html.split_once("<body>").unwrap().1;
    let mut lines = Vec::new();
    let mut depth = 0_usize;
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        let is_void = tag.ends_with('/');
        if tag.starts_with('/') {
            depth = depth.saturating_sub(1);
            continue;
        }
        let is_inner = [
            "code", "time", "th", "td", "rect", "span", "b>", "strong", "dd", "tr", "thead",
            "tbody",
        ];
        if !is_inner.iter().any(|inner| tag.starts_with(inner)) && tag != "b" {
            let text = if tag.starts_with('h') {
                text.trim()
            } else {
                ""
            };
            lines.push(
                format!("{}{tag} {text}", "  ".repeat(depth))
                    .trim_end()
                    .to_owned(),
            );
        }
        depth += usize::from(!is_void);
    }
    lines
}

#[test]
fn the_structure_of_a_page() {
    let html = html(&page(&example("s1")));
    let found = structure(&html).join("\n");
    assert_eq!(
        found,
        include_str!("structure.txt").trim_end(),
        "\n{found}\n"
    );
}

/// Every tag that is opened is closed, in order.
#[test]
fn a_page_is_well_formed_whatever_stands_in_it() {
    for name in [
        "s1",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='x",
        "</style></title><!--",
        "&lt;&#x3c;",
        "\u{202e}\u{1b}[2J\u{0}",
        "]]>{{7*7}}${x}",
        "",
    ] {
        let html = html(&page(&example(name)));
        let mut open = Vec::new();
        let style = html.split_once("<style>").unwrap();
        let rest = style.1.split_once("</style>").unwrap().1;
        let text = format!("{}{rest}", style.0);
        for part in text.split('<').skip(1) {
            let (tag, _) = part.split_once('>').unwrap();
            let name = tag.split([' ', '\n']).next().unwrap();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "in {tag}"),
                None if tag.ends_with('/') || ["!doctype", "meta"].contains(&name) => {}
                None => open.push(name),
            }
            let attributes = tag.split_once(' ').map_or("", |(_, rest)| rest);
            assert!(!attributes.contains(" on"), "{tag}");
        }
        assert_eq!(open, Vec::<&str>::new());
        for never in [
            "<script",
            "<img",
            "javascript:",
            "http:",
            "https:",
            "@import",
            "url(",
        ] {
            assert!(!html.contains(never), "{never} for {name}");
        }
        assert!(!html.chars().any(|c| c.is_control() && c != '\n'), "{name}");
        assert!(!html.contains('\u{202e}'));
        // In Markdown it stands in a code span.
        for line in markdown(&page(&example(name))).lines() {
            let outside: String = line.split('`').step_by(2).collect();
            assert!(!outside.contains(['<', '&', '\u{1b}']), "{line}");
        }
    }
}

#[test]
fn the_policy_of_the_page_names_its_style_and_nothing_else() {
    let html = html(&page(&example("s1")));
    let style = html
        .split_once("<style>")
        .unwrap()
        .1
        .split_once("</style>")
        .unwrap()
        .0;
    let hash = STANDARD.encode(Sha256::digest(style));
    assert!(html.contains("content=\"default-src 'none'; "));
    assert!(html.contains(&format!("style-src 'sha256-{hash}'")));
    assert!(!html.contains(" style=\""));
}
