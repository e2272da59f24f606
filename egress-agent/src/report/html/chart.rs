//! A timeline as bars. The same stands in words below it.

use super::{
    super::{Tally, Timeline, page::described, page::when},
    Page,
};

/// Units of the picture.
const WIDTH: i64 = 720;
const HEIGHT: i64 = 96;

impl Page {
    pub(super) fn chart(&mut self, id: &str, timeline: &Timeline) {
        let (places, length) = timeline.places();
        let most = timeline.busiest().map_or(1, |bucket| bucket.tally.total());
        self.raw("<figure>\n<svg viewBox=\"0 0 720 100\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"chart-");
        self.text(id);
        self.raw("\">\n<rect class=\"ground\" x=\"0\" y=\"96\" width=\"720\" height=\"1\"/>\n");
        for (bucket, place) in timeline.buckets.iter().zip(places) {
            let left = place * WIDTH / length.max(1);
            let right = (place + 1) * WIDTH / length.max(1);
            // A gap between bars, where there is room for one.
            let gap = i64::from(right - left > 3);
            let mut bottom = HEIGHT;
            for (class, count) in parts(&bucket.tally) {
                let height = height(count, most);
                if height == 0 {
                    continue;
                }
                bottom -= height;
                self.raw(class);
                self.raw("\" x=\"");
                self.number(left);
                self.raw("\" y=\"");
                self.number(bottom);
                self.raw("\" width=\"");
                self.number((right - left - gap).max(1));
                self.raw("\" height=\"");
                self.number(height);
                self.raw("\"/>\n");
            }
        }
        self.raw("</svg>\n");
        if let (Some(first), Some(last)) = (timeline.buckets.first(), timeline.buckets.last()) {
            self.raw("<p class=\"axis\"><span>");
            self.text(&when(first.at));
            self.raw("</span><span>");
            self.text(&when(last.at));
            self.raw("</span></p>\n");
        }
        self.legend(timeline);
        self.raw("<figcaption id=\"chart-");
        self.text(id);
        self.raw("\">");
        self.text(&described(timeline));
        self.raw("</figcaption>\n</figure>\n");
    }

    fn legend(&mut self, timeline: &Timeline) {
        let has = |part: fn(&Tally) -> u64| timeline.buckets.iter().any(|one| part(&one.tally) > 0);
        self.raw("<p class=\"legend\">");
        if has(|tally| tally.denied) {
            self.raw("<span class=\"denied\">denied</span> ");
        }
        if has(|tally| tally.observed) {
            self.raw("<span class=\"observed\">only observed</span> ");
        }
        if has(|tally| tally.asked.saturating_add(tally.redacted)) {
            self.raw("<span class=\"asked\">asked or redacted</span> ");
        }
        if has(|tally| tally.allowed) {
            self.raw("<span class=\"allowed\">allowed, recorded</span>");
        }
        self.raw("</p>\n");
    }
}

/// From the bottom up, what matters most first.
fn parts(tally: &Tally) -> [(&'static str, u64); 4] {
    let Tally {
        allowed,
        denied,
        asked,
        redacted,
        observed,
    } = *tally;
    [
        ("<rect class=\"denied", denied),
        ("<rect class=\"observed", observed),
        ("<rect class=\"asked", asked.saturating_add(redacted)),
        ("<rect class=\"allowed", allowed),
    ]
}

/// What is there at all can be seen; four parts of 2 fit above the greatest.
fn height(count: u64, most: u64) -> i64 {
    if count == 0 {
        return 0;
    }
    let room = u128::from(HEIGHT.unsigned_abs()) - 8;
    let height = u128::from(count) * room / u128::from(most.max(1));
    i64::try_from(height).unwrap_or(HEIGHT).max(2)
}
