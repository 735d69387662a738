/* runtime/link/messages.h: whole messages over a link, for the two halves of engine_link.h
 * alone: commands.c, events.c and state_events.c convert field by field.
 *
 * What a message needs lives in an arena of its direction until the next message. The peer decides
 * what is in a message, so a reader checks every count and every value of an enum before it relies
 * on it, and unpacking stops at a named limit.
 */
#pragma once
#include "base/memory.h"
#include "proto/engine.pb-c.h"
#include "runtime/link/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct link_event;

struct link {
    struct link_stream stream;
    struct arena sending, received;
    uint8_t *frame; /* a message while it is packed */
    size_t frame_bytes;
};

bool link_send_message(struct link *link, const ProtobufCMessage *message, struct error *err);
/* *out is NULL when no whole message is here yet. */
bool link_receive_message(struct link *link, const ProtobufCMessageDescriptor *descriptor,
                          const ProtobufCMessage **out, struct error *err);
/* ERROR_PEER: "a message on the link has " and `what`. Always false. */
bool link_bad_message(const char *what, struct error *err);

/* state_events.c: LINK_READY, LINK_STATS, LINK_PULSE, LINK_ASLEEP and LINK_LOADING alone; an
 * unknown kind is no message of an engine at all. */
bool link_send_state(struct link *link, const struct link_event *event, struct error *err);
bool link_read_state(struct link_event *out, const Phalanx__Engine__V1__FromEngine *from,
                     struct error *err);
/* None is below 0. */
bool link_check_counts(const int64_t *count, int n, struct error *err);
/* A level is one of enum link_sleep. */
bool link_check_sleep(uint32_t level, struct error *err);
