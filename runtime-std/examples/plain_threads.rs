//! A whole program of plain threads, without async code: two threads ask, one listens, and an axis is moved until
//! it has stopped.
//! `cargo run -p flamingo-runtime-std --features blocking --example plain_threads`
//!
//! The instrument is simulated. For a real one, give its `HOST:PORT` to `Options::new`.

use std::error::Error;
use std::thread;
use std::time::Duration;

use flamingo_runtime_std::blocking::Client;
use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_runtime_std::{Event, Options};
use flamingo_simulator::{Simulator, SimulatorOptions};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let instrument = smol::block_on(Simulator::start(SimulatorOptions::default()))?;
    let client = Client::connect(Options::new(instrument.control().to_string()))?;

    // A thread that listens: the subscription is an iterator, which ends when the client is closed.
    let events = client.subscribe(&[CommandCode::STAGE_POSITION_GET]);
    let listener =
        thread::spawn(|| events.filter(|event| matches!(event, Event::Frame(_))).count());

    // Two threads that ask at the same time: each gets its own answer.
    let ask = |axis| {
        let client = client.clone();
        let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
        thread::spawn(move || client.request(query))
    };
    for (name, asked) in [("x", ask(1)), ("y", ask(2))] {
        let answer = asked.join().map_err(|_| "the thread has panicked")??;
        println!("{name} = {} mm", answer.frame.value);
    }

    // Armed before it is sent: a short motion may end before its acknowledgement is read.
    let z = 3;
    let mut motion = client.arm(z);
    let move_z = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(z);
    client.request(move_z.with_value(12.5))?;
    match motion.wait_timeout(Duration::from_secs(60))? {
        Some(end) => println!("the motion was completed: {}", end.completed),
        None => println!("it still moves: {:?}", client.halt(z)?.outcome),
    }

    client.close();
    println!("{} position updates", listener.join().map_err(|_| "the thread has panicked")?);
    Ok(())
}
