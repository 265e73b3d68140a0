// flamingo_socket.hpp: what flamingo.hpp and flamingo_images.hpp share: the errors of calls, and sockets.
#ifndef FLAMINGO_SOCKET_HPP
#define FLAMINGO_SOCKET_HPP

#include <flamingo.h>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
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

/// A write to a closed connection gives an error and no signal: by this flag of send, or by an option of the socket
/// where there is no such flag (macOS).
#ifdef MSG_NOSIGNAL
constexpr int NO_SIGNAL = MSG_NOSIGNAL;
#else
constexpr int NO_SIGNAL = 0;
#endif

/// Calls do not wait, and programs that this program starts do not get the descriptor.
inline void prepare(int fd) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/// Waits until a call on the descriptor would not wait. Returns false when `until` has come.
inline bool wait_for(int fd, short events, std::chrono::steady_clock::time_point until) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        pollfd wait{fd, events, 0};
        const int found = ::poll(&wait, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
        if (found < 0 && errno != EINTR) fail("poll");
        if (found > 0) return true;
        if (found == 0) return false;
    }
}

/// Connects to one address. Returns 0 or an error of the system.
inline int connect_to(const descriptor &to, const addrinfo &address, std::chrono::milliseconds timeout) {
    if (to.get() < 0) return errno;
    prepare(to.get());
    if (::connect(to.get(), address.ai_addr, address.ai_addrlen) != 0) {
        // After EINTR the system goes on with it, as after EINPROGRESS.
        if (errno != EINPROGRESS && errno != EINTR) return errno;
        if (!wait_for(to.get(), POLLOUT, std::chrono::steady_clock::now() + timeout)) return ETIMEDOUT;
        int error = 0;
        socklen_t size = sizeof error;
        if (::getsockopt(to.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
        if (error != 0) return error;
    }
    const int on = 1;
    ::setsockopt(to.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef SO_NOSIGPIPE
    ::setsockopt(to.get(), SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return 0;
}

/// Connects to the first address of the host that answers within `timeout`. Calls on the socket do not wait.
inline descriptor connect(const std::string &host, std::uint16_t port,
                          std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found)) {
        throw std::runtime_error(host + ": " + gai_strerror(error));
    }
    std::unique_ptr<addrinfo, void (*)(addrinfo *)> owner(found, freeaddrinfo);
    int error = 0;
    for (const addrinfo *each = found; each; each = each->ai_next) {
        descriptor to(::socket(each->ai_family, each->ai_socktype, each->ai_protocol));
        error = connect_to(to, *each, timeout);
        if (error == 0) return to;
    }
    throw std::system_error(error, std::generic_category(), "connect to " + host + ":" + std::to_string(port));
}

} // namespace detail
} // namespace flamingo

#endif
