//! Options and words of a command line, told apart by which options take a value.

use std::borrow::Cow;

pub(super) type Args<'a, 't> = &'a [Cow<'t, str>];

/// The options that take a value: letters, and long names without their dashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) short: &'static str,
    pub(super) long: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// The name without dashes, and the value if it has one.
    Option(&'a str, Option<&'a str>),
    Word(&'a str),
}

impl Spec {
    /// All options and words, in order.
    pub(super) fn items<'a>(&self, args: Args<'a, '_>) -> Vec<Item<'a>> {
        let mut found = Vec::new();
        let mut rest = args;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if &**first == "--" {
                found.extend(rest.iter().map(|word| Item::Word(word)));
                break;
            }
            rest = self.take(first, rest, &mut found);
        }
        found
    }

    /// The options before the first word, and all from that word on.
    pub(super) fn leading<'a, 't>(&self, args: Args<'a, 't>) -> (Vec<Item<'a>>, Args<'a, 't>) {
        let mut found = Vec::new();
        let mut rest = args;
        while let Some((first, after)) = rest.split_first() {
            if &**first == "--" {
                return (found, after);
            }
            if !first.starts_with('-') || first.len() == 1 {
                break;
            }
            rest = self.take(first, after, &mut found);
        }
        (found, rest)
    }

    fn take<'a, 't>(
        &self,
        first: &'a str,
        rest: Args<'a, 't>,
        found: &mut Vec<Item<'a>>,
    ) -> Args<'a, 't> {
        if let Some(long) = first.strip_prefix("--") {
            if let Some((name, value)) = long.split_once('=') {
                found.push(Item::Option(name, Some(value)));
            } else if self.long.contains(&long) {
                return valued(long, rest, found);
            } else {
                found.push(Item::Option(long, None));
            }
            return rest;
        }
        let Some(letters) = first.strip_prefix('-').filter(|it| !it.is_empty()) else {
            found.push(Item::Word(first));
            return rest;
        };
        for (at, letter) in letters.char_indices() {
            let end = at + letter.len_utf8();
            let name = letters.get(at..end).unwrap_or_default();
            if !self.short.contains(letter) {
                found.push(Item::Option(name, None));
                continue;
            }
            let attached = letters.get(end..).unwrap_or_default();
            if attached.is_empty() {
                return valued(name, rest, found);
            }
            found.push(Item::Option(name, Some(attached)));
            break;
        }
        rest
    }
}

fn valued<'a, 't>(name: &'a str, rest: Args<'a, 't>, found: &mut Vec<Item<'a>>) -> Args<'a, 't> {
    if let Some((value, after)) = rest.split_first() {
        found.push(Item::Option(name, Some(value)));
        after
    } else {
        found.push(Item::Option(name, None));
        rest
    }
}

/// The words alone.
pub(super) fn words<'a>(items: &[Item<'a>]) -> Vec<&'a str> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Word(word) => Some(*word),
            Item::Option(..) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Spec = Spec {
        short: "oX",
        long: &["output"],
    };

    fn items(line: &str) -> Vec<Cow<'_, str>> {
        line.split(' ').map(Cow::Borrowed).collect()
    }

    #[test]
    fn values_are_attached_or_follow() {
        let args = items("-sSo file -XPOST --output=a --output b --flag url -- -x");
        assert_eq!(
            SPEC.items(&args),
            [
                Item::Option("s", None),
                Item::Option("S", None),
                Item::Option("o", Some("file")),
                Item::Option("X", Some("POST")),
                Item::Option("output", Some("a")),
                Item::Option("output", Some("b")),
                Item::Option("flag", None),
                Item::Word("url"),
                Item::Word("-x"),
            ]
        );
    }

    #[test]
    fn leading_options_end_at_the_first_word() {
        let args = items("-o x run -o y");
        let (options, rest) = SPEC.leading(&args);
        assert_eq!(options, [Item::Option("o", Some("x"))]);
        assert_eq!(rest.len(), 3);
    }
}
