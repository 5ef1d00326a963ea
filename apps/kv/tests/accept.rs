//! A process that has no descriptor left: the clients' port waits, says so in few lines, and is there
//! again when there are some.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs::File,
    io::{self, Write},
    net::TcpStream,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use synod_kv::{Client, Local, Server, ServerLimits, info_field};
use tokio::{net::TcpListener, runtime, sync::watch, time::timeout};

/// Alone in this file: whoever takes all descriptors of a process takes those of other tests as well.
/// So it is played in a process of its own, which may have few.
#[test]
fn the_clients_port_outlasts_a_lack_of_descriptors() {
    const INSIDE: &str = "SYNOD_FEW_DESCRIPTORS";
    if std::env::var_os(INSIDE).is_some() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        return runtime.unwrap().block_on(inside());
    }
    let played = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_clients_port_outlasts_a_lack_of_descriptors",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    // Shown without what its harness says, which is a list of failures within that of this one.
    let harness = String::from_utf8_lossy(&played.stdout);
    let told = String::from_utf8_lossy(&played.stderr);
    assert!(
        played.status.success() && harness.contains("1 passed"),
        "{told}"
    );
}

async fn inside() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let limits = ServerLimits::default();
    let server = tokio::spawn(Server::run(listener, Local::default(), limits, stopped));
    // Whoever is in stays in, and can look.
    let mut first = Client::connect(address).await.unwrap();
    assert_eq!(unaccepted(&mut first).await, 0);
    let program = std::env::current_exe().unwrap();
    let mut files: Vec<File> = std::iter::from_fn(|| File::open(&program).ok()).collect();
    drop(files.pop());
    // The system takes the connection in, and the server cannot have it.
    let waiting = TcpStream::connect(address).unwrap();
    let mut looked = 0;
    while looked <= 5 {
        let before = looked;
        looked = unaccepted(&mut first).await;
        assert!(
            looked <= before + 20,
            "tried at full speed: {looked} attempts behind {before}"
        );
        assert!(!server.is_finished(), "the port has ended");
    }
    let told = lines.of("a connection could not be accepted");
    assert!((1..=3).contains(&told), "{told} lines of {looked} attempts");
    // Its own descriptor is handed to tokio, which needs none for it.
    drop(files);
    waiting.set_nonblocking(true).unwrap();
    let waiting = tokio::net::TcpStream::from_std(waiting).unwrap();
    waiting.writable().await.unwrap();
    let ping = b"*1\r\n$4\r\nPING\r\n";
    assert_eq!(waiting.try_write(ping).unwrap(), ping.len());
    let mut answer = [0; 64];
    let bytes = loop {
        timeout(TIMEOUT, waiting.readable())
            .await
            .expect("it is let in")
            .unwrap();
        match waiting.try_read(&mut answer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => break read.unwrap(),
        }
    };
    assert_eq!(&answer[..bytes], b"+PONG\r\n");
}

async fn unaccepted(client: &mut Client) -> u64 {
    let text = timeout(TIMEOUT, client.info()).await.unwrap().unwrap();
    info_field(&text, "unaccepted_connections")
        .unwrap()
        .parse()
        .unwrap()
}

/// Keeps what is written into the log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn of(&self, words: &str) -> usize {
        let text = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&text);
        text.lines().filter(|line| line.contains(words)).count()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing here takes as long.
const TIMEOUT: Duration = Duration::from_secs(20);
