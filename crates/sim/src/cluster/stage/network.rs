//! Commands about what lies between nodes.

use super::ClusterStage;
use crate::cluster::cast::{Cast, packet_text};
use crate::cluster::core::PacketOf;
use crate::cluster::packet::Packet;
use crate::cluster::selector::{Selector, parse_link};
use crate::script::Arguments;

impl<P: Cast> ClusterStage<P> {
    pub(super) fn network(
        &mut self,
        name: &str,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String> {
        let ways = Ways::parse::<P>(arguments)?;
        let keep = arguments.flag("keep");
        let wanted = arguments
            .positional()
            .map(Selector::parse::<P>)
            .transpose()?;
        let wanted = |packet: &PacketOf<P>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.matches::<P>(packet))
        };
        match name {
            "settle" => self.settle(&ways),
            "release" => {
                let held = std::mem::take(&mut self.held);
                let (released, left): (Vec<PacketOf<P>>, _) = held.into_iter().partition(wanted);
                self.held = left;
                if keep {
                    self.held.extend(released.iter().cloned());
                }
                self.carry(released, &Ways::default())
            }
            "deliver" => {
                let packets = self.cluster()?.take(wanted);
                self.carry(packets, &ways)
            }
            _ => {
                let all = Selector::parse::<P>("*->*")?;
                let ways = if name == "drop" {
                    Ways {
                        drop: all,
                        ..Ways::default()
                    }
                } else {
                    Ways {
                        hold: all,
                        ..Ways::default()
                    }
                };
                let packets = self.cluster()?.take(wanted);
                self.carry(packets, &ways)
            }
        }
    }

    fn carry(&mut self, packets: Vec<PacketOf<P>>, ways: &Ways) -> Result<(), String> {
        if packets.is_empty() {
            return Err("there is no such message".to_owned());
        }
        packets
            .into_iter()
            .try_for_each(|packet| self.carry_one(packet, ways))
    }

    pub(super) fn carry_one(&mut self, packet: PacketOf<P>, ways: &Ways) -> Result<(), String> {
        if ways.drop.matches::<P>(&packet) {
            self.cluster()?.lose(&packet);
            self.taken(&packet, "lost");
        } else if ways.hold.matches::<P>(&packet) {
            self.taken(&packet, "held");
            self.held.push(packet);
        } else {
            let (from, to, text) = packet_text::<P>(&packet);
            let up = self.cluster()?.node(to).is_up();
            let note = if up { "" } else { " (not up)" };
            self.story.arrives(from, to, &text, note);
            self.cluster()?.receive(packet);
            self.tell();
        }
        Ok(())
    }

    fn taken(&mut self, packet: &PacketOf<P>, what: &str) {
        let (from, to, text) = packet_text::<P>(packet);
        self.story.taken(what, from, to, text);
    }

    pub(super) fn settle(&mut self, ways: &Ways) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            let packets = self.cluster()?.take(|_| true);
            if packets.is_empty() {
                return Ok(());
            }
            self.carry(packets, ways)?;
        }
        Err("a storm of messages".to_owned())
    }

    /// A message that no node sent: of a liar, or of the past.
    pub(super) fn say(&mut self, text: &str) -> Result<(), String> {
        let parts = text.split_once(' ');
        let (link, message) = parts.ok_or("say 2->1 Message(..)")?;
        let (Some(from), Some(to)) = parse_link(link)? else {
            return Err("from one node to one node".to_owned());
        };
        let message = P::parse_message(message, &self.ids()?)?;
        let (from, to) = (P::id(from), P::id(self.known(to)?));
        self.carry_one(Packet { from, to, message }, &Ways::default())
    }

    pub(super) fn links(
        &mut self,
        name: &str,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String> {
        if name == "isolate" {
            let id = self.node(arguments)?;
            self.cluster()?.isolate(id);
            return Ok(());
        }
        let Some(first) = arguments.positional() else {
            self.cluster()?.heal();
            return Ok(());
        };
        let mut links = Some(first);
        while let Some(link) = links {
            let both = link.split_once("--");
            let ends = |from: &str, to: &str| parse_link(&format!("{from}->{to}"));
            let ways = match both {
                Some((from, to)) => vec![ends(from, to)?, ends(to, from)?],
                None => vec![parse_link(link)?],
            };
            for (from, to) in ways {
                self.switch(name == "cut", from, to)?;
            }
            links = arguments.positional();
        }
        Ok(())
    }

    fn switch(&mut self, cut: bool, from: Option<u64>, to: Option<u64>) -> Result<(), String> {
        let cluster = self.cluster()?;
        let ids: Vec<P::Id> = cluster.nodes.keys().copied().collect();
        for a in ids
            .iter()
            .filter(|id| from.is_none_or(|from| from == P::number(**id)))
        {
            for b in ids
                .iter()
                .filter(|id| to.is_none_or(|to| to == P::number(**id)))
            {
                if a != b && cut {
                    cluster.cut.insert((*a, *b));
                } else {
                    cluster.cut.remove(&(*a, *b));
                }
            }
        }
        Ok(())
    }
}

/// What becomes of messages on their way, besides arriving.
#[derive(Debug, Default)]
pub(super) struct Ways {
    drop: Selector,
    hold: Selector,
}

impl Ways {
    pub(super) fn parse<P: Cast>(arguments: &mut Arguments<'_>) -> Result<Self, String> {
        let mut selector = |name| {
            let selector = arguments
                .option(name)
                .map(Selector::parse::<P>)
                .transpose()?;
            Ok::<_, String>(selector.unwrap_or_default())
        };
        let (drop, hold) = (selector("drop")?, selector("hold")?);
        Ok(Self { drop, hold })
    }
}

const ROUNDS_MAX: usize = 10_000;
