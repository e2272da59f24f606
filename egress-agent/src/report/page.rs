//! A report as blocks, in the order in which a person reads: what is wrong with the log first,
//! then the sum, then one session after the other. The renderers only say how a block looks.

mod session;

use serde_json::Value;

use super::{Chain, Event, PolicySeen, Report, Session, Tally, Timeline, Top};
use crate::audit::record::{Mode, Time, Verdict};

/// One piece of a page.
#[derive(Clone, PartialEq, Debug)]
pub enum Block {
    Title(&'static str),
    /// A part of the page; `id` is what links lead to.
    Section {
        id: String,
        title: Cell,
    },
    Heading(&'static str),
    Note(Tone, Vec<Cell>),
    Facts(Vec<(&'static str, Vec<Cell>)>),
    /// Sums that are to be seen at once.
    Figures(Vec<(&'static str, u64, Tone)>),
    Timeline {
        id: String,
        timeline: Timeline,
    },
    Table {
        head: Vec<&'static str>,
        rows: Vec<Vec<Cell>>,
        /// What is not shown.
        more: Option<String>,
    },
}

/// What is written into a page. Only [`Cell::Foreign`] and [`Cell::Link`] carry text that others
/// chose.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// Our own words.
    Words(String),
    /// Text that an agent or somebody else chose.
    Foreign(String),
    /// A rule as it would stand in a policy.
    Rule(Value),
    Number(u64),
    Bytes(Option<u64>),
    Verdict(Verdict),
    Time(Time),
    /// To a section of this page.
    Link {
        id: String,
        text: String,
    },
    Nothing,
}

/// How much somebody should look at it; never only a colour says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
}

pub fn page(report: &Report) -> Vec<Block> {
    let mut blocks = vec![Block::Title("What the agents did")];
    blocks.extend(warnings(report));
    blocks.push(Block::Facts(facts(report)));
    blocks.push(Block::Figures(figures(report)));
    if !report.timeline.buckets.is_empty() {
        blocks.push(Block::Heading("When"));
        blocks.push(Block::Timeline {
            id: "all".to_owned(),
            timeline: report.timeline.clone(),
        });
    }
    blocks.push(section("sessions", "Sessions"));
    if report.sessions.rows.is_empty() {
        blocks.push(note(Tone::Plain, "No record of a session."));
    } else {
        blocks.push(sessions(&report.sessions));
    }
    for (number, one) in report.sessions.rows.iter().enumerate() {
        blocks.extend(session::blocks(number + 1, one));
    }
    blocks.push(section("policies", "Policies"));
    if report.policies.rows.is_empty() {
        blocks.push(note(
            Tone::Plain,
            "No policy was loaded in this span: the ones in force were loaded before it.",
        ));
    } else {
        blocks.push(policies(&report.policies));
    }
    blocks.push(section("daemon", "The guard itself"));
    if report.events.rows.is_empty() {
        blocks.push(note(Tone::Plain, "Nothing was recorded of it."));
    } else {
        blocks.push(events(&report.events));
    }
    blocks
}

/// What makes the rest of the page worth less.
fn warnings(report: &Report) -> Vec<Block> {
    let mut blocks = Vec::new();
    match &report.head.chain {
        Chain::Whole { records } => blocks.push(note(
            Tone::Good,
            &format!(
                "The log is whole: {} follow each other.",
                many(*records, "record")
            ),
        )),
        Chain::Broken { why } => blocks.push(Block::Note(
            Tone::Bad,
            vec![
                words("The log is not whole, so this page may be wrong: "),
                Cell::Foreign(why.clone()),
            ],
        )),
        Chain::NotChecked { why } => blocks.push(Block::Note(
            Tone::Warn,
            vec![
                words("Nobody checked that the log is whole: "),
                Cell::Foreign(why.clone()),
            ],
        )),
    }
    let lost: Vec<String> = report
        .lost
        .iter()
        .map(|(layer, count)| format!("{count} of {}", layer.code()))
        .collect();
    if !lost.is_empty() {
        blocks.push(note(
            Tone::Bad,
            &format!(
                "Records were lost before they were written: {}.",
                lost.join(", ")
            ),
        ));
    }
    if report.missing > 0 {
        let missing = many(report.missing, "record");
        blocks.push(note(
            Tone::Bad,
            &format!("{missing} had been written and were gone at a later start."),
        ));
    }
    let unreadable = &report.unreadable;
    if let Some(first) = unreadable.rows.first() {
        let shown = u64::try_from(unreadable.rows.len()).unwrap_or(u64::MAX);
        let count = many(shown.saturating_add(unreadable.more), "place");
        blocks.push(Block::Note(
            Tone::Bad,
            vec![
                words(&format!("{count} of the log cannot be read; the first: ")),
                Cell::Foreign(first.clone()),
            ],
        ));
    }
    if report.unclean_starts > 0 {
        let starts = many(report.unclean_starts, "start");
        blocks.push(note(
            Tone::Warn,
            &format!("{starts} of egressd without a stop before: it had ended unexpectedly."),
        ));
    }
    blocks
}

fn facts(report: &Report) -> Vec<(&'static str, Vec<Cell>)> {
    let head = &report.head;
    let mut facts = vec![("Machine", vec![Cell::Foreign(head.machine.clone())])];
    let until = |first: Time, last: Time| vec![Cell::Time(first), words(" to "), Cell::Time(last)];
    if let Some(span) = report.span {
        facts.push(("Records from", until(span.first, span.last)));
    }
    let asked = match (head.since, head.until) {
        (None, None) => None,
        (Some(since), None) => Some(vec![words("since "), Cell::Time(since)]),
        (None, Some(last)) => Some(vec![words("until "), Cell::Time(last)]),
        (Some(since), Some(last)) => Some(until(since, last)),
    };
    facts.extend(asked.map(|asked| ("Asked for", asked)));
    if let Some(session) = &head.session {
        facts.push(("Only session", vec![Cell::Foreign(session.clone())]));
    }
    facts.push(("Records", vec![Cell::Number(report.records)]));
    let in_force: Vec<&PolicySeen> = report
        .policies
        .rows
        .iter()
        .filter(|policy| policy.in_force)
        .collect();
    for policy in in_force.iter().take(8) {
        facts.push((
            "In force",
            vec![
                Cell::Foreign(policy.name.clone()),
                words(&format!(" ({}) on ", mode(policy.mode))),
                Cell::Foreign(policy.guard.clone()),
                words(", SHA-256 "),
                Cell::Foreign(policy.digest.clone()),
            ],
        ));
    }
    facts.push(("Log", vec![Cell::Foreign(head.log.clone())]));
    facts.push(("Made", vec![Cell::Time(head.made)]));
    facts
}

fn figures(report: &Report) -> Vec<(&'static str, u64, Tone)> {
    let shown = u64::try_from(report.sessions.rows.len()).unwrap_or(u64::MAX);
    let sessions = shown.saturating_add(report.sessions.more);
    let mut figures = vec![("sessions", sessions, Tone::Plain)];
    figures.extend(figures_of(&report.tally));
    figures
}

fn figures_of(tally: &Tally) -> Vec<(&'static str, u64, Tone)> {
    let unless = |count: u64, tone: Tone| if count == 0 { Tone::Plain } else { tone };
    let Tally {
        allowed,
        denied,
        asked,
        redacted,
        observed,
    } = *tally;
    let mut figures = vec![("denied", denied, unless(denied, Tone::Bad))];
    if observed > 0 {
        figures.push(("only observed", observed, Tone::Warn));
    }
    if asked > 0 {
        figures.push(("asked", asked, Tone::Warn));
    }
    if redacted > 0 {
        figures.push(("redacted", redacted, Tone::Warn));
    }
    figures.push(("allowed, recorded", allowed, Tone::Plain));
    figures
}

fn sessions(sessions: &Top<Session>) -> Block {
    let rows = sessions.rows.iter().enumerate().map(|(number, one)| {
        let hosts = u64::try_from(one.hosts.rows.len()).unwrap_or(u64::MAX);
        vec![
            Cell::Link {
                id: format!("session-{}", number + 1),
                text: session_name(one),
            },
            Cell::Time(one.begun.unwrap_or(one.span.first)),
            one.command.clone().map_or(Cell::Nothing, Cell::Foreign),
            words(held(one)),
            Cell::Number(hosts.saturating_add(one.hosts.more)),
            Cell::Number(one.tally.denied),
            Cell::Number(one.tally.observed),
        ]
    });
    Block::Table {
        head: vec![
            "session",
            "from",
            "who and what",
            "held",
            "hosts",
            "denied",
            "observed",
        ],
        rows: rows.collect(),
        more: more(sessions, "session", "records"),
    }
}

fn policies(policies: &Top<PolicySeen>) -> Block {
    let rows = policies.rows.iter().map(|policy| {
        let PolicySeen {
            time,
            guard,
            name,
            digest,
            mode,
            in_force,
        } = policy;
        vec![
            Cell::Time(*time),
            Cell::Foreign(guard.clone()),
            Cell::Foreign(name.clone()),
            words(self::mode(*mode)),
            Cell::Foreign(digest.clone()),
            words(if *in_force { "yes" } else { "no, replaced" }),
        ]
    });
    Block::Table {
        head: vec!["loaded", "guard", "policy", "mode", "SHA-256", "in force"],
        rows: rows.collect(),
        more: more(policies, "policy load", "events"),
    }
}

fn events(events: &Top<Event>) -> Block {
    let rows = events.rows.iter().map(|one| {
        let Event {
            time,
            event,
            guard,
            message,
        } = one;
        vec![
            Cell::Time(*time),
            words(event.code()),
            guard.clone().map_or(Cell::Nothing, Cell::Foreign),
            message.clone().map_or(Cell::Nothing, Cell::Foreign),
        ]
    });
    Block::Table {
        head: vec!["when", "what", "guard", "detail"],
        rows: rows.collect(),
        more: more(events, "event", "events"),
    }
}

fn session_name(session: &Session) -> String {
    let outside = || "outside of every session".to_owned();
    session.name.clone().unwrap_or_else(outside)
}

fn held(session: &Session) -> &'static str {
    let Tally {
        denied,
        asked,
        redacted,
        observed,
        ..
    } = session.tally;
    if session.observed || observed > 0 && [denied, asked, redacted] == [0; 3] {
        "observed"
    } else {
        "enforced"
    }
}

fn mode(mode: Option<Mode>) -> &'static str {
    match mode {
        Some(Mode::Enforce) => "enforce",
        Some(Mode::Observe) => "observe",
        None => "mode not recorded",
    }
}

/// "and 3 more hosts", "2 events are in no row".
fn more<T>(top: &Top<T>, thing: &str, events: &str) -> Option<String> {
    let plural = if top.more == 1 { "" } else { "s" };
    let more = (top.more > 0).then(|| format!("and {} more {thing}{plural}", top.more));
    let uncounted = (top.uncounted > 0).then(|| {
        format!(
            "{} {events} of others that there was no room to list",
            top.uncounted
        )
    });
    let parts: Vec<String> = more.into_iter().chain(uncounted).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn many(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

fn section(id: &str, title: &str) -> Block {
    Block::Section {
        id: id.to_owned(),
        title: words(title),
    }
}

fn note(tone: Tone, text: &str) -> Block {
    Block::Note(tone, vec![words(text)])
}

fn words(text: &str) -> Cell {
    Cell::Words(text.to_owned())
}

impl Tone {
    /// What is said before a note of this tone.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain | Self::Good => "",
            Self::Bad => "Attention",
            Self::Warn => "Note",
        }
    }
}

impl Cell {
    /// As text; foreign text as it is.
    pub fn text(&self) -> String {
        match self {
            Self::Words(text) | Self::Foreign(text) | Self::Link { text, .. } => text.clone(),
            Self::Rule(rule) => rule.to_string(),
            Self::Number(number) => grouped(*number),
            Self::Bytes(bytes) => bytes.map_or_else(|| "not counted".to_owned(), bytes_text),
            Self::Verdict(verdict) => verdict.code().to_owned(),
            Self::Time(time) => when(*time),
            Self::Nothing => "-".to_owned(),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Bytes(_))
    }
}

/// UTC to the second.
pub(super) fn when(time: Time) -> String {
    time.timestamp().strftime("%Y-%m-%d %H:%M:%S").to_string() + " UTC"
}

/// `12 345 678`, with spaces that do not break.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// `1.5 MiB`: one digit after the point, and no floating point.
fn bytes_text(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = bytes.checked_ilog2().map_or(0, |bits| bits / 10);
    let unit = usize::try_from(power)
        .ok()
        .and_then(|power| units.get(power.checked_sub(1)?));
    let Some(unit) = unit else {
        return format!("{bytes} B");
    };
    let whole = bytes >> (10 * power);
    let tenth = ((bytes >> (10 * (power - 1))) & 1_023) * 10 / 1_024;
    format!("{whole}.{tenth} {unit}")
}

/// What a timeline shows, for those who do not see it.
pub fn described(timeline: &Timeline) -> String {
    let (Some(first), Some(last)) = (timeline.buckets.first(), timeline.buckets.last()) else {
        return "Nothing was decided.".to_owned();
    };
    let sum = |part: fn(&Tally) -> u64| {
        let counts = timeline.buckets.iter().map(|bucket| part(&bucket.tally));
        counts.fold(0, u64::saturating_add)
    };
    let mut text = format!(
        "From {} to {}, in steps of {}: {} denied, {} allowed and recorded",
        when(first.at),
        when(last.at),
        seconds(timeline.width),
        grouped(sum(|tally| tally.denied)),
        grouped(sum(|tally| tally.allowed)),
    );
    let others = sum(|tally| tally.asked.saturating_add(tally.redacted));
    let observed = sum(|tally| tally.observed);
    if others > 0 {
        text = format!("{text}, {} asked or redacted", grouped(others));
    }
    if observed > 0 {
        text = format!("{text}, {} only observed", grouped(observed));
    }
    let busiest = timeline.busiest().map(|busiest| {
        let (most, at) = (grouped(busiest.tally.total()), when(busiest.at));
        format!(". Most in one step: {most}, from {at}.")
    });
    text + busiest.as_deref().unwrap_or(".")
}

fn seconds(seconds: i64) -> String {
    match seconds {
        60.. if seconds % 86_400 == 0 => many(u64::try_from(seconds / 86_400).unwrap_or(0), "day"),
        60.. if seconds % 3_600 == 0 => many(u64::try_from(seconds / 3_600).unwrap_or(0), "hour"),
        60.. if seconds % 60 == 0 => many(u64::try_from(seconds / 60).unwrap_or(0), "minute"),
        _ => many(u64::try_from(seconds).unwrap_or(0), "second"),
    }
}

#[cfg(test)]
mod tests;
