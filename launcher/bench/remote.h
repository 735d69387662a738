/* launcher/bench/remote.h: how a server is reached: its address, its key, whom to trust.
 *
 * By libcurl, and never through a proxy of the environment, which would be measured too. The
 * certificate of an https:// address must be signed by somebody trusted, for the host that the
 * address names, unless `is_unchecked`.
 */
#pragma once
#include "base/bytes.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdbool.h>

struct error;

struct remote { /* all borrowed */
    const char
        *base_url;       /* "http://host:port"; an OpenAI client's, which ends in /v1, is as good */
    const char *key;     /* NULL: none */
    const char *ca_file; /* PEM: who signs certificates; NULL: those that the system trusts */
    bool is_unchecked;
    const char *const *header; /* [n_headers] of --header: "Name=value" */
    int n_headers;
};

/* ERROR_INPUT: one of --header that is no header, or is the bench's own. */
bool remote_check_headers(const struct remote *remote, struct error *err);

/* Replaces *out with the address of `path`, which begins with a slash. */
void remote_url(struct bytes *out, const struct remote *remote, const char *path);
/* Of a request with a body of JSON; an Authorization of --header is instead of `key`.
 * curl_slist_free_all() it. */
struct curl_slist *remote_headers(const struct remote *remote);
/* Sets what all requests share. `url` is copied, `headers` borrowed, `why` has CURL_ERROR_SIZE
 * bytes and gets libcurl's words when a transfer fails. */
void remote_aim(CURL *easy, const struct remote *remote, const char *url,
                struct curl_slist *headers, char *why);

/* Asks for /v1/models until it is there, at most `patience_s`; *model gets the first name, which is
 * plain text (to be freed with memory_free()). ERROR_INPUT: what was wrong last. ERROR_LIMIT:
 * *interrupt is not 0. */
bool remote_find_model(char **model, const struct remote *remote, double patience_s,
                       const volatile sig_atomic_t *interrupt, struct error *err);
