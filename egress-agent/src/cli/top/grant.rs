//! Opening something from `top`, and what waits for approval: shown first, done after a `y`. Pure.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;

use super::{
    model::{Action, Key},
    words::{bounded, short},
};
use crate::{
    audit::record::Verdict,
    control::{
        grants::{Act, Opening, Pending, Settlement, Wish},
        message::{Reply, Request},
    },
};

/// What is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Card {
    /// Something is to be opened.
    Opening { wish: Wish, opening: Box<Opening> },
    /// What waits for a person.
    Pending { list: Vec<Pending>, selected: usize },
}

/// What an answer is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// Ask before it is opened.
    Opening(Wish),
    Opened,
    Pending,
    Settled,
}

/// For how long something is opened, the usual one first; `None` for as long as the session runs.
const TIMES: [Option<u64>; 4] = [Some(3_600), Some(600), Some(8 * 3_600), None];
/// What is opened for every session ends after this.
const FOR_ALL: Option<u64> = Some(3_600);
/// Characters of a foreign text.
const LONGEST: usize = 1_000;

/// Asks what would be opened; nothing is yet.
pub(super) fn ask_opening(target: &str, session: Option<String>, guard: Option<String>) -> Action {
    let host = target.split('/').next().unwrap_or(target);
    // The kernel's table of networks is one for all sessions.
    let session = session.filter(|_| host.parse::<SocketAddr>().is_err());
    show(Wish {
        target: target.to_owned(),
        guard: guard.filter(|_| session.is_none()),
        session,
        seconds: TIMES.first().copied().flatten(),
        ..Wish::default()
    })
}

/// Asks what waits.
pub(super) fn ask_pending() -> Action {
    ask(Request::Pending {}, Then::Pending)
}

impl Card {
    /// What is left of it after a key, and what that key asks for.
    pub(super) fn key(self, key: Key) -> (Option<Self>, Option<Action>) {
        match self {
            Self::Opening { wish, opening } if is_possible(&opening) => match key {
                Key::Char('y') => {
                    let request = Request::Allow {
                        wish,
                        act: Act::Grant,
                        claimed: None,
                    };
                    (None, Some(ask(request, Then::Opened)))
                }
                // It goes until the next one is there: what is shown is what a `y` does.
                Key::Char('t') => (None, Some(show(other_time(wish)))),
                Key::Char(_)
                | Key::Enter
                | Key::Escape
                | Key::Tab
                | Key::BackTab
                | Key::Up
                | Key::Down
                | Key::PageUp
                | Key::PageDown
                | Key::Home
                | Key::End
                | Key::Backspace
                | Key::Interrupt => (None, None),
            },
            Self::Opening { .. } => (None, None),
            Self::Pending { list, selected } => settle(list, selected, key),
        }
    }

    pub(super) fn title(&self) -> String {
        match self {
            Self::Opening { opening, .. } if is_possible(opening) => "Allow this?".to_owned(),
            Self::Opening { .. } => "Nothing to allow".to_owned(),
            Self::Pending { list, .. } => format!("Waiting for approval: {}", list.len()),
        }
    }

    /// What it says, safe to print.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::Opening { wish, opening } => opened(wish, opening),
            Self::Pending { list, selected } => waiting(list, *selected),
        }
    }

    /// What may be pressed.
    pub(super) fn keys(&self) -> &'static str {
        match self {
            Self::Opening { opening, .. } if is_possible(opening) => {
                "y allow  t another time  any other key: no"
            }
            Self::Opening { .. } => "any key closes",
            Self::Pending { list, .. } if list.is_empty() => "any key closes",
            Self::Pending { .. } => "y allow  n deny  j/k move  any other key closes",
        }
    }

    /// The first line that is shown.
    pub(super) fn top(&self) -> usize {
        match self {
            Self::Opening { .. } => 0,
            // A block for each; the selected one stands first.
            Self::Pending { list, selected } => {
                let before = list.iter().take(*selected);
                before.map(|one| block(one, false).len()).sum()
            }
        }
    }
}

impl Then {
    /// The card that an answer leads to, or a word; `None` for an answer to something else.
    pub(super) fn card(self, reply: Reply) -> Option<Result<Card, String>> {
        match (self, reply) {
            (Self::Opening(wish), Reply::Opening(opening)) => {
                Some(Ok(Card::Opening { wish, opening }))
            }
            (Self::Opened, Reply::Opening(opening)) => {
                let text = format!("allowed{}: {}", until(&opening), opening.rule);
                Some(Err(text))
            }
            (Self::Pending, Reply::Pending(list)) => Some(Ok(Card::Pending { list, selected: 0 })),
            (Self::Opened | Self::Settled, Reply::Done(text)) => Some(Err(text)),
            (Self::Settled, Reply::Opening(opening)) => {
                Some(Err(format!("allowed{}", until(&opening))))
            }
            _ => None,
        }
    }
}

fn ask(request: Request, then: Then) -> Action {
    Action::Ask(Box::new(request), super::dialog::Then::Grant(then))
}

const fn is_possible(opening: &Opening) -> bool {
    opening.denied_by.is_none() && opening.allowed_by.is_none()
}

fn show(wish: Wish) -> Action {
    let request = Request::Allow {
        wish: wish.clone(),
        act: Act::Show,
        claimed: None,
    };
    ask(request, Then::Opening(wish))
}

/// The next time that makes sense: without a session, nothing else ends it.
fn other_time(wish: Wish) -> Wish {
    let at = TIMES.iter().position(|time| *time == wish.seconds);
    let rest = TIMES.iter().cycle().skip(at.map_or(0, |at| at + 1));
    let next = rest
        .take(TIMES.len())
        .find(|time| time.is_some() || wish.session.is_some());
    Wish {
        seconds: next.copied().unwrap_or(wish.seconds),
        ..wish
    }
}

fn settle(list: Vec<Pending>, selected: usize, key: Key) -> (Option<Card>, Option<Action>) {
    let last = list.len().saturating_sub(1);
    let selected = match key {
        Key::Down | Key::Char('j') if !list.is_empty() => (selected + 1).min(last),
        Key::Up | Key::Char('k') if !list.is_empty() => selected.saturating_sub(1),
        Key::Char(answer @ ('y' | 'n')) => {
            let Some(one) = list.get(selected) else {
                return (None, None);
            };
            let settlement = Settlement {
                id: one.id,
                verdict: if answer == 'y' {
                    Verdict::Allow
                } else {
                    Verdict::Deny
                },
                // The card says it.
                seconds: FOR_ALL.filter(|_| answer == 'y' && one.for_all),
                for_all: answer == 'y' && one.for_all,
                why: None,
            };
            let request = Request::Approve {
                settlement,
                claimed: None,
            };
            return (None, Some(ask(request, Then::Settled)));
        }
        Key::Char(_)
        | Key::Enter
        | Key::Escape
        | Key::Tab
        | Key::BackTab
        | Key::Up
        | Key::Down
        | Key::PageUp
        | Key::PageDown
        | Key::Home
        | Key::End
        | Key::Backspace
        | Key::Interrupt => return (None, None),
    };
    (Some(Card::Pending { list, selected }), None)
}

fn opened(wish: &Wish, opening: &Opening) -> Vec<String> {
    let mut lines = vec![format!("target     {}", bounded(&wish.target, LONGEST))];
    if let Some(rule) = &opening.denied_by {
        lines.push(format!("A rule denies it: {}.", bounded(&rule.name, 100)));
        lines.push("Nothing can be opened before that rule is changed.".to_owned());
        return lines;
    }
    if let Some(rule) = &opening.allowed_by {
        lines.push(format!(
            "A rule allows it already: {}.",
            bounded(&rule.name, 100)
        ));
        return lines;
    }
    lines.push(format!("opens      {}", shown(&opening.rule)));
    lines.push(match &opening.session {
        Some(session) => format!("for        session {}", bounded(session, 100)),
        None => format!(
            "for        every session of {}",
            bounded(&opening.guard, 100)
        ),
    });
    lines.push(match wish.seconds {
        Some(seconds) => format!("ends       in {}", short(Duration::from_secs(seconds))),
        None => "ends       with the session".to_owned(),
    });
    let notes = opening.notes.iter();
    lines.extend(notes.map(|note| format!("note       {}", bounded(note, LONGEST))));
    lines
}

fn until(opening: &Opening) -> String {
    let number = opening
        .id
        .map_or_else(String::new, |id| format!(" (grant {id})"));
    match (&opening.session, opening.until) {
        (_, Some(until)) => format!("{number} until {until}"),
        (Some(session), None) => format!("{number} until session {session} ends"),
        (None, None) => number,
    }
}

fn waiting(list: &[Pending], selected: usize) -> Vec<String> {
    if list.is_empty() {
        return vec!["Nothing waits for approval.".to_owned()];
    }
    let blocks = list.iter().enumerate();
    blocks
        .flat_map(|(index, one)| block(one, index == selected))
        .collect()
}

fn block(one: &Pending, is_selected: bool) -> Vec<String> {
    let mark = if is_selected { '>' } else { ' ' };
    let port = one.port.as_deref().unwrap_or("its ports");
    let process = one.process.as_ref().map_or_else(String::new, |process| {
        format!(" by {}[{}]", process.comm, process.pid)
    });
    let left = short(Duration::from_millis(one.left_ms));
    let mut lines = vec![
        format!(
            "{mark} {} {}",
            bounded(&one.host, LONGEST),
            bounded(port, 40)
        ),
        format!(
            "  session {}, asked x{}{}, denied in {left}",
            bounded(&one.session, 100),
            one.count,
            bounded(&process, 60),
        ),
        format!("  opens {}", shown(&one.opens)),
    ];
    if one.for_all {
        lines.push(
            "  OPENS IT FOR EVERY SESSION, for an hour: an address cannot be held to one"
                .to_owned(),
        );
    }
    let risks = one.risks.iter();
    lines.extend(risks.map(|risk| format!("  look twice: {}", bounded(risk, LONGEST))));
    lines
}

fn shown(rule: &Value) -> String {
    bounded(&rule.to_string(), LONGEST)
}
