//! kv
fn main() {}
