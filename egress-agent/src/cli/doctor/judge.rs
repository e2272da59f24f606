//! From facts to rows: what is well, what is missing, and which command mends it. Pure.

mod confinement;
mod kernel;
mod names;
mod service;

use super::{facts::Facts, row::Row};

/// Every row, in the order in which one thing needs another.
pub(in crate::cli) fn judge(facts: &Facts) -> Vec<Row> {
    let Facts {
        kernel,
        groups,
        bpf,
        confinement,
        names,
        daemon,
        version,
        policies,
        hooks,
        clock,
        disk,
        units,
        has_group,
        is_root,
    } = facts;
    let status = daemon.as_deref().ok();
    let mut rows = vec![
        kernel::release(kernel),
        kernel::config(kernel),
        kernel::errno(kernel),
        kernel::cgroup(groups),
        kernel::delegation(groups),
        kernel::programs(bpf, status),
        kernel::pins(bpf),
        kernel::types(kernel),
        kernel::seccomp(kernel),
        confinement::modules(confinement),
        confinement::landlock(confinement),
        confinement::lsm(confinement, status, *is_root),
        confinement::namespaces(confinement),
        names::nsswitch(names, confinement),
        names::resolver(names),
        service::clock(clock),
        service::boot_clock(clock),
        service::units(units, status.is_some()),
        service::group(*has_group),
        service::daemon(daemon, version, units),
    ];
    rows.extend(status.map(service::guards).unwrap_or_default());
    rows.extend(policies.iter().map(service::policy));
    rows.push(service::disk(disk.as_ref(), status));
    rows.extend(service::hooks(hooks));
    rows
}

#[cfg(test)]
mod tests;
