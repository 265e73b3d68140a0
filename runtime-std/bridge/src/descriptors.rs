//! Whether the process may open as many files and sockets as the limits of the settings permit. If it may
//! not, connections wait until others are closed (`control/listener.rs`).

use crate::settings::{BridgeSettings, LimitSettings};

/// The standard streams, the pollers, the connections to the instrument, the recording and the status page.
const OTHERS: usize = 64;

/// Logs a warning if the process may open fewer files than the settings need.
pub(crate) fn check(settings: &BridgeSettings) {
    let (needed, limit) = (needed(&settings.limits, settings.listen.more.len() + 1), limit());
    if limit.is_some_and(|limit| limit < needed as u64) {
        tracing::warn!(
            needed,
            limit,
            "the process may open fewer files than the limits of the settings need: clients may wait \
             for others to leave. Raise the limit (`ulimit -n`, or LimitNOFILE of the unit), or lower \
             limits.clients, limits.viewers or limits.subscribers"
        );
    }
}

/// How many descriptors these limits need with `rows` rows of ports.
fn needed(limits: &LimitSettings, rows: usize) -> usize {
    // As many clients again may wait for the answers to their last commands.
    let clients = limits.clients.saturating_add(limits.stop_slots).saturating_mul(2);
    let each_row = limits.viewers.saturating_mul(2).saturating_add(limits.subscribers);
    let listeners_of_a_row = 4;
    let rows = each_row.saturating_add(listeners_of_a_row).saturating_mul(rows);
    clients.saturating_add(rows).saturating_add(OTHERS)
}

/// How many files this process may open. `None`: there is no limit, or it is not known.
fn limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_connections_needs_descriptors() {
        let default = LimitSettings::default();
        let least = needed(&default, 1);
        assert_eq!(least, 2 * 64 + 2 * 256 + (2 * 16 + 64 + 4) + OTHERS);
        let more = [
            LimitSettings { clients: 65, ..default.clone() },
            LimitSettings { stop_slots: 257, ..default.clone() },
            LimitSettings { viewers: 17, ..default.clone() },
            LimitSettings { subscribers: 65, ..default.clone() },
        ];
        for limits in more {
            assert!(needed(&limits, 1) > least, "{limits:?}");
        }
        assert!(needed(&default, 2) > least);
        let most = LimitSettings { clients: usize::MAX, viewers: usize::MAX, ..default };
        assert_eq!(needed(&most, usize::MAX), usize::MAX);
    }
}
