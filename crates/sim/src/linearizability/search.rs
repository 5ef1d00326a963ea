//! The search for a linearization of one object's history.

use std::collections::HashMap;

use crate::history::OpId;
use crate::linearizability::cache::{Cache, Linearized, Spent};
use crate::linearizability::entries::Entries;
use crate::linearizability::model::{Effect, Model};

/// The algorithm of Wing and Gong (1993) as Lowe (2017) made it fast: take some operation that no
/// other precedes, linearize it if the model allows its output, go on with the rest; at a dead end
/// go back; never visit a configuration twice. Iterative, so that no history is too long.
///
/// Three rules keep it short without changing the answer:
/// - An operation that only reads and may come next is taken at once and no alternative is tried:
///   it can always be moved forward to here.
/// - Operations of unknown outcome are spent only right before a completed one, as a *chain*, and
///   only when everything else failed. Chains are tried by length, so that the first to reach a
///   state has spent least.
/// - A chain is followed only while its state may matter: to an operation whose output is known, or
///   to the condition of one in the chain.
#[derive(Debug)]
pub(super) struct Search<'m, 'h, M: Model> {
    model: &'m M,
    entries: Entries<'h, M>,
    linearized: Linearized,
    spent: Spent,
    cache: Cache<M::State>,
    path: Vec<Node<M::State>>,
    deepest: Option<DeadEnd>,
    steps: u64,
    steps_max: u64,
}

/// The result of a search.
#[derive(Debug)]
pub(super) enum Answer {
    Linearizable,
    NotLinearizable(DeadEnd),
    OutOfSteps,
}

/// The longest order found.
#[derive(Clone, Debug)]
pub(super) struct DeadEnd {
    /// The operation that had to come before its return and could not.
    pub(super) blocked: OpId,
    /// The last operations of the order that came this far.
    pub(super) order: Vec<OpId>,
    /// Completed operations which that order held.
    pub(super) linearized: usize,
    /// Those that might have come next, `blocked` among them, and nothing could.
    pub(super) candidates: Vec<OpId>,
    position: u32,
}

/// A configuration on the path and the branches that are left to try from it.
#[derive(Debug)]
struct Node<S> {
    /// The branch that led here.
    via: Option<Branch>,
    /// The first is the empty chain: the configuration itself.
    chains: Vec<Chain<S>>,
    /// Where chains of this node lead, by index into `chains`.
    reached: HashMap<S, Vec<usize>>,
    /// The chain whose continuations are tried.
    current: usize,
    /// How many chains have been extended. All chains of a length are tried before any is extended.
    extended: usize,
    phase: Phase,
}

/// Operations of unknown outcome in a row, and the state behind them.
#[derive(Debug)]
struct Chain<S> {
    operations: Vec<u32>,
    state: S,
    /// Completed operations for whose sake the chain was made; `None` for the empty chain: all
    /// candidates.
    goals: Option<Vec<u32>>,
}

#[derive(Debug)]
enum Phase {
    Reads,
    Writes(Option<u32>),
    Extend,
    Done,
}

/// A chain and the completed operation behind it.
#[derive(Debug)]
struct Branch {
    chain: Vec<u32>,
    number: u32,
}

struct OutOfSteps;

impl<'m, 'h, M: Model> Search<'m, 'h, M> {
    pub(super) fn new(model: &'m M, entries: Entries<'h, M>, steps_max: u64) -> Self {
        let linearized = Linearized::new(entries.completed.len());
        Self {
            model,
            entries,
            linearized,
            spent: Spent::default(),
            cache: Cache::new(),
            path: Vec::new(),
            deepest: None,
            steps: 0,
            steps_max,
        }
    }

    /// Runs the search, and returns its result and the number of calls of [`Model::step`].
    pub(super) fn run(mut self) -> (Answer, u64) {
        let initial = self.model.initial();
        self.path.push(Node::new(None, initial));
        while self.entries.remaining() > 0 {
            match self.next_branch() {
                Err(OutOfSteps) => return (Answer::OutOfSteps, self.steps),
                Ok(Some(node)) => self.path.push(node),
                Ok(None) => {
                    self.note_dead_end();
                    if let Some(dead_end) = self.go_back() {
                        return (Answer::NotLinearizable(dead_end), self.steps);
                    }
                }
            }
        }
        (Answer::Linearizable, self.steps)
    }

    /// The next configuration to visit from the end of the path, entered already.
    fn next_branch(&mut self) -> Result<Option<Node<M::State>>, OutOfSteps> {
        loop {
            let found = match self.top().phase {
                Phase::Reads => self.enabled_read()?,
                Phase::Writes(candidate) => match candidate {
                    Some(number) => self.enabled_write(number)?,
                    None => {
                        self.next_chain();
                        None
                    }
                },
                Phase::Extend => {
                    self.extend_chain()?;
                    None
                }
                Phase::Done => return Ok(None),
            };
            if let Some((branch, state)) = found
                && let Some(node) = self.enter(branch, state)
            {
                return Ok(Some(node));
            }
        }
    }

    /// Reads that may come next leave nothing to choose: nothing else is tried behind this chain.
    fn enabled_read(&mut self) -> Result<Option<(Branch, M::State)>, OutOfSteps> {
        let mut candidate = self.entries.first_candidate();
        while let Some(number) = candidate {
            if self.entries.completed[number as usize].effect == Effect::Reads
                && let Some(state) = self.step_completed(self.top().current, number)?
            {
                let branch = self.branch(number);
                let node = self.top_mut();
                node.chains[node.current].goals = Some(Vec::new());
                self.next_chain();
                return Ok(Some((branch, state)));
            }
            candidate = self.entries.candidate_after(number);
        }
        self.top_mut().phase = Phase::Writes(self.entries.first_candidate());
        Ok(None)
    }

    fn enabled_write(&mut self, number: u32) -> Result<Option<(Branch, M::State)>, OutOfSteps> {
        self.top_mut().phase = Phase::Writes(self.entries.candidate_after(number));
        if self.entries.completed[number as usize].effect == Effect::Reads {
            return Ok(None);
        }
        let state = self.step_completed(self.top().current, number)?;
        Ok(state.map(|state| (self.branch(number), state)))
    }

    /// The current chain with `number` behind it.
    fn branch(&self, number: u32) -> Branch {
        let node = self.top();
        Branch {
            chain: node.chains[node.current].operations.clone(),
            number,
        }
    }

    /// Extends the shortest chain that has not been extended by every useful operation.
    fn extend_chain(&mut self) -> Result<(), OutOfSteps> {
        let extended = self.top().extended;
        if extended == self.top().chains.len() {
            self.top_mut().phase = Phase::Done;
            return Ok(());
        }
        self.top_mut().extended += 1;
        let goals = self.open_goals(extended)?;
        if goals.is_empty() {
            return Ok(());
        }
        for number in 0..self.entries.unknown_eligible() as u32 {
            let chain = &self.top().chains[extended];
            // What overwrites has no use for a chain before it.
            let overwrites = self.entries.unknown[number as usize].effect == Effect::Overwrites;
            if self.spent.contains(number)
                || chain.operations.contains(&number)
                || (overwrites && !chain.operations.is_empty())
            {
                continue;
            }
            self.steps += 1;
            let input = &self.entries.unknown[number as usize].operation.input;
            let chain = &self.top().chains[extended];
            let Some(state) = self.model.step(&chain.state, input, None) else {
                continue;
            };
            let mut operations = chain.operations.clone();
            operations.push(number);
            if state != chain.state
                && !self.reached_for_less(&operations, &state)
                && self.useful(&operations, &state, &goals)
            {
                let node = self.top_mut();
                node.reached
                    .entry(state.clone())
                    .or_default()
                    .push(node.chains.len());
                node.chains.push(Chain {
                    operations,
                    state,
                    goals: Some(goals.clone()),
                });
                node.phase = Phase::Reads;
            }
        }
        self.check_budget()
    }

    /// The operations that the chain may be extended for. One that may come next here already and
    /// leaves behind the same wherever it is allowed gains nothing from a longer chain.
    fn open_goals(&mut self, current: usize) -> Result<Vec<u32>, OutOfSteps> {
        let candidates = match &self.top().chains[current].goals {
            Some(goals) => goals.clone(),
            None => self.candidates(),
        };
        let mut open = Vec::new();
        for number in candidates {
            let depends = self.entries.completed[number as usize].effect == Effect::Depends;
            if depends || self.step_completed(current, number)?.is_none() {
                open.push(number);
            }
        }
        Ok(open)
    }

    fn reached_for_less(&self, operations: &[u32], state: &M::State) -> bool {
        let node = self.top();
        let includes = |index: &usize| {
            node.chains[*index]
                .operations
                .iter()
                .all(|number| operations.contains(number))
        };
        *state == node.chains[0].state
            || node
                .reached
                .get(state)
                .is_some_and(|chains| chains.iter().any(includes))
    }

    fn useful(&self, operations: &[u32], state: &M::State, goals: &[u32]) -> bool {
        goals.iter().any(|&number| {
            let goal = &self.entries.completed[number as usize];
            self.model
                .may_lead_to(state, &goal.operation.input, Some(goal.output))
        }) || (0_u32..)
            .zip(&self.entries.unknown[..self.entries.unknown_eligible()])
            .any(|(number, goal)| {
                goal.effect == Effect::Depends
                    && !operations.contains(&number)
                    && !self.spent.contains(number)
                    && self.model.may_lead_to(state, &goal.operation.input, None)
            })
    }

    /// Linearizes a chain and the operation behind it, unless that leads to where the search has
    /// been.
    fn enter(&mut self, branch: Branch, state: M::State) -> Option<Node<M::State>> {
        self.apply(&branch);
        let base = self
            .entries
            .first_candidate()
            .unwrap_or(self.entries.completed.len() as u32);
        if self
            .cache
            .visit(self.linearized.window(base), &state, &self.spent)
        {
            return Some(Node::new(Some(branch), state));
        }
        self.undo(&branch);
        None
    }

    fn next_chain(&mut self) {
        let node = self.top_mut();
        node.current += 1;
        node.phase = if node.current < node.chains.len() {
            Phase::Reads
        } else {
            Phase::Extend
        };
    }

    fn apply(&mut self, branch: &Branch) {
        self.entries.lift(branch.number);
        self.linearized.insert(branch.number);
        for &number in &branch.chain {
            self.spent.insert(number);
        }
    }

    fn undo(&mut self, branch: &Branch) {
        for &number in &branch.chain {
            self.spent.remove(number);
        }
        self.linearized.remove(branch.number);
        self.entries.unlift(branch.number);
    }

    /// Leaves the last configuration of the path; if it was the first, the answer is there.
    fn go_back(&mut self) -> Option<DeadEnd> {
        match self.path.pop().and_then(|node| node.via) {
            Some(branch) => {
                self.undo(&branch);
                None
            }
            None => self.deepest.take(),
        }
    }

    fn note_dead_end(&mut self) {
        let Some((blocked, position)) = self.entries.first_return() else {
            return;
        };
        if self
            .deepest
            .as_ref()
            .is_some_and(|deepest| deepest.position >= position)
        {
            return;
        }
        let id = |number: u32| self.entries.completed[number as usize].operation.id;
        let mut order = Vec::new();
        for branch in self
            .path
            .iter()
            .filter_map(|node| node.via.as_ref())
            .rev()
            .take(ORDER_SHOWN_MAX)
        {
            order.push(id(branch.number));
            order.extend(
                branch
                    .chain
                    .iter()
                    .rev()
                    .map(|&number| self.entries.unknown[number as usize].operation.id),
            );
        }
        order.reverse();
        self.deepest = Some(DeadEnd {
            blocked: id(blocked),
            order,
            linearized: self.entries.completed.len() - self.entries.remaining(),
            candidates: self.candidates().into_iter().map(id).collect(),
            position,
        });
    }

    fn candidates(&self) -> Vec<u32> {
        std::iter::successors(self.entries.first_candidate(), |&number| {
            self.entries.candidate_after(number)
        })
        .collect()
    }

    fn step_completed(
        &mut self,
        chain: usize,
        number: u32,
    ) -> Result<Option<M::State>, OutOfSteps> {
        self.steps += 1;
        self.check_budget()?;
        let completed = &self.entries.completed[number as usize];
        let state = &self.top().chains[chain].state;
        Ok(self
            .model
            .step(state, &completed.operation.input, Some(completed.output)))
    }

    fn check_budget(&self) -> Result<(), OutOfSteps> {
        if self.steps > self.steps_max {
            Err(OutOfSteps)
        } else {
            Ok(())
        }
    }

    fn top(&self) -> &Node<M::State> {
        self.path
            .last()
            .expect("the path holds the initial configuration until the search ends")
    }

    fn top_mut(&mut self) -> &mut Node<M::State> {
        self.path
            .last_mut()
            .expect("the path holds the initial configuration until the search ends")
    }
}

impl<S> Node<S> {
    fn new(via: Option<Branch>, state: S) -> Self {
        let chains = vec![Chain {
            operations: Vec::new(),
            state,
            goals: None,
        }];
        Self {
            via,
            chains,
            reached: HashMap::new(),
            current: 0,
            extended: 0,
            phase: Phase::Reads,
        }
    }
}

/// How much of the best order a violation shows.
const ORDER_SHOWN_MAX: usize = 8;
