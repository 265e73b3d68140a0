// flamingo_socket.hpp: what flamingo.hpp and flamingo_images.hpp share: the errors of calls, and sockets.
#ifndef FLAMINGO_SOCKET_HPP
#define FLAMINGO_SOCKET_HPP

#include <flamingo.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace flamingo {

/// A function refused what it was given; what() says what it expected.
struct refused : std::runtime_error {
    explicit refused(flamingo_result code) : std::runtime_error(flamingo_result_text(code)), result(code) {}
    flamingo_result result;
};

namespace detail {

inline void check(flamingo_result result) {
    if (result != FLAMINGO_RESULT_OK) throw refused(result);
}

/// A file descriptor that is closed at the end.
class descriptor {
public:
    explicit descriptor(int fd = -1) : fd_(fd) {}
    descriptor(descriptor &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor &operator=(descriptor &&other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }

private:
    int fd_;
};

[[noreturn]] inline void fail(const std::string &what) { throw std::system_error(errno, std::generic_category(), what); }

inline descriptor connect(const std::string &host, std::uint16_t port) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found)) {
        throw std::runtime_error(host + ": " + gai_strerror(error));
    }
    std::unique_ptr<addrinfo, void (*)(addrinfo *)> owner(found, freeaddrinfo);
    for (const addrinfo *each = found; each; each = each->ai_next) {
        descriptor to(::socket(each->ai_family, each->ai_socktype, each->ai_protocol));
        if (to.get() >= 0 && ::connect(to.get(), each->ai_addr, each->ai_addrlen) == 0) {
            const int on = 1;
            setsockopt(to.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return to;
        }
    }
    fail("connect to " + host + ":" + std::to_string(port));
}

} // namespace detail
} // namespace flamingo

#endif
