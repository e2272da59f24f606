//! What lies below the file systems.

use super::deletion::is_unknown;
use crate::Confidence::{High, Medium};
use crate::Severity;
use crate::destructive::Detector;

/// *What it does*: finds `dd` that writes. *Why it matters*: a wrong letter overwrites a disk.
/// *Known gaps*: none known. *Example*: `dd if=/dev/zero of=/dev/sda`.
pub(super) const DISK_COPY: Detector = Detector {
    id: "disk-copy",
    positive: &[
        "dd if=/dev/zero of=/dev/sda",
        "dd if=a of=b",
        "dd if=/dev/urandom of=x bs=1M",
    ],
    negative: &["dd --help", "add if=x", "dd if=a of=/dev/null"],
    judge: |facts| {
        facts.worst(|call| {
            if !call.is(&["dd", "gdd", "dcfldd", "ddrescue"]) {
                return None;
            }
            let target = call.args.iter().find_map(|arg| arg.strip_prefix("of="));
            match target {
                Some("/dev/null" | "/dev/stdout" | "-") => None,
                Some(target) if is_block_device(target) || is_unknown(target) => {
                    Some((Severity::Critical, High))
                }
                Some(_) => Some((Severity::Medium, High)),
                None if call.args.iter().any(|arg| arg.starts_with("if=/dev/")) => {
                    Some((Severity::Medium, Medium))
                }
                None => None,
            }
        })
    },
};

/// *What it does*: finds what makes or removes file systems, partitions and volumes. *Why it
/// matters*: all that was there is gone. *Known gaps*: tools of vendors. *Example*:
/// `mkfs.ext4 /dev/sdb1`.
pub(super) const DISK_FORMAT: Detector = Detector {
    id: "disk-format",
    positive: &[
        "mkfs.ext4 /dev/sdb1",
        "mkfs -t xfs /dev/sdb",
        "fdisk /dev/sda",
        "sudo wipefs -a /dev/sdb",
        "parted /dev/sda rm 1",
        "mkswap /dev/sdc",
        "cryptsetup luksFormat /dev/sdb",
        "zpool destroy tank",
        "lvremove -f vg/a",
    ],
    negative: &[
        "fdisk -l",
        "parted -l",
        "sfdisk --dump /dev/sda",
        "mkfs --version",
        "lsblk",
        "zpool status",
    ],
    judge: |facts| {
        facts.worst(|call| {
            let looks = call.has(
                "lVdhs",
                &["list", "version", "help", "dump", "no-action", "dry-run"],
            );
            let critical = Some((Severity::Critical, High));
            match call.program {
                it if it.starts_with("mkfs") || it.starts_with("mke2fs") => {
                    (call.operands().next().is_some()).then_some((Severity::Critical, High))
                }
                "fdisk" | "sfdisk" | "cfdisk" | "gdisk" | "sgdisk" | "parted" => (!looks
                    && call.operands().next().is_some())
                .then_some((Severity::Critical, High)),
                "wipefs" | "blkdiscard" | "mkswap" | "lvremove" | "vgremove" | "pvremove" => {
                    critical
                }
                "cryptsetup"
                    if call
                        .args
                        .iter()
                        .any(|it| matches!(it.as_str(), "luksFormat" | "erase" | "luksErase")) =>
                {
                    critical
                }
                "zpool" | "zfs" | "btrfs"
                    if call.says("destroy") || call.says("delete") || call.says("labelclear") =>
                {
                    critical
                }
                "mdadm" if call.has("", &["zero-superblock"]) => critical,
                "hdparm" if call.options().any(|it| it.starts_with("--security-erase")) => critical,
                "nvme" if matches!(call.verb(), "format" | "sanitize") => critical,
                "diskutil" if call.verb().to_ascii_lowercase().starts_with("erase") => critical,
                _ => None,
            }
        })
    },
};

/// *What it does*: finds writes to block devices and to memory by redirections, `tee` and `cp`.
/// *Why it matters*: it overwrites a disk beneath its file system. *Known gaps*: links to
/// devices. *Example*: `cat image > /dev/sda`.
pub(super) const DEVICE_WRITE: Detector = Detector {
    id: "device-write",
    positive: &[
        "cat image > /dev/sda",
        "tee /dev/nvme0n1 < x",
        "echo x >> /dev/mem",
    ],
    negative: &["echo x > /dev/null", "cat /dev/sda", "echo x > /dev/tty"],
    judge: |facts| {
        facts
            .reach
            .writes
            .iter()
            .any(|path| is_block_device(path))
            .then_some((Severity::Critical, High))
    },
};

fn is_block_device(path: &str) -> bool {
    let Some(device) = path.strip_prefix("/dev/") else {
        return false;
    };
    [
        "sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dm-", "mapper/", "md", "loop", "disk/", "mem",
        "kmem", "port", "rdisk", "nbd", "zd", "sr",
    ]
    .iter()
    .any(|prefix| device.starts_with(prefix))
}
