//! The commands of a script, played on a cluster.

mod disks;
mod expect;
mod lease;
mod members;
mod network;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::cast::Cast;
use super::core::PacketOf;
use super::group::Cluster;
use super::story::{Story, Surroundings};
use crate::page::Recorder;
use crate::script::{Arguments, Stage, parse_number};

/// Plays the commands of a script on a [`Cluster`].
pub struct ClusterStage<P: Cast> {
    cluster: Option<Cluster<P>>,
    /// Messages that were taken off the network, to arrive later.
    held: Vec<PacketOf<P>>,
    /// Why a node is not up.
    down: BTreeMap<u64, &'static str>,
    story: Story,
    recorder: Option<Recorder>,
}

impl<P: Cast> Default for ClusterStage<P> {
    fn default() -> Self {
        Self {
            cluster: None,
            held: Vec::new(),
            down: BTreeMap::new(),
            story: Story::default(),
            recorder: None,
        }
    }
}

impl<P: Cast> fmt::Debug for ClusterStage<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = &mut f.debug_struct("ClusterStage");
        stage
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl<P: Cast> Stage for ClusterStage<P> {
    fn play(&mut self, command: &str) -> Result<(), String> {
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        if name == "expect" {
            return self.expect(rest);
        }
        if name == "say" {
            return self.say(rest);
        }
        let mut arguments = Arguments::parse(rest);
        self.story.quiet = arguments.flag("quietly");
        self.command(name, &mut arguments)?;
        arguments.end()
    }

    fn take_lines(&mut self) -> Vec<String> {
        self.tell();
        self.story.end()
    }

    fn record(&mut self, recorder: &Recorder) {
        self.recorder = Some(recorder.clone());
    }
}

impl<P: Cast> ClusterStage<P> {
    fn command(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        match name {
            "add-nodes" => self.add_nodes(arguments),
            "deliver" | "settle" | "release" | "drop" | "hold" => self.network(name, arguments),
            "cut" | "heal" | "isolate" => self.links(name, arguments),
            "campaign" | "elect" | "heartbeat" | "heartbeats" | "timeout" | "pass" | "run" => {
                self.time(name, arguments)
            }
            "full-disk" | "roomy-disk" | "disk-pace" => self.health(name, arguments),
            "slow-disk" | "sound-disk" | "persist" | "fail-disk" | "slow-reads" | "serve"
            | "fail-read" => self.disk(name, arguments),
            "crash" | "restart" | "lose-tail" | "replace-snapshot" => self.life(name, arguments),
            "snapshot" | "slow-pulls" | "pull" | "fail-pull" | "install" => {
                self.snapshots(name, arguments)
            }
            "propose" => self.propose(arguments),
            "read" | "quorum-read" => self.read(name, arguments),
            "lease-read" => self.lease_read(arguments),
            "clock" => self.clock(arguments),
            "transfer" => self.transfer(arguments),
            "change" | "abort" => self.members(name, arguments),
            "status" => self.status(arguments),
            _ if P::TAMPERINGS.contains(&name) => self.life(name, arguments),
            _ => Err(format!("there is no command `{name}`")),
        }
    }

    fn cluster(&mut self) -> Result<&mut Cluster<P>, String> {
        let cluster = self.cluster.as_mut();
        cluster.ok_or_else(|| "no nodes were added".to_owned())
    }

    fn ids(&mut self) -> Result<Vec<P::Id>, String> {
        Ok(self.cluster()?.nodes.keys().copied().collect())
    }

    fn add_nodes(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let mut cluster = match P::cast(arguments)? {
            Ok(cluster) => cluster,
            Err(error) => {
                self.story.line(format!("refused: {error}"));
                return Ok(());
            }
        };
        for node in cluster.nodes.values_mut() {
            node.journal = Some(Vec::new());
        }
        if let Some(recorder) = &self.recorder {
            cluster.record(recorder);
        }
        self.cluster = Some(cluster);
        self.held.clear();
        self.down.clear();
        Ok(())
    }

    /// A node of the cluster.
    fn node(&mut self, arguments: &mut Arguments<'_>) -> Result<u64, String> {
        let id = arguments.number()?;
        self.known(id)
    }

    fn known(&mut self, id: u64) -> Result<u64, String> {
        match self.cluster()?.nodes.contains_key(&P::id(id)) {
            true => Ok(id),
            false => Err(format!("there is no node {id}")),
        }
    }

    fn up(&mut self, arguments: &mut Arguments<'_>) -> Result<u64, String> {
        let id = self.node(arguments)?;
        match self.cluster()?.node(id).is_up() {
            true => Ok(id),
            false => Err(format!("{id} is not up")),
        }
    }

    /// Tells what nodes did since it was last told.
    fn tell(&mut self) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        for (id, node) in &mut cluster.nodes {
            let deeds = node.journal.as_mut().map(std::mem::take);
            let Some(deeds) = deeds.filter(|deeds| !deeds.is_empty()) else {
                continue;
            };
            let disk_is_slow = cluster.slow_disks.contains(id);
            let cut = cluster.cut.iter().filter(|(from, _)| from == id);
            let around = Surroundings {
                cut: cut.map(|(_, to)| P::number(*to)).collect::<BTreeSet<u64>>(),
                disk_is_slow,
                log_is_slow: disk_is_slow || cluster.slow_reads.contains(id),
            };
            for deed in deeds {
                self.story.deed(P::number(*id), deed, &around);
            }
        }
    }

    fn propose(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let body = arguments.positional().ok_or("propose what?")?.as_bytes();
        let cluster = self.cluster()?;
        let proposed = cluster.step(id, |core, now| P::propose(core, now, body));
        self.story.line(match proposed {
            Ok(mark) => format!("{id} takes it as {}", P::mark_text(mark)),
            Err(error) => format!("{id} refuses: {error}"),
        });
        self.tell();
        Ok(())
    }

    fn transfer(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let to = arguments.positional().map(parse_number).transpose()?;
        let to = to.map(P::id);
        let begun = self
            .cluster()?
            .step(id, |core, now| P::transfer(core, now, to));
        self.story.line(match begun {
            Ok(to) => format!("{id} hands over to {}", P::number(to)),
            Err(error) => format!("{id} does not hand over: {error}"),
        });
        self.tell();
        Ok(())
    }

    fn read(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let read = arguments.number()?;
        let asked = match name {
            "read" => self.cluster()?.read(id, read),
            _ => self.cluster()?.read_by_quorum(id, read),
        };
        if let Err(error) = asked {
            self.story
                .line(format!("{id} refuses read {read}: {error}"));
        }
        self.tell();
        Ok(())
    }
}
