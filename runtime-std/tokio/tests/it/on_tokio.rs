//! The suite of every client, on both kinds of runtimes of Tokio.

use flamingo_runtime_testkit::suite::Work;
use flamingo_runtime_testkit::suite::hosted::Host;
use flamingo_tokio::{Client, Error, Options, Stopped};
use tokio::runtime::{Builder, Runtime};

type Call<T> = flamingo_runtime_testkit::suite::Call<T>;

fn start(builder: &mut Builder) -> Runtime {
    builder.enable_all().build().expect("a runtime")
}

macro_rules! suite_on {
    ($name:ident, $builder:expr) => {
        mod $name {
            use super::*;

            pub(super) struct Tokio;

            impl Host for Tokio {
                fn run(test: impl Future<Output = ()> + 'static) {
                    start(&mut $builder).block_on(test);
                }

                fn connect(options: Options) -> Call<Result<Client, Error>> {
                    Box::pin(flamingo_tokio::connect(options))
                }

                fn halt_at(
                    options: Options,
                    axes: &'static [i32],
                ) -> Call<Result<Vec<Stopped>, Error>> {
                    Box::pin(flamingo_tokio::halt_at(options, axes))
                }

                fn spawn(task: Work) -> Call<()> {
                    let task = tokio::spawn(task);
                    Box::pin(async { task.await.expect("the task does not panic") })
                }
            }

            flamingo_runtime_testkit::calls_suite!(
                flamingo_runtime_testkit::suite::hosted::Hosted<Tokio>
            );
        }
    };
}

suite_on!(current_thread, Builder::new_current_thread());
suite_on!(multi_thread, Builder::new_multi_thread());

#[test]
fn a_client_without_a_runtime_is_an_error_and_no_panic() {
    let client = smol::block_on(flamingo_tokio::connect(Options::new("127.0.0.1:1")));
    let error = client.expect_err("no runtime").to_string();
    assert!(error.contains("no reactor running"), "{error}");
}
