//! Runs the program as a script does: arguments in; exit code, stdout and stderr out. The peers that
//! it talks to are in the test kit.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

use serde_json::Value;

/// The time limit for one step of a command. No test comes near it.
const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_flamingo");

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The exit code is `code`, and what went wrong is one line on stderr with `words` in it.
    #[track_caller]
    pub fn expect_error(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "one line: {self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} in {self:?}");
        }
    }

    /// The exit code is 0 and stderr is empty.
    #[track_caller]
    pub fn expect_done(&self) -> &Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self
    }

    /// The exit code; stderr may have notes.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The JSON objects on stdout, one per line.
    #[track_caller]
    pub fn objects(&self) -> Vec<Value> {
        let object = |line: &str| match serde_json::from_str(line) {
            Ok(Value::Object(object)) => Value::Object(object),
            other => panic!("no JSON object: {line:?} ({other:?})"),
        };
        self.stdout.lines().map(object).collect()
    }

    /// The only object on stdout.
    #[track_caller]
    pub fn object(&self) -> Value {
        let objects = self.objects();
        assert_eq!(objects.len(), 1, "{self:?}");
        objects.into_iter().next().unwrap()
    }
}

/// The running program. It is killed when this is dropped.
pub struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// Starts the program without the variables of the environment that it reads.
pub fn start(arguments: &[&str]) -> Running {
    start_with(Command::new(PROGRAM), arguments, None)
}

/// Starts it with these variables in its environment.
pub fn start_in(environment: &[(&str, &str)], arguments: &[&str]) -> Running {
    let mut program = Command::new(PROGRAM);
    program.envs(environment.iter().copied());
    start_with(program, arguments, None)
}

/// Starts it with a limit of 4 KiB per file, which acts like a full disk.
pub fn start_on_a_full_disk(arguments: &[&str]) -> Running {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", PROGRAM]);
    start_with(shell, arguments, None)
}

/// Starts it with a pipe as stderr that nobody reads.
pub fn start_with_unread_stderr(arguments: &[&str]) -> (Running, PipeReader) {
    let (unread, stderr) = std::io::pipe().unwrap();
    let mut program = Command::new(PROGRAM);
    let mut child =
        prepared(&mut program, arguments).stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
    let stdout = lines(child.stdout.take().unwrap());
    (Running { child, stdout, stderr: lines(std::io::empty()) }, unread)
}

/// Starts it with a pipe as stdin that stays open.
pub fn start_with_open_stdin(arguments: &[&str]) -> (Running, ChildStdin) {
    let mut program = Command::new(PROGRAM);
    let program = prepared(&mut program, arguments).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let stdout = lines(child.stdout.take().unwrap());
    let stderr = lines(child.stderr.take().unwrap());
    (Running { child, stdout, stderr }, stdin)
}

fn prepared<'a>(program: &'a mut Command, arguments: &[&str]) -> &'a mut Command {
    // The user's own variables and file do not count, only what the test has set.
    let is_set = |program: &Command, name| program.get_envs().any(|(set, _)| set == name);
    for name in ["FLAMINGO_CONNECT", "FLAMINGO_PROFILE", "FLAMINGO_LOG"] {
        if !is_set(program, name) {
            program.env_remove(name);
        }
    }
    if !is_set(program, "FLAMINGO_CONFIG") {
        program.env("FLAMINGO_CONFIG", "/no/such/file");
    }
    program.args(arguments).stdout(Stdio::piped())
}

fn start_with(mut program: Command, arguments: &[&str], input: Option<Vec<u8>>) -> Running {
    let mut child = prepared(&mut program, arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // The program may end without reading all of it.
        spawn(move || stdin.write_all(&input));
    }
    let stdout = lines(child.stdout.take().unwrap());
    let stderr = lines(child.stderr.take().unwrap());
    Running { child, stdout, stderr }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Running {
    /// The next line on stdout, without its end.
    #[track_caller]
    pub fn line(&self) -> String {
        let line = self.stdout.recv_timeout(PATIENCE).expect("a line on stdout");
        line.trim_end().to_owned()
    }

    /// The ports in the first line.
    #[track_caller]
    pub fn ports(&self) -> Value {
        let line: Value = serde_json::from_str(&self.line()).expect("one JSON object");
        assert_eq!(line["ready"], true, "{line}");
        line
    }

    /// Waits for a line on stderr with these words, and drops the lines before it.
    #[track_caller]
    pub fn expect_log(&self, words: &str) {
        while !self.stderr.recv_timeout(PATIENCE).expect(words).contains(words) {}
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal("-INT");
    }

    /// Sends a signal, such as `-TERM`.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits until the program ends.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        let rest = |lines: &Receiver<String>, what| {
            let mut text = String::new();
            loop {
                match lines.recv_timeout(PATIENCE) {
                    Ok(line) => text.push_str(&line),
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return text,
                    Err(error) => panic!("{what} stays open: {error}, after {text:?}"),
                }
            }
        };
        let stdout = rest(&self.stdout, "stdout");
        let stderr = rest(&self.stderr, "stderr");
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of a port of [`Running::ports`].
pub fn address(port: &Value) -> String {
    format!("127.0.0.1:{port}")
}

/// Runs the program to its end.
#[track_caller]
pub fn flamingo(arguments: &[&str]) -> Ended {
    start(arguments).ended()
}

/// Runs the program with something on stdin.
#[track_caller]
pub fn flamingo_fed(arguments: &[&str], input: impl Into<Vec<u8>>) -> Ended {
    start_with(Command::new(PROGRAM), arguments, Some(input.into())).ended()
}

/// Runs the program to its end without blocking the executor, on which the test plays the peer.
pub async fn flamingo_meanwhile(arguments: &[&str]) -> Ended {
    let running = start(arguments);
    smol::unblock(move || running.ended()).await
}

/// A port that can tell whether a client has connected.
pub struct Witness(TcpListener);

impl Witness {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    #[track_caller]
    pub fn expect_nobody(&self) {
        let came = self.0.accept();
        assert!(came.is_err(), "somebody connected: {came:?}");
    }
}
