//! The total order of commands that all nodes must agree on, as it becomes known.

use std::collections::BTreeMap;

use synod_replica::Epoch;

use super::tokens::{FNV_BASIS, Tokens, fnv};
use super::{Verdict, must};

/// What was decided at each index, and the state of a machine that has applied it: taken from the
/// node that applies an index first, and compared with every other.
///
/// It decodes bodies by itself and shares no code with the applier: if the name of a body does not
/// rise, the body is dropped.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    /// The entries from index 1.
    decided: Vec<Decided>,
    names: BTreeMap<u64, (u64, u64)>,
    machine: Tokens,
    /// The place of each token.
    placed: BTreeMap<u64, Placed>,
    compact: BTreeMap<u8, u64>,
    pub(crate) repeats: u64,
    newest: Epoch,
    /// Entries of an earlier epoch than one before them.
    pub(crate) falls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decided {
    entry: u64,
    state: u64,
}

/// A token in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) key: u8,
    /// The length of its key's value after it.
    pub(crate) length: u64,
    /// The same without padding, as in the history.
    pub(crate) compact: u64,
}

impl Reference {
    /// The last index known to be decided.
    pub(crate) fn frontier(&self) -> u64 {
        self.decided.len() as u64
    }

    pub(crate) fn placed(&self, token: u64) -> Option<Placed> {
        self.placed.get(&token).copied()
    }

    /// Whether a key had this value at some time, and not before it had `floor` bytes.
    pub(crate) fn has_been(&self, key: u8, value: &[u8], floor: u64) -> bool {
        let now = self.machine.value(key).unwrap_or_default();
        value.len() as u64 >= floor && now.starts_with(value)
    }

    /// An entry was applied: `epoch` and `body` at `index`, and the machine is now in this state.
    pub(crate) fn applied(
        &mut self,
        (index, epoch): (u64, Epoch),
        body: Option<&[u8]>,
        machine: &Tokens,
    ) -> Verdict {
        let basis = FNV_BASIS ^ epoch.round ^ epoch.node.0.rotate_left(32);
        let entry = fnv(basis, body.unwrap_or_default());
        if index == self.frontier() + 1 {
            if let Some(body) = body {
                self.apply(body);
            }
            let state = self.machine.fingerprint();
            self.falls += u64::from(epoch < self.newest);
            self.newest = self.newest.max(epoch);
            self.decided.push(Decided { entry, state });
        }
        let known = self.at(index);
        must(
            known.is_some_and(|known| known.entry == entry),
            "state machine safety",
            || format!("another entry at {index}, of epoch {epoch}"),
        )?;
        self.holds(index, machine)
    }

    /// A machine has applied everything up to `index`.
    pub(crate) fn holds(&self, index: u64, machine: &Tokens) -> Verdict {
        let known = self.at(index);
        must(
            index == 0 || known.is_some_and(|known| known.state == machine.fingerprint()),
            "state machine safety",
            || format!("another state at {index}: {machine:?}"),
        )
    }

    /// Whether a machine in this state has applied everything up to some index, and nothing more.
    pub(crate) fn was(&self, machine: &Tokens) -> bool {
        let state = machine.fingerprint();
        let mut states = self.decided.iter().map(|decided| decided.state);
        state == Tokens::default().fingerprint() || states.any(|was| was == state)
    }

    fn at(&self, index: u64) -> Option<Decided> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        self.decided.get(at).copied()
    }

    fn apply(&mut self, body: &[u8]) {
        let mut rest = body;
        let mut word = || {
            let (word, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            Some(u64::from_le_bytes(*word))
        };
        let (Some(node), Some(incarnation), Some(sequence)) = (word(), word(), word()) else {
            return;
        };
        let last = self.names.entry(node).or_default();
        if (incarnation, sequence) <= *last {
            self.repeats += 1;
            return;
        }
        *last = (incarnation, sequence);
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let (command, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
            rest = tail;
            let length = self.machine.append(command);
            if let Some((key, token)) = command.split_first() {
                let sum = self.compact.entry(*key).or_default();
                *sum += compact(token).len() as u64;
                let placed = Placed {
                    key: *key,
                    length,
                    compact: *sum,
                };
                self.placed.insert(number(token), placed);
            }
        }
    }
}

/// The number at the start of a token.
pub(crate) fn number(token: &[u8]) -> u64 {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// Without padding: the history only needs to distinguish tokens.
pub(crate) fn compact(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| *byte != b'.').collect()
}
