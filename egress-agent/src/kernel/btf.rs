//! Where the members of the kernel's structures stand, read from its own type information (BTF,
//! Documentation/bpf/btf.rst of the kernel).
//!
//! Only what a look-up of members needs: names, structures, and typedefs and qualifiers in between.
//! Any text is taken; what makes no sense is an error or not found.

use std::collections::BTreeMap;

/// The types of one kernel.
#[derive(Debug)]
pub(super) struct Btf<'a> {
    types: Vec<Type<'a>>,
    strings: &'a [u8],
    /// Structures and unions by name.
    named: BTreeMap<&'a [u8], u32>,
}

/// Why type information cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum InvalidBtf {
    #[error("it does not begin like type information")]
    Magic,
    #[error("it is cut off")]
    Short,
    #[error("it holds a type of the unknown kind {0}")]
    Kind(u32),
}

/// A place in a structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Bits from the beginning of the structure.
    pub(super) bits: u32,
    /// Width of a bit field; 0 for an ordinary member.
    pub(super) width: u32,
    /// The type of the member.
    kind: u32,
}

impl Place {
    pub(super) const fn bytes(self) -> u32 {
        self.bits / 8
    }
}

#[derive(Clone, Copy, Debug)]
struct Type<'a> {
    name: u32,
    kind: u32,
    /// The member offsets hold bit-field widths too.
    has_widths: bool,
    /// Size, or the type that this one refers to.
    refers: u32,
    /// 12 bytes for each member of a structure or union; empty for others.
    members: &'a [u8],
}

const MAGIC: u32 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const TYPE_TAG: u32 = 18;
const MEMBER_BYTES: usize = 12;
/// Anonymous structures and typedefs within each other; the kernel's have a handful.
const DEPTH: u32 = 16;

impl<'a> Btf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, InvalidBtf> {
        if u32::from(u16(bytes, 0).ok_or(InvalidBtf::Short)?) != MAGIC {
            return Err(InvalidBtf::Magic);
        }
        let field = |at| word(bytes, at).ok_or(InvalidBtf::Short);
        let header = field(4)?;
        let section = |offset, length| {
            let from = index(header).checked_add(index(offset))?;
            bytes.get(from..from.checked_add(index(length))?)
        };
        let all = section(field(8)?, field(12)?).ok_or(InvalidBtf::Short)?;
        let strings = section(field(16)?, field(20)?).ok_or(InvalidBtf::Short)?;
        let mut btf = Self {
            types: Vec::new(),
            strings,
            named: BTreeMap::new(),
        };
        let mut rest = all;
        while !rest.is_empty() {
            let (found, length) = read_type(rest)?;
            btf.types.push(found);
            // Type 0 is `void` and not written down.
            let id = u32::try_from(btf.types.len()).unwrap_or(u32::MAX);
            if matches!(found.kind, STRUCT | UNION) {
                btf.named.entry(btf.text(found.name)).or_insert(id);
            }
            rest = rest.get(length..).ok_or(InvalidBtf::Short)?;
        }
        Ok(btf)
    }

    /// The place of a member, of a member of that, and so on. Anonymous structures and unions on
    /// the way are looked into, as C does.
    pub(super) fn place(&self, structure: &str, path: &[&str]) -> Option<Place> {
        let mut at = Place {
            bits: 0,
            width: 0,
            kind: *self.named.get(structure.as_bytes())?,
        };
        for name in path {
            let inner = self.member(at.kind, name.as_bytes(), DEPTH)?;
            at = Place {
                bits: at.bits.checked_add(inner.bits)?,
                ..inner
            };
        }
        Some(at)
    }

    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<Place> {
        let depth = depth.checked_sub(1)?;
        let outer = self.structure(id)?;
        for member in outer.members.chunks_exact(MEMBER_BYTES) {
            let (named, kind, offset) = (word(member, 0)?, word(member, 4)?, word(member, 8)?);
            let (bits, width) = if outer.has_widths {
                (offset & 0x00ff_ffff, offset >> 24)
            } else {
                (offset, 0)
            };
            let text = self.text(named);
            if text == name {
                return Some(Place { bits, width, kind });
            }
            if text.is_empty()
                && let Some(inner) = self.member(kind, name, depth)
            {
                return Some(Place {
                    bits: bits.checked_add(inner.bits)?,
                    ..inner
                });
            }
        }
        None
    }

    /// The structure behind typedefs and qualifiers.
    fn structure(&self, mut id: u32) -> Option<&Type<'a>> {
        for _ in 0..DEPTH {
            let found = self.types.get(index(id.checked_sub(1)?))?;
            match found.kind {
                STRUCT | UNION => return Some(found),
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = found.refers,
                _ => return None,
            }
        }
        None
    }

    fn text(&self, at: u32) -> &'a [u8] {
        let rest = self.strings.get(index(at)..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// One type, and how many bytes it takes.
fn read_type(bytes: &[u8]) -> Result<(Type<'_>, usize), InvalidBtf> {
    const HEAD: usize = 12;
    let field = |at| word(bytes, at).ok_or(InvalidBtf::Short);
    let info = field(4)?;
    let (kind, count) = ((info >> 24) & 0x1f, index(info & 0xffff));
    let tail = match kind {
        // Pointer, forward, typedef, qualifiers, function, float, type tag.
        2 | 7..=12 | 16 | TYPE_TAG => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array.
        3 => 12,
        // Enumeration, function prototype.
        6 | 13 => 8 * count,
        // Structure, union, section, 64-bit enumeration.
        STRUCT | UNION | 15 | 19 => 12 * count,
        other => return Err(InvalidBtf::Kind(other)),
    };
    let body = bytes.get(HEAD..HEAD + tail).ok_or(InvalidBtf::Short)?;
    let found = Type {
        name: field(0)?,
        kind,
        has_widths: info >> 31 == 1,
        refers: field(8)?,
        members: if matches!(kind, STRUCT | UNION) {
            body
        } else {
            &[]
        },
    };
    Ok((found, HEAD + tail))
}

fn u16(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// egressd runs on 64-bit machines only; elsewhere an offset that does not fit is not found.
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `struct inner { int x; }; typedef struct inner alias;
    /// struct outer { alias a; union { int b; struct { int skipped; int c; }; }; int flag : 1; }`
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0inner\0x\0alias\0outer\0a\0b\0skipped\0c\0flag\0";
        let name = |text: &str| {
            let text = format!("\0{text}\0");
            let at = strings
                .windows(text.len())
                .position(|part| part == text.as_bytes());
            u32::try_from(at.unwrap() + 1).unwrap()
        };
        let member = |text, kind: u32, offset: u32| [name(text), kind, offset];
        let unnamed = |kind: u32, offset: u32| [0, kind, offset];
        let head = |name: u32, kind: u32, count: u32| [name, kind << 24 | count];
        let mut words: Vec<u32> = Vec::new();
        words.extend(head(name("int"), 1, 0)); // 1
        words.extend([4, 32]);
        words.extend(head(name("inner"), STRUCT, 1)); // 2
        words.push(4);
        words.extend(member("x", 1, 0));
        words.extend(head(name("alias"), TYPEDEF, 0)); // 3
        words.push(2);
        words.extend(head(0, STRUCT, 2)); // 4
        words.push(8);
        words.extend(member("skipped", 1, 0));
        words.extend(member("c", 1, 32));
        words.extend(head(0, UNION, 2)); // 5
        words.push(8);
        words.extend(member("b", 1, 0));
        words.extend(unnamed(4, 0));
        words.extend([name("outer"), 1 << 31 | STRUCT << 24 | 3]); // 6
        words.push(16);
        words.extend(member("a", 3, 0));
        words.extend(unnamed(5, 32));
        words.extend(member("flag", 1, 0x0100_0061));
        let types: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let length = u32::try_from(types.len()).unwrap();
        let size = u32::try_from(strings.len()).unwrap();
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, length, length, size] {
            bytes.extend(u32::to_ne_bytes(word));
        }
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn members_are_found_through_typedefs_and_anonymous_unions() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        let at = |path: &[&str]| btf.place("outer", path).map(|place| place.bits);
        assert_eq!(at(&["a"]), Some(0));
        assert_eq!(at(&["a", "x"]), Some(0));
        assert_eq!(at(&["b"]), Some(32));
        assert_eq!(at(&["c"]), Some(64));
        assert_eq!(at(&["d"]), None);
        let flag = btf.place("outer", &["flag"]).unwrap();
        assert_eq!((flag.bits, flag.bytes(), flag.width), (97, 12, 1));
        assert_eq!(at(&["a", "c"]), None);
        assert_eq!(btf.place("nothing", &["a"]), None);
    }

    #[test]
    fn every_prefix_is_refused_or_read() {
        let bytes = sample();
        for length in 0..bytes.len() {
            let read = Btf::parse(&bytes[..length]);
            assert_eq!(read.err(), Some(InvalidBtf::Short), "{length}");
        }
    }

    #[test]
    fn the_running_kernel_knows_its_sockets() {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let btf = Btf::parse(&bytes).unwrap();
        // include/net/sock.h: two address words, a hash and two ports stand before it.
        let family = btf.place("sock", &["__sk_common", "skc_family"]);
        assert_eq!(family.unwrap().bytes(), 16);
        assert_eq!(btf.place("sock", &["sk_kern_sock"]).unwrap().width, 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0..sample().len(), value: u8, more: u8) {
            let mut bytes = sample();
            bytes[at] = value;
            let next = (at + 1) % bytes.len();
            bytes[next] = more;
            if let Ok(btf) = Btf::parse(&bytes) {
                let _place = btf.place("outer", &["a", "x"]);
            }
        }
    }
}
