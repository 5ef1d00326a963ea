//! Two `chronyd` on the loopback interface: one serves, the other keeps (without touching) this
//! machine's clock by it, and is asked. The server follows nobody (`local`), as a server does that has lost its own.
//!
//! Neither needs a privilege, and neither touches the clock (`-x`). Skips itself where `chronyd` is
//! not installed.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use synod_truetime::source::chrony::{ChronySocket, Leap, LocalReference};
use synod_truetime::source::{Chrony, Source};
use synod_truetime::{
    Clocks, Config, Disciplined, Local, PollError, Sample, SourceError, Stratum, SystemClocks,
    TimeError, TrueTime, Unsynchronized,
};

/// A `chronyd`, what it says, and its end.
struct Daemon {
    child: Child,
    log: Receiver<String>,
}

impl Daemon {
    fn start(program: &str, folder: &Path, name: &str, configuration: &str) -> Self {
        let file = folder.join(name).with_extension("conf");
        let pid = folder.join(name).with_extension("pid");
        // In a folder of its own, which nobody else may write to: otherwise it makes no socket there.
        let sockets = folder.join(name);
        fs::create_dir(&sockets).unwrap();
        fs::set_permissions(&sockets, fs::Permissions::from_mode(0o770)).unwrap();
        let common = format!(
            "bindcmdaddress {}\nbindcmdaddress 127.0.0.1\npidfile {}\n",
            sockets.join("chronyd.sock").display(),
            pid.display()
        );
        fs::write(&file, common + configuration).unwrap();
        // As whoever runs the test: it neither touches the clock nor needs to change its user.
        let mut child = Command::new(program)
            .args(["-x", "-d", "-U", "-u", &user(), "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, log) = channel();
        // Ends with the daemon, whose end closes the pipe.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("chronyd: {line}");
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, log }
    }

    /// Waits until it says so; `false` if it ends without.
    fn says(&self, text: &str) -> bool {
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(text) => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("chronyd does not say \"{text}\""),
            }
        }
    }

    /// Waits until it answers, synchronised or not; `None` if it ends without, or goes on without its port.
    fn answers(&self, source: &Chrony<SystemClocks>) -> Option<()> {
        let started = SystemClocks::new().local();
        while source.tracking().is_err() {
            assert!(!is_over(started), "chronyd does not answer");
            if !self.lives_on(Duration::from_millis(10)) {
                return None;
            }
        }
        Some(())
    }

    /// Lets a while pass; `false` if it ends in it, or says that a port was taken before it came: it serves on
    /// without that one.
    #[must_use]
    fn lives_on(&self, pause: Duration) -> bool {
        loop {
            match self.log.recv_timeout(pause) {
                Ok(line) if line.contains("Could not open") => return false,
                Ok(_) => {}
                Err(end) => return end == RecvTimeoutError::Timeout,
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server and a client that listens to it, or `None` without `chronyd`.
struct Rig {
    server: Daemon,
    client: Daemon,
    at_server: Chrony<SystemClocks>,
    source: Chrony<SystemClocks>,
    folder: tempfile::TempDir,
}

impl Rig {
    fn start() -> Option<Self> {
        Self::with("local stratum 1", "rtcsync")
    }

    /// With a line of its own in the configuration of each.
    fn with(of_server: &str, of_client: &str) -> Option<Self> {
        let program = chronyd()?;
        // A port may be taken between the choice and the use: then a daemon ends at once, or does without it.
        (0..3)
            .find_map(|_| Self::attempt(program, of_server, of_client))
            .or_else(|| panic!("chronyd does not start"))
    }

    fn attempt(program: &str, of_server: &str, of_client: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let [serve, serve_commands, commands] = free_ports();
        let server = Daemon::start(
            program,
            folder.path(),
            "server",
            &format!(
                "port {serve}\nbindaddress 127.0.0.1\nallow 127.0.0.1\n\
                 {of_server}\ncmdport {serve_commands}\n"
            ),
        );
        let at_server = asker(serve_commands);
        server.answers(&at_server)?;
        let client = Daemon::start(
            program,
            folder.path(),
            "client",
            // Asks sixteen times a second, and takes the oscillator for as bad as 50 ppm.
            &format!(
                "port 0\ncmdport {commands}\nmaxclockerror 50\n{of_client}\n\
                 server 127.0.0.1 port {serve} iburst minpoll -4 maxpoll -4\n"
            ),
        );
        let source = asker(commands);
        client.answers(&source)?;
        Some(Self {
            server,
            client,
            at_server,
            source,
            folder,
        })
    }
}

/// Its name, if it is there; ordinary users do not always look for it where it is.
fn chronyd() -> Option<&'static str> {
    let found = ["chronyd", "/usr/sbin/chronyd"]
        .into_iter()
        .find(|program| {
            let mut version = Command::new(program);
            version.arg("-v").stdout(Stdio::null());
            version.status().is_ok()
        });
    if found.is_none() {
        // Past the harness, which shows the output of a test only if it fails.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED a test with chronyd: it is not installed (Debian: apt-get install chrony)"
        );
    }
    found
}

fn user() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

/// Asks the daemon that listens for commands there, and waits for it on a machine that does much else.
fn asker(port: u16) -> Chrony<SystemClocks> {
    Chrony::new(SystemClocks::new())
        .at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .with_timeout(Duration::from_secs(5))
        .with_age_max(AGE_MAX)
}

/// Ports on which nobody listens, all different because they are held until all are known.
fn free_ports<const N: usize>() -> [u16; N] {
    let sockets: [_; N] = std::array::from_fn(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// Whether the wall clock, which the server tells as it is, lies in the sample's interval.
fn contains_the_clock(sample: &Sample) -> bool {
    // The wall clock at the sample's instant: now, less what the oscillator has counted since.
    let clocks = SystemClocks::new();
    let before = clocks.local().nanos_since(sample.at);
    let wall = clocks.realtime();
    let after = clocks.local().nanos_since(sample.at);
    // Slewing and drift between the two are below a thousandth.
    let slack = after - before + after / 1000;
    let wall_then = wall.earlier(before);
    sample.interval.widen(slack).contains(wall_then)
}

/// It lives on without a port that somebody else took before it came: the rig tries others.
#[test]
fn a_daemon_without_its_port_is_not_waited_for() {
    let Some(program) = chronyd() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let configuration = format!("port 0\ncmdport {port}\n");
    let daemon = Daemon::start(program, folder.path(), "client", &configuration);
    let source = asker(port).with_timeout(Duration::from_millis(50));
    assert_eq!(daemon.answers(&source), None);
}

#[test]
fn a_server_that_stops_makes_the_interval_grow_and_then_fail() {
    let Some(rig) = Rig::start() else {
        return;
    };
    // Nothing is known before the first answer of the server, and nothing is claimed.
    if let Err(error) = rig.source.sample() {
        assert_eq!(error, SourceError::NotSynchronized(Unsynchronized::Said));
    }
    rig.settles();
    let Rig {
        server,
        client,
        source,
        folder: _folder,
        ..
    } = rig;
    let clock = Disciplined::new(&source, SystemClocks::new(), Config::default());
    clock.poll().unwrap();
    drop(server);
    let (samples, failure) = until_it_fails(&source, &clock, &client);
    assert_eq!(failure, SourceError::NotSynchronized(Unsynchronized::Old));
    // Nor does the clock outlive it.
    let time = clock.now();
    assert!(matches!(time, Err(TimeError::Stale { .. })), "{time:?}");
    // It still claims to be synchronised: it is we who do not believe it any more.
    assert_eq!(source.tracking().unwrap().leap, Leap::Normal);
    check_growth(&samples);
    drop(client);
    assert_eq!(source.sample(), Err(SourceError::Unavailable));
}

/// The socket in the file system tells the same as the port, and nothing is left behind by the question.
#[test]
fn the_socket_tells_what_the_port_tells() {
    let Some(rig) = Rig::start() else {
        return;
    };
    rig.settles();
    let sockets = rig.folder.path().join("client");
    let by_socket = ChronySocket::new(SystemClocks::new())
        .at(sockets.join("chronyd.sock"))
        .with_timeout(Duration::from_secs(5));
    let tracking = by_socket.tracking().unwrap();
    assert_eq!(
        (tracking.reference_id, tracking.stratum),
        ([127, 0, 0, 1], 2)
    );
    let sample = by_socket.sample().unwrap();
    assert!(contains_the_clock(&sample), "{sample:?}");
    let left: Vec<_> = fs::read_dir(&sockets)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["chronyd.sock"]);
    drop(rig.client);
    assert_eq!(by_socket.sample(), Err(SourceError::Unavailable));
}

/// A server that follows nobody calls itself synchronised, with an error of nothing; its client shows a stratum.
#[test]
fn a_server_that_goes_by_itself_and_its_client_are_not_believed() {
    let Some(rig) = Rig::with("local stratum 10", "") else {
        return;
    };
    assert!(rig.client.says("Selected source"), "the client has ended");
    let tracking = rig.at_server.tracking().unwrap();
    assert_eq!((tracking.leap, tracking.stratum), (Leap::Normal, 10));
    assert_eq!(tracking.reference_id, [127, 127, 1, 1]);
    assert!(tracking.bound_nanos() < 1_000, "{tracking:?}");
    let local = SourceError::NotSynchronized(Unsynchronized::LocalReference);
    assert_eq!(rig.at_server.sample(), Err(local));

    let tracking = rig.source.tracking().unwrap();
    assert_eq!((tracking.leap, tracking.stratum), (Leap::Normal, 11));
    assert_eq!(tracking.reference_id, [127, 0, 0, 1], "nothing else tells");
    let far = SourceError::NotSynchronized(Unsynchronized::Stratum {
        stratum: Stratum::new(11),
        stratum_max: Stratum::MAX_DEFAULT,
    });
    assert_eq!(rig.source.sample(), Err(far));

    // Opted in by name: both share one clock, and their intervals meet.
    let bound = Duration::from_millis(500);
    let server = rig
        .at_server
        .with_local_reference(LocalReference::here([127, 0, 0, 1], bound));
    let client = rig
        .source
        .with_local_reference(LocalReference::at([127, 0, 0, 1], bound));
    for source in [server, client] {
        let sample = source.sample().unwrap();
        assert!(sample.interval.epsilon() >= bound);
        assert!(contains_the_clock(&sample), "{sample:?}");
    }
}

/// A client with `local` that loses its server goes by itself: the bound would fall to nothing, and it is refused
/// instead. `rtcsync` changes nothing of what is answered here: it is for the kernel, which these daemons do not
/// touch.
#[test]
fn a_client_that_loses_its_server_does_not_become_better() {
    // It goes by itself as soon as its error could be more than 2 ms, and takes its oscillator for as bad as 0.1 %.
    let lines = "local stratum 8 distance 0.002\nmaxclockerror 1000\nrtcsync";
    let Some(rig) = Rig::with("local stratum 1", lines) else {
        return;
    };
    let source = rig.source.with_age_max(Duration::from_secs(2400));
    let started = SystemClocks::new().local();
    while source.sample().is_err() {
        assert!(rig.client.lives_on(Duration::from_millis(50)));
        assert!(!is_over(started), "it is never synchronised");
    }
    let clock = Disciplined::new(&source, SystemClocks::new(), Config::default());
    clock.poll().unwrap();
    drop(rig.server);
    let local = SourceError::NotSynchronized(Unsynchronized::LocalReference);
    let (mut refused, mut epsilon) = (0, Duration::ZERO);
    while refused < 20 {
        match clock.poll() {
            Ok(_) => assert_eq!(refused, 0, "believed again"),
            Err(error) => {
                assert_eq!(error, PollError::Source(local));
                refused += 1;
                let now = clock.now().unwrap().epsilon();
                assert!(now > epsilon, "it falls from {epsilon:?} to {now:?}");
                epsilon = now;
            }
        }
        assert!(rig.client.lives_on(Duration::from_millis(50)));
        assert!(!is_over(started), "its local reference never takes over");
    }
    let claimed = source.tracking().unwrap();
    println!(
        "it claims {} ns now, and is believed to {epsilon:?}",
        claimed.bound_nanos()
    );
    assert!(Duration::from_nanos(claimed.bound_nanos()) < epsilon);
}

impl Rig {
    /// The first interval holds the clock, and it becomes narrow.
    fn settles(&self) {
        assert!(self.client.says("Selected source"), "the client has ended");
        let first = self.source.sample().unwrap();
        println!("synchronised: {:?} wide", first.interval.width());
        assert!(contains_the_clock(&first), "{first:?}");
        let started = SystemClocks::new().local();
        while self.source.sample().unwrap().interval.epsilon() > SETTLED {
            assert!(self.client.lives_on(Duration::from_millis(50)));
            assert!(!is_over(started), "the bound stays wide");
        }
        let settled = self.source.sample().unwrap();
        println!("settled: {:?} wide", settled.interval.width());
        assert!(contains_the_clock(&settled), "{settled:?}");
    }
}

/// Asks until there is no answer any more. Every answer until then is right, and so is every reading of
/// the clock that is made of them.
fn until_it_fails(
    source: &Chrony<SystemClocks>,
    clock: &Disciplined<&Chrony<SystemClocks>, SystemClocks>,
    client: &Daemon,
) -> (Vec<Sample>, SourceError) {
    let stopped = SystemClocks::new().local();
    let mut samples = Vec::new();
    loop {
        match source.sample() {
            Ok(sample) => {
                assert!(contains_the_clock(&sample), "it lies: {sample:?}");
                // Between the two questions the last update may have become too old.
                let _ = clock.poll();
                check_the_clock(clock);
                samples.push(sample);
            }
            Err(error) => return (samples, error),
        }
        assert!(client.lives_on(Duration::from_millis(50)));
        assert!(!is_over(stopped), "it never fails");
    }
}

/// A reading holds the wall clock, or there is none because it is too late.
fn check_the_clock(clock: &impl TrueTime) {
    let before = SystemClocks::new().realtime();
    let now = clock.now();
    let after = SystemClocks::new().realtime();
    match now {
        Ok(now) => assert!(now.earliest() <= after && before <= now.latest(), "{now}"),
        Err(TimeError::Stale { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Without a server the bound grows at `maxclockerror` at the least, and so does the age.
fn check_growth(samples: &[Sample]) {
    // When the second was taken, the last answers on their way had been heard.
    let (first, last) = (samples[1], samples[samples.len() - 1]);
    let elapsed_nanos = last.at.nanos_since(first.at);
    let elapsed = Duration::from_nanos(elapsed_nanos);
    let grown = last
        .interval
        .epsilon()
        .saturating_sub(first.interval.epsilon());
    println!("without a server the bound grew by {grown:?} in {elapsed:?}, and then it failed");
    assert!(
        elapsed > Duration::from_millis(500),
        "it failed after {elapsed:?}"
    );
    // Less what the question took the first time and not the last.
    let least = Duration::from_nanos(elapsed_nanos * 50 / 1_000_000);
    assert!(
        grown + Duration::from_micros(20) > least,
        "{grown:?} in {elapsed:?}"
    );
    assert!(last.valid_for < first.valid_for);
}

fn is_over(started: Local) -> bool {
    let elapsed_nanos = SystemClocks::new().local().nanos_since(started);
    Duration::from_nanos(elapsed_nanos) > DEADLINE
}

/// The update before the server stops is told as up to a second older than it is.
const AGE_MAX: Duration = Duration::from_millis(2500);
const SETTLED: Duration = Duration::from_millis(5);
/// What takes less than a second takes no longer than this on a machine that does much else.
const DEADLINE: Duration = Duration::from_secs(30);
