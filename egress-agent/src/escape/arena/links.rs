//! The link between the sides: devices, addresses, routes, neighbours, kernel settings.
//!
//! Everything that the near side sends, whatever its destination, finds a route and a neighbour
//! and arrives: a way that is closed by a missing route proves nothing.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsRawFd as _,
};

use anyhow::Context as _;
use nix::net::if_::if_nametoindex;
use rtnetlink::{
    Handle, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::address::{AddressAttribute, AddressFlags},
};

use super::{DEVICE, GATEWAY_V4, side::Side};
use crate::escape::ground::{
    ALLOWED_V4, ALLOWED_V6, BAIT_V4, BAIT_V6, FAR_LINK_LOCAL, NEAR_V4, NEAR_V6, OTHER_RESOLVER_V4,
    OTHER_RESOLVER_V6, RESOLVER_V4,
};

const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const NEAR_LINK: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
/// Locally administered, and the same in every arena: the namespaces keep them apart.
const NEAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];
const FAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];

/// Set before a device comes: IPv6 says nothing of its own accord, and source routes are followed.
const BEFORE: [(&str, &str); 11] = [
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    // No link-local address but the one that is given: its multicast group is known.
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/all/seg6_enabled", "1"),
    ("ipv6/conf/default/seg6_enabled", "1"),
    ("ipv6/conf/all/accept_source_route", "1"),
    ("ipv6/conf/default/accept_source_route", "1"),
    ("ipv4/conf/all/accept_source_route", "1"),
    ("ipv4/conf/default/accept_source_route", "1"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/rp_filter", "0"),
];
/// Forwarding lets a TUN device send, as it would on many a machine with containers.
const NEAR_SETTINGS: [(&str, &str); 5] = [
    // The kernel reports a joined group twice: soon, so that both stand beside their attempt.
    ("ipv4/conf/default/igmpv3_unsolicited_report_interval", "10"),
    ("ipv6/conf/default/mldv2_unsolicited_report_interval", "10"),
    ("ipv6/conf/default/mldv1_unsolicited_report_interval", "10"),
    ("ipv4/ping_group_range", "0 2147483647"),
    ("ipv4/ip_forward", "1"),
];

/// Makes the veth and configures both of its ends.
pub(super) fn join(near: &Side, far: &Side) -> anyhow::Result<()> {
    far.run(|| set(&BEFORE))??;
    let far_network = far.network().as_raw_fd();
    near.run(move || {
        set(&BEFORE)?;
        set(&NEAR_SETTINGS)?;
        talk(async |link| {
            link.link()
                .add(LinkVeth::new(DEVICE, "far").build())
                .execute()
                .await?;
            let peer = LinkUnspec::new_with_index(if_nametoindex("far")?)
                .name(DEVICE.to_owned())
                .setns_by_fd(far_network);
            link.link().set(peer.build()).execute().await?;
            let index = up(&link, NEAR_MAC).await?;
            let v4 = (IpAddr::V4(NEAR_V4), 24);
            let addresses = [v4, (NEAR_V6.into(), 64), (NEAR_LINK.into(), 64)];
            address(&link, index, &addresses).await
        })
    })?
    .context("the near end")?;
    far.run(|| {
        talk(async |link| {
            let index = up(&link, FAR_MAC).await?;
            let on_link = [
                (GATEWAY_V4.into(), 24),
                (GATEWAY_V6.into(), 64),
                (FAR_LINK_LOCAL.into(), 64),
            ];
            address(&link, index, &on_link).await?;
            let v4 = [BAIT_V4, ALLOWED_V4, RESOLVER_V4, OTHER_RESOLVER_V4];
            let v6 = [BAIT_V6, ALLOWED_V6, OTHER_RESOLVER_V6];
            let v4 = v4.map(|address| (IpAddr::V4(address), 32));
            let v6 = v6.map(|address| (IpAddr::V6(address), 128));
            address(&link, index, &v4).await?;
            address(&link, index, &v6).await?;
            let near = [NEAR_V4.into(), NEAR_V6.into(), NEAR_LINK.into()];
            neighbours(&link, index, &near, NEAR_MAC).await
        })
    })?
    .context("the far end")?;
    // The near end's routes last: a device without carrier takes none over IPv6.
    near.run(|| {
        talk(async |link| {
            let index = if_nametoindex(DEVICE)?;
            let far = [GATEWAY_V4.into(), GATEWAY_V6.into(), FAR_LINK_LOCAL.into()];
            neighbours(&link, index, &far, FAR_MAC).await?;
            let v4 = RouteMessageBuilder::<Ipv4Addr>::new().gateway(GATEWAY_V4);
            link.route().add(v4.build()).execute().await?;
            let v6 = RouteMessageBuilder::<Ipv6Addr>::new().gateway(GATEWAY_V6);
            link.route().add(v6.build()).execute().await?;
            Ok(())
        })
    })?
    .context("the near end's routes")
}

/// Brings loopback and the veth up.
async fn up(link: &Handle, mac: [u8; 6]) -> anyhow::Result<u32> {
    let loopback = LinkUnspec::new_with_name("lo").up();
    link.link().set(loopback.build()).execute().await?;
    let device = LinkUnspec::new_with_name(DEVICE).address(mac.to_vec()).up();
    link.link().set(device.build()).execute().await?;
    Ok(if_nametoindex(DEVICE)?)
}

async fn address(link: &Handle, index: u32, all: &[(IpAddr, u8)]) -> anyhow::Result<()> {
    for &(address, prefix) in all {
        let mut request = link.address().add(index, address, prefix);
        // An address that is still being tested cannot be bound to.
        let flags = AddressAttribute::Flags(AddressFlags::Nodad);
        request.message_mut().attributes.push(flags);
        let added = request.execute().await;
        added.with_context(|| format!("add {address}"))?;
    }
    Ok(())
}

/// Permanent entries: nobody has to ask, so no question is lost or counted.
async fn neighbours(link: &Handle, index: u32, all: &[IpAddr], mac: [u8; 6]) -> anyhow::Result<()> {
    for &address in all {
        link.neighbours()
            .add(index, address)
            .link_layer_address(&mac)
            .execute()
            .await
            .with_context(|| format!("add the neighbour {address}"))?;
    }
    Ok(())
}

/// Runs `work` with rtnetlink of the namespace that the calling thread is in.
fn talk<T>(work: impl AsyncFnOnce(Handle) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().context("open rtnetlink")?;
        let connection = tokio::spawn(connection);
        let done = work(handle).await;
        connection.abort();
        done
    })
}

/// Writes below /proc/sys/net of the calling thread's namespace. What this kernel lacks is left out:
/// the control run shows whether it was needed.
fn set(settings: &[(&str, &str)]) -> anyhow::Result<()> {
    for (name, value) in settings {
        let path = format!("/proc/sys/net/{name}");
        match fs::write(&path, value) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("write {path}")),
        }
    }
    Ok(())
}
