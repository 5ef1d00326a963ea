//! The programs of `docs/tutorial.md`, one after the other: a machine, a cluster in one process by either protocol, a
//! cluster on disks and sockets, a transport of one's own.
//!
//! `cargo run -p synod-replica --example tutorial`

mod machine;
mod memory;
mod metered;
mod sockets;

use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::conforms();
    println!("the machine conforms");
    memory::main().await?;
    sockets::main().await?;
    metered::conforms().await;
    Ok(())
}
