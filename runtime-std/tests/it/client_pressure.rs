//! Under pressure: floods, full channels, large payloads, slow hosts. Every call still ends as it
//! should, and nothing grows without bound.

use std::io::{Read, Write};
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, connection::TokenField};
use flamingo_runtime_std::{Client, Error, Event, Options, Payload};
use flamingo_runtime_testkit::peer::{
    Driver, Peer, answer_to, connected, listen, move_to, next_frame, opened, position_of, soon,
};
use smol::future;

/// Polls a call once, so that it waits for the driver.
async fn post<F: Future + Unpin>(call: &mut F) {
    assert!(future::poll_once(call).await.is_none(), "nobody can have answered yet");
}

/// The driver runs for as long as `future` takes.
async fn driven<T>(driver: &mut Driver, future: impl Future<Output = T>) -> T {
    let stopped = async {
        driver.await;
        future::pending().await
    };
    future::or(future, stopped).await
}

/// More requests than the driver's channel takes, then the end of one side.
fn every_one_of_100_calls_ends<T>(end: impl FnOnce(Client, Peer) -> T) {
    smol::block_on(async {
        let (client, driver, peer) = opened(|_| {}).await;
        let calls: Vec<_> = (0..100).map(|_| client.request(position_of(1))).collect();
        let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
        for call in &mut calls {
            post(call).await;
        }
        let _kept = end(client.clone(), peer);
        soon("the end", driver).await;
        for call in calls {
            let ended = soon("the call", call).await;
            // The table has 64 places; a call that finds none is refused.
            assert!(matches!(ended, Err(Error::ConnectionLost { .. } | Error::Refused { .. })));
        }
    });
}

#[test]
fn a_full_channel_ends_with_the_peer() {
    every_one_of_100_calls_ends(|_, peer| drop(peer));
}

#[test]
fn a_full_channel_ends_with_the_client_that_is_closed() {
    every_one_of_100_calls_ends(|client, peer| {
        let mut closing = Box::pin(client.close());
        assert!(smol::block_on(future::poll_once(&mut closing)).is_none());
        peer
    });
}

#[test]
fn a_flood_without_a_pause_delays_no_other_work() {
    smol::block_on(async {
        let quick = Duration::from_millis(300);
        let (client, mut peer) = connected(|options| {
            options.protocol.window = 1;
            options.timeout = quick;
        })
        .await;
        let mut socket = peer.stream.get_ref().try_clone().unwrap();
        let flood = std::thread::spawn(move || {
            let frames = Frame::new(CommandCode::UI_SET_GAUGE_VALUE).encode().repeat(1000);
            let mut written = 0;
            loop {
                match socket.write(&frames[written..]) {
                    Ok(more) => written = (written + more) % frames.len(),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
        });
        let timed_out = async {
            let asked = client.request(position_of(1));
            soon("the deadline", asked).await
        };
        let script = async {
            peer.expect(CommandCode::STAGE_POSITION_GET).await;
            // It fills the window: this move is taken back before it can go.
            let moved = client.request(move_to(2, 1.0));
            future::or(async { drop(moved.await) }, async { drop(client.stats().await) }).await;
            client.halt(3).await
        };
        let halted = async {
            let (timed_out, halt) = future::zip(timed_out, script).await;
            assert!(matches!(timed_out, Err(Error::TimedOut { sent: true, .. })), "{timed_out:?}");
            halt
        };
        let halted = soon("the halt's deadline", Box::pin(halted)).await;
        assert!(matches!(halted, Err(Error::TimedOut { sent: true, .. })), "{halted:?}");
        assert_eq!(peer.read().await.code, CommandCode::STAGE_HALT, "not the move");
        drop((client, peer));
        flood.join().unwrap();
    });
}

#[test]
fn an_answer_in_time_is_no_timeout_after_the_host_slept() {
    let timeout = Duration::from_millis(50);
    smol::block_on(async {
        let (client, mut driver, mut peer) = opened(|options| options.timeout = timeout).await;
        let mut asked = Box::pin(client.request(position_of(1)));
        post(&mut asked).await;
        let query = driven(&mut driver, peer.expect(CommandCode::STAGE_POSITION_GET)).await;
        // The driver is not polled. The answer comes behind more bytes than are read at once.
        let flood = Frame::new(CommandCode::UI_SET_GAUGE_VALUE).encode().repeat(2000);
        peer.write_bytes(&flood).await;
        peer.answer(&query, 7.5).await;
        let clock = flamingo_runtime_std::Clock::start();
        while clock.now().as_micros() <= 50_000 {}
        let answer = driven(&mut driver, asked).await;
        assert!((answer.expect("it came").frame.value - 7.5).abs() < f64::EPSILON);
    });
}

#[test]
fn a_dropped_and_superseded_upload_releases_its_payload() {
    smol::block_on(async {
        let (client, mut driver, mut peer) = opened(|options| options.protocol.window = 1).await;
        let mut first = Box::pin(client.request(position_of(1)));
        post(&mut first).await;
        let query = driven(&mut driver, peer.read()).await;
        // The window is full. This waits for it, and the upload waits behind this.
        let setting = Frame::command(CommandCode::CAMERA_EXPOSURE_SET);
        let mut set = Box::pin(client.request(setting));
        post(&mut set).await;
        let payload = Payload::from(vec![7; 1000]);
        let (kept, at) = (payload.clone(), payload.as_ptr());
        let workflow = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
        let mut upload = Box::pin(client.send_with_payload(workflow, payload));
        post(&mut upload).await;
        // With the driver's next turns the upload waits in the queue.
        driven(&mut driver, client.stats()).await.unwrap();
        drop(upload);
        let script = async {
            let halt = peer.expect(CommandCode::STAGE_HALT).await;
            peer.answer(&query, 1.0).await;
            peer.answer(&halt, 0.0).await;
            let setting = peer.expect(CommandCode::CAMERA_EXPOSURE_SET).await;
            peer.answer(&setting, 0.0).await;
        };
        let all = future::zip(future::zip(client.halt(1), script), future::zip(first, set));
        let ((halted, ()), (answered, set)) = driven(&mut driver, all).await;
        halted.unwrap();
        answered.unwrap();
        set.unwrap();
        driven(&mut driver, client.stats()).await.unwrap();
        let bytes = kept.into_vec();
        assert_eq!(bytes.as_ptr(), at, "nobody else needs the payload any more");
    });
}

#[test]
fn each_ambiguous_error_carries_its_own_frame() {
    smol::block_on(async {
        let (client, mut driver, mut peer) = opened(|_| {}).await;
        let mut halts: Vec<_> =
            [1, 1, 2, 2].iter().map(|axis| Box::pin(client.halt(*axis))).collect();
        for halt in &mut halts {
            post(halt).await;
        }
        let commands = async {
            let mut commands = Vec::new();
            for _ in 0..4 {
                commands.push(peer.expect(CommandCode::STAGE_HALT).await);
            }
            commands
        };
        let commands = driven(&mut driver, commands).await;
        let both = [&commands[0], &commands[2]].map(|command| answer_to(command, 0.0).encode());
        peer.write_bytes(&both.concat()).await;
        for (halt, axis) in halts.into_iter().zip([1, 1, 2, 2]) {
            let ended = driven(&mut driver, halt).await;
            let Err(Error::Ambiguous { frame: Some(frame), .. }) = ended else {
                panic!("expected an ambiguous frame, got {ended:?}")
            };
            assert_eq!(frame.selector(), axis);
        }
    });
}

#[test]
fn a_stale_answer_without_a_token_refuses_no_peer() {
    smol::block_on(async {
        let (listener, mut options) = listen();
        options.protocol.tokens = Some(TokenField::ClientId);
        options.timeout = Duration::from_secs(60);
        let script = async {
            let mut peer = Peer::accept(&listener).await;
            let query = peer.expect(CommandCode::SYSTEM_STATE_GET).await;
            let stale = Frame::command(CommandCode::SYSTEM_STATE_GET);
            peer.write(&answer_to(&stale, 9.0)).await;
            peer.answer(&query, 1.0).await;
            peer
        };
        let (client, _peer) = future::zip(Client::connect(options), script).await;
        let value = client.expect("tokens come back").state_at_connect().frame.value;
        assert!((value - 1.0).abs() < f64::EPSILON);
    });
}

#[test]
fn an_idle_subscriber_holds_a_bounded_number_of_bytes() {
    const PAYLOAD: u32 = 16 * 1024 * 1024;
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let mut events = client.subscribe(&[]);
        let big = Frame::new(CommandCode::LED_PREVIEW_DISABLE).with_payload_len(PAYLOAD);
        for n in 0..6 {
            peer.write(&big.with_selector(n)).await;
            peer.write_bytes(&vec![7; PAYLOAD as usize]).await;
        }
        let query = async {
            let query = peer.expect(CommandCode::STAGE_POSITION_GET).await;
            peer.answer(&query, 0.0).await;
        };
        let (answer, ()) = future::zip(client.request(position_of(1)), query).await;
        answer.unwrap();
        assert!(matches!(events.next().await, Some(Event::Lagged(2))));
        assert_eq!(next_frame(&mut events).await.frame.selector(), 2);
        assert_eq!(client.stats().await.unwrap().events_lost, 2);
    });
}

#[test]
fn debug_output_shows_the_length_of_a_payload_not_its_bytes() {
    smol::block_on(async {
        let (client, mut peer) = connected(|_| {}).await;
        let mut events = client.subscribe(&[]);
        let script = async {
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            for frame in [Frame::new(CommandCode::LED_PREVIEW_DISABLE), answer_to(&query, 0.0)] {
                peer.write(&frame.with_payload_len(5000)).await;
                peer.write_bytes(&[7; 5000]).await;
            }
        };
        let query = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
        let (answer, ()) = future::zip(client.request(query), script).await;
        for text in [format!("{answer:?}"), format!("{:?}", next_frame(&mut events).await)] {
            assert!(text.contains("5000 bytes") && text.len() < 2000, "{} long", text.len());
        }
    });
}

/// Answers each query with the number of its axis, as many at once as have come.
fn axis_server() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut buffer = [0; 128 * 64];
        let mut held = 0;
        while let Ok(count @ 1..) = socket.read(&mut buffer[held..]) {
            held += count;
            let whole = held - held % 128;
            let mut answers = Vec::new();
            for query in buffer[..whole].chunks(128) {
                let query = Frame::decode(query).unwrap();
                let value = f64::from(query.selector());
                answers.extend(answer_to(&query, value).encode());
            }
            if socket.write_all(&answers).is_err() {
                return;
            }
            buffer.copy_within(whole..held, 0);
            held -= whole;
        }
    });
    address
}

#[test]
fn threads_and_tasks_on_one_client_get_their_own_answers() {
    let client = smol::block_on(Client::connect(Options::new(axis_server().to_string())));
    let client = &client.expect("the handshake");
    std::thread::scope(|scope| {
        for axis in 1..=4 {
            scope.spawn(move || {
                let executor = smol::LocalExecutor::new();
                let tasks = [axis, axis % 4 + 1].map(|axis| {
                    executor.spawn(async move {
                        for round in 0..500 {
                            // Some are not waited for.
                            let asked = client.request(position_of(axis));
                            if round % 7 == 3 {
                                future::or(async { drop(asked.await) }, future::yield_now()).await;
                                continue;
                            }
                            let answer = soon("an answer", asked).await.expect("an answer");
                            assert!((answer.frame.value - f64::from(axis)).abs() < f64::EPSILON);
                        }
                    })
                });
                smol::block_on(executor.run(async {
                    for task in tasks {
                        task.await;
                    }
                }));
            });
        }
    });
}
