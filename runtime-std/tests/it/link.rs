//! Who moves the bytes: callers and driver on a socket that the test plays (`played.rs`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Error, Event};
use flamingo_runtime_testkit::peer::{answer_to, move_to, position_of};

use crate::played::{Rig, Task, panicking_waker};
use flamingo_runtime_testkit::allocator::allocations;

#[test]
fn a_caller_writes_and_reads_without_the_driver() {
    let rig = Rig::new();
    let mut asked = rig.ask(2);
    assert!(asked.poll().is_none());
    assert_eq!(rig.peer.count(|wire| wire.writes), 1);
    rig.peer.answer_all();
    assert_eq!(asked.woken(), 1, "the caller is woken, since the socket can be read");
    assert!(asked.poll().expect("the answer").is_ok());
    assert_eq!(asked.woken(), 0, "it does not wake itself");
    assert_eq!(rig.driver_woken(), 0);
}

#[test]
fn a_query_and_its_answer_allocate_nothing() {
    let rig = Rig::new();
    let query = |axis| {
        let mut asked = rig.ask(axis);
        let mut count = allocations(|| assert!(asked.poll().is_none()));
        rig.peer.answer_all();
        count += allocations(|| assert!(asked.poll().expect("the answer").is_ok()));
        count
    };
    // What is allocated once is used again.
    for axis in 1..=4 {
        query(axis);
    }
    assert_eq!((0..1000).map(|number| query(number % 4 + 1)).sum::<u64>(), 0);
}

#[test]
fn no_read_is_made_that_can_give_nothing() {
    let rig = Rig::new();
    for _ in 0..1000 {
        let mut asked = rig.ask(1);
        assert!(asked.poll().is_none());
        rig.peer.answer_all();
        assert!(asked.poll().expect("the answer").is_ok());
    }
    let (reads, empty) = rig.peer.count(|wire| (wire.reads, wire.empty_reads));
    assert_eq!(reads - empty, 1000);
    // An answer that comes at once would save a wait: that is tried now and then.
    assert!(empty <= 15, "{empty} of {reads} reads gave nothing");
}

#[test]
fn a_caller_that_is_not_polled_stops_nobody_else() {
    let mut rig = Rig::new();
    let mut asked = rig.ask(1);
    assert!(asked.poll().is_none());
    let mut stuck = rig.request(Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET));
    assert!(stuck.poll_until_sent().is_none());
    let queries = rig.peer.take();
    assert_eq!(queries.len(), 2);
    rig.peer.send(&[answer_to(&queries[0], 1.0)]);
    assert_eq!((asked.woken(), stuck.woken()), (0, 1), "the last one has to read");
    rig.pass_until_due();
    rig.poll_driver();
    assert_eq!(asked.woken(), 1, "the driver has read instead");
    assert!(asked.poll().expect("the answer").is_ok());
    rig.peer.send(&[answer_to(&queries[1], 1.0)]);
    rig.poll_driver();
    assert!(stuck.poll().expect("its own answer").is_ok());
}

#[test]
fn a_dropped_call_leaves_the_reading_to_the_next() {
    let rig = Rig::new();
    let mut first = rig.ask(1);
    assert!(first.poll().is_none());
    let mut second = rig.ask(2);
    assert!(second.poll_until_sent().is_none());
    let queries = rig.peer.take();
    rig.peer.send(&[answer_to(&queries[0], 1.0)]);
    assert_eq!((first.woken(), second.woken()), (0, 1));
    drop(second);
    assert_eq!(first.woken(), 1);
    assert!(first.poll().expect("the answer").is_ok());
}

#[test]
fn calls_of_tasks_that_run_together_go_out_in_one_write() {
    let rig = Rig::new();
    let mut calls: Vec<_> = (1..=4).map(|axis| rig.ask(axis)).collect();
    for call in &mut calls {
        assert!(call.poll().is_none());
    }
    rig.peer.answer_all();
    for _ in 0..10 {
        rig.peer.0.lock().unwrap().writes = 0;
        // The last one is woken to read, and wakes the others.
        for (axis, call) in [1, 2, 3, 4].into_iter().zip(&mut calls).rev() {
            assert!(call.poll_if_woken().expect("woken, and answered").is_ok());
            // It asks again at once.
            *call = rig.ask(axis);
            assert!(call.poll().is_none());
        }
        // Those that were held back run again, and find that they are written.
        for call in &mut calls {
            assert!(call.poll_if_woken().is_none());
        }
        assert_eq!(rig.peer.count(|wire| (wire.writes, wire.from_client.len())), (1, 4 * 128));
        rig.peer.answer_all();
    }
}

#[test]
fn a_call_that_is_held_back_goes_out_if_no_other_comes() {
    let rig = Rig::new();
    let _calls = rig.two_callers_about_to_run();
    let mut next = rig.ask(4);
    assert!(next.poll().is_none());
    assert_eq!(rig.peer.take(), []);
    assert_eq!(next.woken(), 1);
    assert!(next.poll().is_none());
    assert_eq!(rig.peer.take().len(), 1);
}

#[test]
fn a_stop_is_not_held_back_and_takes_the_others_with_it() {
    let rig = Rig::new();
    let _calls = rig.two_callers_about_to_run();
    let mut next = rig.ask(4);
    assert!(next.poll().is_none());
    let client = rig.client.clone();
    let mut halt = Task::new(async move { client.halt(1).await });
    assert!(halt.poll().is_none());
    let codes: Vec<_> = rig.peer.take().iter().map(|frame| frame.code).collect();
    assert_eq!(codes, [CommandCode::STAGE_HALT, CommandCode::STAGE_POSITION_GET]);
}

#[test]
fn a_full_socket_is_not_written_until_it_reports_room() {
    let mut rig = Rig::new();
    rig.peer.0.lock().unwrap().room = 100;
    let mut asked = rig.ask(1);
    assert!(asked.poll().is_none());
    for axis in 2..=4 {
        let mut other = rig.ask(axis);
        assert!(other.poll_until_sent().is_none());
    }
    assert_eq!(rig.peer.count(|wire| wire.full_writes), 1, "one tells that it is full");
    rig.peer.make_room(usize::MAX / 2);
    assert_eq!(rig.driver_woken(), 1, "what waits for room is the driver's");
    rig.poll_driver();
    // The futures of the others were dropped: they are not sent any more.
    assert_eq!(rig.peer.take().len(), 1);
    assert_eq!(rig.peer.count(|wire| wire.full_writes), 1);
}

#[test]
fn moves_that_wait_for_the_socket_are_cancelled_by_a_halt() {
    let mut rig = Rig::new();
    rig.peer.0.lock().unwrap().room = 100;
    let moves = (1..=3).map(|axis| {
        let client = rig.client.clone();
        Task::new(async move { client.send(move_to(axis, 1.0)).await })
    });
    let mut moves: Vec<_> = moves.collect();
    for call in &mut moves {
        assert!(call.poll_until_sent().is_none());
    }
    let client = rig.client.clone();
    let mut halt = Task::new(async move { client.halt(1).await });
    assert!(halt.poll().is_none());
    rig.peer.make_room(usize::MAX / 2);
    rig.poll_driver();
    let codes: Vec<_> = rig.peer.take().iter().map(|frame| frame.code).collect();
    assert_eq!(codes, [CommandCode::STAGE_POSITION_SET, CommandCode::STAGE_HALT]);
    assert!(moves[0].poll().expect("it is written").is_ok());
    for call in &mut moves[1..] {
        let ended = call.poll().expect("the end of the move");
        assert!(matches!(ended, Err(Error::Superseded { .. })), "{ended:?}");
    }
}

#[test]
fn a_kept_future_of_a_call_that_is_over_stops_no_event() {
    let mut rig = Rig::new();
    let mut events = rig.client.subscribe(&[]);
    let mut kept = rig.ask(1);
    assert!(kept.poll().is_none());
    rig.peer.answer_all();
    let client = rig.client.clone();
    let mut stats = Task::new(async move { client.stats().await });
    assert!(stats.poll().is_none());
    rig.poll_driver();
    assert!(stats.poll().is_some());
    rig.driver_woken();
    rig.peer.send(&[Frame::new(CommandCode::SYSTEM_STATE_IDLE)]);
    assert_eq!(rig.driver_woken(), 1, "no caller has to read");
    rig.poll_driver();
    assert!(matches!(events.try_next(), Some(Event::Frame(_))));
    assert!(kept.poll().expect("its answer").is_ok());
}

#[test]
fn a_task_whose_calls_end_at_once_lets_others_run() {
    let rig = Rig::new();
    let client = rig.client.clone();
    let mut task = Task::new(async move {
        for _ in 0..100 {
            client.send(position_of(1)).await.expect("it is written");
        }
    });
    let mut polls = 1;
    while task.poll().is_none() {
        assert_eq!(task.woken(), 1);
        polls += 1;
    }
    assert!((5..=10).contains(&polls), "{polls}");
    assert_eq!(rig.peer.take().len(), 100);
}

#[test]
fn a_call_that_is_held_back_goes_out_though_it_is_not_polled() {
    let mut rig = Rig::new();
    let _calls = rig.two_callers_about_to_run();
    let mut held = rig.ask(4);
    assert!(held.poll().is_none());
    assert_eq!(rig.peer.take(), []);
    rig.pass_until_due();
    rig.poll_driver();
    assert_eq!(rig.peer.take().len(), 1);
}

#[test]
fn a_caller_whose_waker_panics_harms_no_other_caller() {
    let rig = Rig::new();
    let mut broken = rig.ask(1);
    assert!(broken.poll_with(&panicking_waker()).is_none());
    let mut asked = rig.ask(2);
    assert!(asked.poll_until_sent().is_none());
    rig.peer.answer_all();
    assert!(asked.poll().expect("the answer").is_ok());
    assert!(broken.poll().expect("the answer came with the same read").is_ok());
}

#[test]
fn a_subscriber_whose_waker_panics_harms_no_other_one() {
    let mut rig = Rig::new();
    let [mut broken, mut events] = [(); 2].map(|()| rig.client.subscribe(&[]));
    let mut broken = Task::new(async move { broken.next().await });
    assert!(broken.poll_with(&panicking_waker()).is_none());
    let mut next = Task::new(async move { events.next().await });
    assert!(next.poll().is_none());
    rig.peer.send(&[Frame::new(CommandCode::SYSTEM_STATE_IDLE)]);
    rig.poll_driver();
    assert!(matches!(next.poll_if_woken(), Some(Some(Event::Frame(_)))));
    assert!(matches!(broken.poll(), Some(Some(Event::Frame(_)))));
}

#[test]
fn a_driver_that_looks_at_any_time_loses_no_call() {
    let Rig { mut driver, client, peer, clock, .. } = Rig::new();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut cx = Context::from_waker(Waker::noop());
            while !is_over.load(Ordering::SeqCst) {
                assert_eq!(driver.poll(&mut cx), Poll::Pending);
                let _ = (driver.due(), driver.options());
            }
        });
        for axis in (1..=4).cycle().take(3000) {
            let begin = clock.now();
            let within = |what| {
                let waited = clock.now().since(begin).as_micros();
                assert!(waited < 5_000_000, "no {what} within 5 s");
                std::thread::yield_now();
            };
            let client = client.clone();
            let mut asked = Task::new(async move { client.request(position_of(axis)).await });
            let mut outcome = asked.poll();
            while peer.count(|wire| wire.from_client.is_empty()) {
                outcome = outcome.or_else(|| asked.poll_if_woken());
                within("query");
            }
            peer.answer_all();
            while outcome.is_none() {
                outcome = asked.poll_if_woken();
                within("answer");
            }
            assert!(outcome.is_some_and(|answer| answer.is_ok()));
        }
        is_over.store(true, Ordering::SeqCst);
    });
}
