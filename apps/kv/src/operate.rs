//! What an operator asks of a cluster: `kv member`, `kv transfer`, `kv status`.
//!
//! Any node will do: it tells who leads and where clients reach that node, which is then asked. What changes the
//! cluster may be asked again until it is answered, also of the next leader: what is so already is no error.

mod asking;
mod listed;
mod status;

use std::{io, time::Duration};

use serde::Serialize;

use crate::{
    exit::{ASKED_STATUSES, ExitStatus},
    output::print,
    reach::{Reach, ReachOptions},
};
use asking::{Asked, Asking};
use listed::Listed;

/// Where and how a cluster is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct AskOptions {
    /// A node, or several: whoever answers tells where the others are
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:6379"
    )]
    pub resp: Vec<String>,
    /// How the nodes are reached
    #[command(flatten)]
    pub reach: ReachOptions,
    /// How long to look for a node that answers, and for one that leads
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub wait_seconds: u64,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Who takes part in a cluster
#[derive(Clone, Debug, clap::Subcommand)]
#[command(after_help = ASKED_STATUSES)]
pub enum MemberCommand {
    /// Who they are, who leads, and how far a change is
    List(#[command(flatten)] AskOptions),
    /// Add a node that waits with `kv serve --join`; it receives everything, and does not count yet
    Add {
        /// Its number, above all that the cluster ever had
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
        /// Where its peers reach it
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// Whom to ask
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Let a node count that was added, once it has caught up
    Promote {
        /// Its number
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
        /// Whom to ask
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Remove a node for ever
    Remove {
        /// Its number
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
        /// Whom to ask
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Let a node that waits with `kv serve --join` take the place of another, which is gone or goes
    Replace {
        /// The number of the node that goes
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        old: u64,
        /// The number of the new node, above all that the cluster ever had
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        new: u64,
        /// Where the peers of the new node reach it
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// Whom to ask
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Lead a change that is under way back to the members from before
    Abort(#[command(flatten)] AskOptions),
}

/// Let another node lead
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ASKED_STATUSES)]
pub struct TransferOptions {
    /// Which [default: the one that suits best]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub id: Option<u64>,
    /// Whom to ask
    #[command(flatten)]
    pub ask: AskOptions,
}

/// How the nodes of a cluster are
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ASKED_STATUSES)]
pub struct StatusOptions {
    /// Whom to ask
    #[command(flatten)]
    pub ask: AskOptions,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// No node was reached.
    #[error("no node answers: {0}")]
    Unreachable(String),
    /// No node leads.
    #[error("no node leads, or none that is reached from here: {0}")]
    Leaderless(String),
    /// A node answers what none of this program does.
    #[error("{0} answers what no node does: {1}")]
    Strange(String, String),
    /// The files of `--tls-ca` or `--password-file`, or standard output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How a request ended, for a program.
#[derive(Debug, Serialize)]
struct Ended<'a> {
    done: bool,
    /// Nobody knows yet: to ask again is safe.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unknown: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// Asks for what `kv member` is told, and prints the answer.
///
/// # Errors
/// [`OperateError`]
pub async fn member(command: &MemberCommand) -> Result<ExitStatus, OperateError> {
    let id = ToString::to_string;
    let (words, ask): (Vec<String>, _) = match command {
        MemberCommand::List(ask) => return list(ask).await,
        MemberCommand::Add {
            id: new,
            address,
            ask,
        } => (vec!["ADD".into(), id(new), address.clone()], ask),
        MemberCommand::Promote { id: node, ask } => (vec!["PROMOTE".into(), id(node)], ask),
        MemberCommand::Remove { id: node, ask } => (vec!["REMOVE".into(), id(node)], ask),
        MemberCommand::Replace {
            old,
            new,
            address,
            ask,
        } => (
            vec!["REPLACE".into(), id(old), id(new), address.clone()],
            ask,
        ),
        MemberCommand::Abort(ask) => (vec!["ABORT".into()], ask),
    };
    let words = [vec!["MEMBER".into()], words].concat();
    demand(&words, ask).await
}

/// Lets another node lead, and prints which.
///
/// # Errors
/// [`OperateError`]
pub async fn transfer(options: &TransferOptions) -> Result<ExitStatus, OperateError> {
    let mut words = vec!["TRANSFER".to_owned()];
    words.extend(options.id.as_ref().map(ToString::to_string));
    demand(&words, &options.ask).await
}

/// Prints how the nodes of a cluster are. As failed, when one that counts does not answer.
///
/// # Errors
/// [`OperateError`]
pub async fn status(options: &StatusOptions) -> Result<ExitStatus, OperateError> {
    let ask = &options.ask;
    let mut asking = asking(ask)?;
    let listed = asking.list().await?;
    let status = status::Cluster::ask(asking.reach(), listed).await;
    match ask.json {
        true => print(serde_json::to_string(&status).map_err(io::Error::other)?)?,
        false => print(&status)?,
    }
    Ok(match status.is_well() {
        true => ExitStatus::Stopped,
        false => ExitStatus::Failed,
    })
}

async fn list(ask: &AskOptions) -> Result<ExitStatus, OperateError> {
    let listed: Listed = asking(ask)?.list().await?;
    match ask.json {
        true => print(serde_json::to_string(&listed).map_err(io::Error::other)?)?,
        false => print(&listed)?,
    }
    Ok(ExitStatus::Stopped)
}

fn asking(ask: &AskOptions) -> Result<Asking, OperateError> {
    let wait_max = Duration::from_secs(ask.wait_seconds);
    Ok(Asking::new(Reach::read(&ask.reach)?, &ask.resp, wait_max))
}

/// Asks whoever leads, and prints how it ended.
async fn demand(words: &[String], ask: &AskOptions) -> Result<ExitStatus, OperateError> {
    let asked = asking(ask)?.demand(words).await?;
    let (ended, text, status) = match &asked {
        Asked::Done(leader) => {
            let text = leader.map_or("OK".into(), |leader| format!("node {leader} leads"));
            (Ended::done(*leader), text, ExitStatus::Stopped)
        }
        Asked::Refused(why) => {
            let text = format!("refused: {why}");
            (Ended::not(why, false), text, ExitStatus::Failed)
        }
        Asked::Unknown(why) => {
            let text = format!("nobody knows yet: {why}. To ask again for the same is safe");
            (Ended::not(why, true), text, ExitStatus::Unknown)
        }
    };
    match ask.json {
        true => print(serde_json::to_string(&ended).map_err(io::Error::other)?)?,
        false => print(text)?,
    }
    Ok(status)
}

impl<'a> Ended<'a> {
    const fn done(leader: Option<u64>) -> Self {
        Self {
            done: true,
            unknown: false,
            leader,
            why: None,
        }
    }

    const fn not(why: &'a str, unknown: bool) -> Self {
        Self {
            done: false,
            unknown,
            leader: None,
            why: Some(why),
        }
    }
}
