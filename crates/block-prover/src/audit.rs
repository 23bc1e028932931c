//! Conditions on a proof's *form* that S-two's verifier takes for granted.
//!
//! `verify_cairo_ex` was written for proofs that an honest prover made: it computes with field elements as they
//! were deserialised, shifts by claimed log sizes, and adds up every claimed sum that is present. For bytes from
//! strangers three conditions must hold before it may be called:
//!
//! 1. every M31 and every public id is below 2^31 - 1 (arithmetic on other values is undefined);
//! 2. every log size lies within the preprocessed trace (`1 << size` must not wrap);
//! 3. a component has a claimed sum exactly when it is part of the claim. A claimed sum without its component is
//!    bound by no constraint, yet enters the lookup balance: with one, *any* trace would balance.
//!
//! The walk over the proof is a `serde` serialiser that writes nothing: it sees every field by name, so that no
//! field can be forgotten when the proof's type grows.

use serde::ser::{self, Impossible, Serialize};

use crate::settings::MAX_LOG_ROWS;

/// The Mersenne prime 2^31 - 1.
const M31_MODULUS: u32 = (1 << 31) - 1;
/// Rows, as a power of two, of the smallest component: one SIMD vector.
const MIN_LOG_ROWS: u32 = 4;
/// Limbs of a felt in public memory; these are full 32-bit words and no field elements.
const FELT_LIMBS: usize = 8;

const CLAIM: &str = "claim";
const INTERACTION_CLAIM: &str = "interaction_claim";
const PUBLIC_DATA: &str = "public_data";

/// What is wrong with the form of a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Condition 1.
    #[error("{field} holds {value}, which is no canonical element of M31")]
    NotCanonical {
        /// Where, as a path of field names.
        field: String,
        /// What stands there.
        value: u32,
    },
    /// Condition 2.
    #[error(
        "{field} claims 2^{value} rows; between 2^{MIN_LOG_ROWS} and 2^{MAX_LOG_ROWS} are possible"
    )]
    LogSize {
        /// Where, as a path of field names.
        field: String,
        /// The claimed binary logarithm.
        value: u32,
    },
    /// The walk itself failed; no proof type leads here.
    #[error("the proof cannot be walked: {0}")]
    Unexpected(String),
}

impl ser::Error for AuditError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Unexpected(message.to_string())
    }
}

/// The components that a proof speaks of, by the names of their fields, in the order of the claim.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Components {
    /// Components whose trace is claimed.
    pub claimed: Vec<&'static str>,
    /// Components that have a claimed sum.
    pub summed: Vec<&'static str>,
}

/// Walks `proof` and returns its components if conditions 1 and 2 hold. Condition 3 is the equality of the two
/// lists, which is left to the caller because that is an error of its own.
pub(crate) fn audit<T: Serialize>(proof: &T) -> Result<Components, AuditError> {
    let mut walker =
        Walker { path: Vec::new(), reading: Reading::Plain, components: Components::default() };
    proof.serialize(&mut walker)?;
    Ok(walker.components)
}

/// How the next bare integer is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Plain,
    FieldElement,
    Limbs,
}

struct Walker {
    path: Vec<&'static str>,
    reading: Reading,
    components: Components,
}

impl Walker {
    fn field(&self) -> String {
        self.path.join(".")
    }

    fn below_modulus(&self, value: u32) -> Result<(), AuditError> {
        if value < M31_MODULUS {
            Ok(())
        } else {
            Err(AuditError::NotCanonical { field: self.field(), value })
        }
    }

    fn nested<T: Serialize + ?Sized>(
        &mut self,
        reading: Reading,
        value: &T,
    ) -> Result<(), AuditError> {
        let before = std::mem::replace(&mut self.reading, reading);
        let result = value.serialize(&mut *self);
        self.reading = before;
        result
    }
}

/// Integers of other widths carry no condition.
macro_rules! unconditional {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _value: $type) -> Result<(), AuditError> { Ok(()) })*
    };
}

impl<'a> ser::Serializer for &'a mut Walker {
    type Ok = ();
    type Error = AuditError;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Elements<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeTupleVariant = Impossible<(), AuditError>;
    type SerializeMap = Impossible<(), AuditError>;
    type SerializeStructVariant = Impossible<(), AuditError>;

    unconditional! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u64: u64, serialize_f32: f32, serialize_f64: f64,
        serialize_char: char, serialize_str: &str, serialize_bytes: &[u8], serialize_unit_struct: &'static str,
    }

    fn serialize_u32(self, value: u32) -> Result<(), AuditError> {
        match self.reading {
            Reading::Limbs => Ok(()),
            Reading::FieldElement => self.below_modulus(value),
            Reading::Plain => match self.path.last().copied() {
                Some("log_size" | "big_log_sizes") => {
                    // Outside the claim it is the size of FRI's last layer, which is one point.
                    let in_claim = self.path.first() == Some(&CLAIM);
                    let possible = if in_claim { MIN_LOG_ROWS..=MAX_LOG_ROWS } else { 0..=0 };
                    if possible.contains(&value) {
                        Ok(())
                    } else {
                        Err(AuditError::LogSize { field: self.field(), value })
                    }
                }
                _ => self.below_modulus(value),
            },
        }
    }

    fn serialize_none(self) -> Result<(), AuditError> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), AuditError> {
        if let [section, component] = self.path[..] {
            match section {
                CLAIM if component != PUBLIC_DATA => self.components.claimed.push(component),
                INTERACTION_CLAIM => self.components.summed.push(component),
                _ => {}
            }
        }
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), AuditError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
    ) -> Result<(), AuditError> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), AuditError> {
        if name == "M31" {
            self.nested(Reading::FieldElement, value)
        } else {
            value.serialize(self)
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<(), AuditError> {
        value.serialize(self)
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Elements<'a>, AuditError> {
        let reading = self.reading;
        Ok(Elements { walker: self, reading })
    }

    fn serialize_tuple(self, length: usize) -> Result<Elements<'a>, AuditError> {
        let reading = if length == FELT_LIMBS { Reading::Limbs } else { self.reading };
        Ok(Elements { walker: self, reading })
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Elements<'a>, AuditError> {
        let reading = self.reading;
        Ok(Elements { walker: self, reading })
    }

    fn serialize_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Fields<'a>, AuditError> {
        Ok(Fields { walker: self })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant, AuditError> {
        Err(AuditError::Unexpected(format!("{}: tuple variant {name}", self.field())))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Self::SerializeMap, AuditError> {
        Err(AuditError::Unexpected(format!("{}: a map", self.field())))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStructVariant, AuditError> {
        Err(AuditError::Unexpected(format!("{}: struct variant {name}", self.field())))
    }
}

struct Elements<'a> {
    walker: &'a mut Walker,
    reading: Reading,
}

impl Elements<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), AuditError> {
        self.walker.nested(self.reading, value)
    }
}

impl ser::SerializeSeq for Elements<'_> {
    type Ok = ();
    type Error = AuditError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), AuditError> {
        self.element(value)
    }
    fn end(self) -> Result<(), AuditError> {
        Ok(())
    }
}

impl ser::SerializeTuple for Elements<'_> {
    type Ok = ();
    type Error = AuditError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), AuditError> {
        self.element(value)
    }
    fn end(self) -> Result<(), AuditError> {
        Ok(())
    }
}

impl ser::SerializeTupleStruct for Elements<'_> {
    type Ok = ();
    type Error = AuditError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), AuditError> {
        self.element(value)
    }
    fn end(self) -> Result<(), AuditError> {
        Ok(())
    }
}

struct Fields<'a> {
    walker: &'a mut Walker,
}

impl ser::SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = AuditError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), AuditError> {
        self.walker.path.push(key);
        let result = self.walker.nested(Reading::Plain, value);
        self.walker.path.pop();
        result
    }
    fn end(self) -> Result<(), AuditError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct M31(u32);

    #[derive(Serialize)]
    struct Sum {
        claimed_sum: M31,
    }

    #[derive(Serialize)]
    struct Size {
        log_size: u32,
    }

    #[derive(Serialize)]
    struct Memory {
        output: Vec<(u32, [u32; 8])>,
    }

    #[derive(Serialize)]
    struct Claim {
        public_data: Memory,
        adds: Option<Size>,
        muls: Option<Size>,
    }

    #[derive(Serialize)]
    struct Sums {
        adds: Option<Sum>,
        muls: Option<Sum>,
    }

    #[derive(Serialize)]
    struct Proof {
        claim: Claim,
        interaction_claim: Sums,
    }

    fn proof() -> Proof {
        Proof {
            claim: Claim {
                public_data: Memory { output: vec![(7, [u32::MAX; 8])] },
                adds: Some(Size { log_size: 5 }),
                muls: None,
            },
            interaction_claim: Sums { adds: Some(Sum { claimed_sum: M31(9) }), muls: None },
        }
    }

    #[test]
    fn components_are_listed_and_full_limbs_are_no_field_elements() {
        let found = audit(&proof()).unwrap();
        assert_eq!(found.claimed, ["adds"]);
        assert_eq!(found.summed, ["adds"]);
    }

    #[test]
    fn a_sum_without_its_component_is_seen() {
        let mut proof = proof();
        proof.interaction_claim.muls = Some(Sum { claimed_sum: M31(1) });
        let found = audit(&proof).unwrap();
        assert_ne!(found.claimed, found.summed);
    }

    #[test]
    fn an_unreduced_field_element_is_refused_by_name() {
        let mut proof = proof();
        proof.interaction_claim.adds = Some(Sum { claimed_sum: M31(M31_MODULUS) });
        let error = audit(&proof).unwrap_err();
        let field = "interaction_claim.adds.claimed_sum".to_owned();
        assert_eq!(error, AuditError::NotCanonical { field, value: M31_MODULUS });
    }

    #[test]
    fn an_unreduced_public_id_is_refused() {
        let mut proof = proof();
        proof.claim.public_data.output[0].0 = u32::MAX;
        assert!(matches!(audit(&proof), Err(AuditError::NotCanonical { .. })));
    }

    #[test]
    fn log_sizes_outside_the_preprocessed_trace_are_refused() {
        for log_size in [0, MIN_LOG_ROWS - 1, MAX_LOG_ROWS + 1, 32, 64] {
            let mut proof = proof();
            proof.claim.adds = Some(Size { log_size });
            let field = "claim.adds.log_size".to_owned();
            assert_eq!(audit(&proof).unwrap_err(), AuditError::LogSize { field, value: log_size });
        }
    }
}
