//! Words and amounts as they fit on a screen, whoever wrote them. Pure.

use std::time::Duration;

use jiff::SignedDuration;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::{audit::record::Time, cli::table::plain};

/// `text` without anything that a terminal obeys or that takes no room; of a long one its beginning
/// and its end.
pub(super) fn bounded(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return visible(text);
    }
    let half = most / 2;
    let first: String = text.chars().take(half).collect();
    let last: String = text.chars().skip(count - half).collect();
    format!("{}~{}", visible(&first), visible(&last))
}

fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in plain(text).chars() {
        if c.width().is_none_or(|width| width == 0) {
            visible.extend(c.escape_unicode());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// How long ago, in one unit. A clock that was set back makes it nothing.
pub(super) fn age(then: Time, now: Time) -> String {
    let ago = now.timestamp().duration_since(then.timestamp());
    short(Duration::try_from(ago.max(SignedDuration::ZERO)).unwrap_or_default())
}

/// In one unit: `45s`, `3m`, `2h`, `4d`.
pub(super) fn short(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Large ones in thousands and millions.
pub(super) fn number(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..10_000_000 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
}

/// In units of 1,024, with one digit after the point where there is room.
pub(super) fn bytes(count: u64) -> String {
    if count < 1_024 {
        return count.to_string();
    }
    let (mut tenths, mut unit) = (u128::from(count) * 10 / 1_024, 'K');
    for next in ['M', 'G', 'T', 'P', 'E'] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1_024;
        unit = next;
    }
    if tenths < 100 {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", tenths / 10)
    }
}

/// `text` in so many cells; `~` stands for what does not fit.
pub(super) fn cut(text: &str, width: usize, keeps_tail: bool) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let Some(room) = width.checked_sub(1) else {
        return String::new();
    };
    let mut left = room;
    let fits = |c: &char| {
        let wide = c.width().unwrap_or(0);
        left.checked_sub(wide).map(|rest| left = rest).is_some()
    };
    if keeps_tail {
        let kept: Vec<char> = text.chars().rev().take_while(fits).collect();
        format!("~{}", kept.into_iter().rev().collect::<String>())
    } else {
        let kept: String = text.chars().take_while(fits).collect();
        format!("{kept}~")
    }
}

/// A line in parts of at most so many cells.
pub(super) fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0;
    for c in line.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width.max(2) {
            parts.push(String::new());
            used = 0;
        }
        used += wide;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let got = [0, 1_023, 1_024, 1_536, 10_240, 3 << 20, u64::MAX].map(bytes);
        assert_eq!(got, ["0", "1023", "1.0K", "1.5K", "10K", "3.0M", "15E"]);
        assert_eq!(
            [9_999, 10_000, 12_345_678].map(number),
            ["9999", "10k", "12M"]
        );
        assert_eq!(
            [59, 60, 7_200, 90_000].map(|s| short(Duration::from_secs(s))),
            ["59s", "1m", "2h", "1d"]
        );
    }

    #[test]
    fn foreign_text_is_shown_and_not_obeyed() {
        assert_eq!(
            bounded("a\u{1b}[2J\u{200b}b\u{301}\u{feff}\u{202e}", 99),
            r"a\u{1b}[2J\u{200b}b\u{301}\u{feff}\u{202e}"
        );
        assert_eq!(bounded("日本", 9), "日本");
        let long = format!("github.com.{}.evil.test", "x".repeat(1_000));
        let short = bounded(&long, 40);
        assert_eq!(short, "github.com.xxxxxxxxx~xxxxxxxxxx.evil.test");
    }

    #[test]
    fn of_a_name_the_end_is_kept_and_of_a_text_the_beginning() {
        assert_eq!(cut("github.com.evil.test", 10, true), "~evil.test");
        assert_eq!(cut("name-denied", 6, false), "name-~");
        assert_eq!(cut("日本語", 4, true), "~語");
        assert_eq!(cut("日本語", 6, true), "日本語");
        assert_eq!(cut("x", 0, true), "");
    }
}
