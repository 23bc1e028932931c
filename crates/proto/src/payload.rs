//! Domain values that travel as JSON inside a message: both ends are ours, and the type's own serde is the
//! one definition of its shape.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ConversionError, ConversionProblem};

/// Writes a payload field.
pub fn encode<T: Serialize>(field: &str, value: &T) -> Result<Vec<u8>, ConversionError> {
    serde_json::to_vec(value)
        .map_err(|error| ConversionError::new(field, ConversionProblem::Payload(error.to_string())))
}

/// Reads a payload field.
pub fn decode<T: DeserializeOwned>(field: &str, bytes: &[u8]) -> Result<T, ConversionError> {
    if bytes.is_empty() {
        return Err(ConversionError::new(field, ConversionProblem::Missing));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ConversionError::new(field, ConversionProblem::Payload(error.to_string())))
}
