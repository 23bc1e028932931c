//! A compiled class, shared.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use cairo_lang_starknet_classes::casm_contract_class::CasmContractClass;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use serde_json::value::{RawValue, to_raw_value};

/// A compiled class and its JSON, which is written once, when a witness first holds it: the witness of every block that runs
/// the class repeats it. Cheap to clone.
#[derive(Clone)]
pub struct SharedCasm(Arc<Inner>);

struct Inner {
    class: CasmContractClass,
    json: OnceLock<Box<RawValue>>,
}

impl From<CasmContractClass> for SharedCasm {
    fn from(class: CasmContractClass) -> Self {
        Self(Arc::new(Inner { class, json: OnceLock::new() }))
    }
}

impl Deref for SharedCasm {
    type Target = CasmContractClass;

    fn deref(&self) -> &CasmContractClass {
        &self.0.class
    }
}

impl fmt::Debug for SharedCasm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.class.fmt(f)
    }
}

impl PartialEq for SharedCasm {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.class == other.0.class
    }
}

impl Eq for SharedCasm {}

/// Into JSON only: what is kept is text.
impl Serialize for SharedCasm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = match self.0.json.get() {
            Some(json) => json,
            None => {
                let json = to_raw_value(&self.0.class).map_err(ser::Error::custom)?;
                self.0.json.get_or_init(|| json)
            }
        };
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedCasm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CasmContractClass::deserialize(deserializer).map(Self::from)
    }
}
