//! The diagnostic log in systemd's journal: a priority in front of each line (`sd-daemon(3)`), and
//! neither time nor colour, which the journal has by itself.

use std::{env, fmt};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
    },
    registry::LookupSpan,
};

/// Errors, as `syslog(3)` numbers them.
const ERROR: u8 = 3;

/// How a line of the journal is written.
#[derive(Debug)]
pub struct Lines(Format<Full, ()>);

impl Default for Lines {
    fn default() -> Self {
        let format = Format::default().without_time();
        Self(format.with_level(false).with_target(false).with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// Whether the journal reads what this process writes to its standard error.
pub fn is_read() -> bool {
    let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|found| stream == format!("{}:{}", found.st_dev, found.st_ino))
}

/// A text for the standard error: in the journal, every line of it is an error.
pub fn error(text: &str, is_journal: bool) -> String {
    if !is_journal {
        return text.to_owned();
    }
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("<{ERROR}>{line}"))
        .collect();
    lines.join("\n")
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => ERROR,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_error_has_its_priority() {
        assert_eq!(error("one\ntwo", true), "<3>one\n<3>two");
        assert_eq!(error("one\ntwo", false), "one\ntwo");
    }

    #[test]
    fn what_someone_should_look_at_comes_first() {
        let order = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG];
        assert!(order.map(priority).is_sorted());
        assert_eq!(priority(Level::TRACE), priority(Level::DEBUG));
    }
}
