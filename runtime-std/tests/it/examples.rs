//! Runs every file of `examples/`.

#[path = "../../examples/ask.rs"]
mod ask;
#[path = "../../examples/own_executor.rs"]
mod own_executor;
#[path = "../../examples/plain_threads.rs"]
mod plain_threads;
#[path = "../../examples/subscribe.rs"]
mod subscribe;

#[test]
fn a_client_connects_and_asks() {
    ask::main().expect("the example");
}

#[test]
fn a_program_of_plain_threads_asks_listens_and_moves() {
    plain_threads::main().expect("the example");
}

#[test]
fn a_subscriber_sees_the_motion_and_its_end() {
    subscribe::main().expect("the example");
}

#[test]
fn the_client_runs_without_the_executor_of_smol() {
    own_executor::main().expect("the example");
}
