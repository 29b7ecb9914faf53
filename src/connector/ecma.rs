//! Patterns that mean the same to a browser's form and to us: the part of ECMA-262's regular
//! expressions (under the `v` flag, as HTML's `pattern` attribute compiles them) that the linear-time
//! engine here reads in the same way.

use regex::{Regex, RegexBuilder};

/// The largest compiled pattern, in bytes.
const SIZE_LIMIT: usize = 256 * 1024;

/// A pattern that only this program reads.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build().map_err(|error| {
        let text = error.to_string();
        // The engine's text draws the pattern; its last line says what is wrong.
        let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("is no pattern: {last}")
    })
}

/// A pattern that a form checks too.
pub(super) fn compile_shared(pattern: &str) -> Result<Regex, String> {
    if !pattern.starts_with('^') || !pattern.ends_with('$') || pattern.ends_with("\\$") {
        return Err("must begin with `^` and end with `$`, since a form matches the whole value".to_owned());
    }
    scan(pattern)?;
    compile(pattern)
}

fn scan(pattern: &str) -> Result<(), String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut in_class = false;
    let mut depth = 0_usize;
    // Whether what came last can be repeated.
    let mut repeatable = false;
    let mut i = 0;
    while i < chars.len() {
        let (c, next) = (chars[i], chars.get(i + 1).copied());
        let before =
            std::mem::replace(&mut repeatable, in_class || !matches!(c, '^' | '$' | '(' | '|' | '*' | '+' | '?' | '{'));
        if !in_class && matches!(c, '*' | '+' | '?' | '{') {
            if !before {
                return Err(format!("`{c}` has nothing to repeat"));
            }
            i += if c == '{' { counted(&chars[i + 1..])? } else { 0 };
            // A `?` here makes the repetition lazy.
            i += 1 + usize::from(chars.get(i + 1) == Some(&'?'));
            continue;
        }
        match c {
            '\\' => {
                escape(next)?;
                i += 1;
            }
            '[' if in_class => return Err("a `[` within a class must be written `\\[`".to_owned()),
            '[' => {
                in_class = true;
                if next == Some('^') {
                    i += 1;
                }
                if chars.get(i + 1) == Some(&']') {
                    return Err("an empty class matches nothing in one reading and `]` in the other".to_owned());
                }
            }
            ']' if in_class => in_class = false,
            '(' | ')' | '{' | '}' | '/' | '|' if in_class => {
                return Err(format!("a `{c}` within a class must be written `\\{c}`"));
            }
            '-' if in_class
                && (next == Some(']')
                    || matches!(chars[i - 1], '[' | '^') && chars.get(i.wrapping_sub(2)) != Some(&'\\')) =>
            {
                return Err("a `-` that is no range must be written `\\-`".to_owned());
            }
            '&' | '-' | '~' | '!' | '#' | '%' | '*' | '+' | ',' | '.' | ':' | ';' | '<' | '=' | '>' | '?' | '@'
            | '`' | '^'
                if in_class && next == Some(c) =>
            {
                return Err(format!("`{c}{c}` within a class is an operator"));
            }
            '(' => {
                depth += 1;
                if next == Some('?') {
                    if chars.get(i + 2) != Some(&':') {
                        return Err("`(?` may only begin `(?:`: no flags, names or lookaround".to_owned());
                    }
                    i += 2;
                }
            }
            ')' => depth = depth.checked_sub(1).ok_or("a `)` too many")?,
            ']' | '}' if !in_class => return Err(format!("a literal `{c}` must be written `\\{c}`")),
            '|' if depth == 0 => {
                return Err("alternatives must stand in `(?:...)`, else `^` and `$` belong to one of them".to_owned());
            }
            _ => {}
        }
        i += 1;
    }
    Ok(())
}

/// What may follow a backslash: a character that has a meaning of its own, or a control character.
/// Classes such as `\d` are larger here than in a browser.
fn escape(next: Option<char>) -> Result<(), String> {
    match next {
        Some(
            '^' | '$' | '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '/' | '-' | 't' | 'n'
            | 'r',
        ) => Ok(()),
        Some('d') => Err("write `[0-9]` for `\\d`, which is not the same everywhere".to_owned()),
        Some('w') => Err("write `[0-9A-Za-z_]` for `\\w`, which is not the same everywhere".to_owned()),
        Some(c) => Err(format!("`\\{c}` does not mean the same everywhere")),
        None => Err("ends with a single `\\`".to_owned()),
    }
}

/// The length of the rest of `{n}`, `{n,}` or `{n,m}` after its brace.
fn counted(rest: &[char]) -> Result<usize, String> {
    let end = rest.iter().position(|c| *c == '}').ok_or("a literal `{` must be written `\\{`")?;
    let inner: String = rest[..end].iter().collect();
    let (low, high) = inner.split_once(',').unwrap_or((&inner, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if low.is_empty() || !digits(low) || !digits(high) {
        return Err("a literal `{` must be written `\\{`".to_owned());
    }
    Ok(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_means_the_same_everywhere() {
        for pattern in [
            "^(?:rk|sk)_(?:live|test)_[A-Za-z0-9]+$",
            "^AC[0-9a-fA-F]{32}$",
            "^(?:\\+[1-9][0-9]{6,14}|MG[0-9a-f]{32,})$",
            "^[^\\-\\[\\]]+$",
            "^a\\{2\\}$",
            "^a+?b{2}?(?:c|d)*[a\\-z0-9.+]$",
        ] {
            assert!(compile_shared(pattern).is_ok(), "{pattern}: {:?}", compile_shared(pattern));
        }
    }

    #[test]
    fn refuses_what_does_not() {
        for pattern in [
            "abc",
            "^abc",
            "abc\\$",
            "^(?i)abc$",
            "^(?=a)a$",
            "^(?<n>a)$",
            "^(?P<n>a)$",
            "^\\d+$",
            "^\\w$",
            "^\\Aab\\z$",
            "^\\p{L}$",
            "^(a)\\1$",
            "^a|b$",
            "^[a[b]]$",
            "^[a&&b]$",
            "^[a--b]$",
            "^[]a]$",
            "^[^]a]$",
            "^a{,3}$",
            "^a{$",
            "^a}$",
            "^(a$",
            "^a)$",
            "^a**$",
            "^*a$",
            "^(?:+a)$",
            "^a{2}{3}$",
            "^[a-]$",
            "^[-a]$",
            "^(?:a{1000}){1000}$",
        ] {
            assert!(compile_shared(pattern).is_err(), "{pattern}");
        }
    }
}
