//! Who looks on: one observer of a world, with an eye in each node.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use synod_replica::sim::{Core, Witness};
use synod_replica::{
    Applier, Engine, EngineConfig, GroupId, Instant, Kind, NodeId, Position, Protocol,
};
use synod_wal::{Lsn, Op};

use super::reference::Reference;
use super::{Coverage, Group, Noted, Options, Rules, Subject, Tokens, Verdict, Violation, must};

/// What is known of a world from within. Clones are the same observer.
pub(crate) struct Observer<S: Subject>(Rc<RefCell<State<S>>>);

/// An observer's eye in one node.
pub(crate) struct Eye<S: Subject> {
    node: NodeId,
    state: Rc<RefCell<State<S>>>,
}

struct State<S: Subject> {
    rules: S::Rules,
    reference: Reference,
    bounds: EngineConfig,
    /// The first.
    violation: Option<Violation>,
    refused: BTreeMap<NodeId, String>,
    failures: BTreeMap<String, u64>,
    restores: u64,
}

impl<S: Subject> Observer<S> {
    pub(crate) fn new(options: &Options) -> Self {
        let mut bounds = EngineConfig::new(GroupId(1), NodeId(0), 0);
        options.tune(&mut bounds);
        Self(Rc::new(RefCell::new(State {
            rules: S::Rules::default(),
            reference: Reference::default(),
            bounds,
            violation: None,
            refused: BTreeMap::new(),
            failures: BTreeMap::new(),
            restores: 0,
        })))
    }

    pub(crate) fn eye(&self, node: NodeId) -> Eye<S> {
        let state = Rc::clone(&self.0);
        Eye { node, state }
    }

    /// The first violation, if there was one.
    pub(crate) fn verdict(&self) -> Verdict {
        self.0.borrow().violation.clone().map_or(Ok(()), Err)
    }

    /// What is known to be decided.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Reference) -> T) -> T {
        look(&self.0.borrow().reference)
    }

    pub(crate) fn cover(&self, coverage: &mut Coverage) {
        let state = self.0.borrow();
        state.rules.cover(coverage);
        coverage.add("restores of the machine", state.restores);
        coverage.add("repeated names", state.reference.repeats);
        for (failure, count) in &state.failures {
            coverage.add(failure, *count);
        }
    }
}

impl<S: Subject> Clone for Observer<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: Subject> Eye<S> {
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
            state.rules.started(self.node, core)
        });
    }

    fn refused(&mut self, error: &str) {
        self.look(|state| {
            let sort = if error.contains("corrupt") || error.contains("missing") {
                "starts refused for rot"
            } else {
                "starts that failed"
            };
            *state.failures.entry(sort.to_owned()).or_default() += 1;
            state.refused.insert(self.node, error.to_owned());
            Ok(())
        });
    }

    fn appended(&mut self, lsn: Lsn, ops: &[Op<'_>]) {
        self.look(|state| {
            state.rules.appended(self.node, lsn, ops);
            Ok(())
        });
    }

    fn durable(&mut self, lsn: Lsn) {
        self.look(|state| state.rules.durable(self.node, lsn));
    }

    fn sent(&mut self, to: NodeId, message: &<Core<Group<S>> as Protocol>::Message) {
        self.look(|state| state.rules.sent(self.node, to, message));
    }

    fn applied(&mut self, at: Position, kind: Kind, body: &Bytes, machine: &Tokens) {
        let epoch = Core::<Group<S>>::epoch(&at);
        let body = (kind == Kind::Commands).then_some(&body[..]);
        self.look(|state| state.reference.applied((at.index, epoch), body, machine));
    }

    fn restored(&mut self, index: u64, machine: &Tokens) {
        self.look(|state| {
            state.restores += 1;
            state.reference.holds(index, machine)
        });
    }

    fn stepped(&mut self, engine: &Engine<Core<Group<S>>, Noted>, _: &Applier<Tokens>) {
        self.look(|state| {
            let (load, bounds) = (engine.load(), &state.bounds);
            must(
                load.requests <= bounds.requests_max
                    && load.queued_bytes <= bounds.queued_bytes_max
                    && load.staged <= 1
                    && load.remote_rounds <= REMOTE_ROUNDS_MAX,
                "memory bound",
                || format!("{load:?} with {bounds:?}"),
            )?;
            state.rules.stepped(self.node, engine.core())
        });
    }
}

/// Rounds of reads that a leader takes from its followers.
const REMOTE_ROUNDS_MAX: usize = 1024;
