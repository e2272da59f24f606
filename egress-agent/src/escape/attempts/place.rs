//! Where attempts send: socket addresses as bytes, as the kernel reads them.

use std::{
    ffi::c_int,
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::escape::ground::{ALLOWED_PORT, ALLOWED_V4, ALLOWED_V6, BAIT_PORT, BAIT_V4, BAIT_V6};

pub(super) use crate::escape::ground::MARK;
/// What attempts send to allowed places on the way.
pub(super) const COVER: &[u8] = b"cover";

/// `struct sockaddr_in`.
pub(super) fn v4(address: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut name = family(libc::AF_INET);
    name.extend(port.to_be_bytes());
    name.extend(address.octets());
    name.extend([0; 8]);
    name
}

/// `struct sockaddr_in6`; a scope of 0 is none.
pub(super) fn v6(address: Ipv6Addr, port: u16, scope: u32) -> Vec<u8> {
    let mut name = family(libc::AF_INET6);
    name.extend(port.to_be_bytes());
    name.extend([0; 4]);
    name.extend(address.octets());
    name.extend(scope.to_ne_bytes());
    name
}

/// `struct sockaddr_ll`, with a hardware address of six bytes.
pub(super) fn link(device: u32, ether_type: u16, hardware: [u8; 6]) -> Vec<u8> {
    let mut name = family(libc::AF_PACKET);
    name.extend(ether_type.to_be_bytes());
    name.extend(device.to_ne_bytes());
    name.extend([0, 0, 0, 6]);
    name.extend(hardware);
    name.extend([0; 2]);
    name
}

/// `struct sockaddr_vm`.
pub(super) fn vsock(context: u32, port: u32) -> Vec<u8> {
    let mut name = family(libc::AF_VSOCK);
    name.extend([0; 2]);
    name.extend(port.to_ne_bytes());
    name.extend(context.to_ne_bytes());
    name.extend([0; 4]);
    name
}

/// The same address under another family number.
pub(super) fn as_family(number: c_int, mut name: Vec<u8>) -> Vec<u8> {
    name.splice(..2, family(number));
    name
}

/// What dissolves an association.
pub(super) fn nowhere() -> Vec<u8> {
    as_family(libc::AF_UNSPEC, v4(Ipv4Addr::UNSPECIFIED, 0))
}

pub(super) fn bait4() -> Vec<u8> {
    v4(BAIT_V4, BAIT_PORT)
}

pub(super) fn bait6() -> Vec<u8> {
    v6(BAIT_V6, BAIT_PORT, 0)
}

/// The IPv4 bait for an IPv6 socket.
pub(super) fn bait_mapped() -> Vec<u8> {
    v6(BAIT_V4.to_ipv6_mapped(), BAIT_PORT, 0)
}

pub(super) fn allowed4() -> Vec<u8> {
    v4(ALLOWED_V4, ALLOWED_PORT)
}

pub(super) fn allowed6() -> Vec<u8> {
    v6(ALLOWED_V6, ALLOWED_PORT, 0)
}

pub(super) fn allowed_mapped() -> Vec<u8> {
    v6(ALLOWED_V4.to_ipv6_mapped(), ALLOWED_PORT, 0)
}

/// One control message, padded as the kernel walks them.
pub(super) fn control(level: c_int, kind: c_int, value: &[u8]) -> Vec<u8> {
    let length = size_of::<usize>() + 2 * size_of::<c_int>() + value.len();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(level.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(size_of::<usize>()), 0);
    message
}

fn family(number: c_int) -> Vec<u8> {
    // Families are small numbers: the kernel's own field has 16 bits.
    u16::try_from(number)
        .unwrap_or(u16::MAX)
        .to_ne_bytes()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_sizes_that_the_kernel_wants() {
        assert_eq!(bait4().len(), size_of::<libc::sockaddr_in>());
        assert_eq!(bait6().len(), size_of::<libc::sockaddr_in6>());
        assert_eq!(
            link(1, 0x0800, [255; 6]).len(),
            size_of::<libc::sockaddr_ll>()
        );
        assert_eq!(vsock(1, 2).len(), size_of::<libc::sockaddr_vm>());
    }

    #[test]
    fn a_name_says_family_port_and_address_in_this_order() {
        assert_eq!(
            v4(Ipv4Addr::new(203, 0, 113, 10), 443)[..8],
            [2, 0, 1, 187, 203, 0, 113, 10]
        );
        let name = v6(Ipv6Addr::LOCALHOST, 53, 7);
        assert_eq!(name[..4], [10, 0, 0, 53]);
        assert_eq!(name[8..24], Ipv6Addr::LOCALHOST.octets());
        assert_eq!(name[24..], 7_u32.to_ne_bytes());
        assert_eq!(as_family(libc::AF_UNSPEC, name)[..4], [0, 0, 0, 53]);
    }

    #[test]
    fn a_control_message_is_counted_without_its_padding() {
        let message = control(0, libc::IP_TOS, &[1]);
        assert_eq!(message.len(), 24);
        assert_eq!(message[..8], 17_usize.to_ne_bytes());
        assert_eq!(message[12..17], [1, 0, 0, 0, 1]);
    }
}
