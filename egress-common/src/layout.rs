//! Where the running kernel keeps what the second layer looks at.

/// Offsets in bytes, found in the kernel's own type information when the programs are loaded.
///
/// Where the verifier knows a structure's type, it checks them; elsewhere the programs read with
/// `bpf_probe_read_kernel`, and a wrong offset gives a wrong value but never a fault.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// `struct socket`, `sk`.
    pub socket_sk: u32,
    /// `struct sock`, `__sk_common.skc_family`.
    pub sock_family: u32,
    /// `struct sock`, the byte that holds the bit `sk_kern_sock`.
    pub sock_kernel: u32,
    /// That bit.
    pub sock_kernel_mask: u32,
    /// `struct sock`, `sk_cgrp_data.cgroup`: the cgroup of the task that made the socket.
    pub sock_cgroup: u32,
    /// `struct cgroup`, `level`.
    pub cgroup_level: u32,
    /// `struct cgroup`, `ancestors`.
    pub cgroup_ancestors: u32,
    /// `struct cgroup`, `kn`.
    pub cgroup_node: u32,
    /// `struct kernfs_node`, `id`.
    pub node_id: u32,
    /// `struct unix_sock`, `addr`.
    pub unix_address: u32,
    /// `struct unix_sock`, `peer`.
    pub unix_peer: u32,
    /// `struct unix_address`, `len`.
    pub address_length: u32,
    /// `struct unix_address`, `name`.
    pub address_name: u32,
}

const _: () = assert!(size_of::<Layout>() == 52);
