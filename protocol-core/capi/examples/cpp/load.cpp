// Four threads share a client, until all queries are answered.
//
//     load HOST PORT QUERIES LOG
//
// As ../c/load.c: the number in hardware_id shows whether an answer is right, and LOG gets every event.
#include <flamingo.hpp>

#include <cstdio>
#include <cstdlib>

namespace {

constexpr std::int32_t FIRST = 1000000;

struct counts {
    std::atomic<std::uint32_t> asked{0}, right{0}, wrong{0}, lost{0};
};

void ask(flamingo::client &client, std::uint32_t queries, counts &counts) {
    for (;;) {
        const auto number = counts.asked++;
        if (number >= queries) return;
        const auto axis = static_cast<std::int32_t>(number % 5);
        auto query = flamingo::command(
            axis == 0 ? FLAMINGO_CODE_CAMERA_IMAGE_SIZE_GET : FLAMINGO_CODE_STAGE_POSITION_GET, axis);
        query.hardware_id = FIRST + static_cast<std::int32_t>(number);
        try {
            const auto answer = client.request(query, std::chrono::seconds(10)).get();
            const bool right =
                answer.header.hardware_id == query.hardware_id && answer.header.code == query.code;
            ++(right ? counts.right : counts.wrong);
        } catch (const std::exception &error) {
            std::fprintf(stderr, "query %u: %s\n", number, error.what());
            ++counts.lost;
        }
    }
}

} // namespace

int main(int count, char **arguments) {
    if (count != 5) {
        std::fprintf(stderr, "usage: %s HOST PORT QUERIES LOG\n", arguments[0]);
        return 2;
    }
    const auto queries = static_cast<std::uint32_t>(std::strtoul(arguments[3], nullptr, 10));
    std::unique_ptr<std::FILE, int (*)(std::FILE *)> log(std::fopen(arguments[4], "wb"), std::fclose);
    counts counts;
    std::uint32_t events = 0;
    unsigned long long noise = 0;
    try {
        const auto note = [&](const flamingo::message &event) {
            std::vector<std::uint8_t> bytes(FLAMINGO_FRAME_LEN);
            flamingo_frame_encode(&event.header, bytes.data(), bytes.size());
            bytes.insert(bytes.end(), event.payload.begin(), event.payload.end());
            ++events;
            if (std::fwrite(bytes.data(), bytes.size(), 1, log.get()) != 1) std::perror("log");
        };
        flamingo::client client(arguments[1], static_cast<std::uint16_t>(std::atoi(arguments[2])), note);
        std::vector<std::thread> threads;
        for (int at = 0; at < 4; ++at) threads.emplace_back(ask, std::ref(client), queries, std::ref(counts));
        for (auto &thread : threads) thread.join();
        noise = client.counters().noise_bytes;
        client.close(); // the thread has ended: nothing writes to the log any more
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    std::printf("{\"asked\":%u,\"right\":%u,\"wrong\":%u,\"lost\":%u,\"events\":%u,\"noise\":%llu}\n", queries,
                counts.right.load(), counts.wrong.load(), counts.lost.load(), events, noise);
    return counts.right == queries ? 0 : 1;
}
