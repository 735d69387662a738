/* /sleep?level=1, /wake_up, /is_sleeping: the memory of the model, given back for a while. */
#include "base/error.h"
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

static bool read_level(int *level, const char *query, struct error *err)
{
    size_t n = 0;
    const char *value = query_value(query, "level", &n);
    *level = value != NULL ? *value - '0' : 1;
    if (value == NULL || (n == 1 && (*level == 1 || *level == 2)))
        return true;
    error_set(err, ERROR_INPUT, "level: want 1 (weights to the host's memory) or 2 (dropped)");
    return error_param(err, "level");
}

static struct call *absent(const struct endpoints *e, const struct reply *reply)
{
    struct error err = {0};
    error_set(&err, ERROR_INPUT, "this server cannot sleep: start it with --enable-sleep-mode");
    error_code(&err, "not_found");
    return endpoint_refuse(e, reply, &err);
}

static struct call *end(const struct endpoints *e, const struct reply *reply, bool good,
                        const struct error *err)
{
    static const struct bytes nothing = {0};
    return good ? endpoint_answer(reply, 200, "text/plain", &nothing)
                : endpoint_refuse(e, reply, err);
}

struct call *sleep_call(const struct endpoints *e, const struct call_request *request,
                        const struct reply *reply)
{
    struct error err = {0};
    int level;
    if (e->is.sleep == NULL)
        return absent(e, reply);
    const bool good =
        read_level(&level, request->query, &err) && e->is.sleep(e->is.context, level, &err);
    return end(e, reply, good, &err);
}

struct call *wake_call(const struct endpoints *e, const struct call_request *request,
                       const struct reply *reply)
{
    struct error err = {0};
    (void)request;
    if (e->is.wake == NULL)
        return absent(e, reply);
    return end(e, reply, e->is.wake(e->is.context, &err), &err);
}

struct call *is_sleeping_call(const struct endpoints *e, const struct call_request *request,
                              const struct reply *reply)
{
    struct bytes out = {0};
    (void)request;
    if (e->is.is_asleep == NULL)
        return absent(e, reply);
    bytes_printf(&out, "{\"is_sleeping\":%s}", e->is.is_asleep(e->is.context) ? "true" : "false");
    endpoint_answer_json(reply, &out);
    bytes_release(&out);
    return NULL;
}
