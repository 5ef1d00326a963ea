//! The mixed load: closed-loop clients that note everything they ask and everything they are told.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use synod_replica::{Heard, Next, SessionClient, SessionName};

use crate::{
    client::Client,
    demo::history::{Answer, Ask, End, Record},
    names,
    random::Random,
};

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Workload {
    /// Where the clients go, each to the one at its own place and then to the next.
    addresses: Mutex<Vec<SocketAddr>>,
    started: Instant,
    value_bytes: usize,
    stopped: AtomicBool,
    clients: AtomicU64,
    acknowledged: AtomicU64,
    keys: Mutex<Keys>,
    waiting: Mutex<Option<Waiting>>,
    pause: Mutex<Pause>,
}

/// How long no write was acknowledged.
#[derive(Clone, Copy, Debug, Default)]
struct Pause {
    last: Duration,
    longest: Duration,
}

/// Which keys there are, and what is likely to be found there.
///
/// - `r0`, `r1`, ...: registers, for get, set and cas.
/// - `a0.0`, `a0.1`, ...: lists, for append and get. After [`APPENDS_MAX`] appends a list is left
///   alone and the next one begun, so that values stay short and a check stays cheap.
/// - `w1.1`, ...: written once, by one client.
#[derive(Debug)]
struct Keys {
    /// The last value that any client saw in each register: what a cas expects.
    registers: Vec<Bytes>,
    /// Of each list: how many came before, and how many appends were sent to it.
    lists: Vec<(u64, u64)>,
}

/// Somebody who wants to know of the first write that is both asked after a moment and
/// acknowledged.
#[derive(Debug)]
struct Waiting {
    after: Duration,
    tell: oneshot::Sender<Duration>,
}

/// One client: its place at the table, and the number under which it goes for now.
#[derive(Debug)]
struct Seat {
    nodes: usize,
    home: usize,
    node: usize,
    number: u64,
    sequence: u64,
    last: Duration,
    away: u64,
    /// Under which it writes; opened with its first connection, and again if it was lost.
    session: Option<SessionClient>,
    random: Random,
    records: Vec<Record>,
}

/// Where an operation is asked, and how often it was.
struct Asking<'a> {
    connection: &'a mut Option<Client>,
    name: Option<SessionName>,
    asked: u32,
    /// Until when, once the load is over.
    until: Option<Instant>,
}

impl Workload {
    pub(crate) fn new(
        addresses: &BTreeMap<u64, SocketAddr>,
        keys: usize,
        value_bytes: usize,
    ) -> Arc<Self> {
        let lists = keys.div_ceil(LIST_SHARE).max(LISTS_MIN);
        let keys = Keys {
            registers: vec![Bytes::new(); keys],
            lists: vec![(0, 0); lists],
        };
        Arc::new(Self {
            addresses: Mutex::new(addresses.values().copied().collect()),
            started: Instant::now(),
            value_bytes,
            stopped: AtomicBool::new(false),
            clients: AtomicU64::new(1),
            acknowledged: AtomicU64::new(0),
            keys: Mutex::new(keys),
            waiting: Mutex::new(None),
            pause: Mutex::default(),
        })
    }

    /// The clients of a node that goes come to another one.
    pub(crate) fn replace(&self, old: SocketAddr, new: SocketAddr) {
        let mut addresses = lock(&self.addresses);
        for address in addresses.iter_mut().filter(|address| **address == old) {
            *address = new;
        }
    }

    /// From now on the longest pause is looked for.
    pub(crate) fn watch_pause(&self) {
        let now = self.now();
        *lock(&self.pause) = Pause {
            last: now,
            longest: Duration::ZERO,
        };
    }

    /// The longest time since then in which no write was acknowledged.
    pub(crate) fn pause(&self) -> Duration {
        let Pause { last, longest } = *lock(&self.pause);
        longest.max(self.now().saturating_sub(last))
    }

    fn address(&self, node: usize) -> SocketAddr {
        lock(&self.addresses)[node]
    }

    /// Since the start of the run.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Operations acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// No client asks anything more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// A number that no client had before.
    pub(crate) fn fresh_client(&self) -> u64 {
        self.clients.fetch_add(1, Ordering::Relaxed)
    }

    /// When the first write that is asked from now on is acknowledged. An answer that was already
    /// on its way proves nothing.
    pub(crate) fn next_write(&self) -> oneshot::Receiver<Duration> {
        let (tell, told) = oneshot::channel();
        *lock(&self.waiting) = Some(Waiting {
            after: self.now(),
            tell,
        });
        told
    }

    /// Every key that may exist but the write-once ones.
    pub(crate) fn shared_keys(&self) -> Vec<Bytes> {
        let keys = lock(&self.keys);
        let registers = (0..keys.registers.len()).map(|at| Bytes::from(format!("r{at}")));
        let lists = keys.lists.iter().enumerate();
        let lists = lists.flat_map(|(at, (last, _))| {
            (0..=*last).map(move |list| Bytes::from(format!("a{at}.{list}")))
        });
        registers.chain(lists).collect()
    }

    /// One client, until the load is stopped.
    pub(crate) async fn client(self: Arc<Self>, seat: usize) -> io::Result<Vec<Record>> {
        let nodes = lock(&self.addresses).len();
        let home = seat % nodes;
        let number = self.fresh_client();
        let random = Random::new()?;
        let (sequence, last, away) = (0, Duration::ZERO, 0);
        let mut seat = Seat {
            nodes,
            home,
            node: home,
            number,
            sequence,
            last,
            away,
            session: None,
            random,
            records: Vec::new(),
        };
        let mut connection: Option<Client> = None;
        while !self.stopped.load(Ordering::Relaxed) {
            let Some(client) = &mut connection else {
                connection = self.connect(&mut seat).await;
                continue;
            };
            if seat.session.is_none() {
                match timeout(TIMEOUT, names::open(client)).await {
                    Ok(Ok(Some(session))) => seat.session = Some(session),
                    _ => self.move_on(&mut seat, &mut connection).await,
                }
                continue;
            }
            if !self.operation(&mut seat, &mut connection).await {
                self.move_on(&mut seat, &mut connection).await;
            } else if seat.goes_home() {
                connection = None;
            }
        }
        Ok(seat.records)
    }

    async fn move_on(&self, seat: &mut Seat, connection: &mut Option<Client>) {
        *connection = None;
        seat.node = (seat.node + 1) % seat.nodes;
        sleep(PAUSE).await;
    }

    async fn connect(&self, seat: &mut Seat) -> Option<Client> {
        match timeout(TIMEOUT, Client::connect(self.address(seat.node))).await {
            Ok(Ok(client)) => Some(client),
            // Nothing was asked, so nothing is noted.
            Ok(Err(_)) | Err(_) => {
                seat.node = (seat.node + 1) % seat.nodes;
                sleep(PAUSE).await;
                None
            }
        }
    }

    /// One operation, asked until its end is known; whether it was acknowledged.
    async fn operation(&self, seat: &mut Seat, connection: &mut Option<Client>) -> bool {
        seat.sequence += 1;
        let (key, ask) = self.choose(seat);
        // A client calls after it last returned, also where the clock did not tick in between.
        let called = self.now().max(seat.last + Duration::from_nanos(1));
        let name = seat.session.as_mut().filter(|_| ask.writes());
        let mut asking = Asking {
            connection,
            name: name.and_then(SessionClient::name),
            asked: 0,
            until: None,
        };
        let end = loop {
            if let Some(end) = self.attempt(seat, &key, &ask, &mut asking).await {
                break end;
            }
            self.move_on(seat, asking.connection).await;
            if self.stopped.load(Ordering::Relaxed) {
                let until = *asking
                    .until
                    .get_or_insert_with(|| Instant::now() + SETTLE_MAX);
                if Instant::now() > until {
                    break End::Unknown;
                }
            }
        };
        let again = asking.asked.saturating_sub(1);
        let returned = self.now().max(called);
        seat.last = returned;
        let acknowledged = matches!(end, End::Ok(_));
        let record = Record {
            client: seat.number,
            key,
            ask,
            called,
            returned,
            end,
            again,
        };
        match &record.end {
            End::Ok(answer) => self.learn(&record, answer),
            End::Failed => {}
            // What became of it may show at any time, so its client is never done with it.
            End::Unknown => {
                seat.number = self.fresh_client();
                seat.session = None;
            }
        }
        seat.records.push(record);
        acknowledged
    }

    /// Asks once, under the operation's name if it writes; its end, if that is known now.
    async fn attempt(
        &self,
        seat: &mut Seat,
        key: &Bytes,
        ask: &Ask,
        asking: &mut Asking<'_>,
    ) -> Option<End> {
        let connection = &mut *asking.connection;
        if connection.is_none() {
            *connection = self.connect(seat).await;
        }
        let client = connection.as_mut()?;
        let prefix = asking.name.map(names::prefix);
        let prefix = prefix.iter().flatten().map(|word| &word[..]);
        let args: Vec<_> = prefix.chain(ask.args(key)).collect();
        asking.asked += 1;
        let answer = match timeout(TIMEOUT, client.call(&args)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(_)) | Err(_) => None,
        };
        let heard = answer.as_ref().map_or(Heard::Unknown, names::heard);
        let next = match (asking.name, &mut seat.session) {
            (Some(name), Some(session)) => session.heard(name, heard),
            // What changes nothing may be asked again as it is.
            _ if heard == Heard::Unknown => Next::AskAgain,
            _ => Next::Answered,
        };
        match next {
            Next::Answered => answer.map(|answer| ask.end(answer)),
            Next::NotApplied => Some(End::Failed),
            Next::AskAgain => None,
            Next::Applied | Next::Lost => Some(End::Unknown),
        }
    }

    fn choose(&self, seat: &mut Seat) -> (Bytes, Ask) {
        let mut keys = lock(&self.keys);
        let register = seat.random.below(keys.registers.len() as u64) as usize;
        let list = seat.random.below(keys.lists.len() as u64) as usize;
        let register_key = || Bytes::from(format!("r{register}"));
        match seat.random.below(100) {
            0..30 => (register_key(), Ask::Get),
            30..45 => (list_key(list, keys.lists[list].0), Ask::Get),
            45..65 => (register_key(), Ask::Put(self.value(seat))),
            65..80 => {
                let expected = keys.registers[register].clone();
                (
                    register_key(),
                    Ask::Cas {
                        expected,
                        new: self.value(seat),
                    },
                )
            }
            80..95 => {
                let (last, appends) = &mut keys.lists[list];
                if *appends == APPENDS_MAX {
                    (*last, *appends) = (*last + 1, 0);
                }
                *appends += 1;
                (
                    list_key(list, *last),
                    Ask::Append(format!("{}.{};", seat.number, seat.sequence).into()),
                )
            }
            _ => (
                format!("w{}.{}", seat.number, seat.sequence).into(),
                Ask::PutOnce(self.value(seat)),
            ),
        }
    }

    /// Unique, and as long as it was asked to be.
    fn value(&self, seat: &Seat) -> Bytes {
        let name = format!("{}-{}", seat.number, seat.sequence);
        format!("{name:.<width$}", width = self.value_bytes).into()
    }

    fn learn(&self, record: &Record, answer: &Answer) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let seen = match (&record.ask, answer) {
            (Ask::Get, Answer::Value(Some(value))) | (Ask::Put(value), _) => Some(value),
            (Ask::Cas { new, .. }, Answer::Swapped(true)) => Some(new),
            _ => None,
        };
        if let Some(seen) = seen
            && let Some(register) = record.key.strip_prefix(b"r")
            && let Some(at) = crate::machine::integer(register)
        {
            lock(&self.keys).registers[at as usize] = seen.clone();
        }
        if record.ask.writes() {
            let mut pause = lock(&self.pause);
            let gap = record.returned.saturating_sub(pause.last);
            pause.longest = pause.longest.max(gap);
            pause.last = pause.last.max(record.returned);
            drop(pause);
            let mut waiting = lock(&self.waiting);
            if let Some(waiting) = waiting.take_if(|waiting| record.called >= waiting.after) {
                // Who asked may have gone away.
                let _ = waiting.tell.send(record.returned);
            }
        }
    }
}

impl Seat {
    /// Every client has a node of its own to which it returns after a while, so that a node that
    /// was away serves again.
    fn goes_home(&mut self) -> bool {
        self.away = if self.node == self.home {
            0
        } else {
            self.away + 1
        };
        if self.away < AWAY_MAX {
            return false;
        }
        (self.away, self.node) = (0, self.home);
        true
    }
}

fn list_key(list: usize, last: u64) -> Bytes {
    format!("a{list}.{last}").into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One list for so many registers.
const LIST_SHARE: usize = 10;
const LISTS_MIN: usize = 8;
const APPENDS_MAX: u64 = 100;
/// How many operations a client spends away from its own node.
const AWAY_MAX: u64 = 200;
/// How long a client waits for an answer. The nodes give up sooner, so that as a rule they say
/// themselves what is known.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client tries to learn the end of its last operation when the load is over.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// After a refusal: a client that came back at once would only be refused again.
const PAUSE: Duration = Duration::from_millis(10);
