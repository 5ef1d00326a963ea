//! The demo of the job queue: three processes of this program, workers at all of them, and one
//! `kill -9`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs, process};

use tokio::net::TcpSocket;

/// Does jobs, kills the leader when half of them are done, and counts.
pub(crate) fn run(protocol: &str) -> Result<(), Box<dyn Error>> {
    let home = env::temp_dir().join(format!("synod-service-{}-{protocol}", process::id()));
    let held = [hold_port()?, hold_port()?, hold_port()?];
    let mut addresses = Vec::new();
    for held in &held {
        addresses.push(held.local_addr()?.to_string());
    }
    let mut nodes = Vec::new();
    for id in ["1", "2", "3"] {
        let data = home.join(id).to_string_lossy().into_owned();
        nodes.push(Process::start([protocol, id, &data, &addresses.join(",")])?);
    }
    for job in 0..JOBS {
        ask(&mut nodes, job, &format!("add job-{job:02}"))?;
    }
    let worked = work(protocol, &mut nodes)?;
    let list = ask(&mut nodes, 0, "list")?;
    let done = list.matches("done ").count();
    let once = worked.values().filter(|times| **times == 1).count();
    println!(
        "{protocol}: {done} of {JOBS} jobs are done, {once} of them were worked on exactly once"
    );
    if [done, once, worked.len()] != [JOBS; 3] {
        return Err(format!("a job was lost or done twice: {list}").into());
    }
    drop(nodes);
    Ok(fs::remove_dir_all(home)?)
}

/// Three workers take turns, each time at another node, until none finds a job. Returns how often
/// each job was done.
fn work(protocol: &str, nodes: &mut [Process]) -> Result<BTreeMap<String, usize>, Box<dyn Error>> {
    let mut worked = BTreeMap::new();
    let mut idle = 0;
    for turn in 0.. {
        let worker = ["alice", "bob", "carol"][turn % 3];
        let take = format!("take {worker}");
        if turn == JOBS / 2 {
            let leader: usize = ask(nodes, 0, "leader")?.parse()?;
            // With a request in progress, whose outcome is unknown.
            writeln!(nodes[leader - 1].to, "{take}")?;
            nodes[leader - 1].kill()?;
            println!("{protocol}: node {leader}, the leader, was killed after {turn} jobs");
        }
        match ask(nodes, turn, &take)?.strip_prefix("job ") {
            Some(job) => {
                *worked.entry(job.to_owned()).or_insert(0) += 1;
                ask(nodes, turn + 1, &format!("done {job} {worker}"))?;
                idle = 0;
            }
            None if idle == 2 => break,
            None => idle += 1,
        }
    }
    Ok(worked)
}

/// Asks one node after the other, from `first` on, until one answers. The nodes before may have
/// carried out the command, so commands may arrive twice.
fn ask(nodes: &mut [Process], first: usize, line: &str) -> Result<String, Box<dyn Error>> {
    for turn in first..first + TRIES_MAX {
        let node = turn % nodes.len();
        match nodes[node].ask(line) {
            Ok(answer) if !answer.starts_with("failed") => return Ok(answer),
            Ok(_) | Err(_) => {}
        }
    }
    Err(format!("no node answers: {line}").into())
}

/// A node process that is killed when this value is dropped.
struct Process {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(arguments: [&str; 4]) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(env::current_exe()?);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (to, from) = pipes.ok_or("a process without pipes")?;
        let from = BufReader::new(from).lines();
        Ok(Self { child, to, from })
    }

    fn ask(&mut self, line: &str) -> io::Result<String> {
        writeln!(self.to, "{line}")?;
        let answer = self.from.next();
        answer.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.kill();
    }
}

/// Reserves a port: the socket that is bound to it never listens.
fn hold_port() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Exclusive while it looks for a port; shared once it has one.
    socket.set_reuseaddr(false)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

const JOBS: usize = 30;
const TRIES_MAX: usize = 100;
