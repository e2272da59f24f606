//! Follows a chain line by line, in constant memory.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Hash, Head, unseal};
use crate::audit::{
    front::Frame,
    record::{Gap, Kind, Layer, Time, VERSION},
};

/// Reads lines, oldest first, and stops at the first that does not fit.
#[derive(Debug, Default)]
pub struct Verifier {
    /// What the head file says, to be met on the way.
    known: Option<Head>,
    head: Option<Head>,
    end: Option<Place>,
    fragment: Option<Fragment>,
    verified: Verified,
}

/// What a whole chain holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    pub records: u64,
    pub first: Option<Point>,
    pub last: Option<Point>,
    /// Records that were lost before they were written, by layer, as the log itself says.
    pub lost: BTreeMap<Layer, u64>,
    /// Records that had been written and were gone at a later start, as the log itself says.
    pub missing: u64,
    /// Unfinished lines in the middle, each accounted for by a record after it.
    pub mended: u64,
    /// Length of an unfinished line at the very end, in bytes: a crash, or a write under way.
    pub torn: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    pub seq: u64,
    pub time: Time,
}

/// A line of a file; shown as `file:line`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub file: Arc<Path>,
    /// From 1.
    pub line: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("{place}")]
pub struct Broken {
    pub place: Place,
    #[source]
    pub why: Why,
}

#[derive(Debug, thiserror::Error)]
pub enum Why {
    #[error("not a record, and no later record accounts for it")]
    NotARecord(#[source] Option<serde_json::Error>),
    #[error("schema version {0}, and this egressctl knows version {VERSION}")]
    Version(u32),
    #[error("the line does not fit its hash: it was changed after it was written")]
    Changed,
    #[error(
        "record {found} stands where record {expected} belongs: lines are missing, repeated or out of order"
    )]
    OutOfOrder { expected: u64, found: u64 },
    #[error("the line does not carry the hash of the one before it: one of the two was exchanged")]
    Unlinked,
    #[error("the record tells of an unfinished line before it, and there is none")]
    NothingTorn,
    #[error("record {0} is not the one that the head file names: the log was written anew")]
    Exchanged(u64),
    #[error("the log ends with record {last}, and the head file says {head}: its end was cut off")]
    Cut { last: u64, head: u64 },
}

impl Verifier {
    /// `known` is a head that the log must contain.
    pub fn new(known: Option<Head>) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// Takes the next line, without its newline; `ended` says whether it had one.
    pub fn line(&mut self, place: Place, line: &[u8], ended: bool) -> Result<(), Broken> {
        self.checked(place, line, ended, Link::read(line))
    }

    /// Takes the next line with what [`Link::read`] says of it.
    pub(in crate::audit) fn checked(
        &mut self,
        place: Place,
        line: &[u8],
        ended: bool,
        link: Result<Link, Why>,
    ) -> Result<(), Broken> {
        match link {
            Ok(link) => self.link(&place, &link)?,
            Err(why @ (Why::NotARecord(_) | Why::Changed)) => self.hold(&place, line, ended, why),
            Err(why) => return Err(Broken { place, why }),
        }
        self.end = Some(place);
        Ok(())
    }

    /// Judges the end of the log; `file` is its newest file.
    pub fn finish(mut self, file: &Arc<Path>) -> Result<Verified, Broken> {
        if let Some(fragment) = self.fragment {
            if fragment.ended {
                return Err(fragment.broken);
            }
            self.verified.torn = Some(fragment.bytes);
        }
        let last = self.head.map_or(0, |head| head.seq);
        match self.known {
            Some(known) if known.seq > last => Err(Broken {
                place: self.end.unwrap_or_else(|| Place {
                    file: Arc::clone(file),
                    line: 0,
                }),
                why: Why::Cut {
                    last,
                    head: known.seq,
                },
            }),
            _ => Ok(self.verified),
        }
    }

    fn link(&mut self, place: &Place, link: &Link) -> Result<(), Broken> {
        self.check_gap(place, link)?;
        self.check_order(link).map_err(|why| Broken {
            place: place.clone(),
            why,
        })?;
        self.head = Some(link.head);
        self.count(link);
        Ok(())
    }

    fn check_order(&self, link: &Link) -> Result<(), Why> {
        let before = match self.head {
            Some(head) => head,
            None if link.head.seq == 1 => Head::START,
            // Older files were rotated away.
            None => return self.check_known(link),
        };
        let expected = before.seq.saturating_add(1);
        if link.head.seq != expected {
            return Err(Why::OutOfOrder {
                expected,
                found: link.head.seq,
            });
        }
        if link.prev != before.hash {
            return Err(Why::Unlinked);
        }
        self.check_known(link)
    }

    fn check_known(&self, link: &Link) -> Result<(), Why> {
        match self.known {
            Some(known) if known.seq == link.head.seq && known.hash != link.head.hash => {
                Err(Why::Exchanged(known.seq))
            }
            _ => Ok(()),
        }
    }

    /// An unfinished line must be accounted for by the record that follows it.
    fn check_gap(&mut self, place: &Place, link: &Link) -> Result<(), Broken> {
        let torn = link.gap.as_ref().and_then(|gap| gap.torn_hash);
        match (self.fragment.take(), torn) {
            (None, None) => Ok(()),
            (Some(Fragment { hash, broken, .. }), torn) => {
                if torn != Some(Hash(hash.finalize().into())) {
                    return Err(broken);
                }
                self.verified.mended += 1;
                Ok(())
            }
            (None, Some(_)) => Err(Broken {
                place: place.clone(),
                why: Why::NothingTorn,
            }),
        }
    }

    fn hold(&mut self, place: &Place, line: &[u8], ended: bool, why: Why) {
        if let Some(fragment) = &mut self.fragment {
            fragment.add(b"\n");
        }
        let fragment = self.fragment.get_or_insert_with(|| Fragment {
            hash: Sha256::new(),
            bytes: 0,
            ended: false,
            broken: Broken {
                place: place.clone(),
                why,
            },
        });
        fragment.add(line);
        fragment.ended |= ended;
    }

    fn count(&mut self, link: &Link) {
        let point = Point {
            seq: link.head.seq,
            time: link.time,
        };
        self.verified.records += 1;
        self.verified.first.get_or_insert(point);
        self.verified.last = Some(point);
        for (layer, lost) in &link.lost {
            let total = self.verified.lost.entry(*layer).or_default();
            *total = total.saturating_add(*lost);
        }
        let missing = link.gap.as_ref().map_or(0, |gap| gap.missing);
        self.verified.missing = self.verified.missing.saturating_add(missing);
    }
}

/// What the chain needs to know about a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::audit) struct Link {
    pub(in crate::audit) head: Head,
    prev: Hash,
    time: Time,
    lost: BTreeMap<Layer, u64>,
    gap: Option<Gap>,
}

impl Link {
    /// Reads one line, without its newline, and checks it against its own hash.
    pub(in crate::audit) fn read(line: &[u8]) -> Result<Self, Why> {
        let (body, hash) = unseal(line).ok_or(Why::NotARecord(None))?;
        if Hash::of(body) != hash {
            return Err(Why::Changed);
        }
        Self::in_frame(line).map_or_else(|| Self::whole(line, hash), Ok)
    }

    /// Of any line.
    pub(in crate::audit) fn whole(line: &[u8], hash: Hash) -> Result<Self, Why> {
        let members: Members =
            serde_json::from_slice(line).map_err(|error| Why::NotARecord(Some(error)))?;
        if members.v != VERSION {
            return Err(Why::Version(members.v));
        }
        Ok(Self {
            head: Head {
                seq: members.seq,
                hash,
            },
            prev: members.prev,
            time: members.time,
            lost: members.lost,
            gap: members.gap.filter(|_| members.event == Kind::Mended),
        })
    }

    #[cfg(test)]
    pub(in crate::audit) fn but_hash(mut self, hash: Hash) -> Self {
        self.head.hash = hash;
        self
    }

    /// Of a line as the log writes it, whose hash says that nobody changed it since: what is between
    /// its beginning and its end is not read.
    pub(in crate::audit) fn in_frame(line: &[u8]) -> Option<Self> {
        let Frame { front, prev, hash } = Frame::of(line)?;
        Some(Self {
            head: Head {
                seq: front.seq,
                hash,
            },
            prev,
            time: front.time()?,
            lost: BTreeMap::new(),
            gap: None,
        })
    }
}

#[derive(Deserialize)]
struct Members {
    v: u32,
    seq: u64,
    time: Time,
    event: Kind,
    #[serde(default)]
    lost: BTreeMap<Layer, u64>,
    #[serde(default)]
    gap: Option<Gap>,
    prev: Hash,
}

/// Lines that are no records, until the next record.
#[derive(Debug)]
struct Fragment {
    hash: Sha256,
    bytes: u64,
    ended: bool,
    /// The verdict, should nothing account for it.
    broken: Broken,
}

impl Fragment {
    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}
