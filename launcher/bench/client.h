/* launcher/bench/client.h: sends a load to an OpenAI-compatible server, and takes the times.
 *
 * One thread, one loop over all connections (libcurl), which are kept and used again. Requests go
 * out when their arrival has come, unless `max_concurrency` are in flight: then they wait, and
 * their clock begins when they go out, as vLLM's does.
 */
#pragma once
#include "launcher/bench/remote.h"
#include "launcher/bench/samples.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct load;
struct progress;

struct client_settings { /* all borrowed */
    struct remote remote;
    const char *endpoint;    /* a path */
    const char *model;       /* in requests */
    double timeout_s;        /* of a request */
    int64_t max_concurrency; /* 0: no limit */
    const volatile sig_atomic_t *interrupt;
};

enum call_kind {
    CALL_GOOD,
    CALL_UNREACHABLE,
    CALL_TIMEOUT,
    CALL_STATUS,  /* another status than 200 */
    CALL_REFUSED, /* an error in the stream, or what is no stream */
    CALL_CUT,     /* the connection ended before the answer did, or before it began */
};

struct call_result {
    enum call_kind kind;
    int status;                /* of HTTP; 0: none came */
    double start_s;            /* since the begin of the run */
    double ttft_s, e2el_s;     /* since start_s: the first chunk with tokens, the last of all */
    int64_t n_input, n_output; /* as the server counts; else ids sent, chunks that came */
    struct samples gaps;       /* seconds between chunks */
    char why[256];             /* not good: in words */
};

struct client_run {           /* all zero: nothing */
    struct call_result *call; /* [n], in the order of the load */
    size_t n, n_done;
    uint64_t n_tokens; /* chunks with tokens */
    double seconds;    /* from the first request to the end of the last */
    double late_s;     /* the most by which a request went out after its time, though it might */
    size_t max_in_flight;
};

/* `progress` NULL: nothing is shown. A request that fails is no error here. client_run_release()
 * also after a failure. */
bool client_run(struct client_run *out, const struct load *load,
                const struct client_settings *settings, struct progress *progress,
                struct error *err);
void client_run_release(struct client_run *run);
