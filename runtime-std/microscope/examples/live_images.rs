//! Starts the live view and takes the newest image, ten times. Images that arrive meanwhile are
//! dropped and counted; receiving never stops:
//! `cargo run -p flamingo-microscope --example live_images -- HOST:PORT`

use flamingo_microscope::live::{LiveOptions, LiveStream, image_port};
use flamingo_microscope::{LiveUpdates, Microscope};
use flamingo_runtime_std::Options;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("expected HOST:PORT of the control port")?;
    smol::block_on(run(&address))
}

pub(crate) async fn run(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let microscope = Microscope::connect(Options::new(address)).await?;
    // Connect to the image port before the live view starts, so that no image is missed.
    let port = image_port(address, 1).ok_or("expected HOST:PORT of the control port")?;
    let mut images = LiveStream::connect(&port, LiveOptions::default()).await?;
    microscope.camera().start_live_view(LiveUpdates::Always).await?;
    for _ in 0..10 {
        let image = images.next_image().await?.ok_or("the instrument closed the image port")?;
        let brightest = image.pixels().iter().max().unwrap_or(&0);
        println!(
            "image {}: {} x {} pixels, brightest {brightest}, {} dropped before it",
            image.number, image.header.width, image.header.height, image.dropped_before
        );
    }
    microscope.camera().stop_live_view().await?;
    println!("{:?}", images.stats());
    microscope.close().await;
    Ok(())
}
