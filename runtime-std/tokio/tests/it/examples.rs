//! Runs the program in `examples/`.

#[path = "../../examples/tokio_tasks.rs"]
mod tokio_tasks;

#[test]
fn a_program_on_tokio_asks_listens_and_moves() {
    tokio_tasks::main().expect("the example");
}
