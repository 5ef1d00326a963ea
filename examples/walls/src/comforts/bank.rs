//! Two accounts on two nodes, and a teller on a third who dies in the middle.

use std::io;
use std::time::Duration;

use synod_sim::page::{Kind, Portrait, Recorder, View};
use synod_sim::{Context, Crash, Event, NodeId, Process, Rng, Start, World, WorldOptions};

use super::Moved;

/// A node: of the account that it keeps, if it keeps one, or of the teller.
#[derive(Debug)]
struct Desk {
    balance: i64,
}

/// Put so much on your account.
type Booking = i64;

impl Process for Desk {
    type Message = Booking;
    /// To the teller: move so much.
    type Input = i64;
    type Shared = ();

    fn start(_: Start, (): &(), _: &mut Context<Booking>) -> io::Result<Self> {
        Ok(Self { balance: 1_000 })
    }

    fn handle(&mut self, event: Event<Booking, i64>, at: &mut Context<Booking>) -> io::Result<()> {
        match event {
            Event::Input(amount) => {
                at.send(ACCOUNTS[0], -amount);
                at.send(ACCOUNTS[1], amount);
            }
            Event::Message { message, .. } => self.balance += message,
            _ => {}
        }
        Ok(())
    }
}

impl Portrait for Desk {
    fn view(&self) -> View {
        let mut view = View::default();
        view.text = format!("balance {}", self.balance);
        view
    }

    fn caption(booking: &Booking) -> (String, String) {
        ("Booking".to_owned(), format!("{booking:+}"))
    }
}

/// Money goes from an account to the other by two messages. In every other transfer, by chance, the
/// teller is killed in the step that sends them, behind none, one or both.
#[must_use]
pub fn transfer_in_halves(seed: u64, transfers: u64, recorder: Option<&Recorder>) -> Moved {
    let options = WorldOptions::default();
    let mut world = match recorder {
        Some(recorder) => World::<Desk>::recorded(seed, 3, options, (), recorder),
        None => World::new(seed, 3, options, ()),
    };
    let mut rng = Rng::new(!seed);
    let mut moved = Moved::default();
    let mut before = sum(&world);
    for _ in 0..transfers {
        if rng.chance(0.5) {
            world.crash_in_step(TELLER, Crash::Kill);
        }
        world.inject(TELLER, 10);
        let until = world.now() + Duration::from_secs(2);
        world.run_until(until);
        let after = sum(&world);
        moved.transfers += 1;
        if let Some(recorder) = recorder.filter(|_| after != before) {
            let text = format!("half a transfer: the sum was {before}, and is {after}");
            recorder.everywhere(world.now(), Kind::Note, &text);
        }
        moved.halves += u64::from(after != before);
        before = after;
    }
    moved
}

fn sum(world: &World<Desk>) -> i64 {
    let desks = ACCOUNTS.iter().filter_map(|node| world.process(*node));
    desks.map(|desk| desk.balance).sum()
}

const ACCOUNTS: [NodeId; 2] = [NodeId(1), NodeId(2)];
const TELLER: NodeId = NodeId(3);
