//! Leases run in boot time: a wall clock that is set moves none, and they run on while the machine
//! is suspended.
//!
//! Setting clocks and suspending is for emulated machines only: those tests are listed as not run
//! elsewhere, and refuse to be forced.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use egress_agent::kernel::{Tables, boot};
use egress_common::{Address, Lease, LeaseGrant};

use super::{Place, busybox, one_allowed_address};

const LEASED: &str = "203.0.113.11";
const YEAR: i64 = 365 * 24 * 3600;

#[test]
fn a_lease_ends_when_its_time_is_over() {
    let place = Place::new();
    let (_programs, mut tables, _events) = place.guard(&one_allowed_address());
    check(&place, false);
    lease(&mut tables, &place, Duration::from_secs(3));
    check(&place, true);
    sleep(Duration::from_secs(3));
    check(&place, false);
}

#[test]
#[ignore = "sets the clock of the whole machine: `cargo xtask vm` runs it in an emulated one"]
fn a_lease_does_not_move_when_the_wall_clock_is_set() {
    only_emulated();
    let place = Place::new();
    let (_programs, mut tables, _events) = place.guard(&one_allowed_address());
    for jump in [YEAR, -2 * YEAR] {
        lease(&mut tables, &place, Duration::from_mins(10));
        jump_by(jump);
        check(&place, true);
        lease(&mut tables, &place, Duration::from_secs(1));
        jump_by(-jump);
        sleep(Duration::from_secs(1));
        check(&place, false);
    }
}

#[test]
#[ignore = "suspends the whole machine: `cargo xtask vm` runs it in an emulated one"]
fn a_lease_runs_on_while_the_machine_is_suspended() {
    only_emulated();
    let place = Place::new();
    let (_programs, mut tables, _events) = place.guard(&one_allowed_address());
    lease(&mut tables, &place, Duration::from_secs(5));
    let (boot_before, awake_before) = (boot::now(), awake());
    suspend(Duration::from_secs(8));
    let boot_passed = Duration::from_nanos(boot::now() - boot_before);
    let awake_passed = awake().checked_sub(awake_before).unwrap();
    assert!(
        boot_passed > awake_passed + Duration::from_secs(5),
        "the machine did not sleep: {boot_passed:?} passed, it was awake for {awake_passed:?}"
    );
    // Less than the lease, had it stood still with the machine.
    assert!(awake_passed < Duration::from_secs(5), "{awake_passed:?}");
    check(&place, false);
    lease(&mut tables, &place, Duration::from_mins(10));
    check(&place, true);
}

#[track_caller]
fn check(place: &Place, is_allowed: bool) {
    let answer = place.connect(LEASED);
    // Nobody listens there.
    let expected = if is_allowed {
        "Connection refused"
    } else {
        "Permission denied"
    };
    assert!(answer.contains(expected), "not `{expected}`: {answer}");
}

/// A lease of this length from now on, for the processes of the cgroup itself.
fn lease(tables: &mut Tables, place: &Place, length: Duration) {
    let length = u64::try_from(length.as_nanos()).unwrap();
    let mut lease = Lease::default();
    lease.grants[0] = LeaseGrant {
        expires: boot::now() + length,
        set: 1,
        reserved: 0,
    };
    let address = Address::from_v4([203, 0, 113, 11]);
    tables.lease(place.cgroup.id(), address, &lease).unwrap();
}

fn jump_by(seconds: i64) {
    let before = wall();
    busybox(&format!("date -s @{}", before + seconds));
    let jumped = wall() - before;
    assert!((jumped - seconds).abs() < 60, "the clock moved by {jumped}");
}

fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// How long the machine has been awake: this clock stands still while it is suspended.
fn awake() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// Suspends to memory; the machine's own clock wakes it.
fn suspend(length: Duration) {
    let alarm = Path::new("/sys/class/rtc/rtc0/wakealarm");
    fs::write(alarm, "0").unwrap();
    fs::write(alarm, format!("+{}", length.as_secs())).unwrap();
    // Emulated machines do not wake from suspension to idle.
    fs::write("/sys/power/mem_sleep", "deep").unwrap();
    fs::write("/sys/power/state", "mem").unwrap();
}

#[track_caller]
fn only_emulated() {
    assert!(
        std::env::var_os("EGRESS_VM").is_some(),
        "this changes the clock of the whole machine: let `cargo xtask vm` run it in an emulated one"
    );
}
