// peer.hpp: what the tests of flamingo.hpp share: an instrument on a socket of this process, and expectations.
// No tests.
#ifndef PEER_HPP
#define PEER_HPP

#include <flamingo.hpp>

#include <poll.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace peer {

inline void expect(bool holds, const char *what) {
    std::printf("%s: %s\n", holds ? "ok" : "FAILED", what);
    std::fflush(stdout);
    if (!holds) std::_Exit(1); // threads may still run
}

template <class Error, class Call> bool throws(Call call) {
    try {
        call();
    } catch (const Error &) {
        return true;
    }
    return false;
}

/// A listening socket on a free port of this host.
class listener {
public:
    explicit listener(int backlog = 16, int receive_buffer = 0) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        if (receive_buffer > 0) {
            ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        }
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto *const any = reinterpret_cast<sockaddr *>(&address);
        socklen_t size = sizeof address;
        if (::bind(socket_.get(), any, size) != 0 || ::listen(socket_.get(), backlog) != 0
            || ::getsockname(socket_.get(), any, &size) != 0) {
            flamingo::detail::fail("listen");
        }
        port_ = ntohs(address.sin_port);
    }

    std::uint16_t port() const { return port_; }
    flamingo::detail::descriptor accept() const {
        return flamingo::detail::descriptor(::accept(socket_.get(), nullptr, nullptr));
    }

private:
    flamingo::detail::descriptor socket_;
    std::uint16_t port_ = 0;
};

inline void write(int to, const void *bytes, std::size_t len) {
    const auto *at = static_cast<const char *>(bytes);
    while (len > 0) {
        const auto written = ::send(to, at, len, MSG_NOSIGNAL);
        if (written <= 0) return; // the client has gone
        at += written;
        len -= static_cast<std::size_t>(written);
    }
}

inline void write(int to, const flamingo_frame &frame) {
    std::array<std::uint8_t, FLAMINGO_FRAME_LEN> bytes{};
    flamingo_frame_encode(&frame, bytes.data(), bytes.size());
    write(to, bytes.data(), bytes.size());
}

inline std::optional<flamingo_frame> read(int from) {
    std::array<std::uint8_t, FLAMINGO_FRAME_LEN> bytes{};
    if (::recv(from, bytes.data(), bytes.size(), MSG_WAITALL) != FLAMINGO_FRAME_LEN) return std::nullopt;
    flamingo_frame frame{};
    if (flamingo_frame_decode(bytes.data(), bytes.size(), &frame) != FLAMINGO_RESULT_OK) return std::nullopt;
    return frame;
}

/// Answers each frame with itself until the client goes.
inline void echo(int socket) {
    while (const auto frame = read(socket)) write(socket, *frame);
}

} // namespace peer

#endif
