//! Figures. (stand-in until merged)
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ClientCounters {
    pub commands: u64,
    pub answers: u64,
    pub late: u64,
    pub refused: u64,
    pub unanswered: u64,
    pub superseded: u64,
    pub dropped: u64,
    pub echoes: u64,
    pub events: u64,
    pub noise_bytes: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}
impl ClientCounters {
    /// Adds.
    pub fn add(&mut self, o: &Self) {
        self.commands += o.commands;
        self.answers += o.answers;
        self.late += o.late;
        self.refused += o.refused;
        self.dropped += o.dropped;
        self.unanswered += o.unanswered;
        self.superseded += o.superseded;
        self.echoes += o.echoes;
        self.events += o.events;
        self.noise_bytes += o.noise_bytes;
        self.bytes_in += o.bytes_in;
        self.bytes_out += o.bytes_out;
    }
}
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ClientStatus {
    pub id: u64,
    pub address: String,
    pub role: String,
    pub delivery: String,
    pub connected_s: f64,
    pub waiting: usize,
    pub in_flight: usize,
    pub counters: ClientCounters,
}
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct UpstreamStatus {
    pub address: String,
    pub connected: bool,
    pub reconnects: u64,
    pub frames_in: u64,
    pub frames_out: u64,
    pub solicited: u64,
    pub presumed: u64,
    pub late: u64,
    pub ambiguous: u64,
    pub unsolicited: u64,
    pub noise_bytes: u64,
    pub fences_sent: u64,
    pub timed_out: u64,
}
