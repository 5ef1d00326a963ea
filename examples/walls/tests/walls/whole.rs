//! Every demo as a person runs it, at its full size.

use std::env;
use std::process::Command;

const WALLS: [&str; 8] = [
    "cap",
    "clocks",
    "comforts",
    "fallacies",
    "flp",
    "generals",
    "illusion",
    "suspicion",
];

/// `WALLS_SEEDS` says for how many seeds; a hundred of them are for a build with optimisation.
#[test]
fn each_stands_as_it_is_run() {
    let seeds = env::var("WALLS_SEEDS").map_or(1, |text| text.parse().expect("a number"));
    for seed in 0..seeds {
        // The first is another than that of the course's commands.
        let seed = (1_000 + seed).to_string();
        for wall in WALLS {
            let run = Command::new(env!("CARGO_BIN_EXE_walls"))
                .args([wall, "--seed", &seed])
                .output()
                .expect("the program starts");
            let printed = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success(), "{wall} --seed {seed}:\n{printed}");
        }
    }
}
