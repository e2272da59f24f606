//! Makes secrets at run time, so that none stands in this repository.
//!
//! `<class:length>` in a sample stands for random signs; see [`Random::fill`] for the classes.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use bip39::{Language, Mnemonic};

use super::check;

const DIGITS: &str = "0123456789";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The same numbers again for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    pub(crate) fn signs(&mut self, of: &str, length: usize) -> String {
        let of: Vec<char> = of.chars().collect();
        (0..length).map(|_| of[self.below(of.len())]).collect()
    }

    /// A sample with its places filled.
    pub(crate) fn sample(&mut self, template: &str) -> String {
        let mut rest = template.replace("\\n", "\n");
        let mut made = String::new();
        while let Some((before, after)) = rest.split_once('<') {
            let Some((place, after)) = after.split_once('>') else {
                break;
            };
            made.push_str(before);
            let (class, length) = place.split_once(':').unwrap_or((place, "0"));
            made.push_str(&self.fill(class, length.parse().unwrap()));
            rest = after.to_owned();
        }
        made + &rest
    }

    fn fill(&mut self, class: &str, length: usize) -> String {
        let alnum = format!("{DIGITS}{LOWER}{UPPER}");
        match class {
            // Every real token of some length has digits and both cases.
            "an" => self.mixed(&alnum, length),
            "url" => self.mixed(&format!("{alnum}-_"), length),
            "b64" => self.mixed(&format!("{alnum}/+"), length),
            "low" => self.mixed(&format!("{DIGITS}{LOWER}"), length),
            "up" => self.signs(&format!("{DIGITS}{UPPER}"), length),
            "let" => self.signs(LOWER, length),
            "b32" => self.signs(&format!("{UPPER}234567"), length),
            "dig" => format!("{}{}", 1 + self.below(9), self.signs(DIGITS, length - 1)),
            "hex" => self.mixed("0123456789abcdef", length),
            "HEX" => self.signs("0123456789ABCDEF", length),
            "age" => self.signs("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", length),
            "bech" => self.signs("qpzry9x8gf2tvdw0s3jn54khce6mua7l", length),
            "crc" => {
                let random = self.signs(&alnum, length);
                let sum = check::base62(crc32fast::hash(random.as_bytes()));
                random + str::from_utf8(&sum).unwrap()
            }
            "azure" => STANDARD.encode(self.bytes(64)),
            "basic" => STANDARD.encode(format!("user:{}", self.mixed(&alnum, 12))),
            "discord" => {
                let id = STANDARD_NO_PAD.encode(format!("1{}", self.signs("12345678", 17)));
                let url = format!("{alnum}-_");
                format!("{id}.{}.{}", self.signs(&url, 6), self.signs(&alnum, 38))
            }
            "jwt" => {
                let part = |text: String| URL_SAFE_NO_PAD.encode(text);
                let head = part(r#"{"alg":"HS256","typ":"JWT"}"#.to_owned());
                let claims = part(format!(r#"{{"sub":"{}"}}"#, self.signs(DIGITS, 12)));
                format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(self.bytes(32)))
            }
            "card" => self.card(length),
            "grouped" => {
                let card = self.card(4);
                let signs: Vec<char> = card.chars().collect();
                let groups: Vec<String> = signs
                    .chunks(4)
                    .map(|group| group.iter().collect())
                    .collect();
                groups.join(["-", " "][self.below(2)])
            }
            "iban" => self.iban(length > 0),
            "aba" => loop {
                let number = format!("0{}{}", 1 + self.below(9), self.signs(DIGITS, 7));
                if check::aba(number.as_bytes()).is_some() {
                    return number;
                }
            },
            "ssn" => {
                let area = 100 + self.below(500);
                let dash = if length == 0 { "-" } else { "" };
                let (group, serial) = (10 + self.below(80), 1000 + self.below(8000));
                format!("{area}{dash}{group}{dash}{serial}")
            }
            "wif" => {
                let mut key = vec![0x80];
                key.extend(self.bytes(32));
                key.push(1);
                base58(key)
            }
            "p2pkh" => {
                let mut hash = vec![0];
                hash.extend(self.bytes(20));
                base58(hash)
            }
            "xprv" => {
                let mut key = vec![0x04, 0x88, 0xad, 0xe4];
                key.extend(self.bytes(74));
                base58(key)
            }
            "seed" => {
                let entropy = self.bytes(length / 3 * 4);
                Mnemonic::from_entropy_in(Language::English, &entropy)
                    .unwrap()
                    .to_string()
            }
            class => panic!("no such class: {class}"),
        }
    }

    fn mixed(&mut self, of: &str, length: usize) -> String {
        loop {
            let text = self.signs(of, length);
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let is_varied = length < 12 || check::entropy(text.as_bytes()) > 3.05;
            let ends = text.ends_with(|last: char| last.is_ascii_alphanumeric())
                && text.starts_with(|first: char| first.is_ascii_alphanumeric());
            if length < 8 || digits >= 2 && is_varied && ends {
                return text;
            }
        }
    }

    fn card(&mut self, prefix: usize) -> String {
        let length = if prefix == 37 { 15 } else { 16 };
        let prefix = match prefix {
            5 => "52".to_owned(),
            37 => "37".to_owned(),
            prefix => prefix.to_string(),
        };
        loop {
            let number = format!("{prefix}{}", self.signs(DIGITS, length - prefix.len()));
            if check::luhn(number.as_bytes()) {
                return number;
            }
        }
    }

    fn iban(&mut self, is_grouped: bool) -> String {
        let account = self.signs(DIGITS, 18);
        let iban = (0..100)
            .map(|check| format!("DE{check:02}{account}"))
            .find(|iban| check::mod97(iban.as_bytes()))
            .unwrap();
        if !is_grouped {
            return iban;
        }
        let signs: Vec<char> = iban.chars().collect();
        let groups: Vec<String> = signs
            .chunks(4)
            .map(|group| group.iter().collect())
            .collect();
        groups.join(" ")
    }
}

fn base58(mut content: Vec<u8>) -> String {
    let sum = check::double_hash(&content);
    content.extend(sum);
    bs58::encode(content).into_string()
}
