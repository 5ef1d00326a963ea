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
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use webpki::EndEntityCert;

use super::{PATIENCE, POLL_EVERY, PROGRAM, number, signal, start_by, write_until_acknowledged};

/// New certificates, ones that are of no use, and a list that revokes a node: read while the cluster runs.
pub(crate) async fn certificates_change_while_it_runs(protocol: Protocol) {
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("crl.pem");
    sign(folder.path());
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

    sign(folder.path());
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
    sign(folder.path());
    fs::write(folder.path().join("password"), "secret\n").unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key, ca) = (at("node-1.pem"), at("node-1.key"), at("ca.pem"));
    let password = at("password");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let arguments = [
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-ca",
        &ca,
        "--resp-tls",
        "--requirepass-file",
        &password,
        "--clients-max",
        "16",
    ];
    let mut node = Alone::start(folder.path(), "127.0.0.1:0", &arguments);
    let address = node.address().expect("it serves");

    // What is plain is hung up on, without a word that could be taken for an answer.
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
    let mut told = Vec::new();
    let _reset = timeout(PATIENCE, plain.read_to_end(&mut told))
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
    let deadline = Instant::now() + PATIENCE;
    while call(&mut client, &set).await != "+OK\r\n" {
        assert!(Instant::now() < deadline, "it leads nobody");
    }
    let asked = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(8);
    client.write_all(asked.as_bytes()).await.unwrap();
    let expected = format!("$300000\r\n{value}\r\n").repeat(8);
    let mut answers = vec![0; expected.len()];
    timeout(PATIENCE, client.read_exact(&mut answers))
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
    let told = node.told();
    assert!(told.contains("node-1.key has mode 640: others"), "{told}");
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
fn sign(folder: &Path) {
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
    let deadline = Instant::now() + PATIENCE;
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
    timeout(PATIENCE, connector.connect(name, stream))
        .await
        .unwrap()
        .unwrap()
}

/// One answer that comes in one piece.
async fn call(client: &mut TlsStream<TcpStream>, request: &str) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64 << 10];
    let read = timeout(PATIENCE, client.read(&mut answer))
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
