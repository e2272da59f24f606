//! What `top` knows and shows: changed by overviews, keys, answers and time. Pure.

use std::time::Duration;

use super::{
    dialog::{Dialog, Then},
    grant,
    panes::Pane,
    rows::{Row, Tone},
    words::{bounded, number, short},
};
use crate::{
    audit::record::Mode,
    control::{
        message::{Reply, Request},
        overview::Overview,
        status::Guard,
    },
};

/// A key, as far as `top` listens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Tab,
    BackTab,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Backspace,
    /// Ctrl-C.
    Interrupt,
}

/// What is to be done about a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Quit,
    /// Ask the daemon.
    Ask(Box<Request>, Then),
}

/// The whole state.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    lists: Lists,
    focus: usize,
    pub(super) header: Header,
    pub(super) rates: Rates,
    last: Option<Counts>,
    pub(super) filter: String,
    pub(super) dialog: Option<Dialog>,
    /// What came of the last key.
    pub(super) notice: Option<(Tone, String)>,
    pub(super) is_frozen: bool,
    /// Why the daemon does not answer, when it does not.
    pub(super) gone: Option<String>,
    /// Rows that fit into the list that is looked at, for paging.
    page: usize,
}

/// The lists, in the order of [`Pane::ALL`].
#[derive(Clone, Debug, Default)]
struct Lists {
    sessions: List,
    flows: List,
    denials: List,
    leases: List,
    questions: List,
}

/// The rows of one pane.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    rows: Vec<Row>,
    /// Places of the rows that the filter leaves.
    shown: Vec<usize>,
    /// A place in `shown`.
    pub(super) selected: usize,
    pub(super) total: u64,
}

/// What stands above the lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Header {
    pub(super) version: String,
    pub(super) observes: bool,
    pub(super) guards: usize,
    pub(super) up: String,
    /// What is not as it should be, worst first.
    pub(super) warnings: Vec<String>,
}

/// Each second.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Rates {
    pub(super) denials: Option<f64>,
    pub(super) events: Option<f64>,
    pub(super) questions: Option<f64>,
}

/// What counters said, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    at: Duration,
    pid: u32,
    denials: u64,
    events: u64,
    questions: u64,
}

impl Counts {
    pub(super) fn new(overview: &Overview, at: Duration) -> Self {
        Self {
            at,
            pid: overview.status.pid,
            denials: overview.denials_total,
            events: overview.events,
            questions: overview.questions_total,
        }
    }

    /// How fast they went up since `before`; nothing when another daemon counts.
    pub(super) fn since(self, before: Self) -> Rates {
        let seconds = self.at.saturating_sub(before.at).as_secs_f64();
        let rate = |now: u64, then: u64| {
            let is_same = self.pid == before.pid && now >= then && seconds > 0.0;
            #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
            is_same.then(|| (now - then) as f64 / seconds)
        };
        Rates {
            denials: rate(self.denials, before.denials),
            events: rate(self.events, before.events),
            questions: rate(self.questions, before.questions),
        }
    }
}

impl List {
    /// The rows that the filter leaves.
    pub(super) fn shown(&self) -> impl ExactSizeIterator<Item = Option<&Row>> {
        self.shown.iter().map(|index| self.rows.get(*index))
    }

    pub(super) fn len(&self) -> usize {
        self.shown.len()
    }

    fn selected(&self) -> Option<&Row> {
        self.rows.get(*self.shown.get(self.selected)?)
    }

    /// New rows, with the selection where it was: on the same thing, or at the same place.
    fn replace(&mut self, rows: Vec<Row>, filter: &str) {
        let key = self.selected().map(|row| row.key.clone());
        // At the top stay at the top: that is where news comes.
        let key = key.filter(|_| self.selected > 0);
        self.rows = rows;
        self.filter(filter);
        let at = key.and_then(|key| {
            self.shown()
                .position(|row| row.is_some_and(|row| row.key == key))
        });
        self.select(at.unwrap_or(self.selected));
    }

    fn filter(&mut self, word: &str) {
        let word = word.to_lowercase();
        let rows = self.rows.iter().enumerate();
        self.shown = rows
            .filter(|(_, row)| word.is_empty() || row.has(&word))
            .map(|(index, _)| index)
            .collect();
        self.select(self.selected);
    }

    fn select(&mut self, at: usize) {
        self.selected = at.min(self.shown.len().saturating_sub(1));
    }
}

impl Lists {
    const fn of(&self, pane: Pane) -> &List {
        match pane {
            Pane::Sessions => &self.sessions,
            Pane::Flows => &self.flows,
            Pane::Denials => &self.denials,
            Pane::Leases => &self.leases,
            Pane::Questions => &self.questions,
        }
    }

    const fn of_mut(&mut self, pane: Pane) -> &mut List {
        match pane {
            Pane::Sessions => &mut self.sessions,
            Pane::Flows => &mut self.flows,
            Pane::Denials => &mut self.denials,
            Pane::Leases => &mut self.leases,
            Pane::Questions => &mut self.questions,
        }
    }
}

impl Model {
    /// Begins where a person looks first.
    pub(super) fn new() -> Self {
        let denials = Pane::ALL.iter().position(|pane| *pane == Pane::Denials);
        Self {
            focus: denials.unwrap_or_default(),
            page: 1,
            ..Self::default()
        }
    }

    pub(super) fn list(&self, pane: Pane) -> &List {
        self.lists.of(pane)
    }

    /// The pane that keys are about.
    pub(super) fn pane(&self) -> Pane {
        Pane::ALL.get(self.focus).copied().unwrap_or(Pane::Denials)
    }

    /// How many rows of that pane were drawn.
    pub(super) fn drew(&mut self, rows: usize) {
        self.page = rows.max(1);
    }

    /// The daemon answered. `now` is any clock that only goes on.
    pub(super) fn update(&mut self, overview: &Overview, now: Duration) {
        self.gone = None;
        let counts = Counts::new(overview, now);
        let rates = self.last.map(|last| counts.since(last));
        self.last = Some(counts);
        if self.is_frozen {
            return;
        }
        self.rates = rates.unwrap_or_default();
        self.header = Header::new(overview);
        for pane in Pane::ALL {
            let list = self.lists.of_mut(pane);
            list.total = pane.total(overview);
            list.replace(pane.rows(overview), &self.filter);
        }
    }

    /// The daemon does not answer.
    pub(super) fn lose(&mut self, why: &str) {
        self.gone = Some(bounded(why, 300));
        self.rates = Rates::default();
    }

    /// What came of an [`Action::Ask`].
    pub(super) fn answered(&mut self, then: Then, reply: Result<Reply, String>) {
        // Nothing takes the place of a question that a `y` may be on its way to.
        if self.dialog.as_ref().is_some_and(Dialog::is_question) {
            return;
        }
        match reply {
            Ok(reply) => {
                if let Some(dialog) = then.dialog(reply, &mut self.notice) {
                    self.dialog = Some(dialog);
                }
            }
            Err(error) => self.notice = Some((Tone::Bad, bounded(&error, 300))),
        }
    }

    pub(super) fn key(&mut self, key: Key) -> Option<Action> {
        self.notice = None;
        if key == Key::Interrupt {
            return Some(Action::Quit);
        }
        match self.dialog.take() {
            Some(dialog) => {
                let (dialog, action) = dialog.key(key, &mut self.filter);
                self.dialog = dialog;
                self.refilter();
                action
            }
            None => self.list_key(key),
        }
    }

    fn list_key(&mut self, key: Key) -> Option<Action> {
        let last = Pane::ALL.len() - 1;
        match key {
            Key::Char('q') => return Some(Action::Quit),
            Key::Tab => {
                self.focus = if self.focus == last {
                    0
                } else {
                    self.focus + 1
                }
            }
            Key::BackTab => self.focus = self.focus.checked_sub(1).unwrap_or(last),
            Key::Down | Key::Char('j') => self.go(|at, _| at.saturating_add(1)),
            Key::Up | Key::Char('k') => self.go(|at, _| at.saturating_sub(1)),
            Key::PageDown | Key::Char(' ') => self.go(usize::saturating_add),
            Key::PageUp => self.go(usize::saturating_sub),
            Key::Home | Key::Char('g') => self.go(|_, _| 0),
            Key::End | Key::Char('G') => self.go(|_, _| usize::MAX),
            Key::Enter | Key::Char('e') => return self.explain(),
            Key::Char('a') => return self.allow(),
            Key::Char('p') => return Some(grant::ask_pending()),
            Key::Char('x') => self.end(),
            Key::Char('f') => {
                self.is_frozen = !self.is_frozen;
            }
            Key::Char('/') => self.dialog = Some(Dialog::filter(&self.filter)),
            Key::Char('?' | 'h') => self.dialog = Some(Dialog::help()),
            Key::Escape if !self.filter.is_empty() => {
                self.filter.clear();
                self.refilter();
            }
            Key::Char(digit @ '1'..='5') => {
                let digit = digit.to_digit(10).unwrap_or(1);
                self.focus = usize::try_from(digit).unwrap_or(1) - 1;
            }
            Key::Char(_) | Key::Escape | Key::Backspace | Key::Interrupt => {}
        }
        None
    }

    fn refilter(&mut self) {
        for pane in Pane::ALL {
            self.lists.of_mut(pane).filter(&self.filter);
        }
    }

    /// Moves the selection from a place by what a page is.
    fn go(&mut self, to: impl FnOnce(usize, usize) -> usize) {
        let (pane, page) = (self.pane(), self.page);
        let list = self.lists.of_mut(pane);
        list.select(to(list.selected, page));
    }

    fn selected(&self) -> Option<&Row> {
        self.lists.of(self.pane()).selected()
    }

    fn explain(&mut self) -> Option<Action> {
        let row = self.selected()?.clone();
        let Some(target) = row.target else {
            let title = self.pane().title();
            self.dialog = Some(Dialog::text(title, row.details));
            return None;
        };
        let title = target.clone();
        let request = Request::Why {
            target,
            session: row.session,
        };
        let then = Then::Why {
            title,
            details: row.details,
        };
        Some(Action::Ask(Box::new(request), then))
    }

    fn allow(&mut self) -> Option<Action> {
        let row = self.selected()?;
        let Some(target) = row.target.clone() else {
            let text = "this is no host: enter says what would allow it".to_owned();
            self.notice = Some((Tone::Warn, text));
            return None;
        };
        Some(grant::ask_opening(
            &target,
            row.session.clone(),
            row.guard.clone(),
        ))
    }

    fn end(&mut self) {
        if let Some(session) = self.selected().and_then(|row| row.session.clone()) {
            self.dialog = Some(Dialog::end(session));
        } else {
            let text = "this belongs to no session".to_owned();
            self.notice = Some((Tone::Warn, text));
        }
    }
}

impl Header {
    fn new(overview: &Overview) -> Self {
        let status = &overview.status;
        let mut warnings: Vec<String> = status.guards.iter().flat_map(warnings).collect();
        if status.guards.is_empty() {
            warnings.push("no cgroup is guarded any more".to_owned());
        }
        if let Some(audit) = &status.audit {
            if let Some(failure) = &audit.failure {
                warnings.push(format!("the audit log cannot be written: {failure}"));
            }
            let lost: u64 = audit.lost.values().sum();
            if lost > 0 {
                warnings.push(format!("{} records were lost", number(lost)));
            }
        }
        warnings.extend(overview.flows_missing.clone());
        Self {
            version: bounded(&status.version, 20),
            observes: status.mode == Mode::Observe,
            guards: status.guards.len(),
            up: short(Duration::from_millis(status.uptime_ms)),
            warnings: warnings.iter().map(|text| bounded(text, 300)).collect(),
        }
    }
}

fn warnings(guard: &Guard) -> Vec<String> {
    let missing: Vec<&str> = guard
        .hooks
        .iter()
        .filter(|hook| !hook.attached)
        .map(|hook| hook.name.as_str())
        .collect();
    let mut all = Vec::new();
    if !missing.is_empty() {
        all.push(format!(
            "{}: NOT ATTACHED: {}",
            guard.cgroup,
            missing.join(", ")
        ));
    }
    all.extend(guard.gaps.iter().map(|gap| format!("gap: {gap}")));
    if guard.lost > 0 {
        all.push(format!("{} kernel events were lost", number(guard.lost)));
    }
    all
}
