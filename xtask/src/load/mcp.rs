//! A server of the Model Context Protocol on standard input and output that does nothing: its own
//! time is small beside what stands in between.

use std::io::{self, BufRead as _, Write as _};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Answers every request until its input ends.
pub(super) fn serve() -> Result<()> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let message: Value = serde_json::from_slice(&line).context("reading a message")?;
        let Some(answer) = answer(&message) else {
            continue;
        };
        let mut bytes = answer.to_string().into_bytes();
        bytes.push(b'\n');
        output.write_all(&bytes)?;
        output.flush()?;
    }
}

/// `None` for what expects no answer.
fn answer(message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let result = match message.get("method")?.as_str()? {
        "tools/list" => json!({ "tools": [{
            "name": "echo",
            "description": "Gives its text back.",
            "inputSchema": { "type": "object", "properties": { "text": { "type": "string" } } },
        }] }),
        "tools/call" => {
            let text = message.pointer("/params/arguments/text");
            json!({ "content": [{ "type": "text", "text": text.unwrap_or(&Value::Null) }] })
        }
        _ => json!({}),
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_answered_with_its_text_and_a_notification_is_not() {
        let call = json!({
            "jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": { "name": "echo", "arguments": { "text": "x" } },
        });
        let answered = answer(&call).expect("an answer");
        assert_eq!(answered["id"], 7);
        assert_eq!(answered["result"]["content"][0]["text"], "x");
        assert_eq!(
            answer(&json!({ "method": "notifications/initialized" })),
            None
        );
    }
}
