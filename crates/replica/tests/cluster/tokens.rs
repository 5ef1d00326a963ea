//! The machine of the simulated group.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use synod_replica::{Applying, StateMachine};
use synod_sim::{KvOutput, KvRequest};

/// Appends tokens to keys; the state is small and shows what was applied, and in which order.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(crate) struct Tokens(pub(crate) BTreeMap<u8, Vec<u8>>);

impl StateMachine for Tokens {
    type Response = u64;
    type Frozen = Self;

    fn apply(&mut self, _: Applying, command: &[u8]) -> u64 {
        let Some((key, token)) = command.split_first() else {
            return 0;
        };
        let value = self.0.entry(*key).or_default();
        value.extend_from_slice(token);
        value.len() as u64
    }

    fn freeze(&self) -> Self {
        self.clone()
    }

    fn write(frozen: Self, to: &mut dyn Write) -> io::Result<()> {
        for (key, value) in frozen.0 {
            to.write_all(&[key])?;
            to.write_all(&(value.len() as u32).to_le_bytes())?;
            to.write_all(&value)?;
        }
        Ok(())
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        self.0.clear();
        let mut rest = &bytes[..];
        while let Some((key, tail)) = rest.split_first() {
            let (len, tail) = tail
                .split_first_chunk::<4>()
                .ok_or(io::ErrorKind::InvalidData)?;
            let (value, tail) = tail
                .split_at_checked(u32::from_le_bytes(*len) as usize)
                .ok_or(io::ErrorKind::InvalidData)?;
            self.0.insert(*key, value.to_vec());
            rest = tail;
        }
        Ok(())
    }
}

/// The machine applies as the checker's model does.
#[test]
fn the_machine_is_the_model() {
    let mut machine = Tokens::default();
    let mut state = None;
    for token in ["a;", "bb;"] {
        let at = Applying {
            index: 1,
            offset: 0,
        };
        let length = machine.apply(at, &[b"\x01", token.as_bytes()].concat());
        assert_eq!(
            KvRequest::Append(token.into()).execute(&mut state),
            KvOutput::Length(length)
        );
    }
}
