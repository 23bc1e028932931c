//! Values that are never printed.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A value that is shown and serialised as `[redacted]`. Only [`Secret::expose`] hands it out.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret<T>(T);

/// What stands for a secret in any output, and how the loader knows which values are secrets.
pub(crate) const REDACTED: &str = "[redacted]";

/// What stands for the secret part of a URL, which can still be parsed with it.
const HIDDEN: &str = "***";
/// URLs of files: an `@` in these is part of a name.
const FILES: [&str; 2] = ["sqlite:", "file:"];

/// Hides what may be a password in a text that is a URL: the user information, where NATS takes a token, too, and the
/// parameter `password`, which PostgreSQL takes. Scheme, host, port and path stay; other texts stay as they are.
pub(crate) fn hide_passwords(text: &mut String) {
    const PARAMETER: &str = "password=";
    if FILES.iter().any(|scheme| text.starts_with(scheme)) {
        return;
    }
    let Some(start) = text.find("://").map(|scheme| scheme + "://".len()) else { return };
    let mut from = start;
    while let Some(found) = text[from..].find(PARAMETER) {
        let value = from + found + PARAMETER.len();
        let end = text[value..].find('&').map_or(text.len(), |length| value + length);
        text.replace_range(value..end, HIDDEN);
        from = value + HIDDEN.len();
    }
    // The last `@` of all: with an unescaped '/', '?' or '#' in a password, what is before the path seems to end in it.
    // Such a URL is of no use, but not to be shown either.
    if let Some(length) = text[start..].rfind('@') {
        text.replace_range(start..start + length, HIDDEN);
    }
}

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; never to be printed.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl Secret<String> {
    /// Whether no secret was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down which part of a URL is hidden, and that everything else stays.
    #[test]
    fn passwords_in_urls_are_hidden() {
        for (url, shown) in [
            (
                "postgres://me:hunter2@db:5432/chain?sslmode=require",
                "postgres://***@db:5432/chain?sslmode=require",
            ),
            ("nats://me:hunter2@nats:4222", "nats://***@nats:4222"),
            ("nats://hunter2@nats:4222", "nats://***@nats:4222"),
            (
                "postgres://db/chain?user=me&password=hunter@2&sslmode=require",
                "postgres://db/chain?user=me&password=***&sslmode=require",
            ),
            ("postgres://me:one@db/chain?password=two", "postgres://***@db/chain?password=***"),
            // What should have been escaped.
            ("postgres://me:h/u?n#t@r@db/chain", "postgres://***@db/chain"),
            ("http://127.0.0.1:9030/x?y=z", "http://127.0.0.1:9030/x?y=z"),
            ("sqlite:///srv/me@home/chain.db", "sqlite:///srv/me@home/chain.db"),
            ("file:///srv/me@home", "file:///srv/me@home"),
            ("me@home", "me@home"),
            ("", ""),
        ] {
            let mut text = url.to_owned();
            hide_passwords(&mut text);
            assert_eq!(text, shown, "{url}");
        }
    }
}
