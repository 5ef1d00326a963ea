//! The model of a key-value server with byte strings: get, put, del, append, cas.

use std::fmt;

use crate::linearizability::{Effect, Model};
use crate::value::Value;

/// A key-value store; each key is an object of its own that at first is absent.
///
/// | request | output | effect |
/// | --- | --- | --- |
/// | get | the value, or that the key is absent | |
/// | put | done | the key holds the value |
/// | del | whether the key was present | the key is absent |
/// | append | the length afterwards | an absent key counts as empty |
/// | cas | whether it was swapped | swaps if the key is present and holds what was expected |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kv;

/// A request for one key.
#[derive(Clone, PartialEq, Eq)]
pub struct KvInput {
    /// The key.
    pub key: Box<[u8]>,
    /// What to do with it.
    pub request: KvRequest,
}

/// What to do with a key; see [`Kv`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvRequest {
    /// Reads the value.
    Get,
    /// Sets the value.
    Put(Value),
    /// Removes the key.
    Del,
    /// Appends to the value.
    Append(Value),
    /// Compares and swaps.
    Cas {
        /// What the key must hold.
        expected: Value,
        /// What it then holds.
        new: Value,
    },
}

/// What a request gave; each kind of request has its own kind of output.
#[derive(Clone, PartialEq, Eq)]
pub enum KvOutput {
    /// Of a get: the value, or `None` if the key is absent.
    Value(Option<Value>),
    /// Of a put.
    Done,
    /// Of a del: whether the key was present.
    Deleted(bool),
    /// Of an append: the length in bytes afterwards.
    Length(u64),
    /// Of a cas: whether it was swapped.
    Swapped(bool),
}

impl KvInput {
    /// Reads `key`.
    pub fn get(key: impl AsRef<[u8]>) -> Self {
        Self::new(key, KvRequest::Get)
    }

    /// Sets `key`.
    pub fn put(key: impl AsRef<[u8]>, value: impl Into<Value>) -> Self {
        Self::new(key, KvRequest::Put(value.into()))
    }

    /// Removes `key`.
    pub fn del(key: impl AsRef<[u8]>) -> Self {
        Self::new(key, KvRequest::Del)
    }

    /// Appends to `key`.
    pub fn append(key: impl AsRef<[u8]>, value: impl Into<Value>) -> Self {
        Self::new(key, KvRequest::Append(value.into()))
    }

    /// Compares and swaps `key`.
    pub fn cas(key: impl AsRef<[u8]>, expected: impl Into<Value>, new: impl Into<Value>) -> Self {
        Self::new(
            key,
            KvRequest::Cas {
                expected: expected.into(),
                new: new.into(),
            },
        )
    }

    fn new(key: impl AsRef<[u8]>, request: KvRequest) -> Self {
        Self {
            key: key.as_ref().into(),
            request,
        }
    }
}

impl KvRequest {
    /// Executes the request on what its key holds: a reference that a simple server or a test may
    /// use.
    pub fn execute(&self, state: &mut Option<Value>) -> KvOutput {
        match self {
            Self::Get => KvOutput::Value(state.clone()),
            Self::Put(value) => {
                *state = Some(value.clone());
                KvOutput::Done
            }
            Self::Del => KvOutput::Deleted(state.take().is_some()),
            Self::Append(value) => {
                let longer = state.take().unwrap_or_default().append_value(value);
                let length = longer.len() as u64;
                *state = Some(longer);
                KvOutput::Length(length)
            }
            Self::Cas { expected, new } => {
                let swaps = state.as_ref() == Some(expected);
                if swaps {
                    *state = Some(new.clone());
                }
                KvOutput::Swapped(swaps)
            }
        }
    }
}

impl KvOutput {
    /// A get found `value`.
    pub fn value(value: impl Into<Value>) -> Self {
        Self::Value(Some(value.into()))
    }

    /// A get found that the key is absent.
    #[must_use]
    pub fn absent() -> Self {
        Self::Value(None)
    }
}

impl Model for Kv {
    type State = Option<Value>;
    type Input = KvInput;
    type Output = KvOutput;
    type Key = KeyName;

    fn initial(&self) -> Self::State {
        None
    }

    fn key(&self, input: &KvInput) -> KeyName {
        KeyName(input.key.clone())
    }

    fn step(
        &self,
        state: &Self::State,
        input: &KvInput,
        output: Option<&KvOutput>,
    ) -> Option<Self::State> {
        // The common refusals first: they need no new state.
        match (&input.request, output) {
            (KvRequest::Get, Some(KvOutput::Value(value))) => {
                return (state == value).then(|| state.clone());
            }
            (KvRequest::Append(value), Some(KvOutput::Length(length)))
                if *length != (state.as_ref().map_or(0, Value::len) + value.len()) as u64 =>
            {
                return None;
            }
            _ => {}
        }
        let mut after = state.clone();
        let allowed = input.request.execute(&mut after);
        output
            .is_none_or(|output| *output == allowed)
            .then_some(after)
    }

    fn effect(&self, input: &KvInput, output: Option<&KvOutput>) -> Effect {
        match (&input.request, output) {
            (KvRequest::Get, _) => Effect::Reads,
            (KvRequest::Put(_) | KvRequest::Del, None) | (KvRequest::Put(_), Some(_)) => {
                Effect::Overwrites
            }
            (KvRequest::Del, Some(KvOutput::Deleted(true))) => Effect::Overwrites,
            (KvRequest::Cas { .. }, Some(KvOutput::Swapped(true))) => Effect::Overwrites,
            (KvRequest::Del | KvRequest::Cas { .. }, Some(_)) => Effect::Reads,
            (KvRequest::Append(_), _) | (KvRequest::Cas { .. }, None) => Effect::Depends,
        }
    }

    /// Only appends carry a value on, so a state leads to what it is a prefix of.
    fn may_lead_to(&self, state: &Self::State, goal: &KvInput, output: Option<&KvOutput>) -> bool {
        let begins = |value: &Value| state.as_ref().is_none_or(|state| state.is_prefix_of(value));
        match (&goal.request, output) {
            (KvRequest::Get, Some(KvOutput::Value(Some(value)))) => begins(value),
            (KvRequest::Get, Some(KvOutput::Value(None)))
            | (KvRequest::Del, Some(KvOutput::Deleted(false))) => state.is_none(),
            (KvRequest::Append(value), Some(KvOutput::Length(length))) => {
                (state.as_ref().map_or(0, Value::len) + value.len()) as u64 <= *length
            }
            (KvRequest::Cas { expected, .. }, Some(KvOutput::Swapped(true)) | None) => {
                begins(expected)
            }
            (KvRequest::Get | KvRequest::Put(_) | KvRequest::Del | KvRequest::Append(_), None) => {
                false
            }
            _ => true,
        }
    }
}

impl fmt::Debug for KvInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.escape_ascii();
        match &self.request {
            KvRequest::Get => write!(f, "get {key}"),
            KvRequest::Put(value) => write!(f, "put {key} {value:?}"),
            KvRequest::Del => write!(f, "del {key}"),
            KvRequest::Append(value) => write!(f, "append {key} {value:?}"),
            KvRequest::Cas { expected, new } => write!(f, "cas {key} {expected:?} {new:?}"),
        }
    }
}

impl fmt::Debug for KvOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(Some(value)) => write!(f, "{value:?}"),
            Self::Value(None) => write!(f, "absent"),
            Self::Done => write!(f, "done"),
            Self::Deleted(true) => write!(f, "deleted"),
            Self::Deleted(false) => write!(f, "was absent"),
            Self::Length(length) => write!(f, "length {length}"),
            Self::Swapped(true) => write!(f, "swapped"),
            Self::Swapped(false) => write!(f, "not swapped"),
        }
    }
}

/// A key of [`Kv`], shown as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(pub Box<[u8]>);

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
