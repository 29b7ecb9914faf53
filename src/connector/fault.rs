//! What is wrong with a manifest, and where: collected, so that an author sees all of it at once.

use std::{fmt, ops::Range};

use chrono::NaiveDate;

use super::model::Sunset;

/// One thing wrong with a manifest. Displays as `file:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub file: String,
    /// Counts from 1.
    pub line: usize,
    /// Counts from 1, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// A place in the manifest's text, in bytes.
pub(super) type Span = Range<usize>;

/// Collects the faults of one manifest.
pub(super) struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    list: Vec<Fault>,
    sunsets: Vec<Sunset>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, list: Vec::new(), sunsets: Vec::new() }
    }

    /// Notes a fault at the start of this place.
    pub(super) fn add(&mut self, span: &Span, message: impl Into<String>) {
        let fault = self.at(span, message);
        self.list.push(fault);
    }

    /// Notes what will be switched off on this day, which is no fault.
    pub(super) fn sunset(&mut self, span: &Span, date: NaiveDate) {
        let notice = self.at(span, format!("the vendor switches this call off on {date}"));
        self.sunsets.push(Sunset { date, notice });
    }

    /// What will be switched off.
    pub(super) fn take_sunsets(&mut self) -> Vec<Sunset> {
        std::mem::take(&mut self.sunsets)
    }

    fn at(&self, span: &Span, message: impl Into<String>) -> Fault {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Fault { file: self.file.to_owned(), line, column, message: message.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All faults, in the order of the text.
    pub(super) fn into_list(mut self) -> Vec<Fault> {
        self.list.sort();
        self.list.dedup();
        self.list
    }
}

/// `; did you mean ...?` where one of the known words is close to the given one, else a list of them.
pub(super) fn suggestion<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known.iter().map(|word| (distance(given, word), *word)).min();
    match nearest {
        Some((steps, word)) if steps <= 1 + given.chars().count() / 4 => format!("; did you mean `{word}`?"),
        Some(_) => format!("; known here: {}", known.join(", ")),
        None => String::new(),
    }
}

/// The number of insertions, deletions and replacements between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_steps_between_words() {
        for (a, b, steps) in [("", "abc", 3), ("kitten", "sitting", 3), ("label", "label", 0), ("lable", "label", 2)] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
            assert_eq!(distance(b, a), steps, "{b} {a}");
        }
    }

    #[test]
    fn places_count_characters_from_one() {
        let mut faults = Faults::new("a.toml", "é = 1\nüü = 2\n");
        faults.add(&(9..10), "wrong");
        faults.add(&(0..1), "first");
        let shown: Vec<String> = faults.into_list().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a.toml:1:1: first", "a.toml:2:2: wrong"]);
    }

    #[test]
    fn suggests_what_is_near() {
        assert_eq!(suggestion("lable", ["label", "name"]), "; did you mean `label`?");
        assert_eq!(suggestion("colour", ["label", "name"]), "; known here: label, name");
    }
}
