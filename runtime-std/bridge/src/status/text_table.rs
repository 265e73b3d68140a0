//! The status for people: one line about the instrument, one row per client, one row per port.

use std::time::Duration;

use super::{BridgeStatus, ClientCounters, ImagePortStatus};
use flamingo_recording as recording;

/// The status as aligned text for people. Each line ends with a line feed.
///
/// ```
/// use flamingo_bridge::status::{BridgeStatus, status_table};
///
/// let text = status_table(&BridgeStatus::default());
/// assert!(text.contains("NOT connected"));
/// ```
#[must_use]
pub fn status_table(status: &BridgeStatus) -> String {
    let mut text = [instrument_lines(status), client_rows(status), port_rows(status)].join("\n");
    if let Some(recording) = &status.recording {
        text = format!("{text}\n{}", recording_lines(recording));
    }
    text
}

fn recording_lines(recording: &recording::RecorderStatus) -> String {
    let recording::RecorderStatus { file, files, packets, bytes, lost_bytes, stopped } = recording;
    let file = file.as_deref().map_or("?".into(), |file| printable(&file.display().to_string()));
    let state = stopped
        .as_deref()
        .map_or("recording".to_owned(), |why| format!("recording STOPPED: {}", printable(why)));
    format!(
        "{state}, {file}\nfiles {files}, packets {packets}, bytes {bytes}, left out {lost_bytes}\n"
    )
}

fn instrument_lines(status: &BridgeStatus) -> String {
    let upstream = &status.upstream;
    let numbers = [
        ("frames in", upstream.frames_in),
        ("out", upstream.frames_out),
        ("solicited", upstream.solicited),
        ("presumed", upstream.presumed),
        ("late", upstream.late),
        ("ambiguous", upstream.ambiguous),
        ("unsolicited", upstream.unsolicited),
        ("timed out", upstream.timed_out),
        ("fences", upstream.fences_sent),
        ("noise bytes", upstream.noise_bytes),
        ("reconnects", upstream.reconnects),
    ];
    let numbers: Vec<_> = numbers.iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!(
        "bridge {}, up {}\ninstrument {}: {}\n{}\n",
        printable(&status.version),
        span(status.uptime_s),
        printable(&upstream.address),
        if upstream.connected { "connected" } else { "NOT connected" },
        numbers.join(", "),
    )
}

fn client_rows(status: &BridgeStatus) -> String {
    let names = ClientCounters::default().each().map(|(name, ..)| name.replace('_', " "));
    let first =
        ["client", "id", "address", "role", "events to", "connected for", "waiting", "in flight"];
    let header = first.map(String::from).into_iter().chain(names).collect();
    let mut rows: Vec<Vec<String>> = vec![header];
    for client in &status.clients {
        let first = [
            printable(&client.name),
            client.id.to_string(),
            printable(&client.address),
            if client.stops_only { "stops only".into() } else { printable(&client.role) },
            printable(&client.delivery),
            span(client.connected_s),
            client.waiting.to_string(),
            client.in_flight.to_string(),
        ];
        rows.push(first.into_iter().chain(values(&client.counters)).collect());
    }
    for (name, counters) in [("gone", status.gone), ("total", status.total())] {
        let first = [name, "", "", "", "", "", "", ""].map(String::from);
        rows.push(first.into_iter().chain(values(&counters)).collect());
    }
    // Columns of text are left-aligned.
    aligned(&rows, &[0, 2, 3, 4])
}

fn values(counters: &ClientCounters) -> [String; 12] {
    counters.each().map(|(_, value, _)| value.to_string())
}

fn port_rows(status: &BridgeStatus) -> String {
    let header = ["port", "listeners", "messages", "bytes", "lost", "instrument"].map(String::from);
    let callback = &status.callback;
    let image_row = |name: &str, port: &ImagePortStatus| {
        vec![
            name.to_owned(),
            port.viewers.to_string(),
            port.images.to_string(),
            port.bytes.to_string(),
            port.lost.to_string(),
            if port.upstream { "connected" } else { "not connected" }.to_owned(),
        ]
    };
    let rows = [
        header.into(),
        vec![
            "callback".to_owned(),
            callback.subscribers.to_string(),
            callback.frames.to_string(),
            String::new(),
            callback.lost.to_string(),
        ],
        image_row("live", &status.live),
        image_row("stack", &status.stack),
    ];
    aligned(&rows, &[0, 5])
}

/// Columns as wide as their widest cell, two spaces apart. Columns in `left` are left-aligned.
fn aligned(rows: &[Vec<String>], left: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if left.contains(&column) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Whole seconds, such as `1h 2m 5s`.
fn span(seconds: f64) -> String {
    // NaN, negative and infinite numbers are shown as zero.
    let span = Duration::try_from_secs_f64(seconds.trunc()).unwrap_or_default();
    humantime::format_duration(span).to_string()
}

/// Replaces control characters: the text came over the network and must not move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::ClientStatus;

    #[test]
    fn columns_are_aligned_and_no_text_moves_the_cursor() {
        let client = |id, address: &str| ClientStatus {
            id,
            name: format!("127.0.0.1#{id}"),
            address: address.into(),
            role: "read-only".into(),
            delivery: "callback".into(),
            connected_s: 65.9,
            counters: ClientCounters { commands: 10 * id, ..ClientCounters::default() },
            ..ClientStatus::default()
        };
        let clients = vec![client(7, "127.0.0.1:9\u{1b}[2J"), client(1234, "[::1]:50001")];
        let status = BridgeStatus { clients, uptime_s: 3_725.2, ..BridgeStatus::default() };
        let text = status_table(&status);
        assert!(text.starts_with("bridge , up 1h 2m 5s\ninstrument : NOT connected\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let lines: Vec<_> = text.lines().skip(4).take(5).collect();
        let [header, first, second, gone, total] = lines[..] else { panic!("{text}") };
        let end = header.find("commands").unwrap() + "commands".len();
        for (line, number) in [(first, "70"), (second, "12340"), (gone, "0"), (total, "12410")] {
            assert!(line[..end].ends_with(&format!(" {number}")), "{number} in {text}");
        }
        assert!(first.starts_with("127.0.0.1#7 ") && second.starts_with("127.0.0.1#1234 "));
        let role = header.find("role").unwrap();
        assert!(first[role..].starts_with("read-only") && second[role..].starts_with("read-only"));
        assert!(first.contains("1m 5s"), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    }

    #[test]
    fn a_client_in_a_reserved_slot_is_marked() {
        let role = "control".to_owned();
        let client = ClientStatus { role, stops_only: true, ..ClientStatus::default() };
        let text = status_table(&BridgeStatus { clients: vec![client], ..Default::default() });
        assert!(text.contains("stops only") && !text.contains("control"), "{text}");
    }

    #[test]
    fn each_port_has_a_row() {
        let mut status = BridgeStatus::default();
        status.callback.frames = 11;
        status.live = ImagePortStatus { viewers: 2, images: 3, bytes: 4, lost: 5, upstream: true };
        let text = status_table(&status);
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect(name);
            line.split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(row("callback"), ["callback", "0", "11", "0"]);
        assert_eq!(row("live"), ["live", "2", "3", "4", "5", "connected"]);
        assert_eq!(row("stack"), ["stack", "0", "0", "0", "0", "not", "connected"]);
    }

    #[test]
    fn an_invalid_time_does_not_panic() {
        for seconds in [f64::NAN, -1.0, f64::INFINITY] {
            assert_eq!(span(seconds), "0s");
        }
    }
}
