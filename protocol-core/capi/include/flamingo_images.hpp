// flamingo_images.hpp: the image ports for C++17 programs, on top of flamingo.h. Header only; POSIX sockets.
#ifndef FLAMINGO_IMAGES_HPP
#define FLAMINGO_IMAGES_HPP

#include <flamingo.h>
#include <flamingo_socket.hpp>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace flamingo {

/// An image: 16-bit little-endian pixels, row by row. An update of options has no pixels.
struct image {
    flamingo_image_header header{};
    std::vector<std::uint8_t> pixels;

    std::uint16_t at(std::size_t x, std::size_t y) const {
        if (x >= header.width) throw std::out_of_range("x: expected less than the width of the image");
        const auto place = 2 * (y * header.width + x);
        return static_cast<std::uint16_t>(pixels.at(place) | pixels.at(place + 1) << 8);
    }
};

/// The images of one port. One thread calls next(); any thread may call close().
class image_stream {
public:
    image_stream(const std::string &host, std::uint16_t port, std::uint32_t limit = FLAMINGO_MAX_IMAGE)
        : socket_(detail::connect(host, port)) {
        detail::check(flamingo_image_reader_init(&reader_, sizeof reader_, limit));
    }

    image_stream(const image_stream &) = delete;
    image_stream &operator=(const image_stream &) = delete;

    /// Waits for the next image; none: the stream has ended, or was closed, between two images. Throws `refused`
    /// if a header cannot be true, and std::runtime_error if the stream ends inside an image. After an exception
    /// connect again.
    std::optional<image> next() {
        image coming;
        for (;;) {
            flamingo_image_piece piece{};
            std::size_t consumed = 0;
            detail::check(
                flamingo_image_reader_push(&reader_, input_.data() + begin_, end_ - begin_, &consumed, &piece));
            begin_ += consumed;
            if (piece.kind == FLAMINGO_IMAGE_KIND_HEADER) {
                coming.header = piece.header;
                coming.pixels.reserve(piece.header.size);
                if (piece.header.size == 0) return coming;
            } else if (piece.kind == FLAMINGO_IMAGE_KIND_PIXELS) {
                coming.pixels.insert(coming.pixels.end(), piece.pixels, piece.pixels + piece.len);
                if (piece.remaining == 0) return coming;
            } else if (!fill()) {
                bool between = false;
                detail::check(flamingo_image_reader_is_between(&reader_, &between));
                if (between) return std::nullopt;
                throw std::runtime_error("the stream ended inside an image");
            }
        }
    }

    /// Ends the stream: next() returns or throws soon, also one that waits.
    void close() { ::shutdown(socket_.get(), SHUT_RDWR); }

private:
    /// Waits for bytes. Returns false at the end of the stream.
    bool fill() {
        ssize_t got;
        while ((got = ::recv(socket_.get(), input_.data(), input_.size(), 0)) < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                detail::wait_for(socket_.get(), POLLIN, std::chrono::steady_clock::now() + std::chrono::minutes(1));
            } else if (errno != EINTR) {
                detail::fail("recv");
            }
        }
        begin_ = 0;
        end_ = static_cast<std::size_t>(got);
        return got > 0;
    }

    detail::descriptor socket_;
    flamingo_image_reader reader_{};
    std::vector<std::uint8_t> input_ = std::vector<std::uint8_t>(1 << 18);
    std::size_t begin_ = 0, end_ = 0;
};

} // namespace flamingo

#endif
