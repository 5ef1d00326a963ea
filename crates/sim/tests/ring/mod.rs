//! A tiny process for tests of what drives worlds: every few milliseconds a node tells its count to
//! the next one.

use std::io;
use std::time::Duration;

use synod_sim::{Context, Event, NodeId, Process, Start, Trial, World};

pub(crate) struct Ring {
    id: NodeId,
    nodes: u64,
    unlucky: u64,
    count: u64,
}

impl Process for Ring {
    type Message = u64;
    type Input = ();
    /// How many nodes there are, and which count kills.
    type Shared = (u64, u64);

    fn start(start: Start, shared: &(u64, u64), context: &mut Context<u64>) -> io::Result<Self> {
        context.timer = Some(context.now);
        Ok(Self {
            id: start.id,
            nodes: shared.0,
            unlucky: shared.1,
            count: 0,
        })
    }

    fn handle(&mut self, event: Event<u64, ()>, context: &mut Context<u64>) -> io::Result<()> {
        match event {
            Event::Timer => {
                self.count += 1;
                context.send(NodeId(self.id.0 % self.nodes + 1), self.count);
                context.timer = Some(context.now + Duration::from_millis(5));
            }
            Event::Message { message, .. } => {
                assert!(message != self.unlucky, "unlucky number: {message}");
            }
            _ => {}
        }
        Ok(())
    }
}

/// The world of a trial; whoever hears `unlucky` panics.
pub(crate) fn world(trial: &Trial, unlucky: u64) -> World<Ring> {
    let shared = (trial.nodes, unlucky);
    World::new(trial.seed, trial.nodes, trial.options.clone(), shared)
}
