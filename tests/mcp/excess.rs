//! Messages that are too much, in either direction: each has its verdict, and the guard stays small.

use data_encoding::BASE64;

use super::*;

/// Of the guard, whatever comes: the longest message a few times over, and the inspector.
const MOST_MEMORY: u64 = 400 << 20;

/// A server whose tool `raw` says what the file of its argument holds, as it stands there.
const RAW: &str = r#"
def call(m, name, arguments):
    made = arguments.get("made") if isinstance(arguments, dict) else None
    head = b'{"jsonrpc":"2.0","id":' + str(m["id"]).encode() + b',"result":{"content":[{"type":"text","text":"'
    tail = b'"}]}}\n'
    if made == "long":
        raw(head)
        for _ in range(100): raw(b"x" * (1 << 20))
        raw(tail)
    elif made == "bytes": raw(head + b"\xff\xfe\xc3" + tail)
    elif made == "deep": raw(head[:-1] + b"[" * 10000 + b"]" * 10000 + tail[1:])
    elif made == "coded":
        import base64
        text = b"nothing to see here, twice or thrice, " * 4
        for _ in range(12): text = base64.b64encode(text)
        raw(head + text + tail)
    else: answer(m, "ok")
"#;

#[test]
fn what_is_too_much_has_a_verdict_in_both_directions_and_takes_bounded_memory() {
    let mut guarded = Guarded::listed(RAW, &[]);
    for (id, (made, expected)) in [
        ("long", "too-long"),
        ("bytes", "not-utf8"),
        ("deep", "too-deep"),
        ("coded", "inspection-incomplete"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = u32::try_from(id).unwrap() * 10 + 1;
        let back = guarded.ask(&call(id, "add", &json!({ "made": made })));
        assert_eq!(back["id"], id, "{made}: {back}");
        let told = back["result"]["content"][0]["text"].as_str();
        let told = told.or(back["error"]["message"].as_str()).unwrap();
        assert!(told.contains(&format!("({expected})")), "{made}: {told}");
        guarded.works(id + 1);

        let there = guarded.ask_raw(made, id + 2);
        assert_eq!(code(&there), expected, "{made}: {there}");
        assert_eq!(there["id"], id + 2, "{made}: {there}");
        guarded.works(id + 3);
    }
    let most = guarded.most_memory();
    assert!(most < MOST_MEMORY, "{} MB", most >> 20);
    assert!(guarded.end().0.success());
}

impl Guarded {
    /// A call that holds what the server makes of `made`.
    #[track_caller]
    fn ask_raw(&mut self, made: &str, id: u32) -> Value {
        let head = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"add","arguments":{{"a":"#
        );
        self.write(head.as_bytes());
        match made {
            "long" => {
                self.write(b"\"");
                let piece = vec![b'x'; 1 << 20];
                for _ in 0..100 {
                    self.write(&piece);
                }
                self.write(b"\"");
            }
            "bytes" => self.write(b"\"\xff\xfe\xc3\""),
            "deep" => {
                self.write(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)).as_bytes());
            }
            "coded" => {
                let mut text = b"nothing to see here, twice or thrice, ".repeat(4);
                for _ in 0..12 {
                    text = BASE64.encode(&text).into_bytes();
                }
                self.write(&[b"\"", text.as_slice(), b"\""].concat());
            }
            other => panic!("{other}"),
        }
        self.write(b"}}}\n");
        self.next()
    }
}
