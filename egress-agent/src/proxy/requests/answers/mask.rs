//! Covers a secret in a stream of bytes, however they come in pieces. Pure.

use bytes::BytesMut;
use memchr::memmem::Finder;

/// What stands in place of each byte: lengths stay what they are.
const COVER: u8 = b'*';

/// One secret, and the bytes that may be its beginning.
#[derive(Clone)]
pub(super) struct Mask {
    finder: Finder<'static>,
    held: BytesMut,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self {
            finder: Finder::new(secret).into_owned(),
            held: BytesMut::new(),
        }
    }

    /// Covers the secret in bytes that are whole. Whether it was there.
    pub(super) fn cover(&self, bytes: &mut [u8]) -> bool {
        let length = self.finder.needle().len();
        let found: Vec<usize> = self.finder.find_iter(bytes).collect();
        for at in &found {
            if let Some(place) = bytes.get_mut(*at..at + length) {
                place.fill(COVER);
            }
        }
        !found.is_empty()
    }

    /// The next bytes of a stream, without those that may be the beginning of the secret.
    pub(super) fn push(&mut self, bytes: &[u8]) -> BytesMut {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        self.cover(&mut all);
        let secret = self.finder.needle();
        let longest = secret.len().saturating_sub(1).min(all.len());
        let begun = (1..=longest)
            .rev()
            .find(|length| all.ends_with(secret.get(..*length).unwrap_or_default()));
        self.held = all.split_off(all.len() - begun.unwrap_or(0));
        all
    }

    /// Bytes that wait for those behind them.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// What is left when the stream has ended.
    pub(super) fn rest(&mut self) -> BytesMut {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_held_that_could_not_be_the_secret() {
        let mut mask = Mask::new(b"secret-word");
        assert_eq!(&mask.push(b"data: x\n\n")[..], b"data: x\n\n");
        assert_eq!(&mask.push(b"it is sec")[..], b"it is ");
        assert_eq!(&mask.push(b"ure")[..], b"secure");
        assert_eq!(&mask.push(b"secret-")[..], b"");
        assert_eq!(&mask.push(b"word!")[..], b"***********!");
        assert_eq!(&mask.push(b"s")[..], b"");
        assert_eq!(&mask.rest()[..], b"s");
        assert_eq!(format!("{mask:?}"), "Mask");
    }

    proptest! {
        #[test]
        fn pieces_change_nothing(text in "[abx]{0,60}", cuts in prop::collection::vec(0..60_usize, 0..8)) {
            let secret = b"abab";
            let mut whole = text.clone().into_bytes();
            Mask::new(secret).cover(&mut whole);
            let mut mask = Mask::new(secret);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut out = Vec::new();
            for pair in cuts.windows(2) {
                out.extend_from_slice(&mask.push(&text.as_bytes()[pair[0]..pair[1]]));
            }
            out.extend_from_slice(&mask.rest());
            prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(whole).unwrap());
        }
    }
}
