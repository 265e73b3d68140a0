//! Connects and asks for two positions. `cargo run -p flamingo-runtime-std --example ask`
//!
//! The instrument is simulated. For a real one, give its `HOST:PORT` to `Options::new`.

use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_runtime_std::{Client, Options};
use flamingo_simulator::{Simulator, SimulatorOptions};
use smol::future;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    smol::block_on(async {
        let instrument = Simulator::start(SimulatorOptions::default()).await?;
        let client = Client::connect(Options::new(instrument.control().to_string())).await?;

        // Two requests at the same time: each gets its own answer, in whatever order they arrive.
        let position = |axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
        let both = future::try_zip(client.request(position(1)), client.request(position(2)));
        let (x, y) = both.await?;
        println!("x = {} mm after {:?}, proven: {}", x.frame.value, x.elapsed, x.proven);
        println!("y = {} mm after {:?}, proven: {}", y.frame.value, y.elapsed, y.proven);

        client.close().await;
        Ok(())
    })
}
