//! The keys of `--dev`: made once, kept beside the database, readable by their owner only.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    domain::{
        clock::{Entropy, random},
        secret::Secret,
    },
    vault::generate_master_key,
};

/// The master keys' file.
pub(super) const MASTER_KEYS: &str = "master.keys";
/// The token secret's file.
pub(super) const TOKEN_SECRET: &str = "token.secret";

/// A fresh master key as `GATEWAY_MASTER_KEYS` takes it: `id:base64` of 32 random bytes.
#[must_use]
pub fn new_master_key(entropy: &dyn Entropy) -> Secret {
    generate_master_key(entropy, &format!("k{:08x}", u32::from_be_bytes(random(entropy))))
}

/// A fresh token secret: 32 random bytes as text.
pub(super) fn new_token_secret(entropy: &dyn Entropy) -> Secret {
    let key = Zeroizing::new(random::<32>(entropy));
    Secret::new(STANDARD.encode(*key))
}

/// What the file holds; makes it, with `content`, where it is not there yet.
pub(super) fn read_or_make(directory: &Path, name: &str, content: impl FnOnce() -> Secret) -> Result<Secret, String> {
    let path = directory.join(name);
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(directory, name, &content()).map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
            // Another process may have been first: what lies there is what counts.
            read(&path)
        }
        outcome => outcome,
    }
    .map_err(|error| format!("{} cannot be used: {error}", path.display()))
}

/// What the file holds, without white space around it.
pub(super) fn read(path: &Path) -> io::Result<Secret> {
    let mode = path.metadata()?.mode();
    if mode & 0o077 != 0 {
        return Err(io::Error::other(format!("others may read it (mode {:03o}, not 600)", mode & 0o777)));
    }
    let content = Zeroizing::new(std::fs::read_to_string(path)?);
    Ok(Secret::new(content.trim().to_owned()))
}

/// Makes the file, whole or not at all, unless it is there already.
fn make(directory: &Path, name: &str, content: &Secret) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let unfinished = directory.join(format!(".{name}.{}", std::process::id()));
    let outcome = write(&unfinished, content).and_then(|()| std::fs::hard_link(&unfinished, directory.join(name)));
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.join(name).exists() => Ok(()),
        outcome => outcome,
    }
}

fn write(path: &Path, content: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("data");
        let read = |content: &str| read_or_make(&directory, "a.key", || content.into());
        assert_eq!(read("first"), Ok("first".into()));
        assert_eq!(read("second"), Ok("first".into()));
        let mode = |path: &Path| path.metadata().expect("metadata").mode() & 0o777;
        assert_eq!((mode(&directory), mode(&directory.join("a.key"))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&directory).expect("a directory").count(), 1, "nothing else is left");
    }

    #[test]
    fn all_who_make_it_at_once_get_the_same_key() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("data");
        let made = directory.join("a.key");
        make(&directory, "a.key", &"theirs".into()).expect("made");
        make(&directory, "a.key", &"ours".into()).expect("too late, and fine");
        assert_eq!(super::read(&made).expect("read"), "theirs".into());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("a.key");
        std::fs::write(&path, "hunter2").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        let refused = read_or_make(home.path(), "a.key", || "new".into()).expect_err("refused");
        assert!(refused.contains("mode 644") && !refused.contains("hunter2"), "{refused}");
    }
}
