//! How many connections there may be, and whose. Pure.

use std::collections::BTreeMap;

use super::authorise::Standing;

/// Connections in all.
const SEATS: usize = 256;
/// Kept free for root outside of every guard.
const RESERVED: usize = 32;
/// Of one uid; guarded and not guarded count apart.
const PER_UID: usize = 64;

/// Who sits where.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: usize,
    by_holder: BTreeMap<Holder, usize>,
}

/// Whose connections count together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Holder {
    /// Root outside of every guard.
    Root,
    Outside(u32),
    Guarded(u32),
}

/// No seat is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoSeat;

impl Holder {
    pub(super) fn new(uid: u32, standing: &Standing) -> Self {
        match standing {
            Standing::Guarded { .. } => Self::Guarded(uid),
            Standing::Outside if uid == 0 => Self::Root,
            Standing::Outside => Self::Outside(uid),
        }
    }
}

impl Seats {
    pub(super) fn take(&mut self, holder: Holder) -> Result<(), NoSeat> {
        let held = self.by_holder.get(&holder).copied().unwrap_or_default();
        let (all, own) = match holder {
            Holder::Root => (SEATS, SEATS),
            Holder::Outside(_) | Holder::Guarded(_) => (SEATS - RESERVED, PER_UID),
        };
        if self.taken >= all || held >= own {
            return Err(NoSeat);
        }
        self.taken += 1;
        self.by_holder.insert(holder, held + 1);
        Ok(())
    }

    pub(super) fn leave(&mut self, holder: Holder) {
        self.taken = self.taken.saturating_sub(1);
        match self.by_holder.get_mut(&holder) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                self.by_holder.remove(&holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(seats: &mut Seats, holder: Holder) -> usize {
        std::iter::repeat_with(|| seats.take(holder))
            .take_while(Result::is_ok)
            .count()
    }

    #[test]
    fn one_uid_takes_its_share_and_no_more() {
        let mut seats = Seats::default();
        assert_eq!(fill(&mut seats, Holder::Outside(1000)), PER_UID);
        assert_eq!(fill(&mut seats, Holder::Guarded(1000)), PER_UID);
        seats.leave(Holder::Outside(1000));
        assert_eq!(fill(&mut seats, Holder::Outside(1000)), 1);
    }

    #[test]
    fn root_finds_a_seat_whoever_else_is_there() {
        let mut seats = Seats::default();
        for uid in 0..300 {
            fill(&mut seats, Holder::Outside(uid));
            fill(&mut seats, Holder::Guarded(uid));
        }
        assert_eq!(seats.taken, SEATS - RESERVED);
        assert_eq!(fill(&mut seats, Holder::Root), RESERVED);
    }

    #[test]
    fn who_left_is_forgotten() {
        let mut seats = Seats::default();
        for uid in 0..1_000 {
            seats.take(Holder::Guarded(uid)).unwrap();
            seats.leave(Holder::Guarded(uid));
        }
        assert_eq!((seats.taken, seats.by_holder.len()), (0, 0));
    }

    #[test]
    fn a_guarded_root_is_not_root() {
        let guarded = Standing::Guarded { session: None };
        assert_eq!(Holder::new(0, &guarded), Holder::Guarded(0));
        assert_eq!(Holder::new(0, &Standing::Outside), Holder::Root);
        assert_eq!(Holder::new(7, &Standing::Outside), Holder::Outside(7));
    }
}
