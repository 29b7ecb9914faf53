//! What is sealed opens where it belongs, and nowhere else.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::NaiveDate;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{cipher::Key, *};
use crate::domain::{
    clock::{Entropy, SharedEntropy},
    id::{ConnectionId, SiteId},
};

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let block = Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

fn entropy() -> SharedEntropy {
    Arc::new(Counting(AtomicU64::new(0)))
}

fn vault(id: &str) -> Vault {
    let entropy = entropy();
    let key = generate_master_key(&*entropy, id);
    Vault::new(MasterKeys::parse(key.expose()).expect("a key"), entropy)
}

const SITE: SiteId = SiteId::from_claimed_row(1);

fn keyring() -> Keyring {
    let vault = vault("m1");
    let keys = [vault.new_site_key(SITE, 1).expect("a key"), vault.new_site_key(SITE, 2).expect("a key")];
    vault.open_keys(SITE, &keys).expect("opened")
}

fn place(connection: i64, name: &str) -> Place<'_> {
    Place::Credential { connection: ConnectionId(connection), name }
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2030, 1, 15).expect("a date")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_round_trip_gives_what_was_sealed(plain: Vec<u8>, connection: i64, name in ".{0,20}", message in "[a-z0-9_]{0,40}") {
        let keyring = keyring();
        let sealed = keyring.seal(&place(connection, &name), &plain).expect("sealed");
        prop_assert_eq!(sealed.key_version, 2);
        let opened = keyring.open(&place(connection, &name), &sealed.blob).expect("opened");
        prop_assert_eq!(opened.expose(), &plain);
        let payload = keyring.seal_payload(day(), [7; 8], &message, &plain).expect("sealed");
        let opened = keyring.open_payload(&message, &payload).expect("opened");
        prop_assert_eq!(opened.expose(), &plain);
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_refused(plain in prop::collection::vec(any::<u8>(), 0..64), at: prop::sample::Index, bit in 0_u8..8) {
        let keyring = keyring();
        let sealed = keyring.seal(&place(1, "fields"), &plain).expect("sealed").blob;
        let payload = keyring.seal_payload(day(), [7; 8], "msg", &plain).expect("sealed");
        for (blob, is_payload) in [(sealed, false), (payload, true)] {
            let open = |blob: &[u8]| if is_payload { keyring.open_payload("msg", blob) } else { keyring.open(&place(1, "fields"), blob) };
            let mut flipped = blob.clone();
            flipped[at.index(blob.len())] ^= 1 << bit;
            prop_assert!(open(&flipped).is_err());
            prop_assert!(open(&blob[..at.index(blob.len())]).is_err());
        }
    }

    #[test]
    fn a_moved_blob_is_refused(a in (1_i64..50, "[a-z]{0,6}"), b in (1_i64..50, "[a-z]{0,6}")) {
        prop_assume!(a != b);
        let keyring = keyring();
        let sealed = keyring.seal(&place(a.0, &a.1), b"secret").expect("sealed");
        prop_assert_eq!(keyring.open(&place(b.0, &b.1), &sealed.blob), Err(VaultError::Tampered));
        let payload = keyring.seal_payload(day(), [7; 8], &a.1, b"secret").expect("sealed");
        prop_assert_eq!(keyring.open_payload(&a.1, &payload).map(|p| p.expose().to_vec()), Ok(b"secret".to_vec()));
        if a.1 != b.1 {
            prop_assert_eq!(keyring.open_payload(&b.1, &payload), Err(VaultError::Tampered));
        }
    }

    #[test]
    fn another_site_with_the_same_key_does_not_open(one: i64, other: i64, plain: Vec<u8>) {
        prop_assume!(one != other);
        let entropy = entropy();
        let [one, other] = [one, other].map(|site| {
            let key = Key::written(|bytes| bytes.fill(7));
            Keyring::new(SiteId::from_claimed_row(site), vec![(1, key)], SharedEntropy::clone(&entropy)).expect("a key")
        });
        for place in [place(1, "fields"), Place::Offer { token: "fields" }] {
            let sealed = one.seal(&place, &plain).expect("sealed").blob;
            prop_assert_eq!(other.open(&place, &sealed), Err(VaultError::Tampered));
            prop_assert!(one.open(&place, &sealed).is_ok());
        }
        let payload = one.seal_payload(day(), [7; 8], "msg", &plain).expect("sealed");
        prop_assert_eq!(other.open_payload("msg", &payload), Err(VaultError::Tampered));
    }

    #[test]
    fn a_changed_wrapped_key_is_refused(at: prop::sample::Index, bit in 0_u8..8) {
        let vault = vault("m1");
        let key = vault.new_site_key(SITE, 1).expect("a key");
        let mut flipped = key.clone();
        flipped.wrapped[at.index(key.wrapped.len())] ^= 1 << bit;
        prop_assert_eq!(vault.open_keys(SITE, &[flipped]).map(|_| ()), Err(VaultError::Tampered));
        let mut cut = key.clone();
        cut.wrapped.truncate(at.index(key.wrapped.len()));
        prop_assert!(vault.open_keys(SITE, &[cut]).is_err());
        prop_assert!(vault.open_keys(SITE, &[key]).is_ok());
    }
}

#[test]
fn another_sites_key_does_not_open() {
    let vault = vault("m1");
    let key = vault.new_site_key(SITE, 1).expect("a key");
    let other = SiteId::from_claimed_row(2);
    assert_eq!(vault.open_keys(other, std::slice::from_ref(&key)).unwrap_err(), VaultError::Tampered);
    let moved = WrappedKey { version: 2, ..key };
    assert_eq!(vault.open_keys(SITE, &[moved]).unwrap_err(), VaultError::Tampered);
}

#[test]
fn another_master_key_does_not_open() {
    let key = vault("m1").new_site_key(SITE, 1).expect("a key");
    assert_eq!(
        vault("m2").open_keys(SITE, std::slice::from_ref(&key)).unwrap_err(),
        VaultError::UnknownMasterKey { id: "m1".into() }
    );
    let entropy = entropy();
    let _ = generate_master_key(&*entropy, "skipped");
    let same_id = generate_master_key(&*entropy, "m1");
    let impostor = Vault::new(MasterKeys::parse(same_id.expose()).expect("a key"), entropy);
    assert_eq!(impostor.open_keys(SITE, &[key]).unwrap_err(), VaultError::Tampered);
    assert_eq!(vault("m1").open_keys(SITE, &[]).unwrap_err(), VaultError::NoKey);
}

#[test]
fn kinds_of_places_are_apart() {
    let keyring = keyring();
    let offer = keyring.seal(&Place::Offer { token: "fields" }, b"x").expect("sealed").blob;
    assert_eq!(keyring.open(&place(1, "fields"), &offer), Err(VaultError::Tampered));
    assert_eq!(keyring.open_payload("fields", &offer), Err(VaultError::Malformed));
    let payload = keyring.seal_payload(day(), [7; 8], "fields", b"x").expect("sealed");
    assert_eq!(keyring.open(&Place::Offer { token: "fields" }, &payload), Err(VaultError::Malformed));
    // A blob whose first byte is changed to another kind's does not pass as one of that kind.
    for (blob, format) in [(offer, 2), (payload, 1)] {
        let mut disguised = blob;
        disguised[0] = format;
        assert!(keyring.open_payload("fields", &disguised).is_err());
        assert!(keyring.open(&Place::Offer { token: "fields" }, &disguised).is_err());
    }
}

#[test]
fn no_two_seals_share_a_nonce() {
    let (keyring, vault) = (keyring(), vault("m1"));
    let (mut sealed, mut payloads, mut wrapped) = (HashSet::new(), HashSet::new(), HashSet::new());
    for _ in 0..1_000 {
        sealed.insert(keyring.seal(&place(1, "fields"), b"x").expect("sealed").blob[5..17].to_vec());
        payloads.insert(keyring.seal_payload(day(), [7; 8], "msg", b"x").expect("sealed")[17..29].to_vec());
        wrapped.insert(vault.new_site_key(SITE, 1).expect("a key").wrapped[..12].to_vec());
    }
    assert_eq!([sealed.len(), payloads.len(), wrapped.len()], [1_000; 3]);
}

#[test]
fn each_day_and_each_replica_has_a_key_of_its_own() {
    let keyring = keyring();
    let blob = |day, replica| keyring.seal_payload(day, replica, "msg", b"x").expect("sealed");
    let tomorrow = day().succ_opt().expect("a date");
    for other in [blob(tomorrow, [7; 8]), blob(day(), [8; 8])] {
        assert_eq!(keyring.open_payload("msg", &other).expect("opened").expose(), b"x");
        // With the head of another day or replica, another key is derived.
        let moved = [&blob(day(), [7; 8])[..17], &other[17..]].concat();
        assert_eq!(keyring.open_payload("msg", &moved), Err(VaultError::Tampered));
    }
}

#[test]
fn what_is_too_large_is_not_sealed() {
    let large = vec![0; 16 * 1024 * 1024 + 1];
    let keyring = keyring();
    assert_eq!(keyring.seal(&place(1, "fields"), &large), Err(VaultError::TooLarge));
    assert_eq!(keyring.seal_payload(day(), [7; 8], "msg", &large), Err(VaultError::TooLarge));
}

/// Written by another implementation (Python's `cryptography`) from the formats that the modules describe: what is
/// stored once must open for as long as its format byte is read.
#[test]
fn blobs_of_the_first_formats_open() {
    const MASTER: &str = "m1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const WRAPPED: &str = "AQEBAQEBAQEBAQEBN4KndizALiGcHS1TVCocl5s/3YjF1kCLq4Jdt8FUoG7jO0U1Kd/pu617BYDI14aL";
    const CREDENTIAL: &str = "AQAAAAMCAgICAgICAgICAgI5QfJEz5QAl+KeqYSTPhTts/r26AP3NgGOj4h2RRQ=";
    const OFFER: &str = "AQAAAAMDAwMDAwMDAwMDAwPiUGVqhHmmIcIA3ZjKVLSeJgUeVk80oI5u";
    const PAYLOAD: &str = "AgAAAAMAC07kcmVwbGljYTEEBAQEBAQEBAQEBARbPcv19RqGJD1wkZpjSmUQTPMgbwMoHtb6R1w=";

    let bytes = |text: &str| STANDARD.decode(text).expect("base64");
    let vault = Vault::new(MasterKeys::parse(MASTER).expect("a key"), entropy());
    let key = WrappedKey { version: 3, master_key_id: "m1".to_owned(), wrapped: bytes(WRAPPED) };
    let keyring = vault.open_keys(SiteId::from_claimed_row(7), &[key]).expect("opened");
    let credential = keyring.open(&place(42, "fields"), &bytes(CREDENTIAL)).expect("opened");
    assert_eq!(credential.expose(), b"the credential");
    let offer = keyring.open(&Place::Offer { token: "token" }, &bytes(OFFER)).expect("opened");
    assert_eq!(offer.expose(), b"the offer");
    let payload = keyring.open_payload("msg_1", &bytes(PAYLOAD)).expect("opened");
    assert_eq!(payload.expose(), b"the payload");
}

#[test]
fn debug_shows_site_and_versions_only() {
    assert_eq!(format!("{:?}", keyring()), "Keyring { site: SiteId(1), versions: [1, 2], .. }");
}

#[test]
fn an_unknown_version_is_named() {
    let vault = vault("m1");
    let keys = [vault.new_site_key(SITE, 1).expect("a key"), vault.new_site_key(SITE, 2).expect("a key")];
    let both = vault.open_keys(SITE, &keys).expect("opened");
    let old = vault.open_keys(SITE, &keys[..1]).expect("opened");
    let sealed = both.seal(&place(1, "fields"), b"x").expect("sealed");
    assert_eq!(old.open(&place(1, "fields"), &sealed.blob), Err(VaultError::UnknownVersion(2)));
    let sealed = old.seal(&place(1, "fields"), b"x").expect("sealed");
    assert!(both.open(&place(1, "fields"), &sealed.blob).is_ok(), "the old version still opens");
}

#[test]
fn wrong_master_keys_are_described_and_never_repeated() {
    for wrong in [
        "",
        "planted",
        "k:planted!",
        "k:cGxhbnRlZA==",
        "k 1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ] {
        let problem = MasterKeys::parse(wrong).expect_err("wrong");
        assert!(!problem.contains("planted") && !problem.contains("AAEC"), "{problem}");
        assert!(problem.contains("a right value is `id:` and the base64 of 32 bytes"), "{problem}");
    }
    let keys = MasterKeys::parse(
        "new:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,old://ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    )
    .expect("keys");
    assert_eq!(format!("{keys:?}"), "[\"new\", \"old\"]");
}
