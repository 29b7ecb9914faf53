//! Mail messages (RFC 5322) for vendors that take a whole one: built from values, so that none can add a
//! header or an end.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    model::{MailTemplate, Transform},
    placeholders::{BuildError, Placeholders},
    template::Template,
};

/// The longest line of a body in Base64 (RFC 2045, 6.8).
const LINE: usize = 76;
/// How much text an encoded word carries: with its frame it stays within 75 characters (RFC 2047, 2).
const WORD: usize = 42;

/// The message in Base64 for addresses; `None` where a value that it needs is absent.
pub(super) fn write(mail: &MailTemplate, names: &Placeholders<'_>) -> Result<Option<Zeroizing<String>>, BuildError> {
    let optional = |template: &Option<Template>| template.as_ref().map_or(Ok(None), |template| names.render(template));
    let first = |templates: &[Template]| {
        let mut rendered = templates.iter().map(|template| names.render(template));
        rendered.find(|value| !matches!(value, Ok(None))).unwrap_or(Ok(None))
    };
    let (Some(to), Some(subject)) = (first(&mail.to)?, names.render(&mail.subject)?) else { return Ok(None) };
    let mut head = String::new();
    for (name, value) in [("From", first(&mail.from)?), ("To", Some(to)), ("Reply-To", first(&mail.reply_to)?)] {
        if let Some(value) = value {
            header(&mut head, name, &address(&value)?);
        }
    }
    header(&mut head, "Subject", &words(&subject)?);
    if let Some(event) = names.event {
        header(&mut head, "Date", &event.accepted_at.to_rfc2822());
    }
    header(&mut head, "MIME-Version", "1.0");
    let bodies = [("plain", optional(&mail.text)?), ("html", optional(&mail.html)?)];
    let bodies: Vec<(&str, String)> =
        bodies.into_iter().filter_map(|(kind, text)| Some((kind, section(kind, &text?)))).collect();
    let message = match bodies.as_slice() {
        [] => return Ok(None),
        [(_, only)] => format!("{head}{only}"),
        all => {
            let texts: Vec<&[u8]> = all.iter().map(|(_, text)| text.as_bytes()).collect();
            let boundary = boundary(&texts);
            header(&mut head, "Content-Type", &format!("multipart/alternative; boundary=\"{boundary}\""));
            let parts: Vec<String> = all.iter().map(|(_, text)| format!("--{boundary}\r\n{text}\r\n")).collect();
            format!("{head}\r\n{}--{boundary}--\r\n", parts.concat())
        }
    };
    Ok(Some(Zeroizing::new(URL_SAFE.encode(message))))
}

fn header(head: &mut String, name: &str, value: &str) {
    for text in [name, ": ", value, "\r\n"] {
        head.push_str(text);
    }
}

/// A boundary that is the same for the same parts, and that none of them contains.
pub(super) fn boundary(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    loop {
        let digest = hash.clone().finalize();
        let boundary = hex(&digest[..16]);
        let within = |part: &&[u8]| part.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        if !parts.iter().any(within) {
            return boundary;
        }
        hash.update(digest);
    }
}

/// An address, perhaps with a name before it: `Ada <ada@example.com>`.
fn address(text: &str) -> Result<String, BuildError> {
    let wrong = || BuildError::new("a value is no mail address");
    let (name, address) = match text.trim().strip_suffix('>').map(|text| text.rsplit_once('<')) {
        Some(Some((name, address))) => (name.trim(), address),
        Some(None) => return Err(wrong()),
        None => ("", text.trim()),
    };
    let plain = |c: char| c.is_ascii_graphic() && !"()<>[]:;,\\\"".contains(c);
    let (local, domain) = address.rsplit_once('@').ok_or_else(wrong)?;
    if local.is_empty() || domain.is_empty() || local.contains('@') || !address.chars().all(plain) {
        return Err(wrong());
    }
    if name.is_empty() { Ok(address.to_owned()) } else { Ok(format!("{} <{address}>", encoded(name)?)) }
}

/// Text of a header: as it is where that is safe, else in encoded words (RFC 2047).
fn words(text: &str) -> Result<String, BuildError> {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic();
    if text.len() <= LINE && text.chars().all(plain) && !text.contains("=?") {
        return Ok(text.trim().to_owned());
    }
    encoded(text)
}

fn encoded(text: &str) -> Result<String, BuildError> {
    if text.chars().any(char::is_control) {
        return Err(BuildError::new("a value has characters that a mail's header cannot carry"));
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        if words.last().is_some_and(|word| word.len() + c.len_utf8() > WORD) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    Ok(words.join("\r\n "))
}

fn section(kind: &str, text: &str) -> String {
    let encoded = STANDARD.encode(text);
    let mut lines = String::new();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        lines.push_str(line);
        lines.push_str("\r\n");
        rest = more;
    }
    format!("Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{lines}")
}

impl Transform {
    pub(super) fn apply(self, text: &str) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::LowerCase => text.to_lowercase(),
            Self::Md5 => hex(&md5::Md5::digest(text.as_bytes())),
            Self::Sha256 => hex(&Sha256::digest(text.as_bytes())),
            Self::Number => text.to_owned(),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_in_their_header() {
        assert_eq!(address("ada@example.com").unwrap(), "ada@example.com");
        assert_eq!(address("Äda <ada@example.com>").unwrap(), "=?utf-8?B?w4RkYQ==?= <ada@example.com>");
        for text in [
            "",
            "ada",
            "a@b@c",
            "@example.com",
            "ada@",
            "a b@c",
            "ada@example.com, eve@example.com",
            "<ada@example.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "x\r\nBcc: y <ada@example.com>",
            "\"a\"@example.com",
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn subjects_are_encoded_where_they_must_be() {
        assert_eq!(words("A form was sent").unwrap(), "A form was sent");
        assert_eq!(words("Grüße").unwrap(), "=?utf-8?B?R3LDvMOfZQ==?=");
        assert_eq!(words("=?utf-8?B?eA==?=").unwrap(), "=?utf-8?B?PT91dGYtOD9CP2VBPT0/PQ==?=");
        assert!(words("a\r\nBcc: eve@example.com").is_err());
        let long = words(&"ü".repeat(60)).unwrap();
        assert!(long.lines().count() > 1 && long.lines().all(|line| line.len() <= LINE), "{long}");
    }

    #[test]
    fn values_are_changed_in_fixed_ways() {
        assert_eq!(*Transform::LowerCase.apply("Ada@Example.com"), "ada@example.com");
        assert_eq!(*Transform::Md5.apply("ada@example.com"), "3e3417d7ef77d5932a6734b916515ed5".to_owned());
        assert_eq!(*Transform::Sha256.apply(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_boundary_is_in_no_part() {
        let first = boundary(&[b"a", b"b"]);
        assert_eq!(first, boundary(&[b"a", b"b"]));
        let second = boundary(&[first.as_bytes()]);
        assert!(!first.contains(&second));
    }
}
