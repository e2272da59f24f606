use std::io::Write;

use brotli::CompressorWriter;
use flate2::{
    Compression, Crc, GzBuilder,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use proptest::prelude::*;
use zstd_safe::{CCtx, CParameter};

use super::*;

const BUDGET: Budget = Budget {
    longest: 16 << 20,
    ratio: 100,
};
const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd_with(text: &[u8], parameters: &[CParameter]) -> Vec<u8> {
    let mut context = CCtx::create();
    for parameter in parameters {
        context.set_parameter(*parameter).unwrap();
    }
    let mut out = vec![0; zstd_safe::compress_bound(text.len())];
    let length = context.compress2(out.as_mut_slice(), text).unwrap();
    out.truncate(length);
    out
}

fn encode(coding: &str, text: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => gzip(text),
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = CompressorWriter::new(Vec::new(), 4096, 5, 22);
            encoder.write_all(text).unwrap();
            encoder.into_inner()
        }
        "zstd" => zstd_with(text, &[CParameter::ChecksumFlag(true)]),
        other => panic!("{other}"),
    }
}

fn decode_with(
    field: &str,
    bytes: &[u8],
    size: usize,
    budget: Budget,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(field, budget)?;
    let mut out = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.push(piece, &mut out)?;
    }
    decoder.finish()?;
    Ok(out)
}

fn decode(field: &str, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decode_with(field, bytes, 1 << 14, BUDGET)
}

fn text(length: usize) -> Vec<u8> {
    // Words of a small generator: some repeat, most do not.
    let mut state = 7_u32;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{} ", state >> 18)
    });
    words.flat_map(String::into_bytes).take(length).collect()
}

#[test]
fn what_was_encoded_is_decoded_in_any_pieces() {
    for length in [0, 1, 100, 16384, 70_000] {
        let text = text(length);
        for coding in CODINGS {
            let bytes = encode(coding, &text);
            for size in [1, 7, 1000, bytes.len()] {
                let decoded = decode_with(coding, &bytes, size, BUDGET);
                assert!(decoded.as_ref() == Ok(&text), "{coding} {length} {size}");
            }
        }
        assert_eq!(decode("identity", &text).as_ref(), Ok(&text));
        assert_eq!(decode("", &text).as_ref(), Ok(&text));
    }
    let bytes = text(3000);
    for inner in CODINGS {
        for outer in CODINGS {
            let twice = encode(outer, &encode(inner, &bytes));
            let field = format!("{inner}, {outer}");
            assert_eq!(
                decode_with(&field, &twice, 11, BUDGET).as_ref(),
                Ok(&bytes),
                "{field}"
            );
        }
    }
}

#[test]
fn the_field_is_read_as_http_reads_it() {
    let names = |field| codings(field).unwrap();
    assert_eq!(names("GZip"), [Coding::Gzip]);
    assert_eq!(names("x-gzip,\tBR"), [Coding::Gzip, Coding::Brotli]);
    assert_eq!(names(" , identity ,zstd, identity,"), [Coding::Zstd]);
    assert_eq!(names(""), []);
    for unknown in [
        "compress",
        "aws-chunked",
        "gzip;q=1",
        "gzip br",
        "dcz",
        "\u{a0}gzip",
        "gzip\0",
    ] {
        let error = codings(unknown).unwrap_err();
        assert_eq!(error.code(), "unknown-encoding", "{unknown:?}");
        assert!(!error.to_string().contains(['\0', '\n']));
    }
    assert_eq!(codings("gzip, gzip, gzip"), Err(DecodeError::TooMany));
}

#[test]
fn a_body_that_is_cut_or_goes_on_is_refused() {
    for (coding, kind) in
        CODINGS
            .into_iter()
            .zip([Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd])
    {
        let bytes = encode(coding, &text(200));
        assert_eq!(decode(coding, b""), Ok(Vec::new()));
        for at in 1..bytes.len() {
            assert_eq!(
                decode(coding, &bytes[..at]),
                Err(DecodeError::Truncated(kind)),
                "{coding} {at}"
            );
        }
        let more = [&bytes[..], b"more than that"].concat();
        for size in [1, 5, more.len()] {
            assert_eq!(
                decode_with(coding, &more, size, BUDGET),
                Err(DecodeError::Trailing(kind))
            );
        }
        assert_eq!(
            decode(coding, b"\xffno such thing"),
            Err(DecodeError::Corrupt(kind))
        );
        let mut decoder = Decoder::new(coding, BUDGET).unwrap();
        let mut out = Vec::new();
        assert!(decoder.push(&more, &mut out).is_err());
        assert!(
            decoder.push(b"", &mut out).is_err() && decoder.finish().is_err(),
            "it stays so"
        );
    }
}

#[test]
fn checksums_are_checked() {
    let text = text(500);
    for (coding, from_end) in [("gzip", 1), ("gzip", 5), ("deflate", 1), ("zstd", 1)] {
        let mut bytes = encode(coding, &text);
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        assert_eq!(
            decode(coding, &bytes).map_err(|error| error.code()),
            Err("corrupt"),
            "{coding}"
        );
    }
}

#[test]
fn members_and_frames_may_follow_each_other() {
    let (one, two) = (text(50), text(9000));
    for coding in ["gzip", "zstd"] {
        let mut bytes = [
            encode(coding, &one),
            encode(coding, &two),
            encode(coding, b""),
        ]
        .concat();
        if coding == "zstd" {
            // A frame that is skipped.
            bytes.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        }
        for size in [1, 10, bytes.len()] {
            let decoded = decode_with(coding, &bytes, size, BUDGET);
            assert!(
                decoded.unwrap() == [&one[..], &two].concat(),
                "{coding} {size}"
            );
        }
    }
    let raw = {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&one).unwrap();
        encoder.finish().unwrap()
    };
    assert!(decode("deflate", &raw).is_err(), "deflate without zlib");
}

#[test]
fn every_part_of_a_gzip_header_is_read() {
    let content = text(100);
    for flags in 0..16_u8 {
        let mut builder = GzBuilder::new();
        if flags & 1 != 0 {
            builder = builder.extra(vec![7; 300]);
        }
        if flags & 2 != 0 {
            builder = builder.filename("a name");
        }
        if flags & 4 != 0 {
            builder = builder.comment("a comment");
        }
        let mut encoder = builder.write(Vec::new(), Compression::best());
        encoder.write_all(&content).unwrap();
        let mut bytes = encoder.finish().unwrap();
        if flags & 8 != 0 {
            bytes[3] |= 2;
            let length = 10
                + usize::from(flags & 1) * 302
                + usize::from(flags & 2) / 2 * 7
                + usize::from(flags & 4) / 4 * 10;
            let mut check = Crc::new();
            check.update(&bytes[..length]);
            let check = check.sum().to_le_bytes();
            bytes.splice(length..length, [check[0], check[1]]);
            let mut wrong = bytes.clone();
            wrong[length] ^= 1;
            assert_eq!(
                decode("gzip", &wrong),
                Err(DecodeError::Corrupt(Coding::Gzip))
            );
        }
        for size in [1, 1000] {
            assert_eq!(
                decode_with("gzip", &bytes, size, BUDGET).as_ref(),
                Ok(&content),
                "{flags}"
            );
        }
    }
    let mut empty_extra = gzip(&content);
    empty_extra[3] |= 4;
    empty_extra.splice(10..10, [0, 0]);
    assert_eq!(decode("gzip", &empty_extra).as_ref(), Ok(&content));
    for (at, byte) in [(0, 0x1e), (1, 0x8c), (2, 7), (3, 0x20), (3, 0x80)] {
        let mut bytes = gzip(&content);
        bytes[at] = byte;
        assert_eq!(
            decode("gzip", &bytes),
            Err(DecodeError::Corrupt(Coding::Gzip))
        );
    }
}

#[test]
fn a_bomb_is_stopped_by_its_proportion_and_by_its_size() {
    let zeros = vec![0; 20 << 20];
    let loose = Budget {
        longest: 1 << 20,
        ratio: u64::MAX,
    };
    for coding in CODINGS {
        let bytes = encode(coding, &zeros);
        assert!(bytes.len() < 100_000);
        let mut decoder = Decoder::new(coding, BUDGET).unwrap();
        let mut out = Vec::new();
        let piece = &bytes[..bytes.len().min(1000)];
        let error = decoder.push(piece, &mut out).unwrap_err();
        assert_eq!(error.code(), "bomb", "{coding}");
        assert!(out.len() <= 100_000, "{coding}: {}", out.len());
        assert_eq!(
            decode_with(coding, &bytes, 512, loose),
            Err(DecodeError::Bomb(1 << 20))
        );
        // A bomb in a bomb.
        let twice = encode("gzip", &bytes);
        let error = decode(&format!("{coding}, gzip"), &twice).unwrap_err();
        assert_eq!(error.code(), "bomb", "{coding}");
        // Short texts may be as monotonous as they like.
        let short = vec![b'a'; 60_000];
        assert_eq!(decode(coding, &encode(coding, &short)), Ok(short));
    }
    assert_eq!(
        decode_with(
            "",
            &[0; 11],
            3,
            Budget {
                longest: 10,
                ratio: 1
            }
        ),
        Err(DecodeError::Bomb(10))
    );
}

#[test]
fn large_windows_are_refused() {
    let content = text(5000);
    let big = zstd_with(
        &content,
        &[
            CParameter::WindowLog(24),
            CParameter::ContentSizeFlag(false),
        ],
    );
    // The compressor shrinks a window that it does not need, so the header is written anew.
    let mut frame = zstd_with(&content, &[CParameter::ContentSizeFlag(false)]);
    assert_eq!(decode("zstd", &big).as_ref(), Ok(&content));
    let is_single = frame[4] & 0x20 != 0;
    assert!(!is_single, "the frame has no window of its own");
    frame[5] = 13 << 3;
    assert_eq!(decode("zstd", &frame).as_ref(), Ok(&content), "8 MiB");
    frame[5] = 14 << 3;
    assert_eq!(
        decode("zstd", &frame),
        Err(DecodeError::Corrupt(Coding::Zstd)),
        "16 MiB"
    );
    // Brotli's large windows begin with a pattern that was reserved.
    assert_eq!(
        decode("br", &[0x11, 0x1e, 0, 0]),
        Err(DecodeError::Corrupt(Coding::Brotli))
    );
}

/// Streams of events are flushed after each: what came is told, without the end.
#[test]
fn what_was_flushed_is_told_at_once() {
    let events = [&b"data: one\n\n"[..], b"data: two\n\n", b"data: three\n\n"];
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut br = CompressorWriter::new(Vec::new(), 4096, 5, 22);
    let mut context = CCtx::create();
    let mut decoders = CODINGS.map(|coding| Decoder::new(coding, BUDGET).unwrap());
    let mut sent = [0; 3];
    for event in events {
        gz.write_all(event).unwrap();
        gz.flush().unwrap();
        zlib.write_all(event).unwrap();
        zlib.flush().unwrap();
        br.write_all(event).unwrap();
        br.flush().unwrap();
        let mut frame = [0; 1000];
        let length = {
            let mut output = OutBuffer::around(frame.as_mut_slice());
            context
                .compress_stream(&mut output, &mut InBuffer::around(event))
                .unwrap();
            assert_eq!(context.flush_stream(&mut output).unwrap(), 0);
            output.pos()
        };
        let frame = &frame[..length];
        let streams: [&[u8]; 3] = [gz.get_ref(), zlib.get_ref(), br.get_ref()];
        let mut pieces: Vec<&[u8]> = Vec::new();
        for (stream, sent) in streams.into_iter().zip(&mut sent) {
            pieces.push(&stream[*sent..]);
            *sent = stream.len();
        }
        pieces.push(frame);
        for (decoder, piece) in decoders.iter_mut().zip(pieces) {
            let mut out = Vec::new();
            decoder.push(piece, &mut out).unwrap();
            assert_eq!(out, event, "{decoder:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_changed_body_is_decoded_alike_in_any_pieces(
        which in 0..8_u8,
        length in 0..3000_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let text = text(length);
        let inner = match which { 0 | 4 => "gzip", 1 => "deflate", 2 | 6 => "br", 3 | 5 => "zstd", _ => "deflate" };
        let mut bytes = encode(inner, &text);
        bytes = match which { 4 => encode("br", &bytes), 5 => encode("gzip", &bytes), 6 => encode("deflate", &bytes), _ => bytes };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.insert(0, which);
        fuzz(&bytes);
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }
}

/// Bodies are decoded in tasks that move between threads.
const _: fn() = || {
    fn moves<T: Send>() {}
    moves::<Decoder>();
};
