//! What a session that runs as root could do to leave its guard, in lines for whoever allowed it.

use crate::control::confinement::{Held, Piece};

/// What is not held, one line each. Root without capabilities still owns the files of the machine.
pub(super) fn not_held(held: &Held) -> Vec<&'static str> {
    let (view, landlock, seccomp) = (
        held.has(Piece::View),
        held.has(Piece::Landlock),
        held.has(Piece::Seccomp),
    );
    let mut lines = vec![
        "it writes what other programs of root execute later: cron tables, units, keys, libraries",
        "it sends signals to every process of root, egressd included (enforcement stays without it)",
    ];
    if !view && !landlock {
        lines.push("it moves itself out of its cgroup, and is no longer guarded: view and landlock are not active");
        lines.push("it unpins the guard and rewrites policies: view and landlock are not active");
    }
    if !view {
        lines.push("it asks system services over their UNIX sockets, which start programs outside: view is not active");
    }
    if !view {
        lines.push("it tells the kernel what to start as root (core_pattern), and writes to disks: view is not active");
    }
    if !view && !landlock {
        lines.push("it writes into the memory of other processes of root, and sees their files through /proc: view and landlock are not active");
    }
    if !seccomp {
        lines.push("it takes descriptors of other processes of root, and opens sockets of every family: seccomp is not active");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::confinement::State;

    #[test]
    fn each_missing_piece_adds_what_it_would_have_held() {
        let held = |pieces: &[Piece]| {
            let active = |piece: &Piece| (*piece, State::Active(String::new()));
            not_held(&Held(pieces.iter().map(active).collect())).len()
        };
        let whole = held(&Piece::ALL);
        assert_eq!(whole, 2);
        assert_eq!(held(&[Piece::Landlock, Piece::Seccomp]), whole + 2);
        assert_eq!(held(&[Piece::View, Piece::Seccomp]), whole);
        assert_eq!(held(&[Piece::View, Piece::Landlock]), whole + 1);
        assert_eq!(held(&[]), whole + 6);
    }
}
