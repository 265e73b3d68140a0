//! The log of a firmware, as text: the program `mcu-log` reads it from its UART.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

/// Longer than any expected line takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The lines of a log in the order of their arrival. Dropping it ends the reader.
pub(crate) struct Log {
    reader: Child,
    lines: Receiver<String>,
}

impl Log {
    /// `reader` is mcu-log, `program` the firmware that runs, `address` its UART.
    pub(super) fn new(reader: &Path, program: &Path, address: SocketAddr) -> Self {
        let mut command = Command::new(reader);
        command.arg(program).arg(address.to_string()).stdout(Stdio::piped());
        let mut reader = command.spawn().expect("it was built");
        let text = BufReader::new(reader.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        spawn(move || text.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { reader, lines }
    }

    /// Waits for the next line for which `wanted` holds.
    pub(crate) fn until_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("a line of the log");
            println!("{line}");
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Waits for the next line that shows this counter with such a value.
    pub(crate) fn until_counter(&self, name: &str, holds: impl Fn(u32) -> bool) {
        self.until_line(|line| counter(line, name).is_some_and(&holds));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // An error: it has ended already.
        let _ = self.reader.kill();
        let _ = self.reader.wait();
        for line in self.lines.try_iter() {
            println!("{line}");
        }
    }
}

/// The number of `name: 12` in a line.
fn counter(line: &str, name: &str) -> Option<u32> {
    let fields = line.split(['{', ',', '}']);
    let mut values = fields.filter_map(|field| field.trim().strip_prefix(name)?.strip_prefix(": "));
    values.next()?.parse().ok()
}
