//! A configuration as anybody may see it.

use serde_json::Value;

use super::{Loaded, ServiceConfig};
use crate::secret::hide_passwords;

/// A configuration cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// It cannot be listed, or what was listed is no configuration.
    #[error("the configuration cannot be listed")]
    List(#[source] serde_json::Error),
    /// TOML has no form for a value.
    #[error("the configuration cannot be written as TOML")]
    Toml(#[source] toml::ser::Error),
}

impl<C: ServiceConfig> Loaded<C> {
    /// All keys with their values as TOML. A [`Secret`](crate::Secret) is shown as `[redacted]`; in every other text
    /// that is a URL, `***` stands for user and password. Whoever reads it must be given those anew.
    pub fn to_toml(&self) -> Result<String, PrintError> {
        Ok(format!("{}\n{}", toml_of(&self.service)?, toml_of(&self.process)?))
    }
}

fn toml_of<C: ServiceConfig>(config: &C) -> Result<String, PrintError> {
    let mut tree = serde_json::to_value(config).map_err(PrintError::List)?;
    // In all texts, and not in the keys that are known to be such URLs: a new one is not forgotten.
    hide(&mut tree);
    // Written from the struct, the keys keep their order.
    let shown: C = serde_json::from_value(tree).map_err(PrintError::List)?;
    toml::to_string(&shown).map_err(PrintError::Toml)
}

fn hide(value: &mut Value) {
    match value {
        Value::String(text) => hide_passwords(text),
        Value::Array(values) => values.iter_mut().for_each(hide),
        Value::Object(entries) => entries.values_mut().for_each(hide),
        _ => {}
    }
}
