//! What is wrong with a policy, and how people and machines read about it.
//!
//! A message names no type of this program, puts the policy's own words in backticks and says
//! what to write in a line of its own. Every problem is reported; only the pictures have limits.

use std::{fmt, fmt::Write as _, ops::Range, sync::Arc};

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, Source};
use serde::Serialize;

/// Problems that are drawn; the others are told in one line each.
const PICTURES: usize = 50;
/// Lines longer than this many bytes are not drawn.
const PICTURE_LINE: usize = 400;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One thing that is wrong, or probably not meant.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub severity: Severity,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// Where in the policy, such as `network.allow[2].ports[0]`; empty for the whole file.
    pub path: String,
    /// Another place of the text that matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
    /// Bytes of the text.
    #[serde(skip)]
    pub span: Range<usize>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Related {
    pub message: String,
    /// Counted from 1.
    pub line: u32,
    #[serde(skip)]
    pub span: Range<usize>,
}

/// A policy that cannot be used: everything that is wrong with it, in the order of its text.
#[derive(Clone, Debug)]
pub struct Invalid {
    source: String,
    text: Arc<str>,
    problems: Vec<Problem>,
}

impl Invalid {
    pub(crate) fn new(source: &str, text: &str, problems: Vec<Problem>) -> Self {
        Self {
            source: source.to_owned(),
            text: text.into(),
            problems,
        }
    }

    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The name of the file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Every problem with the lines of text that it is about.
    pub fn picture(&self, color: bool) -> String {
        draw(&self.problems, &self.source, &self.text, color)
    }
}

impl std::error::Error for Invalid {}

/// One line for each problem: `file:line:column: error: message; help`.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{}:{problem}", self.source)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            message,
            help,
            line,
            column,
            path: _,
            related,
            span: _,
        } = self;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{line}:{column}: {severity}: {message}")?;
        if let Some(related) = related {
            write!(f, " ({} in line {})", related.message, related.line)?;
        }
        if let Some(help) = help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// Draws problems into the text that they are about.
pub fn draw(problems: &[Problem], source: &str, text: &str, color: bool) -> String {
    let mut out = String::new();
    let mut sources = (source, Source::from(text));
    for (index, problem) in problems.iter().enumerate() {
        if index < PICTURES && is_drawable(problem, text) {
            out.push_str(&picture(problem, &mut sources, color));
        } else {
            // INVARIANT: writing to a String does not fail.
            let _always_ok = writeln!(out, "{source}:{problem}");
        }
    }
    out
}

fn is_drawable(problem: &Problem, text: &str) -> bool {
    let is_short = |at: usize| {
        let (before, after) = text.as_bytes().split_at_checked(at).unwrap_or_default();
        let is_end = |b: &u8| *b == b'\n';
        let left = before.iter().rev().take(PICTURE_LINE).position(is_end);
        let right = after.iter().take(PICTURE_LINE).position(is_end);
        (left.is_some() || before.len() < PICTURE_LINE)
            && (right.is_some() || after.len() < PICTURE_LINE)
    };
    is_short(problem.span.start)
        && is_short(problem.span.end)
        && problem
            .related
            .as_ref()
            .is_none_or(|related| is_short(related.span.start))
}

fn picture<'a>(problem: &Problem, sources: &mut (&'a str, Source<&'a str>), color: bool) -> String {
    let (kind, paint) = match problem.severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let source = sources.0;
    let config = Config::default()
        .with_color(color)
        .with_char_set(CharSet::Unicode)
        .with_index_type(IndexType::Byte);
    // The message of the label is the JSON path: it says what the line alone does not show.
    let mut label = Label::new((source, problem.span.clone())).with_color(paint);
    if !problem.path.is_empty() {
        label = label.with_message(&problem.path);
    }
    let related = problem.related.as_ref().map(|related| {
        Label::new((source, related.span.clone()))
            .with_message(&related.message)
            .with_color(Color::Blue)
    });
    let mut report = Report::build(kind, (source, problem.span.clone()))
        .with_config(config)
        .with_message(&problem.message)
        .with_labels(related)
        .with_label(label);
    if let Some(help) = &problem.help {
        report = report.with_help(help);
    }
    let mut bytes = Vec::new();
    match report.finish().write(&mut *sources, &mut bytes) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_unwritten) => format!("{source}:{problem}\n"),
    }
}

/// A word of the policy, fit for a message: short, in backticks, no control characters.
pub fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut out = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_debug());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

/// The known word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no slips, and comparing them costs their length squared.
    if word.len() > 40 {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
