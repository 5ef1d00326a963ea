//! What turns a stranger's bytes, or a file's, into values.

pub(crate) mod identity;
pub(crate) mod kv_request;
pub(crate) mod kv_state;
pub(crate) mod lamport_text;
pub(crate) mod paxos_wire;
pub(crate) mod raft_wire;
pub(crate) mod replica_body;
pub(crate) mod shiviz;
pub(crate) mod transport_stream;
pub(crate) mod truetime_source;
pub(crate) mod vclock_text;
pub(crate) mod vclock_wire;
pub(crate) mod wal_record;
pub(crate) mod wal_snapshot;
