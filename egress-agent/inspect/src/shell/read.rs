//! From text to commands: lists, pipelines, groups, redirections, here-documents.

use std::{borrow::Cow, ops::Range};

use super::run::{Done, Input, Shell, Stdin};
use super::scope::{State, Value};
use super::word::{
    CLOSE, COMMA, EITHER, EMPTY, END, FIELD, OPEN, OR, UNKNOWN, cleaned, is_known, is_meta,
    unmarked,
};
use super::{MOST_PLACES, brace};

/// A command with values of which a run chooses is read with this many of the choices.
const MOST_CHOICES: usize = 64;

/// What a list of commands gives to whoever reads its output.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// The text, when it is plain from the commands, with marks where a run chooses.
    pub(super) text: Option<String>,
    /// Something in it comes from the network.
    pub(super) fetched: bool,
}

pub(super) struct Reader<'t, 's> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    pub(super) shell: &'s mut Shell,
    pub(super) nested: u8,
    /// No `((` that follows has an end.
    pub(super) sums_are_over: bool,
    /// The word at hand is not split into fields: the value of an assignment.
    pub(super) whole: bool,
    /// A list without words stood in the quotes at hand.
    pub(super) no_words: bool,
}

/// A here-document whose text has not come yet.
struct Here {
    end: String,
    tabs: bool,
    quoted: bool,
    /// The number of the command that gets it, among those that are kept.
    command: usize,
}

/// `(`, `{`, or a word such as `if`, until its end.
struct Group {
    kind: Kind,
    /// What flows into it, and what comes out of it, is from the network.
    fetched: bool,
    gives_fetched: bool,
    /// What flows into it, when the text tells.
    stdin: Option<String>,
    /// What was written before it, and whether all of that is known.
    before: (Option<String>, bool),
    /// What stood before `&&` in front of it.
    conditional: Option<usize>,
    mark: usize,
    /// The pipeline in which it stands.
    pipe_mark: usize,
    chain_mark: usize,
    sub: bool,
    /// The function whose body this is, and where the body starts.
    function: Option<(String, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Round,
    Curly,
    If,
    Loop,
    Case,
}

#[derive(Default)]
struct Level<'t> {
    /// Where the command at hand begins, and how far it was read.
    start: Option<usize>,
    end: usize,
    words: Vec<Cow<'t, str>>,
    /// Some of the words hold choices.
    either: bool,
    /// Variables set for the command at hand alone: what they are for the others.
    prefix: Vec<(String, State)>,
    groups: Vec<Group>,
    here: Vec<Here>,
    /// The name before `()`.
    function: Option<String>,
    coproc: bool,
    timed: bool,
    /// Who executes its input on this line.
    line_stdin: Vec<Stdin>,
    /// Files that this line writes, and those of the command at hand.
    line_writes: Vec<String>,
    writes: Vec<String>,
    stdin_file: Option<String>,
    /// What flows into the next command, and what came out of the last one.
    stdin: Option<String>,
    last: Option<String>,
    fetched: bool,
    /// In `[[ ]]`.
    test: bool,
    output: Output,
    count: usize,
    known: bool,
    /// Whether the list itself is reached is certain.
    certain: bool,
    /// Behind `&&` or `||`: what was set before it.
    conditional: Option<usize>,
    /// What was set before this pipeline, and whether its commands have shells of their own.
    pipe_mark: usize,
    sub: bool,
    /// What was set before this chain of `&&` and `||`.
    chain_mark: usize,
}

impl<'t> Reader<'t, '_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// Commands up to `end` or to the end of the text.
    pub(super) fn list(&mut self, end: Option<u8>) -> Output {
        let certain = self.shell.scope.certain;
        let whole = std::mem::take(&mut self.whole);
        let mut level = Level {
            known: true,
            certain,
            pipe_mark: self.shell.scope.mark(),
            chain_mark: self.shell.scope.mark(),
            ..Level::default()
        };
        let mut ended = false;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.peek_at(1) == Some(b'\n') => self.at += 2,
                b'\n' => {
                    self.at += 1;
                    self.command_ends(&mut level);
                    self.pipeline_ends(&mut level);
                    self.condition_ends(&mut level);
                    self.line_ends(&mut level);
                }
                b';' => {
                    self.at += 1;
                    self.command_ends(&mut level);
                    self.pipeline_ends(&mut level);
                    self.condition_ends(&mut level);
                }
                b'|' | b'&' if level.test => self.at += 1,
                b'&' if self.peek_at(1) == Some(b'>') => {
                    self.redirection(&mut level);
                    level.end = self.at;
                }
                b'&' => {
                    let both = self.peek_at(1) == Some(b'&');
                    self.at += if both { 2 } else { 1 };
                    self.command_ends(&mut level);
                    level.sub |= !both;
                    self.pipeline_ends(&mut level);
                    if both {
                        self.condition(&mut level);
                    } else {
                        level.conditional = Some(level.chain_mark);
                        self.condition_ends(&mut level);
                    }
                }
                b'|' => {
                    let either = self.peek_at(1) == Some(b'|');
                    self.at += if either || self.peek_at(1) == Some(b'&') {
                        2
                    } else {
                        1
                    };
                    self.command_ends(&mut level);
                    if either {
                        self.pipeline_ends(&mut level);
                        self.condition(&mut level);
                    } else {
                        level.sub = true;
                        level.stdin = level.last.take();
                    }
                }
                b'(' if level.test => self.at += 1,
                b'(' => self.open(&mut level),
                b')' => {
                    self.at += 1;
                    if level.test {
                        continue;
                    }
                    if level
                        .groups
                        .last()
                        .is_some_and(|group| group.kind == Kind::Case)
                    {
                        // A pattern of `case`.
                        level.words.clear();
                        self.branch(&mut level, Kind::Case);
                        continue;
                    }
                    self.command_ends(&mut level);
                    if !self.close(&mut level, Kind::Round) && end == Some(b')') {
                        ended = true;
                        break;
                    }
                }
                b'<' | b'>' if self.peek_at(1) != Some(b'(') => {
                    if level.test {
                        self.at += 1;
                    } else {
                        self.redirection(&mut level);
                        level.end = self.at;
                    }
                }
                b'#' => {
                    let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
                    self.at += rest
                        .iter()
                        .position(|byte| *byte == b'\n')
                        .unwrap_or(rest.len());
                }
                _ => {
                    level.start.get_or_insert(self.at);
                    self.word(&mut level);
                    level.end = self.at;
                    // A word such as `then` begins no command.
                    if level.words.is_empty() && level.prefix.is_empty() {
                        level.start = None;
                    }
                }
            }
        }
        if end.is_some() && !ended {
            self.shell.unclear("a bracket has no end");
        }
        self.command_ends(&mut level);
        self.pipeline_ends(&mut level);
        self.condition_ends(&mut level);
        if !level.here.is_empty() {
            self.shell.unclear("a here-document has no end");
        }
        for group in std::mem::take(&mut level.groups) {
            // It has no end: what it wrote is not known.
            self.shell.scope.end(group.mark);
            self.shell.unclear("a bracket has no end");
            level.known = false;
        }
        if !level.known {
            level.output.text = None;
        }
        self.shell.scope.certain = certain;
        self.whole = whole;
        level.output
    }

    /// Runs what stands in substitutions of a text without commands of its own. What it gives may
    /// hold choices.
    pub(super) fn expand_text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut inner = Reader {
            text,
            at: 0,
            shell: self.shell,
            nested: self.nested + 1,
            sums_are_over: false,
            whole: false,
            no_words: false,
        };
        inner.double_quoted(&mut out, None);
        unmarked(out)
    }

    fn word(&mut self, level: &mut Level<'t>) {
        if level.words.is_empty() && !level.test && self.assignment(level) {
            return;
        }
        let declares = level.words.first().is_some_and(|it| {
            matches!(
                &**it,
                "export" | "declare" | "typeset" | "local" | "readonly"
            )
        });
        if declares && !level.test && self.array_follows() && self.assignment(level) {
            return;
        }
        if let Some(word) = self.plain_word() {
            if matches!(self.peek(), Some(b'<' | b'>')) && word.bytes().all(|b| b.is_ascii_digit())
            {
                // The number of a descriptor.
                return;
            }
            if level.test {
                level.test = word != "]]";
            } else if !self.reserved(level, word) {
                push(level, Cow::Borrowed(word));
                self.first_word(level);
            }
            return;
        }
        let before = self.at;
        if self.peek() == Some(b'{')
            && self.peek_at(1).is_none_or(is_meta)
            && self.reserved(level, "{")
        {
            self.at += 1;
            self.mark_body(level);
            return;
        }
        self.whole = declares && self.assigned_name().is_some();
        let marked = self.marked_word();
        self.whole = false;
        if self.at == before {
            // INVARIANT: every turn of the loop in `list` moves on.
            self.at += 1;
        }
        if level.test {
            return;
        }
        if matches!(self.peek(), Some(b'<' | b'>'))
            && let Some(name) = marked
                .strip_prefix(OPEN)
                .and_then(|it| it.strip_suffix(CLOSE))
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            // `{name}>file`: the variable gets the number of a descriptor.
            self.shell.scope.forget(name);
            return;
        }
        if marked.contains(EITHER) {
            level.either = true;
            push(level, Cow::Owned(marked));
        } else {
            let mut words = Vec::new();
            self.fields(marked, &mut words);
            for word in words {
                push(level, Cow::Owned(word));
            }
        }
        self.first_word(level);
    }

    /// Variables before a command are set for the command alone, not for its words.
    fn first_word(&mut self, level: &mut Level<'t>) {
        if level.words.len() == 1 {
            self.swap_prefix(level);
        }
    }

    fn swap_prefix(&mut self, level: &mut Level<'t>) {
        for (name, state) in &mut level.prefix {
            self.shell.scope.swap(name, state);
        }
    }

    /// The words that a marked one stands for.
    fn fields(&mut self, marked: String, words: &mut Vec<String>) {
        for word in self.braces(marked) {
            if word.contains([FIELD, EMPTY]) {
                words.extend(
                    word.split(FIELD)
                        .filter(|field| !field.is_empty())
                        .map(|field| field.replace(EMPTY, "")),
                );
            } else if !word.is_empty() {
                words.push(word);
            }
        }
    }

    fn braces(&mut self, marked: String) -> Vec<String> {
        if !marked.contains(OPEN) {
            return vec![marked];
        }
        if (marked.contains(COMMA) || marked.contains(".."))
            && let Some(words) = brace::expand(&marked)
        {
            return words;
        }
        if marked.contains(COMMA) {
            self.shell.unclear("a word with braces stands for too many");
        }
        vec![brace::plain(&marked)]
    }

    /// The texts that a text with choices may be.
    fn alternatives(&mut self, text: &str) -> Vec<String> {
        if !text.contains(EITHER) {
            return vec![text.to_owned()];
        }
        let affordable = self.shell.spend(text.len().saturating_mul(4));
        if affordable
            && let Some(texts) = brace::alternatives(text)
            && self.shell.spend(texts.iter().map(String::len).sum())
        {
            return texts;
        }
        self.shell
            .unclear("values of variables may be combined in too many ways");
        // Each value at least once, where there is room for it.
        let room = if affordable { 64 * 1024 } else { 0 };
        let most = (room / text.len().max(1)).clamp(2, 32);
        (0..most)
            .map(|number| brace::chosen(text, number))
            .collect()
    }

    /// The lists of words that words with choices may be; words without are no longer marked.
    fn combinations(&mut self, words: &[Cow<'_, str>]) -> Vec<Vec<String>> {
        let choices: Vec<Vec<String>> = words.iter().map(|word| self.alternatives(word)).collect();
        let most = choices.iter().map(Vec::len).max().unwrap_or(1);
        let count = choices
            .iter()
            .fold(1usize, |count, list| count.saturating_mul(list.len()));
        let length: usize = words.iter().map(|word| word.len() + 1).sum();
        let every = count <= MOST_CHOICES && self.shell.spend(length.saturating_mul(count * 4));
        if !every {
            self.shell
                .unclear("values of variables may be combined in too many ways");
        }
        let turns = if every {
            count
        } else if self.shell.spend(length.saturating_mul(most)) {
            most
        } else {
            2
        };
        (0..turns)
            .map(|turn| {
                let mut left = turn;
                let mut out = Vec::new();
                for (word, list) in words.iter().zip(&choices) {
                    let at = if every {
                        left % list.len()
                    } else {
                        turn % list.len()
                    };
                    if every {
                        left /= list.len();
                    }
                    match list.get(at) {
                        Some(chosen) if word.contains(EITHER) => {
                            self.fields(chosen.clone(), &mut out);
                        }
                        Some(word) => out.push(word.clone()),
                        None => {}
                    }
                }
                out
            })
            .collect()
    }

    /// The name, its index and `+`, of an assignment that starts here, and where its value starts.
    fn assigned_name(&self) -> Option<(&'t str, Option<&'t str>, bool, usize)> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            .unwrap_or(rest.len());
        if length == 0 || rest.first().is_some_and(u8::is_ascii_digit) {
            return None;
        }
        let mut equals = length;
        let mut index = None;
        if rest.get(equals) == Some(&b'[') {
            let near = rest.get(..(equals + 64).min(rest.len()))?;
            let close = near
                .iter()
                .position(|byte| *byte == b']' || is_meta(*byte))?;
            index = self.text.get(self.at + equals + 1..self.at + close);
            equals = close + 1;
        }
        let append = rest.get(equals) == Some(&b'+');
        if append {
            equals += 1;
        }
        if rest.get(equals) != Some(&b'=') {
            return None;
        }
        let name = self.text.get(self.at..self.at + length)?;
        Some((name, index, append, self.at + equals + 1))
    }

    fn array_follows(&self) -> bool {
        self.assigned_name()
            .is_some_and(|(_, _, _, value)| self.text.as_bytes().get(value) == Some(&b'('))
    }

    /// `NAME=value` before a command.
    fn assignment(&mut self, level: &mut Level<'t>) -> bool {
        let Some((name, index, append, value)) = self.assigned_name() else {
            return false;
        };
        self.at = value;
        let size = self.shell.scope.size(name);
        // Beyond all bounds it is set for what follows as well.
        let state = (level.words.is_empty() && self.shell.spend(size))
            .then(|| self.shell.scope.state(name));
        self.shell.scope.certain = is_certain(level);
        if self.peek() == Some(b'(') {
            self.at += 1;
            for list in self.array() {
                if append && !self.shell.spend(size) {
                    self.shell.scope.set(name, UNKNOWN.to_string());
                } else if append {
                    self.shell.scope.append(name, &list);
                } else {
                    self.shell.scope.set_value(name, list);
                }
                self.shell.scope.certain = false;
            }
        } else {
            let marked = if self.peek().is_none_or(is_meta) && self.peek_at(1) != Some(b'(') {
                String::new()
            } else {
                self.whole = true;
                let marked = self.marked_word();
                self.whole = false;
                marked
            };
            for value in self.alternatives(&marked) {
                let value = unmarked(value);
                self.shell.environment_is(name, &value);
                if (append || index.is_some()) && !self.shell.spend(size) {
                    self.shell.scope.set(name, UNKNOWN.to_string());
                } else if let Some(index) = index {
                    self.shell
                        .scope
                        .set_element(name, index.parse().ok(), &value);
                } else if append {
                    self.shell.scope.append(name, &Value::Text(value));
                } else {
                    self.shell.scope.set(name, value);
                }
                self.shell.scope.certain = false;
            }
        }
        self.shell.scope.certain = level.certain;
        level
            .prefix
            .extend(state.map(|state| (name.to_owned(), state)));
        true
    }

    /// The arrays that stand between brackets.
    fn array(&mut self) -> Vec<Value> {
        let mut words: Vec<Cow<'_, str>> = Vec::new();
        let mut ended = false;
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    self.at += 1;
                    ended = true;
                    break;
                }
                b'#' => {
                    let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
                    let line = rest.iter().position(|byte| *byte == b'\n');
                    self.at += line.unwrap_or(rest.len());
                }
                byte if is_meta(byte) && self.peek_at(1) != Some(b'(') => self.at += 1,
                _ => {
                    let before = self.at;
                    let marked = self.marked_word();
                    if self.at == before {
                        // INVARIANT: every turn of the loop moves on.
                        self.at += 1;
                    }
                    if marked.contains(EITHER) {
                        words.push(Cow::Owned(marked));
                    } else {
                        // What braces make is no `[place]=word`.
                        let braced = marked.contains(OPEN) && marked.starts_with('[');
                        let mut settled = Vec::new();
                        self.fields(marked, &mut settled);
                        for word in settled {
                            words.push(Cow::Owned(if braced {
                                format!("{EMPTY}{word}")
                            } else {
                                word
                            }));
                        }
                    }
                }
            }
        }
        if !ended {
            self.shell.unclear("a bracket has no end");
        }
        self.combinations(&words)
            .into_iter()
            .map(array_of)
            .collect()
    }

    /// Words of the grammar, where a command would start; `true` when it is one.
    fn reserved(&mut self, level: &mut Level<'t>, word: &str) -> bool {
        if level.words.is_empty() {
            let timed = std::mem::take(&mut level.timed);
            match word {
                "{" => self.group(level, Kind::Curly),
                "if" => self.group(level, Kind::If),
                "while" | "until" => self.group(level, Kind::Loop),
                "else" | "elif" => self.branch(level, Kind::If),
                "then" | "do" | "!" => {}
                "time" if level.sub => return false,
                "time" => level.timed = true,
                "-p" | "--" if timed => level.timed = true,
                "coproc" => level.coproc = true,
                "}" => {
                    self.close(level, Kind::Curly);
                }
                "fi" => {
                    self.close(level, Kind::If);
                }
                "done" => {
                    self.close(level, Kind::Loop);
                }
                "esac" => {
                    self.close(level, Kind::Case);
                }
                "for" | "select" => {
                    self.group(level, Kind::Loop);
                    return false;
                }
                "[[" => level.test = true,
                _ => return false,
            }
            return true;
        }
        match level.words.as_slice() {
            [function, name] if word == "{" && function == "function" => {
                level.function = Some(name.to_string());
                level.words.clear();
                self.group(level, Kind::Curly);
                true
            }
            [_] if level.coproc && word == "{" => {
                level.words.clear();
                self.group(level, Kind::Curly);
                true
            }
            [case, _] if word == "in" && case == "case" => {
                level.words.clear();
                self.group(level, Kind::Case);
                true
            }
            _ => false,
        }
    }

    /// What another branch has set is not set in this one.
    fn branch(&mut self, level: &mut Level<'t>, kind: Kind) {
        if let Some(group) = level.groups.last().filter(|group| group.kind == kind) {
            self.shell.scope.end(group.mark);
        }
    }

    fn group(&mut self, level: &mut Level<'t>, kind: Kind) {
        let function = level.function.take().map(|name| (name, self.at));
        level.coproc = false;
        let before = (level.output.text.take(), level.known);
        level.known = true;
        level.groups.push(Group {
            kind,
            fetched: level.fetched,
            gives_fetched: false,
            stdin: level.stdin.clone().filter(|it| self.shell.spend(it.len())),
            before,
            conditional: level.conditional.take(),
            mark: self.shell.scope.mark(),
            pipe_mark: level.pipe_mark,
            chain_mark: level.chain_mark,
            sub: std::mem::take(&mut level.sub),
            function,
        });
        level.pipe_mark = self.shell.scope.mark();
        level.chain_mark = level.pipe_mark;
        level.count = 0;
    }

    /// The body starts behind the brace, which has just been passed.
    fn mark_body(&mut self, level: &mut Level<'t>) {
        if let Some(Group {
            function: Some((_, start)),
            ..
        }) = level.groups.last_mut()
        {
            *start = self.at;
        }
    }

    fn open(&mut self, level: &mut Level<'t>) {
        if level.words.len() == 1
            || (level.words.len() == 2 && level.words.first().is_some_and(|it| it == "function"))
        {
            let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
            let blanks = rest
                .iter()
                .take(16)
                .take_while(|byte| **byte == b' ')
                .count();
            if rest.get(blanks) == Some(&b')') {
                self.at += blanks + 2;
                level.function = level.words.pop().map(Cow::into_owned);
                level.words.clear();
                return;
            }
        }
        if level.words.is_empty() && self.peek_at(1) == Some(b'(') && self.arithmetic() {
            return;
        }
        self.at += 1;
        if level.coproc {
            level.words.clear();
        }
        self.command_ends(level);
        self.group(level, Kind::Round);
    }

    /// Ends a group of this kind, if one is open.
    fn close(&mut self, level: &mut Level<'t>, kind: Kind) -> bool {
        // Groups inside that were never closed end with it.
        let Some(at) = level.groups.iter().rposition(|group| group.kind == kind) else {
            return false;
        };
        self.command_ends(level);
        self.pipeline_ends(level);
        self.condition_ends(level);
        let mut groups = level.groups.split_off(at);
        let broken = groups.len() > 1;
        let Some(group) = groups.drain(..).next() else {
            return false;
        };
        level.fetched |= group.fetched || group.gives_fetched;
        let is_function = group.function.is_some();
        if is_function || kind != Kind::Curly {
            self.shell.scope.end(group.mark);
        }
        // What it wrote is what a pipe behind it carries; a function that is not called writes
        // nothing, a loop nobody knows how often.
        let (before, known) = group.before;
        let written = std::mem::replace(&mut level.output.text, before);
        level.last = if is_function || written.is_none() && level.known {
            Some(String::new())
        } else if kind == Kind::Loop || !level.known || broken {
            None
        } else {
            written
        };
        level.known = known;
        level.count = 1;
        level.stdin = None;
        level.conditional = group.conditional;
        level.pipe_mark = group.pipe_mark;
        level.chain_mark = group.chain_mark;
        level.sub = group.sub;
        if let Some((name, start)) = group.function {
            let end = self.at.saturating_sub(1);
            let body = self.text.get(start..end).unwrap_or_default();
            self.shell.define(&name, body);
        }
        true
    }

    /// Notes where a simple command of the text itself stands.
    fn stands(&mut self, range: Range<usize>) {
        let is_outer = self.nested == 0 && self.shell.depth == 1;
        if is_outer && self.shell.places.len() < MOST_PLACES {
            self.shell.places.push(range);
        }
    }

    fn command_ends(&mut self, level: &mut Level<'t>) {
        level.test = false;
        level.coproc = false;
        level.timed = false;
        let start = level.start.take();
        if level.words.is_empty() {
            level.writes.clear();
            level.prefix.clear();
            return;
        }
        if let Some(start) = start {
            self.stands(start..level.end);
        }
        self.swap_prefix(level);
        for (name, _) in &level.prefix {
            self.shell.scope.export(name);
        }
        let words = std::mem::take(&mut level.words);
        let stdin = level.stdin.take();
        let file = level.stdin_file.take();
        self.shell.scope.certain = is_certain(level);
        let choices = std::mem::take(&mut level.either)
            || stdin.as_ref().is_some_and(|it| it.contains(EITHER));
        let done = if choices {
            self.run_each(&words, level.fetched, stdin.as_deref(), file.as_deref())
        } else {
            let input = Input {
                fetched: level.fetched,
                text: stdin,
                file,
            };
            self.shell.run(&words, input)
        };
        self.shell.scope.certain = level.certain;
        for (name, _) in level.prefix.drain(..) {
            self.shell.scope.forget(&name);
        }
        level.fetched |= done.fetched;
        level.output.fetched |= done.fetched;
        level.count += 1;
        let output = done.output;
        for path in level.writes.drain(..) {
            if level.fetched {
                self.shell.scope.downloads.insert(path.clone());
            }
            if let Some(text) = &output {
                for text in self.alternatives(text) {
                    self.shell.wrote(&path, &text);
                }
            }
            level.line_writes.push(path);
        }
        level.last = output;
        level.line_stdin.extend(done.stdin);
    }

    /// A command whose words, or whose input, a run chooses.
    fn run_each(
        &mut self,
        words: &[Cow<'_, str>],
        fetched: bool,
        stdin: Option<&str>,
        file: Option<&str>,
    ) -> Done {
        let texts: Vec<Option<String>> = match stdin {
            Some(text) => self.alternatives(text).into_iter().map(Some).collect(),
            None => vec![None],
        };
        let mut merged = Done::default();
        let mut outputs: Vec<String> = Vec::new();
        let mut known = false;
        for words in self.combinations(words) {
            let words: Vec<Cow<'_, str>> = words.into_iter().map(Cow::Owned).collect();
            for text in texts.iter().take(16) {
                let done = self.shell.run(
                    &words,
                    Input {
                        fetched,
                        text: text.clone(),
                        file: file.map(str::to_owned),
                    },
                );
                merged.fetched |= done.fetched;
                merged.stdin = merged.stdin.or(done.stdin);
                known |= done.output.is_some();
                let output = done.output.unwrap_or_else(|| UNKNOWN.to_string());
                if !outputs.contains(&output) {
                    outputs.push(output);
                }
            }
        }
        if texts.len() > 16 {
            self.shell
                .unclear("values of variables may be combined in too many ways");
        }
        if known {
            merged.output = Some(either(&outputs));
        }
        merged
    }

    /// Behind `&&` and `||`.
    fn condition(&mut self, level: &mut Level<'t>) {
        let mark = self.shell.scope.mark();
        level.conditional.get_or_insert(mark);
    }

    fn condition_ends(&mut self, level: &mut Level<'t>) {
        if let Some(mark) = level.conditional.take() {
            self.shell.scope.end(mark);
        }
        level.pipe_mark = self.shell.scope.mark();
        level.chain_mark = level.pipe_mark;
    }

    fn pipeline_ends(&mut self, level: &mut Level<'t>) {
        if level.count > 0 {
            match level.last.take() {
                Some(text) if text.is_empty() => {}
                Some(text) if level.known => {
                    let reached = is_reached(level);
                    let all = level.output.text.get_or_insert_default();
                    if all.len() > 256 * 1024 {
                        level.known = false;
                    } else if reached {
                        all.push_str(&text);
                    } else {
                        all.extend([EITHER]);
                        all.push_str(&text);
                        all.extend([OR, END]);
                    }
                }
                Some(_) | None => level.known = false,
            }
        }
        level.count = 0;
        if std::mem::take(&mut level.sub) {
            self.shell.scope.end(level.pipe_mark);
        }
        level.pipe_mark = self.shell.scope.mark();
        let fetched = std::mem::take(&mut level.fetched);
        level.stdin = None;
        if let Some(group) = level.groups.last_mut() {
            group.gives_fetched |= fetched;
            // The pipe into a group may still feed what follows.
            level.fetched = group.fetched;
            level.stdin = group.stdin.clone().filter(|it| self.shell.spend(it.len()));
        }
    }

    fn redirection(&mut self, level: &mut Level<'t>) {
        let start = self.at;
        while matches!(self.peek(), Some(b'<' | b'>' | b'&' | b'|')) && self.at - start < 3 {
            self.at += 1;
            // `<(` and `>(` are words of their own.
            if matches!(self.peek(), Some(b'<' | b'>')) && self.peek_at(1) == Some(b'(') {
                break;
            }
        }
        let operator = self.text.get(start..self.at).unwrap_or_default();
        let operator = match operator.as_bytes() {
            // `>&|`, `<&<` are no operators: give back what is too much.
            [b'<', b'<', b'<'] | [b'&', b'>', b'>'] => operator,
            [_, _, _] => {
                self.at -= 1;
                operator.get(..2).unwrap_or_default()
            }
            _ => operator,
        };
        if operator == "<<" {
            return self.here_document(level);
        }
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        if self
            .peek()
            .is_none_or(|byte| is_meta(byte) && !matches!(byte, b'<' | b'>'))
        {
            return;
        }
        if operator == "<<<" {
            self.whole = true;
            let text = unmarked(self.marked_word());
            self.whole = false;
            level.fetched |= super::word::is_fetched(&text);
            level.stdin = (is_known(&text) || text.contains(EITHER)).then(|| format!("{text}\n"));
            return;
        }
        let mut targets = Vec::new();
        let marked = self.marked_word();
        for marked in self.alternatives(&marked) {
            self.fields(marked, &mut targets);
        }
        for target in &targets {
            if self.shell.device(target) {
                continue;
            }
            let descriptor = target
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-');
            if descriptor && operator.ends_with('&') {
                continue;
            }
            let path = self.shell.scope.place(target);
            if operator.starts_with('<') && operator != "<>" {
                self.shell.notes.read(&path);
                level.stdin_file = Some(path);
            } else if path != "/dev/null" {
                self.shell.notes.write(&path);
                level.writes.push(path);
            }
        }
        // `$(<file)`.
        if level.words.is_empty() {
            level.known = false;
        }
    }

    fn here_document(&mut self, level: &mut Level<'t>) {
        let tabs = self.peek() == Some(b'-');
        if tabs {
            self.at += 1;
        }
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let mut end = String::new();
        let mut quote = None;
        let mut quoted = false;
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut letters = rest.char_indices().peekable();
        let mut length = rest.len();
        while let Some((at, letter)) = letters.next() {
            match (quote, letter) {
                (Some(open), letter) if letter == open => quote = None,
                (Some(_), letter) => end.push(letter),
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    quoted = true;
                }
                (None, '\\') => {
                    quoted = true;
                    if let Some((_, next)) = letters.next() {
                        end.push(next);
                    }
                }
                (None, letter) if letter.is_ascii() && u8::try_from(letter).is_ok_and(is_meta) => {
                    length = at;
                    break;
                }
                (None, letter) => end.push(letter),
            }
        }
        self.at += length;
        level.here.push(Here {
            end,
            tabs,
            quoted,
            command: self.shell.notes.commands(),
        });
    }

    /// Takes the here-documents of the line that has just ended.
    fn line_ends(&mut self, level: &mut Level<'t>) {
        let shells = std::mem::take(&mut level.line_stdin);
        let writes = std::mem::take(&mut level.line_writes);
        for here in std::mem::take(&mut level.here) {
            let body = self.body(&here);
            let text = if here.quoted {
                Cow::Borrowed(body)
            } else {
                Cow::Owned(self.expand_text(body))
            };
            for text in self.alternatives(&text) {
                self.shell.notes.feed(here.command, &text);
                for stdin in &shells {
                    self.shell.execute(*stdin, &text);
                }
                for path in &writes {
                    self.shell.wrote(path, &text);
                }
            }
        }
    }

    fn body(&mut self, here: &Here) -> &'t str {
        let start = self.at;
        while self.at < self.text.len() {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let length = rest
                .as_bytes()
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            let from = self.at;
            self.at = (self.at + length + 1).min(self.text.len());
            let line = if here.tabs {
                line.trim_start_matches('\t')
            } else {
                line
            };
            if line == here.end {
                return self.text.get(start..from).unwrap_or_default();
            }
        }
        self.shell.unclear("a here-document has no end");
        self.text.get(start..).unwrap_or_default()
    }
}

/// Nothing that only a run would tell decides whether this command is reached.
fn is_certain(level: &Level<'_>) -> bool {
    let simple = |group: &Group| group.kind == Kind::Curly && group.function.is_none();
    level.certain
        && level.conditional.is_none()
        && !level.sub
        && level.groups.len() < 8
        && level
            .groups
            .iter()
            .all(|group| simple(group) && !group.sub && group.conditional.is_none())
}

/// The same, within the group at hand.
fn is_reached(level: &Level<'_>) -> bool {
    level.conditional.is_none()
        && level
            .groups
            .last()
            .is_none_or(|group| !matches!(group.kind, Kind::If | Kind::Case | Kind::Loop))
}

fn push<'t>(level: &mut Level<'t>, word: Cow<'t, str>) {
    level.words.push(word);
}

/// One of these texts.
fn either(texts: &[String]) -> String {
    if let [one] = texts {
        return cleaned(one.clone());
    }
    let mut out = String::from(EITHER);
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(OR);
        }
        out.push_str(&cleaned(text.clone()));
    }
    out.push(END);
    out
}

/// Words, of which some may be `[place]=word`.
fn array_of(words: Vec<String>) -> Value {
    let mut list = std::collections::BTreeMap::new();
    let mut at = 0usize;
    for word in words {
        let placed = word
            .strip_prefix('[')
            .and_then(|it| it.split_once("]="))
            .map(|(place, word)| (place.parse().unwrap_or(at), word.to_owned()));
        let (place, word) = placed.unwrap_or((at, word));
        at = place.saturating_add(1);
        list.insert(place, word.replace(EMPTY, ""));
    }
    Value::List(list)
}
