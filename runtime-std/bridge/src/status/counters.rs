//! What the bridge counts, and what it says of itself: plain numbers that travel as JSON.
//!
//! Who counts is elsewhere; how they are printed is `metrics.rs` and `table.rs`.

use std::iter::Sum;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use flamingo_recording as recording;

/// What one client did, and what became of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientCounters {
    /// Frames that came from it.
    pub commands: u64,
    /// Answers that went to it.
    pub answers: u64,
    /// Answers that came after their request had ended, or their client had left.
    pub late: u64,
    /// Commands that the bridge refused, with an answer that says why.
    pub refused: u64,
    /// Commands that the instrument did not answer in time.
    pub unanswered: u64,
    /// Commands that a stop took out of the queue.
    pub superseded: u64,
    /// Frames that were thrown away since there was no room.
    pub dropped: u64,
    /// Other clients' actions that it was shown.
    pub echoes: u64,
    /// Unsolicited frames that went to it on the control port.
    pub events: u64,
    /// Bytes from it that are no frame.
    pub noise_bytes: u64,
    /// Bytes that came from it.
    pub bytes_in: u64,
    /// Bytes that went to it.
    pub bytes_out: u64,
}

impl ClientCounters {
    /// Each counter with its name and what it means, in the order of the fields.
    pub fn each(&self) -> [(&'static str, u64, &'static str); 12] {
        [
            ("commands", self.commands, "Frames that came from clients"),
            ("answers", self.answers, "Answers that went to clients"),
            ("late", self.late, "Answers that came too late to be handed on"),
            ("refused", self.refused, "Commands that the bridge refused"),
            ("unanswered", self.unanswered, "Commands not answered in time"),
            ("superseded", self.superseded, "Commands that a stop took out of the queue"),
            ("dropped", self.dropped, "Frames thrown away for lack of room"),
            ("echoes", self.echoes, "Actions of other clients that were shown"),
            ("events", self.events, "Unsolicited frames sent on the control port"),
            ("noise_bytes", self.noise_bytes, "Bytes from clients that are no frame"),
            ("bytes_in", self.bytes_in, "Bytes that came from clients"),
            ("bytes_out", self.bytes_out, "Bytes that went to clients"),
        ]
    }
}

impl AddAssign for ClientCounters {
    fn add_assign(&mut self, other: Self) {
        // Every field by name: one that is added later cannot be forgotten here.
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

/// A client on the control port.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientStatus {
    /// Counts the clients of this bridge.
    pub id: u64,
    /// `IP:PORT`.
    pub address: String,
    /// What it may do.
    pub role: String,
    /// Where its unsolicited frames go.
    pub delivery: String,
    /// For how long it has been there, in seconds.
    pub connected_s: f64,
    /// Commands that wait to go up.
    pub waiting: usize,
    /// Commands that wait for their answer.
    pub in_flight: usize,
    /// What it did.
    pub counters: ClientCounters,
}

/// The one connection to the instrument.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamStatus {
    /// `HOST:PORT` of its control port.
    pub address: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// How often it was connected again.
    pub reconnects: u64,
    /// Frames that came from it.
    pub frames_in: u64,
    /// Frames that went to it.
    pub frames_out: u64,
    /// Answers, proven and presumed.
    pub solicited: u64,
    /// Answers that may have been something else.
    pub presumed: u64,
    /// Answers whose request had ended.
    pub late: u64,
    /// Frames that may belong to several requests.
    pub ambiguous: u64,
    /// Frames that nobody asked for.
    pub unsolicited: u64,
    /// Bytes from it that are no frame.
    pub noise_bytes: u64,
    /// Harmless queries that were sent to settle whose an answer is.
    pub fences_sent: u64,
    /// Requests that were not answered in time.
    pub timed_out: u64,
}

/// The callback port.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FanoutStatus {
    /// Who listens.
    pub subscribers: usize,
    /// Messages that were published.
    pub frames: u64,
    /// Messages that slow subscribers lost, all together.
    pub lost: u64,
}

/// An image port.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelayStatus {
    /// Who looks at it.
    pub viewers: usize,
    /// Whole images that came from the instrument.
    pub images: u64,
    /// The bytes of them, with their headers.
    pub bytes: u64,
    /// Images that slow viewers lost, all together.
    pub lost: u64,
    /// Whether there is a connection to the instrument's port.
    pub upstream: bool,
}

/// What the bridge says of itself.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// For how long it has been running, in seconds.
    pub uptime_s: f64,
    /// The connection to the instrument.
    pub upstream: UpstreamStatus,
    /// The clients that are there.
    pub clients: Vec<ClientStatus>,
    /// The sum of those that left.
    pub gone: ClientCounters,
    /// The callback port.
    pub callback: FanoutStatus,
    /// The live port.
    pub live: RelayStatus,
    /// The stack port.
    pub stack: RelayStatus,
    /// The recording, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<recording::Status>,
}

impl Status {
    /// All that clients did, whether they are still there or not. It never falls.
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
    fn the_total_counts_those_that_left_and_those_that_are_there() {
        let client = |first| ClientStatus { counters: numbered(first), ..ClientStatus::default() };
        let status = Status {
            clients: vec![client(100), client(1_000)],
            gone: numbered(10_000),
            ..Status::default()
        };
        let values: Vec<_> = status.total().each().map(|(_, value, _)| value).into();
        let expected: Vec<_> = (0..12).map(|n| 11_100 + 3 * n).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn every_counter_is_listed_under_the_name_that_it_has_in_json() {
        let json = serde_json::to_value(numbered(7)).unwrap();
        let listed = numbered(7).each();
        assert_eq!(json.as_object().unwrap().len(), listed.len());
        for (name, value, _) in listed {
            assert_eq!(json[name], value, "{name}");
        }
    }

    #[test]
    fn the_status_of_another_version_is_read_as_far_as_it_is_known() {
        let status: Status =
            serde_json::from_str(r#"{"version": "9", "novel": 1, "live": {"images": 3}}"#).unwrap();
        assert_eq!((status.version.as_str(), status.live.images, status.live.lost), ("9", 3, 0));
    }
}
