//! A job queue that survives its servers: three processes, each with its log on disk, connected
//! over TCP.
//!
//! `cargo run -p synod-replica --example service` runs a demo: jobs are done through any node, and
//! the leader is killed meanwhile. Or start it by hand in three terminals, all with `raft` or all
//! with `paxos`, and with 1, 2 and 3:
//!
//! ```text
//! cargo run -p synod-replica --example service raft 1 /tmp/queue-1 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003
//! ```
//!
//! Then type into any of them: `add paint-the-fence`, `take alice`, `done paint-the-fence alice`, `list`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::{env, pin, thread};

use synod_replica::transport::{ClusterId, Tcp};
use synod_replica::wal::{Directory, Options};
use synod_replica::{
    Applying, Birth, Bytes, Configured, Consistency, Failure, Group, GroupId, Identity, Node,
    NodeConfig, NodeId, StateMachine, paxos, raft,
};
use tokio::sync::mpsc;

#[path = "service/demo.rs"]
mod demo;

/// The replicated state. Each job is in one of the three fields.
#[derive(Clone, Default)]
struct Queue {
    waiting: BTreeSet<String>,
    /// The job of each worker, which has one at a time.
    taken: BTreeMap<String, String>,
    /// The worker who did each job.
    done: BTreeMap<String, String>,
}

impl Queue {
    /// A command may arrive twice, from a client that did not receive the first answer: then it
    /// changes nothing and is answered as before.
    fn obey(&mut self, command: &str) -> String {
        match command.split_whitespace().collect::<Vec<_>>()[..] {
            ["add", job] => {
                if !self.done.contains_key(job) && !self.taken.values().any(|taken| taken == job) {
                    self.waiting.insert(job.into());
                }
                format!("added {job}")
            }
            ["take", worker] => {
                let before = self.taken.get(worker).cloned();
                let Some(job) = before.or_else(|| self.waiting.pop_first()) else {
                    return "nothing to do".into();
                };
                self.taken.insert(worker.into(), job.clone());
                format!("job {job}")
            }
            ["done", job, worker] => {
                if self.taken.get(worker).is_some_and(|taken| taken == job) {
                    self.taken.remove(worker);
                    self.done.insert(job.into(), worker.into());
                }
                let by = self.done.get(job).map_or("nobody", String::as_str);
                format!("{job} was done by {by}")
            }
            _ => format!("not understood: {command}"),
        }
    }

    /// The commands that make this state of an empty queue.
    fn commands(&self) -> Vec<String> {
        let (taken, done) = (self.taken.iter(), self.done.iter());
        let done = done.map(|(job, by)| format!("add {job}\ntake {by}\ndone {job} {by}"));
        let taken = taken.map(|(by, job)| format!("add {job}\ntake {by}"));
        let waiting = self.waiting.iter().map(|job| format!("add {job}"));
        done.chain(taken).chain(waiting).collect()
    }
}

impl StateMachine for Queue {
    type Response = String;
    type Frozen = Self;

    /// A committed command cannot be refused: an invalid one is answered too, in the same way on
    /// every node.
    fn apply(&mut self, _: Applying, command: Bytes) -> String {
        self.obey(&String::from_utf8_lossy(&command))
    }

    fn freeze(&self) -> Self {
        self.clone()
    }

    /// A snapshot of this machine is a list of commands.
    fn write(frozen: Self, to: &mut dyn Write) -> io::Result<()> {
        let mut commands = frozen.commands().into_iter();
        commands.try_for_each(|command| writeln!(to, "{command}"))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        *self = Self::default();
        let mut commands = BufReader::new(from).lines();
        commands.try_for_each(|command| command.map(|command| drop(self.obey(&command))))
    }
}

/// Runs one node until its standard input ends.
async fn serve(
    config: impl Configured,
    data: &str,
    peers: BTreeMap<NodeId, String>,
) -> Result<(), Box<dyn Error>> {
    let own = peers.get(&config.node()).ok_or("this node is not listed")?;
    let listen: std::net::SocketAddr = own.parse()?;
    // The directory belongs to this node from now on, and is founded on this protocol and these
    // peers. Anything that contradicts this is refused, and so are an incomplete log and a peer on
    // another disk.
    let birth = Birth::new(ClusterId(7), config.node()).group(JOBS, &config);
    let identity = Identity::open(Directory::open(data)?, &birth)?;
    let log = identity.open_log(Options::default())?;
    let transport = Tcp::bind(identity.tcp(listen, peers)).await?;
    let incarnation = identity
        .incarnation()
        .ok_or("the incarnation was given out before")?;
    let node = Node::start(incarnation, NodeConfig::default(), log, transport);
    let jobs = node.open(JOBS, config, Queue::default()).await?;

    let (mut lines, mut closed) = (input(), pin::pin!(node.closed()));
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => println!("{}", answer(&jobs, line).await),
                None => break,
            },
            // Its disk has failed, for example. A supervisor should restart the process.
            reason = &mut closed => return Err(format!("this node has stopped: {reason}").into()),
        }
    }
    node.shutdown().await;
    Ok(())
}

/// Any node answers: a follower forwards to the leader. A service with a port would have many
/// requests in progress; they would then share the syncs of the log.
async fn answer(jobs: &Group<Queue>, line: String) -> String {
    let outcome = match line.trim() {
        "leader" => {
            return jobs
                .leader()
                .await
                .map_or_else(String::new, |id| id.0.to_string());
        }
        "list" => {
            let commands = jobs.read(Consistency::Linearizable, Queue::commands).await;
            commands.map(|commands| commands.join("; ").replace('\n', ", "))
        }
        _ => jobs.propose(line).await,
    };
    match outcome {
        Ok(answer) => answer,
        // It had no effect and never will.
        Err(Failure::Rejected { reason, .. }) => format!("failed: {reason}"),
        // It may have taken effect, or may yet: that is why commands may arrive twice.
        Err(Failure::Unknown) => "failed: the outcome is unknown".into(),
    }
}

/// Reads standard input on a thread: such a read cannot be cancelled, and there it blocks nothing.
fn input() -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(16);
    thread::spawn(move || {
        let mut lines = io::stdin().lines().map_while(Result::ok);
        lines.all(|line| to.blocking_send(line).is_ok())
    });
    lines
}

async fn run(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let [protocol, id, data, addresses] = arguments[..] else {
        return match arguments {
            [] | ["demo"] => demo::run("raft").and_then(|()| demo::run("paxos")),
            _ => Err("expected nothing, or: raft|paxos NODE DIRECTORY ADDRESS,ADDRESS,..".into()),
        };
    };
    let (id, addresses) = (id.parse()?, addresses.split(',').map(str::to_owned));
    let peers: BTreeMap<_, _> = (1..).map(NodeId).zip(addresses).collect();
    match protocol {
        "raft" => {
            let voters = peers.keys().map(|peer| raft::NodeId(peer.0));
            serve(raft::Config::new(raft::NodeId(id), voters), data, peers).await
        }
        "paxos" => {
            let acceptors = peers.keys().map(|peer| paxos::NodeId(peer.0));
            let quorums = paxos::Quorums::majority(acceptors)?;
            serve(paxos::Config::new(paxos::NodeId(id), quorums), data, peers).await
        }
        other => Err(format!("{other} is neither raft nor paxos").into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(&arguments).await.map_or_else(
        |error| {
            eprintln!("service: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

const JOBS: GroupId = GroupId(1);
