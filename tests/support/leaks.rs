//! Looks for planted secrets where none may be. Every secret of these stories has the same word in it, so that none is
//! forgotten; it is looked for as it is, in base64 and in hexadecimal digits.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::{postgres, process::Site};

const PLANTED: &str = "planted";

/// The word in every form that it can have inside a longer text.
fn forms() -> Vec<String> {
    let in_base64 = (0..3).map(|before| {
        // What stands before and after it changes the digits at both ends, so they are left out.
        let padded = format!("{}{PLANTED}", "-".repeat(before));
        let digits = STANDARD_NO_PAD.encode(&padded);
        let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        digits[first..last].to_owned()
    });
    let hexadecimal = PLANTED.bytes().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    in_base64.chain([PLANTED.to_owned(), hexadecimal]).collect()
}

/// Fails where a planted secret is among these bytes.
pub fn assert_none(place: &str, bytes: &[u8]) {
    for form in forms() {
        let found = bytes.windows(form.len()).position(|window| window.eq_ignore_ascii_case(form.as_bytes()));
        assert!(found.is_none(), "a planted secret is in {place} at {found:?}, as {form}");
    }
}

/// Looks through all that the processes of a story have said and stored.
pub async fn assert_none_left(site: &Site) {
    let said = site.said();
    assert!(said.len() > 1_000, "nothing was said");
    assert_none("the log", &said);
    if site.sqlite_file().is_some() {
        let mut read = 0;
        for file in std::fs::read_dir(site.folder()).expect("the directory").flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with("gateway.db") {
                let bytes = std::fs::read(file.path()).expect("a file");
                assert_none(&name, &bytes);
                read += bytes.len();
            }
        }
        assert!(read > 10_000, "the database's files were read");
        return;
    }
    let client = postgres::connect(&site.database_url).await;
    let tables = client
        .query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'", &[])
        .await
        .expect("the tables");
    assert!(tables.len() > 10, "the tables were listed");
    for table in tables {
        let table: &str = table.get(0);
        let rows = client.query(&format!("SELECT t::text FROM {table} t"), &[]).await.expect("rows");
        for row in rows {
            assert_none(table, row.get::<_, &str>(0).as_bytes());
        }
    }
}

#[test]
fn a_secret_is_found_in_every_form() {
    for text in ["xxplantedyy", "PLANTED", "7878706c616e74656479"] {
        assert!(std::panic::catch_unwind(|| assert_none("here", text.as_bytes())).is_err(), "{text}");
    }
    for before in ["", "a", "ab", "abc"] {
        let text = STANDARD_NO_PAD.encode(format!("{before}planted-and-more"));
        assert!(std::panic::catch_unwind(|| assert_none("here", text.as_bytes())).is_err(), "{text}");
    }
    assert_none("here", b"plant ed");
}
