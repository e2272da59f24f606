//! `egressctl log verify`: says whether the log is whole, and what it holds.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use crate::{
    audit::{
        chain::Verified,
        reader::{self, ReadError, VerifyError},
        record::Layer,
    },
    cli::{
        Exit, Paint, Screen,
        table::{Cell, Table},
    },
};

pub(super) fn verify(file: &Path, screen: &mut Screen) -> anyhow::Result<Exit> {
    let result = reader::verify(file);
    let (verified, broken) = match result {
        Ok(verified) => (Some(verified), None),
        Err(VerifyError::Broken(broken)) => {
            (None, Some(format!("{:#}", anyhow::Error::from(broken))))
        }
        Err(VerifyError::Read(error @ ReadError::TooLong(_))) => (None, Some(error.to_string())),
        Err(VerifyError::Read(error)) => return Err(error.into()),
    };
    let exit = if broken.is_none() { Exit::Ok } else { Exit::No };
    if screen.is_json() {
        screen.json(&Report::new(file, verified.as_ref(), broken.as_deref()))?;
    } else if let Some(broken) = broken {
        screen.line(format!("{}: {broken}", screen.paint(Paint::Deny, "broken")))?;
    } else if let Some(verified) = verified {
        screen.line(format!(
            "{}: {} is whole",
            screen.paint(Paint::Allow, "ok"),
            file.display()
        ))?;
        facts(&verified).print(screen)?;
    }
    screen.flush()?;
    Ok(exit)
}

fn facts(verified: &Verified) -> Table {
    let mut table = Table::plain();
    let mut fact = |name: &str, value: String| table.row([Cell::new(name), Cell::new(value)]);
    fact("records", verified.records.to_string());
    for (name, point) in [("first", verified.first), ("last", verified.last)] {
        if let Some(point) = point {
            fact(name, format!("{} (number {})", point.time, point.seq));
        }
    }
    let lost: Vec<_> = verified
        .lost
        .iter()
        .map(|(layer, count)| format!("{count} {}", layer.code()))
        .collect();
    fact(
        "lost",
        if lost.is_empty() {
            "0".to_owned()
        } else {
            lost.join(", ")
        },
    );
    if verified.missing > 0 {
        fact("missing at a start", verified.missing.to_string());
    }
    if verified.mended > 0 {
        fact("unfinished lines, mended", verified.mended.to_string());
    }
    if let Some(bytes) = verified.torn {
        fact(
            "unfinished last line",
            format!("{bytes} bytes: a crash, or a write under way"),
        );
    }
    table
}

/// `log verify --json`.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    whole: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'a str>,
    #[serde(flatten)]
    facts: Option<Facts>,
}

#[derive(Serialize)]
struct Facts {
    records: u64,
    first: Option<u64>,
    first_time: Option<String>,
    last: Option<u64>,
    last_time: Option<String>,
    lost: BTreeMap<Layer, u64>,
    missing: u64,
    mended: u64,
    torn_bytes: Option<u64>,
}

impl<'a> Report<'a> {
    fn new(file: &'a Path, verified: Option<&Verified>, broken: Option<&'a str>) -> Self {
        Self {
            file,
            whole: broken.is_none(),
            broken,
            facts: verified.map(|verified| Facts {
                records: verified.records,
                first: verified.first.map(|point| point.seq),
                first_time: verified.first.map(|point| point.time.to_string()),
                last: verified.last.map(|point| point.seq),
                last_time: verified.last.map(|point| point.time.to_string()),
                lost: verified.lost.clone(),
                missing: verified.missing,
                mended: verified.mended,
                torn_bytes: verified.torn,
            }),
        }
    }
}
