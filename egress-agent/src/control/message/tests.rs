use proptest::prelude::*;

use super::*;

fn requests() -> Vec<(Request, &'static str)> {
    vec![
        (
            Request::Status { session: None },
            r#"{"v":1,"op":"status"}"#,
        ),
        (Request::Sessions {}, r#"{"v":1,"op":"sessions"}"#),
        (
            Request::Why {
                target: "github.com:443".to_owned(),
                session: Some("s1".to_owned()),
            },
            r#"{"v":1,"op":"why","target":"github.com:443","session":"s1"}"#,
        ),
        (
            Request::Log {
                filter: Filter {
                    denied: true,
                    ..Filter::default()
                },
                last: Some(0),
                follow: true,
            },
            r#"{"v":1,"op":"log","filter":{"denied":true},"last":0,"follow":true}"#,
        ),
        (
            Request::Enter {
                guard: None,
                command: vec!["claude".to_owned()],
            },
            r#"{"v":1,"op":"enter","command":["claude"]}"#,
        ),
        (
            Request::End {
                session: "s1".to_owned(),
            },
            r#"{"v":1,"op":"end","session":"s1"}"#,
        ),
    ]
}

#[test]
fn requests_have_the_documented_lines() {
    for (request, text) in requests() {
        let line = request.line().unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), format!("{text}\n"));
        assert_eq!(Request::parse(text.as_bytes()), Ok(request));
    }
}

#[track_caller]
fn check_bad(line: &str, code: Code, message: &str) {
    let failure = Request::parse(line.as_bytes()).unwrap_err();
    assert_eq!(failure.code, code, "{line}: {failure}");
    assert!(failure.message.contains(message), "{line}: {failure}");
}

#[test]
fn what_is_not_a_request_is_refused_with_a_reason() {
    check_bad("", Code::BadRequest, "cannot be read");
    check_bad("[]", Code::BadRequest, "cannot be read");
    check_bad("{\"v\":1", Code::BadRequest, "cannot be read");
    check_bad(r#"{"op":"status"}"#, Code::BadRequest, "no version");
    check_bad(r#"{"v":"1","op":"status"}"#, Code::BadRequest, "no version");
    check_bad(
        r#"{"v":2,"op":"status"}"#,
        Code::WrongVersion,
        "version 2, and this side speaks version 1",
    );
    check_bad(r#"{"v":1,"op":"destroy"}"#, Code::BadRequest, "destroy");
    check_bad(
        r#"{"v":1,"op":"status","sesion":"x"}"#,
        Code::BadRequest,
        "sesion",
    );
    check_bad(
        r#"{"v":1,"op":"sessions","all":true}"#,
        Code::BadRequest,
        "all",
    );
    check_bad(r#"{"v":1,"op":"end"}"#, Code::BadRequest, "session");
    check_bad(&"[".repeat(60_000), Code::BadRequest, "cannot be read");
}

#[test]
fn replies_and_failures_read_back() {
    for reply in [
        Reply::Sessions(Vec::new()),
        Reply::Line(r#"{"v":1}"#.to_owned()),
        Reply::Missed(3),
        Reply::Done(String::new()),
    ] {
        let line = reply_line(Ok(&reply)).unwrap();
        assert_eq!(parse_reply(&line), Ok(Ok(reply)));
    }
    let failure =
        Failure::new(Code::NotFound, "no session `x`").with_help("see `egressctl session list`");
    let line = reply_line(Err(&failure)).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&line),
        concat!(
            r#"{"v":1,"error":{"code":"not-found","message":"no session `x`","#,
            r#""help":"see `egressctl session list`"}}"#,
            "\n"
        )
    );
    assert_eq!(parse_reply(&line), Ok(Err(failure)));
    let newer = parse_reply(br#"{"v":9,"ok":"whatever"}"#).unwrap_err();
    assert_eq!(newer.code, Code::WrongVersion);
    assert!(parse_reply(br#"{"v":1}"#).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Request::parse(&line).is_err());
        prop_assert!(parse_reply(&line).is_err());
    }

    #[test]
    fn any_change_of_a_request_is_read_or_refused(
        which in 0..6_usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut line = requests()[which].1.as_bytes().to_vec();
        let at = at.index(line.len());
        line[at] = byte;
        if let Ok(request) = Request::parse(&line) {
            let again = request.line().unwrap();
            prop_assert_eq!(Request::parse(again.trim_ascii_end()), Ok(request));
        }
    }
}
