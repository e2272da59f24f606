use proptest::prelude::*;

use super::*;

const CAPTURED: [(&str, &[u8]); 5] = [
    ("curl", include_bytes!("captured/curl.bin")),
    ("node", include_bytes!("captured/node.bin")),
    ("node, nothing", include_bytes!("captured/node_empty.bin")),
    ("requests", include_bytes!("captured/python_requests.bin")),
    ("urllib3", include_bytes!("captured/python_urllib3.bin")),
];

/// A request that was captured: its type in the first line, then its body.
fn captured(bytes: &[u8]) -> (Kind, &[u8]) {
    let line = memchr::memchr(b'\n', bytes).unwrap();
    let content_type = str::from_utf8(&bytes[..line]).unwrap();
    (kind(content_type).unwrap().unwrap(), &bytes[line + 1..])
}

fn form() -> Kind {
    Kind {
        is_form: true,
        boundary: "b0".to_owned(),
    }
}

fn read(body: &str) -> Result<Vec<Part<'_>>, InvalidMultipart> {
    split(&form(), body.as_bytes())
}

/// A form of one part, with these lines in its header.
fn with(header: &str, content: &str) -> String {
    format!("--b0\r\n{header}\r\n\r\n{content}\r\n--b0--\r\n")
}

type Told = (Option<String>, Option<String>, Vec<u8>);

fn told(parts: &[Part<'_>]) -> Vec<Told> {
    let tell = |part: &Part<'_>| {
        (
            part.name.clone(),
            part.filename.clone(),
            part.content.to_vec(),
        )
    };
    parts.iter().map(tell).collect()
}

fn one(name: &str, filename: Option<&str>, content: &[u8]) -> Told {
    (
        Some(name.to_owned()),
        filename.map(str::to_owned),
        content.to_vec(),
    )
}

#[test]
fn forms_of_real_clients_are_taken_apart() {
    let file = b"first line\r\nsecond \"line\"\n";
    let every: Vec<u8> = (0..=255).collect();
    let wanted = [
        vec![
            one("a", None, b"plain"),
            one("b", None, b"with"),
            one("f", Some("up.txt"), file),
            one("g", Some("ü %22x%22.bin"), &every),
            one("e", Some("up.txt"), file),
        ],
        vec![
            one("a", None, b"plain"),
            one("b%22%0D%0A", None, b"with \"quotes\""),
            one("f", Some("ü %22x%22.txt"), b"first line"),
        ],
        vec![],
        vec![
            one("a", None, b"plain"),
            one("f", Some("ü.txt"), b"first line"),
            one("g", Some("up.txt"), file),
        ],
        vec![
            one("a", None, b"plain"),
            one("f", Some("ü.txt"), b"first line"),
        ],
    ];
    for ((client, bytes), wanted) in CAPTURED.into_iter().zip(wanted) {
        let (kind, body) = captured(bytes);
        let parts = split(&kind, body).unwrap();
        assert_eq!(told(&parts), wanted, "{client}");
        fuzz(bytes);
        // All but the last line end: that may be missing.
        for at in 0..body.len() - 2 {
            assert!(split(&kind, &body[..at]).is_err(), "{client} at {at}");
        }
        assert!(split(&kind, &body[..body.len() - 2]).is_ok());
    }
}

#[test]
fn types_are_read() {
    let boundary = |text: &str| kind(text).map(|kind| kind.map(|kind| kind.boundary));
    let is = |text: &str, wanted: &str| {
        assert_eq!(boundary(text), Ok(Some(wanted.to_owned())), "{text}");
    };
    is("multipart/form-data; boundary=abc", "abc");
    is("Multipart/Form-Data;BOUNDARY=abc", "abc");
    is(
        "multipart/form-data ; charset=utf-8 ; boundary=\"a b:c\"",
        "a b:c",
    );
    is(
        "multipart/form-data; boundary=----WebKitFormBoundaryAz09",
        "----WebKitFormBoundaryAz09",
    );
    is("multipart/related; type=\"text/xml\"; boundary=a=b", "a=b");
    for other in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "multipart",
        "text/multipart/form-data",
    ] {
        assert_eq!(boundary(other), Ok(None), "{other}");
    }
    let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
    let wrong = [
        "multipart/form-data",
        "multipart/form-data;",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=a; BOUNDARY=a",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=a*b",
        "multipart/form-data; boundary=\"a\r\nb\"",
        "multipart/form-data; boundary=\"ä\"",
        &long,
    ];
    for text in wrong {
        assert_eq!(boundary(text), Err(InvalidMultipart::Boundary), "{text:?}");
    }
    for text in [
        "multipart/",
        "multipart/form data; boundary=a",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a b",
        "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=\"a\"b",
        "multipart/form-data; =a",
        "multipart/form-data; boundary =a",
        "multipart/form-data;; boundary=a",
        "multipart/form-data, boundary=a",
    ] {
        assert_eq!(boundary(text), Err(InvalidMultipart::Type), "{text:?}");
    }
}

#[test]
fn what_can_be_taken_apart_in_two_ways_is_refused() {
    use InvalidMultipart as No;
    let name = "Content-Disposition: form-data; name=a";
    let many = format!(
        "{}--b0--",
        format!("--b0\r\n{name}\r\n\r\n\r\n").repeat(MOST_PARTS + 1)
    );
    let long = with(&format!("{name}\r\nx: {}", "y".repeat(LONGEST_HEADER)), "");
    let cases: Vec<(&str, String, No)> = vec![
        ("nothing", String::new(), No::Preamble),
        ("no boundary", "plain".into(), No::Preamble),
        (
            "a preamble",
            format!("hello\r\n{}", with(name, "")),
            No::Preamble,
        ),
        (
            "an empty line first",
            format!("\r\n{}", with(name, "")),
            No::Preamble,
        ),
        (
            "an epilogue",
            format!("{}more", with(name, "")),
            No::Epilogue,
        ),
        ("a second form", with(name, "").repeat(2), No::Epilogue),
        ("an epilogue on the line", "--b0-- ".into(), No::Epilogue),
        ("a third dash", "--b0---".into(), No::Epilogue),
        (
            "no last boundary",
            format!("--b0\r\n{name}\r\n\r\nx\r\n--b0\r\n"),
            No::Truncated,
        ),
        (
            "half a last boundary",
            format!("--b0\r\n{name}\r\n\r\nx\r\n--b0-"),
            No::Truncated,
        ),
        ("half a line end", "--b0\r".into(), No::Truncated),
        (
            "a boundary after a line feed",
            with(name, "x\n--b0\r\ny"),
            No::Ambiguous(50),
        ),
        (
            "one after a carriage return",
            with(name, "x\r--b0--"),
            No::Ambiguous(50),
        ),
        ("one in a line", with(name, "x--b0--"), No::Ambiguous(49)),
        (
            "one that goes on",
            with(name, "\r\n--b0x"),
            No::Ambiguous(50),
        ),
        (
            "one with a space",
            with(name, "\r\n--b0 \r\n"),
            No::Ambiguous(50),
        ),
        (
            "one with a line feed",
            with(name, "\r\n--b0\n"),
            No::Ambiguous(50),
        ),
        (
            "a first one with a line feed",
            "--b0\n".into(),
            No::Ambiguous(0),
        ),
        ("one in a header", with("x: --b0", ""), No::Ambiguous(9)),
        (
            "a boundary right after another",
            "--b0\r\n--b0--".into(),
            No::Ambiguous(6),
        ),
        ("too many parts", many, No::TooMany),
        (
            "no end of a header",
            format!("--b0\r\n{name}\r\n--b0--"),
            No::Header(1),
        ),
        (
            "a header in line feeds",
            format!("--b0\r\n{name}\n\nx\r\n--b0--"),
            No::Header(1),
        ),
        (
            "a line feed in a header",
            with(&format!("{name}\nx: y"), ""),
            No::Header(1),
        ),
        (
            "a NUL in a header",
            with("Content-Disposition: form-data; name=\"a\0\"", ""),
            No::Header(1),
        ),
        (
            "a line that goes on",
            with(&format!("{name};\r\n filename=x"), ""),
            No::Header(1),
        ),
        (
            "a space before the colon",
            with("Content-Disposition : form-data; name=a", ""),
            No::Header(1),
        ),
        (
            "a line without a colon",
            with(&format!("{name}\r\nx"), ""),
            No::Header(1),
        ),
        ("a header too long", long, No::Header(1)),
        (
            "another disposition",
            with("Content-Disposition: attachment; name=a", ""),
            No::Header(1),
        ),
        (
            "a name without a value",
            with("Content-Disposition: form-data; name", ""),
            No::Header(1),
        ),
        (
            "a quote that stays open",
            with("Content-Disposition: form-data; name=\"a", ""),
            No::Header(1),
        ),
        (
            "a quote in a token",
            with("Content-Disposition: form-data; name=a\"b", ""),
            No::Header(1),
        ),
        (
            "another charset",
            with(&format!("{name}; filename*=latin1''x"), ""),
            No::Header(1),
        ),
        (
            "no charset",
            with(&format!("{name}; filename*=x"), ""),
            No::Header(1),
        ),
        (
            "no UTF-8",
            with(&format!("{name}; filename*=utf-8''%ff"), ""),
            No::Header(1),
        ),
        (
            "two names",
            with(&format!("{name}; name=b"), ""),
            No::Repeated(1),
        ),
        (
            "two names of files",
            with(&format!("{name}; filename=b; FILENAME=b"), ""),
            No::Repeated(1),
        ),
        (
            "a plain and an extended one",
            with(&format!("{name}; filename=b; filename*=utf-8''c"), ""),
            No::Repeated(1),
        ),
        (
            "two dispositions",
            with(&format!("{name}\r\n{name}"), ""),
            No::Repeated(1),
        ),
        (
            "two types",
            with(
                &format!("{name}\r\nContent-Type: a/b\r\ncontent-type: a/b"),
                "",
            ),
            No::Repeated(1),
        ),
        ("no header", "--b0\r\n\r\nx\r\n--b0--".into(), No::NoName(1)),
        (
            "no disposition",
            with("Content-Type: text/plain", "x"),
            No::NoName(1),
        ),
        (
            "no name",
            with("Content-Disposition: form-data; filename=x", "x"),
            No::NoName(1),
        ),
        (
            "parts in a part",
            with(
                &format!("{name}\r\nContent-Type: Multipart/Mixed; boundary=c"),
                "",
            ),
            No::Nested(1),
        ),
        (
            "quoted-printable",
            with(
                &format!("{name}\r\nContent-Transfer-Encoding: quoted-printable"),
                "",
            ),
            No::Encoding(1),
        ),
        (
            "no base64",
            with(
                &format!("{name}\r\nContent-Transfer-Encoding: base64"),
                "a?==",
            ),
            No::Base64(1),
        ),
        (
            "base64 that goes on",
            with(
                &format!("{name}\r\nContent-Transfer-Encoding: base64"),
                "aGk=aGk=",
            ),
            No::Base64(1),
        ),
    ];
    for (what, body, wanted) in cases {
        assert_eq!(read(&body).unwrap_err(), wanted, "{what}");
        assert!(!wanted.to_string().contains('\n'));
    }
}

#[test]
fn contents_are_told_as_they_are_meant() {
    let name = "Content-Disposition: form-data; name=a";
    let content = |header: &str, content: &str| {
        let body = with(header, content);
        let parts = read(&body).unwrap();
        String::from_utf8(parts[0].content.to_vec()).unwrap()
    };
    let base64 = format!("{name}\r\ncontent-transfer-encoding: BASE64");
    assert_eq!(content(&base64, "c2stYW50\r\nLWFwaTAz\r\n"), "sk-ant-api03");
    assert_eq!(content(&base64, "aGk"), "hi");
    assert_eq!(content(&base64, ""), "");
    let plain = format!("{name}\r\nContent-Transfer-Encoding: binary");
    assert_eq!(content(&plain, "\r\n\r\n--b\r\n"), "\r\n\r\n--b\r\n");
    let names = |text: &str| {
        let body = with(&format!("Content-Disposition: {text}"), "");
        let part = read(&body).unwrap().remove(0);
        (part.name.unwrap(), part.filename.unwrap_or_default())
    };
    let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
    assert_eq!(
        names(r#"form-data; name="a;b=c"; filename="x\"y\\z""#),
        pair("a;b=c", r#"x"y\z"#)
    );
    assert_eq!(
        names(r#"FORM-DATA;name="";filename="C:\dir\x""#),
        pair("", r"C:\dir\x")
    );
    assert_eq!(
        names("form-data; name=a; filename*=UTF-8'en'%C3%BC%20x"),
        pair("a", "ü x")
    );
    // Elsewhere parts need no names.
    let related = Kind {
        is_form: false,
        ..form()
    };
    let body = "--b0\r\nContent-Type: application/json\r\n\r\n{}\r\n--b0\r\n\r\nbare\r\n--b0--";
    let parts = split(&related, body.as_bytes()).unwrap();
    let contents: Vec<_> = parts
        .iter()
        .map(|part| (part.name.as_ref(), &part.content[..]))
        .collect();
    assert_eq!(contents, [(None, &b"{}"[..]), (None, b"bare")]);
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        fields in prop::collection::vec(("[a-z\"\\\\ ]{0,6}", prop::collection::vec(any::<u8>(), 0..40)), 0..5),
    ) {
        let mut body = Vec::new();
        for (name, content) in &fields {
            let name = name.replace('\\', "\\\\").replace('"', "\\\"");
            body.extend(format!("--b0\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
            body.extend(content);
            body.extend(b"\r\n");
        }
        body.extend(b"--b0--\r\n");
        let wanted: Vec<Told> = fields.iter().map(|(name, content)| one(name, None, content)).collect();
        prop_assert_eq!(told(&split(&form(), &body).unwrap()), wanted);
    }

    #[test]
    fn no_byte_hides_between_parts(text in "(--b0|--|\r\n|\n|b0|x|Content-Disposition: form-data; name=a|\r\n\r\n){0,14}", whole: bool) {
        let name = "Content-Disposition: form-data; name=a\r\n\r\n";
        let text = if whole { format!("--b0\r\n{name}{text}\r\n--b0--") } else { text };
        fuzz(format!("multipart/form-data; boundary=b0\n{text}").as_bytes());
        fuzz(format!("multipart/mixed; boundary=b0\n{text}").as_bytes());
    }

    #[test]
    fn a_changed_form_is_judged(which in 0..CAPTURED.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = CAPTURED[which].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz(&bytes);
    }
}
