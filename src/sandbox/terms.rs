//! What the vendor knows: its scopes, its accounts, and how long its access tokens may serve.

/// What can be consented to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    AccountRead,
    SubmissionsWrite,
    SubmissionsRead,
}

impl Scope {
    pub(super) const ALL: [Self; 3] = [Self::AccountRead, Self::SubmissionsWrite, Self::SubmissionsRead];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AccountRead => "account.read",
            Self::SubmissionsWrite => "submissions.write",
            Self::SubmissionsRead => "submissions.read",
        }
    }

    /// In words, for the consent page.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::AccountRead => "Read the account's id and name",
            Self::SubmissionsWrite => "Add submissions",
            Self::SubmissionsRead => "Read submissions",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    /// A list of scopes as RFC 6749, section 3.3, writes it.
    pub(super) fn join(scopes: &[Self]) -> String {
        let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        words.join(" ")
    }
}

/// A customer of the vendor's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
}

/// The two that there are.
pub(super) static ACCOUNTS: [Account; 2] =
    [Account { id: "acct_1", name: "Lighthouse Books" }, Account { id: "acct_2", name: "Harbour Cycles" }];

/// How long access tokens may serve, in seconds and in words. The operator chooses.
pub(super) const LIFETIMES: [(u32, &str); 3] = [(60, "1 minute"), (600, "10 minutes"), (3_600, "1 hour")];
