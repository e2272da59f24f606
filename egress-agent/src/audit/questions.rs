//! The last questions to the resolver, in memory: what `top` shows.

use std::{collections::VecDeque, sync::Arc};

use super::record::{Kind, Record};

/// Records kept.
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Questions {
    /// Latest last.
    records: VecDeque<Arc<Record>>,
    count: u64,
}

impl Questions {
    /// Keeps `record` when it is a question.
    pub(super) fn keep(&mut self, record: &Arc<Record>) {
        if record.event != Kind::Question {
            return;
        }
        self.count = self.count.saturating_add(record.count);
        if self.records.len() == KEPT {
            self.records.pop_front();
        }
        self.records.push_back(Arc::clone(record));
    }

    /// Of all sessions, or of one, latest last.
    pub(super) fn latest(&self, session: Option<&str>) -> Vec<Arc<Record>> {
        let records = self.records.iter();
        records
            .filter(|record| session.is_none() || record.session.as_deref() == session)
            .cloned()
            .collect()
    }

    /// Questions that ever came in.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Layer, tests::denial};

    fn question(session: &str, name: String) -> Arc<Record> {
        let time = denial(1, "203.0.113.1").time;
        let mut record = Record::new(time, Layer::Dns, Kind::Question);
        record.session = Some(session.to_owned());
        record.name = Some(name);
        Arc::new(record)
    }

    #[test]
    fn the_last_questions_stay_and_nothing_else_does() {
        let mut questions = Questions::default();
        questions.keep(&Arc::new(denial(1, "203.0.113.1")));
        for index in 0..=KEPT {
            questions.keep(&question("a", format!("n{index}.test")));
        }
        questions.keep(&question("b", "last.test".to_owned()));
        let latest = questions.latest(None);
        assert_eq!(latest.len(), KEPT);
        assert_eq!(latest[0].name.as_deref(), Some("n2.test"));
        assert_eq!(latest[KEPT - 1].name.as_deref(), Some("last.test"));
        assert_eq!(questions.latest(Some("b")).len(), 1);
        assert_eq!(questions.count(), 258);
    }
}
