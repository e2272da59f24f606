//! A cursor over foreign bytes: every read says whether there was enough.

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Steps over a name, whether it ends with the root or with a pointer (RFC 1035 4.1.4).
    pub(super) fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.u8()? {
                0 => return Some(()),
                length @ 1..=63 => self.take(usize::from(length)).map(|_| ())?,
                0xc0.. => return self.u8().map(|_| ()),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;

    #[test]
    fn a_name_ends_with_the_root_or_a_pointer() {
        for (bytes, left) in [
            (&b"\x03www\x00rest"[..], Some(4)),
            (b"\x03www\xc0\x0crest", Some(4)),
            (b"\x00", Some(0)),
            (b"\x03ww", None),
            (b"\x03www", None),
            (b"\xc0", None),
            (b"\x40abc", None),
        ] {
            let mut reader = Reader::new(bytes);
            let got = reader.skip_name().map(|()| reader.rest().len());
            assert_eq!(got, left, "{bytes:?}");
        }
    }
}
