//! Members of gzip (RFC 1952), byte by byte where the library wants a whole reader.

use flate2::{Crc, Decompress};

use super::{Step, Wrong, deflate};

/// Bits of the flags.
const HEADER_CHECK: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

pub(super) struct Gzip {
    part: Part,
    flags: u8,
    /// Bytes of the part, where its length is fixed.
    fixed: Vec<u8>,
    header: Crc,
    inflate: Decompress,
    content: Crc,
}

/// The parts of a member, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Head,
    ExtraLength,
    Extra(u16),
    Name,
    Comment,
    HeaderCheck,
    Body,
    Trailer,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            part: Part::Head,
            flags: 0,
            fixed: Vec::new(),
            header: Crc::new(),
            inflate: Decompress::new(false),
            content: Crc::new(),
        }
    }
}

impl Gzip {
    /// Reads up to the end of a member at most.
    pub(super) fn step(&mut self, bytes: &[u8], piece: &mut [u8]) -> Result<Step, Wrong> {
        let mut step = Step {
            read: 0,
            wrote: 0,
            has_ended: false,
        };
        while self.part != Part::Body {
            let Some(byte) = bytes.get(step.read) else {
                return Ok(step);
            };
            step.read += 1;
            if self.part == Part::Trailer {
                step.has_ended = self.trailer(*byte)?;
                if step.has_ended {
                    return Ok(step);
                }
            } else {
                self.header(*byte)?;
            }
        }
        let rest = bytes.get(step.read..).unwrap_or_default();
        let body = deflate(&mut self.inflate, rest, piece)?;
        self.content
            .update(piece.get(..body.wrote).unwrap_or_default());
        if body.has_ended {
            self.part = Part::Trailer;
        }
        step.read += body.read;
        step.wrote = body.wrote;
        Ok(step)
    }

    fn header(&mut self, byte: u8) -> Result<(), Wrong> {
        if self.part != Part::HeaderCheck {
            self.header.update(&[byte]);
        }
        match self.part {
            Part::Head => {
                self.fixed.push(byte);
                let begins = self.fixed.iter().zip([0x1f, 0x8b, 8]);
                if begins.into_iter().any(|(byte, wanted)| *byte != wanted) {
                    return Err(Wrong);
                }
                if let Ok([_, _, _, flags, ..]) = <[u8; 10]>::try_from(self.fixed.as_slice()) {
                    if flags & RESERVED != 0 {
                        return Err(Wrong);
                    }
                    self.flags = flags;
                    self.enter_after(Part::Head);
                }
            }
            Part::ExtraLength => {
                self.fixed.push(byte);
                if let Ok(length) = <[u8; 2]>::try_from(self.fixed.as_slice()) {
                    match u16::from_le_bytes(length) {
                        0 => self.enter_after(Part::Extra(0)),
                        length => self.part = Part::Extra(length),
                    }
                }
            }
            Part::Extra(left @ ..=1) => self.enter_after(Part::Extra(left)),
            Part::Extra(left) => self.part = Part::Extra(left - 1),
            Part::Name | Part::Comment if byte == 0 => self.enter_after(self.part),
            Part::Name | Part::Comment => {}
            Part::HeaderCheck => {
                self.fixed.push(byte);
                if let Ok(check) = <[u8; 2]>::try_from(self.fixed.as_slice()) {
                    if u32::from(u16::from_le_bytes(check)) != self.header.sum() & 0xffff {
                        return Err(Wrong);
                    }
                    self.enter_after(Part::HeaderCheck);
                }
            }
            Part::Body | Part::Trailer => {}
        }
        Ok(())
    }

    /// Goes on to the next part that the flags announce.
    fn enter_after(&mut self, part: Part) {
        self.fixed.clear();
        let announced = [
            (EXTRA, Part::ExtraLength),
            (NAME, Part::Name),
            (COMMENT, Part::Comment),
            (HEADER_CHECK, Part::HeaderCheck),
        ];
        let next = announced
            .into_iter()
            .find(|(flag, next)| *next > part && self.flags & flag != 0);
        self.part = next.map_or(Part::Body, |(_, next)| next);
    }

    /// Whether the member has ended.
    fn trailer(&mut self, byte: u8) -> Result<bool, Wrong> {
        self.fixed.push(byte);
        let Ok([a, b, c, d, length @ ..]) = <[u8; 8]>::try_from(self.fixed.as_slice()) else {
            return Ok(false);
        };
        let is_whole = u32::from_le_bytes([a, b, c, d]) == self.content.sum()
            && u32::from_le_bytes(length) == self.content.amount();
        if !is_whole {
            return Err(Wrong);
        }
        self.inflate.reset(false);
        self.content.reset();
        self.header.reset();
        self.fixed.clear();
        self.part = Part::Head;
        Ok(true)
    }
}
