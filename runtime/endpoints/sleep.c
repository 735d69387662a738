/* /sleep?level=1, /wake_up, /is_sleeping: the memory of the model, given back for a while. They
 * answer when it is so; who does not wait for that changes nothing. */
#include "runtime/api/sleep.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/endpoints/endpoint.h"

#include <string.h>

/* The value of a name in "a=1&b=2"; NULL: absent. *n: its bytes. No name or value that is asked
 * for here has a character that would be escaped. */
static const char *query_value(const char *query, const char *name, size_t *n)
{
    const size_t n_name = strlen(name);
    for (const char *at = query != NULL ? query : ""; *at != '\0';) {
        const size_t n_pair = strcspn(at, "&");
        if (n_pair > n_name && strncmp(at, name, n_name) == 0 && at[n_name] == '=') {
            *n = n_pair - n_name - 1;
            return at + n_name + 1;
        }
        at += n_pair + (at[n_pair] == '&');
    }
    return NULL;
}

static bool read_level(enum link_sleep *level, const char *query, struct error *err)
{
    size_t n = 0;
    const char *value = query_value(query, "level", &n);
    const char digit = value == NULL ? '1' : n == 1 ? *value : '0';
    *level = digit == '1' ? LINK_NO_CACHE : LINK_NO_WEIGHTS;
    if (digit == '1' || digit == '2')
        return true;
    error_set(err, ERROR_INPUT, "level: want 1 (without the KV cache) or 2 (without weights too)");
    return error_param(err, "level");
}

/* ---- who waits ---- */

struct sleeper {
    struct call call; /* the first member */
    struct sleep_waiter *waits;
};

static void done(void *context, const struct error *why)
{
    static const struct bytes nothing = {0};
    struct sleeper *sleeper = context;
    if (why == NULL)
        endpoint_answer(&sleeper->call.reply, 200, "text/plain", &nothing);
    else
        endpoint_refuse(sleeper->call.endpoints, &sleeper->call.reply, why);
    memory_free(sleeper);
}

static void cancel(struct call *call)
{
    struct sleeper *sleeper = (struct sleeper *)(void *)call;
    sleep_cancel(sleeper->waits);
    memory_free(sleeper);
}

static bool is_there(const struct endpoints *e, struct error *err)
{
    if (e->settings.can_sleep)
        return true;
    error_set(err, ERROR_INPUT, "the model cannot sleep here: only a server can");
    return error_code(err, "not_found");
}

static struct call *start(const struct endpoints *e, enum link_sleep level,
                          const struct reply *reply, struct error *err)
{
    struct sleeper *sleeper = memory_alloc(1, sizeof *sleeper);
    sleeper->call = (struct call){.endpoints = e, .reply = *reply, .cancel = cancel};
    sleeper->waits = api_sleep(e->settings.api, level, done, sleeper, err);
    if (sleeper->waits != NULL)
        return &sleeper->call;
    memory_free(sleeper);
    return endpoint_refuse(e, reply, err);
}

/* ---- calls ---- */

struct call *sleep_call(const struct endpoints *e, const struct call_request *request,
                        const struct reply *reply)
{
    struct error err = {0};
    enum link_sleep level;
    if (!is_there(e, &err) || !read_level(&level, request->query, &err))
        return endpoint_refuse(e, reply, &err);
    return start(e, level, reply, &err);
}

/* vLLM's tags=weights or kv_cache: all of it wakes, whichever is asked for. */
struct call *wake_call(const struct endpoints *e, const struct call_request *request,
                       const struct reply *reply)
{
    struct error err = {0};
    (void)request;
    return is_there(e, &err) ? start(e, LINK_NOT_ASLEEP, reply, &err)
                             : endpoint_refuse(e, reply, &err);
}

struct call *is_sleeping_call(const struct endpoints *e, const struct call_request *request,
                              const struct reply *reply)
{
    struct bytes out = {0};
    struct error err = {0};
    (void)request;
    if (!is_there(e, &err))
        return endpoint_refuse(e, reply, &err);
    bytes_printf(&out, "{\"is_sleeping\":%s}", api_is_asleep(e->settings.api) ? "true" : "false");
    endpoint_answer_json(reply, &out);
    bytes_release(&out);
    return NULL;
}
