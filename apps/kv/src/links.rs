//! Links to the peers that are cut and healed by whoever started the node: for showing what a partition does to a
//! cluster of real processes.
//!
//! A command is a line on standard input, and is answered by a line on standard output. Nobody but the parent can give
//! one, and only with `--links-from-stdin`. A node cuts what it sends itself, so the parent tells all of
//! them.
//!
//! | command | from now on |
//! |---|---|
//! | `cut 1,2>3` | nothing gets from nodes 1 and 2 to node 3 |
//! | `heal` | everything gets everywhere again |

use std::str::FromStr;

use synod_transport::{NodeId, faulty::Faults};

/// What the parent may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Nothing gets from these to those.
    Cut(Vec<NodeId>, Vec<NodeId>),
    Heal,
}

/// A command of another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `cut 1,2>3` or `heal`")]
pub(crate) struct NoCommand;

impl FromStr for Command {
    type Err = NoCommand;

    fn from_str(line: &str) -> Result<Self, NoCommand> {
        match line.trim().split_once(' ') {
            Some(("cut", pairs)) => {
                let (from, to) = pairs.split_once('>').ok_or(NoCommand)?;
                Ok(Self::Cut(nodes(from)?, nodes(to)?))
            }
            None if line.trim() == "heal" => Ok(Self::Heal),
            _ => Err(NoCommand),
        }
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |nodes: &[NodeId]| {
            let nodes: Vec<String> = nodes.iter().map(|node| node.0.to_string()).collect();
            nodes.join(",")
        };
        match self {
            Self::Cut(from, to) => write!(f, "cut {}>{}", list(from), list(to)),
            Self::Heal => f.write_str("heal"),
        }
    }
}

fn nodes(text: &str) -> Result<Vec<NodeId>, NoCommand> {
    let node = |text: &str| text.parse().map(NodeId).map_err(|_| NoCommand);
    text.split(',').map(node).collect()
}

/// Does what a line says, and answers with a line.
pub(crate) fn obey(faults: &Faults, line: &str) -> String {
    match line.parse() {
        Ok(Command::Cut(from, to)) => faults.cut_one_way(&from, &to),
        Ok(Command::Heal) => faults.heal_all(),
        Err(error) => return format!("{ANSWER}{error}"),
    }
    format!("{ANSWER}{}", faults.counts().cut)
}

/// How many messages the cuts of a node have swallowed, as its answer says; nothing for any other line.
pub(crate) fn swallowed(answer: &str) -> Option<u64> {
    answer.strip_prefix(ANSWER)?.trim().parse().ok()
}

/// How an answer begins, so that it is not taken for anything else that the node says.
const ANSWER: &str = "links: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_back_as_it_went() {
        let cut = Command::Cut(vec![NodeId(1), NodeId(2)], vec![NodeId(3)]);
        assert_eq!(cut.to_string(), "cut 1,2>3");
        for command in [cut, Command::Heal] {
            assert_eq!(format!("{command}\n").parse(), Ok(command));
        }
        for bad in ["", "cut", "cut 1", "cut >1", "cut 1>", "cut a>b", "heal 1"] {
            assert_eq!(bad.parse::<Command>(), Err(NoCommand), "{bad}");
        }
    }

    #[test]
    fn it_is_done_when_it_is_answered() {
        let faults = Faults::new(1);
        let (one, two) = (NodeId(1), NodeId(2));
        let answer = obey(&faults, "cut 1>2\n");
        assert_eq!(swallowed(&answer), Some(0));
        assert!(faults.is_cut(one, two) && !faults.is_cut(two, one));
        assert_eq!(swallowed(&obey(&faults, "cut 1>")), None);
        obey(&faults, "heal");
        assert!(!faults.is_cut(one, two));
        assert_eq!(swallowed("node 1 of 3: raft"), None);
    }
}
