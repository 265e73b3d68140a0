//! Moves an axis and prints the events until it has stopped.
//! `cargo run -p flamingo-runtime-std --example subscribe`

use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_runtime_std::{Client, Event, Options};
use flamingo_simulator::{Simulator, SimulatorOptions};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    smol::block_on(async {
        let instrument = Simulator::start(SimulatorOptions::default()).await?;
        let client = Client::connect(Options::new(instrument.control().to_string())).await?;

        // Subscribe before the command is sent: no event is missed then.
        let mut events =
            client.subscribe(&[CommandCode::STAGE_POSITION_GET, CommandCode::STAGE_MOTION_STOPPED]);
        let z = 3;
        let move_z = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(z);
        client.request(move_z.with_value(12.5)).await?;

        while let Some(event) = events.next().await {
            match event {
                Event::Frame(event) => {
                    let Frame { code, value, .. } = event.frame;
                    println!("{code}: axis {}, {value} mm", event.frame.selector());
                    if code == CommandCode::STAGE_MOTION_STOPPED && event.frame.selector() == z {
                        break;
                    }
                }
                // This program was too slow: its own oldest events are gone, nobody else's.
                Event::Lagged(lost) => println!("{lost} events lost"),
                Event::ConnectionLost => return Err("the connection was lost".into()),
                other => println!("{other:?}"),
            }
        }
        client.close().await;
        Ok(())
    })
}
