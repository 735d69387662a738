/* launcher/bench/remote_call.h: one request after the other over a handle of libcurl, and how each
 * ended.
 *
 * A connection that the server had closed while it was idle is no failure: libcurl sends the
 * request again over a new one when not a byte of an answer came over one used before. One whose
 * body goes on after [DONE] is closed a second later: the answer is whole.
 */
#pragma once
#include "base/bytes.h"
#include "launcher/bench/answer_stream.h"
#include "launcher/bench/client.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct remote_call {
    CURL *easy;
    struct bytes body;           /* what is sent: filled before remote_call_begin() */
    struct call_result *result;  /* of this request */
    struct client_run *run;      /* its n_tokens counts chunks as they come */
    struct answer_stream stream; /* what comes, or else: */
    struct bytes other;          /* the begin of an answer that is no stream */
    int64_t sent_ns, done_ns;    /* done: [DONE] came; 0: it did not */
    char why[CURL_ERROR_SIZE];
    struct remote_call *next_idle, *older; /* the client's: of those that are idle, of all */
};

/* NULL: libcurl has no handle. `url` is copied, the rest borrowed. */
struct remote_call *remote_call_create(const struct client_settings *settings, const char *url,
                                       struct curl_slist *headers, struct client_run *run);
/* Then the handle may be given to libcurl. result->start_s is set by the caller. */
void remote_call_begin(struct remote_call *call, struct call_result *result, bool is_chat);
/* libcurl is done with it: fills the result. n_input: tokens sent, where the server says none. */
void remote_call_end(struct remote_call *call, CURLcode code, int n_input);
void remote_call_destroy(struct remote_call *call);
