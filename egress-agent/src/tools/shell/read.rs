//! From text to commands: lists, pipelines, groups, redirections, here-documents.

use std::borrow::Cow;

use super::brace;
use super::run::{Input, Shell, Stdin};
use super::word::{CLOSE, COMMA, FIELD, OPEN, is_known, is_meta};

/// What a list of commands gives to whoever reads its output.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// The text, when it is plain from the commands.
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
}

/// A here-document whose text has not come yet.
struct Here {
    end: String,
    tabs: bool,
    quoted: bool,
}

/// `(`, `{`, or a word such as `if`, until its end.
struct Group {
    kind: u8,
    /// What flows into it, and what comes out of it, is from the network.
    fetched: bool,
    gives_fetched: bool,
    /// The function whose body this is, and where the body starts.
    function: Option<(String, usize)>,
}

#[derive(Default)]
struct Level<'t> {
    words: Vec<Cow<'t, str>>,
    groups: Vec<Group>,
    cases: usize,
    here: Vec<Here>,
    /// The name before `()`.
    function: Option<String>,
    /// Who executes its input on this line.
    line_stdin: Vec<Stdin>,
    /// Files that this line writes, and those of the command at hand.
    line_writes: Vec<String>,
    writes: Vec<String>,
    stdin_file: Option<String>,
    /// What flows into the next command.
    piped: Option<String>,
    fetched: bool,
    /// In `[[ ]]`.
    test: bool,
    output: Output,
    count: usize,
    known: bool,
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
        let mut level = Level {
            known: true,
            ..Level::default()
        };
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.peek_at(1) == Some(b'\n') => self.at += 2,
                b'\n' => {
                    self.at += 1;
                    self.command_ends(&mut level);
                    pipeline_ends(&mut level);
                    self.line_ends(&mut level);
                }
                b';' => {
                    self.at += 1;
                    self.command_ends(&mut level);
                    pipeline_ends(&mut level);
                }
                b'|' | b'&' if level.test => self.at += 1,
                b'&' if self.peek_at(1) == Some(b'>') => self.redirection(&mut level),
                b'&' => {
                    self.at += if self.peek_at(1) == Some(b'&') { 2 } else { 1 };
                    self.command_ends(&mut level);
                    pipeline_ends(&mut level);
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
                        pipeline_ends(&mut level);
                    }
                }
                b'(' if level.test => self.at += 1,
                b'(' => self.open(&mut level),
                b')' => {
                    self.at += 1;
                    if level.test {
                        continue;
                    }
                    if level.groups.iter().all(|group| group.kind != b'(') && level.cases > 0 {
                        // A pattern of `case`.
                        level.words.clear();
                        continue;
                    }
                    self.command_ends(&mut level);
                    if !self.close(&mut level, b'(') && end == Some(b')') {
                        break;
                    }
                }
                b'<' | b'>' if self.peek_at(1) != Some(b'(') => {
                    if level.test {
                        self.at += 1;
                    } else {
                        self.redirection(&mut level);
                    }
                }
                b'#' => {
                    let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
                    self.at += rest
                        .iter()
                        .position(|byte| *byte == b'\n')
                        .unwrap_or(rest.len());
                }
                _ => self.word(&mut level),
            }
        }
        self.command_ends(&mut level);
        pipeline_ends(&mut level);
        if !level.known {
            level.output.text = None;
        }
        level.output
    }

    /// Runs what stands in substitutions of a text without commands of its own.
    pub(super) fn expand_text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut inner = Reader {
            text,
            at: 0,
            shell: self.shell,
            nested: self.nested + 1,
            sums_are_over: false,
        };
        inner.double_quoted(&mut out, None);
        if !out.contains(OPEN) {
            return out;
        }
        brace::expand(&out).map_or_else(
            || out.replace([OPEN, COMMA, CLOSE], " "),
            |all| all.join("\n"),
        )
    }

    fn word(&mut self, level: &mut Level<'t>) {
        if level.words.is_empty() && !level.test && self.assignment() {
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
                level.words.push(Cow::Borrowed(word));
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
        let marked = self.marked_word();
        if self.at == before {
            // INVARIANT: every turn of the loop in `list` moves on.
            self.at += 1;
        }
        self.fields(marked, &mut level.words);
    }

    /// The words that a marked one stands for.
    fn fields(&mut self, marked: String, words: &mut Vec<Cow<'t, str>>) {
        for word in self.braces(marked) {
            if word.contains(FIELD) {
                words.extend(
                    word.split(FIELD)
                        .filter(|field| !field.is_empty())
                        .map(|field| Cow::Owned(field.to_owned())),
                );
            } else {
                words.push(Cow::Owned(word));
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
        vec![
            marked
                .replace(OPEN, "{")
                .replace(COMMA, ",")
                .replace(CLOSE, "}"),
        ]
    }

    /// `NAME=value` before a command.
    fn assignment(&mut self) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            .unwrap_or(rest.len());
        if length == 0 || rest.first().is_some_and(u8::is_ascii_digit) {
            return false;
        }
        let mut equals = length;
        if rest.get(equals) == Some(&b'[') {
            let Some(close) = rest
                .get(..(equals + 64).min(rest.len()))
                .and_then(|near| near.iter().position(|byte| *byte == b']' || is_meta(*byte)))
            else {
                return false;
            };
            equals = close + 1;
        }
        let append = rest.get(equals) == Some(&b'+');
        if append {
            equals += 1;
        }
        if rest.get(equals) != Some(&b'=') {
            return false;
        }
        let name = self.text.get(self.at..self.at + length).unwrap_or_default();
        self.at += equals + 1;
        if self.peek() == Some(b'(') {
            self.at += 1;
            let values = self.array();
            self.shell.scope.set_list(name, values);
            return true;
        }
        let marked = if self.peek().is_none_or(is_meta) && self.peek_at(1) != Some(b'(') {
            String::new()
        } else {
            self.marked_word()
        };
        for value in self.braces(marked) {
            let value = value.replace(FIELD, " ");
            self.shell.environment_is(name, &value);
            if append {
                self.shell.scope.append(name, &value);
            } else {
                self.shell.scope.set(name, value);
            }
        }
        true
    }

    fn array(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    self.at += 1;
                    break;
                }
                byte if is_meta(byte) => self.at += 1,
                _ => {
                    let marked = self.marked_word();
                    self.fields(marked, &mut words);
                }
            }
        }
        words.into_iter().map(Cow::into_owned).collect()
    }

    /// Words of the grammar, where a command would start; `true` when it is one.
    fn reserved(&mut self, level: &mut Level<'t>, word: &str) -> bool {
        if level.words.is_empty() {
            match word {
                "{" => self.group(level, b'{'),
                "if" | "while" | "until" => self.group(level, b'i'),
                "then" | "else" | "elif" | "do" | "!" | "time" | "coproc" => {}
                "}" => {
                    self.close(level, b'{');
                }
                "fi" | "done" => {
                    self.close(level, b'i');
                }
                "esac" => {
                    level.cases = level.cases.saturating_sub(1);
                    self.close(level, b'i');
                }
                "for" | "select" => {
                    self.group(level, b'i');
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
                self.group(level, b'{');
                true
            }
            [case, _] if word == "in" && case == "case" => {
                level.words.clear();
                level.cases += 1;
                self.group(level, b'i');
                true
            }
            _ => false,
        }
    }

    fn group(&mut self, level: &mut Level<'t>, kind: u8) {
        let function = level.function.take().map(|name| (name, self.at));
        level.groups.push(Group {
            kind,
            fetched: level.fetched,
            gives_fetched: false,
            function,
        });
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
        self.command_ends(level);
        self.group(level, b'(');
    }

    /// Ends a group of this kind, if one is open.
    fn close(&mut self, level: &mut Level<'t>, kind: u8) -> bool {
        // Groups inside that were never closed end with it.
        let Some(at) = level.groups.iter().rposition(|group| group.kind == kind) else {
            return false;
        };
        let mut groups = level.groups.split_off(at);
        if let Some(group) = groups.drain(..).next() {
            level.fetched |= group.fetched || group.gives_fetched;
            if let Some((name, start)) = group.function {
                let end = self.at.saturating_sub(1);
                let body = self.text.get(start..end).unwrap_or_default();
                self.shell.define(&name, body);
            }
        }
        true
    }

    fn command_ends(&mut self, level: &mut Level<'t>) {
        level.test = false;
        if level.words.is_empty() {
            level.writes.clear();
            return;
        }
        let done = self.shell.run(
            &level.words,
            Input {
                fetched: level.fetched,
                text: level.piped.take(),
                file: level.stdin_file.take(),
            },
        );
        level.words.clear();
        level.fetched |= done.fetched;
        level.output.fetched |= done.fetched;
        level.count += 1;
        for path in level.writes.drain(..) {
            if level.fetched {
                self.shell.scope.downloads.insert(path.clone());
            }
            if let Some(text) = &done.output {
                self.shell.wrote(&path, text);
            }
            level.line_writes.push(path);
        }
        level.piped = done.output;
        level.line_stdin.extend(done.stdin);
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
        let mut targets = Vec::new();
        let marked = self.marked_word();
        self.fields(marked, &mut targets);
        for target in &targets {
            if operator == "<<<" {
                level.piped = is_known(target).then(|| target.to_string());
                level.fetched |= super::word::is_fetched(target);
                continue;
            }
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
        level.here.push(Here { end, tabs, quoted });
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
            for stdin in &shells {
                self.shell.execute(*stdin, &text);
            }
            for path in &writes {
                self.shell.wrote(path, &text);
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
        self.text.get(start..).unwrap_or_default()
    }
}

fn pipeline_ends(level: &mut Level<'_>) {
    if level.count > 0 {
        match level.piped.take() {
            Some(text) if level.known => level.output.text.get_or_insert_default().push_str(&text),
            Some(_) | None => level.known = false,
        }
    }
    level.count = 0;
    let fetched = std::mem::take(&mut level.fetched);
    if let Some(group) = level.groups.last_mut() {
        group.gives_fetched |= fetched;
        // The pipe into a group may still feed what follows.
        level.fetched = group.fetched;
    }
}
