//! The table against tables of cases and against a naive model that remembers every learning.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const TERMS: Terms = Terms {
    ttl_min: Duration::from_secs(10),
    ttl_max: Duration::from_secs(100),
    grace: Duration::from_secs(5),
    addresses_per_name: 3,
};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn address(last: u8) -> Address {
    Address::from_v4([203, 0, 113, last])
}

fn grant(set: u32) -> Grant {
    Grant {
        rules: [RuleId(set)].into(),
        set: PortSet(set),
    }
}

fn learn(
    leases: &mut Leases,
    name_: &str,
    set: u32,
    addresses: &[u8],
    ttl: u64,
    now: u64,
) -> Result<(), LeaseError> {
    let addresses: Vec<_> = addresses.iter().map(|last| address(*last)).collect();
    leases.learn(
        1,
        &name(name_),
        &grant(set),
        (&addresses, Duration::from_secs(ttl)),
        &TERMS,
        now * SECOND,
    )
}

/// (set, expiry in seconds) of the address's grants, as the image has them.
fn grants(leases: &Leases, last: u8) -> Vec<(u32, u64)> {
    let mut grants: Vec<_> = leases
        .image()
        .filter(|(_, held, _)| *held == address(last))
        .flat_map(|(_, _, lease)| lease.grants)
        .filter(|grant| grant.set != 0)
        .map(|grant| (grant.set, grant.expires / SECOND))
        .collect();
    grants.sort_unstable();
    grants
}

#[test]
fn the_expiry_is_floored_capped_and_gets_the_grace() {
    for (ttl, expires) in [
        (0, 1015),
        (10, 1015),
        (50, 1055),
        (100, 1105),
        (86_400, 1105),
    ] {
        let mut leases = Leases::default();
        learn(&mut leases, "a.example", 7, &[1], ttl, 1000).unwrap();
        assert_eq!(grants(&leases, 1), [(7, expires)]);
        assert_eq!(leases.changes().write.len(), 1);
    }
}

#[test]
fn the_same_set_keeps_the_later_expiry_and_other_sets_stand_beside_it() {
    let mut leases = Leases::default();
    learn(&mut leases, "a.example", 7, &[1], 90, 0).unwrap();
    learn(&mut leases, "b.example", 7, &[1], 20, 0).unwrap();
    learn(&mut leases, "c.example", 8, &[1], 20, 0).unwrap();
    assert_eq!(grants(&leases, 1), [(7, 95), (8, 25)]);
    learn(&mut leases, "b.example", 7, &[1], 100, 1).unwrap();
    assert_eq!(grants(&leases, 1), [(7, 106), (8, 25)]);
    let names: Vec<_> = leases
        .names(1, address(1))
        .into_iter()
        .map(|held| held.name.to_string())
        .collect();
    assert_eq!(names, ["b.example", "c.example", "a.example"]);
    assert_eq!(&**leases.name(1, address(1)).unwrap().name, "b.example");
    assert!(leases.names(2, address(1)).is_empty());
}

#[test]
fn a_fifth_live_set_fails_and_an_expired_one_gives_way() {
    let mut leases = Leases::default();
    for set in 1..=4_u32 {
        learn(
            &mut leases,
            &format!("n{set}.example"),
            set,
            &[1],
            u64::from(set) * 10,
            0,
        )
        .unwrap();
    }
    let fifth = learn(&mut leases, "n5.example", 5, &[2, 1], 50, 0);
    assert_eq!(fifth, Err(LeaseError::TooManyGrants(address(1))));
    assert!(grants(&leases, 2).is_empty(), "all or nothing");
    learn(&mut leases, "n5.example", 5, &[2, 1], 50, 15).unwrap();
    assert_eq!(grants(&leases, 1), [(2, 25), (3, 35), (4, 45), (5, 70)]);
}

#[test]
fn the_least_recently_learnt_address_of_a_name_gives_way_unless_another_name_holds_it() {
    let mut leases = Leases::default();
    learn(&mut leases, "a.example", 7, &[1, 2, 3], 100, 0).unwrap();
    learn(&mut leases, "b.example", 8, &[2], 100, 0).unwrap();
    learn(&mut leases, "a.example", 7, &[1], 100, 1).unwrap();
    leases.settle();
    learn(&mut leases, "a.example", 7, &[4, 5], 100, 2).unwrap();
    assert_eq!(grants(&leases, 1), [(7, 106)]);
    assert_eq!(grants(&leases, 2), [(8, 105)]);
    assert_eq!(grants(&leases, 3), []);
    let changes = leases.changes();
    assert_eq!(changes.remove, [(1, address(3))]);
    assert_eq!(changes.write.len(), 3);
}

#[test]
fn an_answer_of_more_addresses_than_a_name_may_have_is_cut() {
    let mut leases = Leases::default();
    learn(&mut leases, "a.example", 7, &[1, 2, 3, 4], 100, 0).unwrap();
    assert!(grants(&leases, 4).is_empty());
    assert_eq!(leases.len(), 3);
}

#[test]
fn expired_holds_stay_until_room_is_needed_and_live_ones_are_never_dropped_for_it() {
    let mut leases = Leases::new(Bounds {
        per_session: 3,
        total: 4,
    });
    learn(&mut leases, "a.example", 7, &[1], 10, 0).unwrap();
    learn(&mut leases, "b.example", 7, &[2], 20, 0).unwrap();
    learn(&mut leases, "c.example", 7, &[3], 100, 0).unwrap();
    leases.settle();
    assert_eq!(
        learn(&mut leases, "d.example", 7, &[4], 10, 14),
        Err(LeaseError::SessionFull)
    );
    learn(&mut leases, "d.example", 7, &[4], 10, 15).unwrap();
    assert_eq!(leases.changes().remove, [(1, address(1))]);
    assert_eq!(leases.names(1, address(2)).len(), 1);
    let other = |leases: &mut Leases, last, now: u64| {
        leases.learn(
            2,
            &name("x.example"),
            &grant(7),
            (&[address(last)], Duration::ZERO),
            &TERMS,
            now * SECOND,
        )
    };
    other(&mut leases, 1, 15).unwrap();
    assert_eq!(other(&mut leases, 2, 15), Err(LeaseError::Full));
    other(&mut leases, 2, 25).unwrap();
    assert!(
        leases.names(1, address(2)).is_empty(),
        "the guard's oldest expired hold gave way"
    );
}

#[test]
fn a_touch_needs_every_address_and_a_kernel_that_knows() {
    let mut leases = Leases::default();
    learn(&mut leases, "a.example", 7, &[1, 2], 20, 0).unwrap();
    let touch = |leases: &mut Leases, addresses: &[u8], until: u64| {
        let addresses: Vec<_> = addresses.iter().map(|last| address(*last)).collect();
        leases.touch(1, "a.example", &addresses, until * SECOND)
    };
    assert!(!touch(&mut leases, &[1], 20), "not yet written");
    leases.settle();
    assert!(touch(&mut leases, &[1, 2], 25));
    assert!(!touch(&mut leases, &[1, 2], 26));
    assert!(!touch(&mut leases, &[1, 3], 20));
    assert!(!leases.touch(2, "a.example", &[address(1)], 0));
    assert!(!leases.touch(1, "b.example", &[address(1)], 0));
}

#[test]
fn what_could_not_be_written_is_taken_back_and_cleaned_up_later() {
    let mut leases = Leases::default();
    learn(&mut leases, "a.example", 7, &[1], 20, 0).unwrap();
    leases.withdraw(1, "a.example", &[address(1)]);
    assert!(leases.is_empty());
    assert_eq!(leases.changes().remove, [(1, address(1))]);
}

#[test]
fn a_session_ends_with_all_its_leases_and_no_others() {
    let mut leases = Leases::default();
    learn(&mut leases, "a.example", 7, &[1, 2], 20, 0).unwrap();
    leases
        .learn(
            2,
            &name("a.example"),
            &grant(7),
            (&[address(1)], Duration::ZERO),
            &TERMS,
            0,
        )
        .unwrap();
    leases.settle();
    leases.end(1);
    assert_eq!(leases.changes().remove, [(1, address(1)), (1, address(2))]);
    assert_eq!(
        leases
            .image()
            .map(|(session, ..)| session)
            .collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(leases.len(), 1);
}

#[test]
fn another_policy_regrants_or_forgets_every_name() {
    let mut leases = Leases::default();
    learn(&mut leases, "a.example", 7, &[1, 2], 20, 0).unwrap();
    learn(&mut leases, "b.example", 7, &[2, 3], 50, 0).unwrap();
    let table = leases.rejudged(|_, name| (&**name == "b.example").then(|| grant(9)));
    assert!(grants(&table, 1).is_empty());
    assert_eq!(grants(&table, 2), [(9, 55)]);
    assert_eq!(grants(&table, 3), [(9, 55)]);
    assert_eq!(table.len(), 2);
    assert_eq!(&**table.name(1, address(2)).unwrap().name, "b.example");
    assert_eq!(
        grants(&leases, 2),
        [(7, 55)],
        "the present table stays as it is"
    );
}

#[test]
fn a_watched_name_is_remembered_and_grants_nothing() {
    let mut leases = Leases::default();
    learn(&mut leases, "a.example", 0, &[1], 20, 0).unwrap();
    assert_eq!(leases.image().count(), 0);
    assert_eq!(&**leases.name(1, address(1)).unwrap().name, "a.example");
}

#[test]
fn what_is_recalled_is_allowed_nothing_until_it_is_judged() {
    let hold = |name: &str, expires| Hold {
        session: 7,
        name: Name::parse(name).unwrap(),
        address: Address::from_v4([203, 0, 113, 1]),
        expires,
        since: SECOND,
    };
    let holds = [
        hold("a.example", 60 * SECOND),
        hold("b.example", 90 * SECOND),
    ];
    let recalled = Leases::recall(Bounds::default(), holds);
    assert_eq!(recalled.len(), 2);
    assert_eq!(recalled.image().count(), 0);
    let judged = recalled.rejudged(|_, name| (&**name == "a.example").then(|| grant(8)));
    let image: Vec<_> = judged.image().collect();
    assert_eq!(image.len(), 1);
    assert_eq!(judged.len(), 1);
    assert!(image.iter().all(|(_, _, lease)| {
        let mut live = lease.grants.iter().filter(|grant| grant.set != 0);
        live.all(|grant| grant.expires == 60 * SECOND)
    }));
}

#[test]
fn a_hundred_thousand_leases_are_learnt_listed_and_ended_in_linear_time() {
    let mut leases = Leases::default();
    let began = std::time::Instant::now();
    for number in 0..100_000_u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let addresses = [Address::from_v4([11, b, c, d])];
        let session = u64::from(number % 4);
        leases
            .learn(
                session,
                &name(&format!("n{number}.example")),
                &grant(7),
                (&addresses, Duration::ZERO),
                &TERMS,
                0,
            )
            .unwrap();
        if number % 1000 == 0 {
            leases.settle();
        }
    }
    assert_eq!(leases.iter().count(), 100_000);
    assert_eq!(
        leases.rejudged(|_, _| Some(grant(8))).image().count(),
        100_000
    );
    for session in 0..4 {
        leases.end(session);
    }
    assert!(leases.is_empty());
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(20),
        "{took:?} even unoptimised is far from linear"
    );
}

/// Ten thousand names behind one address, as behind one CDN.
#[test]
fn many_names_may_share_an_address() {
    let mut leases = Leases::default();
    for number in 0..10_000 {
        learn(&mut leases, &format!("n{number}.example"), 7, &[1], 100, 0).unwrap();
        leases.settle();
    }
    assert_eq!(leases.names(1, address(1)).len(), 10_000);
    assert_eq!(&**leases.name(1, address(1)).unwrap().name, "n9999.example");
}

#[derive(Clone, Debug)]
enum Step {
    Learn {
        session: u64,
        name: u8,
        addresses: Vec<u8>,
        ttl: u64,
        is_written: bool,
    },
    Touch {
        session: u64,
        name: u8,
        addresses: Vec<u8>,
    },
    Pass(u64),
    End(u64),
    Rejudge(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let addresses = || prop::collection::vec(0..6_u8, 0..5);
    let step = prop_oneof![
        6 => (0..2_u64, 0..6_u8, addresses(), 0..120_u64, prop::bool::weighted(0.9)).prop_map(
            |(session, name, addresses, ttl, is_written)| Step::Learn { session, name, addresses, ttl, is_written }
        ),
        2 => (0..2_u64, 0..6_u8, addresses()).prop_map(|(session, name, addresses)| Step::Touch { session, name, addresses }),
        3 => (0..60_u64).prop_map(Step::Pass),
        1 => (0..2_u64).prop_map(Step::End),
        1 => (0..6_u8).prop_map(Step::Rejudge),
    ];
    prop::collection::vec(step, 0..60)
}

/// Everything that was ever learnt and still counts, in order.
#[derive(Debug, Default)]
struct Model {
    /// (session, name, address, expires, learnt at): the newest of one name and address last.
    learned: Vec<(u64, u8, u8, u64)>,
    kernel: BTreeMap<(u64, Address), Lease>,
}

impl Model {
    fn apply(&mut self, changes: Changes) {
        for (session, address, lease) in changes.write {
            self.kernel.insert((session, address), lease);
        }
        for key in changes.remove {
            self.kernel.remove(&key);
        }
    }

    fn learn(&mut self, session: u64, name: u8, addresses: &[u8], expires: u64, now: u64) {
        for last in addresses.iter().take(TERMS.addresses_per_name) {
            let mut expires = expires;
            self.learned.retain(|(s, n, a, e)| {
                let is_same = (*s, *n, *a) == (session, name, *last);
                if is_same {
                    expires = expires.max(*e);
                }
                !is_same
            });
            self.learned.push((session, name, *last, expires));
        }
        let live: Vec<_> = self
            .learned
            .iter()
            .filter(|(s, n, _, e)| (*s, *n) == (session, name) && now < *e)
            .copied()
            .collect();
        let excess = live.len().saturating_sub(TERMS.addresses_per_name);
        self.learned.retain(|held| !live[..excess].contains(held));
    }
}

/// Name `n` has the port set `n / 2 + 1` and its own in every policy.
fn set_of(name: u8, policy: u8) -> u32 {
    u32::from(name / 2 + 1) + u32::from(policy) * 10
}

proptest! {
    #[test]
    fn the_kernel_grants_exactly_what_live_names_stand_for(steps in steps()) {
        let mut leases = Leases::new(Bounds { per_session: 12, total: 20 });
        let mut model = Model::default();
        let (mut now, mut policy) = (SECOND, 0_u8);
        for step in steps {
            match step {
                Step::Learn { session, name: n, addresses, ttl, is_written } => {
                    let all: Vec<_> = addresses.iter().map(|last| address(*last)).collect();
                    let grant = grant(set_of(n, policy));
                    let ttl = Duration::from_secs(ttl);
                    let result = leases.learn(session, &name(&format!("n{n}.example")), &grant, (&all, ttl), &TERMS, now);
                    let expires = TERMS.expiry(ttl, now);
                    prop_assert!((now + 15 * SECOND..=now + 105 * SECOND).contains(&expires));
                    if result.is_ok() {
                        model.learn(session, n, &addresses, expires, now);
                    }
                    if is_written {
                        model.apply(leases.changes());
                        leases.settle();
                    } else {
                        leases.withdraw(session, &format!("n{n}.example"), &all);
                        model.learned.retain(|(s, m, a, _)| (*s, *m) != (session, n) || !addresses.contains(a));
                    }
                }
                Step::Touch { session, name: n, addresses } => {
                    let all: Vec<_> = addresses.iter().map(|last| address(*last)).collect();
                    if leases.touch(session, &format!("n{n}.example"), &all, now + 1) {
                        for last in addresses {
                            let expires = model.learned.iter().find(|(s, m, a, e)| (*s, *m, *a) == (session, n, last) && *e > now).map(|held| held.3);
                            prop_assert!(expires.is_some(), "a touch of what is not held");
                            model.learn(session, n, &[last], expires.unwrap(), now);
                        }
                    }
                }
                Step::Pass(seconds) => now += seconds * SECOND,
                Step::End(session) => {
                    leases.end(session);
                    model.apply(leases.changes());
                    leases.settle();
                    model.learned.retain(|(s, ..)| *s != session);
                }
                Step::Rejudge(denied) => {
                    policy = (policy + 1) % 4;
                    leases = leases.rejudged(|_, name| {
                        let n: u8 = name.split('.').next().unwrap().trim_start_matches('n').parse().unwrap();
                        (n != denied).then(|| grant(set_of(n, policy)))
                    });
                    model.learned.retain(|(_, n, ..)| *n != denied);
                    model.kernel = leases.image().map(|(session, address, lease)| ((session, address), lease)).collect();
                }
            }
            prop_assert_eq!(leases.len(), leases.iter().count());
            prop_assert!(leases.len() <= 20);
            let pending: Vec<_> = leases.marked.iter().copied().collect();
            for ((session, held), lease) in &model.kernel {
                for grant in lease.grants.iter().filter(|grant| grant.set != 0 && now < grant.expires) {
                    let stands = model.learned.iter().any(|(s, n, a, e)| {
                        (*s, address(*a), *e) == (*session, *held, grant.expires) && set_of(*n, policy) == grant.set
                    });
                    prop_assert!(stands || pending.contains(&(*session, *held)), "nobody stands for {:?} of {:?}", grant, held);
                }
            }
            for (session, n, last, expires) in model.learned.iter().filter(|held| now < held.3) {
                let key = (*session, address(*last));
                let is_granted = model.kernel.get(&key).is_some_and(|lease| {
                    lease.grants.iter().any(|grant| grant.set == set_of(*n, policy) && grant.expires >= *expires)
                });
                prop_assert!(is_granted || pending.contains(&key), "n{} lost its live {:?}", n, key);
            }
        }
    }
}
