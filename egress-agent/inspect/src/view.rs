//! The texts that a text holds: as written, decoded, joined.
//!
//! Level by level: each text is read once for runs that may be coded, all runs of one coding make
//! one text of the next level. `DEPTH` levels and one budget of decoded bytes bound the work
//! whatever the input is; when a bound ends the reading, `Views::is_complete` says so. Every
//! text keeps where its bytes came from.
//!
//! # Known gaps
//!
//! Compressed and encrypted texts, codes as decimal or octal numbers, other alphabets (base58,
//! base85), reversed texts, base64 whose first signs are behind more than three foreign ones, and
//! values of a form that stand behind no `?`. A joined text says only what has a format of its own.

mod entities;
mod folded;
mod runs;
pub(super) mod words;

use std::{borrow::Cow, cell::Cell, ops::Range};

use super::{finding::View, json};

/// Codings inside codings that are undone.
pub(super) const DEPTH: usize = 4;
/// Decoded bytes for each byte of the input.
const BUDGET_FACTOR: usize = 4;
/// Decoded bytes that every input may have, however short it is.
const BUDGET_LEAST: usize = 4096;
/// Stands between texts that do not belong together; in no UTF-8 text.
pub(super) const SEPARATOR: u8 = 0xff;

/// One way to read the input.
#[derive(Debug)]
pub struct ViewText<'a> {
    view: View,
    is_joined: bool,
    bytes: Cow<'a, [u8]>,
    /// In order, without overlap. Bytes between two pieces are separators.
    pieces: Vec<Piece>,
    /// The piece that was asked for last: the next is the same or close by.
    last: Cell<usize>,
}

/// A part of a text and the bytes of the input that it was made from.
#[derive(Clone, Debug)]
struct Piece {
    at: usize,
    length: usize,
    source: Range<usize>,
    /// Byte by byte the same as its source.
    is_exact: bool,
}

/// All texts of one input.
#[derive(Debug)]
pub(super) struct Views<'a> {
    pub(super) texts: Vec<ViewText<'a>>,
    /// Nothing was left undecoded.
    pub(super) is_complete: bool,
}

/// A text in the making.
#[derive(Debug)]
pub(super) struct Build {
    view: View,
    is_joined: bool,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

/// The texts of the next level in the making.
#[derive(Debug)]
struct Level {
    url: Build,
    base64: Build,
    hex: Build,
    base32: Build,
    labels: Build,
    query: Build,
    folded: Build,
    entities: Build,
}

/// Bytes that may still be decoded.
#[derive(Debug)]
struct Budget {
    left: usize,
    is_ended: bool,
}

impl<'a> Views<'a> {
    /// Reads any bytes.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self::read(vec![ViewText::raw(bytes)], bytes.len())
    }

    /// Reads JSON: strings with escapes are texts of their own, and all values joined are one.
    /// Text that is not JSON is read as well as it goes.
    pub(super) fn of_json(bytes: &'a [u8]) -> Self {
        let mut strings = Build::new(View::Raw, false);
        let mut fields = Build::new(View::Fields, true);
        for token in json::tokens(bytes) {
            let json::Shape::String {
                is_key,
                has_escapes,
            } = token.shape
            else {
                continue;
            };
            if has_escapes {
                strings.separate();
                json::unescape(bytes, token.range.clone(), &mut strings);
            }
            if !is_key {
                json::unescape(bytes, token.range, &mut fields);
            }
        }
        let mut roots = vec![ViewText::raw(bytes)];
        roots.extend(strings.finish());
        roots.extend(fields.finish().filter(|fields| fields.pieces.len() > 1));
        Self::read(roots, bytes.len())
    }

    fn read(roots: Vec<ViewText<'a>>, length: usize) -> Self {
        let mut budget = Budget {
            left: length
                .saturating_mul(BUDGET_FACTOR)
                .saturating_add(BUDGET_LEAST),
            is_ended: false,
        };
        let mut texts = Vec::new();
        let mut level = roots;
        for _ in 0..DEPTH {
            let mut next = Level::new();
            for text in &level {
                runs::read(text, &mut next, &mut budget);
                folded::read(text, &mut next.folded, &mut budget);
                entities::read(text, &mut next.entities, &mut budget);
            }
            texts.append(&mut level);
            level = next.finish();
        }
        // What is still coded here is told, not read.
        let is_deeper = level.iter().any(runs::is_coded);
        texts.append(&mut level);
        Self {
            texts,
            is_complete: !budget.is_ended && !is_deeper,
        }
    }
}

impl<'a> ViewText<'a> {
    fn raw(bytes: &'a [u8]) -> Self {
        let piece = Piece {
            at: 0,
            length: bytes.len(),
            source: 0..bytes.len(),
            is_exact: true,
        };
        Self {
            view: View::Raw,
            is_joined: false,
            bytes: Cow::Borrowed(bytes),
            pieces: vec![piece],
            last: Cell::new(0),
        }
    }

    pub fn view(&self) -> View {
        self.view
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of a range; empty where there are none.
    pub fn part(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// The bytes of the input that a range was made from, from the first to the last; a coded run
    /// as a whole.
    pub fn origin(&self, range: &Range<usize>) -> Range<usize> {
        let last = range.end.saturating_sub(1).max(range.start);
        let start = self.piece(range.start).map_or(0, |piece| {
            let inside = range.start.saturating_sub(piece.at).min(piece.length);
            piece.source.start + if piece.is_exact { inside } else { 0 }
        });
        let end = self.piece(last).map_or(start, |piece| {
            let after = piece
                .length
                .saturating_sub((range.end).saturating_sub(piece.at));
            piece.source.end - if piece.is_exact { after } else { 0 }
        });
        start.min(end)..end.max(start)
    }

    /// Whether several places of the input were joined to make it.
    pub(super) fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// Whether a piece begins here: what stands before it belongs elsewhere.
    pub(super) fn is_start(&self, at: usize) -> bool {
        match self.pieces.as_slice() {
            [whole] => whole.at == at,
            _ => self.piece(at).is_some_and(|piece| piece.at == at),
        }
    }

    /// Whether a range holds parts of several pieces.
    pub(super) fn is_across(&self, range: &Range<usize>) -> bool {
        let last = range.end.saturating_sub(1).max(range.start);
        self.index(range.start) != self.index(last)
    }

    fn index(&self, at: usize) -> usize {
        let begins = |index: usize| self.pieces.get(index).map(|piece| piece.at);
        let last = self.last.get();
        let near = (last..last + 3).find(|index| {
            begins(*index).is_some_and(|begin| begin <= at)
                && begins(index + 1).is_none_or(|next| at < next)
        });
        let index = near.unwrap_or_else(|| {
            let after = self.pieces.partition_point(|piece| piece.at <= at);
            after.saturating_sub(1)
        });
        self.last.set(index);
        index
    }

    fn piece(&self, at: usize) -> Option<&Piece> {
        self.pieces.get(self.index(at))
    }
}

impl Build {
    pub(super) fn new(view: View, is_joined: bool) -> Self {
        Self {
            view,
            is_joined,
            bytes: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// What follows does not belong to what stands.
    pub(super) fn separate(&mut self) {
        if self.bytes.last().is_some_and(|last| *last != SEPARATOR) {
            self.bytes.push(SEPARATOR);
        }
    }

    /// Adds bytes that stand in the input as they are.
    pub(super) fn exact(&mut self, bytes: &[u8], source: usize) {
        if bytes.is_empty() {
            return;
        }
        let source = source..source + bytes.len();
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        if let Some(last) = self.pieces.last_mut()
            && last.is_exact
            && last.at + last.length == at
            && last.source.end == source.start
        {
            last.length += bytes.len();
            last.source.end = source.end;
            return;
        }
        self.pieces.push(Piece {
            at,
            length: bytes.len(),
            source,
            is_exact: true,
        });
    }

    /// Adds bytes that were made from a range of the input.
    pub(super) fn made(&mut self, bytes: &[u8], source: Range<usize>) {
        if bytes.is_empty() {
            return;
        }
        self.pieces.push(Piece {
            at: self.bytes.len(),
            length: bytes.len(),
            source,
            is_exact: false,
        });
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds a part of another text as it stands there.
    fn copy(&mut self, text: &ViewText<'_>, range: Range<usize>) {
        let first = text.index(range.start);
        for piece in text.pieces.get(first..).unwrap_or_default() {
            let start = piece.at.max(range.start);
            let end = (piece.at + piece.length).min(range.end);
            if piece.at >= range.end {
                break;
            }
            if start >= end {
                continue;
            }
            let bytes = text.part(start..end);
            if piece.is_exact {
                self.exact(bytes, piece.source.start + (start - piece.at));
            } else {
                self.made(bytes, piece.source.clone());
            }
        }
    }

    fn finish<'a>(self) -> Option<ViewText<'a>> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(ViewText {
            view: self.view,
            is_joined: self.is_joined,
            bytes: Cow::Owned(self.bytes),
            pieces: self.pieces,
            last: Cell::new(0),
        })
    }
}

impl Level {
    fn new() -> Self {
        Self {
            url: Build::new(View::Url, false),
            base64: Build::new(View::Base64, false),
            hex: Build::new(View::Hex, false),
            base32: Build::new(View::Base32, false),
            labels: Build::new(View::Labels, true),
            query: Build::new(View::Query, true),
            folded: Build::new(View::Folded, false),
            entities: Build::new(View::Url, false),
        }
    }

    fn finish<'a>(self) -> Vec<ViewText<'a>> {
        let Self {
            url,
            base64,
            hex,
            base32,
            labels,
            query,
            folded,
            entities,
        } = self;
        [url, base64, hex, base32, labels, query, folded, entities]
            .into_iter()
            .filter_map(Build::finish)
            .collect()
    }
}

impl Budget {
    /// Takes `bytes` of it, or nothing when it is not enough.
    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.is_ended = true,
        }
        !self.is_ended
    }
}
