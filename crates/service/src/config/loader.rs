//! Merges the sources, and finds everything that is wrong with them.
//!
//! The serialised default is the list of known keys. Each value of a source is tried by itself: put into the
//! defaults, do they still deserialise? So every wrong value is found, and blamed on where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ConfigArgs, Problems, ProcessConfig, ServiceConfig, Source};
use crate::secret::REDACTED;

/// A configuration that was found to be in order.
#[derive(Clone, Debug)]
pub struct Loaded<C> {
    /// What belongs to the process.
    pub process: ProcessConfig,
    /// What belongs to the service.
    pub service: C,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, or what else is meant.
    pub key: String,
    /// Continues the sentence that `key` begins.
    pub message: String,
    /// Where the value came from.
    pub origin: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => writeln!(f, "the configuration has a problem:")?,
            count => writeln!(f, "the configuration has {count} problems:")?,
        }
        for Problem { key, message, origin } in &self.problems {
            writeln!(f, "  {key} {message} ({origin})")?;
        }
        Ok(())
    }
}

/// Reads and checks a configuration.
pub fn load<C: ServiceConfig>(
    args: &ConfigArgs,
    source: &dyn Source,
) -> Result<Loaded<C>, ConfigError> {
    let mut loading = Loading::new::<C>()?;
    loading.file(args, source);
    loading.environment(source);
    loading.command_line(args, source);
    loading.finish()
}

type Trial = Box<dyn Fn(&Value) -> Result<(), String>>;

struct Loading {
    /// Defaults, then with the values of the sources.
    tree: Value,
    defaults: Value,
    secrets: BTreeSet<Vec<String>>,
    process_keys: BTreeSet<String>,
    origins: BTreeMap<String, String>,
    problems: Vec<Problem>,
    trial: Trial,
}

/// A value as a source gives it.
enum Given {
    Typed(Value),
    Text(String),
}

impl Loading {
    fn new<C: ServiceConfig>() -> Result<Self, ConfigError> {
        let process = defaults_of::<ProcessConfig>()?;
        let process_keys: BTreeSet<String> = process.keys().cloned().collect();
        let mut defaults = defaults_of::<C>()?;
        defaults.extend(process);
        let mut defaults = Value::Object(defaults);
        let mut secrets = BTreeSet::new();
        blank_secrets(&mut defaults, &mut Vec::new(), &mut secrets);
        let keys = process_keys.clone();
        Ok(Self {
            tree: defaults.clone(),
            defaults,
            secrets,
            process_keys,
            origins: BTreeMap::new(),
            problems: Vec::new(),
            trial: Box::new(move |tree| {
                let (process, service) = split(tree, &keys);
                read::<ProcessConfig>(process)?;
                read::<C>(service)?;
                Ok(())
            }),
        })
    }

    fn file(&mut self, args: &ConfigArgs, source: &dyn Source) {
        let named_by_environment = || {
            source
                .variables()
                .into_iter()
                .find(|(name, _)| name == "SIDEREAL_CONFIG")
                .map(|(_, value)| value.into())
        };
        let Some(path): Option<PathBuf> = args.config.clone().or_else(named_by_environment) else {
            return;
        };
        let origin = path.display().to_string();
        let text = match source.read(&path) {
            Ok(text) => text,
            Err(error) => {
                return self.problem("the file", format!("cannot be read: {error}"), &origin);
            }
        };
        let table: toml::Table = match toml::from_str(&text) {
            Ok(table) => table,
            // The snippet that `Display` prints may hold a secret; message and position are enough.
            Err(error) => {
                let line = error
                    .span()
                    .map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
                let message = format!("is not TOML, line {line}: {}", error.message());
                return self.problem("the file", message, &origin);
            }
        };
        match serde_json::to_value(table) {
            Ok(value) => self.walk(&mut Vec::new(), value, &format!("file {origin}"), source),
            Err(error) => {
                self.problem("the file", format!("has a value of no use here: {error}"), &origin)
            }
        }
    }

    fn walk(&mut self, path: &mut Vec<String>, value: Value, origin: &str, source: &dyn Source) {
        let known_section = lookup(&self.defaults, path).is_some_and(Value::is_object);
        match value {
            Value::Object(entries) if known_section => {
                for (key, value) in entries {
                    path.push(key);
                    self.walk(path, value, origin, source);
                    path.pop();
                }
            }
            value => self.give(path, Given::Typed(value), origin, source),
        }
    }

    fn environment(&mut self, source: &dyn Source) {
        let mut keys = BTreeMap::new();
        leaves(&self.defaults, &mut Vec::new(), &mut |path| {
            keys.insert(variable_name(path), path.to_vec());
        });
        let sections: Vec<String> = match &self.defaults {
            Value::Object(sections) => sections
                .iter()
                .filter(|(_, value)| value.is_object())
                .map(|(name, _)| format!("{}_", variable_name(std::slice::from_ref(name))))
                .collect(),
            _ => Vec::new(),
        };
        let mut variables = source.variables();
        variables.sort();
        for (name, value) in variables {
            let origin = format!("environment variable {name}");
            let of_file = name.strip_suffix("_FILE").and_then(|stem| keys.get(stem));
            if let Some(path) = keys.get(&name) {
                self.give(&path.clone(), Given::Text(value), &origin, source);
            } else if let Some(path) = of_file {
                self.give(&with_file_suffix(path), Given::Text(value), &origin, source);
            } else if sections.iter().any(|section| name.starts_with(section.as_str())) {
                // Variables of other services and of tools begin with other sections; those are not ours to judge.
                self.problem(&name, "names no key of this configuration", "environment");
            }
        }
    }

    fn command_line(&mut self, args: &ConfigArgs, source: &dyn Source) {
        for setting in &args.set {
            match setting.split_once('=') {
                Some((key, value)) => {
                    let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
                    self.give(&path, Given::Text(value.to_owned()), "command line", source);
                }
                None => self.problem(
                    &format!("--set {setting}"),
                    "is not of the form section.key=value",
                    "command line",
                ),
            }
        }
    }

    /// Takes one value, or says why not.
    fn give(&mut self, path: &[String], given: Given, origin: &str, source: &dyn Source) {
        let key = path.join(".");
        let (path, given, origin) = match self.resolve_file(path, given, origin, source) {
            Ok(resolved) => resolved,
            Err(message) => return self.problem(&key, message, origin),
        };
        match lookup(&self.defaults, &path) {
            None => return self.problem(&key, self.unknown(&path), &origin),
            Some(Value::Object(_)) => {
                return self.problem(&key, "is a section, not a value", &origin);
            }
            Some(_) => {}
        }
        let candidates = match given {
            Given::Typed(value) => vec![value],
            Given::Text(text) => readings(text),
        };
        let mut complaint = String::new();
        for candidate in candidates {
            let mut tree = self.defaults.clone();
            set(&mut tree, &path, candidate.clone());
            match (self.trial)(&tree) {
                Ok(()) => {
                    set(&mut self.tree, &path, candidate);
                    self.origins.insert(path.join("."), origin);
                    return;
                }
                Err(message) => complaint = message,
            }
        }
        if self.secrets.contains(&path) {
            complaint = "the secret is not of the right type".to_owned();
        }
        self.problem(&key, format!("cannot be used: {complaint}"), &origin);
    }

    /// Turns `x_file = "name"` into `x = <content of the file>` where `x` may be given that way.
    fn resolve_file(
        &self,
        path: &[String],
        given: Given,
        origin: &str,
        source: &dyn Source,
    ) -> Result<(Vec<String>, Given, String), String> {
        let as_is = |given| Ok((path.to_vec(), given, origin.to_owned()));
        if lookup(&self.defaults, path).is_some() {
            return as_is(given);
        }
        let Some((last, stem)) =
            path.split_last().and_then(|(last, rest)| Some((last.strip_suffix("_file")?, rest)))
        else {
            return as_is(given);
        };
        let target: Vec<String> = stem.iter().cloned().chain([last.to_owned()]).collect();
        let may_be_a_file =
            self.secrets.contains(&target) || lookup(&self.defaults, &target) == Some(&Value::Null);
        if !may_be_a_file {
            return as_is(given);
        }
        let file = match given {
            Given::Text(file) | Given::Typed(Value::String(file)) => file,
            Given::Typed(_) => return Err("must be the name of a file".to_owned()),
        };
        let content = source
            .read(Path::new(&file))
            .map_err(|error| format!("file {file} cannot be read: {error}"))?;
        Ok((
            target,
            Given::Text(content.trim_end_matches(['\r', '\n']).to_owned()),
            format!("{origin}, file {file}"),
        ))
    }

    fn unknown(&self, path: &[String]) -> String {
        let mut known = Vec::new();
        leaves(&self.defaults, &mut Vec::new(), &mut |path| known.push(path.join(".")));
        let wanted = path.join(".");
        let nearest = known
            .into_iter()
            .map(|key| (edit_distance(&key, &wanted), key))
            .min()
            .filter(|(distance, _)| *distance <= 3);
        match nearest {
            Some((_, key)) => format!("is not a known key; did you mean {key}?"),
            None => "is not a known key".to_owned(),
        }
    }

    fn problem(&mut self, key: &str, message: impl Into<String>, origin: &str) {
        self.problems.push(Problem {
            key: key.to_owned(),
            message: message.into(),
            origin: origin.to_owned(),
        });
    }

    fn finish<C: ServiceConfig>(mut self) -> Result<Loaded<C>, ConfigError> {
        let (process, service) = split(&self.tree, &self.process_keys);
        let loaded = read::<ProcessConfig>(process)
            .and_then(|process| Ok(Loaded { process, service: read::<C>(service)? }));
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(message) => {
                self.problem(
                    "the values together",
                    format!("cannot be used: {message}"),
                    "all sources",
                );
                return Err(ConfigError { problems: self.problems });
            }
        };
        let mut problems = Problems::default();
        loaded.process.validate(&mut problems);
        loaded.service.validate(&mut problems);
        for (key, message) in problems.into_found() {
            let origin = self.origins.get(&key).cloned().unwrap_or_else(|| "default".to_owned());
            self.problems.push(Problem { key, message, origin });
        }
        if self.problems.is_empty() {
            Ok(loaded)
        } else {
            Err(ConfigError { problems: self.problems })
        }
    }
}

fn defaults_of<C: ServiceConfig>() -> Result<Map<String, Value>, ConfigError> {
    let broken = |message: String| ConfigError {
        problems: vec![Problem {
            key: "the defaults".to_owned(),
            message,
            origin: "program".to_owned(),
        }],
    };
    match serde_json::to_value(C::default()) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(broken("are not made of sections".to_owned())),
        Err(error) => Err(broken(format!("cannot be listed: {error}"))),
    }
}

/// Secrets serialise as a mark; as values they are empty.
fn blank_secrets(value: &mut Value, path: &mut Vec<String>, secrets: &mut BTreeSet<Vec<String>>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                path.push(key.clone());
                blank_secrets(value, path, secrets);
                path.pop();
            }
        }
        Value::String(text) if text == REDACTED => {
            text.clear();
            secrets.insert(path.clone());
        }
        _ => {}
    }
}

fn split(tree: &Value, process_keys: &BTreeSet<String>) -> (Value, Value) {
    let (mut process, mut service) = (Map::new(), Map::new());
    if let Value::Object(entries) = tree {
        for (key, value) in entries {
            let side = if process_keys.contains(key) { &mut process } else { &mut service };
            side.insert(key.clone(), value.clone());
        }
    }
    (Value::Object(process), Value::Object(service))
}

fn read<C: DeserializeOwned>(tree: Value) -> Result<C, String> {
    serde_json::from_value(tree).map_err(|error| error.to_string())
}

/// What a text may mean, the likeliest first; the last complaint is the one shown.
fn readings(text: String) -> Vec<Value> {
    let list = || {
        Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| item.into())
                .collect(),
        )
    };
    let literal = toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .and_then(|value| serde_json::to_value(value).ok())
        .filter(|value| !value.is_string());
    let list = list();
    let mut readings = vec![list, Value::String(text)];
    readings.extend(literal);
    // A string is what most keys want, then a literal; a list only where the others don't fit. The complaint of the
    // literal (a number out of range, say) or else of the string tells the most, so those are tried last.
    readings
}

fn lookup<'a>(tree: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |node, key| node.as_object()?.get(key))
}

fn set(tree: &mut Value, path: &[String], value: Value) {
    let mut node = tree;
    for key in path {
        // Paths were looked up in the defaults before, so every step is a section.
        let Some(entries) = node.as_object_mut() else { return };
        node = entries.entry(key.clone()).or_insert(Value::Null);
    }
    *node = value;
}

fn leaves(value: &Value, path: &mut Vec<String>, visit: &mut impl FnMut(&[String])) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                path.push(key.clone());
                leaves(value, path, visit);
                path.pop();
            }
        }
        _ => visit(path),
    }
}

fn variable_name(path: &[String]) -> String {
    format!("SIDEREAL_{}", path.join("_").to_uppercase().replace('-', "_"))
}

fn with_file_suffix(path: &[String]) -> Vec<String> {
    let mut path = path.to_vec();
    if let Some(last) = path.last_mut() {
        last.push_str("_file");
    }
    path
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(256).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(256).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
