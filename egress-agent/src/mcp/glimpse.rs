//! What can be told of a message that is not read: whose answer it would be.
//!
//! A message that is too long or not JSON is not forwarded, but whoever waits for its answer must
//! not wait in vain. This takes the bytes piece by piece, keeps a few of them, and finds the `id`
//! of the outermost object wherever it stands.

use super::message::{Id, LONGEST_ID};

/// Looks at the bytes of one message.
#[derive(Debug, Default)]
pub struct Glimpse {
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// Whether the outermost value is an object.
    is_object: Option<bool>,
    /// A member of the outermost object, while its value comes.
    member: Option<Member>,
    key: Vec<u8>,
    value: Vec<u8>,
    ids: Vec<Vec<u8>>,
    has_method: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Id,
    Other,
}

/// What the message would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glimpsed {
    Request(Id),
    Answer(Id),
    /// A notification, or nobody can tell.
    Unknown,
}

/// Bytes of a key that are kept: `method` in quotes, and one more.
const LONGEST_KEY: usize = 9;

impl Glimpse {
    /// What `bytes` would have been.
    pub fn of(bytes: &[u8]) -> Glimpsed {
        let mut glimpse = Self::default();
        glimpse.take(bytes);
        glimpse.end()
    }

    /// The next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    pub fn end(self) -> Glimpsed {
        let [id] = self.ids.as_slice() else {
            return Glimpsed::Unknown;
        };
        let id = serde_json::from_slice(id).ok().as_ref().and_then(Id::read);
        match id {
            Some(id) if self.has_method => Glimpsed::Request(id),
            Some(id) => Glimpsed::Answer(id),
            None => Glimpsed::Unknown,
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.in_text {
            self.keep(byte);
            match (self.escaped, byte) {
                (true, _) => self.escaped = false,
                (false, b'\\') => self.escaped = true,
                (false, b'"') => self.in_text = false,
                (false, _) => {}
            }
            return;
        }
        if byte.is_ascii_whitespace() {
            return;
        }
        let is_object = *self.is_object.get_or_insert(byte == b'{');
        if !is_object {
            return;
        }
        match byte {
            b'"' => {
                self.in_text = true;
                if self.depth == 1 && self.member.is_none() {
                    self.key.clear();
                }
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth > 1 {
                    self.keep(byte);
                }
            }
            b'}' | b']' if self.depth <= 1 => self.member_ends(),
            b'}' | b']' => {
                self.depth -= 1;
                self.keep(byte);
            }
            b':' if self.depth == 1 => {
                self.has_method |= self.key == b"\"method\"";
                let is_id = self.key == b"\"id\"";
                self.member = Some(if is_id { Member::Id } else { Member::Other });
                self.value.clear();
            }
            b',' if self.depth == 1 => self.member_ends(),
            _ => self.keep(byte),
        }
    }

    fn member_ends(&mut self) {
        if self.member.take() == Some(Member::Id) && self.ids.len() < 2 {
            self.ids.push(std::mem::take(&mut self.value));
        }
    }

    fn keep(&mut self, byte: u8) {
        match self.member {
            Some(Member::Id) if self.value.len() < LONGEST_ID + 3 => self.value.push(byte),
            None if self.depth == 1 && self.key.len() < LONGEST_KEY => self.key.push(byte),
            Some(Member::Id | Member::Other) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Glimpsed) {
        assert_eq!(Glimpse::of(text.as_bytes()), *expected, "{text}");
        let mut slow = Glimpse::default();
        for byte in text.as_bytes() {
            slow.take(&[*byte]);
        }
        assert_eq!(slow.end(), *expected, "{text}, byte by byte");
    }

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        let seven = || Id::Number(7);
        check(
            r#"{"jsonrpc":"2.0","id":7,"method":"x","params":{"id":8}}"#,
            &Glimpsed::Request(seven()),
        );
        check(
            r#" { "params" : {"a":[{"id":8}],"method":"\"}"}, "method":"x", "id" : 7 } "#,
            &Glimpsed::Request(seven()),
        );
        check(
            r#"{"result":{"method":"m"},"id":"a\"b"}"#,
            &Glimpsed::Answer(Id::Text("a\"b".to_owned())),
        );
        check(
            &format!(r#"{{"id":7,"result":{}"#, "[".repeat(100_000)),
            &Glimpsed::Answer(seven()),
        );
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        for text in [
            "",
            "7",
            "[{\"id\":7}]",
            r#"{"id":7,"id":8}"#,
            r#"{"id":null}"#,
            r#"{"id":7.5}"#,
            r#"{"id":{"a":1}}"#,
            r#"{"id":7"#,
            r#"{"method":"x"}"#,
        ] {
            check(text, &Glimpsed::Unknown);
        }
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(10_000));
        check(&long, &Glimpsed::Unknown);
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert_eq!(
            Glimpse::of(b"{\"id\":7,\"method\":\"\xff\xfe\"}"),
            Glimpsed::Request(Id::Number(7))
        );
        assert_eq!(Glimpse::of(&[0xff; 1000]), Glimpsed::Unknown);
        assert_eq!(Glimpse::of(&vec![b'}'; 1000]), Glimpsed::Unknown);
    }
}
