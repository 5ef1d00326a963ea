//! Logs in the form that ShiViz reads.

use synod_vclock::shiviz::{Layout, Log};

use crate::memory::bounded;
use crate::script::Script;

/// First byte: the layout. Then the log.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let layout = script.pick(&LAYOUTS);
    let Ok(text) = std::str::from_utf8(script.rest()) else {
        return;
    };
    let log = match bounded(text.len(), || Log::parse(text, layout)) {
        Ok(log) => log,
        Err(error) => {
            assert!(error.line <= text.lines().count() + 1, "{error}");
            return;
        }
    };
    for layout in LAYOUTS {
        let records = log.records().iter();
        let again: String = records
            .map(|record| record.display(layout).to_string())
            .collect();
        assert_eq!(Log::parse(&again, layout).as_ref(), Ok(&log), "{again}");
    }
    for (from, to) in log.messages() {
        assert!(from < log.records().len() && to < log.records().len() && from != to);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "\0started\na {\"a\":1}\n\nsent \\n\nb {\"a\":1, \"b\":1}\nstopped\na {\"a\":2}\n",
        "\x01a {\"a\":1}\nstarted\nb {\"b\":1}\nother\na {\"a\":2, \"b\":1}\nheard\n",
        "\x01a\\u0062 {\"a\\u0062\":1}\nescaped\n",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}

const LAYOUTS: [Layout; 2] = [Layout::EventFirst, Layout::ClockFirst];
