//! What must hold for any bytes of a client.

use super::{BadBody, Decoder, Framing, Head, Piece, Progress, Target, read};

/// A request, its body and what comes after it.
pub(crate) fn request(bytes: &[u8]) {
    let whole = read(bytes);
    for at in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
        let part = read(bytes.get(..at).unwrap_or_default());
        let is_early = part == Ok(Progress::More) || part == whole;
        assert!(is_early, "cut at {at}: {part:?}, and not {whole:?}");
    }
    match whole {
        Ok(Progress::More) => assert!(bytes.len() < super::LONGEST_HEAD),
        Ok(Progress::Head { head, length }) => {
            let (taken, rest) = bytes.split_at_checked(length).unwrap_or_default();
            assert!(taken.ends_with(b"\r\n\r\n"), "the head ends elsewhere");
            written_again(&head);
            body(head.framing, rest);
        }
        Err(bad) => {
            let text = bad.to_string();
            assert!(bad.status().is_client_error() || bad.status().is_server_error());
            assert!(!text.is_empty() && !text.contains('\n'));
        }
    }
}

/// A body in chunks.
pub(crate) fn chunks(bytes: &[u8]) {
    body(Framing::Chunked, bytes);
}

/// The head that the server gets is the one that was judged.
fn written_again(head: &Head) {
    let target = match head.target.path() {
        Some(path) => path.to_string(),
        None => head.authority.to_string(),
    };
    let mut bytes = format!("{} {target} HTTP/1.1\r\n", head.method).into_bytes();
    let forward = head.forward();
    for (name, value) in &forward {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    // The canonical text may be longer by a `Host` that was not there.
    if bytes.len() > super::LONGEST_HEAD || forward.len() > super::MOST_FIELDS {
        return;
    }
    let again = read(&bytes);
    let is_read = matches!(&again, Ok(Progress::Head { length, .. }) if *length == bytes.len());
    assert!(
        is_read,
        "{} was read as {again:?}",
        String::from_utf8_lossy(&bytes)
    );
    let Ok(Progress::Head { head: other, .. }) = again else {
        return;
    };
    assert_eq!((&head.method, head.framing), (&other.method, other.framing));
    assert_eq!(head.target.path(), other.target.path());
    assert_eq!(head.authority, other.authority);
    assert_eq!(head.websocket, other.websocket);
    assert_eq!(forward, other.forward());
    assert!(!matches!(other.target, Target::Absolute(_)) && !other.expects_continue);
}

/// However a body comes in pieces, it is the same body, and ends at the same place.
fn body(framing: Framing, bytes: &[u8]) {
    let whole = decoded(framing, bytes, bytes.len().max(1));
    for size in [1, 2, 3, 7] {
        assert_eq!(decoded(framing, bytes, size), whole, "{size} at a time");
    }
    let Ok((data, taken)) = whole else { return };
    assert!(data.len() <= bytes.len());
    if let (Framing::Chunked, Some(_)) = (framing, taken) {
        let mut written = Vec::new();
        super::body::chunk(&data, &mut written);
        written.extend_from_slice(super::body::LAST_CHUNK);
        let end = Some(written.len());
        assert_eq!(decoded(framing, &written, 5), Ok((data, end)));
    }
}

/// The data, and how many bytes the body was, when it is complete.
fn decoded(
    framing: Framing,
    bytes: &[u8],
    size: usize,
) -> Result<(Vec<u8>, Option<usize>), BadBody> {
    let mut decoder = Decoder::new(framing);
    let (mut data, mut total) = (Vec::new(), 0);
    if decoder.is_complete() {
        return Ok((data, Some(0)));
    }
    for mut piece in bytes.chunks(size) {
        loop {
            let (taken, found) = decoder.decode(piece)?;
            total += taken;
            piece = piece.get(taken..).unwrap_or_default();
            match found {
                Piece::Data(found) => data.extend_from_slice(found),
                Piece::More => break,
                Piece::End => return Ok((data, Some(total))),
            }
        }
        assert!(piece.is_empty(), "bytes were left with `More`");
    }
    Ok((data, decoder.is_complete().then_some(total)))
}
