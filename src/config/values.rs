//! Reading single values: durations, sizes, files, origins. Each says what is wrong in words that follow the
//! setting's name.

use std::{path::Path, time::Duration};

use ipnet::IpNet;
use url::Url;

/// A duration such as `500ms`, `90s`, `15m`, `12h` or `7d`.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a duration"))?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60 * 1_000),
        "h" => number.checked_mul(60 * 60 * 1_000),
        "d" => number.checked_mul(24 * 60 * 60 * 1_000),
        _ => return Err(format!("{text:?} has no unit of time (ms, s, m, h or d)")),
    };
    milliseconds.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long"))
}

/// A size in bytes, such as `1048576`, `1024KiB` or `1MiB`, within bounds.
pub(super) fn size(text: &str, bounds: std::ops::RangeInclusive<usize>) -> Result<usize, String> {
    let (number, unit) = split_unit(text);
    let unit = match unit {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(format!("{text:?} is not in bytes, KiB or MiB")),
    };
    let number: usize = number.parse().map_err(|_| format!("{text:?} is not a size"))?;
    number
        .checked_mul(unit)
        .filter(|size| bounds.contains(size))
        .ok_or_else(|| format!("{text:?} is not between {} and {} bytes", bounds.start(), bounds.end()))
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// A number within bounds.
pub(super) fn number(text: &str, bounds: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| format!("{text:?} is not a number from {} to {}", bounds.start(), bounds.end()))
}

/// The text of a secret: as it stands, or of the file that `@FILE` names, without white space around it.
pub(super) fn secret(text: &str) -> Result<String, String> {
    match text.strip_prefix('@') {
        None => Ok(text.to_owned()),
        Some(path) => std::fs::read_to_string(path)
            .map(|content| content.trim().to_owned())
            .map_err(|error| format!("the file {path:?} cannot be read: {error}")),
    }
}

/// The certificates of a PEM file.
pub(super) fn certificates(path: &str) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("the file {path:?} cannot be read: {error}"))?;
    let marker = b"-----BEGIN CERTIFICATE-----";
    if pem.windows(marker.len()).any(|window| window == marker) {
        Ok(pem)
    } else {
        Err(format!("the file {path:?} holds no certificate in PEM form"))
    }
}

/// A directory that is there.
pub(super) fn directory(path: &str) -> Result<std::path::PathBuf, String> {
    match Path::new(path).metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(path.into()),
        Ok(_) => Err(format!("{path:?} is not a directory")),
        Err(error) => Err(format!("the directory {path:?} cannot be read: {error}")),
    }
}

/// The text of an `http` or `https` URL that is nothing but scheme, host and port, with the path that is left
/// after those.
fn web_url(text: &str) -> Result<(Url, &str), String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("{text:?} is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("a user, a query or a fragment has no place in it".to_owned());
    }
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    Ok((url, path.trim_end_matches('/')))
}

/// An https or http URL with a path, and perhaps a query.
pub(super) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("{text:?} is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("a user or a fragment has no place in it".to_owned());
    }
    Ok(url)
}

/// Comma-separated ranges of addresses, in CIDR notation or single.
pub(super) fn ranges(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split(',').map(str::trim).filter(|range| !range.is_empty());
    let range = |text: &str| {
        let single = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(single).ok_or_else(|| format!("{text:?} is not a range of addresses"))
    };
    parts.map(range).collect()
}

/// Comma-separated origins, each in the spelling of browsers.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            let (url, path) = web_url(origin)?;
            if path.is_empty() {
                Ok(url.origin().ascii_serialization())
            } else {
                Err(format!("{origin:?} has a path, which an origin has not"))
            }
        })
        .collect()
}

/// The public URL: scheme, host and port, and no path but the base path, which may be left out.
pub(super) fn public_url(text: &str, base_path: &str) -> Result<Url, String> {
    let (mut url, path) = web_url(text)?;
    if !path.is_empty() && path != base_path {
        return Err(format!("its path is not the base path {base_path:?} (GATEWAY_BASE_PATH)"));
    }
    url.set_path(base_path);
    Ok(url)
}

/// A path prefix, without the slash at its end.
pub(super) fn base_path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    let segments_fit = path
        .split('/')
        .skip(1)
        .all(|segment| !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(allowed));
    if path.is_empty() || (path.starts_with('/') && segments_fit) {
        Ok(path.to_owned())
    } else {
        Err(format!("{text:?} is not a path of letters, digits and -_.~ that begins with a slash"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, milliseconds) in
            [("0s", 0), ("500ms", 500), ("90s", 90_000), ("12h", 43_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "s", "12", "-1s", "1.5h", "1 h", "1y", "99999999999999999d", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_numbers_are_bounded() {
        assert_eq!(size("1024", 1..=1024), Ok(1024));
        assert_eq!(size("1KiB", 1..=1024), Ok(1024));
        for wrong in ["0", "1025", "2KiB", "1KB", "KiB", "", "-1", "99999999999999999999", "99999999999999MiB"] {
            assert!(size(wrong, 1..=1024).is_err(), "{wrong}");
        }
        assert_eq!(number("7", 1..=7), Ok(7));
        for wrong in ["0", "8", "x", ""] {
            assert!(number(wrong, 1..=7).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_spelt_as_browsers_do() {
        let spelt = origins("https://Console.Example:443, http://localhost:3000/").expect("origins");
        assert_eq!(spelt, ["https://console.example", "http://localhost:3000"]);
        for wrong in ["console.example", "*", "null", "ftp://a", "https://a/b", "https://u@a", "https://a?b"] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_public_url_ends_with_the_base_path() {
        for (url, base, expected) in [
            ("https://a.example", "", "https://a.example/"),
            ("https://a.example/", "/x/y", "https://a.example/x/y"),
            ("https://a.example/x/y/", "/x/y", "https://a.example/x/y"),
        ] {
            assert_eq!(public_url(url, base).expect("a URL").as_str(), expected);
        }
        assert!(public_url("https://a.example/z", "/x").is_err());
        for (text, expected) in [("", ""), ("/", ""), ("/a/b-c/", "/a/b-c")] {
            assert_eq!(base_path(text).as_deref(), Ok(expected));
        }
        for wrong in ["a", "//", "/a//b", "/a b", "/{a}", "/a/..", "/:a", "/a?b"] {
            assert_eq!(base_path(wrong).is_err(), wrong != "//", "{wrong}");
        }
    }
}
