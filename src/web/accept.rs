//! Which media type an answer of `/graphql` takes (RFC 9110, section 12.5.1; GraphQL over HTTP, "Accept").

use axum::http::{HeaderMap, header};

/// The media types that a GraphQL answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`: the status says whether the request was executed.
    GraphqlResponse,
    /// `application/json`: the status is 200 for every well-formed request.
    Json,
}

impl Media {
    /// As `Content-Type` says it.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    const fn subtype(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "graphql-response+json",
            Self::Json => "json",
        }
    }
}

/// The media type that the client likes best, `None` where it takes neither.
///
/// A client that says nothing, or takes anything, gets `application/json`, as the specification asks of
/// servers until 2025 and as old clients need.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<Media> {
    let mut ranges = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        ranges.extend(value.to_str().ok()?.split(',').filter_map(Range::parse));
    }
    if !headers.contains_key(header::ACCEPT) {
        return Some(Media::Json);
    }
    let quality =
        |media: Media| ranges.iter().filter_map(|range| range.rates(media)).max().map_or((0, 0), |(s, q)| (q, s));
    let (json, graphql) = (quality(Media::Json), quality(Media::GraphqlResponse));
    // At equal quality the type that was named wins over the one that only a wildcard covers; named both,
    // the newer one wins.
    if graphql.0 > 0 && (graphql > json || (graphql == json && graphql.1 == NAMED)) {
        Some(Media::GraphqlResponse)
    } else if json.0 > 0 {
        Some(Media::Json)
    } else {
        None
    }
}

/// The forms in which an operation can have more than one answer over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streamed {
    /// `text/event-stream`: graphql-sse's distinct connections mode.
    Events,
    /// `multipart/mixed`: Apollo's protocol for subscriptions.
    Parts,
}

/// The form that the client likes best, `None` where it names neither: a wildcard is no wish for a stream.
pub(super) fn streamed(headers: &HeaderMap) -> Option<Streamed> {
    let mut best = None;
    for text in
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','))
    {
        let Some(range) = Range::parse(text) else { continue };
        let is = |main: &str, sub: &str| range.main.eq_ignore_ascii_case(main) && range.sub.eq_ignore_ascii_case(sub);
        let form = match () {
            () if is("text", "event-stream") => Streamed::Events,
            () if is("multipart", "mixed") => Streamed::Parts,
            () => continue,
        };
        if range.quality > best.map_or(0, |(quality, _)| quality) {
            best = Some((range.quality, form));
        }
    }
    best.map(|(_, form)| form)
}

/// How closely a range fits: a type that is named beats `application/*`, which beats `*/*`.
const NAMED: u8 = 2;

struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// A range that can be rated; one that is malformed, or wants another character set, rates nothing.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = parts.next()?.trim().split_once('/')?;
        let mut quality = 1000;
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if name.trim().eq_ignore_ascii_case("q") {
                quality = thousandths(value.trim())?;
            } else if name.trim().eq_ignore_ascii_case("charset") && !is_utf8(value) {
                return None;
            }
        }
        Some(Self { main, sub, quality })
    }

    /// How closely the range fits the media type, and its quality; `None` where it does not cover it.
    fn rates(&self, media: Media) -> Option<(u8, u16)> {
        let closeness = match (self.main, self.sub) {
            ("*", "*") => 0,
            (main, "*") if main.eq_ignore_ascii_case("application") => 1,
            (main, sub) if main.eq_ignore_ascii_case("application") && sub.eq_ignore_ascii_case(media.subtype()) => {
                NAMED
            }
            _ => return None,
        };
        Some((closeness, self.quality))
    }
}

/// Whether a `charset` parameter asks for UTF-8.
pub(super) fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim().trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// A quality value (RFC 9110, section 12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(accept: &[&str]) -> Option<Media> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().expect("a header"));
        }
        negotiate(&headers)
    }

    #[test]
    fn the_best_liked_type_wins() {
        let (json, graphql) = (Some(Media::Json), Some(Media::GraphqlResponse));
        for (accept, expected) in [
            (&[][..], json),
            (&["*/*"], json),
            (&["application/*"], json),
            (&["application/json"], json),
            (&["application/json; charset=utf-8"], json),
            (&["APPLICATION/JSON"], json),
            (&["application/graphql-response+json"], graphql),
            (&["application/graphql-response+json; charset=\"UTF-8\""], graphql),
            (&["application/graphql-response+json, application/json;q=0.9"], graphql),
            (&["application/graphql-response+json;q=0.8, application/json;q=0.9"], json),
            (&["application/json, application/graphql-response+json"], graphql),
            (&["application/json", "application/graphql-response+json"], graphql),
            (&["application/graphql-response+json, */*"], graphql),
            (&["application/json, */*"], json),
            (&["application/graphql-response+json;q=0, */*"], json),
            (&["application/json;q=0, */*;q=0.1"], graphql),
            (&["text/html, */*;q=0.001"], json),
            (&["text/html"], None),
            (&["*/*;q=0"], None),
            (&["application/json;q=1.5"], None),
            (&["application/json;charset=latin1"], None),
            (&[""], None),
        ] {
            assert_eq!(best(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn streams_are_named() {
        for (accept, expected) in [
            ("", None),
            ("*/*", None),
            ("text/*", None),
            ("application/json", None),
            ("text/event-stream", Some(Streamed::Events)),
            ("TEXT/Event-Stream; charset=utf-8", Some(Streamed::Events)),
            ("text/event-stream;q=0", None),
            ("multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0,application/json", Some(Streamed::Parts)),
            ("multipart/mixed;q=0.5, text/event-stream;q=0.6", Some(Streamed::Events)),
            ("multipart/mixed, text/event-stream;q=0.6", Some(Streamed::Parts)),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a header"))]);
            assert_eq!(streamed(&headers), expected, "{accept:?}");
        }
    }
}
