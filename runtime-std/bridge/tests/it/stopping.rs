//! How a bridge ends, as its clients see it.

use std::io::ErrorKind;
use std::net::TcpStream;

use crate::harness::bridge;
use flamingo_runtime_testkit::raw_client::{PROMPT, RawClient, query, simulator};

#[test]
fn dropping_the_bridge_ends_its_connections_and_ports() {
    let instrument = simulator(PROMPT);
    let bridge = bridge(instrument.control(), |settings| {
        settings.listen.status = Some(([127, 0, 0, 1], 0).into());
    });
    let control = bridge.control();
    let mut client = RawClient::to(control);
    assert_eq!(client.ask(&query(1)).frame.status, 1);
    // Nothing else wakes the thread of the control side.
    drop(bridge);
    assert!(client.until_end().is_empty());
    let refused = TcpStream::connect(control).expect_err("the port is closed");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    smol::block_on(instrument.stop());
}
