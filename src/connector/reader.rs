//! Walks a parsed manifest and notes every fault with its place, instead of stopping at the first as
//! a derived deserializer would. A table knows which of its keys were asked for; the rest is unknown.

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fault::{Faults, Span, suggestion},
    shape::{Kind, Shape},
};

/// A text of the manifest and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) span: Span,
}

/// A table that is being read.
pub(super) struct Table<'a, 'i> {
    entries: &'a DeTable<'i>,
    pub(super) span: Span,
    /// What it may hold; `None` where its keys are the author's own.
    shape: Option<&'static Shape>,
    asked: Vec<&'static str>,
    /// Keys that must be there and are not, and how to say it.
    missing: Vec<(&'static str, String)>,
}

impl<'a, 'i> Table<'a, 'i> {
    pub(super) fn new(entries: &'a DeTable<'i>, span: Span, shape: Option<&'static Shape>) -> Self {
        Self { entries, span, shape, asked: Vec::new(), missing: Vec::new() }
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        debug_assert!(self.shape.is_none_or(|shape| shape.key(key).is_some()), "{key} is not in {:?}", self.shape);
        #[cfg(test)]
        asked::note(self.shape, key);
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.get(key)
    }

    /// Whether the key is there; asks for it.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Notes what was never asked for, and what is missing: once, where one is the other misspelt. To be
    /// called once everything has been asked for.
    pub(super) fn finish(&mut self, faults: &mut Faults<'_>) {
        for (key, _) in self.entries {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let hint = suggestion(name, self.asked.iter().copied());
                self.missing.retain(|(missing, _)| !hint.contains(&format!("did you mean `{missing}`")));
                faults.add(&key.span(), format!("unknown key `{name}`{hint}"));
            }
        }
        for (_, message) in self.missing.drain(..) {
            faults.add(&self.span, message);
        }
    }

    pub(super) fn text(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<Text> {
        text(faults, self.get(key)?, &format!("`{key}`"))
    }

    /// A text that must be there and must not be empty.
    pub(super) fn need_text(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<Text> {
        if !self.has(key) {
            self.missing(key, format!("`{key}` is missing"));
            return None;
        }
        let found = self.text(faults, key)?;
        if found.value.trim().is_empty() {
            faults.add(&found.span, format!("`{key}` is empty"));
            return None;
        }
        Some(found)
    }

    /// Notes that a key is missing; said by [`Self::finish`].
    pub(super) fn missing(&mut self, key: &'static str, message: String) {
        self.missing.push((key, message));
    }

    /// A flag, false unless it is given.
    pub(super) fn flag(&mut self, faults: &mut Faults<'_>, key: &'static str) -> bool {
        let Some(found) = self.get(key) else { return false };
        found.get_ref().as_bool().unwrap_or_else(|| {
            wrong_type(faults, found, &format!("`{key}`"), "true or false");
            false
        })
    }

    /// A whole number from 1 up.
    pub(super) fn number(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<u32> {
        let found = self.get(key)?;
        let number = found.get_ref().as_integer().and_then(|number| number.as_str().replace('_', "").parse().ok());
        let number = number.filter(|number| *number > 0);
        if number.is_none() {
            faults.add(&found.span(), format!("`{key}` must be a whole number, at least 1"));
        }
        number
    }

    /// A word of a closed list.
    pub(super) fn word<T: Copy>(
        &mut self,
        faults: &mut Faults<'_>,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        self.check_words(key, words);
        let found = self.text(faults, key)?;
        let known = words.iter().find(|(word, _)| *word == found.value).map(|(_, meaning)| *meaning);
        if known.is_none() {
            let hint = suggestion(&found.value, words.iter().map(|(word, _)| *word));
            faults.add(&found.span, format!("`{key}` cannot be `{}`{hint}", found.value));
        }
        known
    }

    /// Words of a closed list; one may stand by itself.
    pub(super) fn words<T: Copy>(&mut self, faults: &mut Faults<'_>, key: &'static str, words: &[(&str, T)]) -> Vec<T> {
        self.check_words(key, words);
        let mut found = Vec::new();
        for text in self.texts(faults, key) {
            let known = words.iter().find(|(word, _)| *word == text.value).map(|(_, meaning)| *meaning);
            if known.is_none() {
                let hint = suggestion(&text.value, words.iter().map(|(word, _)| *word));
                faults.add(&text.span, format!("`{key}` cannot be `{}`{hint}", text.value));
            }
            found.extend(known);
        }
        found
    }

    /// A word of a closed list that must be there.
    pub(super) fn need_word<T: Copy>(
        &mut self,
        faults: &mut Faults<'_>,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        if !self.has(key) {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.missing(key, format!("`{key}` is missing; it is one of: {}", known.join(", ")));
            return None;
        }
        self.word(faults, key, words)
    }

    /// The words that are read are those that the shape has.
    fn check_words<T: Copy>(&self, key: &str, words: &[(&str, T)]) {
        if let Some(Kind::Word(known) | Kind::Words(known)) =
            self.shape.and_then(|shape| shape.key(key)).map(|key| key.kind)
        {
            debug_assert!(
                known.len() == words.len() && words.iter().all(|(word, _)| known.contains(word)),
                "`{key}` has other words in its shape: {known:?}"
            );
        }
    }

    pub(super) fn table(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Option<Table<'a, 'i>> {
        let below = self.shape.and_then(|shape| shape.below(key));
        table(faults, self.get(key)?, &format!("`{key}`"), below)
    }

    /// An array of tables; none where the key is not there.
    pub(super) fn tables(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Vec<Table<'a, 'i>> {
        let below = self.shape.and_then(|shape| shape.below(key));
        let items = self.items(faults, key);
        items.into_iter().filter_map(|item| table(faults, item, &format!("each of `{key}`"), below)).collect()
    }

    /// The items of an array; none where the key is not there.
    pub(super) fn items(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Vec<&'a Spanned<DeValue<'i>>> {
        let Some(found) = self.get(key) else { return Vec::new() };
        if let DeValue::Array(items) = found.get_ref() {
            return items.iter().collect();
        }
        wrong_type(faults, found, &format!("`{key}`"), "a list");
        Vec::new()
    }

    /// A list of texts; one text stands for a list of one.
    pub(super) fn texts(&mut self, faults: &mut Faults<'_>, key: &'static str) -> Vec<Text> {
        match self.get(key) {
            Some(found) if found.get_ref().is_str() => text(faults, found, key).into_iter().collect(),
            Some(_) => {
                let items = self.items(faults, key);
                items.into_iter().filter_map(|item| text(faults, item, &format!("each of `{key}`"))).collect()
            }
            None => Vec::new(),
        }
    }

    /// Whatever stands under the key.
    pub(super) fn any(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.get(key)
    }

    /// All entries, for a table whose keys are the author's own.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Text, &'a Spanned<DeValue<'i>>)> + use<'a, 'i> {
        self.entries.iter().map(|(key, value)| (Text { value: key.get_ref().to_string(), span: key.span() }, value))
    }
}

/// Reads a text.
pub(super) fn text(faults: &mut Faults<'_>, found: &Spanned<DeValue<'_>>, what: &str) -> Option<Text> {
    let Some(value) = found.get_ref().as_str() else {
        wrong_type(faults, found, what, "a text");
        return None;
    };
    Some(Text { value: value.to_owned(), span: found.span() })
}

/// Reads a table.
pub(super) fn table<'a, 'i>(
    faults: &mut Faults<'_>,
    found: &'a Spanned<DeValue<'i>>,
    what: &str,
    shape: Option<&'static Shape>,
) -> Option<Table<'a, 'i>> {
    let Some(entries) = found.get_ref().as_table() else {
        wrong_type(faults, found, what, "a table");
        return None;
    };
    Some(Table::new(entries, found.span(), shape))
}

/// Notes that a value has another type than it should.
pub(super) fn wrong_type(faults: &mut Faults<'_>, found: &Spanned<DeValue<'_>>, what: &str, expected: &str) {
    faults.add(&found.span(), format!("{what} must be {expected}, not {}", described(found.get_ref())));
}

const fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The value as JSON. TOML has no null, and JSON no dates.
pub(super) fn json(faults: &mut Faults<'_>, found: &Spanned<DeValue<'_>>) -> Option<Value> {
    Some(match found.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(digits) => {
            let Ok(number) = i64::from_str_radix(&digits.as_str().replace('_', ""), digits.radix()) else {
                faults.add(&found.span(), "the integer is too large");
                return None;
            };
            Value::from(number)
        }
        DeValue::Float(digits) => {
            let number = digits.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            let Some(number) = number else {
                faults.add(&found.span(), "JSON has no such number");
                return None;
            };
            Value::Number(number)
        }
        DeValue::Datetime(_) => {
            wrong_type(faults, found, "this", "a text: JSON has no dates");
            return None;
        }
        DeValue::Array(items) => {
            let read: Vec<Option<Value>> = items.iter().map(|item| json(faults, item)).collect();
            Value::Array(read.into_iter().collect::<Option<_>>()?)
        }
        DeValue::Table(entries) => {
            let read: Vec<Option<(String, Value)>> =
                entries.iter().map(|(key, item)| Some((key.get_ref().to_string(), json(faults, item)?))).collect();
            Value::Object(read.into_iter().collect::<Option<_>>()?)
        }
    })
}

/// Which keys have been asked for: in tests, so that no shape has a key that nobody reads.
#[cfg(test)]
pub(super) mod asked {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::Shape;

    thread_local! {
        static ASKED: RefCell<BTreeSet<(&'static str, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(shape: Option<&'static Shape>, key: &'static str) {
        if let Some(shape) = shape {
            ASKED.with_borrow_mut(|asked| asked.insert((shape.name, key)));
        }
    }

    /// What this thread has asked for since the last time.
    pub(in crate::connector) fn take() -> BTreeSet<(&'static str, &'static str)> {
        ASKED.take()
    }
}
