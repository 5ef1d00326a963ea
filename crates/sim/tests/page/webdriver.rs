//! Chromium, spoken to through chromedriver: WebDriver, which is JSON over HTTP.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A browser without a window. It ends with this value.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// Nothing, said in a line, if this machine has no browser.
    pub(crate) fn start() -> Option<Self> {
        let Some(chromium) = CHROMIUMS.into_iter().find(|name| answers(name)) else {
            println!("skipped: no chromium here");
            return None;
        };
        if !answers("chromedriver") {
            println!("skipped: no chromedriver here");
            return None;
        }
        let mut driver = unbounded("chromedriver", "--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let port = port(&mut driver);
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1400,1000",
        ];
        let body = format!(
            "{{\"capabilities\":{{\"alwaysMatch\":{{\"goog:loggingPrefs\":{{\"browser\":\"ALL\"}},\
             \"goog:chromeOptions\":{{\"binary\":{},\"args\":[{}]}}}}}}}}",
            quoted(&path_of(chromium)),
            arguments.map(quoted).join(","),
        );
        let answer = browser.post("/session", &body);
        let id = string_behind(&answer, "\"sessionId\":").expect("a session");
        browser.session = format!("/session/{id}");
        Some(browser)
    }

    pub(crate) fn open(&self, page: &Path, link: &str) {
        let url = quoted(&format!("file://{}{link}", page.display()));
        // A page that differs by its link alone is not loaded again.
        self.ask("url", "{\"url\":\"about:blank\"}");
        self.ask("url", &format!("{{\"url\":{url}}}"));
    }

    /// What a script returns, as text.
    pub(crate) fn run(&self, script: &str) -> String {
        let script = quoted(&format!("return String({script})"));
        self.value(
            "execute/sync",
            &format!("{{\"script\":{script},\"args\":[]}}"),
        )
    }

    /// What a script gives to `done`, as text.
    pub(crate) fn wait(&self, script: &str) -> String {
        let script = format!(
            "const give = arguments[0]; const done = (value) => give(String(value)); {script}"
        );
        let script = quoted(&script);
        self.value(
            "execute/async",
            &format!("{{\"script\":{script},\"args\":[]}}"),
        )
    }

    pub(crate) fn number(&self, script: &str) -> f64 {
        let text = self.run(script);
        text.parse().unwrap_or_else(|_| panic!("{script}: {text}"))
    }

    /// The pointer goes there, and presses if it is told to.
    pub(crate) fn point(&self, (x, y): (f64, f64), press: bool) {
        let mut actions = vec![format!(
            "{{\"type\":\"pointerMove\",\"duration\":0,\"x\":{},\"y\":{}}}",
            x.round(),
            y.round()
        )];
        if press {
            for what in ["pointerDown", "pointerUp"] {
                actions.push(format!("{{\"type\":\"{what}\",\"button\":0}}"));
            }
        }
        self.act("pointer", "mouse", &actions.join(","));
    }

    /// A key is pressed, named by its character in WebDriver.
    pub(crate) fn press(&self, key: char) {
        let down =
            ["keyDown", "keyUp"].map(|what| format!("{{\"type\":\"{what}\",\"value\":\"{key}\"}}"));
        self.act("key", "keyboard", &down.join(","));
    }

    fn act(&self, sort: &str, id: &str, actions: &str) {
        let body = format!(
            "{{\"actions\":[{{\"type\":\"{sort}\",\"id\":\"{id}\",\"actions\":[{actions}]}}]}}"
        );
        self.ask("actions", &body);
    }

    /// As somebody has set up the machine: `dark` or `light`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let feature = format!("{{\"name\":\"prefers-color-scheme\",\"value\":\"{scheme}\"}}");
        let params = format!("{{\"features\":[{feature}]}}");
        let body = format!("{{\"cmd\":\"Emulation.setEmulatedMedia\",\"params\":{params}}}");
        self.ask("goog/cdp/execute", &body);
    }

    /// What the console was told since it was last asked: errors of scripts, and what the page must
    /// not load.
    pub(crate) fn console(&self) -> String {
        self.ask("se/log", "{\"type\":\"browser\"}")
    }

    fn value(&self, command: &str, body: &str) -> String {
        let answer = self.ask(command, body);
        string_behind(&answer, "\"value\":").unwrap_or_else(|| panic!("{answer}"))
    }

    fn ask(&self, command: &str, body: &str) -> String {
        self.post(&format!("{}/{command}", self.session), body)
    }

    fn post(&self, path: &str, body: &str) -> String {
        let answer = self.request("POST", path, body);
        let (status, answer) = answer.expect("the driver answers");
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    fn request(&self, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(HANGS))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        while !line.trim().is_empty() {
            let field = line.to_ascii_lowercase();
            if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            line.clear();
            answer.read_line(&mut line)?;
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        let body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok((status.unwrap_or(0), body))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without its session the browser is gone too. After a failure that is what counts, and no other.
        if !self.session.is_empty() {
            let _closed = self.request("DELETE", &self.session, "");
        }
        let _gone = self.driver.kill();
        let _ended = self.driver.wait();
    }
}

/// It tells the port that it was given.
fn port(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("it is piped");
    for line in BufReader::new(output).lines() {
        let line = line.expect("text");
        if let Some((_, port)) = line.split_once("successfully on port ") {
            return port.trim_end_matches('.').parse().expect("a port");
        }
    }
    panic!("chromedriver does not tell its port");
}

fn answers(program: &str) -> bool {
    let mut version = unbounded(program, "--version");
    let version = version.stderr(Stdio::null()).output();
    version.is_ok_and(|version| version.status.success())
}

/// Whoever bounds the addresses of a test does not mean a browser, which reserves more of them than there
/// is memory.
fn unbounded(program: &str, argument: &str) -> Command {
    let mut command = Command::new("sh");
    let script = "ulimit -S -v \"$(ulimit -H -v)\" 2>/dev/null; exec \"$@\"";
    command.args(["-c", script, "sh", program, argument]);
    command
}

fn path_of(program: &str) -> String {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let files = std::env::split_paths(&paths).map(|folder| folder.join(program));
    let found = files.into_iter().find(|file| file.is_file());
    found.expect("it was run").display().to_string()
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            char => quoted.push(char),
        }
    }
    quoted + "\""
}

/// The string that stands behind a key.
fn string_behind(json: &str, key: &str) -> Option<String> {
    let (_, rest) = json.split_once(key)?;
    let mut chars = rest.trim_start().strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok()?;
                    text.extend(char::from_u32(code));
                }
                char => text.push(char),
            },
            char => text.push(char),
        }
    }
}

const CHROMIUMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// A browser that answers nothing for so long has hung.
const HANGS: Duration = Duration::from_secs(120);
