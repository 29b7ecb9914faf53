//! The shapes of tables and what is read of them are the same.

use std::collections::BTreeSet;

use super::{
    connector, faults,
    oauth_manifest::{MANIFEST, SHARED, SHARING, sharing},
    sample,
};
use crate::connector::{Library, LoadOptions, built_in, reader::asked, shape};

#[test]
fn every_key_of_every_table_is_read() {
    asked::take();
    connector(faults::RIGHT);
    connector(MANIFEST);
    sharing(SHARED, SHARING).unwrap();
    Library::load(built_in(), LoadOptions::default()).unwrap();
    connector(&sample(
        "in = \"basic\"\nuser = \"a\"\npassword = \"{field.key}\"",
        "a = { type = \"string\" }",
        "\"a\"",
        "method = \"POST\"\nurl = \"/x\"\nrelated = [{ content_type = \"text/plain\", text = \"x\" }]\n\
         [operations.derived.m]\nmail = { to = \"{payload.a}\", subject = \"x\", text = \"x\" }",
    ));
    let read = asked::take();
    let declared: BTreeSet<(&str, &str)> =
        shape::all().flat_map(|shape| shape.keys.iter().map(|key| (shape.name, key.name))).collect();
    let unread: Vec<_> = declared.difference(&read).collect();
    assert!(unread.is_empty(), "{unread:?}");
    assert!(declared.len() > 100);
}
