//! A stop is the first thing on a fresh connection: [`Client::halt_at`], and stops that are called while
//! there is no connection.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Client, Error, Event, Reconnect, Stopped};
use flamingo_runtime_testkit::peer::{Peer, answer_to, listen, soon};
use smol::future;

const AXES: [i32; 4] = [1, 2, 3, 4];

#[test]
fn a_halt_that_is_not_acknowledged_was_sent_all_the_same() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.timeout = Duration::from_millis(50);
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            for _ in AXES {
                peer.expect(CommandCode::STAGE_HALT).await;
            }
            peer
        };
        let (halted, _peer) = future::zip(Client::halt_at(options, &AXES), script).await;
        for halted in halted.unwrap() {
            let error = halted.outcome.unwrap_err();
            assert!(error.was_sent() && error.exit_code() == 4, "{error}");
        }
    });
}

#[test]
fn one_halt_of_four_may_stay_without_an_answer() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.timeout = Duration::from_millis(200);
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            for axis in AXES {
                let halt = peer.expect(CommandCode::STAGE_HALT).await;
                if axis != 3 {
                    peer.answer(&halt, 0.0).await;
                }
            }
            peer
        };
        let (halted, _peer) = future::zip(Client::halt_at(options, &AXES), script).await;
        let confirmed = halted.unwrap().into_iter().map(|halted| halted.outcome.is_ok());
        assert_eq!(confirmed.collect::<Vec<_>>(), [true, true, false, true]);
    });
}

#[test]
fn a_connection_that_ends_after_the_halts_says_they_were_sent() {
    smol::block_on(async {
        let (listener, options) = listen();
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            for _ in AXES {
                peer.expect(CommandCode::STAGE_HALT).await;
            }
        };
        let (halted, ()) = future::zip(Client::halt_at(options, &AXES), script).await;
        for halted in halted.unwrap() {
            let error = halted.outcome.unwrap_err();
            assert!(matches!(error, Error::ConnectionLost { sent: true, .. }), "{error}");
        }
    });
}

#[test]
fn nobody_at_the_address_is_an_error_of_connecting() {
    smol::block_on(async {
        let (listener, options) = listen();
        drop(listener);
        let halted = soon("the refusal", Client::halt_at(options, &AXES)).await;
        assert!(matches!(halted, Err(Error::Connect { .. })), "{halted:?}");
    });
}

#[test]
fn a_laser_off_that_goes_first_ends_when_it_is_written() {
    smol::block_on(async {
        let (listener, options) = listen();
        let off = Frame::command(CommandCode::LASER_DISABLE_ALL).with_selector(1);
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            peer.expect(CommandCode::LASER_DISABLE_ALL).await;
        };
        let (stopped, ()) = future::zip(Client::stop_at(options, &[off]), script).await;
        assert!(matches!(stopped.unwrap()[..], [Stopped { outcome: Ok(None), .. }]));
    });
}

#[test]
fn what_is_no_stop_does_not_go_before_the_handshake() {
    smol::block_on(async {
        let (_listener, options) = listen();
        let enable = Frame::command(CommandCode::LASER_ENABLE).with_selector(1);
        let refused = Client::stop_at(options, &[enable]).await;
        assert!(matches!(refused, Err(Error::NoStop { .. })), "{refused:?}");
    });
}

#[test]
fn a_halt_called_while_not_connected_goes_first_on_the_next() {
    smol::block_on(async {
        let (listener, options) = listen();
        // Without the HALT, nobody would connect again for an hour.
        let options = options.reconnect(Reconnect::default().delay(Duration::from_secs(3600)));
        let (client, peer) =
            future::zip(Client::connect(options), Peer::accept_and_shake_hands(&listener)).await;
        let client = client.unwrap();
        let mut events = client.subscribe(&[]);
        drop(peer);
        while !matches!(soon("the loss", events.next()).await, Some(Event::ConnectionLost)) {}
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            let halt = peer.expect(CommandCode::STAGE_HALT).await;
            peer.write(&answer_to(&halt, 0.0)).await;
            peer.expect(CommandCode::SYSTEM_STATE_GET).await;
        };
        let (halted, ()) = future::zip(client.halt(2), script).await;
        assert_eq!(halted.unwrap().frame.selector(), 2);
        let refused = client.request(Frame::command(CommandCode::STAGE_POSITION_GET)).await;
        assert!(matches!(refused, Err(Error::ConnectionLost { .. })), "{refused:?}");
    });
}
