//! A labelled corpus, made at run time: what must be found and what must not.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Random, inspector};
use crate::{Confidence, Inspector, Options, detectors};

/// Texts for each sample of a detector.
const EACH: usize = 12;
const NEGATIVES: usize = 1200;

#[test]
fn every_positive_is_found() {
    let inspector = Inspector::new(Options {
        enabled: detectors()
            .filter(|detector| detector.is_optional)
            .map(|detector| detector.id.to_owned())
            .collect(),
        ..Options::default()
    })
    .unwrap();
    let mut random = Random(2024);
    let (mut all, mut found) = (0, 0);
    let mut missed = Vec::new();
    for detector in detectors() {
        for template in detector.positive {
            for index in 0..EACH {
                let text = around(&mut random, index, template);
                let report = inspector.inspect(text.as_bytes());
                all += 1;
                if report
                    .findings
                    .iter()
                    .any(|finding| finding.detector == detector.id)
                {
                    found += 1;
                } else {
                    missed.push(format!("{}: {text}", detector.id));
                }
            }
        }
    }
    println!("positives: {found} of {all} found");
    assert!(all >= 1000, "{all} positives");
    assert_eq!(found, all, "{}", missed.join("\n"));
}

#[test]
fn nearly_no_negative_is_found() {
    let inspector = inspector();
    let mut random = Random(4711);
    let mut by_detector: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut low = 0;
    for index in 0..NEGATIVES {
        let text = negative(&mut random, index);
        for finding in inspector.inspect(text.as_bytes()).findings {
            if finding.confidence < Confidence::Medium {
                low += 1;
                continue;
            }
            *by_detector.entry(finding.detector.clone()).or_default() += 1;
            wrong.push(format!("{}: {}", finding.detector, &text[finding.range]));
        }
    }
    println!(
        "negatives: {} wrong findings of medium or high confidence in {NEGATIVES} texts \
         ({low} of low confidence): {by_detector:?}",
        wrong.len()
    );
    assert!(wrong.len() <= 5, "{}", wrong.join("\n"));
}

/// A sample as it stands in files, calls and commands.
fn around(random: &mut Random, index: usize, template: &str) -> String {
    let secret = random.sample(template);
    match index % 6 {
        0 => secret,
        1 => format!("# notes\n\nuse this: {secret}\nthanks"),
        2 => format!("curl -d '{secret}' https://example.com/upload"),
        3 => format!("<p>{secret}</p>"),
        4 => format!("first line\r\n{secret}\r\nlast line"),
        _ => format!("cfg = [ {secret} ]  // do not commit"),
    }
}

/// A text that only looks as if.
fn negative(random: &mut Random, index: usize) -> String {
    let mut hex = |length| random.sample(&format!("<hex:{length}>"));
    match index % 24 {
        0 => format!("commit {}\nAuthor: A B <a@example.com>\nDate: today", hex(40)),
        1 => format!("{}  file.tar.gz\n{}  other.iso", hex(64), hex(64)),
        2 => {
            let id = random.sample("<hex:8>-<hex:4>-4<hex:3>-a<hex:3>-<hex:12>");
            format!("request_id={id} status=200 correlation: {id}")
        }
        3 => format!(
            "name = \"serde\"\nversion = \"1.0.{}\"\nchecksum = \"{}\"",
            index,
            hex(64)
        ),
        4 => {
            let sum = STANDARD.encode(random.bytes(64));
            format!("\"integrity\": \"sha512-{sum}\",\n\"resolved\": \"https://registry.npmjs.org/a/-/a-1.2.3.tgz\"")
        }
        5 => format!("<img src=\"data:image/png;base64,{}\">", STANDARD.encode(random.bytes(600))),
        6 => minified(random),
        7 => "export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n\
              export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
            .to_owned(),
        8 => "GITHUB_TOKEN=${{ secrets.GITHUB_TOKEN }}\npassword: <your-password>\n\
              api_key: YOUR_API_KEY_HERE\ntoken = \"changeme123\""
            .to_owned(),
        9 => "let token = parser.next_token()?;\nlet password = prompt(\"Password: \")?;\n\
              self.secret = Secret::new(value);\nif token == Token::Comma2 { secret_count += 1 }"
            .to_owned(),
        10 => format!("FROM alpine@sha256:{}\nRUN apk add curl", hex(64)),
        11 => format!("h1:{}=\ngithub.com/a/b v1.2.3/go.mod", STANDARD.encode(random.bytes(32)).trim_end_matches('=')),
        12 => format!("id: {}\nexpires: {}", random.sample("<dig:18>"), random.sample("17<dig:8>")),
        13 => format!("order {} total {}.{} phone +49 {} {}", random.sample("<dig:10>"), index, 50, random.sample("<dig:3>"), random.sample("<dig:7>")),
        14 => format!("GET /api/v1/users/{}/items?page=2&sort=name HTTP/1.1\nHost: api.example.com", random.sample("<dig:6>")),
        15 => format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", wrapped(random)),
        16 => format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{} user@host", STANDARD.encode(random.bytes(33))),
        17 => "postgres://localhost:5432/app\nredis://cache:6379/0\nmysql://user:password@localhost/db\n\
               https://user:${PASS}@example.com/"
            .to_owned(),
        18 => format!("/nix/store/{}-glibc-2.38/lib/libc.so.6", random.sample("<low:32>")),
        19 => format!("etag: \"{}-{}\"\nx-request-id: {}", hex(8), hex(12), hex(32)),
        20 => prose(random),
        21 => format!("0x{} to 0x{} block {}", hex(64), hex(40), index),
        22 => format!("Authorization: Bearer <token>\nAuthorization: Bearer $TOKEN\nAuthorization: Basic $(echo)\nX-Trace: {}", hex(16)),
        _ => format!(
            "{{\"sha\":\"{}\",\"node_id\":\"MDY6Q29tbWl0{}\",\"url\":\"https://api.github.com/repos/o/r/git/commits/{}\"}}",
            hex(40),
            hex(20),
            hex(40)
        ),
    }
}

fn minified(random: &mut Random) -> String {
    let names = "abcdefghijklmnopqrstuvwxyz";
    let mut code = String::from("!function(e,t){\"use strict\";");
    for _ in 0..60 {
        let (a, b) = (random.signs(names, 2), random.signs(names, 1));
        let part = match random.below(6) {
            0 => format!("var {a}=t.{b}(e,{}),", random.below(9999)),
            1 => format!("{a}.prototype.{b}=function(e){{return this.{a}&&e?{b}(e):null}},"),
            2 => format!(
                "if(!{a}||{b}.token!==e.key)throw new Error(\"E{}\");",
                random.below(99)
            ),
            3 => format!("{a}.exports={{password:{b}.password,token:{a}.token||\"\"}};"),
            4 => format!("for(var {b}=0;{b}<{a}.length;{b}++)e[{b}]=t({a}[{b}]);"),
            _ => format!(
                "{a}[\"{}\"]=/^[a-z0-9]+$/i.test({b}),",
                random.signs(names, 8)
            ),
        };
        code.push_str(&part);
    }
    code + "}(window,document);"
}

fn wrapped(random: &mut Random) -> String {
    let code = STANDARD.encode(random.bytes(700));
    let lines: Vec<&str> = (0..code.len())
        .step_by(64)
        .map(|at| &code[at..code.len().min(at + 64)])
        .collect();
    lines.join("\n")
}

fn prose(random: &mut Random) -> String {
    let words = [
        "the", "secret", "of", "a", "good", "password", "is", "its", "length", "and", "nobody",
        "should", "share", "token", "values", "with", "others", "because", "every", "key", "opens",
        "some", "door", "that", "was", "closed", "for", "reason", "basic", "bearer", "routing",
    ];
    let text: Vec<&str> = (0..120).map(|_| words[random.below(words.len())]).collect();
    text.join(" ") + "."
}
