//! Settings. (stand-in until merged)
use std::fmt;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Role {
    Control,
    ReadOnly,
    Observer,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Delivery {
    Callback,
    Inline,
    Both,
}
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::ReadOnly => "read-only",
            Self::Observer => "observer",
        })
    }
}
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Callback => "callback",
            Self::Inline => "inline",
            Self::Both => "both",
        })
    }
}
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Limits {
    pub clients: usize,
    pub viewers: usize,
    pub subscribers: usize,
    pub commands_per_s: u32,
    pub bytes_per_s: u64,
    pub upload_bytes: u32,
    pub upload_bytes_total: u64,
    pub queue_frames: usize,
    pub out_bytes: usize,
    pub noise_bytes: u64,
}
impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 64,
            viewers: 16,
            subscribers: 64,
            commands_per_s: 500,
            bytes_per_s: 64 << 20,
            upload_bytes: 32 << 20,
            upload_bytes_total: 128 << 20,
            queue_frames: 256,
            out_bytes: 1 << 20,
            noise_bytes: 1024,
        }
    }
}
