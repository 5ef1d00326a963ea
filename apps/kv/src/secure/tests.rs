use super::*;

fn secured(options: SecurityOptions) -> Secured {
    Secured::read(&options).unwrap()
}

#[test]
fn clients_of_other_machines_need_protection_or_a_word() {
    let elsewhere = |address: &str| address.parse::<SocketAddr>().unwrap();
    let nothing = secured(SecurityOptions::default());
    for here in ["127.0.0.1:6379", "[::1]:6379", "[::ffff:127.0.0.1]:6379"] {
        assert_eq!(nothing.check_clients(elsewhere(here)), Ok(()), "{here}");
    }
    for open in ["0.0.0.0:6379", "[::]:6379", "10.0.0.1:6379"] {
        let refused = nothing.check_clients(elsewhere(open)).unwrap_err();
        let told = refused.to_string();
        for way_out in [open, "--resp-tls", "--requirepass-file", "--insecure"] {
            assert!(told.contains(way_out), "{told}");
        }
    }
    let insecure = secured(SecurityOptions {
        insecure: true,
        ..SecurityOptions::default()
    });
    assert_eq!(insecure.check_clients(elsewhere("0.0.0.0:1")), Ok(()));
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "secret\n").unwrap();
    let by_password = secured(SecurityOptions {
        requirepass_file: Some(file),
        ..SecurityOptions::default()
    });
    assert_eq!(by_password.check_clients(elsewhere("0.0.0.0:1")), Ok(()));
}

#[test]
fn what_may_be_half_written_is_not_used_and_what_is_of_no_use_is_tried_again() {
    let files = |ca: &[u8]| Files {
        certificate: b"certificate".to_vec(),
        key: b"key".to_vec(),
        ca: ca.to_vec(),
        crls: Vec::new(),
    };
    let (used, half, whole) = (files(b"one"), files(b"one, tw"), files(b"one, two"));
    let mut watch = Watch {
        used: used.clone(),
        seen: None,
    };
    let mut look = |found: &Files| watch.look(found);
    let looks = [
        &used, &half, &whole, &half, &whole, &whole, &whole, &used, &whole,
    ]
    .map(&mut look);
    use Look::{Changed, Changing, Same};
    let expected = [
        Same, Changing, Changing, Changing, Changing, Changed, Changed, Same, Changing,
    ];
    assert_eq!(looks, expected);
}

/// A list that is cut off would let in whoever is revoked.
#[test]
fn an_empty_list_is_no_list() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    for name in ["cert", "key", "ca", "crl"] {
        fs::write(file(name), name).unwrap();
    }
    let options = SecurityOptions {
        tls_cert: Some(file("cert")),
        tls_key: Some(file("key")),
        tls_ca: Some(file("ca")),
        tls_crl: Some(file("crl")),
        ..SecurityOptions::default()
    };
    let read = Files::read(&options).unwrap().unwrap();
    assert_eq!(
        (&*read.crls, &*read.config().crls),
        (&b"crl"[..], &b"crl"[..])
    );
    fs::write(file("crl"), "").unwrap();
    let error = Files::read(&options).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("revocation lists is empty"), "{error}");
}

#[test]
fn a_secret_that_others_may_read_is_noticed() {
    let directory = tempfile::TempDir::new().unwrap();
    let key = directory.path().join("key");
    fs::write(&key, "key").unwrap();
    let mut found = Vec::new();
    for mode in [0o600, 0o400, 0o640, 0o604, 0o620] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        found.push(shared_mode(&key));
    }
    assert_eq!(found, [None, None, Some(0o640), Some(0o604), Some(0o620)]);
    assert_eq!(shared_mode(&directory.path().join("nothing")), None);
}

#[tokio::test]
async fn peers_on_other_machines_need_protection_or_a_word() {
    let peers = |address: &str| BTreeMap::from([(NodeId(2), address.to_owned())]);
    let nothing = secured(SecurityOptions::default());
    assert_eq!(
        nothing
            .check_peers(NodeId(1), &peers("127.0.0.1:7000"))
            .await,
        Ok(())
    );
    let refused = nothing
        .check_peers(NodeId(1), &peers("192.0.2.1:7000"))
        .await;
    let told = refused.unwrap_err().to_string();
    for way_out in ["192.0.2.1:7000", "--tls-cert", "kv certs", "--insecure"] {
        assert!(told.contains(way_out), "{told}");
    }
    let insecure = secured(SecurityOptions {
        insecure: true,
        ..SecurityOptions::default()
    });
    assert_eq!(
        insecure
            .check_peers(NodeId(1), &peers("192.0.2.1:7000"))
            .await,
        Ok(())
    );
}
