//! The section `[limits]`: how much each client may use. The router enforces the quotas in
//! `router/client_quota.rs`.

use serde::{Deserialize, Serialize};

/// How much each client may use. The bridge slows down, refuses or disconnects a client that exceeds a
/// limit; other clients do not notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LimitSettings {
    /// Clients on all control ports together. Default: 64.
    pub clients: usize,
    /// Clients of one address (an IPv6 network of 64 bits counts as one address). Default: 48.
    pub clients_per_address: usize,
    /// Further clients, for which only stops pass. Default: 256, so that clients that send nothing and
    /// connect again at once leave time for a stop.
    pub stop_slots: usize,
    /// Viewers on each image port. Default: 16.
    pub viewers: usize,
    /// Subscribers on the callback port. Default: 64.
    pub subscribers: usize,
    /// Commands per second from one client, and the size of a burst. Above it, the bridge does not
    /// read the client until it is below. Default: 2000.
    pub commands_per_s: u32,
    /// HALTs and laser-offs per second that go to the instrument for one client, and the size of a
    /// burst. Above it, equal stops are sent as one. Default: 20.
    pub stops_per_s: u32,
    /// Bytes per second from one client, in the same way. Default: 64 MiB.
    pub bytes_per_s: u64,
    /// The longest payload from a client, in bytes. Default: 32 MiB.
    pub upload_bytes: u32,
    /// All bytes of payloads that wait in the bridge. Default: 128 MiB.
    pub upload_bytes_total: u64,
    /// The longest payload from a client with the role `read-only`, in bytes. Default: 64 KiB.
    pub read_only_upload_bytes: u32,
    /// The lowest mean rate of a payload from a client, in bytes per second, after the first 5 s. The
    /// bridge disconnects a slower client. Default: 64 KiB.
    pub upload_bytes_per_s_min: u64,
    /// Commands of one client that wait for the instrument. Default: 256.
    pub queue_frames: usize,
    /// Bytes that may wait for a client that does not read; then the bridge disconnects it.
    /// Default: 1 MiB.
    pub out_bytes: usize,
    /// Bytes between two frames of a client that belong to none; a client that sends more is
    /// disconnected. Before its first frame, no such byte is accepted. Default: 1024.
    pub noise_bytes: u64,
    /// Seconds after connecting within which a client must send its first frame; then the bridge
    /// disconnects it. Default: 5.
    pub first_frame_s: u64,
    /// Seconds for which a client's machine may be unreachable; then the client is lost.
    /// Default: 60.
    pub lost_after_s: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            clients: 64,
            clients_per_address: 48,
            stop_slots: 256,
            viewers: 16,
            subscribers: 64,
            commands_per_s: 2000,
            stops_per_s: 20,
            bytes_per_s: 64 << 20,
            upload_bytes: 32 << 20,
            upload_bytes_total: 128 << 20,
            read_only_upload_bytes: 64 << 10,
            upload_bytes_per_s_min: 64 << 10,
            queue_frames: 256,
            out_bytes: 1 << 20,
            noise_bytes: 1024,
            first_frame_s: 5,
            lost_after_s: 60,
        }
    }
}
