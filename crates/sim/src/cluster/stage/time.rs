//! Commands about time and timers.

use std::time::Duration;

use super::ClusterStage;
use super::network::Ways;
use crate::cluster::cast::Cast;
use crate::script::{Arguments, parse_duration};

impl<P: Cast> ClusterStage<P> {
    pub(super) fn time(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        if name == "pass" || name == "run" {
            let passes = parse_duration(arguments.positional().ok_or("how long?")?)?;
            self.story.quiet |= name == "run";
            let ways = (name == "run")
                .then(|| Ways::parse::<P>(arguments))
                .transpose()?;
            return self.pass(passes, ways.as_ref());
        }
        let id = self.up(arguments)?;
        let ways = Ways::parse::<P>(arguments)?;
        match name {
            "campaign" => self.cluster()?.timeout_after(id, P::SILENCE),
            "heartbeat" => self.cluster()?.timeout_after(id, P::HEARTBEAT),
            "timeout" => {
                let cluster = self.cluster()?;
                let deadline = cluster.node(id).core.as_ref().and_then(P::timeout);
                cluster.now = cluster.now.max(deadline.unwrap_or(cluster.now));
                cluster.timeout(id);
            }
            "heartbeats" => {
                self.story.quiet = true;
                for _ in 0..arguments.number()? {
                    self.cluster()?.timeout_after(id, P::HEARTBEAT);
                    self.tell();
                    self.settle(&ways)?;
                }
            }
            _ => {
                self.story.quiet = true;
                self.cluster()?.timeout_after(id, P::SILENCE);
                self.tell();
                self.settle(&ways)?;
                let leads = P::standing(self.cluster()?.node(id).core()).leads;
                if !leads {
                    return Err(format!("{id} is not elected"));
                }
            }
        }
        self.tell();
        Ok(())
    }

    /// By the millisecond: timers fire, and messages take one, if there are ways for them.
    fn pass(&mut self, passes: Duration, ways: Option<&Ways>) -> Result<(), String> {
        let end = P::plus(self.cluster()?.now, passes);
        while self.cluster()?.now < end {
            let cluster = self.cluster()?;
            cluster.now = P::plus(cluster.now, Duration::from_millis(1)).min(end);
            if let Some(ways) = ways {
                for packet in self.cluster()?.take(|_| true) {
                    self.carry_one(packet, ways)?;
                }
            }
            for id in self.ids()? {
                if self.cluster()?.is_due(id) {
                    self.cluster()?.timeout(P::number(id));
                    self.tell();
                }
            }
        }
        Ok(())
    }
}
