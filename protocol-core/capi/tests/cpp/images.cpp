// Tests of flamingo::image_stream and of connecting, with peers that misbehave. The program fails if a check does,
// and hangs for no longer than a minute.
#include "peer.hpp"

namespace {

using peer::expect;
using peer::throws;

/// A header and `sent` of its 2 * 4 * 3 bytes of pixels.
void write_image(int to, std::size_t sent) {
    flamingo_image_header header{};
    header.width = 4;
    header.height = 3;
    header.size = 24;
    std::array<std::uint8_t, FLAMINGO_IMAGE_HEADER_LEN + 24> bytes{};
    flamingo_image_header_encode(&header, bytes.data(), bytes.size());
    bytes[FLAMINGO_IMAGE_HEADER_LEN] = 7;
    peer::write(to, bytes.data(), FLAMINGO_IMAGE_HEADER_LEN + sent);
}

void an_image_that_is_cut_off_is_an_error() {
    const peer::listener listener;
    flamingo::image_stream stream("127.0.0.1", listener.port());
    {
        const auto instrument = listener.accept();
        write_image(instrument.get(), 24);
        write_image(instrument.get(), 23);
    }
    const auto image = stream.next();
    expect(image && image->pixels.size() == 24 && image->at(0, 0) == 7, "a whole image comes");
    expect(throws<std::out_of_range>([&] { image->at(4, 0); }), "a pixel beside the image is refused");
    expect(throws<std::runtime_error>([&] { stream.next(); }), "an image that is cut off is an error");
}

void a_stream_that_ends_between_images_gives_none() {
    const peer::listener listener;
    flamingo::image_stream stream("127.0.0.1", listener.port());
    write_image(listener.accept().get(), 24);
    expect(stream.next().has_value() && !stream.next(), "a stream that ends between two images gives none");
}

void an_image_above_the_limit_is_refused() {
    const peer::listener listener;
    flamingo::image_stream stream("127.0.0.1", listener.port(), 23);
    write_image(listener.accept().get(), 24);
    expect(throws<flamingo::refused>([&] { stream.next(); }), "an image above the limit is refused");
    expect(throws<flamingo::refused>([&] { stream.next(); }), "nothing is believed after it");
}

void another_thread_may_end_a_wait_for_an_image() {
    const peer::listener listener;
    flamingo::image_stream stream("127.0.0.1", listener.port());
    const auto instrument = listener.accept();
    auto image = std::async(std::launch::async, [&] { return stream.next(); });
    stream.close();
    expect(!image.get(), "another thread may end a wait for an image");
}

// A listener whose queue is full answers no more: the system would try for minutes.
void connecting_has_a_time_limit() {
    const peer::listener listener(0);
    std::vector<flamingo::detail::descriptor> taken;
    bool late = false;
    for (int at = 0; at < 4 && !late; ++at) {
        try {
            taken.push_back(flamingo::detail::connect("127.0.0.1", listener.port(), std::chrono::milliseconds(200)));
        } catch (const std::system_error &error) {
            late = error.code().value() == ETIMEDOUT;
        }
    }
    expect(late, "connecting to a peer that does not answer has a time limit");
    expect(throws<std::system_error>([] { flamingo::image_stream nobody("127.0.0.1", 1); }), "nobody on port 1");
}

void programs_that_are_started_get_no_socket() {
    const peer::listener listener;
    const auto socket = flamingo::detail::connect("127.0.0.1", listener.port());
    expect((::fcntl(socket.get(), F_GETFD) & FD_CLOEXEC) != 0, "programs that are started get no socket");
}

} // namespace

int main() {
    ::alarm(60);
    an_image_that_is_cut_off_is_an_error();
    a_stream_that_ends_between_images_gives_none();
    an_image_above_the_limit_is_refused();
    another_thread_may_end_a_wait_for_an_image();
    connecting_has_a_time_limit();
    programs_that_are_started_get_no_socket();
}
