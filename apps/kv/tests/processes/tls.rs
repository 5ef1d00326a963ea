//! Nodes that speak TLS with each other and with clients, whose certificates change, and that stay on their machine
//! when nothing was chosen.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::ToSocketAddrs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::SystemTime,
};

use rcgen::{
    CertificateParams, CertificateRevocationListParams, DnType, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use synod_kv::{CertsOptions, Cluster, Protocol, certs, info_field};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ClientConnection, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use webpki::EndEntityCert;

use super::{
    POLL_EVERY, PROGRAM, TIMEOUT, number, signal, start_by, tool, write_until_acknowledged,
};

/// New certificates, ones that are of no use, and a list that revokes a node: read while the cluster runs.
pub(crate) async fn certificates_change_while_it_runs(protocol: Protocol) {
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("crl.pem");
    sign_for(folder.path());
    fs::write(&list, revoked(folder.path(), &[])).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key, ca) = (at("node-{id}.pem"), at("node-{id}.key"), at("ca.pem"));
    let crl = at("crl.pem");
    let arguments = [
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-ca",
        &ca,
        "--tls-crl",
        &crl,
    ];
    let (cluster, _data) = start_by(protocol, 3, &arguments).await;
    write_until_acknowledged(&cluster, 1, "before").await;

    sign_for(folder.path());
    hang_up(&cluster, &[1, 2, 3]).await;
    for id in cluster.ids() {
        until(&cluster, id, "reloads", |reloads| reloads == 1).await;
        until(&cluster, id, "renewals", |renewals| renewals >= 2).await;
    }
    write_until_acknowledged(&cluster, 2, "anew").await;

    let of_one = folder.path().join("node-1.pem");
    let before = fs::read(&of_one).unwrap();
    fs::write(&of_one, "nothing").unwrap();
    hang_up(&cluster, &[1]).await;
    until(&cluster, 1, "reloads_failed", |failed| failed >= 1).await;
    write_until_acknowledged(&cluster, 1, "still").await;
    assert_eq!(number(&cluster, 1, "reloads").await, 1);

    // Both others must refuse it: a leader that one of them still hears would be one that the other cannot reach.
    // The first does so while its own certificate is of no use.
    fs::write(&list, revoked(folder.path(), &[3])).unwrap();
    hang_up(&cluster, &[1, 2]).await;
    for id in [1, 2] {
        until(&cluster, id, "untrusted_revoked", |refused| refused > 0).await;
    }
    write_until_acknowledged(&cluster, 2, "without").await;
    // Somebody writes the list anew and is not done with it: nobody is let in meanwhile. Nor is what failed once
    // forgotten.
    let failed = number(&cluster, 2, "reloads_failed").await;
    fs::write(&list, "").unwrap();
    fs::write(&of_one, before).unwrap();
    hang_up(&cluster, &[1, 2]).await;
    until(&cluster, 2, "reloads_failed", |now| now > failed).await;
    let refused = number(&cluster, 2, "untrusted_revoked").await;
    until(&cluster, 2, "untrusted_revoked", |now| now > refused).await;
    fs::write(&list, revoked(folder.path(), &[])).unwrap();
    hang_up(&cluster, &[1, 2]).await;
    write_until_acknowledged(&cluster, 3, "again").await;
}

/// A node alone that serves clients by TLS, those who know the password.
#[tokio::test]
async fn clients_are_served_by_tls_when_they_know_the_password() {
    let folder = TempDir::new().unwrap();
    sign_for(folder.path());
    fs::write(folder.path().join("password"), "secret\n").unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (key, ca) = (at("node-1.key"), at("ca.pem"));
    let password = at("password");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let mut node = Alone::start_by_tls(
        folder.path(),
        &["--requirepass-file", &password, "--clients-max", "16"],
    );
    let address = node.address().expect("it serves");

    // What is plain is hung up on, without a word that could be taken for an answer.
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
    let mut told = Vec::new();
    let _reset = timeout(TIMEOUT, plain.read_to_end(&mut told))
        .await
        .unwrap();
    assert!(!told.windows(4).any(|word| word == b"PONG"), "{told:?}");

    // More than there are places for, of the honest client's own address: they begin to speak TLS, and go on to
    // say nothing.
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let mut half = TcpStream::connect(&address).await.unwrap();
        let _displaced = half.write_all(&[22, 3, 1]).await;
        crowd.push(half);
    }
    let mut client = encrypted(&address, folder.path()).await;
    assert_eq!(
        call(&mut client, "*1\r\n$4\r\nPING\r\n").await,
        "-NOAUTH Authentication required.\r\n"
    );
    let told = call(&mut client, "*2\r\n$4\r\nAUTH\r\n$5\r\nwrong\r\n").await;
    assert!(told.starts_with("-WRONGPASS"), "{told}");
    assert_eq!(
        call(&mut client, "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n").await,
        "+OK\r\n"
    );
    // More than a record each way, and more than the socket takes at once.
    let value = "v".repeat(300_000);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n{value}\r\n");
    let deadline = Instant::now() + TIMEOUT;
    while call(&mut client, &set).await != "+OK\r\n" {
        assert!(Instant::now() < deadline, "it leads nobody");
    }
    let asked = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(8);
    client.write_all(asked.as_bytes()).await.unwrap();
    let expected = format!("$300000\r\n{value}\r\n").repeat(8);
    let mut answers = vec![0; expected.len()];
    timeout(TIMEOUT, client.read_exact(&mut answers))
        .await
        .unwrap()
        .unwrap();
    assert!(
        answers == expected.as_bytes(),
        "the answers arrived changed"
    );
    let info = call(&mut client, "*2\r\n$4\r\nINFO\r\n$7\r\nclients\r\n").await;
    let failures = info_field(&info, "tls_failures").map(str::parse::<u64>);
    assert!(failures.unwrap().unwrap() >= 1, "{info}");
    assert!(info.contains("auth_failures:1\r\n"), "{info}");
    load_it(&address, &ca, &password).await;
    assert!(node.told().contains("node-1.key has mode 640: others"));
}

/// The load generator speaks to it, and believes nobody else.
async fn load_it(address: &str, ca: &str, password: &str) {
    let load = [
        "load",
        "--resp",
        address,
        "--clients",
        "4",
        "--seconds",
        "1",
    ];
    let secret = ["--password-file", password];
    let told = tool(PROGRAM, &[&load[..], &secret, &["--tls-ca", ca]].concat()).await;
    assert!(
        told.contains("4 clients") && !told.contains("errors"),
        "{told}"
    );
    let other = TempDir::new().unwrap();
    sign_for(other.path());
    let other = other.path().join("ca.pem").display().to_string();
    for (arguments, words) in [
        (
            [&secret[..], &["--tls-ca", &other]].concat(),
            "invalid peer certificate",
        ),
        (vec!["--tls-ca", ca, "--password-file", &ca], "WRONGPASS"),
    ] {
        let refused = Command::new(PROGRAM)
            .args(load)
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(words), "{told}");
    }
}

/// Thousands begin to shake hands with a node and do not end it, or say what is no TLS, or a byte now and then.
/// Meanwhile clients that are honest come, are answered and go, those that were there are answered, and the node takes
/// no more memory than is stated.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_half_handshakes_costs_a_node_little_and_keeps_nobody_out() {
    const CROWD: usize = 4_000;
    const CLIENTS_MAX: usize = 64;
    let folder = TempDir::new().unwrap();
    sign_for(folder.path());
    let clients_max = CLIENTS_MAX.to_string();
    let mut node = Alone::start_by_tls(folder.path(), &["--clients-max", &clients_max]);
    let address = node.address().expect("it serves");
    let mut honest = encrypted(&address, folder.path()).await;
    let deadline = Instant::now() + TIMEOUT;
    while call(&mut honest, SET).await != "+OK\r\n" {
        assert!(Instant::now() < deadline, "it leads nobody");
    }
    let before = resident_bytes(&node);
    let crowd = tokio::spawn(crowd(address.clone(), CROWD));
    let (mut largest, mut came) = (before, 0);
    while !crowd.is_finished() {
        assert_eq!(call(&mut honest, SET).await, "+OK\r\n");
        // One that comes while they do.
        let mut another = encrypted(&address, folder.path()).await;
        assert_eq!(call(&mut another, SET).await, "+OK\r\n");
        came += 1;
        largest = largest.max(resident_bytes(&node));
    }
    let slow = crowd.await.unwrap();
    // Of each that may be there: what rustls and a connection take; and what an allocator keeps.
    let stated = (CLIENTS_MAX + 8) as u64 * (64 << 10) + (16 << 20);
    let grown = largest - before;
    assert!(grown < stated, "{grown} bytes more, of {stated}");
    assert!(came > 0);
    let info = call(&mut honest, "*2\r\n$4\r\nINFO\r\n$7\r\nclients\r\n").await;
    let failures: u64 = info_field(&info, "tls_failures").unwrap().parse().unwrap();
    assert!(failures > CROWD as u64 / 8, "{info}");
    // Whoever says a byte now and then has five seconds for all of them.
    for mut one in slow {
        let cut = async {
            while one.write_all(&[0]).await.is_ok() {
                sleep(POLL_EVERY).await;
            }
        };
        timeout(TIMEOUT, cut).await.expect("it stays");
    }
    // Garbage behind a handshake is answered, and the end.
    let mut garbage = encrypted(&address, folder.path()).await;
    let told = call(&mut garbage, "\u{1}\u{2}\u{3}\r\n").await;
    assert!(told.starts_with("-ERR Protocol error"), "{told}");
    assert_eq!(call(&mut honest, SET).await, "+OK\r\n");
}

#[cfg(target_os = "linux")]
const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";

/// So many come, from a hundred addresses of loopback. Gives the last of them, who have begun and go on slowly.
#[cfg(target_os = "linux")]
async fn crowd(to: String, many: usize) -> Vec<TcpStream> {
    let (to, hello) = (to.parse().unwrap(), first_words());
    let mut standing = std::collections::VecDeque::new();
    for at in 0..many {
        let socket = TcpSocket::new_v4().unwrap();
        let last = 10 + u8::try_from(at % 100).unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        let said = match at % 8 {
            0 => &hello[..],
            1..3 => &hello[..50],
            3 => b"GET / HTTP/1.1\r\n\r\n",
            4 => &[0xff; 9_000],
            _ => b"",
        };
        let _displaced = stream.write_all(said).await;
        standing.push_back(stream);
        while standing.len() > 300 {
            standing.pop_front();
        }
    }
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(&hello[..5]).await.unwrap();
        slow.push(stream);
    }
    slow
}

/// With what somebody begins who speaks TLS.
#[cfg(target_os = "linux")]
fn first_words() -> Vec<u8> {
    let config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut words = Vec::new();
    tls.write_tls(&mut words).unwrap();
    words
}

#[cfg(target_os = "linux")]
fn resident_bytes(node: &Alone) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes.unwrap().parse::<u64>().unwrap() << 10
}

/// Debian's client, which has its TLS of OpenSSL.
#[tokio::test]
async fn redis_cli_speaks_tls_with_a_node() {
    let help = Command::new("redis-cli").arg("--help").output();
    let has_tls = help.is_ok_and(|help| {
        let told = [help.stdout, help.stderr].concat();
        String::from_utf8_lossy(&told).contains("--cacert")
    });
    if !has_tls {
        super::skipped(
            "redis_cli_speaks_tls_with_a_node",
            "there is no redis-cli that speaks TLS (Debian: redis-tools)",
        );
        return;
    }
    let folder = TempDir::new().unwrap();
    sign_for(folder.path());
    fs::write(folder.path().join("password"), "secret\n").unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (ca, password) = (at("ca.pem"), at("password"));
    let mut node = Alone::start_by_tls(folder.path(), &["--requirepass-file", &password]);
    let address = node.address().expect("it serves");
    let (host, port) = address.rsplit_once(':').unwrap();
    let client = async |arguments: &[&str]| {
        let reach = ["-h", host, "-p", port, "--tls", "--cacert", &ca];
        tool("redis-cli", &[&reach[..], arguments].concat()).await
    };
    let known = ["--no-auth-warning", "-a", "secret"];
    let deadline = Instant::now() + TIMEOUT;
    while client(&[&known[..], &["SET", "k", "v"]].concat())
        .await
        .trim()
        != "OK"
    {
        assert!(Instant::now() < deadline, "it leads nobody");
    }
    assert_eq!(
        client(&[&known[..], &["GET", "k"]].concat()).await.trim(),
        "v"
    );
    let told = client(&["GET", "k"]).await;
    assert!(told.contains("NOAUTH"), "{told}");
    // Whoever believes others does not speak to it, nor does who speaks no TLS.
    let other = TempDir::new().unwrap();
    sign_for(other.path());
    let other = other.path().join("ca.pem").display().to_string();
    for arguments in [&["--tls", "--cacert", &other][..], &[]] {
        let reach = ["-h", host, "-p", port];
        let output = Command::new("redis-cli")
            .args(reach)
            .args(arguments)
            .args(known)
            .args(["GET", "k"])
            .output();
        let told = String::from_utf8_lossy(&output.unwrap().stdout).into_owned();
        assert!(!told.contains('v') || told.contains("failed"), "{told}");
    }
}

/// Told nothing about protection, a node does not listen where others come, and says what can be done.
#[test]
fn off_its_machine_a_node_serves_only_when_that_was_chosen() {
    let folder = TempDir::new().unwrap();
    let cases = [
        (
            "127.0.0.1:0",
            "0.0.0.0:0",
            "clients at 0.0.0.0:",
            "--requirepass-file",
        ),
        (
            "0.0.0.0:0",
            "127.0.0.1:0",
            "between nodes at 0.0.0.0:",
            "--tls-cert",
        ),
        // It is no address as it stands, and leads to one of another machine.
        (
            "127.0.0.1:0,2=192.514:7000",
            "127.0.0.1:0",
            "at 192.0.2.2:7000",
            "--tls-cert",
        ),
    ];
    for (member, resp, words, way_out) in cases {
        if member.contains("192.514") && "192.514:7000".to_socket_addrs().is_err() {
            super::skipped(
                "off_its_machine",
                "this system takes 192.514 for no address",
            );
            continue;
        }
        let member = format!("1={member}");
        let mut node = Alone::start_at(folder.path(), &member, resp, &[]);
        assert_eq!(node.address(), None, "{member} {resp}");
        let told = node.told();
        for words in [words, way_out, "--insecure"] {
            assert!(told.contains(words), "{told}");
        }
    }
    let mut node = Alone::start(folder.path(), "0.0.0.0:0", &["--insecure"]);
    assert!(node.address().is_some(), "{}", node.told());
}

/// A certificate of each of three nodes, by the CA that is there.
pub(super) fn sign_for(folder: &Path) {
    let options = CertsOptions {
        out: folder.to_owned(),
        nodes: 3,
        cluster_id: 1,
        hosts: Vec::new(),
        days: 1,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the processes go by the time of the day"
    )]
    certs(&options, SystemTime::now()).unwrap();
}

/// A list of the CA in this folder that revokes the certificates of these nodes.
fn revoked(folder: &Path, nodes: &[u64]) -> String {
    let revoke = |node: &u64| {
        let path = folder.join(format!("node-{node}.pem"));
        let certificate = CertificateDer::from_pem_file(path).unwrap();
        let serial = EndEntityCert::try_from(&certificate).unwrap();
        RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial.serial()),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2096, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: nodes.iter().map(revoke).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let key = fs::read_to_string(folder.join("authority/ca.key")).unwrap();
    let mut issuer = CertificateParams::default();
    let name = "synod development CA of cluster 1";
    issuer.distinguished_name.push(DnType::CommonName, name);
    issuer.key_usages = vec![KeyUsagePurpose::CrlSign];
    let issuer = Issuer::new(issuer, KeyPair::from_pem(&key).unwrap());
    list.signed_by(&issuer).unwrap().pem().unwrap()
}

async fn hang_up(cluster: &Cluster, nodes: &[u64]) {
    let processes = nodes.iter().filter_map(|id| cluster.process_id(*id));
    signal("HUP", &processes.collect::<Vec<_>>()).await;
}

async fn until(cluster: &Cluster, id: u64, field: &str, is_so: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let value = number(cluster, id, field).await;
        if is_so(value) {
            return;
        }
        let log = || fs::read_to_string(cluster.log(id)).unwrap_or_default();
        assert!(
            Instant::now() < deadline,
            "node {id}: {field} is {value}\n{}",
            log()
        );
        sleep(POLL_EVERY).await;
    }
}

async fn encrypted(address: &str, folder: &Path) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap())
        .unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    timeout(TIMEOUT, connector.connect(name, stream))
        .await
        .unwrap()
        .unwrap()
}

/// One answer that comes in one piece.
async fn call(client: &mut TlsStream<TcpStream>, request: &str) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64 << 10];
    let read = timeout(TIMEOUT, client.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// The process of a node without peers.
struct Alone(Child);

impl Alone {
    fn start(folder: &Path, resp: &str, arguments: &[&str]) -> Self {
        Self::start_at(folder, "1=127.0.0.1:0", resp, arguments)
    }

    /// With the certificates in `folder`, also for its clients.
    fn start_by_tls(folder: &Path, arguments: &[&str]) -> Self {
        let at = |name: &str| folder.join(name).display().to_string();
        let (cert, key, ca) = (at("node-1.pem"), at("node-1.key"), at("ca.pem"));
        let files = ["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca];
        let arguments = [&files, &["--resp-tls"][..], arguments].concat();
        Self::start(folder, "127.0.0.1:0", &arguments)
    }

    fn start_at(folder: &Path, member: &str, resp: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command
            .args(["serve", "--id", "1", "--cluster", member, "--resp", resp])
            .args(["--exit-with-parent", "--log", "warn", "--data"])
            .arg(folder.join("data"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Where it serves clients; `None` when it ends without.
    fn address(&mut self) -> Option<String> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut()?)
            .read_line(&mut line)
            .unwrap();
        let (_, rest) = line.split_once("RESP on ")?;
        let end = rest.find([',', ' '])?;
        Some(rest[..end].to_owned())
    }

    /// What it has told. It is of no use afterwards.
    fn told(&mut self) -> String {
        let _ended = self.0.kill();
        let mut told = String::new();
        if let Some(stderr) = &mut self.0.stderr {
            stderr.read_to_string(&mut told).unwrap();
        }
        told
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}
