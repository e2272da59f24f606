//! Pictures of `top`, kept as text under `snapshots`, and what keys do.
//!
//! `EGRESS_SNAPSHOTS=write` writes them anew; look at what changed before it is kept.

use std::fs;

use ratatui::{Terminal, backend::TestBackend, style::Color};
use unicode_width::UnicodeWidthStr as _;

use super::{
    dialog::{Dialog, Then},
    draw::draw,
    model::{Action, Key, Model},
    panes::Pane,
    *,
};
use crate::{
    audit::record::{Mode, Process, Rule, Verdict},
    control::{
        grants::{Act, Opening, Pending, Wish},
        message::{Reply, Request},
        status::Why,
    },
};

mod moment;

use moment::flow;
pub(super) use moment::{at, denied, overview};

fn model(overview: &Overview) -> Model {
    let mut model = Model::new();
    model.update(overview, Duration::ZERO);
    model
}

/// The picture as text, lines without their tails.
fn picture(model: &Model, width: u16, height: u16, color: bool) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            draw(frame, model, color);
        })
        .unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let cell = buffer.cell((x, y)).unwrap();
            assert!(color || cell.fg == Color::Reset, "colour at {x},{y}");
            assert!(!cell.symbol().chars().any(char::is_control));
            line.push_str(cell.symbol());
            x += u16::try_from(cell.symbol().width()).unwrap().max(1);
        }
        assert!(line.width() <= usize::from(width), "{line}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[track_caller]
fn check(name: &str, model: &Model, width: u16, height: u16) {
    let got = picture(model, width, height, false);
    // Colour changes no letter.
    assert_eq!(got, picture(model, width, height, true));
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/cli/top/snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("EGRESS_SNAPSHOTS").is_some_and(|value| value == "write") {
        fs::write(&path, &got).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, kept, "{name} is not as kept:\n{got}");
}

fn press(model: &mut Model, keys: &str) -> Vec<Action> {
    keys.chars()
        .filter_map(|c| {
            model.key(match c {
                '\n' => Key::Enter,
                '\t' => Key::Tab,
                '\u{1b}' => Key::Escape,
                c => Key::Char(c),
            })
        })
        .collect()
}

#[test]
fn pictures_of_a_usual_moment() {
    let mut later = overview();
    later.denials_total += 24;
    later.events += 340;
    later.questions_total += 7;
    let mut model = model(&overview());
    model.update(&later, Duration::from_secs(2));
    check("usual-80x24", &model, 80, 24);
    check("usual-60x20", &model, 60, 20);
    check("usual-120x40", &model, 120, 40);
    check("smallest-40x12", &model, 40, 12);
    check("too-small-30x8", &model, 30, 8);
    press(&mut model, "2");
    check("flows-80x24", &model, 80, 24);
    press(&mut model, "f/git\n");
    check("frozen-and-filtered-80x24", &model, 80, 24);
}

#[test]
fn pictures_of_nothing_and_of_a_daemon_that_is_gone() {
    let mut empty = overview();
    empty.status.sessions.clear();
    empty.status.guards[0].gaps.clear();
    empty.flows.clear();
    empty.leases.clear();
    empty.denials.clear();
    empty.questions.clear();
    (
        empty.flows_total,
        empty.leases_total,
        empty.denials_total,
        empty.questions_total,
    ) = (0, 0, 0, 0);
    let mut model = model(&empty);
    check("empty-80x24", &model, 80, 24);
    model.lose("egressd is not running, or `/run/egressd/control.sock` cannot be reached");
    check("gone-80x24", &model, 80, 24);
    model.update(&empty, Duration::from_secs(9));
    assert!(!picture(&model, 80, 24, false).contains("does not answer"));
}

#[test]
fn pictures_of_dialogs() {
    let mut model = model(&overview());
    press(&mut model, "?");
    check("help-80x24", &model, 80, 24);
    press(&mut model, "q");
    let actions = press(&mut model, "j\n");
    let [Action::Ask(request, then)] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(
        **request,
        Request::Why {
            target: "telemetry.tracker.example.test:443".to_owned(),
            session: Some("claude-1".to_owned())
        }
    );
    model.answered(then.clone(), Ok(Reply::Why(Box::new(why()))));
    check("explain-80x24", &model, 80, 24);
    check("explain-60x20", &model, 60, 20);
    press(&mut model, "q");
    assert_eq!(model.dialog, None);

    let actions = press(&mut model, "a");
    let [Action::Ask(request, then)] = &actions[..] else {
        panic!("{actions:?}");
    };
    let Request::Allow {
        wish,
        act: Act::Show,
        ..
    } = &**request
    else {
        panic!("{request:?}");
    };
    assert_eq!(
        (wish.session.as_deref(), wish.seconds),
        (Some("claude-1"), Some(3_600))
    );
    model.answered(then.clone(), Ok(Reply::Opening(Box::new(opening()))));
    check("allow-80x24", &model, 80, 24);
    let actions = press(&mut model, "ty");
    let [Action::Ask(request, then)] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert!(
        matches!(&**request, Request::Allow { act: Act::Show, wish, .. } if wish.seconds == Some(600))
    );
    model.answered(then.clone(), Ok(Reply::Opening(Box::new(opening()))));
    let actions = press(&mut model, "y");
    assert!(
        matches!(&actions[..], [Action::Ask(request, Then::Grant(grant::Then::Opened))] if matches!(&**request,
            Request::Allow { act: Act::Grant, wish, .. } if wish.seconds == Some(600)))
    );

    model.answered(
        Then::Grant(grant::Then::Pending),
        Ok(Reply::Pending(vec![pending(3), pending(4)])),
    );
    press(&mut model, "j");
    check("pending-80x24", &model, 80, 24);
    let actions = press(&mut model, "y");
    assert!(
        matches!(&actions[..], [Action::Ask(request, Then::Grant(grant::Then::Settled))] if matches!(&**request,
            Request::Approve { settlement, .. } if settlement.id == 4
                && settlement.verdict == Verdict::Allow && settlement.for_all
                && settlement.seconds == Some(3_600)))
    );
    model.answered(
        Then::Grant(grant::Then::Settled),
        Err("uid 1000 may not approve anything: only root may".to_owned()),
    );
    check("refused-80x24", &model, 80, 24);
}

fn why() -> Why {
    Why {
        target: "telemetry.tracker.example.test:443".to_owned(),
        verdict: Verdict::Deny,
        mode: Mode::Enforce,
        reason: Some("name-denied".to_owned()),
        reason_text: Some("no rule allows the name".to_owned()),
        rule: None,
        lease: None,
        denials: vec![denied("claude-1", "198.51.100.10")],
        allow_with: Some(
            serde_json::json!({ "hosts": ["telemetry.tracker.example.test"], "ports": ["443/tcp"] }),
        ),
        help: Some("add it with `egressctl allow`".to_owned()),
    }
}

fn opening() -> Opening {
    Opening {
        rule: serde_json::json!({ "hosts": ["telemetry.tracker.example.test"], "ports": ["443/tcp"] }),
        guard: "agent.slice".to_owned(),
        file: "/etc/egressd/policy.json".to_owned(),
        session: Some("claude-1".to_owned()),
        until: None,
        notes: vec!["this host takes uploads from anybody".to_owned()],
        denied_by: None,
        allowed_by: None,
        id: None,
    }
}

fn pending(id: u64) -> Pending {
    Pending {
        id,
        guard: "agent.slice".to_owned(),
        session: "claude-1".to_owned(),
        host: format!("host{id}.example.test"),
        port: Some("443/tcp".to_owned()),
        rule: "ask".to_owned(),
        process: None,
        since: at(0),
        left_ms: 42_000,
        count: 3,
        risks: vec!["a public suffix".to_owned()],
        opens: serde_json::json!({ "hosts": [format!("host{id}.example.test")] }),
        for_all: true,
    }
}

/// What a rule denies stays denied, whatever is pressed.
#[test]
fn nothing_is_opened_that_a_rule_denies_or_without_a_yes() {
    let mut model = model(&overview());
    let wish = Wish {
        target: "x.test".to_owned(),
        ..Wish::default()
    };
    let mut denied = opening();
    denied.denied_by = Some(crate::control::status::Rule {
        name: "never".to_owned(),
        file: None,
        line: None,
    });
    model.answered(
        Then::Grant(grant::Then::Opening(wish.clone())),
        Ok(Reply::Opening(Box::new(denied))),
    );
    assert!(press(&mut model, "y").is_empty());
    for key in [Key::Enter, Key::Escape, Key::Char('n'), Key::Char(' ')] {
        model.answered(
            Then::Grant(grant::Then::Opening(wish.clone())),
            Ok(Reply::Opening(Box::new(opening()))),
        );
        assert_eq!(model.key(key), None, "{key:?}");
        assert_eq!(model.dialog, None);
    }
    // A card that comes late takes no `y` that was meant for something else.
    press(&mut model, "1x");
    let late = Then::Grant(grant::Then::Opening(wish));
    model.answered(late, Ok(Reply::Opening(Box::new(opening()))));
    let actions = press(&mut model, "y");
    assert!(
        matches!(&actions[..], [Action::Ask(request, Then::Ended)] if matches!(&**request,
            Request::End { .. }))
    );
    // Nor is anything ended.
    press(&mut model, "1x");
    assert!(matches!(model.dialog, Some(Dialog::End { .. })));
    assert!(press(&mut model, "\n").is_empty());
    press(&mut model, "x");
    let actions = press(&mut model, "y");
    assert!(
        matches!(&actions[..], [Action::Ask(request, Then::Ended)] if matches!(&**request,
            Request::End { session } if session == "claude-1"))
    );
}

#[test]
fn keys_move_between_lists_and_rows() {
    let mut model = model(&overview());
    assert_eq!(model.pane(), Pane::Denials);
    press(&mut model, "\t\t\t");
    assert_eq!(model.pane(), Pane::Sessions);
    model.key(Key::BackTab);
    assert_eq!(model.pane(), Pane::Questions);
    press(&mut model, "2jjjjjjjj");
    assert_eq!(model.list(Pane::Flows).selected, 3);
    press(&mut model, "k");
    assert_eq!(model.list(Pane::Flows).selected, 2);
    press(&mut model, "g");
    assert_eq!(model.list(Pane::Flows).selected, 0);
    press(&mut model, "G");
    assert_eq!(model.list(Pane::Flows).selected, 3);
    assert_eq!(press(&mut model, "q"), [Action::Quit]);
    assert_eq!(model.key(Key::Interrupt), Some(Action::Quit));
    // Also while something is asked.
    press(&mut model, "1x");
    assert_eq!(model.key(Key::Interrupt), Some(Action::Quit));
}

#[test]
fn a_selected_row_stays_selected_while_others_come_and_go() {
    let mut model = model(&overview());
    press(&mut model, "2j");
    let before = press(&mut model, "e");
    let mut next = overview();
    next.flows
        .insert(0, flow("a-new-one", "198.51.100.44:443", None, None));
    model.update(&next, Duration::from_secs(1));
    assert_eq!(model.list(Pane::Flows).selected, 2);
    assert_eq!(press(&mut model, "e"), before);
    // It has gone: what stands in its place.
    next.flows
        .retain(|flow| flow.name.as_deref() != Some("git.example.test"));
    next.flows.truncate(1);
    model.update(&next, Duration::from_secs(2));
    assert_eq!(model.list(Pane::Flows).selected, 0);
}

#[test]
fn a_filter_is_typed_kept_and_taken_back() {
    let mut model = model(&overview());
    press(&mut model, "2/API");
    assert_eq!(model.list(Pane::Flows).len(), 1);
    assert_eq!(press(&mut model, "q"), []);
    assert_eq!(model.list(Pane::Flows).len(), 0);
    model.key(Key::Backspace);
    press(&mut model, "\n");
    assert_eq!(
        (model.list(Pane::Flows).len(), model.filter.as_str()),
        (1, "API")
    );
    press(&mut model, "/x\u{1b}");
    assert_eq!(model.filter, "API");
    press(&mut model, "\u{1b}");
    assert_eq!(model.list(Pane::Flows).len(), 4);
}

#[test]
fn a_frozen_picture_stays_and_goes_on() {
    let mut model = model(&overview());
    press(&mut model, "f");
    let frozen = picture(&model, 80, 24, false);
    let mut next = overview();
    next.denials.clear();
    model.update(&next, Duration::from_secs(1));
    assert_eq!(picture(&model, 80, 24, false), frozen);
    press(&mut model, "f");
    model.update(&next, Duration::from_secs(2));
    assert_eq!(model.list(Pane::Denials).len(), 0);
}

#[test]
fn another_daemon_is_no_negative_rate() {
    let mut model = model(&overview());
    let mut other = overview();
    other.status.pid = 78;
    other.events = 6_000;
    model.update(&other, Duration::from_secs(1));
    assert_eq!(model.rates.events, None);
    other.events += 50;
    model.update(&other, Duration::from_secs(2));
    assert_eq!(model.rates.events, Some(50.0));
}

/// Everything foreign at once: what it would do to a terminal, and to the order of the picture.
#[test]
fn hostile_names_stay_in_their_place() {
    let evil = format!(
        "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n\u{202e}\u{9b}\u{200b}{}日本語{}.evil.test",
        "\u{301}".repeat(5_000),
        "x".repeat(100_000),
    );
    let mut overview = overview();
    for session in &mut overview.status.sessions {
        session.command = vec![evil.clone()];
    }
    overview.status.guards[0].gaps.push(evil.clone());
    for flow in &mut overview.flows {
        (flow.session, flow.name, flow.state) = (evil.clone(), Some(evil.clone()), evil.clone());
    }
    for record in overview.denials.iter_mut().chain(&mut overview.questions) {
        record.session = Some(evil.clone());
        record.name = Some(evil.clone());
        record.qtype = Some(evil.clone());
        record.reason = Some(evil.clone().into());
        record.message = Some(evil.clone());
        record.rule = Some(Rule {
            name: evil.clone(),
            line: None,
        });
        record.process = Some(Process {
            pid: 1,
            uid: 1,
            comm: evil.clone(),
        });
    }
    for lease in &mut overview.leases {
        lease.name = evil.clone();
    }
    overview.flows_missing = Some(evil.clone());
    let mut model = model(&overview);
    check("hostile-80x24", &model, 80, 24);
    for pane in ["1", "2", "3", "4", "5"] {
        press(&mut model, pane);
        for (width, height) in [(40, 12), (60, 20), (81, 25), (200, 60)] {
            picture(&model, width, height, true);
        }
    }
    let mut answer = why();
    answer.target.clone_from(&evil);
    answer.help = Some(evil.clone());
    let then = Then::Why {
        title: evil.clone(),
        details: vec!["it".to_owned()],
    };
    model.answered(then, Ok(Reply::Why(Box::new(answer))));
    check("hostile-explain-80x24", &model, 80, 24);
    press(&mut model, "q");
    model.answered(Then::Ended, Err(evil.clone()));
    picture(&model, 80, 24, true);
    model.lose(&evil);
    picture(&model, 80, 24, true);
    let mut waits = pending(1);
    (waits.host, waits.session) = (evil.clone(), evil);
    model.answered(
        Then::Grant(grant::Then::Pending),
        Ok(Reply::Pending(vec![waits])),
    );
    picture(&model, 80, 24, true);
}

/// Every size of window, with every dialog.
#[test]
fn no_size_breaks_it() {
    let mut overview = overview();
    let many = overview.flows[0].clone();
    overview.flows = (0..300)
        .map(|port| {
            let mut flow = many.clone();
            flow.local.set_port(10_000 + port);
            flow
        })
        .collect();
    let mut model = model(&overview);
    press(&mut model, "2G");
    for height in 1..45 {
        for width in (1..140).step_by(3) {
            picture(&model, width, height, true);
        }
    }
    press(&mut model, "?");
    for size in [(1, 1), (40, 12), (41, 13), (60, 14), (139, 44)] {
        picture(&model, size.0, size.1, true);
    }
}

#[test]
fn one_picture_as_text_has_every_row() {
    let written = crate::cli::table::tests::Written::default();
    once::print(&overview(), &mut written.screen(false, false)).unwrap();
    let text = written.text();
    for word in [
        "egressd 0.1.0 enforcing, 1 guarded",
        "! gap: the kernel has no BPF LSM",
        "telemetry.tracker.example.test:443",
        "[2001:db8::7]:5432",
        "Bash",
    ] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn intervals_are_seconds() {
    assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    for text in ["0", "-1", "nan", "inf", "1e9", "x", ""] {
        assert!(seconds(text).is_err(), "{text}");
    }
}
