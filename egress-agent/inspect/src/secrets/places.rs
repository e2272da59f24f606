//! What tells of people and machines without opening anything: hashes, addresses, names, paths.
//!
//! They stand in every log and every page, so that nobody looks for them unless a policy names them
//! for redaction. A detector that is not asked for is not there.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use ipnet::IpNet;

use super::{Detector, Edge, Search, TOKEN};
use crate::{
    finding::{Confidence, Kind, Severity},
    suffix::suffix,
    view::words::is_alnum,
};

pub(super) const ALL: &[Detector] = &[
    MD5,
    SHA1,
    SHA256,
    IPV4,
    IPV6,
    CIDR,
    MAC,
    EMAIL,
    HOST_NAME,
    DOMAIN_USER,
    SSH_PATH,
    AWS_PATH,
    SYSTEM_PATH,
];

/// What all of them have in common.
const PLACE: Detector = Detector {
    kind: Kind::Personal,
    severity: Severity::Info,
    confidence: Confidence::Medium,
    edge: Edge::Any,
    is_optional: true,
    ..TOKEN
};

/// Bytes of a host name (RFC 1035) and of a path that are looked at.
const LONGEST_NAME: usize = 253;
const LONGEST_PATH: usize = 256;
/// Bytes of an address as text: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`, and a prefix.
const LONGEST_ADDRESS: usize = 49;

/// *What it does*: finds words of 32 hexadecimal digits, the length of MD5 (RFC 1321). *Why it
/// matters*: it tells which file somebody has. *Known gaps*: other numbers of that length, such as
/// identifiers without dashes; base64. *Example*: 32 digits behind `md5:`.
const MD5: Detector = Detector {
    id: "hash-md5",
    what: "an MD5 hash",
    search: Search::Word(md5),
    positive: &["<hex:32>", "md5:<hex:32>", "<HEX:32>  file.iso"],
    negative: &[
        "<hex:31>",
        "<hex:33>",
        "id-<hex:32>",
        "<hex:8>-<hex:4>-4<hex:3>-a<hex:3>-<hex:12>",
    ],
    ..PLACE
};

/// *What it does*: finds words of 40 hexadecimal digits, the length of SHA-1 (RFC 3174). *Why it
/// matters*: it names a commit or a file. *Known gaps*: other numbers of that length; base64.
/// *Example*: `commit ` and 40 digits.
const SHA1: Detector = Detector {
    id: "hash-sha1",
    what: "a SHA-1 hash",
    search: Search::Word(sha1),
    positive: &["<hex:40>", "commit <hex:40>"],
    negative: &["<hex:39>", "<hex:64>", "0x<hex:40>"],
    ..PLACE
};

/// *What it does*: finds words of 64 hexadecimal digits, the length of SHA-256 (RFC 6234). *Why it
/// matters*: it names a file or an image. *Known gaps*: other numbers of that length; base64.
/// *Example*: `sha256:` and 64 digits.
const SHA256: Detector = Detector {
    id: "hash-sha256",
    what: "a SHA-256 hash",
    search: Search::Word(sha256),
    positive: &["<hex:64>", "alpine@sha256:<hex:64>"],
    negative: &["<hex:63>", "<hex:40>", "<let:64>"],
    ..PLACE
};

/// *What it does*: finds IPv4 addresses in four decimal numbers. *Why it matters*: it tells how a
/// network is built. *Known gaps*: versions of four numbers are addresses too; numbers in hex or
/// octal are none. *Example*: `10.20.0.7`.
const IPV4: Detector = Detector {
    id: "ipv4",
    what: "an IPv4 address",
    keywords: &["."],
    search: Search::Hand(ipv4),
    positive: &[
        "10.20.0.<dig:2>",
        "http://192.168.1.<dig:2>:8080/x",
        "to 203.0.113.9.",
        "10.0.0.0/8",
    ],
    negative: &[
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "v1.2.3.4",
        "1.2.3.4-rc1",
        "01.2.3.4",
        "0.0.0.0",
    ],
    ..PLACE
};

/// *What it does*: finds IPv6 addresses (RFC 4291) with a digit in them. *Why it matters*: it tells
/// how a network is built. *Known gaps*: zones behind `%` stay; paths of code such as `e::f1` are
/// addresses too. *Example*: `2001:db8::7`.
const IPV6: Detector = Detector {
    id: "ipv6",
    what: "an IPv6 address",
    keywords: &[":"],
    search: Search::Hand(ipv6),
    positive: &[
        "2001:db8::<hex:4>",
        "[2001:db8:1:2:3:4:5:6]:443",
        "::ffff:10.1.2.3",
        "fe80::1%eth0",
    ],
    negative: &[
        "12:34:56",
        "std::vec",
        "a::b",
        "00:11:22:33:44:55",
        "::",
        "x2001:db8::1",
    ],
    ..PLACE
};

/// *What it does*: finds networks of both families, as an address and the length of its prefix.
/// *Why it matters*: it tells how a network is built. *Known gaps*: masks (`/255.0.0.0`), ranges
/// with a dash. *Example*: `10.20.0.0/16`.
const CIDR: Detector = Detector {
    id: "cidr",
    what: "a network",
    keywords: &["/"],
    search: Search::Hand(cidr),
    positive: &["10.<dig:2>.0.0/16", "allow 2001:db8::/32;", "0.0.0.0/1"],
    negative: &[
        "10.0.0.0/33",
        "10.0.0/8",
        "1/2",
        "10.0.0.0/8/x",
        "2001:db8::/129",
    ],
    ..PLACE
};

/// *What it does*: finds hardware addresses of 48 bits, in pairs with `:` or `-` or in three groups
/// with dots. *Why it matters*: it names one machine. *Known gaps*: without separators; 64 bits.
/// *Example*: `52:54:00:` and three pairs more.
const MAC: Detector = Detector {
    id: "mac-address",
    what: "a hardware address",
    keywords: &[":", "-", "."],
    search: Search::Hand(mac),
    positive: &[
        "52:54:00:a<dig:1>:<hex:2>:<hex:2>",
        "ether 52-54-00-AB-<dig:2>-01",
        "5254.00ab.<hex:4>",
    ],
    negative: &[
        "52:54:00:ab:cd",
        "52:54:00:ab:cd:ef:01",
        "52:54-00:ab:cd:ef",
        "2024-01-02-03-04-05",
        "5254.00ab",
    ],
    ..PLACE
};

/// *What it does*: finds addresses of electronic mail in their usual form. *Why it matters*: it
/// names a person. *Known gaps*: quoted local parts, other alphabets; `git@github.com` is one too.
/// *Example*: `ada@example.org`.
const EMAIL: Detector = Detector {
    id: "email",
    what: "an e-mail address",
    keywords: &["@"],
    search: Search::Hand(email),
    positive: &[
        "ada.<let:5>@example.org",
        "<let:4>+news@mail.corp.example.com.",
        "mailto:<let:6>@example.de",
    ],
    negative: &[
        "@example.org",
        "ada@localhost",
        "user@host",
        "serde@1.0.3",
        "a @ b.com",
        "name@.com",
    ],
    ..PLACE
};

/// *What it does*: finds host names under a suffix that the Public Suffix List knows. *Why it
/// matters*: it tells with whom somebody works. *Known gaps*: names of one label; two labels that
/// end like a file (`main.rs`) count only behind `://` or `@`; other alphabets. *Example*:
/// `build7.example.com`.
const HOST_NAME: Detector = Detector {
    id: "host-name",
    what: "a host name",
    keywords: &["."],
    search: Search::Hand(host_name),
    positive: &[
        "build<dig:1>.<let:6>.com",
        "https://<let:6>.rs/x",
        "see www.<let:5>.co.uk.",
    ],
    negative: &[
        "main.rs",
        "self.name",
        "1.2.3.4",
        "co.uk",
        "a.b.c",
        "x.test",
        "file.tar.gz",
        "-a.com",
    ],
    ..PLACE
};

/// *What it does*: finds accounts of Windows domains: a `NetBIOS` name in capitals, a backslash, a
/// user. *Why it matters*: it names a person and a domain. *Known gaps*: domains in small letters
/// look like paths; `user@domain` is an e-mail address. *Example*: `CORP\ada`.
const DOMAIN_USER: Detector = Detector {
    id: "domain-user",
    what: "an account of a domain",
    keywords: &["\\"],
    search: Search::Hand(domain_user),
    positive: &["CORP\\<let:6>", "runas /user:EU-WEST1\\<let:4>.<let:5> cmd"],
    negative: &[
        "C:\\Users\\ada",
        "Users\\ada",
        "\\\\SERVER\\share",
        "A\\b",
        "CORP\\dir\\file",
        "HKEY\\",
    ],
    ..PLACE
};

/// *What it does*: finds paths below a directory `.ssh`. *Why it matters*: it says where keys are.
/// *Known gaps*: paths with blanks, and with backslashes. *Example*: `~/.ssh/id_ed25519`.
const SSH_PATH: Detector = Detector {
    id: "ssh-path",
    what: "a path to keys of SSH",
    keywords: &[".ssh/"],
    search: Search::Hand(path),
    positive: &[
        "~/.ssh/id_<let:4>",
        "/home/<let:4>/.ssh/config",
        "$HOME/.ssh/known_hosts",
    ],
    negative: &["~/.sshd/x", "id.ssh", "x.ssh/", "~/.ssh/"],
    ..PLACE
};

/// *What it does*: finds paths below a directory `.aws`. *Why it matters*: it says where
/// credentials are. *Known gaps*: paths with blanks, and with backslashes. *Example*:
/// `~/.aws/credentials`.
const AWS_PATH: Detector = Detector {
    id: "aws-path",
    what: "a path to credentials of AWS",
    keywords: &[".aws/"],
    search: Search::Hand(path),
    positive: &[
        "~/.aws/credentials",
        "/home/<let:4>/.aws/config",
        "${HOME}/.aws/sso/cache/<hex:8>.json",
    ],
    negative: &["docs.aws/", "x.aws/credentials", "~/.awsrc/x"],
    ..PLACE
};

/// *What it does*: finds the files in which Unix keeps passwords and who may become root, shadow(5)
/// and sudoers(5), also below another root. *Why it matters*: it says what somebody is after.
/// *Known gaps*: paths with `..`. *Example*: `/etc/shadow`.
const SYSTEM_PATH: Detector = Detector {
    id: "system-secrets-path",
    what: "a path to secrets of the system",
    keywords: &[
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/sudoers",
        "/etc/master.passwd",
        "/etc/security/opasswd",
    ],
    search: Search::Hand(system_path),
    positive: &[
        "cat /etc/shadow",
        "/mnt/<let:4>/etc/gshadow-",
        "/etc/sudoers.d/<let:5>",
        "/etc/master.passwd",
    ],
    negative: &["/etc/shadowsocks", "/etc/passwd", "etc/shadow"],
    ..PLACE
};

fn md5(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    hash(bytes, word, 32)
}

fn sha1(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    hash(bytes, word, 40)
}

fn sha256(bytes: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    hash(bytes, word, 64)
}

fn hash(bytes: &[u8], word: &Range<usize>, length: usize) -> Option<Range<usize>> {
    let text = bytes.get(word.clone())?;
    let is_hash = text.len() == length && text.iter().all(u8::is_ascii_hexdigit);
    is_hash.then(|| word.clone())
}

/// The longest run around a place, unless it is longer than what is looked for.
fn run(
    bytes: &[u8],
    at: usize,
    is_part: impl Fn(u8) -> bool,
    longest: usize,
) -> Option<Range<usize>> {
    let part = |byte: &&u8| is_part(**byte);
    let before = bytes.get(..at)?.iter().rev().take(longest + 1);
    let start = at - before.take_while(part).count();
    let after = bytes.get(at..)?.iter().take(longest + 1);
    let end = at + after.take_while(part).count();
    (end - start <= longest).then_some(start..end)
}

/// Whether a run stands by itself.
fn is_whole(bytes: &[u8], run: &Range<usize>) -> bool {
    let is_word = |byte: &u8| is_alnum(*byte) || *byte == b'_';
    let before = run.start.checked_sub(1).and_then(|at| bytes.get(at));
    !before.is_some_and(is_word) && !bytes.get(run.end).is_some_and(is_word)
}

/// The run without the signs that end a sentence.
fn without_end(bytes: &[u8], run: Range<usize>, ends: &[u8]) -> Range<usize> {
    let text = bytes.get(run.clone()).unwrap_or_default();
    let ends = text.iter().rev().take_while(|byte| ends.contains(byte));
    run.start..run.end - ends.count()
}

fn text<'b>(bytes: &'b [u8], range: &Range<usize>) -> Option<&'b str> {
    str::from_utf8(bytes.get(range.clone())?).ok()
}

fn ipv4(bytes: &[u8], dot: usize) -> Option<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let run = without_end(bytes, run(bytes, dot, is_part, LONGEST_ADDRESS)?, b".");
    let is_version = bytes.get(run.end) == Some(&b'-')
        && bytes.get(run.end + 1).is_some_and(u8::is_ascii_alphabetic);
    if !is_whole(bytes, &run) || is_version {
        return None;
    }
    let address: Ipv4Addr = text(bytes, &run)?.parse().ok()?;
    (!address.is_unspecified()).then_some(run)
}

fn ipv6(bytes: &[u8], colon: usize) -> Option<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let run = without_end(bytes, run(bytes, colon, is_part, LONGEST_ADDRESS)?, b".");
    let address = text(bytes, &run)?;
    let has_digit = address.bytes().any(|byte| byte.is_ascii_digit());
    (has_digit && is_whole(bytes, &run) && address.parse::<Ipv6Addr>().is_ok()).then_some(run)
}

fn cidr(bytes: &[u8], slash: usize) -> Option<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'/');
    let run = without_end(bytes, run(bytes, slash, is_part, LONGEST_ADDRESS)?, b".:");
    let network = text(bytes, &run)?;
    (is_whole(bytes, &run) && network.parse::<IpNet>().is_ok()).then_some(run)
}

fn mac(bytes: &[u8], mark: usize) -> Option<Range<usize>> {
    let separator = *bytes.get(mark)?;
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'-' | b'.');
    let run = without_end(bytes, run(bytes, mark, is_part, LONGEST_ADDRESS)?, b".:-");
    let groups = bytes.get(run.clone())?.split(|byte| *byte == separator);
    let lengths: Vec<usize> = groups
        .map(|group| {
            group
                .iter()
                .take_while(|byte| byte.is_ascii_hexdigit())
                .count()
        })
        .collect();
    // Every byte but the separators is a digit.
    let is_pure = lengths.iter().sum::<usize>() + lengths.len() == run.len() + 1;
    let is_mac = match separator {
        b'.' => lengths == [4, 4, 4],
        _ => lengths == [2; 6],
    };
    (is_pure && is_mac && is_whole(bytes, &run)).then_some(run)
}

fn email(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let is_local = |byte: u8| is_alnum(byte) || b"._%+-".contains(&byte);
    let before = bytes.get(..at)?.iter().rev().take(65);
    let local = before.take_while(|byte| is_local(**byte)).count();
    let host = label_run(bytes, at + 1)?;
    let name = text(bytes, &host)?;
    let last = name.rsplit('.').next()?;
    let is_named = name.contains('.')
        && last.len() >= 2
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && are_labels(name);
    let first = bytes.get(at.checked_sub(local)?)?;
    (is_named && (1..=64).contains(&local) && is_alnum(*first)).then(|| at - local..host.end)
}

/// Endings of files that are suffixes of names too.
const FILES: &[&str] = &[
    "ai", "app", "cc", "cfd", "dev", "do", "gz", "id", "is", "java", "md", "ml", "mo", "mov",
    "name", "ph", "pl", "pm", "ps", "py", "rs", "sh", "so", "st", "tf", "zip",
];

fn host_name(bytes: &[u8], dot: usize) -> Option<Range<usize>> {
    let run = run(bytes, dot, is_label, LONGEST_NAME + 1)?;
    let run = without_end(bytes, run, b".-");
    let before = bytes.get(..run.start)?;
    let name = text(bytes, &run)?;
    if !is_whole(bytes, &run) || !are_labels(name) {
        return None;
    }
    let small = name.to_ascii_lowercase();
    let suffix = suffix(&small)?;
    let is_below = small.len() > suffix.as_bytes().len();
    let is_place = before.ends_with(b"://") || before.ends_with(b"@");
    let last = small.rsplit('.').next()?;
    let is_file = small.split('.').count() == 2 && FILES.contains(&last);
    (suffix.is_known() && is_below && (is_place || !is_file)).then_some(run)
}

fn is_label(byte: u8) -> bool {
    is_alnum(byte) || matches!(byte, b'.' | b'-')
}

/// The name that begins at a place.
fn label_run(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?.iter().take(LONGEST_NAME);
    let end = start + rest.take_while(|byte| is_label(**byte)).count();
    Some(without_end(bytes, start..end, b".-"))
}

/// Whether every label is one (RFC 1123, section 2.1).
fn are_labels(name: &str) -> bool {
    name.split('.').all(|label| {
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    })
}

fn domain_user(bytes: &[u8], slash: usize) -> Option<Range<usize>> {
    let is_domain =
        |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'-';
    let before = bytes.get(..slash)?.iter().rev().take(16);
    let length = before.take_while(is_domain).count();
    let start = slash - length;
    // In JSON as it is written a backslash begins an escape; `\\` is one.
    let is_json = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
    let is_double = bytes.get(slash + 1) == Some(&b'\\');
    if is_json != is_double {
        return None;
    }
    let user = slash + 1 + usize::from(is_double);
    let is_user = |byte: &&u8| is_alnum(**byte) || matches!(byte, b'.' | b'_' | b'-');
    let rest = bytes.get(user..)?.iter().take(21);
    let end = user + rest.take_while(is_user).count();
    let range = without_end(bytes, start..end, b".");
    let domain = bytes.get(start..slash)?;
    let is_end = bytes.get(end) != Some(&b'\\') && range.end > user && range.end - user <= 20;
    let prior = start.checked_sub(1).and_then(|at| bytes.get(at));
    let is_begin = prior.is_none_or(|byte| {
        !is_alnum(*byte) && !matches!(byte, b'\\' | b'/' | b'_' | b'.' | b'$' | b'%')
    });
    let is_named = (2..=15).contains(&length) && domain.first()?.is_ascii_uppercase();
    (is_begin && is_end && is_named).then_some(range)
}

fn is_path(byte: u8) -> bool {
    is_alnum(byte) || b"/._-~$+@%{}".contains(&byte)
}

/// A path through a hidden directory, which is a whole name.
fn path(bytes: &[u8], dot: usize) -> Option<Range<usize>> {
    let prior = dot.checked_sub(1).and_then(|at| bytes.get(at));
    if prior.is_some_and(|byte| is_path(*byte) && *byte != b'/') {
        return None;
    }
    let slash = dot + bytes.get(dot..)?.iter().position(|byte| *byte == b'/')?;
    let range = around(bytes, dot, slash + 1);
    (range.end > slash + 1).then_some(range)
}

fn system_path(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let named = SYSTEM_PATH.keywords.iter();
    let named = named.filter(|named| {
        let head = rest.get(..named.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(named.as_bytes()))
    });
    let length = named.map(|named| named.len()).max()?;
    let is_end = |byte: &u8| !is_alnum(*byte) && *byte != b'_';
    let range = around(bytes, start, start + length);
    rest.get(length).is_none_or(is_end).then_some(range)
}

/// A path to both sides, without the sign that ends a sentence.
fn around(bytes: &[u8], start: usize, end: usize) -> Range<usize> {
    let before = bytes.get(..start).unwrap_or_default().iter().rev();
    let before = before.take(LONGEST_PATH).take_while(|byte| is_path(**byte));
    let after = bytes.get(end..).unwrap_or_default().iter();
    let after = after.take(LONGEST_PATH).take_while(|byte| is_path(**byte));
    let last = end + after.count();
    let whole = without_end(bytes, start - before.count()..last, b".}");
    whole.start..whole.end.max(end)
}
