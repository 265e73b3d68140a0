//! The numbers of the status: plain data that is sent as JSON. The router counts for the clients and
//! the instrument; the ports count for themselves.

use std::iter::Sum;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use flamingo_recording as recording;

/// Counters of one client, or the sum over several. They never decrease.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ClientCounters {
    /// Commands that the client sent.
    pub commands: u64,
    /// Answers that the bridge sent to the client.
    pub answers: u64,
    /// Answers that came after the request had ended or the client had left.
    pub late: u64,
    /// Commands that the bridge refused. An answer with status 0 gave the reason.
    pub refused: u64,
    /// Commands that the instrument did not answer in time.
    pub unanswered: u64,
    /// Queued commands that a stop cancelled.
    pub superseded: u64,
    /// Frames that the bridge dropped because a queue was full or the client had left.
    pub dropped: u64,
    /// Actions of this client that the bridge reported to the others.
    pub echoes: u64,
    /// Unsolicited frames that the client received on the control port.
    pub events: u64,
    /// Bytes from the client that were not part of a frame.
    pub noise_bytes: u64,
    /// Bytes that the client sent.
    pub bytes_in: u64,
    /// Bytes that the client received.
    pub bytes_out: u64,
}

impl ClientCounters {
    /// Each counter as name, value and meaning, in the order of the fields.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u64, &'static str); 12] {
        [
            ("commands", self.commands, "Commands that clients sent"),
            ("answers", self.answers, "Answers sent to clients"),
            ("late", self.late, "Answers that came after the request had ended"),
            ("refused", self.refused, "Commands that the bridge refused"),
            ("unanswered", self.unanswered, "Commands that the instrument did not answer in time"),
            ("superseded", self.superseded, "Queued commands that a stop cancelled"),
            (
                "dropped",
                self.dropped,
                "Frames dropped because a queue was full or the client had left",
            ),
            ("echoes", self.echoes, "Actions reported to the other clients"),
            ("events", self.events, "Unsolicited frames sent on the control port"),
            ("noise_bytes", self.noise_bytes, "Bytes from clients that were not part of a frame"),
            ("bytes_in", self.bytes_in, "Bytes received from clients"),
            ("bytes_out", self.bytes_out, "Bytes sent to clients"),
        ]
    }
}

impl AddAssign for ClientCounters {
    fn add_assign(&mut self, other: Self) {
        // Every field by name, so that the compiler reports a new field that is missing here.
        let Self {
            commands,
            answers,
            late,
            refused,
            unanswered,
            superseded,
            dropped,
            echoes,
            events,
            noise_bytes,
            bytes_in,
            bytes_out,
        } = other;
        for (sum, more) in [
            (&mut self.commands, commands),
            (&mut self.answers, answers),
            (&mut self.late, late),
            (&mut self.refused, refused),
            (&mut self.unanswered, unanswered),
            (&mut self.superseded, superseded),
            (&mut self.dropped, dropped),
            (&mut self.echoes, echoes),
            (&mut self.events, events),
            (&mut self.noise_bytes, noise_bytes),
            (&mut self.bytes_in, bytes_in),
            (&mut self.bytes_out, bytes_out),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Sum for ClientCounters {
    fn sum<I: Iterator<Item = Self>>(clients: I) -> Self {
        clients.fold(Self::default(), |mut sum, client| {
            sum += client;
            sum
        })
    }
}

/// One client on a control port.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ClientStatus {
    /// The number of the client; the bridge never uses it again.
    pub id: u64,
    /// Its address and a number, such as `127.0.0.1#1`: the lowest number that no other client of that
    /// address has. The next client may have the same name.
    pub name: String,
    /// `IP:PORT`.
    pub address: String,
    /// The name of its role.
    pub role: String,
    /// Whether it has a reserved slot, so that only its stops pass.
    pub stops_only: bool,
    /// The name of its delivery of unsolicited frames.
    pub delivery: String,
    /// Seconds since it connected.
    pub connected_s: f64,
    /// Commands that wait for their turn.
    pub waiting: usize,
    /// Commands that wait for their answer.
    pub in_flight: usize,
    /// Its counters.
    pub counters: ClientCounters,
}

/// The one connection to the instrument.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct UpstreamStatus {
    /// `HOST:PORT` of its control port.
    pub address: String,
    /// Whether the instrument is connected and has reported its state.
    pub connected: bool,
    /// How often the bridge lost the connection.
    pub reconnects: u64,
    /// Frames from the instrument.
    pub frames_in: u64,
    /// Frames to the instrument.
    pub frames_out: u64,
    /// Answers, both proven and presumed.
    pub solicited: u64,
    /// Answers that may have been unsolicited frames.
    pub presumed: u64,
    /// Answers to requests that had ended.
    pub late: u64,
    /// Frames that may answer any of several requests.
    pub ambiguous: u64,
    /// Frames that answer no request.
    pub unsolicited: u64,
    /// Bytes from the instrument that were not part of a frame.
    pub noise_bytes: u64,
    /// Fences: harmless queries whose answers prove that older answers can no longer come.
    pub fences_sent: u64,
    /// Requests that the instrument did not answer in time.
    pub timed_out: u64,
}

/// The callback port.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CallbackStatus {
    /// Connected subscribers.
    pub subscribers: usize,
    /// Messages published on the port.
    pub frames: u64,
    /// Messages that slow subscribers lost, summed over all subscribers.
    pub lost: u64,
}

/// An image port.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ImagePortStatus {
    /// Connected viewers.
    pub viewers: usize,
    /// Whole images received from the instrument.
    pub images: u64,
    /// Bytes of these images, with their headers.
    pub bytes: u64,
    /// Images that slow viewers lost, summed over all viewers.
    pub lost: u64,
    /// Whether the instrument's image port is connected.
    pub upstream: bool,
}

/// The status of a bridge, as the status page serves it in JSON. Fields that a newer or older bridge
/// does not send keep their defaults.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BridgeStatus {
    /// The version of the program.
    pub version: String,
    /// Seconds since the bridge started.
    pub uptime_s: f64,
    /// The connection to the instrument.
    pub upstream: UpstreamStatus,
    /// The connected clients.
    pub clients: Vec<ClientStatus>,
    /// The sum over the clients that left.
    pub gone: ClientCounters,
    /// The callback port.
    pub callback: CallbackStatus,
    /// The port of live images.
    pub live: ImagePortStatus,
    /// The port of stack images.
    pub stack: ImagePortStatus,
    /// The recording, if the bridge records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<recording::RecorderStatus>,
}

impl BridgeStatus {
    /// The sum over all clients, both connected and gone. It never decreases.
    #[must_use]
    pub fn total(&self) -> ClientCounters {
        let present: ClientCounters = self.clients.iter().map(|client| client.counters).sum();
        [present, self.gone].into_iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(first: u64) -> ClientCounters {
        ClientCounters {
            commands: first,
            answers: first + 1,
            late: first + 2,
            refused: first + 3,
            unanswered: first + 4,
            superseded: first + 5,
            dropped: first + 6,
            echoes: first + 7,
            events: first + 8,
            noise_bytes: first + 9,
            bytes_in: first + 10,
            bytes_out: first + 11,
        }
    }

    #[test]
    fn the_total_counts_connected_and_gone_clients() {
        let client = |first| ClientStatus { counters: numbered(first), ..ClientStatus::default() };
        let status = BridgeStatus {
            clients: vec![client(100), client(1_000)],
            gone: numbered(10_000),
            ..BridgeStatus::default()
        };
        let values: Vec<_> = status.total().each().map(|(_, value, _)| value).into();
        let expected: Vec<_> = (0..12).map(|n| 11_100 + 3 * n).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn every_counter_has_the_same_name_in_the_list_and_in_json() {
        let json = serde_json::to_value(numbered(7)).unwrap();
        let listed = numbered(7).each();
        assert_eq!(json.as_object().unwrap().len(), listed.len());
        for (name, value, _) in listed {
            assert_eq!(json[name], value, "{name}");
        }
    }

    #[test]
    fn the_status_of_another_version_is_read_where_known() {
        let status: BridgeStatus =
            serde_json::from_str(r#"{"version": "9", "novel": 1, "live": {"images": 3}}"#).unwrap();
        assert_eq!((status.version.as_str(), status.live.images, status.live.lost), ("9", 3, 0));
    }
}
