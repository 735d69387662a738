/* tests/unit/runtime_link/ends.h: a link with both ends in the test, and frames that no honest end
 * would send. */
#pragma once
#include "proto/engine.pb-c.h"
#include "runtime/link/engine_link.h"

struct ends {
    struct link *gateway, *engine;
};
struct ends ends_make(void);
void ends_release(struct ends *ends);

/* The next message, which must be there. */
struct link_command receive_command(struct link *link);
struct link_event receive_event(struct link *link);

/* A link to nobody, that receives a frame of these bytes; the receiving must succeed, or fail with
 * an ERROR_PEER. False: refused. */
struct link *link_with_frame(const void *bytes, size_t n);
bool takes_command(struct link *link, struct link_command *out, struct error *err);
bool takes_event(struct link *link, struct link_event *out, struct error *err);

/* Packs a message and fails the test unless it is refused with an ERROR_PEER that has `why`. */
void check_command_refused(const Phalanx__Engine__V1__ToEngine *message, const char *why);
void check_event_refused(const Phalanx__Engine__V1__FromEngine *message, const char *why);
