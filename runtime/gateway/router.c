#include "runtime/gateway/router.h"

#include "base/memory.h"

#include <stdbool.h>

enum {
    TABLE_BITS = 12,
    MAX_RUNS = 128, /* of a prompt: 8192 tokens tell enough */
};

struct place { /* of the beginning of a prompt */
    uint64_t hash;
    int engine; /* that had it last, plus 1; 0: the place is empty */
};

struct router {
    struct place place[1 << TABLE_BITS];
};

struct router *router_create(void) { return memory_alloc(1, sizeof(struct router)); }
void router_destroy(struct router *router) { memory_free(router); }

/* Sebastiano Vigna's splitmix64 as a mixer. */
static uint64_t mix(uint64_t state, uint64_t word)
{
    uint64_t z = (state ^ word) + 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* hash[i]: of the key and the first i + 1 runs. Their number. */
static int hash_runs(uint64_t *hash, const struct router_prompt *prompt)
{
    const int n_whole = prompt->n_tokens / ROUTER_RUN;
    const int n = n_whole < MAX_RUNS ? n_whole : MAX_RUNS;
    uint64_t state = 0;
    for (int i = 0; i < prompt->n_cache_key; i++)
        state = mix(state, prompt->cache_key[i]);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < ROUTER_RUN; k++)
            state = mix(state, (uint32_t)prompt->token[i * ROUTER_RUN + k]);
        hash[i] = state;
    }
    return n;
}

static struct place *place_of(struct router *router, uint64_t hash)
{
    return &router->place[hash >> (64 - TABLE_BITS)];
}

/* Who had the longest beginning of it. */
static int engine_with_prefix(struct router *router, const uint64_t *hash, int n_runs)
{
    for (int i = n_runs - 1; i >= 0; i--) {
        const struct place *place = place_of(router, hash[i]);
        if (place->engine > 0 && place->hash == hash[i])
            return place->engine - 1;
    }
    return ROUTER_NOBODY;
}

static int least_loaded(const int *load, int n_engines)
{
    int best = ROUTER_NOBODY;
    for (int i = 0; i < n_engines; i++)
        if (load[i] != ROUTER_NOBODY && (best == ROUTER_NOBODY || load[i] < load[best]))
            best = i;
    return best;
}

int router_choose(struct router *router, const struct router_prompt *prompt, const int *load,
                  int n_engines)
{
    uint64_t hash[MAX_RUNS];
    int chosen = least_loaded(load, n_engines);
    if (chosen == ROUTER_NOBODY)
        return chosen;
    const int n_runs = hash_runs(hash, prompt);
    const int had = engine_with_prefix(router, hash, n_runs);
    if (had != ROUTER_NOBODY && had < n_engines && load[had] != ROUTER_NOBODY &&
        load[had] <= load[chosen] + ROUTER_SLACK)
        chosen = had;
    for (int i = 0; i < n_runs; i++)
        *place_of(router, hash[i]) = (struct place){hash[i], chosen + 1};
    return chosen;
}

void router_forget(struct router *router, int engine)
{
    for (int i = 0; i < 1 << TABLE_BITS; i++)
        if (router->place[i].engine == engine + 1)
            router->place[i].engine = 0;
}
