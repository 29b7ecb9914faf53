//! The hosts that may come from outside a manifest: a closed list, so that no field, callback or token
//! answer decides whom the gateway calls.

/// Names, and endings of names, of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// Adds `api.example.com`, or `*.example.com` for every name below it.
    pub(super) fn add(&mut self, pattern: &str) -> Result<(), &'static str> {
        let name = pattern.strip_prefix("*.").unwrap_or(pattern);
        if pattern != name && !name.contains('.') {
            return Err("would let a whole top-level domain in");
        }
        if !is_host(name) {
            return Err("is no host's name, such as api.example.com or *.example.com");
        }
        self.0.push(pattern.to_owned());
        Ok(())
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this host may be called. Only its plain name is: no port, no user, no capital letters.
    pub(super) fn admit(&self, host: &str) -> bool {
        is_host(host)
            && self.0.iter().any(|pattern| match pattern.strip_prefix('*') {
                Some(ending) => host.len() > ending.len() && host.ends_with(ending),
                None => host == pattern,
            })
    }

    /// The list in words.
    pub(super) fn shown(&self) -> String {
        self.0.join(", ")
    }
}

/// A name of at least two labels (RFC 1123, 2.1) that is no address.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(label)
        && last.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_let_in() {
        let mut hosts = Hosts::default();
        hosts.add("login.example.com").unwrap();
        hosts.add("*.my.example.org").unwrap();
        for host in ["login.example.com", "a.my.example.org", "a--b.sandbox.my.example.org"] {
            assert!(hosts.admit(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "LOGIN.example.com",
            "login.example.com.",
            "login.example.com:443",
            "login.example.com/x",
            "x@login.example.com",
            "my.example.org",
            ".my.example.org",
            "evilmy.example.org",
            "a..my.example.org",
            "-a.my.example.org",
            "evil.example#.my.example.org",
            "evil.example/.my.example.org",
            "ä.my.example.org",
            "127.0.0.1",
        ] {
            assert!(!hosts.admit(host), "{host}");
        }
    }

    #[test]
    fn a_list_names_domains() {
        for pattern in ["", "*", "*.com", "com", "*.*.example.com", "a.*.example.com", "https://example.com", "1.2.3.4"]
        {
            assert!(Hosts::default().add(pattern).is_err(), "{pattern}");
        }
    }
}
