//! Folding of searched texts, so that both databases find the same rows.

use unicode_normalization::UnicodeNormalization as _;

/// The form in which texts are compared: NFKC, lower case, NFKC again (Unicode 3.13, `toNFKC_Casefold`
/// without the removal of ignorable characters).
#[must_use]
pub fn fold(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

/// A `LIKE` pattern that finds `search` anywhere in a folded text; `\` is the escape character.
#[must_use]
pub fn like_pattern(search: &str) -> String {
    let mut pattern = String::with_capacity(search.len() + 2);
    pattern.push('%');
    for c in fold(search).chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_beyond_ascii() {
        assert_eq!(fold("ÀÉÎ Straße ﬁ"), "àéî straße fi");
        assert_eq!(fold("E\u{301}"), fold("é"));
    }

    #[test]
    fn escapes_wildcards() {
        assert_eq!(like_pattern("50%_\\"), "%50\\%\\_\\\\%");
    }
}
