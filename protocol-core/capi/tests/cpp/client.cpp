// Tests of flamingo::client with peers that misbehave and callbacks that do what they may. One check after the
// other; the program fails if one of them does, and hangs for no longer than a minute.
#include "peer.hpp"

namespace {

using peer::expect;
using peer::throws;
using namespace std::chrono_literals;

constexpr auto POSITION = FLAMINGO_CODE_STAGE_POSITION_GET;
constexpr auto STOPPED = FLAMINGO_CODE_STAGE_MOTION_STOPPED;

bool ready(const std::future<flamingo::message> &future) {
    return future.wait_for(10s) == std::future_status::ready;
}

// The peer reads nothing, so the stop is stuck behind an upload that has begun.
void a_stop_that_cannot_be_written_ends_the_client() {
    const peer::listener listener(1, 4096);
    flamingo_config config{};
    flamingo_config_default(&config);
    config.stop_patience_us = 200'000;
    flamingo::client client("127.0.0.1", listener.port(), {}, &config);
    const auto instrument = listener.accept();
    auto before = client.request(flamingo::command(POSITION, 1), 60s);
    client.send(flamingo::command(FLAMINGO_CODE_CAMERA_WORK_FLOW_START), std::vector<std::uint8_t>(32u << 20));
    auto halt = client.halt(1);
    expect(ready(halt), "a stop that cannot be written ends");
    try {
        halt.get();
        expect(false, "it has no answer");
    } catch (const flamingo::ended &ended) {
        expect(!ended.sent, "its caller learns that it was not sent");
    }
    expect(ready(before), "so does what is before it");
    expect(throws<flamingo::refused>([&] { client.halt(1).get(); }), "a new client is needed then");
}

// A guard that ends another subscription when its own is dropped, as members of widgets do.
void a_callback_may_end_subscriptions_when_it_is_destroyed() {
    const peer::listener listener;
    flamingo::client client("127.0.0.1", listener.port());
    const auto instrument = listener.accept();
    const auto other = client.subscribe(STOPPED, [](const flamingo::message &) {});
    struct guard {
        flamingo::client &client;
        std::size_t number;
        ~guard() { client.unsubscribe(number); }
    };
    auto held = std::make_shared<guard>(guard{client, other});
    const auto number = client.subscribe(STOPPED, [held](const flamingo::message &) {});
    held.reset();
    client.unsubscribe(number);
    expect(true, "a callback that is destroyed may end another subscription");
}

// Each of two callbacks ends the subscription of the other.
void an_ended_subscription_is_not_called() {
    const peer::listener listener;
    flamingo::client client("127.0.0.1", listener.port());
    const auto instrument = listener.accept();
    std::atomic<int> calls{0};
    std::size_t first = 0, second = 0;
    std::promise<void> set;
    const auto is_set = set.get_future().share();
    const auto end = [&](std::size_t &other) {
        return [&, is_set](const flamingo::message &) {
            is_set.wait();
            client.unsubscribe(other);
            ++calls;
        };
    };
    first = client.subscribe(STOPPED, end(second));
    second = client.subscribe(STOPPED, end(first));
    set.set_value();
    std::promise<void> told;
    client.subscribe(POSITION, [&](const flamingo::message &) { told.set_value(); });
    peer::write(instrument.get(), flamingo::command(STOPPED));
    peer::write(instrument.get(), flamingo::command(POSITION, 1));
    told.get_future().wait();
    expect(calls == 1, "a subscription that a callback has ended is not called");
}

void callbacks_may_send_and_close() {
    const peer::listener listener;
    std::future<flamingo::message> asked;
    std::promise<void> told;
    flamingo::client *to = nullptr;
    flamingo::client client("127.0.0.1", listener.port(), [&](const flamingo::message &) {
        asked = to->request(flamingo::command(POSITION, 1));
        to->close();
        to->subscribe_all([](const flamingo::message &) {});
        told.set_value();
    });
    to = &client;
    const auto instrument = listener.accept();
    peer::write(instrument.get(), flamingo::command(STOPPED));
    told.get_future().wait();
    expect(ready(asked), "a request of a callback that closes the client ends");
    expect(throws<std::runtime_error>([&] { asked.get(); }), "with an error");
}

// The peer goes while threads write: no signal, and each future has an outcome.
void every_future_has_an_outcome_when_the_peer_goes() {
    const peer::listener listener;
    flamingo::client client("127.0.0.1", listener.port());
    std::thread instrument([&] {
        const auto socket = listener.accept();
        for (int at = 0; at < 200; ++at) {
            if (const auto frame = peer::read(socket.get())) peer::write(socket.get(), *frame);
        }
    });
    std::atomic<int> answered{0}, failed{0}, lost{0};
    std::vector<std::thread> threads;
    for (int at = 0; at < 4; ++at) {
        threads.emplace_back([&, at] {
            for (int asked = 0; asked < 200; ++asked) {
                auto answer = client.request(flamingo::command(POSITION, at + 1), 30s);
                if (!ready(answer)) ++lost;
                else ++(throws<std::exception>([&] { answer.get(); }) ? failed : answered);
            }
        });
    }
    for (auto &thread : threads) thread.join();
    instrument.join();
    expect(lost == 0 && answered + failed == 800, "each request has an outcome when the peer goes");
    expect(answered > 0 && failed > 0, "some had an answer, some had none");
}

void threads_may_close_while_others_ask() {
    for (int round = 0; round < 20; ++round) {
        const peer::listener listener;
        flamingo::client client("127.0.0.1", listener.port());
        std::thread instrument([&] { peer::echo(listener.accept().get()); });
        std::vector<std::thread> threads;
        std::atomic<int> without{0};
        for (int at = 0; at < 3; ++at) {
            threads.emplace_back([&, at] {
                const auto number = client.subscribe(STOPPED, [](const flamingo::message &) {});
                for (int asked = 0; asked < 20; ++asked) {
                    auto answer = client.request(flamingo::command(POSITION, at + 1));
                    if (!ready(answer)) ++without;
                }
                client.unsubscribe(number);
                client.counters();
            });
        }
        threads.emplace_back([&] { client.close(); });
        threads.emplace_back([&] { client.close(); });
        for (auto &thread : threads) thread.join();
        instrument.join();
        if (without > 0) expect(false, "a request that is made while the client is closed has an outcome");
    }
    expect(true, "threads may close the client while others ask");
}

// Requests that are given up leave doubts, which the client settles with a harmless query.
void a_client_tells_whether_the_instrument_answers() {
    const peer::listener listener;
    flamingo_config config{};
    flamingo_config_default(&config);
    config.grace_us = 50'000;
    flamingo::client client("127.0.0.1", listener.port(), {}, &config);
    const auto instrument = listener.accept();
    expect(client.responsive(), "an instrument counts as one that answers");
    const auto end = std::chrono::steady_clock::now() + 10s;
    const auto asks_until = [&](bool responsive) {
        while (client.responsive() != responsive && std::chrono::steady_clock::now() < end) {
            try {
                client.request(flamingo::command(POSITION, 1), 200ms).get();
            } catch (const flamingo::ended &) { // it is not answered
            }
        }
        return client.responsive() == responsive;
    };
    expect(asks_until(false), "it tells that the instrument does not answer");
    std::thread echo([&] { peer::echo(instrument.get()); });
    expect(asks_until(true), "it tells that it answers again");
    client.close();
    echo.join();
}

// Signals go to the threads of the program, whose system calls they are meant to interrupt.
void the_receiving_thread_handles_no_signal() {
    const peer::listener listener;
    sigset_t blocked;
    std::promise<int> found;
    flamingo::client client("127.0.0.1", listener.port(), [&](const flamingo::message &) {
        ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        found.set_value(::sigismember(&blocked, SIGINT));
    });
    const auto instrument = listener.accept();
    peer::write(instrument.get(), flamingo::command(STOPPED, 1));
    expect(found.get_future().get() == 1, "SIGINT is blocked on the receiving thread");
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    expect(::sigismember(&blocked, SIGINT) == 0, "it is not blocked on this one");
}

} // namespace

int main() {
    ::alarm(60);
    a_stop_that_cannot_be_written_ends_the_client();
    a_callback_may_end_subscriptions_when_it_is_destroyed();
    an_ended_subscription_is_not_called();
    callbacks_may_send_and_close();
    every_future_has_an_outcome_when_the_peer_goes();
    threads_may_close_while_others_ask();
    a_client_tells_whether_the_instrument_answers();
    the_receiving_thread_handles_no_signal();
}
