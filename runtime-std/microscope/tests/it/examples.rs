//! Each example runs against the simulator.

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

#[cfg(feature = "image-files")]
#[test]
fn the_example_ome_stack_writes_a_file() {
    let name = format!("flamingo-ome-stack-{}.ome.tif", std::process::id());
    let file = std::env::temp_dir().join(name);
    ome_stack::run(&file).unwrap();
    assert!(std::fs::metadata(&file).unwrap().len() > 7 * 48 * 32 * 2);
    std::fs::remove_file(&file).unwrap();
}
