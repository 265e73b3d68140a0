//! A whole program on Tokio: two tasks ask, one listens, and an axis is moved until it has stopped.
//! `cargo run -p flamingo-tokio --example tokio_tasks`
//!
//! The instrument is simulated. For a real one, give its `HOST:PORT` to `Options::new`.

use std::error::Error;

use flamingo_simulator::{Simulator, SimulatorOptions};
use flamingo_tokio::protocol::{CommandCode, Frame};
use flamingo_tokio::{Event, Options};

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let instrument = Simulator::start(SimulatorOptions::default()).await?;
    let options = Options::new(instrument.control().to_string());
    let client = flamingo_tokio::connect(options).await?;

    // A task that listens. It is slow for nobody: others lose nothing if it does not keep up.
    let mut events = client.subscribe(&[CommandCode::STAGE_POSITION_GET]);
    let listener = tokio::spawn(async move {
        let mut positions = 0;
        while let Some(event) = events.next().await {
            positions += usize::from(matches!(event, Event::Frame(_)));
        }
        positions
    });

    // Two tasks that ask at the same time: each gets its own answer.
    let ask = |axis| {
        let client = client.clone();
        let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
        tokio::spawn(async move { client.request(query).await })
    };
    let (x, y) = (ask(1), ask(2));
    println!("x = {} mm, y = {} mm", x.await??.frame.value, y.await??.frame.value);

    // Armed before it is sent: a short motion may end before its acknowledgement is read.
    let z = 3;
    let mut motion = client.arm(z);
    let move_z = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(z);
    client.request(move_z.with_value(12.5)).await?;
    println!("the motion was completed: {}", motion.wait().await?.completed);

    client.close().await;
    println!("{} position updates", listener.await?);
    Ok(())
}
