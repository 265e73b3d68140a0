/* The blocking socket loop of loop.h. */
#define _POSIX_C_SOURCE 200809L

#include "loop.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL /* macOS: ignore SIGPIPE in the program */
#define MSG_NOSIGNAL 0
#endif

static int failed(const char *what, flamingo_result result)
{
    fprintf(stderr, "%s: %s\n", what, flamingo_result_text(result));
    return -1;
}

static int failed_os(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return -1;
}

uint64_t loop_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000u;
}

static int connected(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int error = getaddrinfo(host, port, &hints, &found), to = -1;
    if (error != 0) {
        fprintf(stderr, "%s:%s: %s\n", host, port, gai_strerror(error));
        return -1;
    }
    for (struct addrinfo *each = found; each != NULL && to < 0; each = each->ai_next) {
        to = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (to >= 0 && connect(to, each->ai_addr, each->ai_addrlen) != 0) {
            close(to);
            to = -1;
        }
    }
    freeaddrinfo(found);
    return to >= 0 ? to : failed_os("connect");
}

int loop_open(struct loop *loop, const char *host, const char *port, struct handlers handlers)
{
    const int on = 1;
    loop->handlers = handlers;
    loop->socket = connected(host, port);
    if (loop->socket < 0) {
        return -1;
    }
    setsockopt(loop->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    flamingo_result result =
        flamingo_connection_init(&loop->connection, sizeof loop->connection, NULL, (uint32_t)loop_now());
    return result == FLAMINGO_RESULT_OK ? 0 : failed("init", result);
}

/* Writes all that may go now. */
static int write_out(struct loop *loop)
{
    for (;;) {
        flamingo_transmit transmit;
        uint32_t completed;
        flamingo_result result = flamingo_connection_poll_transmit(&loop->connection, loop_now(), &transmit);
        if (result != FLAMINGO_RESULT_OK) {
            return failed("poll_transmit", result);
        }
        if (transmit.kind != FLAMINGO_TRANSMIT_KIND_BYTES) {
            return 0; /* nothing to write; this program uploads nothing */
        }
        ssize_t written = send(loop->socket, transmit.bytes, transmit.len, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return failed_os("send");
        }
        result = flamingo_connection_transmitted(&loop->connection, loop_now(), (size_t)written, &completed);
        if (result != FLAMINGO_RESULT_OK) {
            return failed("transmitted", result);
        }
    }
}

/* Hands out the outcomes that are no frames. */
static int tell_events(struct loop *loop)
{
    for (;;) {
        flamingo_event event;
        flamingo_result result = flamingo_connection_poll_event(&loop->connection, &event);
        if (result != FLAMINGO_RESULT_OK) {
            return failed("poll_event", result);
        }
        if (event.kind == FLAMINGO_EVENT_KIND_NONE) {
            return 0;
        }
        loop->handlers.event(loop->handlers.context, &event);
    }
}

static int read_in(struct loop *loop, const uint8_t *input, size_t len)
{
    for (;;) {
        flamingo_output output;
        size_t consumed;
        flamingo_result result = flamingo_connection_handle_input(&loop->connection, loop_now(), input, len,
                                                                  &consumed, &output);
        if (result != FLAMINGO_RESULT_OK) {
            return failed("handle_input", result);
        }
        input += consumed;
        len -= consumed;
        if (output.kind == FLAMINGO_OUTPUT_KIND_NONE) {
            return 0;
        }
        if (output.kind == FLAMINGO_OUTPUT_KIND_PAYLOAD) {
            if (loop->handlers.payload != NULL) {
                loop->handlers.payload(loop->handlers.context, &output);
            }
        } else if ((output.ticket & FLAMINGO_TICKET_FENCE) == 0) {
            loop->handlers.frame(loop->handlers.context, &output);
        }
    }
}

/* Waits for input until `until`. Returns 1 if there is some. */
static int wait_for_input(struct loop *loop, uint64_t until)
{
    struct pollfd wait = {.fd = loop->socket, .events = POLLIN};
    uint64_t now = loop_now();
    uint64_t ms = until > now ? (until - now + 999u) / 1000u : 0;
    int ready = poll(&wait, 1, ms > 60000u ? 60000 : (int)ms);
    if (ready < 0) {
        return errno == EINTR ? 0 : failed_os("poll");
    }
    return ready;
}

int loop_turn(struct loop *loop, uint64_t until)
{
    uint8_t input[16384];
    flamingo_timeout timeout;
    if (write_out(loop) != 0 || tell_events(loop) != 0) {
        return -1;
    }
    flamingo_result result = flamingo_connection_poll_timeout(&loop->connection, &timeout);
    if (result != FLAMINGO_RESULT_OK) {
        return failed("poll_timeout", result);
    }
    int ready = wait_for_input(loop, timeout.due_us < until ? timeout.due_us : until);
    if (ready < 0) {
        return -1;
    }
    if (ready > 0) {
        ssize_t got = recv(loop->socket, input, sizeof input, 0);
        if (got < 0 && errno != EINTR) {
            return failed_os("recv");
        }
        if (got == 0) {
            return 0;
        }
        if (got > 0 && read_in(loop, input, (size_t)got) != 0) {
            return -1;
        }
    }
    result = flamingo_connection_handle_timeout(&loop->connection, loop_now());
    if (result != FLAMINGO_RESULT_OK) {
        return failed("handle_timeout", result);
    }
    return tell_events(loop) == 0 ? 1 : -1;
}

void loop_close(struct loop *loop)
{
    size_t held;
    uint32_t missing;
    if (flamingo_connection_handle_eof(&loop->connection, &held, &missing) == FLAMINGO_RESULT_OK) {
        tell_events(loop);
    }
    flamingo_connection_deinit(&loop->connection);
    close(loop->socket);
}
