//! A stop behind a link that stalls: it stays queued until it is out, and each time that it has waited
//! for the patience, the connection reports it.

use crate::common::*;
use flamingo_protocol_core::{
    Config, Ended, Event,
    time::{Duration, Instant},
};

/// A client in the middle of an upload, on a link that takes bytes only where the test says so.
struct Stalled {
    client: Client,
    told: Vec<Event>,
}

impl Stalled {
    fn new(config: Config) -> Self {
        let mut client = Client::with(config);
        client.queue(&upload(1_000_000), ms(600_000)).unwrap();
        client.write_some(128);
        Self { client, told: Vec::new() }
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, span: Duration) {
        let end = self.client.now + span;
        while let Some((at, _)) = self.client.core.poll_timeout().filter(|(at, _)| *at <= end) {
            self.client.now = self.client.now.max(at);
            self.client.core.handle_timeout(self.client.now);
            self.take_events();
        }
        self.client.now = end;
    }

    fn take_events(&mut self) {
        self.told.extend(std::iter::from_fn(|| self.client.core.poll_event()));
    }

    fn blocks(&self) -> usize {
        self.told.iter().filter(|event| **event == Event::StopBlocked).count()
    }
}

#[test]
fn a_queued_halt_is_not_withdrawn_at_its_deadline() {
    let mut link = Stalled::new(Config::default());
    let stop = link.client.queue(&halt(1), ms(10)).unwrap();
    link.pass(ms(900));
    assert_eq!(link.told, [], "it waits");
    link.pass(ms(100));
    assert_eq!(link.told, [Event::StopBlocked]);
    link.pass(ms(60_000));
    link.client.write();
    assert_eq!(link.client.last_sent().unwrap().0, halt(1).code, "it is out in the end");
    link.told.clear();
    link.pass(ms(9));
    assert_eq!(link.told, [], "its time began when it went out");
    link.pass(ms(1));
    let ended = Ended::TimedOut { sent: true };
    assert_eq!(link.told, [Event::Ended { ticket: stop, ended }]);
}

#[test]
fn an_upload_that_drips_makes_a_halt_no_more_patient() {
    let mut link = Stalled::new(Config::default());
    link.client.queue(&halt(1), ms(3000)).unwrap();
    for step in 1..=50 {
        link.pass(ms(100));
        link.client.write_some(10);
        assert_eq!(link.blocks(), step / 10, "after {step} steps");
    }
}

#[test]
fn each_blocked_halt_is_reported_after_its_own_patience() {
    let mut link = Stalled::new(Config::default());
    link.client.queue(&halt(1), ms(3000)).unwrap();
    link.pass(ms(900));
    link.client.write_some(usize::MAX); // the upload
    link.client.queue(&halt(2), ms(3000)).unwrap();
    link.client.write_some(usize::MAX); // the first halt
    link.pass(ms(999));
    assert_eq!(link.blocks(), 0);
    link.pass(ms(1));
    assert_eq!(link.blocks(), 1);
}

#[test]
fn a_halt_that_is_out_is_not_reported_as_blocked() {
    let mut link = Stalled::new(Config::default());
    link.client.queue(&halt(1), ms(3000)).unwrap();
    link.client.now = link.client.now + ms(1000);
    link.client.core.handle_timeout(link.client.now);
    link.client.write(); // before the event is taken
    assert_eq!(link.client.events, []);
    link.take_events();
    assert_eq!(link.told, []);
}

#[test]
fn a_patience_of_zero_does_not_stop_the_time() {
    let mut link = Stalled::new(Config::default().with_stop_patience(Duration::ZERO));
    link.client.queue(&halt(1), ms(3000)).unwrap();
    link.pass(Duration::from_micros(10));
    assert!(link.blocks() > 1);
}

#[test]
fn a_halt_is_not_withdrawn_at_the_end_of_time() {
    let mut link = Stalled::new(Config::default());
    let stop = link.client.queue(&halt(1), ms(10)).unwrap();
    link.client.now = Instant::FAR_FUTURE;
    for _ in 0..3 {
        link.client.core.handle_timeout(link.client.now);
    }
    link.take_events();
    let ended = |event: &Event| matches!(event, Event::Ended { ticket, .. } if *ticket == stop);
    assert!(!link.told.iter().any(ended));
    link.client.write();
    assert_eq!(link.client.last_sent().unwrap().0, halt(1).code);
}

#[test]
fn a_halt_ends_with_the_connection_and_is_not_blocked_then() {
    let mut link = Stalled::new(Config::default());
    let stop = link.client.queue(&halt(1), ms(10)).unwrap();
    link.client.now = link.client.now + ms(1000);
    link.client.core.handle_timeout(link.client.now);
    link.client.core.handle_eof();
    link.take_events();
    let ended = Ended::ConnectionLost { sent: false };
    assert!(link.told.contains(&Event::Ended { ticket: stop, ended }));
    assert_eq!(link.blocks(), 0);
    assert_eq!(link.client.core.poll_timeout(), None);
}
