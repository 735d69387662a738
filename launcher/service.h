/* launcher/service.h: an open session with all that calls of runtime/api need: what a server, a
 * batch and the library share.
 *
 * It borrows the options. The owner runs the session: session_run(), or an event loop
 * (serve/session_events.h).
 */
#pragma once
#include "launcher/model_path.h"
#include "launcher/session.h"
#include "runtime/api/admission.h"
#include "runtime/api/api.h"
#include "runtime/api/metrics.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct chat_template;
struct error;
struct options;

struct service {
    char folder[MODEL_PATH_BYTES];
    struct session session;
    struct chat_template *template;
    struct chat_prompt chat;
    struct admission admission;
    struct api_metrics metrics;
    struct api api;
};

/* Starts the ranks and waits until they are ready. max_queue: sequences that may wait beside those
 * that run. service_close() also after a failure. */
bool service_open(struct service *out, const struct options *options, int64_t max_queue,
                  const volatile sig_atomic_t *interrupt, struct error *err);
/* The same without waiting: the ranks are started, and when session.is_open, after rounds of
 * session_step(), the second one makes the api of it. */
bool service_begin(struct service *out, const struct options *options,
                   const volatile sig_atomic_t *interrupt, struct error *err);
bool service_join(struct service *service, const struct options *options, int64_t max_queue,
                  struct error *err);
void service_close(struct service *service);
