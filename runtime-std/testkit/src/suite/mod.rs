//! One suite of tests for every client: on smol, on Tokio, for plain threads, and in firmware. What a client must
//! provide is [`Asks`], and [`Calls`] if it has the API of `flamingo_runtime_std::Client`. The tests are the functions of
//! `cancelling.rs`, `calls.rs`, `ends.rs` and `load.rs`; [`asks_suite`](crate::asks_suite) and
//! [`calls_suite`](crate::calls_suite) make `#[test]`s of them.
//!
//! Tests of what only async code can do, such as a driver that is not polled, are in `runtime-std/tests/it`.

pub mod calls;
pub mod cancelling;
pub mod ends;
pub mod hosted;
pub mod load;

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use flamingo_protocol_core::{Class, CommandCode, Frame};
use flamingo_runtime_std::{Answer, Error, Event, MotionStopped, Options, Stats, Stopped};

use crate::peer::Peer;

/// A call that may be on its way already. Dropping it says nothing about the call: see [`Asks::given_up`].
pub type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The time limit of a call that ends by it where nothing else can end it.
pub const SHORT: Duration = Duration::from_millis(200);

/// A client that sends a command and gives its answer: all that firmware has.
pub trait Asks: Clone + Send + Sized + 'static {
    type Failure: Debug + Send;
    type Heard: Hears;

    /// Runs a test where this client runs.
    fn run(test: impl Future<Output = ()> + 'static);

    /// A client and its peer.
    fn connected(tune: impl FnOnce(&mut Options)) -> impl Future<Output = (Self, Peer)>;

    /// Sends a command and gives its answer.
    fn request(&self, frame: Frame) -> Call<Result<Frame, Self::Failure>>;

    /// Sends a command, and gives up when `script` has ended: the call is dropped, or ends by its own time limit
    /// where it cannot be dropped.
    fn given_up<T>(&self, frame: Frame, script: impl Future<Output = T>)
    -> impl Future<Output = T>;

    /// Waits until the request of a call that was given up just now has ended. Firmware does not withdraw it: it ends by
    /// its time limit.
    fn given_up_has_ended(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// The frames that are no proven answers, from now on.
    fn hear(&self) -> Self::Heard;
}

/// What the events of an [`Asks`] are read from.
pub trait Hears {
    /// The next frame, and its class if the client tells it.
    fn next_frame(&mut self) -> impl Future<Output = (Frame, Option<Class>)>;
}

/// A client with the API of `flamingo_runtime_std::Client`.
pub trait Calls: Asks {
    type Events: Events;
    type Motion: Send;

    fn connect(options: Options) -> Call<Result<Self, Error>>;
    fn halt_at(options: Options, axes: &'static [i32]) -> Call<Result<Vec<Stopped>, Error>>;
    fn ask(&self, frame: Frame) -> Call<Result<Answer, Error>>;
    /// [`Self::ask`] by the thread or task that polls it: a blocking call blocks there.
    fn ask_here(&self, frame: Frame) -> Call<Result<Answer, Error>>;
    fn send(&self, frame: Frame) -> Call<Result<(), Error>>;
    fn send_with_payload(&self, frame: Frame, payload: Vec<u8>) -> Call<Result<(), Error>>;
    fn upload(&self, frame: Frame, payload: Vec<u8>, time: Duration)
    -> Call<Result<Answer, Error>>;
    fn halt(&self, axis: i32) -> Call<Result<Answer, Error>>;
    fn stats(&self) -> Call<Result<Stats, Error>>;
    fn close(self) -> Call<()>;
    fn subscribe(&self, codes: &[CommandCode]) -> Self::Events;
    fn arm(&self, axis: i32) -> Self::Motion;
    fn end_of(motion: Self::Motion) -> Call<Result<MotionStopped, Error>>;

    /// Runs this many times `body` at once, each on a thread or a task of its own, as a program on this runtime does.
    /// `body` gets the number of its thread or task. Ends when all have ended.
    fn at_once(
        &self,
        count: usize,
        body: impl Fn(Self, usize) -> Work + Send + Sync + Clone + 'static,
    ) -> impl Future<Output = ()>;
}

/// The work of one thread or task.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A subscription.
pub trait Events: Send + 'static {
    /// The next event; `None`: the client is closed.
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;

    /// Waits for an event and gives up when there is none for a short time.
    fn give_up(&mut self) -> impl Future<Output = ()>;
}

/// Makes tests of all that every client must do.
#[macro_export]
macro_rules! asks_suite {
    ($client:ty) => {
        $crate::tests_of!($client, cancelling: {
            a_dropped_call_misplaces_no_answer,
            a_dropped_call_harms_no_other_one,
            many_dropped_calls_misplace_no_answer,
            a_query_is_answered_among_pushes_of_its_code,
            a_halt_is_answered_while_a_query_waits,
        });
    };
}

/// Makes tests of all that a client with the API of `flamingo_runtime_std::Client` must do.
#[macro_export]
macro_rules! calls_suite {
    ($client:ty) => {
        $crate::asks_suite!($client);
        $crate::tests_of!($client, calls: {
            a_dropped_call_misplaces_no_answer_with_tokens,
            a_command_dropped_before_it_was_sent_is_never_sent,
            a_wait_for_an_event_that_is_given_up_loses_none,
            a_halt_overtakes_and_cancels_all_queued_moves,
            a_blocked_upload_stops_neither_reading_nor_events,
            a_halt_behind_a_stalled_upload_uses_a_fresh_connection,
            a_motion_that_ends_before_its_acknowledgement_is_seen,
            an_answer_is_whole_with_the_last_byte_of_its_payload,
        });
        $crate::tests_of!($client, ends: {
            a_lost_connection_ends_requests_and_subscriptions,
            connecting_again_keeps_subscriptions_and_repeats_nothing,
            closing_ends_the_socket_for_all_clones,
            the_last_handle_that_is_dropped_ends_the_socket,
            stale_bytes_while_it_settles_are_no_answer,
            a_port_that_nobody_listens_on_cannot_be_connected,
            a_host_without_an_address_cannot_be_resolved,
            a_peer_that_says_nothing_is_a_timeout,
            four_halts_are_the_first_bytes_on_a_fresh_connection,
        });
        $crate::tests_of!($client, load: {
            under_load_every_answer_is_right_and_none_lost,
        });
    };
}

/// Makes tests of these functions.
#[doc(hidden)]
#[macro_export]
macro_rules! tests_of {
    ($client:ty, $module:ident: { $($test:ident,)* }) => {
        $(
            #[test]
            fn $test() {
                $crate::suite::$module::$test::<$client>();
            }
        )*
    };
}
