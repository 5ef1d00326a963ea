//! One node as a driver runs it.

use std::fmt;

use super::core::{Answer, Disk, File, Output, Protocol, Standing, Stored, Watch};
use super::journal::Deed;

/// A core, a disk that keeps what was written to it, a machine that remembers what it was given.
///
/// One write is in flight at the most. What is read for the core, and snapshots that it asks others
/// for, wait until they are served.
pub struct Node<P: Protocol> {
    /// What its core is made with.
    pub config: P::Config,
    /// The core, if it is up.
    pub core: Option<P::Core>,
    /// What is durable.
    pub disk: P::Disk,
    /// The write in flight.
    pub write: Option<P::Write>,
    /// What the machine was given, by place from 1.
    pub machine: Vec<P::Mark>,
    /// The same without what came with a snapshot.
    pub given: Vec<P::Entry>,
    /// What is read from the log.
    pub fetches: Vec<P::Fetch>,
    /// The snapshots that it asked for, and whom.
    pub pulls: Vec<(P::Id, P::Snapshot)>,
    /// Reads that have ended.
    pub reads: Vec<Answer<P>>,
    /// How often its machine came out of a snapshot.
    pub restores: u64,
    /// How many writes there were.
    pub writes: u64,
    /// It takes no part any more.
    pub stopped: Option<P::Stop>,
    /// What it did, for who wants to tell of it.
    pub journal: Option<Vec<Deed>>,
    seen: Standing,
}

impl<P: Protocol> fmt::Debug for Node<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &mut f.debug_struct("Node");
        let node = node.field("config", &self.config).field("disk", &self.disk);
        node.field("write", &self.write).finish_non_exhaustive()
    }
}

impl<P: Protocol> Node<P> {
    /// A node that comes up with what is on its disk.
    ///
    /// # Errors
    /// If that is no storage of a node.
    pub fn start(config: P::Config, disk: P::Disk, now: P::Instant) -> Result<Self, P::StartError> {
        let core = P::start(config.clone(), &disk, now)?;
        Ok(Self {
            seen: P::standing(&core),
            config,
            core: Some(core),
            disk,
            write: None,
            machine: Vec::new(),
            given: Vec::new(),
            fetches: Vec::new(),
            pulls: Vec::new(),
            reads: Vec::new(),
            restores: 0,
            writes: 0,
            stopped: None,
            journal: None,
        })
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.core.is_some()
    }

    /// The core of a node that is up.
    ///
    /// # Panics
    /// If it is not.
    pub fn core(&mut self) -> &mut P::Core {
        self.core.as_mut().expect("the node is up")
    }

    /// Something happens to the core; its outputs wait.
    pub(super) fn input<R>(&mut self, input: impl FnOnce(&mut P::Core) -> R) -> R {
        let result = input(self.core());
        self.look();
        result
    }

    /// Notes what the last input made of the node.
    fn look(&mut self) {
        if self.journal.is_none() {
            return;
        }
        let now = P::standing(self.core());
        let before = std::mem::replace(&mut self.seen, now.clone());
        if before.text != now.text {
            // Who only goes along is of no interest where much happens.
            let is_led = before.leads || now.leads || now.campaigns;
            self.note(|| match is_led {
                true => Deed::Line(now.text),
                false => Deed::Detail(now.text),
            });
        }
        if before.decided != now.decided {
            let text = P::decision_text(now.leads, now.decided);
            self.note(|| match now.leads {
                true => Deed::Line(text),
                false => Deed::Detail(text),
            });
        }
    }

    fn note(&mut self, deed: impl FnOnce() -> Deed) {
        if let Some(journal) = &mut self.journal {
            journal.push(deed());
        }
    }

    /// Drains the outputs and gives back what leaves at once.
    pub(super) fn pump(&mut self, watch: &mut P::Watch) -> Vec<(P::Id, P::Message)> {
        let mut sent = Vec::new();
        while let Some(output) = self.core.as_mut().and_then(|core| P::poll(core)) {
            watch.polled(P::owner(&self.config), &output);
            match P::sort(output) {
                Output::Persist(write) => {
                    assert!(self.write.is_none(), "one write is in flight");
                    self.note(|| Deed::Writes(P::record_text(P::record(&write))));
                    self.write = Some(write);
                    self.writes += 1;
                }
                Output::Send(to, message) => {
                    self.note(|| Deed::Sends(P::number(to), P::message_text(&message)));
                    sent.push((to, message));
                }
                Output::Apply(entries) => {
                    entries.into_iter().for_each(|entry| self.apply(entry));
                }
                Output::Fetch(fetch) => {
                    let (from, to) = P::fetch_range(&fetch);
                    self.note(|| Deed::Fetches(format!("{from} to {to}")));
                    self.fetches.push(fetch);
                }
                Output::Answer((read, answer)) => {
                    self.note(|| {
                        Deed::Line(match &answer {
                            Ok(place) => format!("answers read {read} from {} {place}", P::PLACE),
                            Err(why) => format!("refuses read {read}: {why}"),
                        })
                    });
                    self.reads.push((read, answer));
                }
                Output::Pull(from, snapshot) => {
                    let (last, from_number) = (P::covers(&snapshot), P::number(from));
                    self.note(|| {
                        let last = P::mark_text(last);
                        Deed::Detail(format!(
                            "pulls the snapshot up to {last} from {from_number}"
                        ))
                    });
                    self.pulls.push((from, snapshot));
                }
                Output::Restore(snapshot) => self.restore(&snapshot),
                Output::Stop(why) => {
                    self.note(|| Deed::Line(format!("stops: {why}")));
                    self.stopped = Some(why);
                }
            }
        }
        sent
    }

    fn apply(&mut self, entry: P::Entry) {
        let (mark, next) = (P::mark(&entry), self.machine.len() as u64 + 1);
        assert_eq!(P::place(mark), next, "applied in order");
        assert!(self.disk.holds(mark), "applied before it was durable");
        self.machine.push(mark);
        self.note(|| Deed::Applies(P::entry_text(&entry)));
        self.given.push(entry);
    }

    fn restore(&mut self, snapshot: &P::Snapshot) {
        let file = self.disk.file().as_ref();
        let (file, machine) = file.expect("a snapshot to restore is durable");
        assert_eq!(file, snapshot, "the newest snapshot is restored");
        let (machine, last) = (machine.clone(), P::covers(snapshot));
        assert!(
            self.disk.start() >= P::place(last),
            "restored before its start is durable"
        );
        assert!(
            machine.len() >= self.machine.len(),
            "a machine is never taken back"
        );
        self.machine = machine;
        self.restores += 1;
        self.note(|| {
            let last = P::mark_text(last);
            Deed::Line(format!("restores the snapshot up to {last}"))
        });
    }

    /// The write in flight becomes durable; what waited for it leaves.
    pub(super) fn persist(
        &mut self,
        now: P::Instant,
        watch: &mut P::Watch,
    ) -> Vec<(P::Id, P::Message)> {
        let Some((record, messages, receipt)) = self.store() else {
            return Vec::new();
        };
        watch.persisted(P::owner(&self.config), &self.disk, &messages);
        self.note(|| Deed::Stores(P::record_text(&record)));
        for (to, message) in &messages {
            self.note(|| Deed::Sends(P::number(*to), P::message_text(message)));
        }
        self.input(|core| P::persisted(core, now, receipt));
        messages
    }

    /// The write in flight reaches the disk, and the node learns nothing of it.
    pub fn store_untold(&mut self) {
        drop(self.store());
    }

    fn store(&mut self) -> Option<Stored<P>> {
        let write = self.write.take()?;
        Some(P::store(write, &mut self.disk))
    }

    /// What was asked for last is read from the log.
    pub(super) fn serve_fetch(&mut self, now: P::Instant) {
        if let Some(fetch) = self.fetches.pop() {
            let core = self.core.as_mut().expect("the node is up");
            P::fetched(core, now, fetch, Some(&self.disk));
            self.look();
        }
    }

    /// What was asked for first cannot be read from the log.
    pub(super) fn fail_fetch(&mut self, now: P::Instant) {
        let fetch = self.fetches.remove(0);
        self.input(|core| P::fetched(core, now, fetch, None));
    }

    /// The newest snapshot, if it is that one.
    pub(super) fn file(&mut self, snapshot: &P::Snapshot) -> Option<File<P>> {
        let file = self.disk.file().clone();
        file.filter(|(owned, _)| owned == snapshot)
    }

    /// Takes a snapshot of the machine as it is.
    pub(super) fn take_snapshot(&mut self, now: P::Instant) {
        let Some(last) = self.machine.last().copied() else {
            return;
        };
        if P::place(self.disk.covered()) >= P::place(last) {
            return;
        }
        let snapshot = P::name_snapshot(self.core(), last);
        *self.disk.file() = Some((snapshot.clone(), self.machine.clone()));
        self.input(|core| P::snapshot(core, now, snapshot));
    }

    /// A pulled file is complete; `tell` is false if the node crashes before its core learns of it.
    pub fn finish_pull(&mut self, now: P::Instant, file: File<P>, tell: bool) {
        let snapshot = file.0.clone();
        if P::place(P::covers(&snapshot)) <= P::place(self.disk.covered()) {
            return;
        }
        *self.disk.file() = Some(file);
        if tell {
            self.input(|core| P::snapshot(core, now, snapshot));
        }
    }

    /// Everything that was not durable is gone.
    pub(super) fn crash(&mut self) {
        self.core = None;
        self.write = None;
        self.machine.clear();
        self.given.clear();
        self.fetches.clear();
        self.pulls.clear();
        self.reads.clear();
    }

    /// Comes up again. If it does not, it stays down.
    pub(super) fn restart(&mut self, now: P::Instant) -> Result<(), P::StartError> {
        let journal = self.journal.is_some().then(Vec::new);
        let (restores, writes) = (self.restores, self.writes);
        *self = Self::start(self.config.clone(), self.disk.clone(), now)?;
        (self.journal, self.restores, self.writes) = (journal, restores, writes);
        Ok(())
    }
}
