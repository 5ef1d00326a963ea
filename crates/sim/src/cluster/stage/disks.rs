//! Commands about disks, snapshots, and the ends and beginnings of nodes.

use super::ClusterStage;
use crate::cluster::cast::{Cast, parse_file};
use crate::cluster::core::{Disk, File};
use crate::script::{Arguments, parse_duration};

impl<P: Cast> ClusterStage<P> {
    pub(super) fn disk(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let node = P::id(id);
        match name {
            "slow-disk" => drop(self.cluster()?.slow_disks.insert(node)),
            "slow-reads" => drop(self.cluster()?.slow_reads.insert(node)),
            "sound-disk" => {
                let cluster = self.cluster()?;
                cluster.slow_reads.remove(&node);
                cluster.slow_disks.remove(&node);
                cluster.pump(node);
            }
            "persist" => {
                self.writes(id)?;
                self.cluster()?.persist(id);
            }
            "fail-disk" => {
                self.writes(id)?;
                if arguments.flag("stored") {
                    self.cluster()?.node(id).store_untold();
                }
                self.cluster()?.crash(id);
                self.down.insert(id, "has halted");
                self.story.line(format!("{id} has halted: its disk failed"));
            }
            "serve" => {
                self.reads(id)?;
                self.cluster()?.serve_fetch(id);
            }
            _ => {
                self.reads(id)?;
                self.cluster()?.fail_fetch(id);
            }
        }
        self.tell();
        Ok(())
    }

    /// What the driver tells a core of its disk.
    pub(super) fn health(
        &mut self,
        name: &str,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String> {
        let id = self.up(arguments)?;
        let health = self.cluster()?.health.get(&P::id(id));
        let mut health = health.copied().unwrap_or_default();
        match name {
            "disk-pace" => {
                let text = arguments.positional().ok_or("how long does a sync take?")?;
                P::set_sync_time(&mut health, parse_duration(text)?);
            }
            _ => P::set_room(&mut health, name == "roomy-disk"),
        }
        self.cluster()?.tell_health(id, health);
        self.tell();
        Ok(())
    }

    fn writes(&mut self, id: u64) -> Result<(), String> {
        let writes = self.cluster()?.node(id).write.is_some();
        if writes {
            Ok(())
        } else {
            Err(format!("{id} writes nothing"))
        }
    }

    fn reads(&mut self, id: u64) -> Result<(), String> {
        let idle = self.cluster()?.node(id).fetches.is_empty();
        if idle {
            Err(format!("{id} reads nothing from its log"))
        } else {
            Ok(())
        }
    }

    pub(super) fn life(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        if name == "crash" {
            let id = self.up(arguments)?;
            let what = if arguments.flag("stored") {
                self.writes(id)?;
                self.cluster()?.node(id).store_untold();
                ": its write was stored, and it did not hear of it"
            } else if self.cluster()?.node(id).write.is_some() {
                ": its write is lost"
            } else {
                ""
            };
            self.cluster()?.crash(id);
            self.down.insert(id, "is down");
            self.story.line(format!("{id} crashes{what}"));
            return Ok(());
        }
        let id = self.node(arguments)?;
        if self.cluster()?.node(id).is_up() {
            return Err(format!("{id} is up"));
        }
        match name {
            "lose-tail" => {
                let last = arguments.number()?;
                self.cluster()?.lose_tail(id, last);
            }
            "replace-snapshot" => {
                let file = self.file(arguments)?;
                *self.cluster()?.node(id).disk.file() = file;
            }
            "restart" => match self.cluster()?.try_restart(id) {
                Ok(()) => {
                    self.down.remove(&id);
                    let starts = P::start_text(self.cluster()?.node(id).core());
                    self.story.line(format!("{id} {starts}"));
                }
                Err(error) => {
                    self.down.insert(id, "does not start");
                    self.story.line(format!("{id} does not start: {error}"));
                }
            },
            _ => P::tamper(self.cluster()?.node(id), name, arguments)?,
        }
        self.tell();
        Ok(())
    }

    pub(super) fn snapshots(
        &mut self,
        name: &str,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String> {
        if name == "slow-pulls" {
            self.cluster()?.slow_pulls = true;
            return Ok(());
        }
        let id = self.up(arguments)?;
        let untold = arguments.flag("untold");
        match name {
            "snapshot" => {
                self.cluster()?.take_snapshot(id);
                let covered = P::mark_text(self.cluster()?.node(id).disk.covered());
                self.story
                    .line(format!("{id} has a snapshot up to {covered}"));
            }
            "install" => {
                let file = self.file(arguments)?.ok_or("a snapshot of what?")?;
                self.cluster()?.finish_pull(id, file, !untold);
            }
            _ => {
                let pull = self.cluster()?.node(id).pulls.pop();
                let (from, snapshot) = pull.ok_or_else(|| format!("{id} pulls nothing"))?;
                let file = self.cluster()?.file(from, &snapshot);
                match file.filter(|_| name == "pull") {
                    Some(file) => self.cluster()?.finish_pull(id, file, !untold),
                    None => {
                        self.story.line(format!("{id} cannot pull it"));
                        self.cluster()?.fail_pull(P::id(id), &snapshot);
                    }
                }
            }
        }
        self.tell();
        Ok(())
    }

    /// A snapshot file of a machine that was given this.
    fn file(&mut self, arguments: &mut Arguments<'_>) -> Result<Option<File<P>>, String> {
        let words: Vec<&str> = std::iter::from_fn(|| arguments.positional()).collect();
        parse_file::<P>(&words, &self.ids()?)
    }
}
