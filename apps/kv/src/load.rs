//! A closed-loop load generator for any server that speaks RESP.

use std::{collections::BTreeMap, fmt, io, sync::Arc, time::Duration};

use hdrhistogram::Histogram;
use redis_protocol::resp2::types::BytesFrame;
use serde::Serialize;
use synod_replica::{Heard, Next, SessionClient, SessionName};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    client::{Client, ClientError},
    demo::report::{Percentiles, grouped, latency_histogram, milliseconds},
    names,
    output::print,
    random::Random,
    reach::{Reach, ReachOptions},
};

/// Measure any RESP server with closed-loop clients.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadOptions {
    /// The server, or several of them, over which the clients are spread
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    pub resp: Vec<String>,
    /// Connections
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub clients: u16,
    /// How long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Length of the values that are set
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(0..=16_777_216))]
    pub value_bytes: u32,
    /// Keys, chosen uniformly
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,
    /// Requests that each connection has under way
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub pipeline: u16,
    /// Gets, in percent; the rest are sets
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub reads: u8,
    /// How fresh gets are: linearizable, lease, "bounded MS" or stale (for servers that know CONSISTENCY)
    #[arg(long, value_name = "LEVEL")]
    pub consistency: Option<String>,
    /// Let each connection have a session, and ask again what it does not know the end of (for servers
    /// that know SESSION)
    #[arg(long)]
    pub sessions: bool,
    /// How the servers are reached
    #[command(flatten)]
    pub reach: ReachOptions,
    /// End with one JSON object on the last line
    #[arg(long)]
    pub json: bool,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A client could not connect, at the start.
    #[error("{address}: {error}")]
    Connect {
        /// To where.
        address: String,
        /// Why not.
        error: io::Error,
    },
    /// Something else of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug)]
struct Figures {
    reads: Histogram<u64>,
    writes: Histogram<u64>,
    errors: u64,
    broken: u64,
    /// Sets that were asked again under their names.
    again: u64,
    last_error: Option<String>,
}

/// One client's session, and the sets whose end it does not know: as they were asked.
#[derive(Debug, Default)]
struct Session {
    client: Option<SessionClient>,
    open: BTreeMap<SessionName, String>,
}

/// Runs the load and prints the figures. Whether every request was answered without an error.
///
/// # Errors
/// [`LoadError`]
pub async fn load(options: &LoadOptions) -> Result<bool, LoadError> {
    let options = Arc::new(options.clone());
    let reach = Reach::read(&options.reach)?;
    let mut connected = Vec::new();
    for at in 0..usize::from(options.clients) {
        let address = options.resp[at % options.resp.len()].clone();
        let client = connect(&options, &reach, &address).await;
        connected.push((
            address.clone(),
            client.map_err(|error| LoadError::Connect { address, error })?,
        ));
    }
    let started = Instant::now();
    let end = started + Duration::from_secs(options.seconds);
    let mut clients = JoinSet::new();
    for (address, client) in connected {
        let (options, reach) = (Arc::clone(&options), reach.clone());
        clients.spawn(run(options, (reach, address), client, end));
    }
    let mut all = Figures::new();
    while let Some(figures) = clients.join_next().await {
        all.add(figures.map_err(io::Error::other)??);
    }
    let report = Report {
        options: &options,
        figures: all,
        length: started.elapsed(),
    };
    print(&report)?;
    if options.json {
        print(serde_json::to_string(&report.summary()).map_err(io::Error::other)?)?;
    }
    Ok(report.figures.errors == 0 && report.figures.broken == 0)
}

async fn connect(options: &LoadOptions, reach: &Reach, address: &str) -> io::Result<Client> {
    let mut client = reach.connect(address).await?;
    if let Some(level) = &options.consistency {
        let words = ["CONSISTENCY"].into_iter().chain(level.split_whitespace());
        let words: Vec<&[u8]> = words.map(str::as_bytes).collect();
        if let BytesFrame::Error(text) = client.call(&words).await.map_err(io::Error::other)? {
            return Err(io::Error::other(text.to_string()));
        }
    }
    Ok(client)
}

async fn run(
    options: Arc<LoadOptions>,
    (reach, address): (Reach, String),
    client: Client,
    end: Instant,
) -> io::Result<Figures> {
    let mut random = Random::new()?;
    let mut figures = Figures::new();
    let mut session = Session::default();
    let mut connection = Some(client);
    // What is open at the end is asked until it is answered.
    while Instant::now() < end || (!session.open.is_empty() && Instant::now() < end + SETTLE_MAX) {
        let Some(client) = &mut connection else {
            connection = connect(&options, &reach, &address).await.ok();
            if connection.is_none() {
                sleep(RECONNECT_PAUSE).await;
            }
            continue;
        };
        let is_over = Instant::now() >= end;
        let pipeline = pipeline(
            &options,
            &mut random,
            client,
            &mut session,
            &mut figures,
            is_over,
        );
        match timeout_at(end.max(Instant::now()) + TIMEOUT, pipeline).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                figures.broke(error.to_string());
                connection = None;
            }
            Err(_) => figures.broke("no answer".into()),
        }
    }
    Ok(figures)
}

/// Sends a pipeline and waits for its answers. The latency of each is from the sending of all, of what is asked again
/// from that of the last. With sessions, what is open is asked before anything new.
async fn pipeline(
    options: &LoadOptions,
    random: &mut Random,
    client: &mut Client,
    session: &mut Session,
    figures: &mut Figures,
    is_over: bool,
) -> Result<(), ClientError> {
    if options.sessions && session.client.is_none() {
        session.client = names::open(client).await?;
    }
    let value = vec![b'x'; options.value_bytes as usize];
    let mut asked = Vec::with_capacity(usize::from(options.pipeline));
    for (name, key) in &session.open {
        let [session, id, sequence] = names::prefix(*name);
        client.queue(&[&session, &id, &sequence, b"SET", key.as_bytes(), &value]);
        figures.again += 1;
        asked.push((false, Some(*name)));
    }
    while asked.len() < usize::from(options.pipeline) && !is_over {
        let key = format!("key:{:012}", random.below(options.keys));
        let is_read = random.below(100) < u64::from(options.reads);
        let name = session.client.as_mut().filter(|_| !is_read);
        let name = match name.map(SessionClient::name) {
            // So many are out that another would push the oldest out of the window.
            Some(None) => break,
            name => name.flatten(),
        };
        match (is_read, name) {
            (true, _) => client.queue(&[b"GET", key.as_bytes()]),
            (false, None) => client.queue(&[b"SET", key.as_bytes(), &value]),
            (false, Some(name)) => {
                let [word, id, sequence] = names::prefix(name);
                client.queue(&[&word, &id, &sequence, b"SET", key.as_bytes(), &value]);
                session.open.insert(name, key);
            }
        }
        asked.push((is_read, name));
    }
    let sent = Instant::now();
    // What is sent may take effect, whatever becomes of the connection.
    session.mark_unknown();
    client.flush().await?;
    for (is_read, name) in asked {
        let answer = client.receive().await?;
        let micros = sent.elapsed().as_micros() as u64;
        let is_open = name.is_some_and(|name| session.heard(name, &answer));
        match answer {
            _ if is_open => {}
            BytesFrame::Error(text) => {
                figures.errors += 1;
                figures.last_error = Some(text.to_string());
            }
            _ if is_read => figures.reads.saturating_record(micros),
            _ => figures.writes.saturating_record(micros),
        }
    }
    Ok(())
}

impl Session {
    fn mark_unknown(&mut self) {
        let Some(client) = &mut self.client else {
            return;
        };
        for name in self.open.keys() {
            client.heard(*name, Heard::Unknown);
        }
    }

    /// Whether the end of a name is still not known.
    fn heard(&mut self, name: SessionName, answer: &BytesFrame) -> bool {
        let Some(client) = &mut self.client else {
            return false;
        };
        let next = client.heard(name, names::heard(answer));
        if next == Next::AskAgain {
            return true;
        }
        self.open.remove(&name);
        if next == Next::Lost {
            *self = Self::default();
        }
        false
    }
}

impl Figures {
    fn new() -> Self {
        Self {
            reads: latency_histogram(),
            writes: latency_histogram(),
            errors: 0,
            broken: 0,
            again: 0,
            last_error: None,
        }
    }

    fn add(&mut self, other: Self) {
        for (mine, theirs) in [
            (&mut self.reads, other.reads),
            (&mut self.writes, other.writes),
        ] {
            mine.add(theirs)
                .expect("all histograms have the same bounds");
        }
        self.errors += other.errors;
        self.broken += other.broken;
        self.again += other.again;
        self.last_error = other.last_error.or_else(|| self.last_error.take());
    }

    fn broke(&mut self, error: String) {
        self.broken += 1;
        self.last_error = Some(error);
    }
}

#[derive(Debug)]
struct Report<'a> {
    options: &'a LoadOptions,
    figures: Figures,
    length: Duration,
}

#[derive(Debug, Serialize)]
struct Summary {
    clients: u16,
    pipeline: u16,
    value_bytes: u32,
    operations: u64,
    errors: u64,
    broken_connections: u64,
    throughput_ops_s: f64,
    read_latency_us: Option<Percentiles>,
    write_latency_us: Option<Percentiles>,
}

impl Report<'_> {
    fn operations(&self) -> u64 {
        self.figures.reads.len() + self.figures.writes.len()
    }

    fn throughput(&self) -> f64 {
        self.operations() as f64 / self.length.as_secs_f64()
    }

    fn summary(&self) -> Summary {
        let latency = |of: &Histogram<u64>| (!of.is_empty()).then(|| Percentiles::of(of));
        Summary {
            clients: self.options.clients,
            pipeline: self.options.pipeline,
            value_bytes: self.options.value_bytes,
            operations: self.operations(),
            errors: self.figures.errors,
            broken_connections: self.figures.broken,
            throughput_ops_s: self.throughput().round(),
            read_latency_us: latency(&self.figures.reads),
            write_latency_us: latency(&self.figures.writes),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            options,
            figures,
            length,
        } = self;
        writeln!(
            f,
            "{} clients, {} under way each, values of {} bytes, {} keys, {:.1} s\n",
            options.clients,
            options.pipeline,
            options.value_bytes,
            grouped(options.keys),
            length.as_secs_f64()
        )?;
        let operations = grouped(self.operations());
        write!(
            f,
            "  throughput      {} operations/s ({operations} in all)",
            grouped(self.throughput() as u64)
        )?;
        for (name, latency) in [
            ("get latency", &figures.reads),
            ("set latency", &figures.writes),
        ] {
            if !latency.is_empty() {
                write!(f, "\n  {name}    ")?;
                for (label, quantile) in
                    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)]
                {
                    write!(
                        f,
                        " {label} {}  ",
                        milliseconds(latency.value_at_quantile(quantile))
                    )?;
                }
                write!(f, " max {}", milliseconds(latency.max()))?;
            }
        }
        if options.sessions {
            let again = grouped(figures.again);
            write!(f, "\n  sessions        {again} sets were asked again")?;
        }
        if let Some(error) = &figures.last_error {
            write!(
                f,
                "\n  errors          {} answers, {} connections; the last: {error}",
                figures.errors, figures.broken
            )?;
        }
        Ok(())
    }
}

/// After the end, for answers that are still to come.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the ends of sets are asked for when the load is over.
const SETTLE_MAX: Duration = Duration::from_secs(30);
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
