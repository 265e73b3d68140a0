//! How each strategy ends: by its caller, or because the instrument is gone.

use std::io::Read;
use std::time::Duration;

use flamingo_protocol_core::time::Instant;
use flamingo_runtime_std::Clock;

use super::{Kind, LONG, Simulated, Stage, ask, motion, stop};

/// The strategies that can start with a peer that sends nothing by itself.
const SCRIPTED: [Kind; 9] = [
    Kind::Synchronous,
    Kind::Polling,
    Kind::TwoReaders,
    Kind::Mutex,
    Kind::Pause,
    Kind::Tagged,
    Kind::Sequence,
    Kind::CodeMatch,
    Kind::Raw,
];

#[test]
fn closing_never_hangs_and_ends_every_thread() {
    for kind in SCRIPTED {
        let Stage { strategy, instrument, heard } = Stage::new(kind, LONG);
        strategy.close();
        // No thread is left that could report an event or hold the socket.
        assert!(heard.recv_timeout(LONG).is_err_and(|error| error.to_string().contains("closed")));
        assert_eq!((&instrument).read(&mut [0]).unwrap(), 0, "{}", kind.name());
    }
}

#[test]
fn a_closed_connection_ends_queries_and_waits_at_once() {
    for kind in SCRIPTED {
        let Stage { mut strategy, instrument, heard } = Stage::new(kind, LONG);
        let clock = Clock::start();
        drop(instrument);
        for _ in 0..3 {
            assert_eq!(strategy.query(&ask(1)), None, "{}", kind.name());
            assert!(!strategy.wait_for_motion_end(&motion(1, 0.0)), "{}", kind.name());
        }
        strategy.close();
        assert!(Duration::from(clock.now().since(Instant::default())) < LONG / 2);
        assert_eq!(heard.try_iter().count(), 0);
    }
}

#[test]
fn flamingo_and_callback_socket_notice_a_lost_instrument() {
    for kind in [Kind::Flamingo, Kind::CallbackSocket] {
        let Simulated { mut strategy, simulator, bridge, _heard } = Simulated::new(kind);
        assert!(strategy.query(&ask(1)).is_some());
        stop(simulator, bridge);
        let clock = Clock::start();
        assert_eq!(strategy.query(&ask(1)), None, "{}", kind.name());
        assert!(!strategy.wait_for_motion_end(&motion(1, 0.0)), "{}", kind.name());
        strategy.close();
        assert!(Duration::from(clock.now().since(Instant::default())) < LONG / 2);
    }
}
