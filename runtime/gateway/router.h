/* runtime/gateway/router.h: which engine takes a request.
 *
 * The one with the least to do; but an engine that computed the beginning of the prompt lately has
 * it in its prefix cache, and gets the request as long as it has not much more to do than the least
 * busy one. What was where is remembered as hashes of the prompt's whole runs of 64 tokens, in a
 * table of a fixed size: it forgets, and a wrong guess costs time, never a token.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct router;

enum {
    ROUTER_RUN = 64, /* tokens of a run */
    ROUTER_SLACK =
        4, /* requests that an engine may have more than another for the sake of a prefix */
    ROUTER_NOBODY = -1,
};

struct router_prompt { /* borrowed */
    const int32_t *token;
    int n_tokens;
    const uint8_t *cache_key; /* prompts with other keys share nothing */
    int n_cache_key;
};

struct router *router_create(void);
void router_destroy(struct router *router); /* NULL is fine */

/* load[i]: requests that engine i has, ROUTER_NOBODY when it takes none. The engine, or
 * ROUTER_NOBODY; it is remembered to have the prompt. */
int router_choose(struct router *router, const struct router_prompt *prompt, const int *load,
                  int n_engines);
/* The cache of an engine is gone. */
void router_forget(struct router *router, int engine);
