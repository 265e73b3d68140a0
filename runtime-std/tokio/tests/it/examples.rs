//! Runs every file of `examples/`.

#[path = "../../examples/plain_threads.rs"]
mod plain_threads;
#[path = "../../examples/tokio_tasks.rs"]
mod tokio_tasks;

#[test]
fn a_program_on_tokio_asks_listens_and_moves() {
    tokio_tasks::main().expect("the example");
}

#[test]
fn a_program_of_plain_threads_asks_listens_and_moves() {
    plain_threads::main().expect("the example");
}
