//! One row of `egressctl doctor`, and how rows look.

use serde::Serialize;

use super::table::wrap;
use crate::cli::{Paint, Screen, table::plain};

/// How a look came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum State {
    Pass,
    /// A layer or a comfort is missing; the guard holds without it.
    Warn,
    /// egressd does not work like this, or does not do what was asked for.
    Fail,
}

/// What was looked at, what was found, and the command that mends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Row {
    pub(in crate::cli) name: &'static str,
    pub(in crate::cli) state: State,
    pub(in crate::cli) says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) mend: Option<String>,
}

/// A terminal is at least this wide.
const WIDTH: usize = 80;
/// The columns of states and names, with the space behind them.
const STATES: usize = 6;
const NAMES: usize = 12;

impl Row {
    pub(super) fn pass(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, State::Pass, says)
    }

    pub(super) fn warn(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, State::Warn, says)
    }

    pub(super) fn fail(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, State::Fail, says)
    }

    pub(super) fn new(name: &'static str, state: State, says: impl Into<String>) -> Self {
        Self {
            name,
            state,
            says: says.into(),
            mend: None,
        }
    }

    pub(super) fn mend(self, command: impl Into<String>) -> Self {
        Self {
            mend: Some(command.into()),
            ..self
        }
    }
}

/// Whether nothing fails.
pub(in crate::cli) fn is_well(rows: &[Row]) -> bool {
    rows.iter().all(|row| row.state != State::Fail)
}

pub(in crate::cli) fn print(rows: &[Row], screen: &mut Screen) -> anyhow::Result<()> {
    for row in rows {
        let Row {
            name,
            state,
            says,
            mend,
        } = row;
        let (word, paint) = match state {
            State::Pass => ("pass", Paint::Allow),
            State::Warn => ("warn", Paint::Warn),
            State::Fail => ("FAIL", Paint::Deny),
        };
        // The colour takes no width.
        let space = " ".repeat(STATES.saturating_sub(word.len()));
        let indent = STATES + NAMES;
        let mut lines = wrap(&plain(says), WIDTH - indent).into_iter();
        let first = lines.next().unwrap_or_default();
        let word = screen.paint(paint, word);
        screen.line(format!("{word}{space}{name:<NAMES$}{first}").trim_end())?;
        for line in lines {
            screen.line(format!("{:indent$}{line}", ""))?;
        }
        // A command is not broken: it is there to be copied.
        if let Some(mend) = mend {
            let mend = screen.paint(Paint::Strong, &plain(mend));
            screen.line(format!("{:indent$}mend: {mend}", ""))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::tests::Written;

    #[test]
    fn rows_are_aligned_broken_and_say_how_to_mend() {
        let rows = [
            Row::pass("kernel", "Linux 6.18"),
            Row::warn("namespaces", "words ".repeat(20)).mend("sysctl -w a=1"),
            Row::fail("egressd", "a\x1b[31m name").mend("systemctl start egressd"),
        ];
        let written = Written::default();
        print(&rows, &mut written.screen(false, false)).unwrap();
        assert_eq!(
            written.text(),
            "\
pass  kernel      Linux 6.18
warn  namespaces  words words words words words words words words words words
                  words words words words words words words words words words
                  mend: sysctl -w a=1
FAIL  egressd     a\\u{1b}[31m name
                  mend: systemctl start egressd
"
        );
        assert!(!is_well(&rows));
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(
            json[0],
            serde_json::json!({ "name": "kernel", "state": "pass", "says": "Linux 6.18" })
        );
        assert_eq!(json[1]["mend"], "sysctl -w a=1");
        assert_eq!(json[2]["state"], "fail");
    }
}
