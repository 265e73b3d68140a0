//! Connecting: the handshake, which peers are refused and why, loss, and connecting again.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Flags, Frame, connection::TokenField};
use flamingo_runtime_std::{Client, Error, Options};
use flamingo_runtime_testkit::peer::{
    Peer, answer_to, event_codes, is_lost, listen, position_of, soon,
};
use smol::io::AsyncReadExt;
use smol::{Timer, future};

fn quick(options: &mut Options) {
    options.timeout = Duration::from_millis(300);
}

#[test]
fn nothing_but_the_state_query_is_sent_before_it_was_answered() {
    smol::block_on(async {
        let (listener, options) = listen();
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            assert!(query.flags.contains(Flags::TRIGGER_CALL_BACK));
            peer.answer(&query, 0.0).await;
            peer
        };
        let (client, mut peer) = future::zip(Client::connect(options), script).await;
        let client = client.unwrap();
        assert_eq!(client.state_at_connect().frame.status, 1);
        let ask = client.request(position_of(1));
        let script = async {
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.answer(&query, 7.5).await;
        };
        let (answer, ()) = future::zip(ask, script).await;
        assert!((answer.unwrap().frame.value - 7.5).abs() < f64::EPSILON);
    });
}

#[test]
fn stale_bytes_after_connect_are_resynchronised_over() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.settle = Duration::from_millis(50);
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            // The tail of a frame of an earlier conversation, and a whole answer of it.
            let stale = answer_to(&Frame::command(CommandCode::SYSTEM_STATE_GET), 99.0).encode();
            peer.write_bytes(&stale[57..]).await;
            peer.write_bytes(&stale).await;
            let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            peer.answer(&query, 1.0).await;
            peer
        };
        let (client, _peer) = future::zip(Client::connect(options), script).await;
        let client = client.unwrap();
        let value = client.state_at_connect().frame.value;
        assert!((value - 1.0).abs() < f64::EPSILON, "the stale answer is not the answer: {value}");
        assert_eq!(client.stats().await.unwrap().counters.noise_bytes, 71);
    });
}

#[test]
fn stale_bytes_after_a_silence_are_no_answer() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.settle = Duration::from_secs(1);
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            // A server accepts later than its system does, and a relay hands on what it holds later than that. Silence
            // until then does not show that the stream is clean.
            Timer::after(options.settle / 10).await;
            let stale = answer_to(&Frame::command(CommandCode::SYSTEM_STATE_GET), 99.0).encode();
            peer.write_bytes(&stale).await;
            let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            peer.answer(&query, 1.0).await;
            peer
        };
        let (client, _peer) = future::zip(Client::connect(options.clone()), script).await;
        let value = client.unwrap().state_at_connect().frame.value;
        assert!((value - 1.0).abs() < f64::EPSILON, "the stale answer is not the answer: {value}");
    });
}

#[test]
fn connecting_ends_in_a_flood_of_unsolicited_frames() {
    smol::block_on(async {
        let (listener, options) = listen();
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            let flood: Vec<u8> = event_codes()
                .cycle()
                .take(5000)
                .flat_map(|code| Frame::new(code).encode())
                .collect();
            peer.write_bytes(&flood).await;
            let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            peer.write_bytes(&flood).await;
            peer.answer(&query, 0.0).await;
            peer.write_bytes(&flood).await;
            peer
        };
        let (client, _peer) = future::zip(Client::connect(options), script).await;
        client.unwrap();
    });
}

#[test]
fn an_http_server_is_named_as_no_flamingo() {
    smol::block_on(async {
        let (listener, options) = listen();
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            peer.read().await;
            peer.write_bytes(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
        };
        let (client, ()) = future::zip(Client::connect(options), script).await;
        let error = client.unwrap_err();
        assert!(matches!(error, Error::NotFlamingo { .. }), "{error}");
        assert!(error.to_string().contains("HTTP/1.1"), "{error}");
    });
}

#[test]
fn an_http_server_that_waits_for_the_end_of_a_line_is_named_too() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        quick(&mut options);
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            let mut request = Vec::new();
            soon("the end of the request", peer.stream.read_to_end(&mut request)).await.unwrap();
            peer.write_bytes(b"HTTP/1.0 400 Bad request syntax\r\n\r\n").await;
        };
        let (client, ()) = future::zip(Client::connect(options), script).await;
        let error = client.unwrap_err();
        assert!(error.to_string().contains("HTTP/1.0"), "{error}");
        assert_eq!(error.exit_code(), 6);
    });
}

#[test]
fn a_frame_cut_off_in_the_handshake_is_reported() {
    smol::block_on(async {
        let (listener, options) = listen();
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            let query = peer.read().await;
            peer.write_bytes(&answer_to(&query, 0.0).encode()[..100]).await;
        };
        let (client, ()) = future::zip(Client::connect(options), script).await;
        let error = client.unwrap_err();
        assert!(error.to_string().contains("100 bytes into a frame of 128"), "{error}");
        assert_eq!(error.exit_code(), 7);
    });
}

#[test]
fn a_handshake_ends_at_its_deadline_not_after_the_grace() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        quick(&mut options);
        // Far longer than `soon` waits.
        options.protocol.grace = Duration::from_secs(3600).into();
        let attempt = soon("the end of the handshake", Client::connect(options));
        let (client, _peer) = future::zip(attempt, Peer::accept(&listener)).await;
        assert!(matches!(client, Err(Error::Silent { .. })), "{client:?}");
    });
}

#[test]
fn a_peer_that_hangs_up_is_a_lost_connection() {
    smol::block_on(async {
        let (listener, options) = listen();
        let script = async {
            Peer::accept(&listener).await.read().await;
        };
        let (client, ()) = future::zip(Client::connect(options), script).await;
        assert!(is_lost(&client), "{client:?}");
    });
}

#[test]
fn tokens_that_do_not_come_back_are_found_out_at_connect() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.protocol.tokens = Some(TokenField::Int32Data2);
        quick(&mut options);
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            let mut query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            assert_ne!(query.int32_data[2], 0);
            query.int32_data[2] = 0;
            peer.answer(&query, 0.0).await;
            peer
        };
        let (client, _peer) = future::zip(Client::connect(options), script).await;
        let error = client.unwrap_err();
        assert!(matches!(error, Error::TokensNotEchoed { field: "int32Data2", .. }), "{error}");
    });
}
