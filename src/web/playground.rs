//! `/playground`: the `GraphiQL` page, from the binary and with no request to any other host.
//!
//! Vite builds it into `playground/dist` with relative paths; what lies there when the gateway is compiled
//! is part of the binary.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use rust_embed::RustEmbed;

use super::{Shared, text};

#[derive(RustEmbed)]
#[folder = "playground/dist"]
#[allow_missing = true]
struct Built;

/// What the page may do. Its editor runs workers that it makes from blobs, and styles elements from scripts.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    worker-src 'self' blob:; connect-src 'self' ws: wss:; img-src 'self' data:; font-src 'self' data:; \
    object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Said in place of the page where it was not built.
const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Playground</title>\
    <body><h1>The playground is not part of this binary</h1>\
    <p>It needs Node.js once: run <code>make playground</code> and build the gateway again.</p>\
    <p>The API itself is at <code>/graphql</code> and works without it.</p></body></html>";

/// Leads to the page. Its paths are relative, so the slash at the end matters.
pub(super) async fn redirect(State(state): State<Shared>) -> Response {
    let to = format!("{}/playground/", state.settings.base_path);
    // 307: not remembered by browsers, since `/` leads elsewhere once there is a console.
    match HeaderValue::from_str(&to) {
        Ok(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers).unwrap_or_else(|| {
        (StatusCode::OK, with_policy(HeaderValue::from_static("text/html; charset=utf-8")), MISSING).into_response()
    })
}

/// What the page loads.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    file(&path, &headers).unwrap_or_else(|| text(StatusCode::NOT_FOUND, "there is no such part of the playground\n"))
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let file = Built::get(path)?;
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{:032x}\"", hash[..16].iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte)));
    // Vite puts a hash of the content into the names below `assets/`.
    let caching = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let cached = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if cached {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (with_policy(HeaderValue::from_static(content_type(path))), file.data).into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Some(response)
}

fn with_policy(content_type: HeaderValue) -> [(HeaderName, HeaderValue); 2] {
    [(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))]
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
