//! Words: quotes, escapes, expansions, as far as the text alone settles them.
//!
//! A word is read into a string with marks of its own for what is not text. Bash takes no control
//! characters that would be mistaken for them: foreign ones become [`UNKNOWN`].

use super::brace;
use super::glob;
use super::read::{Output, Reader};
use super::scope::Value;

/// Something that only a run would tell.
pub(super) const UNKNOWN: char = '\0';
/// Where a value without quotes falls into several words.
pub(super) const FIELD: char = '\u{1}';
/// A brace that is no text, what parts its choices, and its end.
pub(super) const OPEN: char = '\u{2}';
pub(super) const COMMA: char = '\u{3}';
pub(super) const CLOSE: char = '\u{4}';
/// Text that comes from the network.
pub(super) const FETCHED: char = '\u{5}';
/// Texts of which a run chooses one, what parts them, and their end.
pub(super) const EITHER: char = '\u{6}';
pub(super) const OR: char = '\u{7}';
pub(super) const END: char = '\u{8}';
/// Nothing in quotes: a word, where nothing without quotes is none.
pub(super) const EMPTY: char = '\u{e}';

/// Substitutions inside of each other beyond this are not read.
pub(super) const MOST_NESTED: u8 = 40;

pub(super) fn is_known(text: &str) -> bool {
    !text.contains([UNKNOWN, FETCHED])
}

pub(super) fn is_fetched(text: &str) -> bool {
    text.contains(FETCHED)
}

/// As a person, or a matcher of paths, may see it.
pub(super) fn shown(text: &str) -> String {
    text.replace([UNKNOWN, FETCHED], "*")
}

/// Ends a word where no quote stands around it.
pub(super) fn is_meta(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')'
    )
}

/// A byte that is one of the marks of this file.
const fn is_mark(byte: u8) -> bool {
    matches!(byte, 0..=8 | 0xe)
}

/// Text that a program gave, in which marks are none of ours.
pub(super) fn cleaned(text: String) -> String {
    if text
        .bytes()
        .all(|byte| byte == 0 || byte == 5 || !is_mark(byte))
    {
        return text;
    }
    text.replace([FIELD, OPEN, COMMA, CLOSE, EITHER, OR, END, EMPTY], "\0")
}

/// A text without the marks of words.
pub(super) fn unmarked(text: String) -> String {
    if text.contains([OPEN, COMMA, CLOSE, FIELD, EMPTY]) {
        brace::plain(&text).replace(FIELD, " ").replace(EMPTY, "")
    } else {
        text
    }
}

fn is_special(byte: u8) -> bool {
    is_meta(byte) || is_mark(byte) || matches!(byte, b'\\' | b'\'' | b'"' | b'`' | b'$' | b'{')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl<'t> Reader<'t, '_> {
    /// The rest of a word that is nothing but text; `None`, and nowhere further, otherwise.
    pub(super) fn plain_word(&mut self) -> Option<&'t str> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let end = rest
            .iter()
            .position(|byte| is_special(*byte))
            .unwrap_or(rest.len());
        if end == 0 || rest.get(end).is_some_and(|byte| !is_meta(*byte)) {
            return None;
        }
        if let (Some(b'<' | b'>'), Some(b'(')) = (rest.get(end), rest.get(end + 1)) {
            return None;
        }
        let word = self.text.get(self.at..self.at + end)?;
        self.at += end;
        Some(word)
    }

    /// A word in any form, with its marks.
    pub(super) fn marked_word(&mut self) -> String {
        let mut out = String::new();
        let mut open = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'<' | b'>' if self.peek_at(1) == Some(b'(') => {
                    self.at += 2;
                    out.push_str("/dev/fd/");
                    // It stands for one file, whatever is written there.
                    self.substitution(&mut out, true);
                }
                byte if is_meta(byte) => break,
                b'\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'\n') => self.at += 1,
                        Some(_) => self.take_char(&mut out),
                        None => out.push('\\'),
                    }
                }
                b'\'' => self.single_quoted(&mut out),
                b'"' => {
                    self.at += 1;
                    self.double_quoted(&mut out, Some(b'"'));
                }
                b'$' => self.dollar(&mut out, false),
                b'`' => self.backtick(&mut out, false),
                b'{' => {
                    self.at += 1;
                    open += 1;
                    out.push(OPEN);
                }
                b',' if open > 0 => {
                    self.at += 1;
                    out.push(COMMA);
                }
                b'}' if open > 0 => {
                    self.at += 1;
                    open -= 1;
                    out.push(CLOSE);
                }
                _ => {
                    self.take_char(&mut out);
                    self.take_until(&mut out, |byte| {
                        is_special(byte) || matches!(byte, b',' | b'}')
                    });
                }
            }
        }
        out
    }

    /// One character; a foreign mark is not taken for one of ours.
    fn take_char(&mut self, out: &mut String) {
        let Some(next) = self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        else {
            return;
        };
        self.at += next.len_utf8();
        let foreign = u8::try_from(next).is_ok_and(is_mark);
        out.push(if foreign { UNKNOWN } else { next });
    }

    fn take_until(&mut self, out: &mut String, end: impl Fn(u8) -> bool) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| end(*byte))
            .unwrap_or(rest.len());
        if let Some(taken) = self.text.get(self.at..self.at + length) {
            out.push_str(taken);
        }
        self.at += length;
    }

    fn single_quoted(&mut self, out: &mut String) {
        self.at += 1;
        if self.peek() == Some(b'\'') {
            out.push(EMPTY);
        }
        loop {
            self.take_until(out, |byte| byte == b'\'' || is_mark(byte));
            match self.peek() {
                Some(b'\'') => {
                    self.at += 1;
                    return;
                }
                Some(_) => self.take_char(out),
                None => return self.unended(),
            }
        }
    }

    fn unended(&mut self) {
        self.shell.unclear("a quote has no end");
    }

    /// Text in double quotes, up to and with `end`, or all that is left.
    pub(super) fn double_quoted(&mut self, out: &mut String, end: Option<u8>) {
        let start = out.len();
        self.no_words = false;
        loop {
            self.take_until(out, |byte| {
                is_mark(byte) || matches!(byte, b'\\' | b'$' | b'`') || Some(byte) == end
            });
            match self.peek() {
                None => {
                    if end.is_some() {
                        self.unended();
                    }
                    return;
                }
                byte if byte == end => {
                    self.at += 1;
                    if out.len() == start && !self.no_words {
                        out.push(EMPTY);
                    }
                    return;
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'\n') => self.at += 1,
                        Some(b'$' | b'`' | b'"' | b'\\') => self.take_char(out),
                        _ => out.push('\\'),
                    }
                }
                Some(b'$') => self.dollar(out, true),
                Some(b'`') => self.backtick(out, true),
                Some(_) => self.take_char(out),
            }
        }
    }

    /// `$'…'`: C escapes.
    fn ansi_quoted(&mut self, out: &mut String) {
        if self.peek() == Some(b'\'') {
            out.push(EMPTY);
        }
        loop {
            self.take_until(out, |byte| is_mark(byte) || matches!(byte, b'\\' | b'\''));
            match self.peek() {
                None => return self.unended(),
                Some(b'\'') => {
                    self.at += 1;
                    return;
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.ansi_escape(out);
                }
                Some(_) => self.take_char(out),
            }
        }
    }

    fn ansi_escape(&mut self, out: &mut String) {
        let Some(byte) = self.peek() else { return };
        let (radix, most) = match byte {
            b'x' => (16, 2),
            b'u' => (16, 4),
            b'U' => (16, 8),
            b'0'..=b'7' => (8, 3),
            b'n' | b'r' | b't' => {
                self.at += 1;
                return out.push(if byte == b't' { '\t' } else { '\n' });
            }
            b'c' | b'a' | b'b' | b'e' | b'E' | b'f' | b'v' => {
                self.at += 1;
                if byte == b'c' {
                    self.take_char(&mut String::new());
                }
                return out.push(UNKNOWN);
            }
            _ => return self.take_char(out),
        };
        if radix == 16 {
            self.at += 1;
            if self.peek() == Some(b'{') {
                self.at += 1;
            }
        }
        let mut code = 0u32;
        for _ in 0..most {
            let Some(digit) = self
                .peek()
                .and_then(|byte| char::from(byte).to_digit(radix))
            else {
                break;
            };
            code = code * radix + digit;
            self.at += 1;
        }
        // Bytes beyond ASCII may join to a character; no name of a program or host needs that.
        out.push(
            char::from_u32(code)
                .filter(|c| {
                    !u8::try_from(*c).is_ok_and(is_mark)
                        && (byte == b'u' || byte == b'U' || c.is_ascii())
                })
                .unwrap_or(UNKNOWN),
        );
    }

    fn dollar(&mut self, out: &mut String, quoted: bool) {
        self.at += 1;
        match self.peek() {
            Some(b'\'') if !quoted => {
                self.at += 1;
                self.ansi_quoted(out);
            }
            Some(b'"') if !quoted => {}
            Some(b'(') if self.peek_at(1) == Some(b'(') && self.arithmetic() => out.push(UNKNOWN),
            Some(b'(') => {
                self.at += 1;
                self.substitution(out, quoted);
            }
            Some(b'[') => self.old_sum(out),
            Some(b'{') => {
                self.at += 1;
                self.parameter(out, quoted);
            }
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name = self.name();
                self.put_name(out, name, quoted);
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'$' | b'!' | b'-') => {
                let name = self.text.get(self.at..=self.at).unwrap_or_default();
                self.at += 1;
                self.put_name(out, name, quoted);
            }
            _ => out.push('$'),
        }
    }

    /// `$[…]`, a sum as it was written once.
    fn old_sum(&mut self, out: &mut String) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let near = rest.get(..rest.len().min(256)).unwrap_or_default();
        let Some(end) = near.iter().position(|byte| *byte == b']') else {
            return out.push('$');
        };
        let inside = self
            .text
            .get(self.at + 1..self.at + end)
            .unwrap_or_default();
        self.at += end + 1;
        self.expand_text(inside);
        self.sums(inside);
        out.push(UNKNOWN);
    }

    fn name(&mut self) -> &'t str {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let end = rest
            .iter()
            .position(|byte| !is_name(*byte))
            .unwrap_or(rest.len());
        let name = self.text.get(self.at..self.at + end).unwrap_or_default();
        self.at += end;
        name
    }

    /// `((…))`, whose commands stand only in substitutions; `false` where it is no sum.
    pub(super) fn arithmetic(&mut self) -> bool {
        if self.sums_are_over || self.nested >= MOST_NESTED / 4 {
            return false;
        }
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let mut open = 0usize;
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'(' => open += 1,
                b')' if open == 2 && rest.get(at + 1) != Some(&b')') => return false,
                b')' if open == 1 => {
                    let inside = self.text.get(self.at..self.at + at).unwrap_or_default();
                    self.at += at + 1;
                    self.expand_text(inside);
                    self.sums(inside);
                    return true;
                }
                b')' => open -= 1,
                _ => {}
            }
        }
        self.sums_are_over = true;
        self.shell.unclear("a bracket has no end");
        false
    }

    /// `$(`, `<(` and `>(`, after the bracket.
    fn substitution(&mut self, out: &mut String, quoted: bool) {
        if self.nested >= MOST_NESTED {
            self.shell.unclear("substitutions are nested too deeply");
            return out.push(UNKNOWN);
        }
        self.nested += 1;
        let output = self.list(Some(b')'));
        self.nested -= 1;
        self.put_output(out, output, quoted);
    }

    /// What a substitution gives.
    fn put_output(&mut self, out: &mut String, output: Output, quoted: bool) {
        if output.fetched {
            return out.push(FETCHED);
        }
        let values: Option<Vec<Value>> = output.text.and_then(|text| {
            let texts = brace::alternatives(&text)?;
            let trimmed = |text: String| Value::Text(text.trim_end_matches('\n').to_owned());
            Some(texts.into_iter().map(trimmed).collect())
        });
        self.put(out, values.as_deref(), quoted, false);
    }

    /// What a sum sets is some number.
    pub(super) fn sums(&mut self, inside: &str) {
        if !inside.contains('=') && !inside.contains("++") && !inside.contains("--") {
            return;
        }
        for name in inside
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
            .take(64)
        {
            self.shell.scope.forget(name);
        }
    }

    fn backtick(&mut self, out: &mut String, quoted: bool) {
        self.at += 1;
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let mut script = String::new();
        let mut from = 0;
        let mut at = 0;
        loop {
            match rest.get(at) {
                None => {
                    self.unended();
                    break;
                }
                Some(b'`') => break,
                Some(b'\\') if matches!(rest.get(at + 1), Some(b'`' | b'$' | b'\\')) => {
                    script.push_str(self.text.get(self.at + from..self.at + at).unwrap_or(""));
                    from = at + 1;
                    at += 2;
                }
                Some(_) => at += 1,
            }
        }
        script.push_str(self.text.get(self.at + from..self.at + at).unwrap_or(""));
        self.at = (self.at + at + 1).min(self.text.len());
        if quoted {
            script = script.replace("\\\"", "\"");
        }
        let mark = self.shell.scope.mark();
        let output = self.shell.read(&script);
        self.shell.scope.end(mark);
        self.put_output(out, output, quoted);
    }

    /// `${…}`, after the brace.
    fn parameter(&mut self, out: &mut String, quoted: bool) {
        if self.nested >= MOST_NESTED {
            self.shell.unclear("substitutions are nested too deeply");
            return out.push(UNKNOWN);
        }
        self.nested += 1;
        let mut prefix = None;
        if let Some(byte @ (b'#' | b'!')) = self.peek()
            && self
                .peek_at(1)
                .is_some_and(|next| is_name(next) || next == b'@')
        {
            prefix = Some(byte);
            self.at += 1;
        }
        let mut name = self.name();
        if name.is_empty() && self.peek().is_some_and(|byte| b"@*#?$!-".contains(&byte)) {
            name = self.text.get(self.at..=self.at).unwrap_or_default();
            self.at += 1;
        }
        let mut operand = String::new();
        self.operand(&mut operand, quoted);
        self.nested -= 1;
        let mut own = self.value(name);
        match prefix {
            Some(b'#') => return out.push(UNKNOWN),
            Some(_) => {
                own = own.and_then(|names| {
                    let values: Vec<Option<Vec<Value>>> =
                        names.iter().map(|it| self.value(it.text())).collect();
                    let known: Option<Vec<_>> = values.into_iter().collect();
                    Some(known?.into_iter().flatten().collect())
                });
                if operand.starts_with(['@', '*', '[']) {
                    return out.push(UNKNOWN);
                }
            }
            None => {}
        }
        self.parameter_is(out, name, own, &operand, quoted);
    }

    fn parameter_is(
        &mut self,
        out: &mut String,
        name: &str,
        mut own: Option<Vec<Value>>,
        operand: &str,
        quoted: bool,
    ) {
        let mut joined = name == "*";
        let mut operand = operand;
        let all = matches!(name, "@" | "*");
        let mut elements = all;
        if let Some((index, rest)) = operand.strip_prefix('[').and_then(|it| it.split_once(']')) {
            joined = index == "*";
            elements = matches!(index, "@" | "*");
            own = own.map(|values| indexed(values, index));
            operand = rest;
        }
        let rest = operand.strip_prefix(':').unwrap_or(operand);
        if let Some(other) = rest.strip_prefix(['-', '=', '+']) {
            let plus = rest.starts_with('+');
            let mut shown = String::new();
            shown.push(EITHER);
            if plus {
                if quoted {
                    shown.push(EMPTY);
                }
                shown.push(OR);
            } else if let Some(own) = &own {
                self.put(&mut shown, Some(own), quoted, joined);
                shown.push(OR);
            }
            shown.push_str(other);
            shown.push(END);
            if rest.starts_with('=') {
                let values = brace::alternatives(other).unwrap_or_default();
                let values = values.into_iter().map(|it| Value::Text(unmarked(it)));
                self.shell.scope.set_any(name, values);
            }
            return out.push_str(&shown);
        }
        if operand.starts_with('?') || rest.starts_with('?') {
            operand = "";
        }
        if operand == "@P" {
            // The value is a prompt, and prompts are expanded.
            for value in own.iter().flatten() {
                self.expand_text(value.text());
            }
        }
        if operand.is_empty() {
            let own = own.map(|values| {
                if elements {
                    values
                } else {
                    values
                        .into_iter()
                        .map(|it| Value::Text(it.text().to_owned()))
                        .collect()
                }
            });
            return self.put(out, own.as_deref(), quoted, joined);
        }
        if operand.contains(['*', '?', '[']) {
            // Every part of the value is tried.
            let square = |value: &Value| value.text().len().saturating_pow(2).saturating_mul(4);
            let work = own
                .iter()
                .flatten()
                .map(square)
                .fold(0usize, usize::saturating_add);
            if !self.shell.spend(work) {
                return out.push(UNKNOWN);
            }
        }
        let operands = brace::alternatives(operand).unwrap_or_default();
        let mut changed = Vec::new();
        for operand in &operands {
            let operand = unmarked(operand.clone());
            for value in own.iter().flatten().take(64) {
                match change(value, &operand, elements, all) {
                    Some(value) => changed.push(value),
                    None => changed.push(Value::unknown()),
                }
            }
        }
        changed.dedup();
        let known = own.is_some() && !operands.is_empty();
        self.put(out, known.then_some(changed.as_slice()), quoted, joined);
    }

    /// All up to the brace that closes `${`.
    fn operand(&mut self, out: &mut String, quoted: bool) {
        // In double quotes, a quote is text where a word follows, and a quote where a pattern does.
        let mut rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if let [b':', after @ ..] = rest {
            rest = after;
        }
        let text = quoted && matches!(rest.first(), Some(b'-' | b'=' | b'+' | b'?'));
        loop {
            self.take_until(out, |byte| {
                is_mark(byte)
                    || matches!(byte, b'\\' | b'$' | b'`' | b'}' | b'"' | b'\'')
                    || (!text && matches!(byte, b' ' | b'\t' | b'\n'))
            });
            match self.peek() {
                None => return self.unended(),
                Some(b'}') => {
                    self.at += 1;
                    return;
                }
                Some(b'"') => {
                    self.at += 1;
                    self.double_quoted(out, Some(b'"'));
                }
                Some(b'\'') if text => self.take_char(out),
                Some(b'\'') => self.single_quoted(out),
                Some(b'\\') => {
                    self.at += 1;
                    if self.peek() == Some(b'\n') {
                        self.at += 1;
                    } else {
                        if text && !matches!(self.peek(), Some(b'$' | b'`' | b'"' | b'\\' | b'}')) {
                            out.push('\\');
                        }
                        self.take_char(out);
                    }
                }
                Some(b'$') if self.peek_at(1) == Some(b'"') => self.at += 1,
                Some(b'$') => self.dollar(out, text),
                Some(b'`') => self.backtick(out, text),
                Some(b' ' | b'\t' | b'\n') => {
                    self.at += 1;
                    out.push(if quoted || self.whole { ' ' } else { FIELD });
                }
                Some(_) => self.take_char(out),
            }
        }
    }

    fn value(&mut self, name: &str) -> Option<Vec<Value>> {
        if !self.shell.spend(self.shell.scope.size(name)) {
            return None;
        }
        let scope = &self.shell.scope;
        let lists = &scope.arguments;
        if name == "@" || name == "*" || name.starts_with(|c: char| c.is_ascii_digit()) {
            let length = lists.iter().flatten().map(|word| word.len() + 8).sum();
            if lists.is_empty() || !self.shell.spend(length) {
                return None;
            }
            let lists = &self.shell.scope.arguments;
            let Ok(number) = name.parse::<usize>() else {
                let words = |list: &Vec<String>| Value::list(list.iter().skip(1).cloned());
                return Some(lists.iter().map(words).collect());
            };
            let word =
                |list: &Vec<String>| Value::Text(list.get(number).cloned().unwrap_or_default());
            return Some(lists.iter().map(word).collect());
        }
        scope.get(name)
    }

    fn put_name(&mut self, out: &mut String, name: &str, quoted: bool) {
        let mut value = self.value(name);
        let all = matches!(name, "@" | "*");
        if !all {
            for value in value.iter_mut().flatten() {
                if matches!(value, Value::List(_)) {
                    *value = Value::Text(value.text().to_owned());
                }
            }
        }
        self.put(out, value.as_deref(), quoted, name == "*");
    }

    /// One of these values; `joined` where all words of a list become one.
    fn put(&mut self, out: &mut String, values: Option<&[Value]>, quoted: bool, joined: bool) {
        let Some(values) = values.filter(|values| !values.is_empty()) else {
            return out.push(UNKNOWN);
        };
        let quoted_here = quoted || self.whole;
        let separators = self.separators();
        let mut shown: Vec<String> = Vec::new();
        for value in values {
            for separators in separators
                .iter()
                .take(if quoted_here && !joined { 1 } else { 8 })
            {
                let mut text = String::new();
                match value {
                    Value::Text(value) => {
                        push_text(&mut text, value, quoted_here, separators);
                        if quoted && value.is_empty() {
                            text.push(EMPTY);
                        }
                    }
                    Value::List(list) => {
                        self.no_words |= list.is_empty() && !joined;
                        if list.is_empty() && joined && quoted {
                            text.push(EMPTY);
                        }
                        let one = self.whole || (quoted && joined);
                        let between = if self.whole && !joined {
                            " "
                        } else {
                            separators
                        };
                        for (at, word) in list.values().enumerate() {
                            if at > 0 && one {
                                text.extend(between.chars().next());
                            } else if at > 0 {
                                text.push(FIELD);
                            }
                            push_text(&mut text, word, quoted_here, separators);
                            if quoted && word.is_empty() {
                                text.push(EMPTY);
                            }
                        }
                    }
                }
                if !shown.contains(&text) {
                    shown.push(text);
                }
            }
        }
        let length: usize = shown.iter().map(|text| text.len() + 1).sum();
        if !self.shell.spend(length) {
            return out.push(UNKNOWN);
        }
        if let [one] = shown.as_slice() {
            return out.push_str(one);
        }
        out.push(EITHER);
        for (at, text) in shown.iter().enumerate() {
            if at > 0 {
                out.push(OR);
            }
            out.push_str(text);
        }
        out.push(END);
    }

    /// What `IFS` may be.
    fn separators(&self) -> Vec<String> {
        let values = self.shell.scope.get("IFS").unwrap_or_default();
        values
            .iter()
            .map(|value| match value.text() {
                // Not known, or not set.
                text if !is_known(text) => " \t\n".to_owned(),
                text => text.to_owned(),
            })
            .collect()
    }
}

/// A value, in fields where no quotes hold it together.
fn push_text(out: &mut String, value: &str, quoted: bool, separators: &str) {
    if quoted || !value.contains(|c| separators.contains(c)) {
        out.push_str(value);
        return;
    }
    let mut blank = false;
    let mut text = false;
    for letter in value.chars() {
        if !separators.contains(letter) {
            if blank {
                out.push(FIELD);
            }
            (blank, text) = (false, true);
            out.push(letter);
        } else if letter.is_ascii_whitespace() {
            blank = true;
        } else {
            if !text {
                out.push(EMPTY);
            }
            out.push(FIELD);
            (blank, text) = (false, false);
        }
    }
    if blank {
        out.push(FIELD);
    }
}

/// What `name[index]` may be.
fn indexed(values: Vec<Value>, index: &str) -> Vec<Value> {
    if matches!(index, "@" | "*") {
        return values
            .into_iter()
            .map(|value| match value {
                Value::Text(text) => Value::list([text]),
                list @ Value::List(_) => list,
            })
            .collect();
    }
    let mut found = Vec::new();
    for value in values {
        match (value, index.trim().parse::<isize>()) {
            (Value::List(list), Ok(index)) => {
                let place = match usize::try_from(index) {
                    Ok(place) => Some(place),
                    Err(_) => list
                        .last_key_value()
                        .and_then(|(last, _)| (last + 1).checked_add_signed(index)),
                };
                let word = place.and_then(|at| list.get(&at).cloned());
                found.push(Value::Text(word.unwrap_or_default()));
            }
            (Value::Text(text), Ok(0 | -1)) => found.push(Value::Text(text)),
            (Value::Text(_), Ok(_)) => found.push(Value::Text(String::new())),
            (Value::List(list), Err(_)) => {
                found.extend(list.into_values().take(64).map(Value::Text));
                found.push(Value::unknown());
            }
            (text @ Value::Text(_), Err(_)) => found.push(text),
        }
    }
    found
}

/// What an operation makes of a value; `None` where only a run tells.
fn change(value: &Value, operand: &str, elements: bool, arguments: bool) -> Option<Value> {
    match value {
        Value::List(list) if elements => {
            if let Some(range) = operand.strip_prefix(':') {
                let words: Vec<&String> = list.values().collect();
                let (from, length) = slice(range)?;
                let mut from = usize::try_from(from).ok()?;
                if arguments {
                    from = from.checked_sub(1)?;
                }
                let length = match length {
                    Some(length) => usize::try_from(length).ok()?,
                    None => usize::MAX,
                };
                let words = words.into_iter().skip(from).take(length).cloned();
                return Some(Value::list(words));
            }
            let changed: Option<Vec<String>> = list
                .values()
                .map(|word| change_text(word, operand))
                .collect();
            Some(Value::list(changed?))
        }
        Value::Text(_) | Value::List(_) => change_text(value.text(), operand).map(Value::Text),
    }
}

/// `from:length` or `from`, as numbers.
fn slice(range: &str) -> Option<(i64, Option<i64>)> {
    let number = |text: &str| {
        text.trim()
            .trim_matches(['(', ')'])
            .trim()
            .parse::<i64>()
            .ok()
    };
    match range.split_once(':') {
        Some((from, length)) => Some((number(from)?, Some(number(length)?))),
        None => Some((number(range)?, None)),
    }
}

fn change_text(value: &str, operand: &str) -> Option<String> {
    if !is_known(value) || !is_known(operand) {
        return None;
    }
    if let Some(range) = operand.strip_prefix(':') {
        let (from, length) = slice(range)?;
        let letters: Vec<char> = value.chars().collect();
        let count = i64::try_from(letters.len()).ok()?;
        let from = if from < 0 { count + from } else { from };
        let end = match length {
            None => count,
            Some(length) if length < 0 => count + length,
            Some(length) => from.saturating_add(length).min(count),
        };
        if from < 0 || from > end {
            return Some(String::new());
        }
        let (from, end) = (usize::try_from(from).ok()?, usize::try_from(end).ok()?);
        return Some(letters.get(from..end)?.iter().collect());
    }
    let first = |change: fn(char) -> String| {
        let mut letters = value.chars();
        let first = letters.next().map(change).unwrap_or_default();
        format!("{first}{}", letters.as_str())
    };
    let upper = |c: char| c.to_uppercase().to_string();
    let lower = |c: char| c.to_lowercase().to_string();
    match operand {
        "^^" | "@U" => return Some(value.to_uppercase()),
        ",," | "@L" => return Some(value.to_lowercase()),
        "^" | "@u" => return Some(first(upper)),
        "," => return Some(first(lower)),
        _ => {}
    }
    if let Some(pattern) = operand.strip_prefix('/') {
        let (mode, pattern) = match pattern.chars().next() {
            Some(mode @ ('/' | '#' | '%')) => (mode, pattern.get(1..)?),
            _ => (' ', pattern),
        };
        let (from, to) = pattern.split_once('/').unwrap_or((pattern, ""));
        return glob::replace(value, from, to, mode);
    }
    if let Some(pattern) = operand.strip_prefix('#') {
        return match pattern.strip_prefix('#') {
            Some(pattern) => glob::without_start(value, pattern, true),
            None => glob::without_start(value, pattern, false),
        };
    }
    if let Some(pattern) = operand.strip_prefix('%') {
        return match pattern.strip_prefix('%') {
            Some(pattern) => glob::without_end(value, pattern, true),
            None => glob::without_end(value, pattern, false),
        };
    }
    None
}
