//! Lines of any length, read in bounded memory.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{
    glimpse::{Glimpse, Glimpsed},
    message::LONGEST,
};

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// One line, or what is left of it.
#[derive(Debug)]
pub enum Line {
    /// With its line feed, unless the stream ended without one.
    Whole(Vec<u8>),
    /// It was longer than any message may be, and is gone.
    TooLong(Glimpsed),
}

/// Reads lines.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    /// Bytes that were read and not given out yet, from `at` on.
    buffer: Vec<u8>,
    at: usize,
    /// Up to here no line feed was found.
    searched: usize,
    has_ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            at: 0,
            searched: 0,
            has_ended: false,
        }
    }

    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(Line::Whole(line)));
            }
            if self.has_ended {
                let rest = self.buffer.split_off(self.at.min(self.buffer.len()));
                self.clear();
                return Ok((!rest.is_empty()).then_some(Line::Whole(rest)));
            }
            if self.buffer.len() - self.at > LONGEST {
                return self.skip().await.map(Some);
            }
            self.read().await?;
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let left = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = left.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + found + 1;
        let line = self.buffer.get(self.at..end).unwrap_or_default().to_vec();
        (self.at, self.searched) = (end, end);
        Some(line)
    }

    /// Throws the rest of a line away that is too long; keeps what comes behind it.
    async fn skip(&mut self) -> io::Result<Line> {
        let mut glimpse = Glimpse::default();
        glimpse.take(self.buffer.get(self.at..).unwrap_or_default());
        self.clear();
        // The memory of a long line is not kept for short ones.
        self.buffer = Vec::new();
        loop {
            self.read().await?;
            let found = self.buffer.iter().position(|byte| *byte == b'\n');
            let end = found.unwrap_or(self.buffer.len());
            glimpse.take(self.buffer.get(..end).unwrap_or_default());
            if let Some(end) = found {
                (self.at, self.searched) = (end + 1, end + 1);
                break;
            }
            self.clear();
            if self.has_ended {
                break;
            }
        }
        Ok(Line::TooLong(glimpse.end()))
    }

    async fn read(&mut self) -> io::Result<()> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.searched -= self.at;
            self.at = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 1 << 20 {
            self.buffer = Vec::new();
        }
        self.buffer.reserve(CHUNK);
        self.has_ended = self.source.read_buf(&mut self.buffer).await? == 0;
        Ok(())
    }

    fn clear(&mut self) {
        self.buffer.clear();
        (self.at, self.searched) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::message::Id;

    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl AsyncRead for Slow<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let length = self.1.min(self.0.len()).min(into.remaining());
            let (now, later) = self.0.split_at(length);
            into.put_slice(now);
            self.0 = later;
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn lines(bytes: &[u8], at_a_time: usize) -> Vec<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new(Slow(bytes, at_a_time));
            let mut all = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                assert!(lines.buffer.capacity() <= LONGEST + 4 * CHUNK + LONGEST);
                all.push(line);
            }
            all
        })
    }

    #[test]
    fn lines_are_given_as_they_came_however_they_arrive() {
        let text = b"one\n\ntwo\r\n{\"three\"}";
        for at_a_time in [1, 2, 3, 5, 100] {
            let lines = lines(text, at_a_time);
            let lines: Vec<_> = lines
                .iter()
                .map(|line| match line {
                    Line::Whole(line) => line.as_slice(),
                    Line::TooLong(_) => b"too long",
                })
                .collect();
            assert_eq!(lines, [&b"one\n"[..], b"\n", b"two\r\n", b"{\"three\"}"]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_read() {
        let long = format!(
            "{{\"method\":\"x\",\"a\":\"{}\",\"id\":7}}\nnext\n",
            "x".repeat(2 * LONGEST)
        );
        let lines = lines(long.as_bytes(), 1 << 20);
        let [Line::TooLong(glimpsed), Line::Whole(next)] = lines.as_slice() else {
            panic!("{} lines", lines.len());
        };
        assert_eq!(*glimpsed, Glimpsed::Request(Id::Number(7)));
        assert_eq!(next, b"next\n");
    }

    #[test]
    fn a_line_that_is_too_long_may_end_with_the_stream() {
        let lines = lines(&vec![b'x'; LONGEST + 2], 1 << 20);
        assert!(matches!(
            lines.as_slice(),
            [Line::TooLong(Glimpsed::Unknown)]
        ));
    }
}
