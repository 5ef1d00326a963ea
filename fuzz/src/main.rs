//! Runs a fuzz target: over files, each once, or as a fuzzer when it is built as one.
//!
//! `synod-fuzz NAME FILE...` is how a finding is seen again, with any toolchain and in any debugger.
//! Built with `--cfg fuzzing` and coverage (`.ci/fuzz` does so) the same program is libFuzzer,
//! whose arguments it then takes; the target's name is in `SYNOD_FUZZ`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod fuzzer {
    use std::sync::OnceLock;

    use synod_fuzz::Target;

    static CHOSEN: OnceLock<&Target> = OnceLock::new();

    fn chosen() -> &'static Target {
        CHOSEN.get_or_init(|| {
            let name = std::env::var("SYNOD_FUZZ").unwrap_or_default();
            synod_fuzz::target(&name).expect("SYNOD_FUZZ names a target")
        })
    }

    libfuzzer_sys::fuzz_target!(|data: &[u8]| chosen().run(data));
}

#[cfg(not(fuzzing))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        for target in synod_fuzz::TARGETS {
            println!("{}", target.name);
        }
        return Ok(());
    };
    if name == "seeds" {
        let folder = arguments.next().ok_or("seeds: into which folder?")?;
        return synod_fuzz::write_seeds(folder.as_ref()).map_err(Into::into);
    }
    let target = synod_fuzz::target(&name).ok_or("there is no such target")?;
    for path in arguments {
        let data = std::fs::read(&path)?;
        println!("{path}: {} bytes", data.len());
        target.run(&data);
    }
    Ok(())
}
