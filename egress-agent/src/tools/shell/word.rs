//! Words: quotes, escapes, expansions, as far as the text alone settles them.
//!
//! A word is read into a string with marks of its own for what is not text. Bash takes no control
//! characters that would be mistaken for them: foreign ones become [`UNKNOWN`].

use super::read::Reader;
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

fn is_special(byte: u8) -> bool {
    is_meta(byte) || matches!(byte, 0..=5 | b'\\' | b'\'' | b'"' | b'`' | b'$' | b'{')
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
                    self.substitution(&mut out, false);
                }
                byte if is_meta(byte) => break,
                b'\\' => {
                    self.at += 1;
                    if self.peek() == Some(b'\n') {
                        self.at += 1;
                    } else {
                        self.take_char(&mut out);
                    }
                }
                b'\'' => self.single_quoted(&mut out),
                b'"' => {
                    self.at += 1;
                    self.double_quoted(&mut out, Some(b'"'));
                }
                b'$' => self.dollar(&mut out, false),
                b'`' => self.backtick(&mut out),
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
        out.push(if next <= FETCHED { UNKNOWN } else { next });
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
        loop {
            self.take_until(out, |byte| byte == b'\'' || byte <= 5);
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
        loop {
            self.take_until(out, |byte| {
                matches!(byte, 0..=5 | b'\\' | b'$' | b'`') || Some(byte) == end
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
                Some(b'`') => self.backtick(out),
                Some(_) => self.take_char(out),
            }
        }
    }

    /// `$'…'`: C escapes.
    fn ansi_quoted(&mut self, out: &mut String) {
        loop {
            self.take_until(out, |byte| matches!(byte, 0..=5 | b'\\' | b'\''));
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
            b'c' => {
                self.at += 1;
                self.take_char(&mut String::new());
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
                .filter(|c| *c > FETCHED && (byte == b'u' || byte == b'U' || c.is_ascii()))
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
            Some(b'[') => out.push('$'),
            Some(b'{') => {
                self.at += 1;
                self.parameter(out, quoted);
            }
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name = self.name();
                self.put(out, name, quoted);
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'$' | b'!' | b'-') => {
                let name = self.text.get(self.at..=self.at).unwrap_or_default();
                self.at += 1;
                self.put(out, name, quoted);
            }
            _ => out.push('$'),
        }
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
                    return true;
                }
                b')' => open -= 1,
                _ => {}
            }
        }
        self.sums_are_over = true;
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
        match output.text {
            _ if output.fetched => out.push(FETCHED),
            Some(text) => push_value(out, text.trim_end_matches('\n'), quoted),
            None => out.push(UNKNOWN),
        }
    }

    fn backtick(&mut self, out: &mut String) {
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
        let output = self.shell.read(&script);
        match output.text {
            _ if output.fetched => out.push(FETCHED),
            Some(text) => push_value(out, text.trim_end_matches('\n'), false),
            None => out.push(UNKNOWN),
        }
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
        self.operand(&mut operand);
        self.nested -= 1;
        let own = match prefix {
            Some(b'#') => Some(Value::Any(vec![UNKNOWN.to_string()])),
            Some(_) => self.value(name).and_then(|value| match value {
                Value::Any(names) => names.first().and_then(|name| self.value(name)),
                Value::List(_) => None,
            }),
            None => self.value(name),
        };
        let value = operate(own, &operand);
        push(out, value, quoted);
    }

    /// All up to the brace that closes `${`.
    fn operand(&mut self, out: &mut String) {
        loop {
            self.take_until(out, |byte| {
                matches!(byte, 0..=5 | b'\\' | b'$' | b'`' | b'}' | b'"' | b'\'')
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
                Some(b'\'') => self.single_quoted(out),
                Some(b'\\') => {
                    self.at += 1;
                    self.take_char(out);
                }
                Some(b'$') => self.dollar(out, true),
                Some(b'`') => self.backtick(out),
                Some(_) => self.take_char(out),
            }
        }
    }

    fn value(&self, name: &str) -> Option<Value> {
        let scope = &self.shell.scope;
        if let Ok(number) = name.parse::<usize>() {
            let argument = scope.arguments.get(number)?;
            return Some(Value::Any(vec![argument.clone()]));
        }
        if matches!(name, "@" | "*") {
            return scope
                .arguments
                .get(1..)
                .map(|arguments| Value::List(arguments.to_vec()));
        }
        scope.get(name).cloned()
    }

    fn put(&mut self, out: &mut String, name: &str, quoted: bool) {
        push(out, self.value(name), quoted);
    }
}

fn push(out: &mut String, value: Option<Value>, quoted: bool) {
    match value {
        None => out.push(UNKNOWN),
        Some(Value::List(values)) => {
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(FIELD);
                }
                out.push_str(value);
            }
        }
        Some(Value::Any(values)) => match values.as_slice() {
            [one] => push_value(out, one, quoted),
            several => {
                out.push(OPEN);
                for (at, value) in several.iter().enumerate() {
                    if at > 0 {
                        out.push(COMMA);
                    }
                    push_value(out, value, quoted);
                }
                out.push(CLOSE);
            }
        },
    }
}

fn push_value(out: &mut String, value: &str, quoted: bool) {
    if quoted || !value.contains([' ', '\t', '\n']) {
        out.push_str(value);
    } else {
        out.extend(value.chars().map(|c| {
            if matches!(c, ' ' | '\t' | '\n') {
                FIELD
            } else {
                c
            }
        }));
    }
}

/// What `${name…}` makes of a value. Where it may be one or the other, it is either.
fn operate(own: Option<Value>, operand: &str) -> Option<Value> {
    if operand.is_empty() {
        return own;
    }
    if operand.starts_with('[') {
        return match own {
            Some(Value::List(values)) => {
                match operand
                    .trim_matches(['[', ']'])
                    .parse::<usize>()
                    .ok()
                    .and_then(|at| values.get(at).cloned())
                {
                    Some(one) => Some(Value::Any(vec![one])),
                    None => Some(Value::List(values)),
                }
            }
            Some(Value::Any(_)) | None => own,
        };
    }
    let rest = operand.strip_prefix(':').unwrap_or(operand);
    if let Some(other) = rest.strip_prefix(['-', '=', '+']) {
        let mut values = match own {
            Some(Value::Any(values) | Value::List(values)) => values,
            None => Vec::new(),
        };
        values.push(other.to_owned());
        return Some(Value::Any(values));
    }
    let values = match own? {
        Value::Any(values) | Value::List(values) => values,
    };
    let changed: Option<Vec<String>> = values.iter().map(|value| change(value, operand)).collect();
    changed.map(Value::Any)
}

fn change(value: &str, operand: &str) -> Option<String> {
    if let Some(range) = operand.strip_prefix(':') {
        let (from, length) = match range.split_once(':') {
            Some((from, length)) => (from, Some(length)),
            None => (range, None),
        };
        let from: usize = from.trim().parse().ok()?;
        let length: usize = match length {
            Some(length) => length.trim().parse().ok()?,
            None => usize::MAX,
        };
        return Some(value.chars().skip(from).take(length).collect());
    }
    let plain = |pattern: &str| !pattern.contains(['*', '?', '[', UNKNOWN]);
    match operand {
        "^^" => return Some(value.to_uppercase()),
        ",," => return Some(value.to_lowercase()),
        _ => {}
    }
    if let Some(pattern) = operand
        .strip_prefix("//")
        .or_else(|| operand.strip_prefix('/'))
    {
        let (from, to) = pattern.split_once('/').unwrap_or((pattern, ""));
        return (plain(from) && !from.is_empty()).then(|| {
            if operand.starts_with("//") {
                value.replace(from, to)
            } else {
                value.replacen(from, to, 1)
            }
        });
    }
    if let Some(pattern) = operand.strip_prefix('#') {
        let pattern = pattern.trim_start_matches('#');
        return plain(pattern).then(|| value.strip_prefix(pattern).unwrap_or(value).to_owned());
    }
    if let Some(pattern) = operand.strip_prefix('%') {
        let pattern = pattern.trim_start_matches('%');
        return plain(pattern).then(|| value.strip_suffix(pattern).unwrap_or(value).to_owned());
    }
    None
}
