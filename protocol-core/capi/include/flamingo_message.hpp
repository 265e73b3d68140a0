// flamingo_message.hpp: what flamingo.hpp sends and gives: commands, messages, and the end of a request. Header
// only; no sockets and no threads.
#ifndef FLAMINGO_MESSAGE_HPP
#define FLAMINGO_MESSAGE_HPP

#include <flamingo.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace flamingo {

using frame = flamingo_frame;

/// A request ended without an answer.
struct ended : std::runtime_error {
    explicit ended(const flamingo_event &event)
        : std::runtime_error(text(event.ended)), reason(event.ended), sent(event.sent) {}

    flamingo_ended reason;
    /// Whether the first byte was sent. If not, the instrument never received the command.
    bool sent;

    static const char *text(flamingo_ended reason) {
        switch (reason) {
        case FLAMINGO_ENDED_TIMED_OUT: return "no answer came before the deadline";
        case FLAMINGO_ENDED_UNANSWERED: return "the instrument answered a later command instead";
        case FLAMINGO_ENDED_PAYLOAD_STALLED: return "the payload of the answer did not come completely";
        case FLAMINGO_ENDED_AMBIGUOUS: return "a frame came that may answer this or another request";
        case FLAMINGO_ENDED_SUPERSEDED: return "a stop cancelled the command before it was sent";
        case FLAMINGO_ENDED_CONNECTION_LOST: return "the connection ended";
        }
        return "the request ended";
    }
};

/// A frame with its whole payload, and who it was for.
struct message {
    frame header{};
    flamingo_class frame_class = FLAMINGO_CLASS_UNSOLICITED;
    /// Of an answer: no other origin of this frame is possible.
    bool proven = false;
    std::vector<std::uint8_t> payload;

    /// The text in the buffer of the frame.
    std::string text() const {
        const auto *begin = reinterpret_cast<const char *>(header.buffer);
        return std::string(begin, strnlen(begin, sizeof header.buffer));
    }
};

/// A command; the selector is an axis, a laser, and so on. See flamingo_frame_command.
inline frame command(std::uint32_t code, std::int32_t selector = 0, double value = 0.0) {
    frame made{};
    flamingo_frame_command(code, &made);
    made.int32_data[0] = selector;
    made.value = value;
    return made;
}

} // namespace flamingo

#endif
