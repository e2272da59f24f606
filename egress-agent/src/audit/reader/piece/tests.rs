use std::fs;

use proptest::prelude::*;

use super::*;

fn pieces(dir: &Path, files: &[Vec<u8>]) -> Vec<Piece> {
    let files = files.iter().enumerate().map(|(number, bytes)| {
        let path = dir.join(number.to_string());
        fs::write(&path, bytes).unwrap();
        (path.as_path().into(), File::open(&path).unwrap())
    });
    Pieces::new(files.collect())
        .map(|piece| piece.unwrap())
        .collect()
}

fn lines(pieces: &[Piece]) -> Vec<(String, u64, Vec<u8>, bool)> {
    let mut all = Vec::new();
    for piece in pieces {
        let file = piece.file.file_name().unwrap().to_str().unwrap().to_owned();
        for line in piece.lines() {
            all.push((file.clone(), line.number, line.bytes.to_vec(), line.ended));
        }
    }
    all
}

#[test]
fn pieces_end_at_lines_and_lines_are_numbered_through_them() {
    let dir = tempfile::tempdir().unwrap();
    let line = "x".repeat(1_000);
    let mut text = String::new();
    for number in 0..2_000 {
        text.extend([&number.to_string(), &line, "\n"]);
    }
    text.push_str("torn");
    let pieces = pieces(
        dir.path(),
        &[text.clone().into_bytes(), Vec::new(), b"a\n\nb\n".to_vec()],
    );
    assert!(pieces.len() > 3);
    let found = lines(&pieces);
    let mut expected: Vec<_> = text
        .lines()
        .zip(1..)
        .map(|(line, number)| {
            (
                "0".to_owned(),
                number,
                line.as_bytes().to_vec(),
                number < 2_001,
            )
        })
        .collect();
    for (number, line) in [(1, "a"), (2, ""), (3, "b")] {
        expected.push(("2".to_owned(), number, line.as_bytes().to_vec(), true));
    }
    assert_eq!(found, expected);
}

#[test]
fn a_line_of_any_length_takes_bounded_memory_and_is_seen_as_too_long() {
    let dir = tempfile::tempdir().unwrap();
    for end in ["", "\n", "\nnext\n"] {
        let mut text = vec![b'x'; 5 * PIECE];
        text.extend_from_slice(end.as_bytes());
        let pieces = pieces(dir.path(), &[text]);
        assert!(pieces.iter().all(|piece| piece.bytes.len() <= 2 * PIECE));
        let found = lines(&pieces);
        assert!(found[0].2.len() > LONGEST_LINE);
        let rest: Vec<_> = found[1..]
            .iter()
            .map(|line| (line.1, line.2.as_slice()))
            .collect();
        let expected: &[(u64, &[u8])] = if end.len() > 1 { &[(2, b"next")] } else { &[] };
        assert_eq!(rest, expected);
    }
}

#[test]
fn what_several_threads_did_comes_in_order() {
    for threads in [1, 2, 4] {
        let done: Result<Vec<u32>, Unfinished> = in_order(0..2_000_u32, threads, |number| {
            if number % 7 == 0 {
                thread::yield_now();
            }
            number * 2
        })
        .collect();
        let expected: Vec<u32> = (0..2_000).map(|number| number * 2).collect();
        assert_eq!(done, Ok(expected));
    }
}

#[test]
fn a_thread_that_ends_early_is_told_of() {
    let done: Result<Vec<u32>, Unfinished> = in_order(0..100_u32, 2, |number| {
        assert!(number != 50, "on purpose");
        number
    })
    .collect();
    assert_eq!(done, Err(Unfinished));
}

#[test]
fn who_stops_to_listen_stops_the_work() {
    let (sender, dropped) = sync_channel::<()>(1);
    let mut worked = in_order(0..u32::MAX, 2, move |number| {
        let _alive = &sender;
        number
    });
    assert_eq!(worked.next(), Some(Ok(0)));
    drop(worked);
    assert!(dropped.recv().is_err());
}

proptest! {
    #[test]
    fn lines_back_are_the_lines_turned_round(bytes in "[a\n]{0,12}") {
        let piece = Piece { file: Path::new("x").into(), line: 1, bytes: bytes.into_bytes() };
        let mut back: Vec<_> = piece.lines_back().collect();
        back.reverse();
        let lines: Vec<_> = piece.lines().map(|line| line.bytes).collect();
        prop_assert_eq!(back, lines);
    }
}
