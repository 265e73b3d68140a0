// flamingo.hpp: a Flamingo microscope for C++17 programs, on top of flamingo.h. Header only; for Linux and other
// systems with the sockets of POSIX.
//
// A flamingo::client owns the socket and the thread that reads it. It replaces the receive thread of a
// program: any thread calls request() and gets a std::future; callbacks get the frames that nobody asked
// for. This header includes flamingo_message.hpp (commands and answers), flamingo_subscribers.hpp (callbacks)
// and flamingo_images.hpp (the image ports).
//
// Exceptions of a callback end there and are counted. None reaches the C library.
#ifndef FLAMINGO_HPP
#define FLAMINGO_HPP

#include <flamingo.h>
#include <flamingo_images.hpp>
#include <flamingo_message.hpp>
#include <flamingo_socket.hpp>
#include <flamingo_subscribers.hpp>

#include <poll.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace flamingo {

namespace detail {

/// While it lives, new threads start with all signals blocked: the handlers of a program run on its own threads.
class signals_blocked {
public:
    signals_blocked() {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    signals_blocked(const signals_blocked &) = delete;
    signals_blocked &operator=(const signals_blocked &) = delete;
    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

/// Microseconds of a clock that never runs backwards.
inline std::uint64_t now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

} // namespace detail

/// A connection to the control port. All functions may be called from any thread, also from callbacks.
/// In a callback, do not wait for a future: nothing is received meanwhile, not even a deadline. Do not destroy
/// the client there: std::terminate ends the program.
class client {
public:
    using callback = detail::subscribers::callback;

    /// Connects within 10 s for each address of the host. `on_event` is subscribed to all codes before the first frame is read, so that it misses
    /// none. Throws std::system_error or std::runtime_error if that fails, and refused if `config` is wrong.
    client(const std::string &host, std::uint16_t port, callback on_event = {}, const flamingo_config *config = nullptr)
        : socket_(detail::connect(host, port)), connection_(std::make_unique<flamingo_connection>()) {
        if (on_event) subscribe_all(std::move(on_event));
        int ends[2];
        if (::pipe(ends) != 0) detail::fail("pipe");
        waking_ = detail::descriptor(ends[0]);
        waker_ = detail::descriptor(ends[1]);
        for (const int end : ends) detail::prepare(end);
        const auto random = static_cast<std::uint32_t>(detail::now());
        detail::check(flamingo_connection_init(connection_.get(), sizeof(flamingo_connection), config, random));
        const detail::signals_blocked blocked;
        thread_ = std::thread([this] { receive(); });
    }

    client(const client &) = delete;
    client &operator=(const client &) = delete;

    /// Closes the connection and joins the thread. Requests that wait fail with `ended`.
    ~client() { close(); }

    /// Sends a command and gives its answer. A stop (HALT, laser-off) goes before everything that is
    /// queued. get() throws `refused` if nothing was sent, or `ended` if no answer came. If a stop cannot be
    /// written within stop_patience_us, the connection is closed: make a new client and repeat the stop.
    std::future<message> request(frame command, std::chrono::microseconds timeout = std::chrono::seconds(3),
                                 std::vector<std::uint8_t> payload = {}) {
        std::promise<message> promise;
        auto future = promise.get_future();
        command.payload_len = static_cast<std::uint32_t>(payload.size());
        outcomes done;
        {
            std::lock_guard lock(mutex_);
            const auto now = detail::now();
            std::uint32_t ticket = 0;
            const auto length = static_cast<std::uint64_t>(timeout.count() < 0 ? 0 : timeout.count());
            const auto deadline = length > FLAMINGO_NEVER - now ? FLAMINGO_NEVER : now + length;
            const auto result = payload.size() > UINT32_MAX
                ? FLAMINGO_RESULT_PAYLOAD_TOO_LONG
                : flamingo_connection_request(connection_.get(), now, &command, deadline, &ticket);
            if (result != FLAMINGO_RESULT_OK) {
                promise.set_exception(std::make_exception_ptr(refused(result)));
                return future;
            }
            waiting_.emplace(ticket, std::move(promise));
            if (!payload.empty()) uploads_.emplace(ticket, std::move(payload));
            turn(done);
        }
        finish(done);
        return future;
    }

    /// Sends a command that has no answer, such as a laser level. Throws `refused` if it was not queued.
    void send(frame command, std::vector<std::uint8_t> payload = {}) {
        command.payload_len = static_cast<std::uint32_t>(payload.size());
        outcomes done;
        {
            std::lock_guard lock(mutex_);
            std::uint32_t ticket = 0;
            if (payload.size() > UINT32_MAX) throw refused(FLAMINGO_RESULT_PAYLOAD_TOO_LONG);
            detail::check(flamingo_connection_send(connection_.get(), detail::now(), &command, &ticket));
            if (!payload.empty()) uploads_.emplace(ticket, std::move(payload));
            turn(done);
        }
        finish(done);
    }

    /// Stops an axis: 1 (X), 2 (Y), 3 (Z) or 4 (R).
    std::future<message> halt(std::int32_t axis) { return request(command(FLAMINGO_CODE_STAGE_HALT, axis)); }

    /// Calls `call` on the receiving thread with each frame of this code that answers no waiting request:
    /// unsolicited, late or ambiguous, see message::frame_class. Returns the number for unsubscribe.
    std::size_t subscribe(std::uint32_t code, callback call) { return subscribers_.add(code, std::move(call)); }

    /// The same for all codes.
    std::size_t subscribe_all(callback call) { return subscribers_.add(std::nullopt, std::move(call)); }

    /// Ends a subscription. In a callback, it is not called any more. Otherwise a call that has begun on the
    /// receiving thread may still run.
    void unsubscribe(std::size_t number) { subscribers_.remove(number); }

    /// Closes the connection. In a callback it returns at once; otherwise the thread has ended after it.
    void close() {
        ::shutdown(socket_.get(), SHUT_RDWR);
        wake();
        if (std::this_thread::get_id() == receiving_) return;
        std::lock_guard lock(closing_);
        if (thread_.joinable()) thread_.join();
    }

    flamingo_counters counters() const {
        std::lock_guard lock(mutex_);
        flamingo_counters counters{};
        detail::check(flamingo_connection_counters(connection_.get(), &counters));
        return counters;
    }

    /// Whether the instrument answers. It is false from a harmless query that was not answered in time until the
    /// instrument has proven that it answers again.
    bool responsive() const { return responsive_; }

    /// The number of callbacks that ended with an exception.
    std::uint64_t callback_errors() const { return subscribers_.errors(); }

private:
    /// Requests that have ended, with their promises: fulfilled when the mutex is free.
    using outcomes = std::vector<std::pair<std::promise<message>, std::exception_ptr>>;
    using fulfilled = std::vector<std::pair<std::promise<message>, message>>;

    static void finish(outcomes &done) {
        for (auto &[promise, error] : done) promise.set_exception(error);
    }

    void wake() {
        const char byte = 0;
        // An error: the pipe is full, so the thread wakes up anyhow.
        if (::write(waker_.get(), &byte, 1) < 0) errno = 0;
    }

    /// After every change, with the mutex held: writes, takes the outcomes, and wakes the thread if it
    /// would sleep too long.
    void turn(outcomes &done) {
        blocked_ = !write_out();
        take_events(done);
        flamingo_timeout timeout{};
        detail::check(flamingo_connection_poll_timeout(connection_.get(), &timeout));
        due_ = timeout.due_us;
        if ((due_ < planned_ || blocked_) && std::this_thread::get_id() != receiving_) wake();
    }

    /// Writes what may go now. Returns false if the socket takes no more.
    bool write_out() {
        for (;;) {
            flamingo_transmit next{};
            detail::check(flamingo_connection_poll_transmit(connection_.get(), detail::now(), &next));
            const std::uint8_t *bytes = next.bytes;
            std::size_t len = next.len;
            if (next.kind == FLAMINGO_TRANSMIT_KIND_NONE) return true;
            if (next.kind == FLAMINGO_TRANSMIT_KIND_PAYLOAD) {
                bytes = uploads_.at(next.ticket).data() + next.offset;
                len = next.remaining;
            }
            const auto written = ::send(socket_.get(), bytes, len, detail::NO_SIGNAL);
            if (written < 0 && errno == EINTR) continue;
            if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
            if (written < 0) {
                ::shutdown(socket_.get(), SHUT_RDWR); // the thread sees the end of the stream
                return true;
            }
            std::uint32_t completed = 0;
            detail::check(flamingo_connection_transmitted(connection_.get(), detail::now(),
                                                          static_cast<std::size_t>(written), &completed));
            uploads_.erase(completed);
        }
    }

    void take_events(outcomes &done) {
        for (;;) {
            flamingo_event event{};
            detail::check(flamingo_connection_poll_event(connection_.get(), &event));
            if (event.kind == FLAMINGO_EVENT_KIND_NONE) return;
            // The thread sees the end of the stream, and the caller of the stop learns that it was not sent.
            if (event.kind == FLAMINGO_EVENT_KIND_STOP_BLOCKED) ::shutdown(socket_.get(), SHUT_RDWR);
            if (event.kind == FLAMINGO_EVENT_KIND_UNRESPONSIVE) responsive_ = false;
            if (event.kind == FLAMINGO_EVENT_KIND_RESPONSIVE) responsive_ = true;
            if (event.kind != FLAMINGO_EVENT_KIND_ENDED) continue;
            // An upload that has begun must be completed, so its bytes stay until it is sent.
            if (!event.sent) uploads_.erase(event.ticket);
            if (auto found = waiting_.find(event.ticket); found != waiting_.end()) {
                done.emplace_back(std::move(found->second), std::make_exception_ptr(ended(event)));
                waiting_.erase(found);
            }
        }
    }

    /// The receiving thread.
    void receive() {
        receiving_ = std::this_thread::get_id();
        std::vector<std::uint8_t> input(1 << 16);
        try {
            while (wait() && receive_once(input)) {
            }
        } catch (...) { // no memory, or a mistake in this file: the connection ends
            ::shutdown(socket_.get(), SHUT_RDWR);
        }
        outcomes done;
        {
            std::lock_guard lock(mutex_);
            std::size_t held = 0;
            std::uint32_t missing = 0;
            flamingo_connection_handle_eof(connection_.get(), &held, &missing);
            take_events(done);
            uploads_.clear();
        }
        finish(done);
    }

    /// Handles what has come. Returns false at the end of the stream.
    bool receive_once(std::vector<std::uint8_t> &input) {
        const auto got = ::recv(socket_.get(), input.data(), input.size(), 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) return false;
        std::vector<message> events;
        fulfilled answers;
        outcomes done;
        {
            std::lock_guard lock(mutex_);
            if (got > 0) read(input.data(), static_cast<std::size_t>(got), answers, events);
            detail::check(flamingo_connection_handle_timeout(connection_.get(), detail::now()));
            turn(done);
        }
        for (auto &[promise, answer] : answers) promise.set_value(std::move(answer));
        finish(done);
        for (const auto &event : events) subscribers_.tell(event);
        return true;
    }

    /// Waits for input, a deadline, or a call. Returns false if the socket cannot be waited for.
    bool wait() {
        pollfd wait[2] = {{socket_.get(), POLLIN, 0}, {waking_.get(), POLLIN, 0}};
        std::uint64_t ms = 60000;
        {
            std::lock_guard lock(mutex_);
            planned_ = due_;
            const auto now = detail::now();
            if (due_ <= now) ms = 0;
            else if ((due_ - now) / 1000 < ms) ms = (due_ - now) / 1000 + 1;
            if (blocked_) wait[0].events |= POLLOUT;
        }
        if (::poll(wait, 2, static_cast<int>(ms)) < 0) return errno == EINTR;
        char bytes[64];
        // An error: the call that woke the thread has been seen already.
        if (wait[1].revents != 0 && ::read(waking_.get(), bytes, sizeof bytes) < 0) errno = 0;
        return true;
    }

    void read(const std::uint8_t *input, std::size_t len, fulfilled &answers, std::vector<message> &events) {
        for (;;) {
            flamingo_output output{};
            std::size_t consumed = 0;
            detail::check(flamingo_connection_handle_input(connection_.get(), detail::now(), input, len, &consumed,
                                                           &output));
            input += consumed;
            len -= consumed;
            if (output.kind == FLAMINGO_OUTPUT_KIND_NONE) return;
            if (output.kind == FLAMINGO_OUTPUT_KIND_FRAME) {
                coming_ = message{output.frame, output.frame_class, output.proven, {}};
                coming_ticket_ = output.ticket;
                if (output.frame.payload_len > 0) continue;
            } else {
                coming_.payload.insert(coming_.payload.end(), output.payload, output.payload + output.payload_len);
                if (output.remaining > 0) continue;
            }
            if (coming_.frame_class != FLAMINGO_CLASS_SOLICITED) {
                events.push_back(std::move(coming_));
            } else if (auto found = waiting_.find(coming_ticket_); found != waiting_.end()) {
                answers.emplace_back(std::move(found->second), std::move(coming_));
                waiting_.erase(found);
            } // else it answers a query of the connection itself
        }
    }

    detail::descriptor socket_, waking_, waker_;
    mutable std::mutex mutex_; // of the following, up to planned_
    std::unique_ptr<flamingo_connection> connection_;
    std::unordered_map<std::uint32_t, std::promise<message>> waiting_;
    std::unordered_map<std::uint32_t, std::vector<std::uint8_t>> uploads_;
    bool blocked_ = false;
    std::uint64_t due_ = FLAMINGO_NEVER, planned_ = FLAMINGO_NEVER;
    message coming_; // of the receiving thread: the frame whose payload comes
    std::uint32_t coming_ticket_ = 0;
    detail::subscribers subscribers_;
    std::mutex closing_;
    std::atomic<std::thread::id> receiving_{};
    std::atomic<bool> responsive_{true};
    std::thread thread_;
};

} // namespace flamingo

#endif
