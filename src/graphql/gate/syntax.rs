//! What the library's parser is too strict or too lax in (GraphQL, section 2), and how much a text gives it to do. The
//! tokens are read once; the parser reads them again for itself.

use std::borrow::Cow;

use apollo_parser::{Lexer, Token, TokenKind};
use async_graphql::Pos;

/// The tokens of a text.
pub(super) struct Tokens<'a> {
    text: &'a str,
    /// Those that mean something, commas among them.
    read: Vec<Token<'a>>,
    /// All that the parser must look at but white space; what it cannot read counts too.
    pub count: usize,
}

/// What stands around a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Arguments, or the fields of an object: a name, a colon and a value, again and again.
    Named,
    /// A list, or the definitions of variables.
    Unnamed,
}

impl<'a> Tokens<'a> {
    /// Reads a text. What is over `max` is counted only.
    pub fn read(text: &'a str, max: usize) -> Self {
        let (mut read, mut count) = (Vec::new(), 0);
        for token in Lexer::new(text) {
            let kind = token.as_ref().map(Token::kind).ok();
            if matches!(kind, Some(TokenKind::Whitespace | TokenKind::Eof)) {
                continue;
            }
            count += 1;
            if count <= max
                && kind != Some(TokenKind::Comment)
                && let Ok(token) = token
            {
                read.push(token);
            }
        }
        Self { text, read, count }
    }

    /// The text with white space in place of the commas that follow `...`: commas mean nothing anywhere (section 2.1.5),
    /// but the parser looks no further than to the first thing behind the dots. Every place stays where it is.
    pub fn without_commas_after_spreads(&self) -> Cow<'a, str> {
        let mut after_spread = false;
        let mut commas = Vec::new();
        for token in &self.read {
            match token.kind() {
                TokenKind::Comma if after_spread => commas.push(token.index()),
                TokenKind::Comma => {}
                kind => after_spread = kind == TokenKind::Spread,
            }
        }
        if commas.is_empty() {
            return Cow::Borrowed(self.text);
        }
        let mut bytes = self.text.as_bytes().to_vec();
        for at in commas {
            bytes[at] = b' ';
        }
        // A comma is one byte, and so is a space.
        String::from_utf8(bytes).map_or(Cow::Borrowed(self.text), Cow::Owned)
    }

    /// Where an argument or a field of an object has no colon, and so no value (sections 2.6 and 2.9.8): the parser goes
    /// on as if it were not there. For texts that it has taken.
    pub fn find_missing_colon(&self) -> Option<Pos> {
        let mut tokens = self.read.iter().filter(|token| token.kind() != TokenKind::Comma).peekable();
        let mut around = Vec::new();
        // Whether a value comes next, where things are named.
        let mut value = false;
        while let Some(token) = tokens.next() {
            let next = tokens.peek().map(|next| next.kind());
            match token.kind() {
                TokenKind::LParen if next == Some(TokenKind::Dollar) => around.push(Around::Unnamed),
                TokenKind::LParen => {
                    around.push(Around::Named);
                    value = false;
                }
                // Braces outside of parentheses hold selections.
                TokenKind::LCurly if !around.is_empty() => {
                    around.push(Around::Named);
                    value = false;
                }
                TokenKind::LBracket => around.push(Around::Unnamed),
                TokenKind::RParen | TokenKind::RCurly | TokenKind::RBracket => {
                    around.pop();
                    value = false;
                }
                TokenKind::Name if around.last() == Some(&Around::Named) && !value => {
                    if next != Some(TokenKind::Colon) {
                        return Some(self.position(token.index()));
                    }
                    tokens.next();
                    value = true;
                }
                // The name of a variable follows.
                TokenKind::Dollar => {}
                _ => value = false,
            }
        }
        None
    }

    fn position(&self, at: usize) -> Pos {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Pos { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use apollo_compiler::parser::Parser;
    use apollo_parser::{SyntaxKind, cst::CstNode as _};
    use proptest::prelude::*;

    use super::*;

    /// As [`Tokens::find_missing_colon`], by the tree that the parser makes.
    fn has_bare_name(text: &str) -> bool {
        let tree = apollo_parser::Parser::new(text).parse();
        let document = tree.document();
        let mut named = document
            .syntax()
            .descendants()
            .filter(|node| matches!(node.kind(), SyntaxKind::ARGUMENT | SyntaxKind::OBJECT_FIELD));
        named.any(|node| node.children_with_tokens().all(|child| child.kind() != SyntaxKind::COLON))
    }

    #[test]
    fn a_missing_colon_is_found_where_it_is_missing() {
        for (text, column) in [
            ("{ a(b) }", Some(5)),
            ("{ a(b: c d) }", Some(10)),
            ("{ a(b: {c: 1, d}) }", Some(15)),
            ("{ a(b: [{c}]) }", Some(10)),
            (
                "query($v: [T!]! = [{a: {b: 1}}] @d(x: $v), $w: B = A) @d(if: $w) { c: a(b: $v, c: {d: E}) @e { f } }",
                None,
            ),
            ("query($v: T = {a}) { b }", Some(16)),
            ("{ a @skip(if) }", Some(11)),
        ] {
            let found = Tokens::read(text, 1_000).find_missing_colon();
            assert_eq!(found.map(|at| at.column), column, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_global_rejects: 200_000, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn colons_are_missed_as_the_parser_reads(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "b: ", "c: 1", "d: $v", "$v", "e: E", "[", "]", "{", "}", "1", ":", ",", "\"t\"", "null", "f: [", "g: {",
                ]),
                0..9,
            ),
            variables: bool,
        ) {
            let inside = parts.join(" ");
            let text = if variables { format!("query($v: T = {inside}) {{ x }}") } else { format!("{{ x(y: 1 {inside}) {{ z }} }}") };
            // Only what the parser takes is asked about.
            prop_assume!(Parser::new().parse_ast(&text, "document").is_ok());
            prop_assert_eq!(Tokens::read(&text, 1_000).find_missing_colon().is_some(), has_bare_name(&text), "{}", text);
        }
    }
}
