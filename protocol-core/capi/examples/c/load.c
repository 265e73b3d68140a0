/* Four tasks in one blocking loop, each with one query in flight, until all are answered.
 *
 *     load HOST PORT QUERIES LOG
 *
 * Each query has its own number in hardware_id, which the instrument sends back and which the library does
 * not look at: so the program finds out whether an answer is right. It writes every event that it got into
 * LOG, with its payload, so that they can be compared with what was on the wire. */
#define _POSIX_C_SOURCE 200809L

#include "loop.h"

#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 4, FIRST = 1000000 };

struct task {
    uint32_t ticket; /* 0: it asks nothing now */
    flamingo_frame asked;
};

struct load {
    struct task tasks[TASKS];
    FILE *log;
    uint32_t asked, right, wrong, lost, events;
    int last_is_event; /* the parts of a payload belong to the last frame */
};

static void write_log(struct load *load, const void *bytes, size_t len)
{
    if (fwrite(bytes, len, 1, load->log) != 1) {
        perror("log");
    }
}

static void on_frame(void *context, const flamingo_output *output)
{
    struct load *load = context;
    load->last_is_event = output->frame_class != FLAMINGO_CLASS_SOLICITED;
    if (load->last_is_event) {
        uint8_t bytes[FLAMINGO_FRAME_LEN];
        flamingo_frame_encode(&output->frame, bytes, sizeof bytes);
        load->events += 1;
        write_log(load, bytes, sizeof bytes);
        return;
    }
    for (int at = 0; at < TASKS; at++) {
        struct task *task = &load->tasks[at];
        if (task->ticket == output->ticket) {
            int right = output->frame.hardware_id == task->asked.hardware_id
                && output->frame.code == task->asked.code;
            *(right ? &load->right : &load->wrong) += 1;
            task->ticket = 0;
            return;
        }
    }
    load->wrong += 1; /* the answer to a request that nobody made */
}

static void on_payload(void *context, const flamingo_output *output)
{
    struct load *load = context;
    if (load->last_is_event) {
        write_log(load, output->payload, output->payload_len);
    }
}

static void on_event(void *context, const flamingo_event *event)
{
    struct load *load = context;
    if (event->kind != FLAMINGO_EVENT_KIND_ENDED) {
        return;
    }
    for (int at = 0; at < TASKS; at++) {
        if (load->tasks[at].ticket == event->ticket) {
            load->tasks[at].ticket = 0;
            load->lost += 1;
        }
    }
}

/* The position of one of the four axes, or the image size. */
static int ask(struct loop *loop, struct load *load, struct task *task)
{
    uint32_t axis = load->asked % 5u;
    uint64_t now = loop_now();
    flamingo_frame_command(axis == 0 ? FLAMINGO_CODE_CAMERA_IMAGE_SIZE_GET : FLAMINGO_CODE_STAGE_POSITION_GET,
                           &task->asked);
    task->asked.int32_data[0] = (int32_t)axis;
    task->asked.hardware_id = FIRST + (int32_t)load->asked;
    flamingo_result result =
        flamingo_connection_request(&loop->connection, now, &task->asked, now + 10000000u, &task->ticket);
    if (result != FLAMINGO_RESULT_OK) {
        fprintf(stderr, "request: %s\n", flamingo_result_text(result));
        return -1;
    }
    load->asked += 1;
    return 0;
}

int main(int count, char **arguments)
{
    static struct loop loop;
    static struct load load;
    if (count != 5 || (load.log = fopen(arguments[4], "wb")) == NULL) {
        fprintf(stderr, "usage: %s HOST PORT QUERIES LOG\n", arguments[0]);
        return 2;
    }
    uint32_t queries = (uint32_t)strtoul(arguments[3], NULL, 10);
    struct handlers handlers = {
        .context = &load, .frame = on_frame, .event = on_event, .payload = on_payload};
    if (loop_open(&loop, arguments[1], arguments[2], handlers) != 0) {
        return 1;
    }
    int running = 1;
    while (running > 0 && load.right + load.wrong + load.lost < queries) {
        for (int at = 0; at < TASKS && running > 0 && load.asked < queries; at++) {
            if (load.tasks[at].ticket == 0 && ask(&loop, &load, &load.tasks[at]) != 0) {
                running = -1;
            }
        }
        running = running > 0 ? loop_turn(&loop, FLAMINGO_NEVER) : running;
    }
    flamingo_counters counters;
    flamingo_connection_counters(&loop.connection, &counters);
    loop_close(&loop);
    fclose(load.log);
    printf("{\"asked\":%u,\"right\":%u,\"wrong\":%u,\"lost\":%u,\"events\":%u,\"noise\":%llu}\n",
           (unsigned)load.asked, (unsigned)load.right, (unsigned)load.wrong, (unsigned)load.lost,
           (unsigned)load.events, (unsigned long long)counters.noise_bytes);
    return running > 0 && load.right == queries ? 0 : 1;
}
