use proptest::prelude::*;

use super::*;
use crate::sandbox::terms::ACCOUNTS;

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_900_000_000 + seconds, 0).unwrap()
}

fn asked() -> Asked {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    Asked { scopes: Scope::ALL.to_vec(), state: Some("s".to_owned()), challenge }
}

fn consent() -> Consent {
    Consent { account: &ACCOUNTS[0], scopes: vec![Scope::AccountRead], lifetime: 60 }
}

/// The code of a new grant, consented to at second 0.
fn code(grants: &mut Grants) -> Secret {
    let ticket = grants.ask(asked(), at(0));
    grants.allow(ticket.expose(), consent(), at(0)).unwrap().1
}

fn granted() -> (Grants, Issued) {
    let mut grants = Grants::new([7; 32]);
    let code = code(&mut grants);
    let issued = grants.exchange(code.expose(), VERIFIER, at(0)).unwrap();
    (grants, issued)
}

fn only(grants: &Grants) -> &Grant {
    grants.list().next().unwrap().1
}

#[test]
fn a_ticket_serves_once_and_not_for_ever() {
    let mut grants = Grants::new([7; 32]);
    let ticket = grants.ask(asked(), at(0));
    assert!(grants.asked(ticket.expose(), at(599)).is_some());
    assert!(grants.asked(ticket.expose(), at(600)).is_none());
    assert!(grants.allow(ticket.expose(), consent(), at(0)).is_some());
    assert!(grants.allow(ticket.expose(), consent(), at(0)).is_none());
    assert!(grants.deny(ticket.expose(), at(0)).is_none());
    let denied = grants.ask(asked(), at(0));
    assert!(grants.deny(denied.expose(), at(0)).is_some());
    assert!(grants.allow(denied.expose(), consent(), at(0)).is_none());
    assert_eq!(grants.list().len(), 1);
}

#[test]
fn a_code_needs_its_verifier_and_its_minute() {
    let mut grants = Grants::new([7; 32]);
    let first = code(&mut grants);
    assert_eq!(grants.exchange(first.expose(), "wrong", at(0)).unwrap_err(), Refused::Verifier);
    assert_eq!(grants.exchange(first.expose(), VERIFIER, at(60)).unwrap_err(), Refused::Expired);
    assert!(grants.exchange(first.expose(), VERIFIER, at(59)).is_ok());
    assert_eq!(grants.exchange("sandbox-code.1.0.0.AAAA", VERIFIER, at(0)).unwrap_err(), Refused::Unknown);
}

#[test]
fn a_code_that_comes_twice_ends_what_came_of_it() {
    let mut grants = Grants::new([7; 32]);
    let code = code(&mut grants);
    let issued = grants.exchange(code.expose(), VERIFIER, at(0)).unwrap();
    assert_eq!(grants.exchange(code.expose(), VERIFIER, at(1)).unwrap_err(), Refused::Reused);
    assert_eq!(grants.check(issued.access.expose(), at(1)).unwrap_err(), Refused::Revoked);
    assert_eq!(grants.refresh(issued.refresh.expose(), at(1)).unwrap_err(), Refused::Revoked);
    assert_eq!((only(&grants).exchanged(), only(&grants).reused), (1, 1));
}

#[test]
fn a_refresh_token_that_comes_twice_ends_the_family() {
    let (mut grants, first) = granted();
    let second = grants.refresh(first.refresh.expose(), at(10)).unwrap();
    assert!(grants.check(first.access.expose(), at(59)).is_ok(), "it has its own time");
    assert!(grants.check(second.access.expose(), at(69)).is_ok());
    assert_eq!(grants.check(second.access.expose(), at(70)).unwrap_err(), Refused::Expired);
    assert_eq!(grants.refresh(first.refresh.expose(), at(11)).unwrap_err(), Refused::Reused);
    assert_eq!(grants.refresh(second.refresh.expose(), at(12)).unwrap_err(), Refused::Revoked);
    assert_eq!(grants.check(second.access.expose(), at(12)).unwrap_err(), Refused::Revoked);
    let grant = only(&grants);
    assert_eq!((grant.standing, grant.refreshed, grant.reused), (Standing::Revoked(RevokedBy::Reuse), 1, 1));
}

#[test]
fn any_token_of_a_grant_gives_it_back() {
    for which in 0..3 {
        let (mut grants, first) = granted();
        let second = grants.refresh(first.refresh.expose(), at(1)).unwrap();
        let token = [&first.refresh, &second.refresh, &second.access][which];
        grants.give_back(token.expose());
        assert_eq!(only(&grants).standing, Standing::Revoked(RevokedBy::Client));
        assert!(grants.find(second.access.expose(), at(1)).is_none());
        assert!(grants.find(second.refresh.expose(), at(1)).is_none());
        grants.give_back(token.expose());
    }
    let (mut grants, _) = granted();
    grants.give_back("sandbox-access.1.1.0.AAAA");
    assert_eq!(only(&grants).standing, Standing::Active);
}

#[test]
fn switches_act_at_once() {
    let (mut grants, first) = granted();
    grants.get_mut(1).unwrap().expire();
    assert_eq!(grants.check(first.access.expose(), at(1)).unwrap_err(), Refused::Expired);
    grants.get_mut(1).unwrap().drop_scope(Scope::AccountRead);
    let second = grants.refresh(first.refresh.expose(), at(1)).unwrap();
    assert_eq!(second.scopes, []);
    assert!(grants.check(second.access.expose(), at(1)).unwrap().scopes.is_empty());
    grants.get_mut(1).unwrap().revoke(RevokedBy::Switch);
    assert_eq!(grants.check(second.access.expose(), at(1)).unwrap_err(), Refused::Revoked);
    grants.get_mut(1).unwrap().revoke(RevokedBy::Client);
    assert_eq!(only(&grants).standing, Standing::Revoked(RevokedBy::Switch), "the first reason stays");
}

#[test]
fn the_table_is_bounded_and_the_oldest_go_first() {
    let (mut grants, first) = granted();
    for _ in 0..GRANTS_MAX {
        code(&mut grants);
    }
    assert_eq!(grants.list().len(), GRANTS_MAX);
    assert_eq!(grants.check(first.access.expose(), at(0)).unwrap_err(), Refused::Unknown);
    let oldest = grants.ask(asked(), at(0));
    for _ in 0..ASKED_MAX {
        grants.ask(asked(), at(0));
    }
    assert_eq!(grants.asked.len(), ASKED_MAX);
    assert!(grants.asked(oldest.expose(), at(0)).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    /// Turns in one of the refresh tokens that were given out.
    Refresh(usize),
    /// Calls with one of the access tokens that were given out.
    Call(usize),
    GiveBack(usize),
    Expire,
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // Mostly the newest token, so that families grow.
        6 => prop_oneof![9 => Just(0), 1 => 0..8_usize].prop_map(Step::Refresh),
        6 => (0..8_usize).prop_map(Step::Call),
        1 => (0..8_usize).prop_map(Step::GiveBack),
        1 => Just(Step::Expire),
        3 => (1..50_i64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn no_token_serves_twice_nor_after_its_end(steps in prop::collection::vec(step(), 1..60)) {
        let (mut grants, issued) = granted();
        // Each pair with its birth, and whether its refresh token was turned in or its access token expired by hand.
        let mut pairs = vec![(issued, 0_i64, false, false)];
        let (mut now, mut ended) = (0_i64, false);
        for step in steps {
            let newest = pairs.len() - 1;
            let pick = |back: usize| newest - back.min(newest);
            match step {
                Step::Refresh(back) => {
                    let which = pick(back);
                    let outcome = grants.refresh(pairs[which].0.refresh.expose(), at(now));
                    prop_assert_eq!(outcome.is_ok(), !ended && !pairs[which].2);
                    ended |= pairs[which].2;
                    pairs[which].2 = true;
                    pairs.extend(outcome.ok().map(|issued| (issued, now, false, false)));
                }
                Step::Call(back) => {
                    let (issued, birth, _, expired) = &pairs[pick(back)];
                    let expected = match (ended, *expired || now >= birth + 60) {
                        (true, _) => Some(Refused::Revoked),
                        (false, true) => Some(Refused::Expired),
                        (false, false) => None,
                    };
                    prop_assert_eq!(grants.check(issued.access.expose(), at(now)).err(), expected);
                }
                Step::GiveBack(back) => {
                    grants.give_back(pairs[pick(back)].0.refresh.expose());
                    ended = true;
                }
                Step::Expire => {
                    grants.get_mut(1).unwrap().expire();
                    for pair in &mut pairs {
                        pair.3 = true;
                    }
                }
                Step::Wait(seconds) => now += seconds,
            }
        }
    }
}
