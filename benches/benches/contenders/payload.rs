//! The entries and nothing else: each is made, kept in one log and looked at once. So much is in everybody's time.

use synod_benches::{Bodies, Cell, Driver, Machine};

pub(super) fn start(_cell: Cell) -> Box<dyn Driver> {
    Box::<Payload>::default()
}

#[derive(Debug, Default)]
struct Payload {
    log: Vec<Vec<u8>>,
    machine: Machine,
}

impl Driver for Payload {
    fn replicate(&mut self, bodies: Bodies<'_>) {
        for body in bodies {
            self.machine.apply(&body);
            self.log.push(body);
        }
    }

    fn given(&self) -> [u64; 3] {
        [self.machine.given(); 3]
    }

    fn stored(&self) -> [u64; 3] {
        [self.log.len() as u64; 3]
    }
}
