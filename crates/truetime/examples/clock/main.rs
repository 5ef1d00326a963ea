//! Who knows the time on this machine, how well, and what they agree on; live.
//!
//! ```text
//! cargo run --example clock -p synod-truetime                      the sources of this machine
//! cargo run --example clock -p synod-truetime -- --demo            simulated ones, of which one lies
//! cargo run --example clock -p synod-truetime -- --json --seconds 3
//! ```
//!
//! Each source is asked once a second; in between its interval grows by the drift that the oscillator
//! may have. Sources that others outvote are marked: certainly wrong, unless half of all are.

#[cfg(target_os = "linux")]
mod panel;
#[cfg(target_os = "linux")]
mod peers;
#[cfg(target_os = "linux")]
mod picture;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the clocks and the sources that this example shows are those of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IsTerminal, Write};
    use std::net::SocketAddr;
    use std::path::PathBuf;
    use std::time::Duration;

    use clap::Parser;
    use synod_truetime::{Clocks, SystemClocks};

    use crate::panel::Panel;
    use crate::picture::Picture;

    /// Who knows the time on this machine, how well, and what they agree on.
    #[derive(Debug, Parser)]
    pub(crate) struct Arguments {
        /// Ask the chronyd that listens for commands here; may be given several times.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:323")]
        pub(crate) chrony: Vec<SocketAddr>,
        /// Read ClockBound's segment here.
        #[arg(long, value_name = "PATH", default_value = "/var/run/clockbound/shm0")]
        pub(crate) clockbound: PathBuf,
        /// Take the wall clock for right within so many milliseconds: your word for it.
        #[arg(long, value_name = "MS")]
        pub(crate) fixed: Vec<u64>,
        /// Ask another one of these, which serves here; may be given several times.
        #[arg(long, value_name = "ADDRESS")]
        pub(crate) peer: Vec<SocketAddr>,
        /// Tell others, who ask here, what was agreed on.
        #[arg(long, value_name = "ADDRESS")]
        pub(crate) serve: Option<SocketAddr>,
        /// How far the oscillator may run from true time, in ppm.
        #[arg(long, value_name = "PPM", default_value_t = 200)]
        pub(crate) drift: u32,
        /// A simulated machine and simulated sources, ten times as fast as life.
        #[arg(long)]
        demo: bool,
        /// One JSON object a second.
        #[arg(long)]
        json: bool,
        /// Stop by itself.
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
    }

    pub(crate) fn main() -> io::Result<()> {
        let arguments = Arguments::parse();
        let mut panel = if arguments.demo {
            Panel::demo()
        } else {
            Panel::of_this_machine(&arguments)?
        };
        let out = io::stdout();
        let live = out.is_terminal() && !arguments.json;
        let coloured = live && std::env::var_os("NO_COLOR").is_none();
        // Who watches sees the intervals grow; who records wants one line for each question.
        let frame = Duration::from_millis(if live { 100 } else { 1000 });
        let clocks = SystemClocks::new();
        let started = clocks.local();
        let mut rows_up = 0;
        loop {
            let elapsed = Duration::from_nanos(clocks.local().nanos_since(started));
            if arguments
                .seconds
                .is_some_and(|seconds| elapsed >= Duration::from_secs(seconds))
            {
                return Ok(());
            }
            panel.advance(elapsed);
            let survey = panel.survey();
            let text = if arguments.json {
                survey.to_json().to_string() + "\n"
            } else {
                Picture::new(coloured).draw(&survey)
            };
            let mut out = out.lock();
            if live && rows_up > 0 {
                write!(out, "\x1b[{rows_up}A\x1b[J")?;
            }
            rows_up = text.lines().count();
            match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                // Whoever read this has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                done => done?,
            }
            pause(frame);
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "so many pictures a second, and no event to wait for"
    )]
    fn pause(frame: Duration) {
        std::thread::sleep(frame);
    }
}
