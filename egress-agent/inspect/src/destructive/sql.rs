//! SQL that takes away what it cannot give back, told from strings and comments that mention it.

/// What a statement destroys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// All rows change: UPDATE without a real condition.
    Values,
    /// All rows: DELETE without a real condition, TRUNCATE.
    Rows,
    /// DROP, and the same in stores that are not SQL.
    Objects,
}

/// The worst statement of a script.
pub(super) fn loss(script: &str) -> Option<Loss> {
    tokens(script)
        .split(|token| *token == Token::End)
        .filter_map(statement)
        .max()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// In lower case.
    Word(String),
    /// A string, a number, or a name in quotes.
    Value(String),
    Sign(char),
    End,
}

fn tokens(script: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut letters = script.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ';' => found.push(Token::End),
            '-' if letters.peek() == Some(&'-') => {
                letters.by_ref().find(|it| *it == '\n');
            }
            '#' => {
                letters.by_ref().find(|it| *it == '\n');
            }
            '/' if letters.peek() == Some(&'*') => {
                letters.next();
                // MySQL executes what stands in /*! */.
                if letters.peek() == Some(&'!') {
                    letters.next();
                    while letters.peek().is_some_and(char::is_ascii_digit) {
                        letters.next();
                    }
                    continue;
                }
                let mut before = ' ';
                for next in letters.by_ref() {
                    if before == '*' && next == '/' {
                        break;
                    }
                    before = next;
                }
            }
            '\'' | '"' | '`' => {
                let mut text = String::new();
                while let Some(next) = letters.next() {
                    if next == letter {
                        if letters.peek() != Some(&letter) {
                            break;
                        }
                        letters.next();
                    }
                    text.push(next);
                }
                found.push(Token::Value(text));
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                let mut word = letter.to_lowercase().to_string();
                while let Some(next) = letters.peek()
                    && (next.is_alphanumeric() || matches!(next, '_' | '$' | '.'))
                {
                    word.extend(next.to_lowercase());
                    letters.next();
                }
                found.push(Token::Word(word));
            }
            letter if letter.is_ascii_digit() => {
                let mut number = letter.to_string();
                while let Some(next) = letters.peek()
                    && (next.is_ascii_alphanumeric() || *next == '.')
                {
                    number.push(*next);
                    letters.next();
                }
                found.push(Token::Value(number));
            }
            letter if letter.is_whitespace() || letter == '*' && found.is_empty() => {}
            letter => found.push(Token::Sign(letter)),
        }
    }
    found
}

fn statement(all: &[Token]) -> Option<Loss> {
    // A query before it: WITH x AS (…) DELETE …; EXPLAIN ANALYZE DELETE ….
    all.iter()
        .enumerate()
        .filter_map(|(at, token)| {
            let Token::Word(verb) = token else {
                return None;
            };
            let rest = all.get(at + 1..).unwrap_or_default();
            let next = match rest.first() {
                Some(Token::Word(word)) => word.as_str(),
                Some(Token::Value(_)) => "value",
                Some(Token::Sign(_) | Token::End) | None => "",
            };
            match verb.as_str() {
                "drop"
                    if matches!(
                        next,
                        "table"
                            | "database"
                            | "schema"
                            | "index"
                            | "view"
                            | "materialized"
                            | "user"
                            | "role"
                            | "column"
                            | "tablespace"
                            | "function"
                            | "procedure"
                            | "trigger"
                            | "sequence"
                            | "type"
                            | "owned"
                            | "keyspace"
                            | "collection"
                            | "extension"
                            | "policy"
                            | "constraint"
                            | "foreign"
                            | "temporary"
                    ) =>
                {
                    Some(Loss::Objects)
                }
                // TRUNCATE(x, 2) is a function of MySQL.
                "truncate" if !next.is_empty() => Some(Loss::Rows),
                "delete" if next == "from" && !has_condition(rest) => Some(Loss::Rows),
                "update"
                    if !next.is_empty()
                        && rest.iter().any(|it| *it == Token::Word("set".to_owned()))
                        && !has_condition(rest) =>
                {
                    Some(Loss::Values)
                }
                _ => None,
            }
        })
        .max()
}

/// Whether WHERE says anything: `1=1`, `true` and `x = x` do not.
fn has_condition(rest: &[Token]) -> bool {
    let is_word = |token: &Token, word: &str| matches!(token, Token::Word(it) if it == word);
    let Some(at) = rest.iter().position(|token| is_word(token, "where")) else {
        return false;
    };
    let condition: Vec<&Token> = rest
        .get(at + 1..)
        .unwrap_or_default()
        .iter()
        .take_while(|it| {
            !is_word(it, "returning") && !is_word(it, "order") && !is_word(it, "limit")
        })
        .filter(|it| !matches!(it, Token::Sign('(' | ')')))
        .collect();
    // `a = 1 OR 1 = 1` takes all rows as well.
    !condition
        .split(|token| is_word(token, "or"))
        .any(is_always_true)
}

fn is_always_true(part: &[&Token]) -> bool {
    match part {
        [] => true,
        [Token::Word(word)] => word == "true",
        [Token::Value(value)] => !matches!(value.as_str(), "0" | ""),
        [left, Token::Sign('='), right] | [left, Token::Sign('='), Token::Sign('='), right] => {
            left == right
        }
        [
            Token::Value(left),
            Token::Sign('<'),
            Token::Sign('>'),
            Token::Value(right),
        ]
        | [
            Token::Value(left),
            Token::Sign('!'),
            Token::Sign('='),
            Token::Value(right),
        ] => left != right,
        [Token::Word(word), Token::Word(like), Token::Value(value)] => {
            !word.is_empty() && like == "like" && value.chars().all(|it| it == '%')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(script: &str, expected: Option<Loss>) {
        assert_eq!(loss(script), expected, "{script}");
    }

    #[test]
    fn what_destroys_is_told_from_what_does_not() {
        for script in [
            "DROP TABLE users",
            "drop database if exists x;",
            "select 1; DROP  SCHEMA a CASCADE",
            "ALTER TABLE t DROP COLUMN c",
            "/*! DROP TABLE t */",
        ] {
            check(script, Some(Loss::Objects));
        }
        for script in [
            "DELETE FROM t",
            "delete from t where 1=1",
            "DELETE FROM t WHERE (true)",
            "DELETE FROM t WHERE id = id",
            "DELETE FROM t WHERE 'a'='a'",
            "DELETE FROM t WHERE id = 1 OR 1 = 1",
            "DELETE FROM t WHERE name LIKE '%'",
            "TRUNCATE t",
            "TRUNCATE TABLE t",
            "DELETE /* WHERE id = 1 */ FROM t -- WHERE id = 1",
            "WITH a AS (SELECT 1) DELETE FROM t",
        ] {
            check(script, Some(Loss::Rows));
        }
        check("UPDATE t SET a = 1", Some(Loss::Values));
        for script in [
            "DELETE FROM t WHERE id=1",
            "DELETE FROM t WHERE id = 1 AND a = 2",
            "UPDATE t SET a = 1 WHERE id = 2",
            "SELECT 'DROP TABLE t'",
            "SELECT TRUNCATE(1.5, 1)",
            "-- DROP TABLE t",
            "CREATE TABLE drops (id int)",
            "INSERT INTO log VALUES ('delete from t')",
            "",
        ] {
            check(script, None);
        }
    }
}
