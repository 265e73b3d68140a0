//! QEMU's control protocol (QMP): lines of JSON on its standard input and output.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdin, ChildStdout};

use serde_json::{Value, json};

pub(super) struct Monitor {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Monitor {
    pub(super) fn new(stdin: ChildStdin, stdout: ChildStdout) -> Self {
        Self { stdin, lines: BufReader::new(stdout).lines() }
    }

    /// Executes a command and gives its result.
    pub(super) fn execute(&mut self, command: &str) -> Value {
        writeln!(self.stdin, "{}", json!({ "execute": command })).expect("QEMU runs");
        loop {
            let line = self.lines.next().expect("QEMU runs").expect("text");
            let mut message: Value = serde_json::from_str(&line).expect("JSON");
            if let Some(result) = message.get_mut("return") {
                return result.take();
            }
            assert!(message.get("error").is_none(), "{command}: {message}");
        }
    }

    /// The state of a UART's socket: `disconnected:tcp:127.0.0.1:40123,server=on`, or
    /// `tcp:127.0.0.1:40123,server=on <-> 127.0.0.1:51234`.
    pub(super) fn uart_socket(&mut self, number: usize) -> String {
        let devices = self.execute("query-chardev");
        let label = format!("uart{number}");
        let device = devices
            .as_array()
            .and_then(|devices| devices.iter().find(|device| device["label"] == label.as_str()));
        device.and_then(|device| device["filename"].as_str()).expect("the UART exists").to_owned()
    }
}
