// flamingo_subscribers.hpp: the callbacks of flamingo.hpp, and how they are called. Header only; no sockets.
#ifndef FLAMINGO_SUBSCRIBERS_HPP
#define FLAMINGO_SUBSCRIBERS_HPP

#include <flamingo_message.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace flamingo {
namespace detail {

/// Callbacks by code. All functions may be called from any thread, also from callbacks and their destructors.
class subscribers {
public:
    using callback = std::function<void(const message &)>;

    std::size_t add(std::optional<std::uint32_t> code, callback call) {
        auto added = std::make_shared<subscriber>(code, std::move(call));
        std::shared_ptr<const all> before; // dropped when the mutex is free, as in `remove`
        std::lock_guard lock(mutex_);
        auto more = std::make_shared<all>(*all_);
        more->emplace(++last_, std::move(added));
        before = std::exchange(all_, std::move(more));
        return last_;
    }

    void remove(std::size_t number) {
        std::shared_ptr<const all> before; // the destructor of a callback may call this function
        std::lock_guard lock(mutex_);
        const auto found = all_->find(number);
        if (found == all_->end()) return;
        found->second->wanted = false;
        auto fewer = std::make_shared<all>(*all_);
        fewer->erase(number);
        before = std::exchange(all_, std::move(fewer));
    }

    /// Calls those of this code, oldest first. One that another callback removes is not called any more.
    void tell(const message &event) {
        std::shared_ptr<const all> now;
        {
            std::lock_guard lock(mutex_);
            now = all_;
        }
        for (const auto &[number, each] : *now) {
            if (!each->wanted || (each->code && *each->code != event.header.code)) continue;
            try {
                each->call(event);
            } catch (...) {
                ++errors_;
            }
        }
    }

    /// The number of calls that ended with an exception.
    std::uint64_t errors() const { return errors_; }

private:
    struct subscriber {
        subscriber(std::optional<std::uint32_t> of, callback to) : code(of), call(std::move(to)) {}
        std::optional<std::uint32_t> code;
        callback call;
        std::atomic<bool> wanted{true};
    };
    using all = std::map<std::size_t, std::shared_ptr<subscriber>>;

    std::mutex mutex_;
    std::shared_ptr<const all> all_ = std::make_shared<all>();
    std::size_t last_ = 0;
    std::atomic<std::uint64_t> errors_{0};
};

} // namespace detail
} // namespace flamingo

#endif
