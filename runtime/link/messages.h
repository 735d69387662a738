/* runtime/link/messages.h: whole messages over a link, for the two halves of engine_link.h
 * alone: commands.c and events.c convert field by field.
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
