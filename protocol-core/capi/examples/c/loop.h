/* A blocking socket loop around a flamingo_connection, for one thread. C11 and POSIX.
 *
 * It decides nothing: it moves bytes and time, and calls the handlers below. */
#ifndef LOOP_H
#define LOOP_H

#include <flamingo.h>

/* What the program does with the outputs. A payload comes in parts after its frame. */
struct handlers {
    void *context;
    /* The answer to the request `output->ticket`, or a frame that nobody asked for: see frame_class. */
    void (*frame)(void *context, const flamingo_output *output);
    /* A request ended without an answer, or the instrument does not respond. */
    void (*event)(void *context, const flamingo_event *event);
    /* A part of the payload of the last frame. NULL: payloads are not wanted. */
    void (*payload)(void *context, const flamingo_output *output);
};

struct loop {
    int socket;
    flamingo_connection connection;
    struct handlers handlers;
};

/* Microseconds of a clock that never runs backwards. */
uint64_t loop_now(void);

/* Connects to a host and port. Returns 0, or -1 after a message on stderr. */
int loop_open(struct loop *loop, const char *host, const char *port, struct handlers handlers);

/* Writes what can be written, waits for input or a deadline, at most until `until`, and handles it.
 * Returns 1; 0 when the connection has ended; -1 after a message on stderr. */
int loop_turn(struct loop *loop, uint64_t until);

/* Closes the socket. Requests that wait end as CONNECTION_LOST first. */
void loop_close(struct loop *loop);

#endif
