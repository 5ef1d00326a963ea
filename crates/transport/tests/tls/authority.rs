//! A CA, and what it signs.

use crate::net::CLUSTER;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use std::sync::atomic::{AtomicU64, Ordering};
use synod_transport::tls::node_name;
use synod_transport::{ClusterId, NodeId};

/// The first second of 2030: within what is signed here.
pub(crate) const NOW: u64 = 1_893_456_000;
/// The years from whose first day until whose first day a certificate is valid.
pub(crate) type Years = (i32, i32);
pub(crate) const VALID: Years = (2029, 2032);

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    serial: AtomicU64,
}

/// A certificate with its private key.
pub(crate) struct Shown {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) serial: u64,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::for_years(name, (1975, 4096))
    }

    /// The CA itself is valid no longer than that.
    pub(crate) fn for_years(name: &str, (from, until): Years) -> Self {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect("signs itself"),
            serial: 1.into(),
        }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Of a node of the tests' cluster.
    pub(crate) fn node(&self, id: u64) -> Shown {
        self.node_for(id, VALID)
    }

    pub(crate) fn node_for(&self, id: u64, years: Years) -> Shown {
        self.sign(&[&node_name(CLUSTER, NodeId(id))], years)
    }

    pub(crate) fn node_of(&self, cluster: ClusterId, id: u64) -> Shown {
        self.sign(&[&node_name(cluster, NodeId(id))], VALID)
    }

    pub(crate) fn sign(&self, names: &[&str], years: Years) -> Shown {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let (params, key) = (params(names, years, serial), key());
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        Shown {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            serial,
        }
    }

    /// A list of these.
    pub(crate) fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2029, 6, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2029, 6, 1),
            next_update: date_time_ymd(2031, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("signs");
        list.pem().expect("a text")
    }
}

/// A self-signed certificate.
pub(crate) fn self_signed(id: u64) -> Shown {
    let name = node_name(CLUSTER, NodeId(id));
    let (params, key) = (params(&[&name], VALID, 1), key());
    Shown {
        certificate: params.self_signed(&key).expect("signs itself").pem(),
        key: key.serialize_pem(),
        serial: 1,
    }
}

fn params(names: &[&str], (from, until): Years, serial: u64) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params.serial_number = Some(SerialNumber::from(serial));
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
