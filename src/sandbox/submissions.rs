//! What was sent to the vendor: the last submissions, and by which idempotency keys they came. Pure.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How many submissions are kept, and so how many idempotency keys.
const KEPT: usize = 1_000;
/// How many bytes of them are kept.
const BYTES_KEPT: usize = 4 * 1024 * 1024;

type Key = (&'static str, String);

/// The submissions of all accounts.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    /// The oldest first.
    kept: VecDeque<Submission>,
    bytes: usize,
    /// The number that a key led to, and the digest of what came with it.
    by_key: HashMap<Key, (u64, [u8; 32])>,
    last: u64,
}

#[derive(Debug)]
struct Submission {
    number: u64,
    account: &'static str,
    key: Option<String>,
    payload: Value,
    length: usize,
}

/// What became of one that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Added {
    New(String),
    /// The key was there already, with the same content.
    Again(String),
    /// The key was there already, with another content.
    Mismatch,
}

impl Submissions {
    /// Takes a submission, `payload` read from `body`.
    pub(super) fn add(&mut self, account: &'static str, key: Option<String>, body: &[u8], payload: Value) -> Added {
        let digest: [u8; 32] = Sha256::digest(body).into();
        if let Some(key) = &key
            && let Some((number, known)) = self.by_key.get(&(account, key.clone()))
        {
            return if *known == digest { Added::Again(id(*number)) } else { Added::Mismatch };
        }
        self.last += 1;
        let number = self.last;
        if let Some(key) = &key {
            self.by_key.insert((account, key.clone()), (number, digest));
        }
        self.bytes += body.len();
        self.kept.push_back(Submission { number, account, key, payload, length: body.len() });
        while self.kept.len() > KEPT || self.bytes > BYTES_KEPT {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.length;
            if let Some(key) = oldest.key {
                self.by_key.remove(&(oldest.account, key));
            }
        }
        Added::New(id(number))
    }

    /// Those of an account, the newest first.
    pub(super) fn of(&self, account: &str) -> Value {
        let own = self.kept.iter().rev().filter(|submission| submission.account == account);
        own.map(|it| json!({"id": id(it.number), "idempotency_key": it.key, "payload": it.payload})).collect()
    }
}

fn id(number: u64) -> String {
    format!("sub_{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(submissions: &mut Submissions, account: &'static str, key: &str, body: &str) -> Added {
        submissions.add(account, Some(key.to_owned()), body.as_bytes(), json!(body))
    }

    #[test]
    fn a_key_adds_one_submission_for_its_account() {
        let mut submissions = Submissions::default();
        assert_eq!(add(&mut submissions, "a", "k", "1"), Added::New("sub_1".to_owned()));
        assert_eq!(add(&mut submissions, "a", "k", "1"), Added::Again("sub_1".to_owned()));
        assert_eq!(add(&mut submissions, "a", "k", "2"), Added::Mismatch);
        assert_eq!(add(&mut submissions, "b", "k", "2"), Added::New("sub_2".to_owned()));
        assert_eq!(submissions.of("a"), json!([{"id": "sub_1", "idempotency_key": "k", "payload": "1"}]));
    }

    #[test]
    fn the_oldest_go_first_with_their_keys() {
        let mut submissions = Submissions::default();
        for number in 0..=KEPT {
            add(&mut submissions, "a", &number.to_string(), "1");
        }
        assert_eq!((submissions.kept.len(), submissions.by_key.len()), (KEPT, KEPT));
        add(&mut submissions, "a", "large", &"x".repeat(BYTES_KEPT));
        assert_eq!((submissions.kept.len(), submissions.by_key.len(), submissions.bytes), (1, 1, BYTES_KEPT));
    }
}
