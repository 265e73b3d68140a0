/* flamingo.h: the C ABI of the protocol core for the Flamingo light-sheet microscope.
 *
 * Generated from protocol-core/capi; do not edit. `scripts/check-capi --header` writes it again.
 *
 * The library has no I/O, no clock, no allocation, no thread and no global state. The program owns the
 * memory of a connection, moves the bytes, and passes the time in microseconds since any origin:
 *
 *   1. flamingo_connection_init
 *   2. received bytes:  flamingo_connection_handle_input, until it consumes everything and gives NONE
 *   3. bytes to write:  flamingo_connection_poll_transmit, write, flamingo_connection_transmitted, until NONE
 *   4. outcomes:        flamingo_connection_poll_event, until NONE
 *   5. time:            flamingo_connection_poll_timeout, wait, flamingo_connection_handle_timeout
 *
 * Do steps 3 to 5 after every call that changes something.
 *
 * Preconditions of all functions: an object is used by one thread at a time (use a mutex). A pointer that
 * is not NULL points to memory of its type that is readable, and writable where the function writes. A
 * struct that a function reads has a value in each field. Each result has a place of its own. The library
 * checks all else: NULL, bad alignment, bad lengths, an object that was not initialised or was
 * deinitialised, an area that overlaps the object, and settings out of range give an error code. It cannot
 * notice memory that was freed and given away, or a length that is longer than the memory.
 *
 * No function calls back, blocks, or unwinds. */

#ifndef FLAMINGO_H
#define FLAMINGO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of this header. */
#define FLAMINGO_VERSION "0.1.0"

/** The bit in the ticket of a query that the connection itself sent (a fence). Ignore its answer. */
#define FLAMINGO_TICKET_FENCE 0x80000000u
/** Bit of flamingo_frame.flags on a command: the instrument answers it. */
#define FLAMINGO_FLAG_TRIGGER_CALL_BACK 0x80000000u
/** Bit of flamingo_frame.flags: a position update that the instrument pushes during a motion. */
#define FLAMINGO_FLAG_STAGE_POSITIONS_IN_BUFFER 0x0002u
/** Bit of flamingo_frame.flags, proposed, set by no known firmware: the frame is an answer. */
#define FLAMINGO_FLAG_ANSWER_TAG 0x40000000u

/* The codes of the commands. */
#define FLAMINGO_CODE_COMMON_SCOPE_SETTINGS 0x1007u
#define FLAMINGO_CODE_COMMON_SCOPE_SETTINGS_SAVE 0x1008u
#define FLAMINGO_CODE_COMMON_SCOPE_SETTINGS_LOAD 0x1009u
#define FLAMINGO_CODE_COMMON_CONTROL_SETTINGS_SAVE 0x100Bu
#define FLAMINGO_CODE_STORAGE_PATH_SET 0x1013u
#define FLAMINGO_CODE_STORAGE_PATH_UNMOUNT 0x1014u
#define FLAMINGO_CODE_STORAGE_PATH_TEST 0x1015u
#define FLAMINGO_CODE_COMMON_SYSTEM_UPDATE_LIVE_VIEW 0x1017u
#define FLAMINGO_CODE_LASER_LEVEL_SET 0x2001u
#define FLAMINGO_CODE_LASER_LEVEL_GET 0x2002u
#define FLAMINGO_CODE_LASER_ENABLE 0x2003u
#define FLAMINGO_CODE_LASER_ENABLE_PREVIEW 0x2004u
#define FLAMINGO_CODE_LASER_ENABLE_LINE 0x2005u
#define FLAMINGO_CODE_LASER_DISABLE 0x2006u
#define FLAMINGO_CODE_LASER_DISABLE_ALL 0x2007u
#define FLAMINGO_CODE_CAMERA_ALL_SETTINGS_GET 0x3001u
#define FLAMINGO_CODE_CAMERA_WORK_FLOW_START 0x3004u
#define FLAMINGO_CODE_CAMERA_WORK_FLOW_STOP 0x3005u
#define FLAMINGO_CODE_CAMERA_SNAPSHOT_GET 0x3006u
#define FLAMINGO_CODE_CAMERA_LIVE_VIEW_START 0x3007u
#define FLAMINGO_CODE_CAMERA_LIVE_VIEW_STOP 0x3008u
#define FLAMINGO_CODE_CAMERA_EXPOSURE_SET 0x3009u
#define FLAMINGO_CODE_CAMERA_EXPOSURE_GET 0x300Au
#define FLAMINGO_CODE_CAMERA_ROI_LEFT_SET 0x300Fu
#define FLAMINGO_CODE_CAMERA_ROI_LEFT_GET 0x3010u
#define FLAMINGO_CODE_CAMERA_ROI_TOP_SET 0x3011u
#define FLAMINGO_CODE_CAMERA_ROI_TOP_GET 0x3012u
#define FLAMINGO_CODE_CAMERA_STACK_COMPLETE 0x3014u
#define FLAMINGO_CODE_CAMERA_IMAGE_SIZE_GET 0x3027u
#define FLAMINGO_CODE_CAMERA_CHECK_STACK 0x302Bu
#define FLAMINGO_CODE_CAMERA_CHECK_STACK_UPDATES 0x3036u
#define FLAMINGO_CODE_CAMERA_PIXEL_FIELD_OF_VIEW_GET 0x3037u
#define FLAMINGO_CODE_LED_SET 0x4001u
#define FLAMINGO_CODE_LED_PREVIEW_ENABLE 0x4002u
#define FLAMINGO_CODE_LED_PREVIEW_DISABLE 0x4003u
#define FLAMINGO_CODE_LED_SELECTION_CHANGE 0x4006u
#define FLAMINGO_CODE_FILTER_WHEEL_POSITION_SET 0x5001u
#define FLAMINGO_CODE_FILTER_WHEEL_POSITION_GET 0x5002u
#define FLAMINGO_CODE_STAGE_FIND_REFERENCE 0x6001u
#define FLAMINGO_CODE_STAGE_HOME 0x6002u
#define FLAMINGO_CODE_STAGE_HALT 0x6003u
#define FLAMINGO_CODE_STAGE_POSITION_SET 0x6004u
#define FLAMINGO_CODE_STAGE_POSITION_SET_SLIDER 0x6005u
#define FLAMINGO_CODE_STAGE_POSITION_SET_TEXT 0x6006u
#define FLAMINGO_CODE_STAGE_POSITION_GET 0x6008u
#define FLAMINGO_CODE_STAGE_VELOCITY_SET 0x6009u
#define FLAMINGO_CODE_STAGE_WAIT_FOR_MOTION_TO_STOP 0x600Fu
#define FLAMINGO_CODE_STAGE_MOTION_STOPPED 0x6010u
#define FLAMINGO_CODE_ILLUMINATION_LEFT_ENABLE 0x7004u
#define FLAMINGO_CODE_ILLUMINATION_LEFT_DISABLE 0x7005u
#define FLAMINGO_CODE_ILLUMINATION_RIGHT_ENABLE 0x7006u
#define FLAMINGO_CODE_ILLUMINATION_RIGHT_DISABLE 0x7007u
#define FLAMINGO_CODE_UI_SET_GAUGE_SIZE 0x9003u
#define FLAMINGO_CODE_UI_SET_GAUGE_VALUE 0x9004u
#define FLAMINGO_CODE_UI_LIVE_VIEW_UPDATE_ON_CHANGE_ENABLED 0x9005u
#define FLAMINGO_CODE_UI_IMAGES_SAVED_TO_STORAGE 0x9007u
#define FLAMINGO_CODE_UI_END 0x9008u
#define FLAMINGO_CODE_SYSTEM_STATE_DISCONNECTED 0xA001u
#define FLAMINGO_CODE_SYSTEM_STATE_IDLE 0xA002u
#define FLAMINGO_CODE_SYSTEM_STATE_SNAP_SHOT 0xA003u
#define FLAMINGO_CODE_SYSTEM_STATE_LIVE_VIEW 0xA004u
#define FLAMINGO_CODE_SYSTEM_STATE_WORK_FLOW_RUNNING 0xA005u
#define FLAMINGO_CODE_SYSTEM_STATE_GET 0xA007u

/**
 * The number of bytes of a flamingo_command's name.
 */
#define FLAMINGO_NAME_LEN 64

/**
 * The number of bytes of an image header on the wire.
 */
#define FLAMINGO_IMAGE_HEADER_LEN 40

/**
 * The largest image that a reader should believe, in bytes: 128 MiB.
 */
#define FLAMINGO_MAX_IMAGE 134217728

/**
 * Bit of flamingo_image_header.options: pixels follow.
 */
#define FLAMINGO_IMAGE_OPTION_DATA 16

#if !defined(FLAMINGO_SMALL)
/**
 * The size of a connection in units of 8 bytes.
 */
#define FLAMINGO_CONNECTION_WORDS 3584
#endif

#if defined(FLAMINGO_SMALL)
/**
 * The size of a connection in units of 8 bytes.
 */
#define FLAMINGO_CONNECTION_WORDS 1024
#endif

/**
 * The size of a responder in units of 8 bytes.
 */
#define FLAMINGO_RESPONDER_WORDS 352

/**
 * The size of an image reader in units of 8 bytes.
 */
#define FLAMINGO_IMAGE_READER_WORDS 12

/**
 * The number of bytes of a frame on the wire.
 */
#define FLAMINGO_FRAME_LEN 128

/**
 * The number of bytes of the buffer in a frame.
 */
#define FLAMINGO_BUFFER_LEN 72

/**
 * The most requests that one frame can be ambiguous between.
 */
#define FLAMINGO_MAX_OWNERS 8

/**
 * A time that never comes: no timer runs, or a request without a deadline.
 */
#define FLAMINGO_NEVER UINT64_MAX

/**
 * What a function returns. After an error nothing has changed and nothing will be sent, except where
 * the function says something else.
 */
enum flamingo_result
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The function did what it says.
   */
  FLAMINGO_RESULT_OK = 0,
  /**
   * A pointer is NULL.
   */
  FLAMINGO_RESULT_NULL = 1,
  /**
   * A pointer is not aligned for its type.
   */
  FLAMINGO_RESULT_MISALIGNED = 2,
  /**
   * The memory holds no initialised object of this type: it was not initialised, or it was
   * deinitialised.
   */
  FLAMINGO_RESULT_NOT_INITIALISED = 3,
  /**
   * A length is above PTRDIFF_MAX, reaches beyond the end of the address space, or is not the length
   * that the function expects.
   */
  FLAMINGO_RESULT_LENGTH = 4,
  /**
   * The memory for an object is smaller than this library needs: the header is of another version.
   */
  FLAMINGO_RESULT_TOO_SMALL = 5,
  /**
   * Two areas overlap that must not.
   */
  FLAMINGO_RESULT_OVERLAP = 6,
  /**
   * A field of the settings has a value that it cannot have.
   */
  FLAMINGO_RESULT_VALUE = 7,
  /**
   * More bytes are reported as written than the last poll offered, or another function was called
   * since that poll.
   */
  FLAMINGO_RESULT_NOT_OFFERED = 8,
  /**
   * The value of a frame is NaN or infinite.
   */
  FLAMINGO_RESULT_NOT_FINITE = 20,
  /**
   * A stage action names an axis that does not exist: int32_data[0] must be 1 (X), 2 (Y), 3 (Z) or 4 (R).
   */
  FLAMINGO_RESULT_UNKNOWN_AXIS = 21,
  /**
   * The frame has a flag that only the server sets: clear it.
   */
  FLAMINGO_RESULT_RESERVED_FLAG = 22,
  /**
   * The payload is longer than the limit of the settings.
   */
  FLAMINGO_RESULT_PAYLOAD_TOO_LONG = 23,
  /**
   * This command is never answered: use flamingo_connection_send.
   */
  FLAMINGO_RESULT_NEVER_ANSWERED = 24,
  /**
   * The table of requests in flight is full: wait until a request ends.
   */
  FLAMINGO_RESULT_REQUESTS_FULL = 25,
  /**
   * The table of answers that may still come is full: wait.
   */
  FLAMINGO_RESULT_TOMBSTONES_FULL = 26,
  /**
   * The queue of frames to send is full: write first.
   */
  FLAMINGO_RESULT_QUEUE_FULL = 27,
  /**
   * The places for HALT and laser-off are full: write first.
   */
  FLAMINGO_RESULT_STOP_LANE_FULL = 28,
  /**
   * The connection has ended: make a new one.
   */
  FLAMINGO_RESULT_CLOSED = 29,
  /**
   * A frame does not begin or not end with its marker.
   */
  FLAMINGO_RESULT_MARKER = 40,
  /**
   * A text has more than 72 bytes.
   */
  FLAMINGO_RESULT_TEXT_TOO_LONG = 41,
  /**
   * There is no command with this code or name.
   */
  FLAMINGO_RESULT_UNKNOWN_COMMAND = 43,
  /**
   * The size in an image header is not 2 * width * height.
   */
  FLAMINGO_RESULT_IMAGE_SIZE = 60,
  /**
   * The size in an image header is 0, but only one of width and height is.
   */
  FLAMINGO_RESULT_IMAGE_DIMENSIONS = 61,
  /**
   * The image is larger than the limit.
   */
  FLAMINGO_RESULT_IMAGE_TOO_LARGE = 62,
  /**
   * The device index in an image header is above 3.
   */
  FLAMINGO_RESULT_IMAGE_DEVICE = 63,
  /**
   * An error that this header does not know.
   */
  FLAMINGO_RESULT_OTHER = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_result flamingo_result;
#else
typedef int32_t flamingo_result;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a cancel did.
 */
enum flamingo_cancelled
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The frame was not sent, and it will not be sent.
   */
  FLAMINGO_CANCELLED_NOT_SENT = 0,
  /**
   * The frame was sent, or its rest follows. If its answer comes, its class is LATE.
   */
  FLAMINGO_CANCELLED_SENT = 1,
  /**
   * The request had already ended, or it never existed. An outcome that was not taken is still reported.
   */
  FLAMINGO_CANCELLED_UNKNOWN = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_cancelled flamingo_cancelled;
#else
typedef int32_t flamingo_cancelled;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What the status of an answer says.
 */
enum flamingo_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Done; of a motion: completed.
   */
  FLAMINGO_OUTCOME_SUCCESS = 0,
  /**
   * Not done; of a motion: not completed.
   */
  FLAMINGO_OUTCOME_FAILURE = 1,
  /**
   * The instrument may not set this status: a presumed success.
   */
  FLAMINGO_OUTCOME_UNSET = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_outcome flamingo_outcome;
#else
typedef int32_t flamingo_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How a command is answered.
 */
enum flamingo_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It only asks.
   */
  FLAMINGO_KIND_QUERY = 0,
  /**
   * It changes something, and is answered.
   */
  FLAMINGO_KIND_ACTION = 1,
  /**
   * It is never answered: use flamingo_connection_send.
   */
  FLAMINGO_KIND_FIRE_AND_FORGET = 2,
  /**
   * Only the instrument sends it.
   */
  FLAMINGO_KIND_EVENT = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_kind flamingo_kind;
#else
typedef int32_t flamingo_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an image stream held next.
 */
enum flamingo_image_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing yet: all bytes are consumed, more are needed.
   */
  FLAMINGO_IMAGE_KIND_NONE = 0,
  /**
   * A header. If its size is not 0, pixels follow.
   */
  FLAMINGO_IMAGE_KIND_HEADER = 1,
  /**
   * Some of the pixels.
   */
  FLAMINGO_IMAGE_KIND_PIXELS = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_image_kind flamingo_image_kind;
#else
typedef int32_t flamingo_image_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a call of a handle_input function found.
 */
enum flamingo_output_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing yet: all bytes are consumed, more are needed.
   */
  FLAMINGO_OUTPUT_KIND_NONE = 0,
  /**
   * A frame.
   */
  FLAMINGO_OUTPUT_KIND_FRAME = 1,
  /**
   * A part of the payload of the last frame.
   */
  FLAMINGO_OUTPUT_KIND_PAYLOAD = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_output_kind flamingo_output_kind;
#else
typedef int32_t flamingo_output_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What to write.
 */
enum flamingo_transmit_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing.
   */
  FLAMINGO_TRANSMIT_KIND_NONE = 0,
  /**
   * The bytes at `bytes`.
   */
  FLAMINGO_TRANSMIT_KIND_BYTES = 1,
  /**
   * Bytes of the payload that this program has for the frame `ticket`.
   */
  FLAMINGO_TRANSMIT_KIND_PAYLOAD = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_transmit_kind flamingo_transmit_kind;
#else
typedef int32_t flamingo_transmit_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Who gets a frame.
 */
enum flamingo_class
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The answer to the request `ticket`, which waits for it.
   */
  FLAMINGO_CLASS_SOLICITED = 0,
  /**
   * The answer to the request `ticket`, which has ended.
   */
  FLAMINGO_CLASS_LATE = 1,
  /**
   * It may answer any of the requests `owners`; nobody can tell which one.
   */
  FLAMINGO_CLASS_AMBIGUOUS = 2,
  /**
   * Nobody asked for it: an event.
   */
  FLAMINGO_CLASS_UNSOLICITED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_class flamingo_class;
#else
typedef int32_t flamingo_class;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * An event that is not a received frame.
 */
enum flamingo_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * There is no event.
   */
  FLAMINGO_EVENT_KIND_NONE = 0,
  /**
   * The request `ticket` ended without an answer, or the frame `ticket` ended without being sent.
   */
  FLAMINGO_EVENT_KIND_ENDED = 1,
  /**
   * The instrument did not answer a harmless query in time.
   */
  FLAMINGO_EVENT_KIND_UNRESPONSIVE = 2,
  /**
   * The instrument has proven that it answers again.
   */
  FLAMINGO_EVENT_KIND_RESPONSIVE = 3,
  /**
   * A stop has waited too long and is not sent. Close the connection and send the stop over a new one.
   */
  FLAMINGO_EVENT_KIND_STOP_BLOCKED = 4,
  /**
   * An event that this header does not know.
   */
  FLAMINGO_EVENT_KIND_OTHER = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_event_kind flamingo_event_kind;
#else
typedef int32_t flamingo_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How a request ended without an answer.
 */
enum flamingo_ended
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The deadline passed.
   */
  FLAMINGO_ENDED_TIMED_OUT = 0,
  /**
   * The instrument answered a later command of the same subsystem: this answer will never come.
   */
  FLAMINGO_ENDED_UNANSWERED = 1,
  /**
   * The payload of the answer was not complete in time.
   */
  FLAMINGO_ENDED_PAYLOAD_STALLED = 2,
  /**
   * A frame came that may answer this request or another request.
   */
  FLAMINGO_ENDED_AMBIGUOUS = 3,
  /**
   * The stop `superseded_by` cancelled the frame before it was sent.
   */
  FLAMINGO_ENDED_SUPERSEDED = 4,
  /**
   * The connection ended.
   */
  FLAMINGO_ENDED_CONNECTION_LOST = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_ended flamingo_ended;
#else
typedef int32_t flamingo_ended;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Why a timeout is due.
 */
enum flamingo_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * No timer runs.
   */
  FLAMINGO_REASON_NONE = 0,
  /**
   * The deadline of the request `ticket`.
   */
  FLAMINGO_REASON_DEADLINE = 1,
  /**
   * The time in which a late answer may come is over.
   */
  FLAMINGO_REASON_GRACE = 2,
  /**
   * A stop has waited too long to be written.
   */
  FLAMINGO_REASON_STOP_BLOCKED = 3,
  /**
   * A reason that this header does not know.
   */
  FLAMINGO_REASON_OTHER = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum flamingo_reason flamingo_reason;
#else
typedef int32_t flamingo_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The client's side of one connection, in memory of the caller. Its content is private.
 *
 * The same memory may be used by one thread at a time. A zeroed object (static storage, calloc,
 * `= {0}`) is not initialised, and every function refuses it.
 */
typedef struct flamingo_connection {
  uint64_t private_words[FLAMINGO_CONNECTION_WORDS];
} flamingo_connection;

/**
 * The settings of a connection: facts about the instrument, and how long to wait. Fill it with
 * flamingo_config_default and change what differs.
 */
typedef struct flamingo_config {
  /**
   * How long an answer may still come after its request has ended. Default: 1 000 000.
   */
  uint64_t grace_us;
  /**
   * How long the true answer may still come after a presumed answer. Default: 100 000.
   */
  uint64_t presumed_grace_us;
  /**
   * How long a stop may wait until it is sent before STOP_BLOCKED is reported. Default: 1 000 000.
   */
  uint64_t stop_patience_us;
  /**
   * The longest payload in bytes, in both directions. Default: 33 554 432.
   */
  uint32_t payload_limit;
  /**
   * How many unanswered commands may be on the wire; 0 counts as 1. Default: 4.
   */
  uint32_t window;
  /**
   * A flamingo_ordering. Default: SUBSYSTEM.
   */
  int32_t ordering;
  /**
   * A flamingo_token_field. Default: NONE.
   */
  int32_t tokens;
  /**
   * A flamingo_on_ambiguous. Default: REFUSE.
   */
  int32_t on_ambiguous;
  /**
   * 0 or 1: a payload follows the acknowledgement of an upload that declares one. Default: 0.
   */
  int32_t upload_echo_has_payload;
  /**
   * 0 or 1: the instrument sets FLAMINGO_FLAG_ANSWER_TAG on answers, and on them only. Default: 0.
   */
  int32_t peer_tags;
  /**
   * 0 or 1: position updates come without FLAMINGO_FLAG_STAGE_POSITIONS_IN_BUFFER. Default: 0.
   */
  int32_t unmarked_positions;
  /**
   * 0 or 1: laser levels and LED changes are pushed without a mark. Default: 1.
   */
  int32_t unmarked_lights;
  /**
   * 0 or 1: the GET that belongs to a SET is pushed when the SET is done. Default: 1.
   */
  int32_t unmarked_after_set;
  /**
   * 0 or 1: the actions of other clients are echoed. Default: 0.
   */
  int32_t unmarked_other_clients;
  /**
   * Always 0.
   */
  int32_t reserved;
} flamingo_config;

/**
 * A control frame: every field but the two markers. Every content is valid.
 */
typedef struct flamingo_frame {
  /**
   * doubleData: mm (degrees on R), microseconds, mm per pixel.
   */
  double value;
  /**
   * cmd: one of the constants FLAMINGO_CODE_...
   */
  uint32_t code;
  /**
   * status, set by the instrument: see flamingo_frame_outcome.
   */
  int32_t status;
  /**
   * hardwareID: the instance of a device.
   */
  int32_t hardware_id;
  /**
   * subsystemID.
   */
  int32_t subsystem_id;
  /**
   * clientID. It may mean something to the instrument: leave it 0.
   */
  int32_t client_id;
  /**
   * int32Data0 (the selector, or a result), int32Data1, int32Data2.
   */
  int32_t int32_data[3];
  /**
   * cmdDataBits0: bits FLAMINGO_FLAG_...
   */
  uint32_t flags;
  /**
   * additionalDataBytes: the number of bytes of the payload that follows at once.
   */
  uint32_t payload_len;
  /**
   * buffer: text or binary, padded with NUL. A text of 72 bytes has no NUL at its end.
   */
  uint8_t buffer[FLAMINGO_BUFFER_LEN];
} flamingo_frame;

/**
 * What a connection tells about itself.
 */
typedef struct flamingo_status {
  /**
   * The number of requests in flight.
   */
  size_t in_flight;
  /**
   * The number of ended requests whose answers may still come.
   */
  size_t tombstones;
  /**
   * The number of bytes that are held until they prove to be a frame or noise.
   */
  size_t held;
  /**
   * The last ticket: for the init of the connection that replaces this one.
   */
  uint32_t last_ticket;
} flamingo_status;

/**
 * Counts since the connection began. Every received frame counts in exactly one of `solicited`, `late`,
 * `ambiguous` and `unsolicited`.
 */
typedef struct flamingo_counters {
  /**
   * Frames of which at least one byte was sent, fences included.
   */
  uint64_t frames_sent;
  /**
   * Answers to waiting requests, fences included.
   */
  uint64_t solicited;
  /**
   * Solicited frames that are only presumed.
   */
  uint64_t presumed;
  /**
   * Answers to requests that had already ended.
   */
  uint64_t late;
  /**
   * Frames that may answer several requests.
   */
  uint64_t ambiguous;
  /**
   * Frames that answer no request.
   */
  uint64_t unsolicited;
  /**
   * Received bytes of payloads.
   */
  uint64_t payload_bytes;
  /**
   * Bytes that were skipped because they were not part of a frame.
   */
  uint64_t noise_bytes;
  /**
   * Requests that ended by their deadline.
   */
  uint64_t timed_out;
  /**
   * Requests that ended because the instrument answered a later one.
   */
  uint64_t unanswered;
  /**
   * Answers whose payload was not complete in time.
   */
  uint64_t payload_stalled;
  /**
   * Frames that a stop cancelled.
   */
  uint64_t superseded;
  /**
   * Fences: harmless queries that the connection sent to settle older requests.
   */
  uint64_t fences_sent;
  /**
   * Fences that the instrument did not answer in time.
   */
  uint64_t fences_unanswered;
} flamingo_counters;

/**
 * Why the last 128 bytes that began with a start marker were not a frame.
 */
typedef struct flamingo_rejected {
  /**
   * OK: nothing was rejected yet, and the other fields are 0. MARKER or PAYLOAD_TOO_LONG.
   */
  flamingo_result reason;
  /**
   * The offset of the field.
   */
  uint32_t offset;
  /**
   * The expected value; for PAYLOAD_TOO_LONG the limit.
   */
  uint32_t expected;
  /**
   * The value found.
   */
  uint32_t found;
} flamingo_rejected;

/**
 * What is known about a command.
 */
typedef struct flamingo_command {
  /**
   * How it is answered.
   */
  flamingo_kind kind;
  /**
   * Whether int32_data[0] selects something, such as an axis.
   */
  bool selects;
  /**
   * Whether it starts a motion.
   */
  bool moves;
  /**
   * Whether it may switch a laser on.
   */
  bool lights;
  /**
   * Whether it is a stop: it overtakes everything that is queued.
   */
  bool stops;
  /**
   * Whether the instrument also sends this code unasked.
   */
  bool also_pushed;
  /**
   * The name, with a NUL at its end.
   */
  char name[FLAMINGO_NAME_LEN];
} flamingo_command;

/**
 * A reader of an image stream, in memory of the caller. Its content is private.
 *
 * The same memory may be used by one thread at a time. A zeroed object is not initialised.
 */
typedef struct flamingo_image_reader {
  uint64_t private_words[FLAMINGO_IMAGE_READER_WORDS];
} flamingo_image_reader;

/**
 * The header before the pixels of an image.
 */
typedef struct flamingo_image_header {
  /**
   * The number of bytes of pixels that follow: 2 * width * height. 0: the header only updates options.
   */
  uint32_t size;
  /**
   * The width in pixels.
   */
  uint32_t width;
  /**
   * The height in pixels.
   */
  uint32_t height;
  /**
   * The pixel value shown as black.
   */
  uint32_t scale_min;
  /**
   * The pixel value shown as white.
   */
  uint32_t scale_max;
  /**
   * deviceIndex, 0 to 3.
   */
  uint32_t device;
  /**
   * optionsSettings1: bits FLAMINGO_IMAGE_OPTION_...
   */
  uint32_t options;
  /**
   * optionsSettings2: the crosshair, X in the high 16 bits, Y in the low ones.
   */
  uint32_t crosshair;
  /**
   * imageIndexStart.
   */
  int32_t index_start;
  /**
   * imageIndexStop.
   */
  int32_t index_stop;
} flamingo_image_header;

/**
 * What an image stream held next.
 */
typedef struct flamingo_image_piece {
  /**
   * Which of the fields below have a meaning; the others are 0.
   */
  flamingo_image_kind kind;
  /**
   * HEADER: the header.
   */
  struct flamingo_image_header header;
  /**
   * PIXELS: 16-bit little-endian pixels, row by row, inside the input of this call; perhaps cut inside
   * a pixel. NULL otherwise.
   */
  const uint8_t *pixels;
  /**
   * PIXELS: the number of bytes.
   */
  size_t len;
  /**
   * PIXELS: how many bytes of the image are still to come. 0 marks its end.
   */
  uint32_t remaining;
} flamingo_image_piece;

/**
 * The device's side of one connection, in memory of the caller. Its content is private.
 *
 * The same memory may be used by one thread at a time. A zeroed object is not initialised.
 */
typedef struct flamingo_responder {
  uint64_t private_words[FLAMINGO_RESPONDER_WORDS];
} flamingo_responder;

/**
 * A command or a part of a payload that a responder received.
 */
typedef struct flamingo_incoming {
  /**
   * Which of the fields below have a meaning; the others are 0.
   */
  flamingo_output_kind kind;
  /**
   * FRAME: the noise bytes that were skipped before this command.
   */
  uint32_t skipped;
  /**
   * FRAME: the command. If its payload_len is not 0, the payload comes in the next outputs.
   */
  struct flamingo_frame frame;
  /**
   * PAYLOAD: the bytes, inside the input of this call. NULL otherwise.
   */
  const uint8_t *payload;
  /**
   * PAYLOAD: the number of bytes.
   */
  size_t payload_len;
  /**
   * PAYLOAD: how many bytes of the payload are still to come. 0 marks its end.
   */
  uint32_t remaining;
} flamingo_incoming;

/**
 * What to write next.
 */
typedef struct flamingo_transmit {
  /**
   * Which of the fields below have a meaning; the others are 0.
   */
  flamingo_transmit_kind kind;
  /**
   * PAYLOAD: the frame to which the payload belongs.
   */
  uint32_t ticket;
  /**
   * BYTES: the bytes, inside the memory of the connection. They are valid until the next call with it.
   */
  const uint8_t *bytes;
  /**
   * BYTES: their number.
   */
  size_t len;
  /**
   * PAYLOAD: write from this byte of the payload on.
   */
  uint32_t offset;
  /**
   * PAYLOAD: the number of bytes that were not written.
   */
  uint32_t remaining;
} flamingo_transmit;

/**
 * What a responder tells about itself.
 */
typedef struct flamingo_responder_status {
  /**
   * The number of bytes that were skipped because they were not part of a command.
   */
  uint64_t noise_bytes;
  /**
   * The number of frames that are not completely sent, their payloads included.
   */
  size_t queued;
  /**
   * The number of bytes of an unfinished command.
   */
  size_t held;
  /**
   * The number of missing bytes of a payload.
   */
  uint32_t missing;
} flamingo_responder_status;

/**
 * A frame or a part of a payload that a connection received.
 */
typedef struct flamingo_output {
  /**
   * Which of the fields below have a meaning; the others are 0.
   */
  flamingo_output_kind kind;
  /**
   * FRAME: who gets it. The fields `ticket`, `proven`, `ours`, `owners` follow from it.
   */
  flamingo_class frame_class;
  /**
   * SOLICITED and LATE: the request.
   */
  uint32_t ticket;
  /**
   * SOLICITED and LATE: no other sender is possible. If false, the answer is only presumed.
   */
  bool proven;
  /**
   * UNSOLICITED: perhaps the echo of a frame that this program sent without asking.
   */
  bool ours;
  /**
   * AMBIGUOUS: the number of `owners`.
   */
  uint32_t owner_count;
  /**
   * AMBIGUOUS: the requests that it may answer, oldest first.
   */
  uint32_t owners[FLAMINGO_MAX_OWNERS];
  /**
   * FRAME: the noise bytes that were skipped before this frame.
   */
  uint32_t skipped;
  /**
   * PAYLOAD: how many bytes of the payload are still to come. 0 marks its end.
   */
  uint32_t remaining;
  /**
   * FRAME: the frame. If its payload_len is not 0, the payload comes in the next outputs.
   */
  struct flamingo_frame frame;
  /**
   * PAYLOAD: the bytes, inside the input of this call. NULL otherwise.
   */
  const uint8_t *payload;
  /**
   * PAYLOAD: the number of bytes.
   */
  size_t payload_len;
} flamingo_output;

/**
 * An event that is not a received frame.
 */
typedef struct flamingo_event {
  /**
   * What happened. The other fields have a meaning for ENDED only, and are 0 otherwise.
   */
  flamingo_event_kind kind;
  /**
   * The request or frame.
   */
  uint32_t ticket;
  /**
   * How it ended.
   */
  flamingo_ended ended;
  /**
   * Whether the first byte of the frame was sent. If not, the instrument never received it.
   */
  bool sent;
  /**
   * SUPERSEDED: the ticket of the stop.
   */
  uint32_t superseded_by;
  /**
   * PAYLOAD_STALLED: the number of payload bytes that came.
   */
  uint32_t received;
  /**
   * PAYLOAD_STALLED: the number of payload bytes that the answer declared.
   */
  uint32_t expected;
} flamingo_event;

/**
 * When to call flamingo_connection_handle_timeout.
 */
typedef struct flamingo_timeout {
  /**
   * The time in microseconds; FLAMINGO_NEVER if no timer runs.
   */
  uint64_t due_us;
  /**
   * Why.
   */
  flamingo_reason reason;
  /**
   * DEADLINE: the request; 0 otherwise.
   */
  uint32_t ticket;
} flamingo_timeout;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library, such as "0.1.0", in static memory. Compare it with FLAMINGO_VERSION.
 */
const char *flamingo_version(void);

/**
 * The number of bytes of a flamingo_connection that the library uses: at most
 * sizeof(flamingo_connection).
 */
size_t flamingo_connection_size(void);

/**
 * Makes a connection that has sent and received nothing. If the memory holds a connection, it is
 * discarded.
 *
 * `size` is sizeof(flamingo_connection): so a program that was compiled with the header of another
 * version is refused. `config` NULL: the default settings. The number of the first ticket follows that
 * of `last_ticket`: pass a random number for the first connection to an instrument, and the last ticket
 * of the old connection (flamingo_connection_status) for one that replaces it; 0 is allowed.
 *
 * Errors: NULL, MISALIGNED, LENGTH, TOO_SMALL, OVERLAP, VALUE (a field of `config`).
 *
 * Preconditions:
 * `connection` is NULL or points to `size` bytes that can be written. `config` is NULL or points to a
 * struct that can be read.
 */
flamingo_result flamingo_connection_init(struct flamingo_connection *connection,
                                         size_t size,
                                         const struct flamingo_config *config,
                                         uint32_t last_ticket);

/**
 * Ends the use of a connection: every later call with it returns NOT_INITIALISED, until it is
 * initialised again. Nothing has to be freed. It sends nothing.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses.
 */
flamingo_result flamingo_connection_deinit(struct flamingo_connection *connection);

/**
 * Queues `command` and waits for its answer. The time from `now_us` to `deadline_us` is the time for the
 * answer; it begins when the first byte is sent. Its outcome comes under `ticket`: exactly one SOLICITED
 * frame (complete with its payload), one ENDED event, or the caller's own cancel.
 *
 * A stop (HALT, laser-off, the stop of a workflow or of live images) goes before everything that is
 * queued, and cancels the queued commands that it must not precede. It is never withdrawn by time. HALT
 * and laser-off have places of their own, so a full queue does not hold them.
 *
 * If command->payload_len is not 0, poll_transmit asks for the payload under the ticket.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP; NOT_FINITE, UNKNOWN_AXIS, RESERVED_FLAG,
 * PAYLOAD_TOO_LONG, NEVER_ANSWERED, REQUESTS_FULL, TOMBSTONES_FULL, QUEUE_FULL, STOP_LANE_FULL, CLOSED.
 * After an error nothing was queued and nothing will be sent.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `command` is NULL
 * or can be read, `ticket` is NULL or can be written.
 */
flamingo_result flamingo_connection_request(struct flamingo_connection *connection,
                                            uint64_t now_us,
                                            const struct flamingo_frame *command,
                                            uint64_t deadline_us,
                                            uint32_t *ticket);

/**
 * Queues `command` and waits for no answer. flamingo_connection_transmitted gives its ticket when it is
 * sent; if it will never be sent, an ENDED event reports it. A stop goes first, as in a request.
 *
 * Errors: those of flamingo_connection_request without NEVER_ANSWERED, REQUESTS_FULL and
 * TOMBSTONES_FULL. After an error nothing was queued and nothing will be sent.
 *
 * Preconditions:
 * As flamingo_connection_request.
 */
flamingo_result flamingo_connection_send(struct flamingo_connection *connection,
                                         uint64_t now_us,
                                         const struct flamingo_frame *command,
                                         uint32_t *ticket);

/**
 * Cancels a request or a frame, and writes what that did. If a request was already sent and its answer
 * comes, the answer is LATE. An outcome that is known already is still reported.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `cancelled` is NULL
 * or can be written.
 */
flamingo_result flamingo_connection_cancel(struct flamingo_connection *connection,
                                           uint64_t now_us,
                                           uint32_t ticket,
                                           flamingo_cancelled *cancelled);

/**
 * Writes what the connection tells about itself.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `status` is NULL or
 * can be written.
 */
flamingo_result flamingo_connection_status(const struct flamingo_connection *connection,
                                           struct flamingo_status *status);

/**
 * Writes the counters since the connection began.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `counters` is NULL
 * or can be written.
 */
flamingo_result flamingo_connection_counters(const struct flamingo_connection *connection,
                                             struct flamingo_counters *counters);

/**
 * Writes the settings of the connection.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `config` is NULL or
 * can be written.
 */
flamingo_result flamingo_connection_config(const struct flamingo_connection *connection,
                                           struct flamingo_config *config);

/**
 * Writes why the last bytes that looked like a frame were not one.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `rejected` is NULL
 * or can be written.
 */
flamingo_result flamingo_connection_last_rejected(const struct flamingo_connection *connection,
                                                  struct flamingo_rejected *rejected);

/**
 * Writes a command to the instrument: all fields are 0, but the flag that asks for an answer is set
 * where the command needs it.
 *
 * Errors: NULL, MISALIGNED. A code that is not known is no error.
 *
 * Preconditions:
 * `frame` is NULL or can be written.
 */
flamingo_result flamingo_frame_command(uint32_t code, struct flamingo_frame *frame);

/**
 * Puts a text or other bytes into the buffer of a frame and pads them with NUL.
 *
 * Errors: NULL (`text` may be NULL if `len` is 0), MISALIGNED, LENGTH; TEXT_TOO_LONG: more than 72
 * bytes. After an error the frame does not change.
 *
 * Preconditions:
 * `frame` is NULL or can be read and written. `text` is NULL or points to `len` bytes that can be read.
 */
flamingo_result flamingo_frame_set_buffer(struct flamingo_frame *frame, const char *text, size_t len);

/**
 * Writes the number of bytes in the buffer of a frame before the first NUL: 0 to 72.
 *
 * Errors: NULL, MISALIGNED.
 *
 * Preconditions:
 * `frame` is NULL or can be read, `len` is NULL or can be written.
 */
flamingo_result flamingo_frame_text_len(const struct flamingo_frame *frame, size_t *len);

/**
 * Writes the 128 bytes of a frame. `room` is the number of bytes at `bytes`.
 *
 * Errors: NULL, MISALIGNED; LENGTH: there is room for less than 128 bytes.
 *
 * Preconditions:
 * `frame` is NULL or can be read. `bytes` is NULL or points to `room` bytes that can be written.
 */
flamingo_result flamingo_frame_encode(const struct flamingo_frame *frame, uint8_t *bytes, size_t room);

/**
 * Reads the 128 bytes of a frame. The length of its payload is not checked.
 *
 * Errors: NULL, MISALIGNED; LENGTH: not 128 bytes; MARKER.
 *
 * Preconditions:
 * `input` is NULL or points to `len` bytes that can be read. `frame` is NULL or can be written.
 */
flamingo_result flamingo_frame_decode(const uint8_t *input, size_t len, struct flamingo_frame *frame);

/**
 * Writes what the status and the text of an answer say, by the rule of its code.
 *
 * Errors: NULL, MISALIGNED.
 *
 * Preconditions:
 * `frame` is NULL or can be read, `outcome` is NULL or can be written.
 */
flamingo_result flamingo_frame_outcome(const struct flamingo_frame *frame, flamingo_outcome *outcome);

/**
 * Writes whether the stop `stop` cancels the command `queued` if that was not sent yet.
 *
 * Errors: NULL, MISALIGNED.
 *
 * Preconditions:
 * `queued` and `stop` are NULL or can be read, `cancelled` is NULL or can be written.
 */
flamingo_result flamingo_is_cancelled_by(const struct flamingo_frame *queued,
                                         const struct flamingo_frame *stop,
                                         bool *cancelled);

/**
 * Writes what is known about a command.
 *
 * Errors: NULL, MISALIGNED; UNKNOWN_COMMAND: there is no command with this code.
 *
 * Preconditions:
 * `command` is NULL or can be written.
 */
flamingo_result flamingo_command_info(uint32_t code, struct flamingo_command *command);

/**
 * Writes the code of the command with this name, in upper or lower case: "STAGE_HALT".
 *
 * Errors: NULL, MISALIGNED, LENGTH; UNKNOWN_COMMAND: there is no command with this name.
 *
 * Preconditions:
 * `name` is NULL or points to `len` bytes that can be read. `code` is NULL or can be written.
 */
flamingo_result flamingo_command_from_name(const char *name, size_t len, uint32_t *code);

/**
 * The number of bytes of a flamingo_image_reader that the library uses: at most
 * sizeof(flamingo_image_reader).
 */
size_t flamingo_image_reader_size(void);

/**
 * Makes a reader that believes images of up to `limit` bytes, such as FLAMINGO_MAX_IMAGE. `size` is
 * sizeof(flamingo_image_reader).
 *
 * Errors: NULL, MISALIGNED, LENGTH, TOO_SMALL.
 *
 * Preconditions:
 * `reader` is NULL or points to `size` bytes that can be written.
 */
flamingo_result flamingo_image_reader_init(struct flamingo_image_reader *reader, size_t size, uint32_t limit);

/**
 * Ends the use of a reader: every later call with it returns NOT_INITIALISED.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED.
 *
 * Preconditions:
 * `reader` is NULL or points to a flamingo_image_reader that no other thread uses.
 */
flamingo_result flamingo_image_reader_deinit(struct flamingo_image_reader *reader);

/**
 * Takes bytes up to the end of the next piece. Writes how many, and the piece. Call it again with the
 * rest until it consumes everything and the kind is NONE.
 *
 * piece->pixels points into `input`: use it before you change the input.
 *
 * Errors: NULL (`input` may be NULL if `len` is 0), MISALIGNED, NOT_INITIALISED, LENGTH, OVERLAP;
 * IMAGE_SIZE, IMAGE_DIMENSIONS, IMAGE_TOO_LARGE, IMAGE_DEVICE: a header cannot be true. Then `consumed`
 * and `piece` are written too, and every later push returns the same error: there are no markers in
 * the stream, so connect again.
 *
 * Preconditions:
 * `reader` is NULL or points to a flamingo_image_reader that no other thread uses. `input` is NULL or
 * points to `len` bytes that can be read. `consumed` and `piece` are NULL or can be written.
 */
flamingo_result flamingo_image_reader_push(struct flamingo_image_reader *reader,
                                           const uint8_t *input,
                                           size_t len,
                                           size_t *consumed,
                                           struct flamingo_image_piece *piece);

/**
 * Writes whether the stream may end here: between two images.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `reader` is NULL or points to a flamingo_image_reader that no other thread uses. `between` is NULL or
 * can be written.
 */
flamingo_result flamingo_image_reader_is_between(const struct flamingo_image_reader *reader, bool *between);

/**
 * Writes the 40 bytes of an image header. `room` is the number of bytes at `bytes`.
 *
 * Errors: NULL, MISALIGNED; LENGTH: there is room for less than 40 bytes.
 *
 * Preconditions:
 * `header` is NULL or can be read. `bytes` is NULL or points to `room` bytes that can be written.
 */
flamingo_result flamingo_image_header_encode(const struct flamingo_image_header *header,
                                             uint8_t *bytes,
                                             size_t room);

/**
 * Reads the 40 bytes of an image header, for a program that reads images itself. `limit` is the largest
 * image that is believed, in bytes.
 *
 * Errors: NULL, MISALIGNED; LENGTH: not 40 bytes; IMAGE_SIZE, IMAGE_DIMENSIONS, IMAGE_TOO_LARGE,
 * IMAGE_DEVICE: the header cannot be true.
 *
 * Preconditions:
 * `input` is NULL or points to `len` bytes that can be read. `header` is NULL or can be written.
 */
flamingo_result flamingo_image_header_decode(const uint8_t *input,
                                             size_t len,
                                             uint32_t limit,
                                             struct flamingo_image_header *header);

/**
 * The number of bytes of a flamingo_responder that the library uses: at most sizeof(flamingo_responder).
 */
size_t flamingo_responder_size(void);

/**
 * Makes a responder that accepts payloads of up to `payload_limit` bytes. `size` is
 * sizeof(flamingo_responder).
 *
 * Errors: NULL, MISALIGNED, LENGTH, TOO_SMALL.
 *
 * Preconditions:
 * `device` is NULL or points to `size` bytes that can be written.
 */
flamingo_result flamingo_responder_init(struct flamingo_responder *device,
                                        size_t size,
                                        uint32_t payload_limit);

/**
 * Ends the use of a responder: every later call with it returns NOT_INITIALISED.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED.
 *
 * Preconditions:
 * `device` is NULL or points to a flamingo_responder that no other thread uses.
 */
flamingo_result flamingo_responder_deinit(struct flamingo_responder *device);

/**
 * Takes received bytes up to the end of the next output, as flamingo_connection_handle_input does.
 *
 * Errors: NULL (`input` may be NULL if `len` is 0), MISALIGNED, NOT_INITIALISED, LENGTH, OVERLAP.
 *
 * Preconditions:
 * `device` is NULL or points to a flamingo_responder that no other thread uses. `input` is NULL or points
 * to `len` bytes that can be read. `consumed` and `incoming` are NULL or can be written.
 */
flamingo_result flamingo_responder_handle_input(struct flamingo_responder *device,
                                                const uint8_t *input,
                                                size_t len,
                                                size_t *consumed,
                                                struct flamingo_incoming *incoming);

/**
 * Queues a frame, an answer or a push. If its payload_len is not 0, poll_transmit asks for the payload
 * under `ticket`. The frames go out in the order of the calls. An answer is the command with its result
 * filled in.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP; QUEUE_FULL: first write what poll_transmit gives.
 *
 * Preconditions:
 * `device` is NULL or points to a flamingo_responder that no other thread uses. `frame` is NULL or can be
 * read, `ticket` is NULL or can be written.
 */
flamingo_result flamingo_responder_push(struct flamingo_responder *device,
                                        const struct flamingo_frame *frame,
                                        uint32_t *ticket);

/**
 * Writes what to write next. After the write, call flamingo_responder_transmitted before any other call.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `device` is NULL or points to a flamingo_responder that no other thread uses. `transmit` is NULL or can
 * be written.
 */
flamingo_result flamingo_responder_poll_transmit(struct flamingo_responder *device,
                                                 struct flamingo_transmit *transmit);

/**
 * Reports that `written` bytes of the last poll are sent. Writes the ticket of the frame if these bytes
 * complete it, its payload included; 0 otherwise.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP; NOT_OFFERED: more bytes than the last poll offered,
 * or another function was called since. After NOT_OFFERED close the connection: the peer may have received
 * bytes that the responder does not know.
 *
 * Preconditions:
 * `device` is NULL or points to a flamingo_responder that no other thread uses. `completed` is NULL or can
 * be written.
 */
flamingo_result flamingo_responder_transmitted(struct flamingo_responder *device,
                                               size_t written,
                                               uint32_t *completed);

/**
 * Discards the unfinished input. Writes the number of bytes that were held and the number of payload
 * bytes that are missing.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `device` is NULL or points to a flamingo_responder that no other thread uses. `held` and `missing` are
 * NULL or can be written.
 */
flamingo_result flamingo_responder_abandon_input(struct flamingo_responder *device,
                                                 size_t *held,
                                                 uint32_t *missing);

/**
 * Writes what the responder tells about itself.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `device` is NULL or points to a flamingo_responder that no other thread uses. `status` is NULL or can be
 * written.
 */
flamingo_result flamingo_responder_get_status(const struct flamingo_responder *device,
                                              struct flamingo_responder_status *status);

/**
 * Writes whether an instrument answers this command.
 *
 * Errors: NULL, MISALIGNED.
 *
 * Preconditions:
 * `command` is NULL or can be read, `answered` is NULL or can be written.
 */
flamingo_result flamingo_is_answered(const struct flamingo_frame *command, bool *answered);

/**
 * The text of a result, in static memory: what was expected, and what to do. Never NULL; a number that
 * is no result has a text too.
 */
const char *flamingo_result_text(int32_t result);

/**
 * Writes the default settings, which are safe for every known instrument.
 *
 * Errors: NULL, MISALIGNED.
 *
 * Preconditions:
 * `config` is NULL or points to a struct that can be written.
 */
flamingo_result flamingo_config_default(struct flamingo_config *config);

/**
 * Takes received bytes up to the end of the next output. Writes how many bytes were consumed, and the
 * output. Call it again with the rest until it consumes everything and the kind is NONE.
 *
 * output->payload points into `input`: use it before you change the input.
 *
 * Errors: NULL (`input` may be NULL if `len` is 0), MISALIGNED, NOT_INITIALISED, LENGTH, OVERLAP. After
 * an error nothing was consumed.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `input` is NULL or
 * points to `len` bytes that can be read. `consumed` and `output` are NULL or can be written.
 */
flamingo_result flamingo_connection_handle_input(struct flamingo_connection *connection,
                                                 uint64_t now_us,
                                                 const uint8_t *input,
                                                 size_t len,
                                                 size_t *consumed,
                                                 struct flamingo_output *output);

/**
 * Writes what to write next. After the write, call flamingo_connection_transmitted with the number of
 * written bytes before any other call with this connection. Repeat until the kind is NONE.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `transmit` is NULL
 * or can be written.
 */
flamingo_result flamingo_connection_poll_transmit(struct flamingo_connection *connection,
                                                  uint64_t now_us,
                                                  struct flamingo_transmit *transmit);

/**
 * Reports that `written` bytes of the last poll are sent. Writes the ticket of the frame if these bytes
 * complete it, its payload included; 0 otherwise.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP; NOT_OFFERED: more bytes than the last poll offered,
 * or another function was called since. After NOT_OFFERED close the connection: the instrument may have
 * received bytes that the connection does not know.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `completed` is NULL
 * or can be written.
 */
flamingo_result flamingo_connection_transmitted(struct flamingo_connection *connection,
                                                uint64_t now_us,
                                                size_t written,
                                                uint32_t *completed);

/**
 * Writes the next event. Call it until the kind is NONE: a request keeps its place in the table until
 * its outcome is taken.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `event` is NULL or
 * can be written.
 */
flamingo_result flamingo_connection_poll_event(struct flamingo_connection *connection,
                                               struct flamingo_event *event);

/**
 * Writes when flamingo_connection_handle_timeout is due, and why.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `timeout` is NULL or
 * can be written.
 */
flamingo_result flamingo_connection_poll_timeout(const struct flamingo_connection *connection,
                                                 struct flamingo_timeout *timeout);

/**
 * Ends everything that is due: deadlines, graces, and the patience of a stop. Events follow.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses.
 */
flamingo_result flamingo_connection_handle_timeout(struct flamingo_connection *connection, uint64_t now_us);

/**
 * Reports that the stream has ended, or that the program has closed it. Every request ends as
 * CONNECTION_LOST, and later requests are refused. Writes the number of bytes of an incomplete frame and
 * the number of missing bytes of a payload.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * `connection` is NULL or points to a flamingo_connection that no other thread uses. `held` and `missing`
 * are NULL or can be written.
 */
flamingo_result flamingo_connection_handle_eof(struct flamingo_connection *connection,
                                               size_t *held,
                                               uint32_t *missing);

/**
 * Discards the unfinished input: a part of a frame, which counts as noise, or the rest of a payload. The
 * request of that payload ends as PAYLOAD_STALLED. Writes the number of bytes that were held and the
 * number of payload bytes that are missing. For a link that does not report when the peer has gone, such
 * as a UART.
 *
 * Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
 *
 * Preconditions:
 * As flamingo_connection_handle_eof.
 */
flamingo_result flamingo_connection_abandon_input(struct flamingo_connection *connection,
                                                  uint64_t now_us,
                                                  size_t *held,
                                                  uint32_t *missing);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FLAMINGO_H */
