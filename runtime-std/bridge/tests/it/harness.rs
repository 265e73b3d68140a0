//! Starts a bridge on free ports and waits for its status. The instrument is the simulator or the test
//! itself.

use std::net::SocketAddr;
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings, BridgeStatus};
use smol::{Timer, future};

/// A test that waits longer has failed.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a bridge and waits until it is connected to the instrument. `tune` changes its settings.
pub(crate) fn bridge(upstream: SocketAddr, tune: impl FnOnce(&mut BridgeSettings)) -> Bridge {
    let mut settings = BridgeSettings::new(upstream.to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.limits.commands_per_s = 1_000_000;
    tune(&mut settings);
    smol::block_on(async {
        let bridge = Bridge::start(&settings).await.expect("free ports");
        bridge.until_connected().await;
        bridge
    })
}

pub(crate) fn status(bridge: &Bridge) -> BridgeStatus {
    smol::block_on(bridge.status()).expect("the bridge runs")
}

/// Waits until the condition holds for the status, and returns the status.
pub(crate) fn until(bridge: &Bridge, holds: impl Fn(&BridgeStatus) -> bool) -> BridgeStatus {
    let held = async {
        loop {
            let status = bridge.status().await.expect("the bridge runs");
            if holds(&status) {
                return status;
            }
            future::yield_now().await;
        }
    };
    let late = async {
        Timer::after(TIMEOUT).await;
        panic!("waited too long: {:#?}", bridge.status().await)
    };
    smol::block_on(future::or(held, late))
}
