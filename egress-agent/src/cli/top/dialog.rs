//! What stands over the lists: explanations, questions before anything changes, help. Pure.

use super::{
    explain,
    grant::{self, Card},
    model::{Action, Key},
    rows::Tone,
    words::bounded,
};
use crate::control::message::{Reply, Request};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Dialog {
    Text {
        title: String,
        lines: Vec<String>,
        /// The first line that is shown.
        top: usize,
    },
    /// Typed at the foot of the screen.
    Filter {
        /// What it was, for who thinks better of it.
        before: String,
    },
    /// A session is to end.
    End {
        session: String,
    },
    Grant(Card),
}

/// What an answer is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Then {
    Why { title: String, details: Vec<String> },
    Grant(grant::Then),
    Ended,
}

/// Characters of a foreign text.
const LONGEST: usize = 1_000;
/// Characters of a filter.
const LONGEST_FILTER: usize = 100;

const HELP: [&str; 20] = [
    "tab, 1-5    go to another list",
    "j k arrows  move; g G to the first and the last row, space for a page",
    "enter, e    explain: what decides about it, and what would change that",
    "a           allow it for a while: shows what that opens, and asks",
    "p           what waits for your approval",
    "x           end the session of this row: asks",
    "/           show only rows with a word; escape shows all again",
    "f           freeze the picture, or go on",
    "q, Ctrl-C   leave: everything stays enforced",
    "",
    "Denials and questions that are equal are one row with a count.",
    "VIA proxy: the flow goes through egressd's proxy, which checks the",
    "name; `resolver` is a question on its way. `~` stands for what did",
    "not fit: of a name its beginning is left out, never its end.",
    "Flows that a session opens in a network namespace of its own are",
    "guarded and recorded, but not listed.",
    "",
    "For screen readers and pipes: egressctl top --plain",
    "One picture as text: egressctl top --once",
    "For programs: egressctl --json top",
];

impl Dialog {
    pub(super) fn text(title: &str, lines: Vec<String>) -> Self {
        Self::Text {
            title: bounded(title, LONGEST),
            lines,
            top: 0,
        }
    }

    pub(super) fn help() -> Self {
        Self::text("egressctl top", HELP.map(str::to_owned).to_vec())
    }

    pub(super) fn filter(before: &str) -> Self {
        Self::Filter {
            before: before.to_owned(),
        }
    }

    pub(super) const fn end(session: String) -> Self {
        Self::End { session }
    }

    /// Whether keys are answers to it.
    pub(super) const fn is_question(&self) -> bool {
        match self {
            Self::Text { .. } => false,
            Self::Filter { .. } | Self::End { .. } | Self::Grant(_) => true,
        }
    }

    /// What is left of it after a key, and what that key asks for.
    pub(super) fn key(self, key: Key, filter: &mut String) -> (Option<Self>, Option<Action>) {
        match self {
            Self::Text { title, lines, top } => {
                let last = lines.len().saturating_sub(1);
                let top = match key {
                    Key::Down | Key::Char('j') => (top + 1).min(last),
                    Key::Up | Key::Char('k') => top.saturating_sub(1),
                    Key::PageDown | Key::Char(' ') => (top + 10).min(last),
                    Key::PageUp => top.saturating_sub(10),
                    Key::Home => 0,
                    Key::Char(_)
                    | Key::Enter
                    | Key::Escape
                    | Key::Tab
                    | Key::BackTab
                    | Key::End
                    | Key::Backspace
                    | Key::Interrupt => return (None, None),
                };
                (Some(Self::Text { title, lines, top }), None)
            }
            Self::Filter { before } => (typed(before, key, filter), None),
            Self::End { session } => {
                let action = (key == Key::Char('y'))
                    .then(|| Action::Ask(Box::new(Request::End { session }), Then::Ended));
                (None, action)
            }
            Self::Grant(card) => {
                let (card, action) = card.key(key);
                (card.map(Self::Grant), action)
            }
        }
    }

    pub(super) fn title(&self) -> String {
        match self {
            Self::Text { title, .. } => title.clone(),
            Self::Filter { .. } => String::new(),
            Self::End { .. } => "End a session?".to_owned(),
            Self::Grant(card) => card.title(),
        }
    }

    /// What it says, safe to print.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::Text { lines, .. } => lines.clone(),
            Self::Filter { .. } => Vec::new(),
            Self::End { session } => vec![format!(
                "Every process of session {} is killed.",
                bounded(session, 100)
            )],
            Self::Grant(card) => card.lines(),
        }
    }

    /// What may be pressed.
    pub(super) fn keys(&self) -> &'static str {
        match self {
            Self::Text { .. } => "j/k scroll  any other key closes",
            Self::Filter { .. } => "",
            Self::End { .. } => "y end it  any other key: no",
            Self::Grant(card) => card.keys(),
        }
    }

    /// The first line that is shown.
    pub(super) fn top(&self) -> usize {
        match self {
            Self::Text { top, .. } => *top,
            Self::Filter { .. } | Self::End { .. } => 0,
            Self::Grant(card) => card.top(),
        }
    }
}

impl Then {
    /// The dialog that a good answer leads to. `notice` takes a word instead.
    pub(super) fn dialog(
        self,
        reply: Reply,
        notice: &mut Option<(Tone, String)>,
    ) -> Option<Dialog> {
        let said = |text: &str| Some((Tone::Good, bounded(text, 300)));
        match (self, reply) {
            (Self::Why { title, details }, Reply::Why(why)) => {
                let mut lines = details;
                lines.push(String::new());
                lines.extend(explain::lines(&why));
                Some(Dialog::text(&title, lines))
            }
            (Self::Ended, Reply::Done(text)) => {
                *notice = said(&text);
                None
            }
            (Self::Grant(then), reply) => match then.card(reply) {
                Some(Ok(card)) => Some(Dialog::Grant(card)),
                Some(Err(text)) => {
                    *notice = said(if text.is_empty() { "done" } else { &text });
                    None
                }
                None => {
                    *notice = Some(strange());
                    None
                }
            },
            _ => {
                *notice = Some(strange());
                None
            }
        }
    }
}

fn strange() -> (Tone, String) {
    let text = "egressd answered something else: use egressctl of the same release";
    (Tone::Bad, text.to_owned())
}

/// The filter changes with each key; escape takes it all back.
fn typed(before: String, key: Key, filter: &mut String) -> Option<Dialog> {
    match key {
        Key::Char(c) => {
            if filter.chars().count() < LONGEST_FILTER && !c.is_control() {
                filter.push(c);
            }
        }
        Key::Backspace => drop(filter.pop()),
        Key::Enter => return None,
        Key::Escape => {
            *filter = before;
            return None;
        }
        Key::Tab
        | Key::BackTab
        | Key::Up
        | Key::Down
        | Key::PageUp
        | Key::PageDown
        | Key::Home
        | Key::End
        | Key::Interrupt => {}
    }
    Some(Dialog::Filter { before })
}
