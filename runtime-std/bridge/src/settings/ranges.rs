//! The range of every number of the settings. A number outside is refused at the start: it would have
//! no effect, or an effect that nobody wants. `check.rs` compares numbers with each other.

use flamingo_protocol_core::wire::MAX_PAYLOAD;

use super::{BridgeSettings, BridgeSettingsError};

const HOUR_MS: u64 = 3_600_000;
const TIB: u64 = 1 << 40;
/// As many as there are port numbers.
const CONNECTIONS: u64 = 65_535;
/// The requests that the core remembers.
const REQUESTS: u64 = 64;
/// The operating system accepts no longer time between two probes of a silent connection.
const LOST_AFTER_S: u64 = 65_535;
const YEAR_S: u64 = 366 * 24 * 3_600;
const TEN_YEARS_MINUTES: u64 = 10 * YEAR_S / 60;

/// A number of the settings: its option, its value, and the greatest that is accepted. The least is 1.
type Number = (&'static str, u64, u64);

impl BridgeSettings {
    pub(super) fn check_ranges(&self) -> Result<(), BridgeSettingsError> {
        match self.numbers().iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            Some((key, value, most)) => Err(BridgeSettingsError {
                line: None,
                key: (*key).to_owned(),
                problem: format!("expected 1 to {most}, found {value}"),
            }),
            None => Ok(()),
        }
    }

    fn numbers(&self) -> Vec<Number> {
        let Self { upstream, limits, lease, record, .. } = self;
        vec![
            ("upstream.connect_timeout_ms", upstream.connect_timeout_ms, HOUR_MS),
            ("upstream.request_timeout_ms", upstream.request_timeout_ms, HOUR_MS),
            ("upstream.reconnect_min_ms", upstream.reconnect_min_ms, HOUR_MS),
            ("upstream.reconnect_max_ms", upstream.reconnect_max_ms, HOUR_MS),
            ("upstream.window", upstream.window as u64, REQUESTS),
            ("limits.clients", limits.clients as u64, CONNECTIONS),
            ("limits.clients_per_address", limits.clients_per_address as u64, CONNECTIONS),
            ("limits.stop_slots", limits.stop_slots as u64, CONNECTIONS),
            ("limits.viewers", limits.viewers as u64, CONNECTIONS),
            ("limits.subscribers", limits.subscribers as u64, CONNECTIONS),
            ("limits.commands_per_s", limits.commands_per_s.into(), 1_000_000_000),
            ("limits.stops_per_s", limits.stops_per_s.into(), 1_000_000_000),
            ("limits.bytes_per_s", limits.bytes_per_s, TIB),
            ("limits.upload_bytes", limits.upload_bytes.into(), MAX_PAYLOAD.into()),
            ("limits.upload_bytes_total", limits.upload_bytes_total, TIB),
            (
                "limits.read_only_upload_bytes",
                limits.read_only_upload_bytes.into(),
                MAX_PAYLOAD.into(),
            ),
            ("limits.upload_bytes_per_s_min", limits.upload_bytes_per_s_min, TIB),
            ("limits.queue_frames", limits.queue_frames as u64, 1_000_000),
            ("limits.out_bytes", limits.out_bytes as u64, TIB),
            ("limits.noise_bytes", limits.noise_bytes, TIB),
            ("limits.first_frame_s", limits.first_frame_s, YEAR_S),
            ("limits.lost_after_s", limits.lost_after_s, LOST_AFTER_S),
            ("lease.idle_s", lease.idle_s, YEAR_S),
            ("record.file_mb", record.file_mb, 1_000_000_000),
            ("record.file_minutes", record.file_minutes, TEN_YEARS_MINUTES),
            ("record.keep_files", record.keep_files as u64, 1_000_000),
        ]
    }
}

#[cfg(test)]
mod tests {
    use flamingo_protocol_core::CommandCode;
    use flamingo_runtime_testkit::folder::Folder;
    use flamingo_runtime_testkit::raw_client::{PROMPT, RawClient, command, simulator};

    use super::*;
    use crate::Bridge;

    const STATE: CommandCode = CommandCode::SYSTEM_STATE_GET;

    /// The settings with this number.
    fn with(option: &str, value: u64) -> Result<BridgeSettings, BridgeSettingsError> {
        let (section, name) = option.split_once('.').unwrap();
        BridgeSettings::from_toml(&format!("[{section}]\n{name} = {value}"))
    }

    #[test]
    fn every_number_has_a_range() {
        let default = serde_json::to_value(BridgeSettings::default()).unwrap();
        let sections = default.as_object().unwrap().iter();
        let options = sections.flat_map(|(section, options)| {
            let numbers =
                options.as_object().unwrap().iter().filter(|(_, value)| value.is_number());
            numbers.map(move |(name, _)| format!("{section}.{name}"))
        });
        let mut options: Vec<_> = options.collect();
        options.sort();
        let numbers = BridgeSettings::default().numbers();
        let mut with_range: Vec<_> = numbers.iter().map(|(key, ..)| *key).collect();
        with_range.sort_unstable();
        assert_eq!(with_range, options);
    }

    #[test]
    fn a_bridge_with_an_extreme_number_serves_its_clients() {
        let instrument = simulator(PROMPT);
        let folder = Folder::new("extreme");
        for (key, _, most) in BridgeSettings::default().numbers() {
            for value in [1, most] {
                if (key, value) == ("upstream.request_timeout_ms", 1) {
                    continue; // no instrument answers in time
                }
                let mut settings = with(key, value).unwrap();
                settings.upstream.address = instrument.control().to_string();
                settings.listen.control = ([127, 0, 0, 1], 0).into();
                settings.record.folder = folder.path("record");
                if settings.check().is_err() {
                    continue; // it contradicts another number
                }
                let bridge = smol::block_on(Bridge::start(&settings)).expect(key);
                // The instrument may not be connected yet.
                let answer = RawClient::to(bridge.control()).ask(&command(STATE));
                assert_eq!(answer.frame.code, STATE, "{key} = {value}");
                smol::block_on(bridge.stop());
            }
        }
    }

    #[test]
    fn a_number_outside_of_its_range_is_refused() {
        for (key, _, most) in BridgeSettings::default().numbers() {
            for value in [1, most] {
                assert_eq!(with(key, value).unwrap().check_ranges(), Ok(()), "{key} = {value}");
            }
            for value in [0, most + 1] {
                let error = with(key, value).unwrap().check_ranges().unwrap_err().to_string();
                assert_eq!(error, format!("{key}: expected 1 to {most}, found {value}"));
            }
            // The type of the option may end before.
            let checked = with(key, u64::MAX).and_then(|settings| settings.check_ranges());
            assert_eq!(checked.unwrap_err().key, key);
        }
    }
}
