//! A validator for the OpenRPC files of JSON-RPC 0.10, stricter than JSON Schema where that helps.
//!
//! * An object may only have properties that the schema names ("closed world"): additional ones are no error in
//!   JSON Schema, but would be a shape of our own.
//! * `oneOf` is taken as `anyOf`: the files have alternatives that contain each other (a closed block is also
//!   a pre-confirmed block with more properties).
//! * Where the files wrap a schema in a property `schema`, which JSON Schema ignores, it is unwrapped.
//! * `CellRef.offset` of CASM may be negative: the files say `minimum: 0`, and every real class breaks that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Mutex;

use regex::Regex;
use serde_json::{Map, Value};

const MAIN: &str = "starknet_api_openrpc.json";
const FILES: [&str; 4] = [
    MAIN,
    "starknet_write_api.json",
    "starknet_trace_api_openrpc.json",
    "starknet_executables.json",
];

/// The files.
pub struct OpenRpc {
    files: HashMap<&'static str, Value>,
    patterns: Mutex<HashMap<String, Regex>>,
}

/// A method as the files describe it.
pub struct Method<'a> {
    pub name: &'a str,
    pub file: &'static str,
    definition: &'a Value,
}

/// Where a schema stands, for references inside it.
#[derive(Clone, Copy)]
struct At<'a> {
    file: &'static str,
    schema: &'a Value,
}

impl OpenRpc {
    pub fn load() -> Self {
        let folder =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../integration-tests/specs/v0.10");
        let files = FILES
            .into_iter()
            .map(|name| {
                let text = std::fs::read_to_string(folder.join(name)).unwrap();
                (name, serde_json::from_str(&text).unwrap())
            })
            .collect();
        Self { files, patterns: Mutex::default() }
    }

    pub fn methods(&self) -> Vec<Method<'_>> {
        FILES
            .into_iter()
            .flat_map(|file| {
                self.files[file]["methods"].as_array().unwrap().iter().map(move |definition| {
                    Method { name: definition["name"].as_str().unwrap(), file, definition }
                })
            })
            .collect()
    }

    pub fn version(&self) -> &str {
        self.files[MAIN]["info"]["version"].as_str().unwrap()
    }

    fn method(&self, name: &str) -> Method<'_> {
        self.methods()
            .into_iter()
            .find(|method| method.name == name)
            .unwrap_or_else(|| panic!("the specification has no method {name}"))
    }

    /// Errors that a method may answer: code and message.
    pub fn errors(&self, name: &str) -> BTreeMap<i64, String> {
        let method = self.method(name);
        method.definition["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| {
                let error = self.resolve(At { file: method.file, schema: error }).schema;
                (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
            })
            .collect()
    }

    /// Checks the result of a method.
    pub fn check_result(&self, name: &str, result: &Value) -> Result<(), String> {
        let method = self.method(name);
        let schema = At { file: method.file, schema: &method.definition["result"]["schema"] };
        self.complete(schema, result, "result")
    }

    /// Checks a value against a component of the main file.
    pub fn check_component(&self, component: &str, value: &Value) -> Result<(), String> {
        let schema = &self.files[MAIN]["components"]["schemas"][component];
        self.complete(At { file: MAIN, schema }, value, component)
    }

    /// A value that must be described in full by one schema.
    fn complete(&self, at: At<'_>, value: &Value, path: &str) -> Result<(), String> {
        let known = self.check(at, value, path)?;
        if let Value::Object(object) = value {
            let known = known.unwrap_or_default();
            if let Some(extra) = object.keys().find(|key| !known.contains(*key)) {
                return Err(format!("{path}: has `{extra}`, which the specification does not"));
            }
        }
        Ok(())
    }

    /// Checks a value. For an object, which of its properties the schema spoke of.
    fn check(
        &self,
        at: At<'_>,
        value: &Value,
        path: &str,
    ) -> Result<Option<BTreeSet<String>>, String> {
        let at = self.resolve(at);
        let Some(schema) = at.schema.as_object() else {
            return Err(format!("{path}: the schema is no object"));
        };
        if let Some(inner) = schema.get("schema") {
            return self.check(At { schema: inner, ..at }, value, path);
        }
        self.scalar(schema, value, path)?;
        let mut known = BTreeSet::new();
        if let (Some(properties), Value::Object(object)) = (schema.get("properties"), value) {
            for (name, property) in properties.as_object().unwrap() {
                if let Some(value) = object.get(name) {
                    let path = format!("{path}.{name}");
                    self.complete(At { schema: property, ..at }, value, &path)?;
                    known.insert(name.clone());
                }
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap();
            if value.get(name).is_none() {
                return Err(format!("{path}: `{name}` is missing"));
            }
        }
        if let (Some(items), Value::Array(values)) = (schema.get("items"), value) {
            for (index, value) in values.iter().enumerate() {
                self.complete(At { schema: items, ..at }, value, &format!("{path}[{index}]"))?;
            }
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            known.extend(self.check(At { schema: part, ..at }, value, path)?.unwrap_or_default());
        }
        if let Some(negated) = schema.get("not")
            && self.check(At { schema: negated, ..at }, value, path).is_ok()
        {
            return Err(format!("{path}: is what it must not be"));
        }
        if let Some(alternatives) = schema.get("oneOf").or_else(|| schema.get("anyOf")) {
            let mut complaints = Vec::new();
            let mut matched = false;
            for alternative in alternatives.as_array().unwrap() {
                match self.check(At { schema: alternative, ..at }, value, path) {
                    Ok(names) => {
                        matched = true;
                        known.extend(names.unwrap_or_default());
                    }
                    Err(complaint) => complaints.push(complaint),
                }
            }
            if !matched {
                return Err(format!("{path}: fits no alternative: [{}]", complaints.join(" | ")));
            }
        }
        Ok(value.is_object().then_some(known))
    }

    fn scalar(&self, schema: &Map<String, Value>, value: &Value, path: &str) -> Result<(), String> {
        if let Some(kind) = schema.get("type").and_then(Value::as_str) {
            let fits = match kind {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("the specification has a type {other}"),
            };
            if !fits {
                return Err(format!("{path}: is {value}, not of type {kind}"));
            }
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array)
            && !values.contains(value)
        {
            return Err(format!("{path}: {value} is none of {values:?}"));
        }
        if let (Some(pattern), Some(text)) =
            (schema.get("pattern").and_then(Value::as_str), value.as_str())
        {
            let mut patterns = self.patterns.lock().unwrap();
            let pattern =
                patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).unwrap());
            if !pattern.is_match(text) {
                return Err(format!("{path}: {text:?} does not match {pattern}"));
            }
        }
        if let (Some(minimum), Some(number)) =
            (schema.get("minimum").and_then(Value::as_i64), value.as_i64())
            && number < minimum
            && !path.ends_with(".offset")
        {
            return Err(format!("{path}: {number} is below {minimum}"));
        }
        let length = value.as_array().map(Vec::len);
        let bound = |name: &str| {
            schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok())
        };
        if let (Some(length), Some(least)) = (length, bound("minItems"))
            && length < least
        {
            return Err(format!("{path}: has {length} items, not {least}"));
        }
        if let (Some(length), Some(most)) = (length, bound("maxItems"))
            && length > most
        {
            return Err(format!("{path}: has {length} items, not {most}"));
        }
        Ok(())
    }

    /// Follows references, into other files too.
    fn resolve<'a>(&'a self, mut at: At<'a>) -> At<'a> {
        while let Some(reference) = at.schema.get("$ref").and_then(Value::as_str) {
            let (file, pointer) = reference.split_once('#').unwrap();
            if !file.is_empty() {
                let name = file.rsplit('/').next().unwrap();
                at.file = FILES.into_iter().find(|file| *file == name).unwrap();
            }
            at.schema = self.files[at.file]
                .pointer(pointer)
                .unwrap_or_else(|| panic!("{reference} leads nowhere in {}", at.file));
        }
        at
    }

    /// The names of a method's parameters, in order.
    pub fn parameters(&self, name: &str) -> Vec<String> {
        self.method(name).definition["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect()
    }
}
