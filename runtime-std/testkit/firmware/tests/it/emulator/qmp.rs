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
        self.execute_with(command, &json!({}))
    }

    /// Executes a command with arguments.
    pub(super) fn execute_with(&mut self, command: &str, arguments: &Value) -> Value {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stdin, "{request}").expect("QEMU runs");
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

    /// The port of this computer that leads to a TCP port of the board. A line of QEMU's table is
    /// `TCP[HOST_FORWARD] 14 127.0.0.1 40123 10.0.2.15 53717 0 0`.
    pub(super) fn forwarded_port(&mut self, port: u16) -> Option<u16> {
        let arguments = json!({ "command-line": "info usernet" });
        let table = self.execute_with("human-monitor-command", &arguments);
        let wanted = port.to_string();
        table.as_str()?.lines().find_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let is_it = columns.first() == Some(&"TCP[HOST_FORWARD]")
                && columns.get(5) == Some(&wanted.as_str());
            columns.get(3).filter(|_| is_it)?.parse().ok()
        })
    }
}
