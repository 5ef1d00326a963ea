//! The page in a real browser. Where there is none, the test says so and is over.

use std::path::PathBuf;

use super::runs::{EVIL, by_hand, long, twice};
use super::webdriver::Browser;
use synod_sim::page::Recorder;

/// One browser for all: starting it takes longer than most of what is looked at.
#[test]
fn pages_work_in_a_browser() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let small = written("small", &by_hand());
    browser.open(&small, "");
    opens_at_the_violation(&browser);
    moves_with_keys_and_slider(&browser);
    hover_shows_messages_and_nodes(&browser);
    a_click_lights_past_and_future(&browser);
    lost_messages_do_not_look_delivered(&browser);
    the_filter_hides(&browser);
    a_link_holds_the_moment(&browser, &small);
    can_be_read_in_both_schemes(&browser);
    assert_eq!(browser.run("window.hacked"), "undefined", "markup was read");
    says_nothing_to_the_console(&browser);
    runs_are_apart(&browser);
    says_nothing_to_the_console(&browser);
    ten_thousand_events_stay_responsive(&browser);
    says_nothing_to_the_console(&browser);
}

fn written(name: &str, recorder: &Recorder) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}.html"));
    recorder.write(&path).expect("it is written");
    path
}

fn says_nothing_to_the_console(browser: &Browser) {
    assert_eq!(browser.console(), "{\"value\":[]}");
}

/// The number of the event at the slider's moment.
fn moment(browser: &Browser) -> f64 {
    browser.number("synodPage.events[synodPage.view.moment].number")
}

fn opens_at_the_violation(browser: &Browser) {
    assert_eq!(moment(browser), 8.0, "the moment of the violation");
    let banner = browser.run("document.getElementById('violation').textContent");
    assert!(
        banner.starts_with("Violation at event 8: rule: broken <script>"),
        "{banner}"
    );
    let row = browser.run("document.querySelector('tr[aria-current]').textContent");
    assert!(
        row.starts_with('8') && row.contains("VIOLATION: rule: broken"),
        "{row}"
    );
    assert_eq!(
        browser.run("document.querySelectorAll('tbody tr').length"),
        "9"
    );
    let title = browser.run("document.querySelector('h1').textContent");
    assert_eq!(title, "By hand <b>not bold</b>");
    // The log of a at this moment, committed and not, and its clock beside the true time.
    let cells = browser.run(
        "[...document.querySelectorAll('#nodes article:first-child .cell')].map((cell) => cell.className)",
    );
    assert_eq!(cells, "cell committed,cell open");
    let clock =
        browser.run("document.querySelector('#nodes article:first-child .clock').textContent");
    assert_eq!(clock, "Clock beside true time: -1.000 to 2.000 ms");
}

/// Each run counts its own time, and has its own causes.
fn runs_are_apart(browser: &Browser) {
    browser.open(&written("twice", &twice()), "");
    assert_eq!(moment(browser), 4.0, "the page opens at what it shows");
    let banner = browser.run("document.getElementById('violation').textContent");
    assert_eq!(banner, "Shown at event 4: where both part");
    browser.run("(synodPage.goTo(6), synodPage.choose(6))");
    let now = browser.run("document.getElementById('now').textContent");
    assert_eq!(now, "event 7, 5.000 ms");
    let past = browser.number("synodPage.view.past.size");
    assert_eq!(past, 0.0, "a cause in another run");
    browser.run("synodPage.choose(3)");
    assert_eq!(browser.number("synodPage.view.past.size"), 2.0);
    assert_eq!(browser.number("synodPage.runs.length"), 2.0);
}

fn moves_with_keys_and_slider(browser: &Browser) {
    browser.press(LEFT);
    assert_eq!(moment(browser), 7.0);
    assert_eq!(browser.run("location.hash"), "#event=7");
    assert_eq!(
        browser.run("document.querySelector('#nodes article:last-child').className"),
        "node down"
    );
    browser.press(HOME);
    assert_eq!(moment(browser), 1.0);
    // The middle of the slider.
    let spot = spot_of(
        browser,
        "document.getElementById('moment').getBoundingClientRect()",
    );
    browser.point(spot, true);
    assert_eq!(moment(browser), 5.0, "the slider moves");
    assert!(
        browser
            .run("document.getElementById('now').textContent")
            .starts_with("event 5,")
    );
    browser.press('v');
    assert_eq!(moment(browser), 8.0);
    let played = browser.wait(
        "document.getElementById('speed').value = '128'; document.getElementById('play').click();
         const look = () => synodPage.view.moment === 8 ? done('end') : requestAnimationFrame(look);
         look();",
    );
    assert_eq!(played, "end");
    browser.press('v');
    assert!(browser.number("synodPage.drawn.frames") > 0.0);
}

fn spot_of(browser: &Browser, frame: &str) -> (f64, f64) {
    let x = browser.number(&format!("{frame}.x + {frame}.width / 2"));
    let y = browser.number(&format!("{frame}.y + {frame}.height / 2"));
    (x, y)
}

/// Where something of the diagram is in the window.
fn spot_in_diagram(browser: &Browser, what: &str) -> (f64, f64) {
    let frame = "document.getElementById('diagram').getBoundingClientRect()";
    drop(browser.wait("requestAnimationFrame(() => requestAnimationFrame(done))"));
    let x = browser.number(&format!("{frame}.x + {what}.x"));
    let y = browser.number(&format!("{frame}.y + {what}.y"));
    (x, y)
}

fn hover_shows_messages_and_nodes(browser: &Browser) {
    let hello = "synodPage.drawn.messages.find((spot) => spot.message.name === 'Hello')";
    let middle = format!(
        "(() => {{ const {{ from, to }} = {hello};
          return {{ x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 }}; }})()"
    );
    browser.point(spot_in_diagram(browser, &middle), false);
    let told = browser.run("document.getElementById('hover').textContent");
    assert!(
        told.contains("Hello, a → b") && told.contains(EVIL),
        "{told}"
    );
    assert!(
        told.contains("sent by event 1") && told.contains("received by event 2"),
        "{told}"
    );
    browser.point(spot_in_diagram(browser, &event(8)), false);
    let told = browser.run("document.getElementById('hover').textContent");
    assert!(
        told.contains("Event 8") && told.contains("log up to 2 (count 2)"),
        "{told}"
    );
    assert!(told.contains("committed up to 1"), "{told}");
}

/// An event of this number, where it is drawn.
fn event(number: u64) -> String {
    format!("synodPage.drawn.events.find((spot) => spot.event.number === {number})")
}

fn a_click_lights_past_and_future(browser: &Browser) {
    browser.point(spot_in_diagram(browser, &event(6)), true);
    let of = |relation: &str| {
        browser.run(&format!(
            "[...document.querySelectorAll('tr.{relation}')].map((row) => row.cells[0].textContent)"
        ))
    };
    assert_eq!(of("past"), "1,2,5", "the causal past of 6");
    assert_eq!(of("future"), "8,9", "the causal future of 6");
    assert_eq!(of("concurrent"), "3,4,7", "what is concurrent with 6");
    assert_eq!(of("chosen"), "6");
    assert_eq!(browser.run("location.hash"), "#event=6&chosen=6");
    let words = browser.run("document.getElementById('chosen').textContent");
    assert!(words.contains("3 events can have caused it"), "{words}");
    browser.press(ESCAPE);
    assert_eq!(of("concurrent"), "");
    browser.press('v');
}

fn lost_messages_do_not_look_delivered(browser: &Browser) {
    let line = |name: &str| {
        drop(browser.wait("requestAnimationFrame(() => requestAnimationFrame(done))"));
        browser.number(&format!(
            "synodPage.drawn.messages.find((spot) => spot.message.name === '{name}').to.y"
        ))
    };
    let node = |number: u64| browser.number(&format!("{}.y", event(number)));
    assert_eq!(
        line("Answer"),
        node(8),
        "what arrives ends at the line of its receiver"
    );
    let (from, to) = (node(5), node(7));
    let lost = line("Lost");
    assert!(
        from < lost && lost < to - 10.0,
        "a lost message reaches {to}: {lost}"
    );
}

fn the_filter_hides(browser: &Browser) {
    let click = "[...document.querySelectorAll('#filter .choice')]
        .find((choice) => choice.textContent.startsWith('timer')).querySelector('input').click()";
    let rows = "[...document.querySelectorAll('tbody tr')].map((row) => row.cells[0].textContent)";
    browser.run(click);
    assert_eq!(browser.run(rows), "1,2,3,5,6,7,8,9");
    browser.run(click);
    assert_eq!(browser.run(rows), "1,2,3,4,5,6,7,8,9");
}

fn a_link_holds_the_moment(browser: &Browser, page: &std::path::Path) {
    browser.open(page, "#event=5&chosen=4");
    assert_eq!(moment(browser), 5.0);
    assert_eq!(browser.number("synodPage.view.chosen"), 3.0);
    browser.run("location.hash = '#event=2'");
    drop(browser.wait("requestAnimationFrame(() => requestAnimationFrame(done))"));
    assert_eq!(moment(browser), 2.0);
    // Of a page that has no such event, the beginning.
    browser.open(page, "#event=700&chosen=x");
    assert_eq!(moment(browser), 8.0);
}

/// Contrast as WCAG 2.2 counts it: text 4.5 to 1, shapes 3 to 1.
fn can_be_read_in_both_schemes(browser: &Browser) {
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let poor = browser.run(CONTRAST);
        assert_eq!(poor, "", "{scheme}: too little contrast");
    }
    let ground = browser.run("getComputedStyle(document.body).backgroundColor");
    assert_eq!(ground, "rgb(20, 25, 31)", "it is dark in the dark");
    browser.prefer("light");
}

/// What a frame draws is bounded by its window, however long the run is; how long it takes is told.
fn ten_thousand_events_stay_responsive(browser: &Browser) {
    let mut most = Vec::new();
    for events in [1_000, 10_000] {
        browser.open(&written("long", &long(events)), "#event=1");
        assert_eq!(browser.run("synodPage.events.length"), events.to_string());
        let told = browser.wait(FRAMES);
        println!("{events} events, 60 frames: {told}");
        let drawn = told
            .split(' ')
            .next()
            .and_then(|drawn| drawn.parse::<u64>().ok());
        most.push(drawn.expect("a number"));
    }
    // A window of 1400 pixels has no more than 400 events at the least width, three lines, and what
    // passes.
    assert!(
        most[1] <= most[0] + 50,
        "more events, more work in a frame: {most:?}"
    );
    assert!(most[1] <= 2_000, "{most:?} things are drawn");
}

/// Through all of a run, as wide as it can be seen: the most that a frame drew, and how long frames took.
const FRAMES: &str = "
    const zoom = document.getElementById('zoom');
    zoom.value = zoom.min;
    zoom.dispatchEvent(new Event('input'));
    const page = synodPage;
    const times = [];
    let most = 0;
    const frame = (number) => {
        if (number === 60) {
            times.sort((one, other) => one - other);
            const at = (share) => times[Math.floor(times.length * share)].toFixed(1);
            return done(`${most} things drawn at most, ${at(0.5)} ms in the middle, ${at(0.95)} ms at 95 %, `
                + `${at(0.999)} ms at most`);
        }
        const began = performance.now();
        page.goTo(Math.floor((page.events.length - 1) * number / 59));
        if (number % 10 === 0) page.choose(page.view.moment);
        page.draw();
        times.push(performance.now() - began);
        most = Math.max(most, page.drawn.count);
        requestAnimationFrame(() => frame(number + 1));
    };
    frame(0);";

const CONTRAST: &str = "(() => {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue('--' + name).trim();
    const light = (color) => {
        const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255);
        const linear = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const contrast = (one, other) => {
        const [low, high] = [light(read(one)), light(read(other))].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const shapes = ['start', 'crash', 'message', 'timer', 'disk-sync', 'request', 'fault', 'election',
        'commit', 'note'];
    const pairs = [['ink', 'ground', 4.5], ['ink', 'panel', 4.5], ['faint', 'ground', 4.5], ['faint', 'panel', 4.5],
        ['found', 'ground', 4.5], ['ink', 'alarm', 4.5], ['past', 'ground', 4.5], ['future', 'ground', 4.5],
        ['lost', 'ground', 3], ['call', 'ground', 3], ...shapes.map((shape) => ['kind-' + shape, 'ground', 3])];
    const poor = pairs.filter(([one, other, least]) => !(contrast(one, other) >= least));
    return poor.map(([one, other]) => `${one} on ${other}: ${contrast(one, other).toFixed(2)}`).join(', ');
})()";

const LEFT: char = '\u{e012}';
const HOME: char = '\u{e011}';
const ESCAPE: char = '\u{e00c}';
