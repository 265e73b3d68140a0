// What flamingo.hpp does, one check after the other, against an instrument that is idle. The program fails if
// one of them does.
//
//     tour HOST CONTROL_PORT LIVE_PORT
#include <flamingo.hpp>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>

namespace {

void expect(bool holds, const char *what) {
    std::printf("%s: %s\n", holds ? "ok" : "FAILED", what);
    if (!holds) std::exit(1);
}

template <class Error, class Call> bool throws(Call call) {
    try {
        call();
    } catch (const Error &) {
        return true;
    }
    return false;
}

constexpr auto position = FLAMINGO_CODE_STAGE_POSITION_GET;

// A code: counted by callbacks, and one of them throws.
void events(flamingo::client &client) {
    std::mutex mutex;
    std::condition_variable changed;
    int stopped = 0;
    const auto number = client.subscribe(FLAMINGO_CODE_STAGE_MOTION_STOPPED, [&](const flamingo::message &event) {
        {
            std::lock_guard lock(mutex);
            stopped += event.frame_class == FLAMINGO_CLASS_UNSOLICITED;
        }
        changed.notify_one();
        throw std::runtime_error("a callback that fails");
    });
    const double x = client.request(flamingo::command(position, 1)).get().header.value;
    client.request(flamingo::command(FLAMINGO_CODE_STAGE_POSITION_SET, 1, x + 0.01)).get();
    {
        std::unique_lock lock(mutex);
        expect(changed.wait_for(lock, std::chrono::seconds(20), [&] { return stopped > 0; }),
               "the end of a motion reaches the callback of its code");
    }
    const double there = client.request(flamingo::command(position, 1)).get().header.value;
    expect(client.callback_errors() > 0, "an exception of a callback is counted, and the client goes on");
    expect(there > x + 0.005 && there < x + 0.015, "the stage has moved");
    client.unsubscribe(number);
}

// A stop overtakes what is queued and cancels the moves.
void stops(flamingo::client &client) {
    std::vector<std::future<flamingo::message>> queries;
    for (int at = 0; at < 20; ++at) queries.push_back(client.request(flamingo::command(position, 1)));
    auto moved = client.request(flamingo::command(FLAMINGO_CODE_STAGE_POSITION_SET, 2, 5.0));
    expect(client.halt(2).get().header.code == FLAMINGO_CODE_STAGE_HALT, "a HALT behind twenty queries is answered");
    expect(throws<flamingo::ended>([&] { moved.get(); }), "the HALT cancels the queued move");
    for (auto &query : queries) query.get();
    expect(true, "the queries are answered");
}

void refusals(flamingo::client &client) {
    expect(throws<flamingo::refused>([&] { client.halt(9).get(); }), "an axis that does not exist is refused");
    auto late = client.request(flamingo::command(position, 1), std::chrono::microseconds(0));
    expect(throws<flamingo::ended>([&] { late.get(); }), "a deadline that is over ends a request");
    auto level = flamingo::command(FLAMINGO_CODE_LASER_LEVEL_SET, 1);
    expect(throws<flamingo::refused>([&] { client.request(level).get(); }), "a command without an answer is refused");
    client.send(level);
}

void images(flamingo::client &client, const char *host, std::uint16_t port) {
    flamingo::image_stream stream(host, port);
    client.request(flamingo::command(FLAMINGO_CODE_CAMERA_LIVE_VIEW_START)).get();
    auto image = stream.next();
    while (image && image->pixels.empty()) image = stream.next();
    expect(image.has_value(), "an image comes");
    const auto &header = image->header;
    expect(image->pixels.size() == 2u * header.width * header.height, "it has all its pixels");
    image->at(header.width - 1, header.height - 1);
    client.request(flamingo::command(FLAMINGO_CODE_CAMERA_LIVE_VIEW_STOP)).get();
}

// What waits when the client goes fails, and does not hang.
void ends(const char *host, std::uint16_t port) {
    std::future<flamingo::message> waits;
    {
        flamingo::client client(host, port);
        waits = client.request(flamingo::command(FLAMINGO_CODE_STAGE_WAIT_FOR_MOTION_TO_STOP, 4), std::chrono::hours(1));
        client.request(flamingo::command(FLAMINGO_CODE_STAGE_POSITION_SET, 4, 90.0));
    }
    expect(waits.wait_for(std::chrono::seconds(0)) == std::future_status::ready, "no request outlives its client");
    flamingo::client closed(host, port);
    closed.close();
    expect(throws<flamingo::refused>([&] { closed.halt(1).get(); }), "a closed client refuses a request");
    expect(throws<std::exception>([&] { flamingo::client nobody(host, 1); }), "nobody listens on port 1");
}

} // namespace

int main(int count, char **arguments) {
    if (count != 4) {
        std::fprintf(stderr, "usage: %s HOST CONTROL_PORT LIVE_PORT\n", arguments[0]);
        return 2;
    }
    const auto control = static_cast<std::uint16_t>(std::atoi(arguments[2]));
    try {
        flamingo::client client(arguments[1], control);
        events(client);
        stops(client);
        refusals(client);
        images(client, arguments[1], static_cast<std::uint16_t>(std::atoi(arguments[3])));
        ends(arguments[1], control);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
