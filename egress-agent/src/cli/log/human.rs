//! A record as one line for people: when, what, where, who, whereto, why.

use jiff::{civil::Date, tz::TimeZone};

use crate::{
    audit::record::{Flow, Kind, Mode, Process, Record, Socket, Verdict},
    cli::{Paint, Screen, table::plain},
};

/// Writes lines in local time, and the date whenever it changes.
#[derive(Debug)]
pub(super) struct Human {
    zone: TimeZone,
    explain: bool,
    date: Option<Date>,
}

impl Human {
    pub(super) fn new(zone: TimeZone, explain: bool) -> Self {
        Self {
            zone,
            explain,
            date: None,
        }
    }

    /// The line of `record`, with those that belong before and after it.
    pub(super) fn lines(&mut self, record: &Record, screen: &Screen) -> Vec<String> {
        let mut lines = Vec::new();
        let time = record.time.timestamp().to_zoned(self.zone.clone());
        if self.date.replace(time.date()) != Some(time.date()) {
            lines.push(screen.paint(Paint::Dim, &time.date().to_string()));
        }
        let time = time.strftime("%H:%M:%S");
        lines.push(format!(
            "{time} {} {}",
            verdict(record, screen),
            rest(record)
        ));
        if let Some(rule) = record.allow_with.as_ref().filter(|_| self.explain) {
            lines.push(screen.paint(
                Paint::Dim,
                &format!("         -> allow with {}", plain(&rule.to_string())),
            ));
        }
        lines
    }
}

fn verdict(record: &Record, screen: &Screen) -> String {
    let (word, paint) = match record.verdict {
        Some(Verdict::Allow) => ("allow", Paint::Allow),
        Some(Verdict::Deny) => ("deny", Paint::Deny),
        Some(Verdict::Redact) => ("redact", Paint::Warn),
        Some(Verdict::Ask) => ("ask", Paint::Warn),
        None => return format!("{:<6}", "-"),
    };
    let pad = " ".repeat(6_usize.saturating_sub(word.len()));
    format!("{}{pad}", screen.paint(paint, word))
}

fn rest(record: &Record) -> String {
    let mut words = vec![record.layer.code().to_owned()];
    words.extend(record.session.as_deref().map(plain));
    words.extend(record.process.as_ref().map(process));
    if record.verdict.is_none() {
        words.push(record.event.code().to_owned());
    }
    words.extend(destination(record));
    words.extend(record.reason.as_deref().map(plain));
    words.extend(
        record
            .rule
            .as_ref()
            .map(|rule| format!("(rule {})", plain(&rule.name))),
    );
    if record.mode == Some(Mode::Observe)
        && record
            .verdict
            .is_some_and(|verdict| verdict != Verdict::Allow)
    {
        words.push("(observed, not enforced)".to_owned());
    }
    if record.count > 1 {
        words.push(format!("({} times)", record.count));
    }
    if !record.lost.is_empty() {
        let lost = record
            .lost
            .iter()
            .map(|(layer, count)| format!("{count} {}", layer.code()));
        words.push(format!("lost {}", lost.collect::<Vec<_>>().join(", ")));
    }
    words.extend(record.message.as_deref().map(plain));
    words.join(" ")
}

fn process(process: &Process) -> String {
    format!("{}[{}]", plain(&process.comm), process.pid)
}

fn destination(record: &Record) -> Option<String> {
    if let Some(tool) = &record.tool {
        return Some(plain(&tool.name));
    }
    if let Some(socket) = &record.socket {
        return Some(self::socket(socket));
    }
    let name = record.name.as_deref().map(plain);
    match (&record.flow, name) {
        (Some(flow), Some(name)) => Some(match (flow.port, flow.protocol.as_ref()) {
            (port, "tcp") => format!("{name}:{port} ({})", flow.address),
            (port, protocol) => format!("{name}:{port}/{} ({})", plain(protocol), flow.address),
        }),
        (Some(flow), None) => Some(address(flow)),
        (None, Some(name)) if record.event == Kind::Question => {
            let qtype = record.qtype.as_deref().unwrap_or_default();
            Some(format!("{name} {}", plain(qtype)).trim_end().to_owned())
        }
        (None, name) => name,
    }
}

fn socket(socket: &Socket) -> String {
    let Socket { family, path } = socket;
    let path = path.as_deref().map(|path| format!(" {}", plain(path)));
    format!("{} socket{}", plain(family), path.unwrap_or_default())
}

fn address(flow: &Flow) -> String {
    let Flow {
        protocol,
        address,
        port,
    } = flow;
    format!(
        "{}/{}",
        std::net::SocketAddr::new(*address, *port),
        plain(protocol)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        audit::record::{Layer, Rule, tests::denial},
        cli::table::tests::Written,
    };

    #[track_caller]
    fn check(record: &Record, expected: &str) {
        let screen = Written::default().screen(false, false);
        let mut human = Human::new(TimeZone::UTC, true);
        let lines = human.lines(record, &screen);
        assert_eq!(lines[1..].join("\n"), expected);
    }

    #[test]
    fn a_flow_says_who_whereto_and_why() {
        let mut record = denial(5, "203.0.113.7");
        check(
            &record,
            "10:20:05 deny   kernel s1 curl[4242] 203.0.113.7:443/tcp no-rule",
        );
        record.name = Some("example.com".to_owned());
        check(
            &record,
            "10:20:05 deny   kernel s1 curl[4242] example.com:443 (203.0.113.7) no-rule",
        );
        record.allow_with =
            Some(serde_json::json!({"hosts": ["example.com"], "ports": ["443/tcp"]}));
        record.mode = Some(Mode::Observe);
        record.count = 3;
        check(
            &record,
            concat!(
                "10:20:05 deny   kernel s1 curl[4242] example.com:443 (203.0.113.7) no-rule ",
                "(observed, not enforced) (3 times)\n",
                r#"         -> allow with {"hosts":["example.com"],"ports":["443/tcp"]}"#,
            ),
        );
        check(
            &denial(5, "2001:db8::7"),
            "10:20:05 deny   kernel s1 curl[4242] [2001:db8::7]:443/tcp no-rule",
        );
    }

    #[test]
    fn a_question_and_an_allowed_flow() {
        let mut record = denial(5, "203.0.113.7");
        record.event = Kind::Question;
        record.layer = Layer::Dns;
        record.flow = None;
        record.name = Some("evil.example".to_owned());
        record.qtype = Some("AAAA".to_owned());
        check(
            &record,
            "10:20:05 deny   dns s1 curl[4242] evil.example AAAA no-rule",
        );
        let mut record = denial(5, "203.0.113.7");
        record.verdict = Some(Verdict::Allow);
        record.reason = None;
        record.rule = Some(Rule {
            name: "github".to_owned(),
            line: Some(3),
        });
        check(
            &record,
            "10:20:05 allow  kernel s1 curl[4242] 203.0.113.7:443/tcp (rule github)",
        );
    }

    #[test]
    fn the_daemons_life() {
        let mut record = Record::new(denial(5, "::").time, Layer::Daemon, Kind::Lost);
        record.lost = BTreeMap::from([(Layer::Kernel, 12), (Layer::Dns, 3)]);
        check(&record, "10:20:05 -      daemon lost lost 12 kernel, 3 dns");
        let mut record = Record::new(denial(5, "::").time, Layer::Daemon, Kind::PolicyLoaded);
        record.message = Some("coding-agent, 12 rules".to_owned());
        check(
            &record,
            "10:20:05 -      daemon policy-loaded coding-agent, 12 rules",
        );
    }

    #[test]
    fn the_date_stands_before_its_first_record() {
        let screen = Written::default().screen(false, false);
        let zone = TimeZone::fixed(jiff::tz::offset(14));
        let mut human = Human::new(zone, false);
        let first = human.lines(&denial(5, "203.0.113.7"), &screen);
        assert_eq!(first[0], "2026-03-02");
        assert!(first[1].starts_with("00:20:05 "));
        assert_eq!(human.lines(&denial(6, "203.0.113.7"), &screen).len(), 1);
    }

    #[test]
    fn what_an_agent_chose_cannot_steer_the_terminal() {
        let mut record = denial(5, "203.0.113.7");
        record.process.as_mut().unwrap().comm = "\u{1b}]0;x".to_owned();
        record.name = Some("a\nb".to_owned());
        let screen = Written::default().screen(false, false);
        let lines = Human::new(TimeZone::UTC, false).lines(&record, &screen);
        assert!(!lines.concat().contains(char::is_control), "{lines:?}");
    }
}
