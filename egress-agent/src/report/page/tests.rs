use super::*;

#[test]
fn numbers_and_bytes_are_short_and_right() {
    let number = |number| Cell::Number(number).text();
    assert_eq!(number(0), "0");
    assert_eq!(number(999), "999");
    assert_eq!(number(1_000), "1\u{a0}000");
    assert_eq!(number(12_345_678), "12\u{a0}345\u{a0}678");
    let bytes = |bytes| Cell::Bytes(Some(bytes)).text();
    assert_eq!(bytes(0), "0 B");
    assert_eq!(bytes(1_023), "1023 B");
    assert_eq!(bytes(1_024), "1.0 KiB");
    assert_eq!(bytes(1_536), "1.5 KiB");
    assert_eq!(bytes((5 << 30) + (512 << 20)), "5.5 GiB");
    assert_eq!(bytes(u64::MAX), "15.9 EiB");
    assert_eq!(Cell::Bytes(None).text(), "not counted");
}

#[test]
fn what_is_not_shown_is_said() {
    let top = |more, uncounted| Top::<u8> {
        rows: Vec::new(),
        more,
        uncounted,
    };
    assert_eq!(more(&top(0, 0), "host", "connections"), None);
    assert_eq!(
        more(&top(1, 0), "host", "connections").unwrap(),
        "and 1 more host"
    );
    assert_eq!(
        more(&top(3, 9), "host", "connections").unwrap(),
        "and 3 more hosts, 9 connections of others that there was no room to list"
    );
}
