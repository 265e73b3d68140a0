//! The status in the text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};

use super::{BridgeStatus, ClientCounters, ClientStatus};
use flamingo_recording as recording;

/// All metric families, each with its help and its type.
pub(crate) fn metrics(status: &BridgeStatus) -> String {
    let mut text = Text::default();
    text.gauge("uptime_seconds", "Seconds since the bridge started", status.uptime_s);
    text.family("info", "gauge", "The version of the bridge");
    text.sample("info", &[("version", &status.version)], 1);
    upstream(&mut text, status);
    clients(&mut text, status);
    ports(&mut text, status);
    if let Some(recording) = &status.recording {
        recorded(&mut text, recording);
    }
    text.0
}

fn upstream(text: &mut Text, status: &BridgeStatus) {
    let upstream = &status.upstream;
    let connected = u8::from(upstream.connected);
    text.family("upstream_connected", "gauge", "Whether the instrument is connected");
    text.sample("upstream_connected", &[("address", &upstream.address)], connected);
    for (name, value, help) in [
        ("reconnects", upstream.reconnects, "How often the connection to the instrument was lost"),
        ("frames_in", upstream.frames_in, "Frames from the instrument"),
        ("frames_out", upstream.frames_out, "Frames to the instrument"),
        ("solicited", upstream.solicited, "Answers, both proven and presumed"),
        ("presumed", upstream.presumed, "Answers that may have been unsolicited frames"),
        ("late", upstream.late, "Answers to requests that had ended"),
        ("ambiguous", upstream.ambiguous, "Frames that may answer any of several requests"),
        ("unsolicited", upstream.unsolicited, "Frames that answer no request"),
        (
            "noise_bytes",
            upstream.noise_bytes,
            "Bytes from the instrument that were not part of a frame",
        ),
        (
            "fences_sent",
            upstream.fences_sent,
            "Fences: harmless queries that prove the order of answers",
        ),
        ("timed_out", upstream.timed_out, "Requests that the instrument did not answer in time"),
    ] {
        text.counter(&format!("upstream_{name}_total"), help, value);
    }
}

fn clients(text: &mut Text, status: &BridgeStatus) {
    text.gauge("clients", "Clients on the control ports", status.clients.len());
    for (name, value, help) in status.total().each() {
        text.counter(
            &format!("{name}_total"),
            &format!("{help}, clients that left included"),
            value,
        );
    }
    text.for_each_client(
        status,
        "connected_seconds",
        "gauge",
        "Seconds since the client connected",
        |client| client.connected_s,
    );
    text.for_each_client(
        status,
        "waiting",
        "gauge",
        "Commands that wait for their turn",
        |client| client.waiting,
    );
    text.for_each_client(
        status,
        "in_flight",
        "gauge",
        "Commands that wait for their answer",
        |client| client.in_flight,
    );
    let none = ClientCounters::default();
    for (at, (name, _, help)) in none.each().into_iter().enumerate() {
        text.for_each_client(status, &format!("{name}_total"), "counter", help, |client| {
            client.counters.each()[at].1
        });
    }
}

fn ports(text: &mut Text, status: &BridgeStatus) {
    let callback = &status.callback;
    text.gauge("callback_subscribers", "Subscribers of the callback port", callback.subscribers);
    text.counter(
        "callback_frames_total",
        "Messages published on the callback port",
        callback.frames,
    );
    text.counter("callback_lost_total", "Messages that slow subscribers lost", callback.lost);
    let ports = [("live", &status.live), ("stack", &status.stack)];
    let mut each = |name: &str, kind: &str, help: &str, values: [u64; 2]| {
        text.family(name, kind, help);
        for ((port, _), value) in ports.iter().zip(values) {
            text.sample(name, &[("port", port)], value);
        }
    };
    let values = ports.map(|(_, port)| port.viewers as u64);
    each("image_viewers", "gauge", "Viewers of an image port", values);
    let values = ports.map(|(_, port)| u64::from(port.upstream));
    each(
        "image_upstream_connected",
        "gauge",
        "Whether the instrument's image port is connected",
        values,
    );
    let values = ports.map(|(_, port)| port.images);
    each("images_total", "counter", "Whole images from the instrument", values);
    let values = ports.map(|(_, port)| port.bytes);
    each("image_bytes_total", "counter", "Bytes of whole images from the instrument", values);
    let values = ports.map(|(_, port)| port.lost);
    each("images_lost_total", "counter", "Images that slow viewers lost", values);
}

fn recorded(text: &mut Text, recording: &recording::RecorderStatus) {
    let runs = u8::from(recording.stopped.is_none());
    text.gauge("recording_running", "Whether the recording runs", runs);
    for (name, value, help) in [
        ("files", recording.files, "Files of the recording that were begun"),
        ("packets", recording.packets, "Packets in the recording"),
        ("bytes", recording.bytes, "Bytes in the recording"),
        ("lost_bytes", recording.lost_bytes, "Bytes left out because the disk was too slow"),
    ] {
        text.counter(&format!("recording_{name}_total"), help, value);
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// One sample per client, named by its address and a number, but not by its port: a client that
    /// connects again continues its series, from 0. Without clients there is no family.
    fn for_each_client<T: Display>(
        &mut self,
        status: &BridgeStatus,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&ClientStatus) -> T,
    ) {
        let name = format!("client_{name}");
        if !status.clients.is_empty() {
            self.family(&name, kind, help);
        }
        for client in &status.clients {
            let address = client.name.rsplit_once('#').map_or("", |(address, _)| address);
            let labels = [("client", client.name.as_str()), ("address", address)];
            self.sample(&name, &labels, value(client));
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP flamingo_bridge_{name} {help}.\n"));
        self.write(format_args!("# TYPE flamingo_bridge_{name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.write(format_args!("flamingo_bridge_{name}"));
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            self.write(format_args!("{before}{label}=\"{}\"", escaped(text)));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{after} {value}\n"));
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(what);
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn status() -> BridgeStatus {
        let client = |id, name: &str| ClientStatus {
            id,
            name: name.into(),
            address: format!("127.0.0.1:{}", 50_000 + id),
            waiting: 3,
            counters: ClientCounters { answers: 10 * id, ..ClientCounters::default() },
            ..ClientStatus::default()
        };
        let mut status =
            BridgeStatus { version: "1.2".into(), uptime_s: 1.5, ..BridgeStatus::default() };
        status.clients = vec![client(1, "127.0.0.1#1"), client(2, "a\"b\\c\nd#2")];
        status.gone.answers = 5;
        status.stack.images = 7;
        status
    }

    /// Maps name and labels to the value. Panics on text that Prometheus would not accept.
    fn read(text: &str) -> BTreeMap<String, f64> {
        let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
        let mut helped = None;
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                helped = Some(rest.split_once(' ').expect(line).0.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(helped.take().as_deref(), Some(name), "HELP stands before TYPE");
                assert!(matches!(kind, "gauge" | "counter"), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(families.insert(name.to_owned()), "{name} stands twice");
                name.clone_into(&mut current);
            } else {
                let (key, value) = line.rsplit_once(' ').expect(line);
                let name = key.split('{').next().unwrap();
                assert_eq!(name, current, "a sample stands under its family");
                assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
                let again = samples.insert(key.to_owned(), value.parse().expect(line));
                assert!(again.is_none(), "{key} stands twice");
            }
        }
        assert!(text.ends_with('\n'));
        samples
    }

    #[test]
    fn the_text_is_well_formed_and_holds_the_numbers() {
        let samples = read(&metrics(&status()));
        for (key, value) in [
            ("flamingo_bridge_uptime_seconds", 1.5),
            ("flamingo_bridge_info{version=\"1.2\"}", 1.0),
            ("flamingo_bridge_clients", 2.0),
            ("flamingo_bridge_answers_total", 35.0),
            ("flamingo_bridge_client_waiting{client=\"127.0.0.1#1\",address=\"127.0.0.1\"}", 3.0),
            (
                "flamingo_bridge_client_answers_total{client=\"127.0.0.1#1\",address=\"127.0.0.1\"}",
                10.0,
            ),
            ("flamingo_bridge_images_total{port=\"stack\"}", 7.0),
            ("flamingo_bridge_images_total{port=\"live\"}", 0.0),
        ] {
            assert_eq!(samples.get(key), Some(&value), "{key}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let text = metrics(&status());
        let labels = r#"{client="a\"b\\c\nd#2",address="a\"b\\c\nd"} 20"#;
        assert!(text.contains(labels), "{text}");
        assert!(!text.contains("50001"), "a port would make a series per connection: {text}");
    }

    #[test]
    fn without_clients_there_are_no_client_families() {
        let text = metrics(&BridgeStatus::default());
        assert!(!text.contains("flamingo_bridge_client_"), "{text}");
        assert!(read(&text).contains_key("flamingo_bridge_commands_total"));
    }
}
