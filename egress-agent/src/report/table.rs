//! Rows that are counted under keys which others choose: bounded, and honest about the rest.

use std::collections::BTreeMap;

use serde::Serialize;

/// The first rows of something, and how much is not among them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Top<T> {
    pub rows: Vec<T>,
    /// Rows that are not shown.
    pub more: u64,
    /// Events that belong to none of the rows, because there were too many to keep.
    pub uncounted: u64,
}

/// Rows by key.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    rows: BTreeMap<String, T>,
    /// Events for which there was no row any more.
    uncounted: u64,
}

/// Keys of one table. The first ones stay: a flood of names pushes out none that were there.
const MOST_ROWS: usize = 1_024;
/// Bytes of a key.
const LONGEST: usize = 512;

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            uncounted: 0,
        }
    }
}

impl<T> Rows<T> {
    /// The row of `key`, made when it is new and `room` is left, in this table and in all.
    pub(super) fn row(
        &mut self,
        key: &str,
        count: u64,
        room: &mut usize,
        new: impl FnOnce() -> T,
    ) -> Option<&mut T> {
        let key = clip(key);
        if !self.rows.contains_key(key) {
            if self.rows.len() >= MOST_ROWS || *room == 0 {
                self.uncounted = self.uncounted.saturating_add(count);
                return None;
            }
            *room -= 1;
            self.rows.insert(key.to_owned(), new());
        }
        self.rows.get_mut(key)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.uncounted = 0;
    }

    /// The greatest by `weight`, by key where they are equal.
    pub(super) fn top(self, most: usize, weight: impl Fn(&T) -> u64) -> Top<T> {
        let mut rows: Vec<T> = self.rows.into_values().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(weight(row)));
        Top::first(rows, most, self.uncounted)
    }
}

impl<T> Top<T> {
    pub(super) fn first(mut rows: Vec<T>, most: usize, uncounted: u64) -> Self {
        let more = rows.len().saturating_sub(most);
        rows.truncate(most);
        Self {
            rows,
            more: u64::try_from(more).unwrap_or(u64::MAX),
            uncounted,
        }
    }
}

/// The beginning of a text that others chose.
pub(super) fn clip(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_come_first_and_the_rest_is_counted() {
        let mut rows = Rows::default();
        let mut room = 100;
        for (key, count) in [("b", 1), ("a", 1), ("c", 5), ("b", 2)] {
            *rows.row(key, count, &mut room, || 0).unwrap() += count;
        }
        assert_eq!(room, 97);
        let top = rows.top(2, |count| *count);
        assert_eq!((top.rows, top.more, top.uncounted), (vec![5, 3], 1, 0));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nothing_is_pushed_out() {
        let mut rows = Rows::default();
        let mut room = usize::MAX;
        for key in 0..MOST_ROWS + 3 {
            rows.row(&format!("{key:05}"), 7, &mut room, || 7);
        }
        assert!(rows.row("00000", 7, &mut room, || 0).is_some());
        let top = rows.top(1, |count| *count);
        assert_eq!(top.uncounted, 21);
        assert_eq!(top.more, 1_023);
        let mut rows = Rows::default();
        let mut room = 1;
        assert!(rows.row("a", 1, &mut room, || 0).is_some());
        assert!(rows.row("b", 1, &mut room, || 0).is_none());
        // One that has its row keeps it, however long its key is.
        let long = "ä".repeat(10_000);
        let (mut rows, mut room) = (Rows::default(), 2);
        for _ in 0..2 {
            *rows.row(&long, 1, &mut room, || 0).unwrap() += 1;
        }
        assert_eq!(rows.top(9, |count| *count).rows, [2]);
    }
}
