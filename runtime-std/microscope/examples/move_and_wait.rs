//! Moves axis X by 0.5 mm and waits for its arrival. The motion listens before the command is sent, so
//! that even a motion of a few µm is not missed:
//! `cargo run -p flamingo-microscope --example move_and_wait -- HOST:PORT`

use flamingo_microscope::units::Position;
use flamingo_microscope::{Axis, Error, Microscope};
use flamingo_runtime_std::Options;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("expected HOST:PORT of the control port")?;
    smol::block_on(run(&address))
}

pub(crate) async fn run(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let microscope = Microscope::connect(Options::new(address)).await?;
    let stage = microscope.stage();
    let start = stage.position(Axis::X).await?.value;
    let target = Position::Mm(start.value() + 0.5);

    let mut updates = stage.position_updates();
    let mut motion = stage.move_to(Axis::X, target).await?;
    match motion.wait().await {
        Ok(arrival) => println!("axis {} arrived at {target}", arrival.axis),
        Err(Error::Halted { axis }) => println!("axis {axis} was halted"),
        Err(error) => return Err(error.into()),
    }
    while let Some(update) = updates.try_next() {
        println!("on the way: axis {} at {:.3}", update.axis, update.position);
    }
    microscope.close().await;
    Ok(())
}
