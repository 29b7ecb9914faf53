//! What the library's parser is too strict or too lax in (GraphQL, section 2), and how much a text gives it to do.

use std::borrow::Cow;

use apollo_parser::{Lexer, SyntaxKind, Token, TokenKind, cst::CstNode as _};
use async_graphql::Pos;

/// All that the parser must look at but white space; what it cannot read counts too.
pub(super) fn count_tokens(text: &str) -> usize {
    let counts = |token: &Token<'_>| !matches!(token.kind(), TokenKind::Whitespace | TokenKind::Eof);
    Lexer::new(text).filter(|token| token.as_ref().map_or(true, counts)).count()
}

/// The text with white space in place of the commas that follow `...`: commas mean nothing anywhere (section 2.1.5),
/// but the parser looks no further than to the first thing behind the dots. Every place stays where it is.
pub(super) fn without_commas_after_spreads(text: &str) -> Cow<'_, str> {
    let mut after_spread = false;
    let mut commas = Vec::new();
    for token in Lexer::new(text).flatten() {
        match token.kind() {
            TokenKind::Spread => after_spread = true,
            TokenKind::Comma if after_spread => commas.push(token.index()),
            TokenKind::Comma | TokenKind::Whitespace | TokenKind::Comment => {}
            _ => after_spread = false,
        }
    }
    if commas.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for at in commas {
        bytes[at] = b' ';
    }
    // A comma is one byte, and so is a space.
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Where an argument or a field of an object has no colon, and so no value (sections 2.6 and 2.9.8): the parser goes
/// on as if it were not there.
pub(super) fn find_missing_colon(text: &str, nesting_max: usize) -> Option<Pos> {
    let tree = apollo_parser::Parser::new(text).recursion_limit(nesting_max).parse();
    let document = tree.document();
    let mut named = document
        .syntax()
        .descendants()
        .filter(|node| matches!(node.kind(), SyntaxKind::ARGUMENT | SyntaxKind::OBJECT_FIELD));
    let colon = SyntaxKind::COLON;
    let bare = named.find(|node| node.children_with_tokens().all(|child| child.kind() != colon))?;
    let before = &text[..usize::from(bare.text_range().start())];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some(Pos { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 })
}
