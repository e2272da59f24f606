//! What a match is worth: checksums, structure, and texts that only stand for a secret.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sha2::{Digest as _, Sha256};

use crate::finding::Confidence;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// GitHub and npm: the last six signs are the CRC32 of those after the prefix, in base 62.
pub(super) fn crc62(token: &[u8]) -> Option<Confidence> {
    let body = token.iter().position(|byte| *byte == b'_')? + 1;
    let body = token.get(body..)?;
    let (random, sum) = body.split_at_checked(body.len().checked_sub(6)?)?;
    let is_right = base62(crc32fast::hash(random)) == sum;
    // Tokens from before checksums, and tokens that were touched, are worth a question.
    Some(if is_right {
        Confidence::High
    } else {
        Confidence::Medium
    })
}

/// Six signs of base 62, as GitHub orders them.
pub(super) fn base62(mut number: u32) -> [u8; 6] {
    const SIGNS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut signs = [b'0'; 6];
    for sign in signs.iter_mut().rev() {
        let digit = usize::try_from(number % 62).unwrap_or_default();
        *sign = SIGNS.get(digit).copied().unwrap_or(b'0');
        number /= 62;
    }
    signs
}

/// AWS ends the keys of its documents so.
pub(super) fn not_example(token: &[u8]) -> Option<Confidence> {
    (!token.ends_with(b"EXAMPLE")).then_some(Confidence::High)
}

/// Random signs behind a short prefix: words and numbers alone are none.
pub(super) fn random(token: &[u8]) -> Option<Confidence> {
    is_random(token, 3.0).then_some(Confidence::High)
}

/// As [`random`], where only a name near it says whose it is.
pub(super) fn random_near(token: &[u8]) -> Option<Confidence> {
    is_random(token, 2.8).then_some(Confidence::Medium)
}

/// The secret half of an AWS key: 40 signs of base64.
pub(super) fn aws_secret(key: &[u8]) -> Option<Confidence> {
    if key.len() == 40 { random(key) } else { None }
}

/// A secret of `PayPal`: 80 signs.
pub(super) fn paypal(secret: &[u8]) -> Option<Confidence> {
    if secret.len() == 80 {
        random_near(secret)
    } else {
        None
    }
}

/// A value that somebody calls a secret.
pub(super) fn value(value: &[u8]) -> Option<Confidence> {
    if is_stand_in(value) {
        return None;
    }
    let count = |is: fn(&u8) -> bool| value.iter().filter(|byte| is(byte)).count();
    let digits = count(u8::is_ascii_digit);
    let has_both = count(u8::is_ascii_uppercase) > 0 && count(u8::is_ascii_lowercase) > 0;
    // At its ends a sign belongs to the code around it: `&Token`, `parse!`.
    let inner = value
        .get(1..value.len().saturating_sub(1))
        .unwrap_or_default();
    let has_sign = inner.iter().any(|byte| b"!@#$%^&*+~".contains(byte));
    let is_mixed = digits >= 2 || digits == 1 && has_both || has_sign && (digits > 0 || has_both);
    let is_path = count(|byte| matches!(byte, b'.' | b'/' | b':')) > 2
        || memchr::memmem::find(value, b"::").is_some();
    // Words and a number: `_type_12`.
    let is_name = value.contains(&b'_')
        && value.split(|byte| *byte == b'_').all(|part| {
            part.iter().all(u8::is_ascii_digit) || part.iter().all(u8::is_ascii_alphabetic)
        });
    let has_letter = value.iter().any(u8::is_ascii_alphabetic);
    if !has_letter || !is_mixed || is_path || is_name || entropy(value) < 2.8 {
        return None;
    }
    Some(Confidence::Medium)
}

/// A password in an address.
pub(super) fn password(value: &[u8]) -> Option<Confidence> {
    (!is_stand_in(value)).then_some(Confidence::Medium)
}

/// A password in the address of a database.
pub(super) fn database(value: &[u8]) -> Option<Confidence> {
    (!is_stand_in(value)).then_some(Confidence::High)
}

/// A JSON web token: a header that names an algorithm (RFC 7519, RFC 7515).
pub(super) fn jwt(token: &[u8]) -> Option<Confidence> {
    let header = token.split(|byte| *byte == b'.').next()?;
    let header = URL_SAFE
        .decode(header.get(..header.len().min(8192))?)
        .ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    header.get("alg")?.as_str().map(|_| Confidence::High)
}

/// Basic authorization (RFC 7617): base64 of a name, a colon and a password.
pub(super) fn basic(code: &[u8]) -> Option<Confidence> {
    let pair = STANDARD.decode(code).ok()?;
    let pair = str::from_utf8(&pair).ok()?;
    let (_, password) = pair.split_once(':')?;
    let is_text = pair.chars().all(|sign| !sign.is_control());
    (is_text && password.len() >= 3 && !is_stand_in(password.as_bytes()))
        .then_some(Confidence::High)
}

/// A bearer token that is more than a word.
pub(super) fn bearer(token: &[u8]) -> Option<Confidence> {
    (!is_stand_in(token) && is_random(token, 3.2)).then_some(Confidence::High)
}

/// Base64 of exactly `bytes` bytes that is not one sign again and again.
pub(super) fn azure(code: &[u8]) -> Option<Confidence> {
    let bytes = STANDARD.decode(code).ok()?;
    (bytes.len() == 64 && entropy(&bytes) > 4.0).then_some(Confidence::High)
}

/// base58check (Bitcoin).
pub(super) fn base58(code: &[u8]) -> Option<Confidence> {
    base58_bytes(code).map(|_| Confidence::High)
}

/// As [`base58`], for a private key: 32 bytes, perhaps a mark, and the version of a network.
pub(super) fn wif(code: &[u8]) -> Option<Confidence> {
    let is_key = matches!(base58_bytes(code)?.as_slice(), [0x80 | 0xef, rest @ ..]
        if rest.len() == 32 || rest.len() == 33 && rest.last() == Some(&1));
    is_key.then_some(Confidence::High)
}

/// What base58check writes, when its last four bytes are the right ones.
fn base58_bytes(code: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bs58::decode(code).into_vec().ok()?;
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let is_right = double_hash(content) == sum;
    bytes.truncate(bytes.len() - 4);
    is_right.then_some(bytes)
}

/// The first four bytes of SHA-256 of SHA-256.
pub(super) fn double_hash(content: &[u8]) -> [u8; 4] {
    let hash: [u8; 32] = Sha256::digest(Sha256::digest(content)).into();
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

/// A number below the order of secp256k1 that is not a pattern.
pub(super) fn curve_key(code: &[u8]) -> Option<Confidence> {
    let digits = code.strip_prefix(b"0x").unwrap_or(code);
    (entropy(digits) > 2.5).then_some(Confidence::High)
}

/// Payment cards: the Luhn digit.
pub(super) fn luhn(number: &[u8]) -> bool {
    let digits = number.iter().rev().filter(|byte| byte.is_ascii_digit());
    let sum: u32 = digits
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            match place % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// IBAN (ISO 13616): the whole, with the first four signs at the end, is 1 modulo 97.
pub(super) fn mod97(iban: &[u8]) -> bool {
    let signs = || iban.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let rest = signs()
        .skip(4)
        .chain(signs().take(4))
        .fold(0, |rest, sign| {
            let value = match sign {
                b'0'..=b'9' => u32::from(sign - b'0'),
                _ => u32::from(sign.to_ascii_uppercase() - b'A') + 10,
            };
            (rest * if value > 9 { 100 } else { 10 } + value) % 97
        });
    rest == 1
}

/// Routing numbers of US banks: nine digits weighted 3, 7, 1 make a multiple of ten, and the
/// first two name a district of the Federal Reserve.
pub(super) fn aba(number: &[u8]) -> Option<Confidence> {
    let digits = number.iter().map(|byte| u32::from(byte.wrapping_sub(b'0')));
    let sum: u32 = digits
        .clone()
        .zip([3, 7, 1].into_iter().cycle())
        .map(|(digit, weight)| digit * weight)
        .sum();
    let district = digits.take(2).fold(0, |number, digit| number * 10 + digit);
    let is_district = matches!(district, 1..=12 | 21..=32 | 61..=72 | 80);
    (number.len() == 9 && sum.is_multiple_of(10) && is_district).then_some(Confidence::High)
}

/// Bits of surprise in each byte (Shannon).
pub(crate) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX).max(1));
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / all;
            -share * share.log2()
        })
        .sum()
}

fn is_random(token: &[u8], least: f64) -> bool {
    // One digit may be the prefix's own.
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits >= 2 && entropy(token) >= least && !is_stand_in(token)
}

/// Whether only the shape of a text is left: all its letters are `x`, all its digits `0`.
pub(super) fn is_worn(value: &[u8]) -> bool {
    let mut signs = value.iter().filter(|byte| byte.is_ascii_alphanumeric());
    signs.all(|byte| matches!(byte, b'0' | b'x' | b'X'))
}

/// Texts that hold the place of a secret, and places where one was.
pub(crate) fn is_stand_in(value: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[
        b"example",
        b"changeme",
        b"change_me",
        b"change-me",
        b"placeholder",
        b"redacted",
        b"xxxx",
        b"****",
        b"....",
        b"your_",
        b"your-",
        b"yourpass",
        b"yourtoken",
        b"yourkey",
        b"dummy",
        b"insert",
        b"undefined",
        b"process.env",
        b"os.environ",
        b"getenv",
        b"0000000000",
        b"1234567890",
        b"secrets.",
        b"config.",
        b"self.",
        b"this.",
    ];
    let lower = value
        .get(..value.len().min(256))
        .unwrap_or_default()
        .to_ascii_lowercase();
    let first = lower.first().copied().unwrap_or_default();
    let is_reference = matches!(first, b'$' | b'{' | b'<' | b'%' | b'[' | b'(') || {
        lower
            .windows(2)
            .any(|two| matches!(two, b"${" | b"{{" | b"<%" | b"$("))
    };
    let is_one_sign = lower.iter().all(|byte| *byte == first);
    is_reference
        || is_one_sign
        || matches!(
            lower.as_slice(),
            b"password"
                | b"passwd"
                | b"secret"
                | b"pass"
                | b"user"
                | b"token"
                | b"username"
                | b"null"
                | b"none"
        )
        || WORDS
            .iter()
            .any(|word| memchr::memmem::find(&lower, word).is_some())
}
