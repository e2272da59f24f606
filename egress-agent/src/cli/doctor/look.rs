//! Looks at the machine. Changes nothing, and waits for nothing but the daemon and a child that
//! looks into the home.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use aya::{programs::ProgramType, sys::is_program_supported};
use jiff::Timestamp;
use landlock::{AccessFs, LandlockStatus, Ruleset, RulesetAttr as _};
use rustix::{
    fs::statvfs,
    time::{ClockId, clock_gettime},
};

use super::facts::{
    Bpf, Clock, Confinement, Disk, Facts, Groups, Kernel, Landlock, Loads, Names, NoDaemon,
    PolicyFile, UnitFile, Units,
};
use crate::{
    audit,
    cli::{
        PIN_DIR,
        home::{self, Done, SeenHook, Task, User},
        init::{
            SYSTEMD,
            manifest::Manifest,
            tree::Tree,
            units::{self, Unit},
        },
    },
    control::{
        client::{Client, ClientError},
        group_id,
        message::{Reply, Request},
        status::Status,
    },
    kernel::{
        Hierarchy, boot, check_kernel, lsm,
        pins::Pins,
        programs::{has_set_retval, kernel_release},
    },
    policy::Policy,
    programs::egressctl_path,
};

/// Of a kernel's configuration, in bytes.
const LONGEST: u64 = 4 << 20;

pub(super) fn look(socket: &Path) -> Facts {
    let daemon = daemon(socket);
    let is_root = rustix::process::geteuid().is_root();
    let used = used_policy();
    let status = daemon.as_deref().ok();
    Facts {
        kernel: kernel(),
        groups: Groups {
            mount: Hierarchy::find()
                .map(|hierarchy| hierarchy.root().to_owned())
                .map_err(|error| error.to_string()),
            mounts: text("/proc/self/mountinfo").unwrap_or_default(),
        },
        bpf: bpf(is_root),
        confinement: confinement(),
        names: Names {
            nsswitch: text("/etc/nsswitch.conf"),
            resolv: fs::read_to_string("/etc/resolv.conf").map_err(|error| error.to_string()),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policies: policies(status, &used),
        hooks: hooks().map_err(|error| format!("{error:#}")),
        clock: clock(),
        disk: disk(status, &used),
        units: look_at_units(&used),
        has_group: group_id().is_some(),
        is_root,
        daemon,
    }
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn kernel() -> Kernel {
    let release = kernel_release();
    let actions = text("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    Kernel {
        refused: check_kernel().err().map(|error| error.to_string()),
        chooses_errno: has_set_retval(),
        config: config(&release),
        tells_types: Path::new("/sys/kernel/btf/vmlinux").exists(),
        filters_calls: actions.split_whitespace().any(|action| action == "errno"),
        release,
    }
}

fn config(release: &str) -> Option<String> {
    let mut text = String::new();
    if let Ok(packed) = File::open("/proc/config.gz") {
        flate2::read::GzDecoder::new(packed)
            .take(LONGEST)
            .read_to_string(&mut text)
            .ok()?;
        return Some(text);
    }
    File::open(format!("/boot/config-{release}"))
        .ok()?
        .take(LONGEST)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

fn bpf(is_root: bool) -> Bpf {
    let loads = if is_root {
        match is_program_supported(ProgramType::CgroupSkb) {
            Ok(true) => Loads::Yes,
            Ok(false) => Loads::No("it does not know them".to_owned()),
            Err(error) => Loads::No(error.to_string()),
        }
    } else {
        Loads::NotAsked
    };
    let pins = Pins::new(Path::new(PIN_DIR), "doctor", "").check();
    let filesystems = text("/proc/filesystems").unwrap_or_default();
    Bpf {
        loads,
        pins: pins.err().map(|error| error.to_string()),
        has_filesystem: filesystems
            .lines()
            .any(|line| line.split_whitespace().last() == Some("bpf")),
    }
}

fn confinement() -> Confinement {
    Confinement {
        modules: lsm::modules().ok(),
        landlock: landlock(),
        lsm: lsm::probe().err().map(|error| error.to_string()),
        most_namespaces: text("/proc/sys/user/max_user_namespaces").unwrap_or_default(),
        clone_switch: text("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor: text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    }
}

fn landlock() -> Landlock {
    // The status comes with a restriction, which only the thread that asks gets.
    let asked = thread::spawn(|| {
        let ruleset = Ruleset::default().handle_access(AccessFs::Execute)?;
        ruleset.create()?.restrict_self()
    })
    .join();
    match asked.map(|status| status.map(|status| status.landlock)) {
        Ok(Ok(LandlockStatus::Available { effective_abi, .. })) => {
            Landlock::Abi(effective_abi as i32)
        }
        Ok(Ok(LandlockStatus::NotEnabled)) => Landlock::Off,
        Ok(Ok(LandlockStatus::NotImplemented)) => Landlock::Absent,
        Ok(Err(error)) => Landlock::Unknown(error.to_string()),
        Err(_panic) => Landlock::Unknown("asking for it failed".to_owned()),
    }
}

fn daemon(socket: &Path) -> Result<Box<Status>, NoDaemon> {
    let asked = Client::connect(socket)
        .and_then(|mut client| client.request(&Request::Status { session: None }));
    match asked {
        Ok(Reply::Status(status)) => Ok(status),
        Ok(_) => Err(NoDaemon::Strange(
            "answered something else: is it of this version?".to_owned(),
        )),
        Err(ClientError::Unreachable { path, source: _ }) => Err(NoDaemon::Absent(format!(
            "it does not run, or {} cannot be reached",
            path.display()
        ))),
        Err(error @ ClientError::NotAllowed { .. }) => Err(NoDaemon::NotAllowed(error.to_string())),
        Err(
            error @ (ClientError::Broken(_)
            | ClientError::Request(_)
            | ClientError::Failed(_)
            | ClientError::Unexpected),
        ) => Err(NoDaemon::Strange(error.to_string())),
    }
}

/// The policy that `egressctl init` has set up, or the usual one.
fn used_policy() -> PathBuf {
    let noted = || -> Option<PathBuf> {
        let tree = Tree::open(Path::new("/")).ok()?;
        let place = Manifest::place(true).ok()?;
        Manifest::read(&tree, &place).ok()??.policy
    };
    noted().unwrap_or_else(|| PathBuf::from(units::POLICY))
}

fn policies(status: Option<&Status>, used: &Path) -> Vec<PolicyFile> {
    let guards = status.map(|status| status.guards.as_slice());
    let guards = guards.unwrap_or_default();
    if guards.is_empty() {
        return vec![policy(used.to_owned(), None)];
    }
    guards
        .iter()
        .map(|guard| {
            let in_force = (guard.cgroup.clone(), guard.policy.digest.clone());
            policy(PathBuf::from(&guard.policy.file), Some(in_force))
        })
        .collect()
}

fn policy(file: PathBuf, in_force: Option<(String, String)>) -> PolicyFile {
    let read = match Policy::load(&file) {
        Ok(policy) => Ok((policy.digest().to_owned(), policy.warnings().len())),
        // One line: the picture is for `policy check`.
        Err(error) => {
            let text = format!("{:#}", anyhow::Error::from(error));
            Err(text.lines().next().unwrap_or_default().to_owned())
        }
    };
    PolicyFile {
        file,
        read,
        in_force,
    }
}

fn hooks() -> anyhow::Result<Vec<SeenHook>> {
    let root = Path::new("/");
    let user = User::find(None, root)?;
    let task = Task::Look {
        home: user.home.clone(),
        search: user.search(root),
        agents: None,
        files: user.files(),
        program: egressctl_path()?,
        project: None,
    };
    match home::ask(&user, &task)? {
        Done::Seen(seen) => Ok(seen.hooks),
        Done::Installed(_) | Done::Removed(_) | Done::Failed { .. } => {
            anyhow::bail!("the child answered something else than was asked for")
        }
    }
}

fn clock() -> Clock {
    let awake = clock_gettime(ClockId::Monotonic);
    Clock {
        now: Timestamp::now(),
        is_kept: is_kept(),
        boot: Duration::from_nanos(boot::now()),
        awake: Duration::new(
            awake.tv_sec.try_into().unwrap_or(0),
            awake.tv_nsec.try_into().unwrap_or(0),
        ),
        offsets: text("/proc/self/timens_offsets"),
    }
}

/// What the kernel was told by whoever keeps its clock (adjtimex(2)).
#[expect(unsafe_code, reason = "no safe wrapper of adjtimex(2) is at hand")]
fn is_kept() -> Option<bool> {
    // SAFETY: all of its members are numbers, and zero is one of each.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: without a mode it only reads, into what the pointer leads to.
    let said = unsafe { libc::adjtimex(&raw mut state) };
    (said >= 0).then_some(state.status & libc::STA_UNSYNC == 0)
}

fn disk(status: Option<&Status>, used: &Path) -> Option<Disk> {
    let told = status.and_then(|status| status.audit.as_ref());
    let policy = status
        .and_then(|status| status.guards.first())
        .map_or(used, |guard| Path::new(&guard.policy.file));
    let settings = Policy::load(policy).ok();
    let settings = settings.as_ref().map(Policy::audit);
    let file = match (told, settings) {
        (Some(told), _) => PathBuf::from(&told.file),
        (None, Some(settings)) => settings.file.clone(),
        (None, None) => PathBuf::from(audit::DEFAULT_FILE),
    };
    let wanted = settings.map_or(0, |settings| {
        settings
            .rotate_bytes
            .saturating_mul(u64::from(settings.keep) + 1)
    });
    let existing = file.ancestors().find(|place| place.exists())?;
    let room = statvfs(existing).ok()?;
    Some(Disk {
        file,
        free: room.f_bavail.saturating_mul(room.f_frsize),
        wanted,
    })
}

fn look_at_units(policy: &Path) -> Units {
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let programs: Vec<PathBuf> = own.into_iter().chain([PathBuf::from("/usr/bin")]).collect();
    Units {
        systemd: Path::new(SYSTEMD).is_dir(),
        files: units::ALL
            .iter()
            .map(|unit| unit_file(unit, &programs, policy))
            .collect(),
        is_enabled: ["/etc/systemd/system", "/usr/lib/systemd/system"]
            .iter()
            .any(|place| {
                let link = Path::new(place).join("multi-user.target.wants/egressd.service");
                fs::symlink_metadata(link).is_ok()
            }),
    }
}

fn unit_file(unit: &Unit, programs: &[PathBuf], policy: &Path) -> UnitFile {
    let places = std::iter::once(unit.own()).chain(unit.packaged());
    let found = places
        .map(|place| (fs::read_to_string(&place), place))
        .find(|(text, _)| !is_absent(text));
    let Some((text, at)) = found else {
        return UnitFile {
            name: unit.name,
            at: None,
            is_current: false,
        };
    };
    let is_current = text.is_ok_and(|text| {
        let mut known = programs.iter().flat_map(|programs| {
            [policy, Path::new(units::POLICY)].map(|policy| (programs, policy))
        });
        known.any(|(programs, policy)| unit.text(programs, policy).is_ok_and(|known| known == text))
    });
    UnitFile {
        name: unit.name,
        at: Some(at),
        is_current,
    }
}

fn is_absent(text: &io::Result<String>) -> bool {
    matches!(text, Err(error) if error.kind() == io::ErrorKind::NotFound)
}
