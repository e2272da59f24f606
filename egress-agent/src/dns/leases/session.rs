//! The leases of one session.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use egress_common::{Address, Lease, LeaseGrant, PortSet};
use slab::Slab;

use super::{Grant, Held, Name};

/// Index of a name in its session.
type NameId = usize;

#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    ids: HashMap<Name, NameId>,
    names: Slab<Known>,
    addresses: BTreeMap<Address, Entry>,
    /// Every hold, the first to expire first.
    order: BTreeSet<(u64, NameId, Address)>,
}

/// A name and what it holds.
#[derive(Clone, Debug)]
struct Known {
    name: Name,
    grant: Grant,
    holds: Vec<Hold>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    address: Address,
    expires: u64,
    learned: u64,
    /// When it was learnt last; boot time in nanoseconds.
    since: u64,
}

/// An address and who holds it.
#[derive(Clone, Debug)]
struct Entry {
    /// At least one; the name that was learnt last is `newest`.
    holders: Vec<NameId>,
    newest: NameId,
    lease: Lease,
}

impl Known {
    fn hold(&self, address: Address) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.address == address)
    }

    /// When a hold ends under the grant that the name has now.
    fn end(&self, expires: u64) -> u64 {
        expires.min(self.grant.until)
    }
}

impl Session {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// How many of `addresses` the name does not hold.
    pub(super) fn missing(&self, name: &str, addresses: &[Address]) -> usize {
        let known = self.known(name);
        addresses
            .iter()
            .filter(|address| known.is_none_or(|known| known.hold(**address).is_none()))
            .count()
    }

    /// Whether the address's image has room for a grant of this set.
    pub(super) fn has_place(&self, address: Address, set: PortSet, now: u64) -> bool {
        self.addresses.get(&address).is_none_or(|entry| {
            set == PortSet::EMPTY
                || entry
                    .lease
                    .grants
                    .iter()
                    .any(|grant| grant.set == set.0 || grant.expires <= now)
        })
    }

    /// Holds the addresses until `expires` or longer; says whose image changed.
    pub(super) fn hold(
        &mut self,
        name: &Name,
        grant: &Grant,
        addresses: &[Address],
        expires: u64,
        now: u64,
        learned: &mut u64,
    ) -> Vec<Address> {
        let id = self.intern(name, grant);
        let mut touched = Vec::new();
        if self.regrant(id, grant) {
            touched.extend(
                self.names
                    .get(id)
                    .into_iter()
                    .flat_map(|known| &known.holds)
                    .map(|hold| hold.address),
            );
            for address in &touched {
                self.recompute(*address);
            }
        }
        for address in addresses {
            *learned += 1;
            if self.hold_one(id, *address, (expires, now), *learned) {
                touched.push(*address);
            }
        }
        self.forget_idle(id);
        touched
    }

    /// Marks the addresses as learnt again when the name holds them all until `until`.
    pub(super) fn touch(
        &mut self,
        name: &str,
        addresses: &[Address],
        until: u64,
        learned: &mut u64,
    ) -> bool {
        let Some(id) = self.ids.get(name).copied() else {
            return false;
        };
        let Some(known) = self.names.get_mut(id) else {
            return false;
        };
        // Under the grant that it was learnt by: one that lasts longer has to be written.
        let holds_all = addresses.iter().all(|address| {
            known
                .hold(*address)
                .is_some_and(|hold| known.end(hold.expires) >= until)
        });
        if !holds_all {
            return false;
        }
        for address in addresses {
            *learned += 1;
            if let Some(hold) = known.holds.iter_mut().find(|hold| hold.address == *address) {
                hold.learned = *learned;
            }
            if let Some(entry) = self.addresses.get_mut(address) {
                entry.newest = id;
            }
        }
        true
    }

    /// Drops the least recently learnt live holds above `limit`; says whose image changed.
    pub(super) fn drop_oldest(&mut self, name: &str, limit: usize, now: u64) -> Vec<Address> {
        let Some((id, known)) = self
            .ids
            .get(name)
            .and_then(|id| Some((*id, self.names.get(*id)?)))
        else {
            return Vec::new();
        };
        if known.holds.len() <= limit {
            return Vec::new();
        }
        let mut live: Vec<_> = known
            .holds
            .iter()
            .filter(|hold| now < hold.expires)
            .map(|hold| (hold.learned, hold.address))
            .collect();
        live.sort_unstable();
        let excess = live.len().saturating_sub(limit);
        let dropped: Vec<_> = live
            .into_iter()
            .take(excess)
            .map(|(_, address)| address)
            .collect();
        for address in &dropped {
            self.drop_hold(id, *address);
        }
        dropped
    }

    /// Drops the hold that expired first, if it did; says whose it was.
    pub(super) fn drop_expired(&mut self, now: u64) -> Option<Address> {
        let (expires, id, address) = self.order.first().copied()?;
        if now < expires {
            return None;
        }
        self.drop_hold(id, address);
        Some(address)
    }

    pub(super) fn first_expiry(&self) -> Option<u64> {
        self.order.first().map(|(expires, _, _)| *expires)
    }

    pub(super) fn withdraw(&mut self, name: &str, addresses: &[Address]) {
        if let Some(id) = self.ids.get(name).copied() {
            for address in addresses {
                self.drop_hold(id, *address);
            }
        }
    }

    pub(super) fn lease(&self, address: Address) -> Option<&Lease> {
        self.addresses.get(&address).map(|entry| &entry.lease)
    }

    pub(super) fn image(&self) -> impl Iterator<Item = (Address, &Lease)> {
        self.addresses
            .iter()
            .map(|(address, entry)| (*address, &entry.lease))
    }

    /// Asks anew what every name is granted; a name that is granted nothing is forgotten.
    pub(super) fn rejudge(&mut self, decide: &mut impl FnMut(&Name) -> Option<Grant>) {
        let ids: Vec<NameId> = self.names.iter().map(|(id, _)| id).collect();
        for entry in self.addresses.values_mut() {
            entry.lease = Lease::default();
        }
        let mut denied = Vec::new();
        for id in ids {
            let Some(known) = self.names.get_mut(id) else {
                continue;
            };
            let Some(grant) = decide(&known.name) else {
                denied.push(id);
                continue;
            };
            known.grant = grant;
            for hold in &known.holds {
                if let Some(entry) = self.addresses.get_mut(&hold.address) {
                    merge(&mut entry.lease, known.grant.set, known.end(hold.expires));
                }
            }
        }
        self.forget(&denied);
    }

    pub(super) fn names(&self, session: u64, address: Address) -> Vec<Held<'_>> {
        let Some(entry) = self.addresses.get(&address) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entry
            .holders
            .iter()
            .filter_map(|id| self.names.get(*id))
            .filter_map(|known| Some((known.hold(address)?, known)))
            .collect();
        names.sort_unstable_by_key(|(hold, _)| std::cmp::Reverse(hold.learned));
        names
            .into_iter()
            .map(|(hold, known)| held(session, known, hold))
            .collect()
    }

    pub(super) fn newest(&self, session: u64, address: Address) -> Option<Held<'_>> {
        let known = self.names.get(self.addresses.get(&address)?.newest)?;
        Some(held(session, known, known.hold(address)?))
    }

    pub(super) fn iter(&self, session: u64) -> impl Iterator<Item = Held<'_>> {
        self.names.iter().flat_map(move |(_, known)| {
            known
                .holds
                .iter()
                .map(move |hold| held(session, known, hold))
        })
    }

    fn known(&self, name: &str) -> Option<&Known> {
        self.names.get(*self.ids.get(name)?)
    }

    fn intern(&mut self, name: &Name, grant: &Grant) -> NameId {
        if let Some(id) = self.ids.get(&**name) {
            return *id;
        }
        let id = self.names.insert(Known {
            name: name.clone(),
            grant: grant.clone(),
            holds: Vec::new(),
        });
        self.ids.insert(name.clone(), id);
        id
    }

    /// Takes over a grant; says whether the port set or its end is another one than before.
    fn regrant(&mut self, id: NameId, grant: &Grant) -> bool {
        self.names.get_mut(id).is_some_and(|known| {
            let other = known.grant.set != grant.set || known.grant.until != grant.until;
            if other || known.grant.rules != grant.rules {
                known.grant = grant.clone();
            }
            other
        })
    }

    /// Says whether the address's image changed.
    fn hold_one(
        &mut self,
        id: NameId,
        address: Address,
        (expires, now): (u64, u64),
        learned: u64,
    ) -> bool {
        let Some(known) = self.names.get_mut(id) else {
            return false;
        };
        let entry = self.addresses.entry(address).or_insert_with(|| Entry {
            holders: Vec::new(),
            newest: id,
            lease: Lease::default(),
        });
        entry.newest = id;
        let expires =
            if let Some(hold) = known.holds.iter_mut().find(|hold| hold.address == address) {
                hold.learned = learned;
                hold.since = now;
                let later = expires.max(hold.expires);
                self.order.remove(&(hold.expires, id, address));
                hold.expires = later;
                later
            } else {
                entry.holders.push(id);
                known.holds.push(Hold {
                    address,
                    expires,
                    learned,
                    since: now,
                });
                expires
            };
        self.order.insert((expires, id, address));
        merge(&mut entry.lease, known.grant.set, known.end(expires))
    }

    fn drop_hold(&mut self, id: NameId, address: Address) {
        let Some(known) = self.names.get_mut(id) else {
            return;
        };
        let Some(at) = known.holds.iter().position(|hold| hold.address == address) else {
            return;
        };
        let hold = known.holds.swap_remove(at);
        self.order.remove(&(hold.expires, id, address));
        if let Some(entry) = self.addresses.get_mut(&address) {
            entry.holders.retain(|holder| *holder != id);
        }
        self.recompute(address);
        self.forget_idle(id);
    }

    /// Works out the address's image and newest name from all that hold it.
    fn recompute(&mut self, address: Address) {
        let Some(entry) = self.addresses.get_mut(&address) else {
            return;
        };
        let mut lease = Lease::default();
        let mut newest = None;
        for id in &entry.holders {
            let Some(known) = self.names.get(*id) else {
                continue;
            };
            if let Some(hold) = known.hold(address) {
                merge(&mut lease, known.grant.set, known.end(hold.expires));
                newest = newest.max(Some((hold.learned, *id)));
            }
        }
        match newest {
            Some((_, id)) => {
                entry.lease = lease;
                entry.newest = id;
            }
            None => {
                self.addresses.remove(&address);
            }
        }
    }

    /// Forgets names with all that they hold. The images of their addresses are already right.
    fn forget(&mut self, names: &[NameId]) {
        let mut touched = BTreeSet::new();
        for id in names {
            let Some(known) = self.names.try_remove(*id) else {
                continue;
            };
            self.ids.remove(&*known.name);
            for hold in known.holds {
                self.order.remove(&(hold.expires, *id, hold.address));
                touched.insert(hold.address);
            }
        }
        for address in touched {
            if let Some(entry) = self.addresses.get_mut(&address) {
                entry.holders.retain(|holder| self.names.contains(*holder));
            }
            self.recompute(address);
        }
    }

    fn forget_idle(&mut self, id: NameId) {
        if self
            .names
            .get(id)
            .is_some_and(|known| known.holds.is_empty())
        {
            let known = self.names.remove(id);
            self.ids.remove(&*known.name);
        }
    }
}

fn held<'a>(session: u64, known: &'a Known, hold: &Hold) -> Held<'a> {
    Held {
        session,
        name: &known.name,
        grant: &known.grant,
        address: hold.address,
        expires: known.end(hold.expires),
        since: hold.since,
    }
}

/// Adds a grant to an image: the same set keeps the later expiry; when every place is taken, the
/// grants that expire last stay. Says whether the image changed.
fn merge(lease: &mut Lease, set: PortSet, expires: u64) -> bool {
    if set == PortSet::EMPTY {
        return false;
    }
    if let Some(grant) = lease.grants.iter_mut().find(|grant| grant.set == set.0) {
        let is_later = expires > grant.expires;
        grant.expires = grant.expires.max(expires);
        return is_later;
    }
    let Some(grant) = lease
        .grants
        .iter_mut()
        .min_by_key(|grant| (grant.set != 0, grant.expires))
    else {
        return false;
    };
    if grant.set != 0 && grant.expires >= expires {
        return false;
    }
    *grant = LeaseGrant {
        expires,
        set: set.0,
        reserved: 0,
    };
    true
}
