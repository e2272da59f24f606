//! The words of the guard itself: answers in the place of others, and what is noted of them.

use serde_json::Value;

use super::{Action, Note, Open, Outcome, Side, Step};
use crate::mcp::{
    gate::{Block, DENIED},
    message::{INVALID_REQUEST, Id, Invalid},
    revision::Revision,
};

pub(super) fn action((step, notes): Outcome) -> Action {
    Action { step, notes }
}

pub(super) fn note(
    from: Side,
    method: Option<String>,
    tool: Option<String>,
    id: Option<Id>,
    block: Option<Block>,
) -> Note {
    Note {
        from,
        method,
        tool,
        id,
        block,
    }
}

/// An answer with the one member that it has.
pub(super) fn answer(id: Option<&Id>, member: &str, value: Value) -> Vec<u8> {
    let id = id.map_or(Value::Null, Id::to_value);
    let mut message = serde_json::Map::new();
    message.insert("jsonrpc".to_owned(), "2.0".into());
    message.insert("id".to_owned(), id);
    message.insert(member.to_owned(), value);
    Value::Object(message).to_string().into_bytes()
}

/// An error that has been made elsewhere, as an answer.
pub fn refusal(id: Option<&Id>, error: Value) -> Vec<u8> {
    answer(id, "error", error)
}

/// The error that answers a request; without an id when nobody can tell which.
pub fn error(id: Option<&Id>, block: &Block, number: i64) -> Vec<u8> {
    answer(id, "error", block.error(number))
}

/// What stands in the place of an answer.
pub(super) fn replaced(id: &Id, open: Open, block: Block) -> Outcome {
    let bytes = if open.tool.is_some() {
        let mut result = block.tool_result();
        if open.revision.is_some_and(Revision::has_result_types)
            && let Some(result) = result.as_object_mut()
        {
            result.insert("resultType".to_owned(), "complete".into());
        }
        answer(Some(id), "result", result)
    } else {
        error(Some(id), &block, DENIED)
    };
    let note = note(
        Side::Server,
        Some(open.method),
        open.tool,
        Some(id.clone()),
        Some(block),
    );
    (Step::Replace(bytes), vec![note])
}

pub(super) fn refuse_batch(requests: &[Id], block: Block, mut notes: Vec<Note>) -> Outcome {
    let errors: Vec<_> = requests
        .iter()
        .map(|id| error(Some(id), &block, INVALID_REQUEST))
        .collect();
    let step = if errors.is_empty() {
        Step::Reply(error(None, &block, INVALID_REQUEST))
    } else {
        Step::Reply([b"[".as_slice(), &errors.join(&b','), b"]"].concat())
    };
    notes.push(note(Side::Client, None, None, None, Some(block)));
    (step, notes)
}

pub(super) fn no_batches(revision: Option<Revision>) -> Block {
    let revision = revision.map_or("a conversation without a revision", Revision::text);
    Block::new(
        "batch",
        format!("{revision} has no batches"),
        "send messages one by one",
    )
}

pub(super) fn unknown_answer(from: Side, id: &Id) -> Outcome {
    let block = Block::new(
        "unknown-id",
        format!(
            "nobody waits for an answer with the id `{}`",
            clip(&id.to_string())
        ),
        "answer every request once",
    );
    let note = note(from, None, None, Some(id.clone()), Some(block));
    (Step::Drop, vec![note])
}

pub(super) fn drop_with(from: Side, block: Block) -> Outcome {
    (Step::Drop, vec![note(from, None, None, None, Some(block))])
}

/// Of a message a part was taken out: what goes on is the rest.
pub(super) fn taken_out(side: Side, rest: &[u8], mut actions: Vec<Action>) -> Vec<Action> {
    for action in &mut actions {
        if action.step == Step::Forward {
            // It came with the end of its line, and gets one again.
            action.step = Step::Replace(rest.trim_ascii_end().to_vec());
        }
    }
    if let Some(last) = actions.last_mut() {
        let block = Some(Block::redacted());
        last.notes.push(note(side, None, None, None, block));
    }
    actions
}

pub(super) fn unreadable(invalid: &Invalid) -> Block {
    Block::new(invalid.code(), invalid.to_string(), invalid.hint())
}

pub(super) fn clip(text: &str) -> String {
    let end = text.floor_char_boundary(128);
    let text = text.get(..end).unwrap_or_default();
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}
