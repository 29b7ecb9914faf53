//! A value as the store holds it, read where it is asked for.

/// The text of a value, and how to read it. Most who read a list ask for few of its parts, and reading them all would
/// cost more than the rest of the list.
#[derive(Clone, Debug)]
pub struct Encoded<T> {
    text: String,
    read: fn(&str) -> Option<T>,
}

impl<T> Encoded<T> {
    /// What `read` makes of `text`.
    #[must_use]
    pub const fn new(text: String, read: fn(&str) -> Option<T>) -> Self {
        Self { text, read }
    }

    /// The value. `None`: what is stored is broken.
    #[must_use]
    pub fn read(&self) -> Option<T> {
        (self.read)(&self.text)
    }
}
