//! Bodies in the codings of HTTP (RFC 9110 section 8.4.1), decoded within a budget. Pure.
//!
//! Known are `gzip` (RFC 1952, with several members), `deflate` (RFC 1950), `br` (RFC 7932, no large
//! windows), `zstd` (RFC 8878, the window of RFC 9659) and `identity`. What cannot be decoded cannot
//! be judged, so everything else is refused: other codings, bytes behind the end, a wrong checksum,
//! and a body that grows out of proportion.
//!
//! A coding has places beside the content where bytes can stand: names and comments of gzip, frames
//! of zstd that are skipped, metadata of Brotli. No reader sees them, and they are not told here.
//! Whoever looks for a secret looks at the coded bytes too.

mod gzip;

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use gzip::Gzip;

/// Codings that may lie over each other.
const MOST_CODINGS: usize = 2;
/// Bytes that a body may decode to whatever its proportion: short texts of one letter are no bomb.
const FREE: u64 = 64 << 10;
/// Bytes that are decoded at once.
const PIECE: usize = 16 << 10;
/// RFC 9659 section 3: 8 MiB, as a power of two.
const ZSTD_WINDOW: u32 = 23;

/// How much a body may decode to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes in all.
    pub longest: u64,
    /// Bytes for each byte that came, beyond the first 64 KiB. Each layer of two is held to it.
    pub ratio: u64,
}

/// A coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Why a body cannot be decoded, and so cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the body is coded as `{}`, which is not known", .0.escape_debug())]
    Unknown(String),
    #[error("the body has more than {MOST_CODINGS} codings over each other")]
    TooMany,
    #[error("the body decodes to more than {0} bytes, which is more than its budget")]
    Bomb(u64),
    #[error("the body is not {0}, as it says")]
    Corrupt(Coding),
    #[error("something follows the {0} of the body")]
    Trailing(Coding),
    #[error("the body ends before its {0} does")]
    Truncated(Coding),
}

/// Decodes one body, piece by piece.
pub struct Decoder {
    /// The outermost first.
    layers: Vec<Layer>,
    budget: Budget,
    came: u64,
    made: u64,
    broken: Option<DecodeError>,
}

struct Layer {
    coding: Coding,
    codec: Codec,
    /// Room for what one step makes.
    piece: Vec<u8>,
    came: bool,
    made: u64,
    /// It may end here.
    has_ended: bool,
}

enum Codec {
    Gzip(Box<Gzip>),
    Deflate(Decompress),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(DCtx<'static>),
}

/// What one call of a codec did.
struct Step {
    read: usize,
    wrote: usize,
    has_ended: bool,
}

/// The bytes are none of the coding.
struct Wrong;

/// The codings of a `Content-Encoding`, in the order in which they were applied. Several fields
/// are joined with commas first (RFC 9110 section 5.3). `identity` is no coding.
pub fn codings(field: &str) -> Result<Vec<Coding>, DecodeError> {
    let mut codings = Vec::new();
    // Empty elements are ignored (RFC 9110 section 5.6.1.2).
    for name in field.split(',').map(|name| name.trim_matches([' ', '\t'])) {
        let coding = match name.to_ascii_lowercase().as_str() {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            "br" => Coding::Brotli,
            "zstd" => Coding::Zstd,
            _ => return Err(DecodeError::Unknown(name.chars().take(40).collect())),
        };
        codings.push(coding);
    }
    if codings.len() > MOST_CODINGS {
        return Err(DecodeError::TooMany);
    }
    Ok(codings)
}

impl Decoder {
    /// For a body with this `Content-Encoding`; an empty one means none.
    pub fn new(field: &str, budget: Budget) -> Result<Self, DecodeError> {
        let codings = codings(field)?;
        Ok(Self {
            layers: codings
                .into_iter()
                .rev()
                .map(Layer::new)
                .collect::<Result<_, _>>()?,
            budget,
            came: 0,
            made: 0,
            broken: None,
        })
    }

    /// Whether what comes is what goes.
    pub const fn is_identity(&self) -> bool {
        self.layers.is_empty()
    }

    /// Adds what these bytes decode to: all of it, nothing is kept back for later. After a mistake
    /// there is no way on, and what was added stays added.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let pushed = self.try_push(bytes, out);
        self.keep(pushed)
    }

    /// The body has ended. A body of no bytes is whole in every coding: answers to HEAD have one.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        let cut = |layer: &&Layer| layer.came && !layer.has_ended;
        let ended = match self.layers.iter().find(cut) {
            Some(layer) => Err(DecodeError::Truncated(layer.coding)),
            None => Ok(()),
        };
        self.keep(ended)
    }

    fn keep(&mut self, now: Result<(), DecodeError>) -> Result<(), DecodeError> {
        if self.broken.is_none() {
            self.broken = now.err();
        }
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn try_push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        self.came = self.came.saturating_add(bytes.len() as u64);
        let Budget { longest, ratio } = self.budget;
        let Some((innermost, outer)) = self.layers.split_last_mut() else {
            self.made = self.came;
            if self.made > longest {
                return Err(DecodeError::Bomb(longest));
            }
            out.extend_from_slice(bytes);
            return Ok(());
        };
        let most = longest.min(FREE.max(ratio.saturating_mul(self.came)));
        let mut bytes = bytes.to_vec();
        for layer in outer {
            let mut inner = Vec::new();
            layer.push(&bytes, &mut inner, most)?;
            bytes = inner;
        }
        innermost.push(&bytes, out, most)
    }
}

impl Layer {
    fn new(coding: Coding) -> Result<Self, DecodeError> {
        let codec = match coding {
            Coding::Gzip => Codec::Gzip(Box::default()),
            Coding::Deflate => Codec::Deflate(Decompress::new(true)),
            Coding::Brotli => {
                let memory = StandardAlloc::default;
                let state = BrotliState::new_strict(memory(), memory(), memory());
                Codec::Brotli(Box::new(state))
            }
            Coding::Zstd => {
                // No memory: the body cannot be decoded.
                let mut context = DCtx::try_create().ok_or(DecodeError::Corrupt(coding))?;
                context
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))
                    .map_err(|_code| DecodeError::Corrupt(coding))?;
                Codec::Zstd(context)
            }
        };
        Ok(Self {
            coding,
            codec,
            piece: vec![0; PIECE],
            came: false,
            made: 0,
            has_ended: false,
        })
    }

    /// Decodes all of these bytes, while no more than `most` bytes have been made.
    fn push(&mut self, bytes: &[u8], into: &mut Vec<u8>, most: u64) -> Result<(), DecodeError> {
        let mut rest = bytes;
        let mut was_full = false;
        // A full piece may not have been all that the bytes so far decode to.
        while !rest.is_empty() || was_full {
            self.came = true;
            let step = self.step(rest)?;
            rest = rest.get(step.read..).unwrap_or_default();
            let made = self.piece.get(..step.wrote).unwrap_or_default();
            self.made = self.made.saturating_add(made.len() as u64);
            if self.made > most {
                return Err(DecodeError::Bomb(most));
            }
            into.extend_from_slice(made);
            was_full = step.wrote == self.piece.len();
            if step.read + step.wrote > 0 {
                self.has_ended = step.has_ended;
            } else if !rest.is_empty() {
                return Err(DecodeError::Corrupt(self.coding));
            }
        }
        Ok(())
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Step, DecodeError> {
        let has_ended = self.has_ended;
        let piece = self.piece.as_mut_slice();
        let done = match &mut self.codec {
            // Another member or frame may follow.
            Codec::Gzip(gzip) => gzip.step(bytes, piece),
            Codec::Zstd(context) => zstd(context, bytes, piece),
            Codec::Deflate(_) | Codec::Brotli(_) if has_ended && !bytes.is_empty() => Err(Wrong),
            Codec::Deflate(_) | Codec::Brotli(_) if has_ended => Ok(Step {
                read: 0,
                wrote: 0,
                has_ended,
            }),
            Codec::Deflate(inflate) => deflate(inflate, bytes, piece),
            Codec::Brotli(state) => brotli(state, bytes, piece),
        };
        done.map_err(|Wrong| {
            if has_ended {
                DecodeError::Trailing(self.coding)
            } else {
                DecodeError::Corrupt(self.coding)
            }
        })
    }
}

fn deflate(inflate: &mut Decompress, bytes: &[u8], piece: &mut [u8]) -> Result<Step, Wrong> {
    let (read, wrote) = (inflate.total_in(), inflate.total_out());
    let status = inflate
        .decompress(bytes, piece, FlushDecompress::None)
        .map_err(|_corrupt| Wrong)?;
    let since = |now: u64, before: u64| usize::try_from(now - before).map_err(|_too_many| Wrong);
    Ok(Step {
        read: since(inflate.total_in(), read)?,
        wrote: since(inflate.total_out(), wrote)?,
        has_ended: matches!(status, Status::StreamEnd),
    })
}

fn brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    bytes: &[u8],
    piece: &mut [u8],
) -> Result<Step, Wrong> {
    let (mut read, mut wrote, mut total) = (0, 0, 0);
    let (mut available, mut room) = (bytes.len(), piece.len());
    let result = BrotliDecompressStream(
        &mut available,
        &mut read,
        bytes,
        &mut room,
        &mut wrote,
        piece,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultFailure => Err(Wrong),
        BrotliResult::ResultSuccess => Ok(Step {
            read,
            wrote,
            has_ended: true,
        }),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(Step {
            read,
            wrote,
            has_ended: false,
        }),
    }
}

fn zstd(context: &mut DCtx<'_>, bytes: &[u8], piece: &mut [u8]) -> Result<Step, Wrong> {
    let mut input = InBuffer::around(bytes);
    let mut output = OutBuffer::around(piece);
    let left = context
        .decompress_stream(&mut output, &mut input)
        .map_err(|_code| Wrong)?;
    Ok(Step {
        read: input.pos(),
        wrote: output.pos(),
        has_ended: left == 0,
    })
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        })
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codings: Vec<Coding> = self.layers.iter().map(|layer| layer.coding).collect();
        f.debug_struct("Decoder")
            .field("codings", &codings)
            .field("came", &self.came)
            .finish_non_exhaustive()
    }
}

impl DecodeError {
    /// A stable code, for records.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown-encoding",
            Self::TooMany => "stacked-encodings",
            Self::Bomb(_) => "bomb",
            Self::Corrupt(_) => "corrupt",
            Self::Trailing(_) => "trailing",
            Self::Truncated(_) => "truncated",
        }
    }
}

/// The first byte chooses the codings. Whatever follows is decoded the same in any pieces, and
/// never to more than its budget.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    const FIELDS: [&str; 8] = [
        "gzip",
        "deflate",
        "br",
        "zstd",
        "gzip, br",
        "zstd, gzip",
        "br, deflate",
        "identity",
    ];
    // The proportion depends on what has come, and so on the pieces.
    let budget = Budget {
        longest: 1 << 20,
        ratio: u64::MAX,
    };
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let field = FIELDS
        .get(usize::from(first % 8))
        .copied()
        .unwrap_or_default();
    let read = |size: usize| {
        let mut decoder = Decoder::new(field, budget).ok()?;
        let mut out = Vec::new();
        let mut ended = Ok(());
        for piece in bytes.chunks(size) {
            ended = ended.and_then(|()| decoder.push(piece, &mut out));
            assert!(out.len() <= 1 << 20);
        }
        // Of two layers either may be the first to see what is wrong.
        ended.and_then(|()| decoder.finish()).ok().map(|()| out)
    };
    let whole = read(bytes.len().max(1));
    for size in [1, 13] {
        assert!(read(size) == whole, "{field} in pieces of {size}");
    }
}

#[cfg(test)]
mod tests;
