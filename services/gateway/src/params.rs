//! Parameters of a call, by position or by name.

use jsonrpsee::types::Params;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::RpcError;

/// The parameters of one call, in the order in which the specification names them.
#[derive(Debug)]
pub struct Arguments {
    names: &'static [&'static str],
    values: Vec<Option<Value>>,
}

impl Arguments {
    /// Reads what came: an array in the specification's order, or an object with its names. More values than
    /// names, and names that the method does not have, are refused.
    pub fn read(params: &Params<'_>, names: &'static [&'static str]) -> Result<Self, RpcError> {
        let text = params.as_str().unwrap_or("").trim_start();
        let mut values: Vec<Option<Value>> = match text.as_bytes().first() {
            None => Vec::new(),
            Some(b'[') => serde_json::from_str::<Vec<Value>>(text)
                .map_err(|error| RpcError::invalid("params", error))?
                .into_iter()
                .map(Some)
                .collect(),
            Some(b'{') => {
                let mut object: serde_json::Map<String, Value> = serde_json::from_str(text)
                    .map_err(|error| RpcError::invalid("params", error))?;
                let values = names.iter().map(|name| object.remove(*name)).collect();
                if let Some(unknown) = object.keys().next() {
                    let known = names.join(", ");
                    return Err(RpcError::invalid(
                        "params",
                        format!("there is no parameter {unknown:?}; there are: {known}"),
                    ));
                }
                values
            }
            Some(b'n') if text.trim_end() == "null" => Vec::new(),
            Some(_) => return Err(RpcError::invalid("params", "neither an array nor an object")),
        };
        if values.len() > names.len() {
            let problem = format!("{} values, the method takes {}", values.len(), names.len());
            return Err(RpcError::invalid("params", problem));
        }
        values.resize(names.len(), None);
        Ok(Self { names, values })
    }

    fn name(&self, index: usize) -> &'static str {
        self.names.get(index).copied().unwrap_or("params")
    }

    /// The raw value of a required parameter.
    pub fn value(&mut self, index: usize) -> Result<Value, RpcError> {
        let name = self.name(index);
        self.values
            .get_mut(index)
            .and_then(Option::take)
            .ok_or_else(|| RpcError::invalid(name, "is missing"))
    }

    /// A required parameter.
    pub fn required<T: DeserializeOwned>(&mut self, index: usize) -> Result<T, RpcError> {
        let value = self.value(index)?;
        serde_json::from_value(value).map_err(|error| RpcError::invalid(self.name(index), error))
    }

    /// An optional parameter; `null` is the same as leaving it out.
    pub fn optional<T: DeserializeOwned>(&mut self, index: usize) -> Result<Option<T>, RpcError> {
        match self.values.get_mut(index).and_then(Option::take) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| RpcError::invalid(self.name(index), error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["first", "second"];

    fn read(text: &str) -> Result<(Option<u64>, Option<u64>), RpcError> {
        let mut arguments = Arguments::read(&Params::new(Some(text)), NAMES)?;
        Ok((arguments.optional(0)?, arguments.optional(1)?))
    }

    #[test]
    fn position_and_name_are_the_same() {
        assert_eq!(read("[1, 2]").unwrap(), (Some(1), Some(2)));
        assert_eq!(read(r#"{"second": 2, "first": 1}"#).unwrap(), (Some(1), Some(2)));
        assert_eq!(read("[1]").unwrap(), (Some(1), None));
        assert_eq!(read("[null, 2]").unwrap(), (None, Some(2)));
        assert_eq!(read("[]").unwrap(), (None, None));
        assert_eq!(read("{}").unwrap(), (None, None));
        assert_eq!(read("").unwrap(), (None, None));
    }

    #[test]
    fn what_does_not_fit_is_invalid() {
        for wrong in ["[1, 2, 3]", r#"{"third": 3}"#, "7", "\"x\"", "[1", r#"["x"]"#, "[-1]"] {
            let error = read(wrong).unwrap_err();
            assert!(matches!(error, RpcError::InvalidParams(_)), "{wrong}: {error:?}");
        }
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let mut arguments = Arguments::read(&Params::new(Some("[1]")), NAMES).unwrap();
        let RpcError::InvalidParams(text) = arguments.required::<u64>(1).unwrap_err() else {
            panic!("another error")
        };
        assert_eq!(text, "second: is missing");
    }
}
