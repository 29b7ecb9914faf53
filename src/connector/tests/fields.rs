use super::{AuthFlow, Violation, check, connector};

const MANIFEST: &str = r#"
version = 1
slug = "sample"
display_name = "Sample"
family = "crm"
description = "For tests."

[[flows]]
flow = "basic"
proof = "account"
destination = "{field.server.host} {field.region}"
one_of = [["user", "password"], ["token"]]
[[flows.fields]]
name = "server"
label = "Server"
kind = "url"
[[flows.fields]]
name = "hook"
label = "Hook"
kind = "url"
address = "whole"
optional = true
[[flows.fields]]
name = "region"
label = "Region"
kind = "select"
default = "eu"
options = [{ value = "eu", label = "Europe" }, { value = "us", label = "America" }]
[[flows.fields]]
name = "number"
label = "Number"
optional = true
integer = true
[[flows.fields]]
name = "notes"
label = "Notes"
kind = "multiline"
optional = true
[[flows.fields]]
name = "user"
label = "User"
optional = true
[[flows.fields]]
name = "password"
label = "Password"
optional = true
secret = true
[[flows.fields]]
name = "token"
label = "Token"
optional = true
secret = true
pattern = "^[a-z]+-[a-z]{2}$"
placeholder = "abc-eu"
[flows.derived.name]
first_of = ["{field.user}", "token"]
[flows.derived.secret]
first_of = ["{field.password}", "{field.token}"]
[flows.credentials.default]
in = "basic"
user = "{derived.name}"
password = "{derived.secret}"

[[test]]
name = "account"
request = { method = "GET", url = "{field.server}/me" }
"#;

const GOOD: [(&str, &str); 2] = [("server", "https://example.com/app/"), ("token", "abc-eu")];

fn refused(given: &[(&str, &str)]) -> Vec<(String, String)> {
    let violations = check(&connector(MANIFEST), AuthFlow::Basic, given).expect_err("something is wrong");
    violations.into_iter().map(|Violation { field, message }| (field, message)).collect()
}

#[test]
fn addresses_are_brought_into_form_and_defaults_filled_in() {
    let read = connector(MANIFEST);
    let given = [("hook", "https://example.com/a?token=hunter2"), ("number", "")];
    let values = check(&read, AuthFlow::Basic, &[GOOD.as_slice(), &given].concat()).unwrap();
    let flow = read.flow(AuthFlow::Basic).unwrap();
    let shown = flow.configuration(&values);
    let shown: Vec<(&str, &str)> = shown.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected =
        [("server", "https://example.com/app"), ("hook", "https://example.com/a?[sealed]"), ("region", "eu")];
    assert_eq!(shown, expected);
    assert_eq!(flow.destination_label(&read, &values, None).as_deref(), Some("example.com eu"));
}

#[test]
fn all_violations_come_at_once_and_repeat_no_value() {
    let found = refused(&[
        ("server", "ftp://hunter2.example"),
        ("region", "hunter2"),
        ("region", "us"),
        ("number", "hunter2"),
        ("notes", "hunter2\0"),
        ("token", "hunter2"),
        ("tokn", "hunter2"),
    ]);
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["server", "region", "number", "notes", "token", "tokn"]);
    assert!(found.iter().all(|(_, message)| !message.contains("hunter2")), "{found:?}");
    assert!(found[5].1.ends_with("did you mean `token`?"), "{found:?}");
}

#[test]
fn each_rule_of_a_field_is_kept() {
    let long = "x".repeat(4_097);
    for (field, value, expected) in [
        ("server", "example.com", "is no address"),
        ("server", "http://example.com", "must begin with https://"),
        ("server", "https://user:pw@example.com", "must not contain a user name"),
        ("server", "https://example.com/#x", "must not contain a fragment"),
        ("server", "https://example.com/?x", "must not contain a query"),
        ("server", "javascript:alert(1)", "must begin with https://"),
        ("server", "", "is empty"),
        ("server", " https://example.com", "begins or ends with white space"),
        ("hook", "https://example.com/#x", "must not contain a fragment"),
        ("region", "asia", "must be one of: eu, us"),
        ("number", "1e3", "must be an integer"),
        ("number", "007", "must be an integer"),
        ("number", "99999999999999999999", "must be an integer"),
        ("notes", &long, "is longer than 4096 characters"),
        ("user", "a\nb", "contains a line break"),
    ] {
        let mut given: Vec<(&str, &str)> = GOOD.iter().filter(|(name, _)| *name != field).copied().collect();
        given.push((field, value));
        let found = refused(&given);
        assert!(
            found.iter().any(|(name, message)| name == field && message.starts_with(expected)),
            "{value}: {found:?}"
        );
    }
    assert_eq!(refused(&[("token", "abc-eu")]), [("server".to_owned(), "is missing".to_owned())]);
}

#[test]
fn exactly_one_group_is_given_and_all_of_it() {
    let server = ("server", "https://example.com");
    let groups = |given: &[(&str, &str)]| refused(&[[server].as_slice(), given].concat());
    assert_eq!(groups(&[]), [("user".to_owned(), "is missing: give user with password, or token".to_owned())]);
    let half = groups(&[("user", "ada")]);
    assert_eq!(half, [("password".to_owned(), "is missing: user and password belong together".to_owned())]);
    let both = groups(&[("user", "ada"), ("password", "pw"), ("token", "abc-eu")]);
    assert_eq!(both, [("token".to_owned(), "is too much: give user with password, or token".to_owned())]);
    assert!(check(&connector(MANIFEST), AuthFlow::Basic, &[server, ("user", "ada"), ("password", "pw")]).is_ok());
}

#[test]
fn only_settings_can_be_changed_and_no_secret_moves_to_another_host() {
    let read = connector(MANIFEST);
    let flow = read.flow(AuthFlow::Basic).unwrap();
    let old = check(&read, AuthFlow::Basic, &[GOOD.as_slice(), &[("number", "7")]].concat()).unwrap();
    let change = |given: &[(&str, &str)]| {
        let given: Vec<(String, String)> = given.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        flow.reconfigure(&old, &given)
    };
    let changed = change(&[("region", "us"), ("server", "https://example.com/other"), ("number", "")]).unwrap();
    let expected =
        [("server", "https://example.com/other"), ("region", "us")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(flow.configuration(&changed), expected);
    assert_eq!(changed.get("token"), Some("abc-eu"));
    assert_eq!(change(&[]).unwrap(), change(&[("region", "eu")]).unwrap());

    let field = |given: &[(&str, &str)]| change(given).unwrap_err()[0].clone();
    assert_eq!(field(&[("token", "new-eu")]).message, "is a credential and no setting");
    assert_eq!(field(&[("region", "us"), ("region", "eu")]).message, "is given more than once");
    assert_eq!(field(&[("regoin", "us")]).field, "regoin");
    assert_eq!(field(&[("server", "")]).message, "is empty");
    for elsewhere in ["https://evil.example/app", "https://example.com:8443/app"] {
        assert!(field(&[("server", elsewhere)]).message.contains("another host"), "{elsewhere}");
    }
}

#[test]
fn a_value_from_which_something_is_taken_must_have_it() {
    let with_region = MANIFEST.replace(
        "[flows.derived.name]",
        "[flows.derived.zone]\nfrom = \"field.server\"\npattern = \"//([a-z]+)[.]\"\n[flows.derived.name]",
    );
    let read = connector(&with_region);
    let given = |server| [("server", server), ("token", "abc-eu")];
    assert!(check(&read, AuthFlow::Basic, &given("https://eu.example.com")).is_ok());
    let violations = check(&read, AuthFlow::Basic, &given("https://7.example.com")).unwrap_err();
    assert_eq!(violations[0].field, "server");
}
