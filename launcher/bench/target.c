#include "launcher/bench/target.h"

#include "base/bytes.h"
#include "base/error.h"
#include "runtime/options/options.h"

#include <string.h>

/* Of those with one endpoint the first is what it is called where nobody says. */
static const struct {
    const char *backend, *endpoint;
} kinds[] = {
    {"openai", "/v1/completions"},
    {"openai-chat", "/v1/chat/completions"},
    {"vllm", "/v1/completions"},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static void name_backend(struct options *options)
{
    for (int i = N_KINDS; i-- > 0;)
        if (strcmp(kinds[i].endpoint, options->bench.endpoint) == 0)
            options->bench.backend = kinds[i].backend;
}

static bool settle_endpoint(struct options *options, struct error *err)
{
    const char *backend = options->bench.backend, *implied = NULL;
    if (backend == NULL) {
        name_backend(options);
        return true;
    }
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].backend, backend) == 0)
            implied = kinds[i].endpoint;
    if (options_is_given(options, "--endpoint") && strcmp(options->bench.endpoint, implied) != 0)
        return error_set(err, ERROR_INPUT, "--backend %s asks %s, and --endpoint says %s", backend,
                         implied, options->bench.endpoint);
    options->bench.endpoint = implied;
    return true;
}

static bool settle_address(struct options *options, struct error *err)
{
    const char *host = options->bench.host;
    struct bytes url = {0};
    if (!options_is_given(options, "--host") && !options_is_given(options, "--port"))
        return true;
    if (options_is_given(options, "--base-url"))
        return error_set(err, ERROR_INPUT,
                         "--base-url says what --host and --port say: give one of them");
    const bool is_ipv6 = strchr(host, ':') != NULL && *host != '[';
    bytes_printf(&url, is_ipv6 ? "http://[%s]:%lld" : "http://%s:%lld", host,
                 (long long)options->bench.port);
    options->bench.base_url = arena_copy_text(&options->arena, url.data, url.len);
    bytes_release(&url);
    return true;
}

bool target_settle(struct options *options, struct error *err)
{
    return settle_address(options, err) && settle_endpoint(options, err);
}
