//! The observer of a world, with one witness in each node.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::{Applier, Engine, Instant, Kind, Protocol, Task};
use synod_replica::sim::{Core, Witness};
use synod_replica::{NodeId, Position, Snapshot};
use synod_sim::Coverage;
use synod_wal::{Lsn, Op};

use super::clocks::Clocks;
use super::guard::Ledger;
use super::reference::Reference;
use super::{
    Group, Message, Noted, Options, Rules, Subject, Tokens, Verdict, Violation, Write, must,
};

/// What is known of a world from inside. Clones are the same observer.
pub(crate) struct Observer<S: Subject>(Rc<RefCell<State<S>>>);

/// The observer's witness in one node.
pub(crate) struct Eye<S: Subject> {
    node: NodeId,
    /// The node's clock in this step.
    now: Instant,
    state: Rc<RefCell<State<S>>>,
}

struct State<S: Subject> {
    rules: S::Rules,
    reference: Reference,
    options: Options,
    rotted: BTreeSet<NodeId>,
    ledger: Ledger,
    clocks: Clocks,
    /// The nodes whose replica is destroyed, durably.
    destroyed: BTreeSet<NodeId>,
    /// The first violation.
    violation: Option<Violation>,
    refused: BTreeMap<NodeId, String>,
    coverage: Coverage,
}

impl<S: Subject> Observer<S> {
    pub(crate) fn new(options: &Options) -> Self {
        Self(Rc::new(RefCell::new(State {
            rules: S::Rules::default(),
            reference: Reference::default(),
            options: options.clone(),
            rotted: BTreeSet::new(),
            ledger: Ledger::default(),
            clocks: Clocks::default(),
            destroyed: BTreeSet::new(),
            violation: None,
            refused: BTreeMap::new(),
            coverage: Coverage::new(),
        })))
    }

    pub(crate) fn eye(&self, node: NodeId) -> Eye<S> {
        let state = Rc::clone(&self.0);
        let now = Instant::default();
        Eye { node, now, state }
    }

    /// The first violation, if there was one.
    pub(crate) fn verdict(&self) -> Verdict {
        self.0.borrow().violation.clone().map_or(Ok(()), Err)
    }

    /// Looks at what is known to be decided.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Reference) -> T) -> T {
        look(&self.0.borrow().reference)
    }

    /// The same, with what clocks showed.
    pub(crate) fn with_clocks<T>(&self, look: impl FnOnce(&Reference, &Clocks) -> T) -> T {
        let state = self.0.borrow();
        look(&state.reference, &state.clocks)
    }

    /// The clock of a node shows this at a true time.
    pub(crate) fn saw(&self, node: u64, shown: Duration, truth: Duration) {
        self.0.borrow_mut().clocks.saw(node, shown, truth);
    }

    /// The nodes that last failed to start, and why.
    pub(crate) fn refused(&self) -> BTreeMap<NodeId, String> {
        self.0.borrow().refused.clone()
    }

    /// Something on the disk of this node was damaged.
    pub(crate) fn rotted(&self, node: NodeId) {
        let mut state = self.0.borrow_mut();
        state.rotted.insert(node);
        state.rules.rotted(node);
    }

    /// The disk of this node was emptied, or put back to what it was: what it says from now on counts
    /// for nobody, and the rules of the protocol take it for one that is down.
    pub(crate) fn lost(&self, node: NodeId, empties: bool) {
        self.0.borrow_mut().ledger.lose(node, empties);
    }

    /// Looks at who has met whom.
    pub(crate) fn ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.0.borrow_mut().ledger)
    }

    /// Keeps the first violation.
    pub(crate) fn judge(&self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.0.borrow_mut().violation.get_or_insert(violation);
        }
    }

    pub(crate) fn cover(&self, coverage: &mut Coverage) {
        let state = self.0.borrow();
        state.rules.cover(coverage);
        state.ledger.cover(coverage);
        coverage.merge(&state.coverage);
        coverage.add("repeated names", state.reference.repeats);
        coverage.add("entries behind later epochs", state.reference.falls);
    }
}

impl<S: Subject> State<S> {
    /// A node ends because it was removed.
    fn removed(&mut self, node: NodeId) -> Verdict {
        self.coverage.add("ends of removed nodes", 1);
        self.rules.removed(node)
    }

    /// What a replica that was destroyed never does again.
    fn is_alive(&self, node: NodeId, what: &str) -> Verdict {
        must(!self.destroyed.contains(&node), "destroyed", || {
            format!("a replica that was destroyed {what}")
        })
    }
}

impl<S: Subject> Clone for Observer<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: Subject> Eye<S> {
    /// A node may stop only for a fault of its medium, or for damage.
    fn fails(&self, when: &str, error: &str) {
        if error.contains("was removed from the group") {
            return self.look(|state| state.removed(self.node));
        }
        if error.contains("group was destroyed") {
            return self.look(|state| {
                state.coverage.add("starts refused for a tombstone", 1);
                Ok(())
            });
        }
        let medium = MEDIUM.iter().any(|words| error.contains(words));
        self.look(|state| {
            if state.ledger.has_lost(self.node) {
                state.coverage.add("ends of lost nodes", 1);
                return Ok(());
            }
            let name = match (when, medium) {
                ("start", true) => "starts failed by the medium",
                ("start", false) => "starts refused for damage",
                (_, true) => "lives ended by the medium",
                (_, false) => "lives ended by damage",
            };
            state.coverage.add(name, 1);
            must(
                medium || state.rotted.contains(&self.node),
                "recovery",
                || format!("a {when} fails on a disk on which nothing has rotted: {error}"),
            )
        });
    }

    /// Checks a rule of the protocol, which a node without its disk need not keep.
    fn rule(&self, check: impl FnOnce(&mut State<S>) -> Verdict) {
        self.look(|state| match state.ledger.has_lost(self.node) {
            true => Ok(()),
            false => check(state),
        });
    }

    fn look(&self, check: impl FnOnce(&mut State<S>) -> Verdict) {
        let mut state = self.state.borrow_mut();
        if state.violation.is_none()
            && let Err(Violation(what)) = check(&mut state)
        {
            let told = format!("{what} (at n{})", self.node.0);
            state.violation = Some(Violation(told));
        }
    }
}

impl<S: Subject> Witness<Group<S>> for Eye<S> {
    fn started(&mut self, _: Instant, core: &Core<Group<S>>) {
        self.look(|state| {
            state.refused.remove(&self.node);
            state.is_alive(self.node, "starts")
        });
        self.rule(|state| state.rules.started(self.node, core));
    }

    fn refused(&mut self, error: &str) {
        self.fails("start", error);
        let error = error.to_owned();
        self.look(|state| {
            state.refused.insert(self.node, error);
            Ok(())
        });
    }

    fn began(&mut self, now: Instant) {
        self.now = now;
        self.look(|state| {
            let late = u64::from(state.destroyed.contains(&self.node));
            state.coverage.add("steps of destroyed replicas", late);
            Ok(())
        });
    }

    fn stepped(&mut self, core: &Core<Group<S>>) {
        self.rule(|state| state.rules.stepped(self.node, core));
    }

    fn staged(&mut self, write: &Write<S>) {
        self.look(|state| state.is_alive(self.node, "writes"));
        self.rule(|state| state.rules.staged(self.node, write));
    }

    fn appended(&mut self, lsn: Lsn, ops: &[Op<'_>]) {
        self.rule(|state| {
            state.rules.appended(self.node, lsn, ops);
            Ok(())
        });
    }

    fn durable(&mut self, lsn: Lsn) {
        self.rule(|state| state.rules.durable(self.node, lsn));
    }

    fn sent(&mut self, to: NodeId, message: &Message<S>) {
        self.look(|state| state.is_alive(self.node, "sends"));
        self.rule(|state| state.rules.sent(self.node, to, message));
    }

    fn tasked(&mut self, task: &Task<Core<Group<S>>>) {
        let name = match task {
            Task::Fetch(_) => "entries fetched from the log",
            Task::Save(_) => "snapshots taken",
            Task::ReadChunk { .. } => "chunks of snapshots read",
            Task::WriteChunk { last: true, .. } => "snapshots pulled",
            Task::Verify(_) => "snapshots verified for a peer",
            _ => return,
        };
        self.look(|state| {
            state.coverage.add(name, 1);
            Ok(())
        });
    }

    fn applied(&mut self, at: Position, kind: Kind, body: &Bytes, machine: &Tokens) {
        let epoch = Core::<Group<S>>::epoch(&at);
        let commands = (kind == Kind::Commands).then_some(&body[..]);
        self.look(|state| state.is_alive(self.node, "applies"));
        self.rule(|state| state.rules.applied(self.node, at, kind, body));
        self.look(|state| {
            let at = (at.index, epoch);
            state.reference.applied(at, commands, machine)?;
            must(
                state.reference.falls == 0 || !Core::<Group<S>>::EPOCHS_RISE,
                "rising epochs",
                || format!("{at:?} stands behind an entry of a later epoch"),
            )
        });
    }

    fn restored(&mut self, snapshot: &Snapshot, machine: &Tokens) {
        self.rule(|state| state.rules.restored(self.node, snapshot));
        self.look(|state| {
            state.coverage.add("machines restored", 1);
            state.reference.holds(snapshot.index, machine)
        });
    }

    fn rested(&mut self, engine: &Engine<Core<Group<S>>, Noted>, _: &Applier<Tokens>) {
        self.look(|state| {
            let (load, bounds) = (engine.load(), &state.options.engine);
            let given_back_max = bounds.forwards_max * bounds.body_bytes_max;
            must(
                load.requests <= bounds.requests_max
                    && load.queued_bytes <= bounds.queued_bytes_max + given_back_max
                    && load.staged <= 1
                    && load.remote_rounds <= REMOTE_ROUNDS_MAX,
                "memory bound",
                || format!("{load:?} with {bounds:?}"),
            )?;
            if load.rounds + load.remote_rounds > 0 {
                state.coverage.add("steps with reads that wait", 1);
            }
            Ok(())
        });
        self.rule(|state| {
            let State { rules, options, .. } = state;
            rules.rested(self.node, engine.core(), options)?;
            rules.leased(engine.core(), self.now)
        });
    }

    fn destroyed(&mut self) {
        self.look(|state| {
            let is_new = state.destroyed.insert(self.node);
            state.coverage.add("replicas destroyed", u64::from(is_new));
            Ok(())
        });
    }

    fn failed(&mut self, error: &str) {
        self.fails("step", error);
    }
}

/// Rounds of reads that a leader accepts from its followers.
const REMOTE_ROUNDS_MAX: usize = 1024;
/// How a fault of the medium shows in an error.
const MEDIUM: [&str; 6] = [
    "medium failed",
    "closed after a failed",
    "disk is full",
    "simulated",
    "no space",
    "no storage space",
];
