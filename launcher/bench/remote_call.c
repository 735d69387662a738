#include "launcher/bench/remote_call.h"

#include "base/memory.h"
#include "base/system.h"
#include "base/utf8.h"
#include "launcher/bench/remote.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_OTHER_BYTES = 4096 };
static const int64_t GRACE_NS = 1000000000; /* for the end of a body, behind [DONE] */

/* ---- what comes ---- */

static void take_gap(void *context, double seconds)
{
    struct remote_call *call = context;
    samples_add(&call->result->gaps, seconds);
}

static const char *content_type(const struct remote_call *call)
{
    char *type = NULL;
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
    return type != NULL ? type : "of no type";
}

static long http_status(const struct remote_call *call)
{
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Of a success that is one JSON object there is nothing to measure. Other types may be events that
 * a server has misnamed. */
static bool is_stream(const struct remote_call *call)
{
    static const char json[] = "application/json";
    return http_status(call) == 200 && strncasecmp(content_type(call), json, sizeof json - 1) != 0;
}

/* libcurl's write function: anything but n ends the transfer. */
static size_t take_bytes(char *data, size_t one, size_t n, void *context)
{
    struct remote_call *call = context;
    const int64_t now_ns = clock_now_ns();
    (void)one;
    if (!is_stream(call)) {
        const size_t room = MAX_OTHER_BYTES - call->other.len;
        bytes_add(&call->other, data, n < room ? n : room);
        return n;
    }
    const int before = call->stream.n_chunks;
    answer_stream_take(&call->stream, data, n, now_ns, take_gap, call);
    call->run->n_tokens += (uint64_t)(call->stream.n_chunks - before);
    if (call->stream.state == ANSWER_DONE && call->done_ns == 0)
        call->done_ns = now_ns;
    return call->stream.state == ANSWER_FAILED ? 0 : n;
}

/* libcurl's progress function, which is called in every round of the client: anything but 0 ends
 * the transfer and its connection. */
static int is_over(void *context, curl_off_t to_come, curl_off_t come, curl_off_t to_go,
                   curl_off_t gone)
{
    const struct remote_call *call = context;
    (void)to_come, (void)come, (void)to_go, (void)gone;
    return call->done_ns != 0 && clock_now_ns() - call->done_ns > GRACE_NS;
}

/* ---- its life ---- */

struct remote_call *remote_call_create(const struct client_settings *settings, const char *url,
                                       struct curl_slist *headers, struct client_run *run)
{
    CURL *easy = curl_easy_init();
    if (easy == NULL)
        return NULL;
    struct remote_call *call = memory_alloc(1, sizeof *call);
    *call = (struct remote_call){.easy = easy, .run = run};
    remote_aim(easy, &settings->remote, url, headers, call->why);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, is_over);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, call);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(settings->timeout_s * 1e3));
    return call;
}

void remote_call_begin(struct remote_call *call, struct call_result *result, bool is_chat)
{
    call->result = result;
    bytes_clear(&call->other);
    answer_stream_begin(&call->stream, is_chat);
    call->done_ns = 0;
    call->why[0] = '\0';
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body.data);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    call->sent_ns = clock_now_ns();
}

void remote_call_destroy(struct remote_call *call)
{
    curl_easy_cleanup(call->easy);
    bytes_release(&call->body);
    bytes_release(&call->other);
    answer_stream_release(&call->stream);
    memory_free(call);
}

/* ---- its end ---- */

/* Whatever is in it of the server's words. */
__attribute__((format(printf, 3, 4))) static void fail(struct remote_call *call,
                                                       enum call_kind kind, const char *fmt, ...)
{
    struct call_result *result = call->result;
    va_list args;
    result->kind = kind;
    va_start(args, fmt);
    vsnprintf(result->why, sizeof result->why, fmt, args);
    va_end(args);
    utf8_make_plain(result->why);
}

/* With the words of a body that is no stream. */
static void fail_with_body(struct remote_call *call, enum call_kind kind, const char *what)
{
    struct call_result *result = call->result;
    const struct bytes *body = &call->other;
    const size_t n = strlen(what);
    result->kind = kind;
    memcpy(result->why, what, n);
    answer_error_text(result->why + n, sizeof result->why - n, body->len > 0 ? body->data : "",
                      body->len);
}

static void fail_without_answer(struct remote_call *call, CURLcode code)
{
    const bool is_sent =
        code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR;
    if (is_sent)
        fail(call, CALL_CUT, "the connection ended without an answer");
    else
        fail(call, CALL_UNREACHABLE, "%s",
             *call->why != '\0' ? call->why : curl_easy_strerror(code));
}

static void judge_stream(struct remote_call *call, CURLcode code)
{
    const struct answer_stream *stream = &call->stream;
    const bool is_whole = stream->state == ANSWER_DONE || (code == CURLE_OK && stream->has_finish);
    if (stream->state == ANSWER_FAILED) {
        fail(call, CALL_REFUSED, "%s", stream->why);
    } else if (code == CURLE_OK && !stream->has_events) {
        fail(call, CALL_REFUSED, "an answer without events (%s)", content_type(call));
    } else if (!is_whole) {
        fail(call, CALL_CUT, "the connection ended before the answer did");
    } else if (stream->end_ns == 0) {
        fail(call, CALL_REFUSED, "an answer without a token");
    }
}

static void judge(struct remote_call *call, CURLcode code)
{
    const long status = http_status(call);
    call->result->status = (int)status;
    if (code == CURLE_OPERATION_TIMEDOUT && call->stream.state != ANSWER_DONE)
        fail(call, CALL_TIMEOUT, "%s", call->why);
    else if (status == 0)
        fail_without_answer(call, code);
    else if (status != 200)
        fail_with_body(call, CALL_STATUS, "");
    else if (call->other.len > 0)
        fail_with_body(call, CALL_REFUSED, "no stream: ");
    else
        judge_stream(call, code);
}

void remote_call_end(struct remote_call *call, CURLcode code, int n_input)
{
    struct call_result *result = call->result;
    const struct answer_stream *stream = &call->stream;
    judge(call, code);
    if (stream->end_ns > 0) { /* all its tokens may have had no text, and come with its end */
        const int64_t first_ns = stream->n_chunks > 0 ? stream->first_ns : stream->end_ns;
        result->ttft_s = (double)(first_ns - call->sent_ns) * 1e-9;
        result->e2el_s = (double)(stream->end_ns - call->sent_ns) * 1e-9;
    } else {
        result->e2el_s = (double)(clock_now_ns() - call->sent_ns) * 1e-9;
    }
    result->n_input = stream->n_input >= 0 ? stream->n_input : n_input;
    result->n_output = stream->n_output >= 0 ? stream->n_output : stream->n_chunks;
}
