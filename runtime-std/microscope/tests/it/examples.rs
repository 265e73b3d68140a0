//! Each example runs against the simulator.

#[cfg(feature = "image-files")]
use std::path::Path;

use flamingo_runtime_testkit::test_microscope::simulator;

#[path = "../../examples/live_images.rs"]
#[allow(dead_code)] // main
mod live_images;
#[path = "../../examples/move_and_wait.rs"]
#[allow(dead_code)] // main
mod move_and_wait;
#[cfg(feature = "image-files")]
#[path = "../../examples/ome_stack.rs"]
#[allow(dead_code)] // main
mod ome_stack;
#[cfg(feature = "image-files")]
#[path = "../../examples/ome_tiles.rs"]
#[allow(dead_code)] // main
mod ome_tiles;
#[cfg(feature = "ome-zarr")]
#[path = "../../examples/ome_zarr_stack.rs"]
#[allow(dead_code)] // main
mod ome_zarr_stack;

#[test]
fn the_example_move_and_wait_runs() {
    smol::block_on(async {
        let simulator = simulator("").await;
        move_and_wait::run(&simulator.control().to_string()).await.unwrap();
    });
}

#[test]
fn the_example_live_images_runs() {
    smol::block_on(async {
        let simulator = simulator("[images]\nframes_per_s = 200").await;
        live_images::run(&simulator.control().to_string()).await.unwrap();
    });
}

/// Runs an example that writes a file; returns the length of the file.
#[cfg(feature = "image-files")]
fn written(run: fn(&Path) -> Result<(), Box<dyn std::error::Error>>, name: &str) -> u64 {
    let file = std::env::temp_dir().join(format!("flamingo-{name}-{}.ome.tif", std::process::id()));
    run(&file).unwrap();
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::remove_file(&file).unwrap();
    length
}

#[cfg(feature = "image-files")]
#[test]
fn the_example_ome_stack_writes_a_file() {
    assert!(written(ome_stack::run, "ome-stack") > 7 * 48 * 32 * 2);
}

#[cfg(feature = "image-files")]
#[test]
fn the_example_ome_tiles_writes_a_file() {
    assert!(written(ome_tiles::run, "ome-tiles") > 2 * 3 * 2 * 48 * 32 * 2);
}

#[cfg(feature = "ome-zarr")]
#[test]
fn the_example_ome_zarr_stack_writes_a_folder() {
    let name = format!("flamingo-ome-zarr-stack-{}.ome.zarr", std::process::id());
    let folder = std::env::temp_dir().join(name);
    ome_zarr_stack::run(&folder).unwrap();
    assert!(folder.join("0/zarr.json").exists() && folder.join("2/zarr.json").exists());
    std::fs::remove_dir_all(&folder).unwrap();
}
