//! Why a message could not be turned into a domain value.

/// A wire value that is not a valid domain value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("field `{field}`: {problem}")]
pub struct ConversionError {
    /// Path of the field, as in the `.proto` file.
    pub field: String,
    pub problem: ConversionProblem,
}

/// What was wrong with the field.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConversionProblem {
    #[error("is missing")]
    Missing,
    #[error("has {actual} bytes where {expected} are expected")]
    Length { expected: usize, actual: usize },
    #[error("is not smaller than the STARK prime")]
    NotAFelt,
    #[error("{0} is outside the allowed range")]
    OutOfRange(String),
    #[error("a transaction of version {0} cannot be sent to this chain")]
    UnsupportedVersion(String),
    #[error("is not a valid payload: {0}")]
    Payload(String),
}

impl ConversionError {
    pub fn new(field: impl Into<String>, problem: ConversionProblem) -> Self {
        Self { field: field.into(), problem }
    }

    /// The same error, seen from the message that holds the field's message.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}

impl From<ConversionError> for tonic::Status {
    fn from(error: ConversionError) -> Self {
        tonic::Status::invalid_argument(error.to_string())
    }
}
