/* Small numbers: at most a few windows in a model, and a table of KV_MAX_GROUPS. */
#include "runtime/forward/kv_groups.h"

#include "base/check.h"

enum { TOO_MANY = KV_MAX_GROUPS + 1 };

/* The windows of a model, the one that sees furthest first, and how many layers have each. */
struct windows {
    int n, window[TOO_MANY], n_layers[TOO_MANY];
};

static bool sees_further(int a, int b) { return b != 0 && (a == 0 || a > b); }

static void count_layer(struct windows *out, int window)
{
    int at = 0;
    while (at < out->n && sees_further(out->window[at], window))
        at++;
    if (at < out->n && out->window[at] == window) {
        out->n_layers[at]++;
        return;
    }
    if (out->n == TOO_MANY)
        return;
    for (int i = out->n++; i > at; i--) {
        out->window[i] = out->window[i - 1];
        out->n_layers[i] = out->n_layers[i - 1];
    }
    out->window[at] = window;
    out->n_layers[at] = 1;
}

static int groups_of_window(const struct windows *windows, int w, int layers_per_block)
{
    return (windows->n_layers[w] + layers_per_block - 1) / layers_per_block;
}

static int groups_of(const struct windows *windows, int layers_per_block)
{
    int n = 0;
    for (int w = 0; w < windows->n; w++)
        n += groups_of_window(windows, w, layers_per_block);
    return n;
}

/* Long sequences are mostly in the groups that see furthest, so these leave the fewest places
 * unused, then all together; of several such numbers the largest, which has the fewest tables. */
static int choose_layers_per_block(const struct windows *windows, int n_layers)
{
    int best = n_layers, best_furthest = n_layers, best_all = windows->n * n_layers;
    for (int n = n_layers - 1; n > 0; n--) {
        const int n_groups = groups_of(windows, n);
        const int furthest = groups_of_window(windows, 0, n) * n, all = n_groups * n;
        if (n_groups > KV_MAX_GROUPS || furthest > best_furthest ||
            (furthest == best_furthest && all >= best_all))
            continue;
        best = n;
        best_furthest = furthest;
        best_all = all;
    }
    return best;
}

static void join_all(struct kv_groups *out, const struct model_config *config, int window)
{
    *out = (struct kv_groups){.n = 1, .layers_per_block = config->n_layers, .window = {window}};
    for (int i = 0; i < config->n_layers; i++)
        out->at[i] = (int16_t)i;
}

static void spread(struct kv_groups *out, const struct model_config *config,
                   const struct windows *windows, int layers_per_block)
{
    *out = (struct kv_groups){.layers_per_block = layers_per_block};
    for (int w = 0; w < windows->n; w++) {
        int used = layers_per_block; /* places of the last group */
        for (int i = 0; i < config->n_layers; i++) {
            if (config->window[i] != windows->window[w])
                continue;
            if (used == layers_per_block) {
                out->window[out->n++] = windows->window[w];
                used = 0;
            }
            out->of_layer[i] = (uint8_t)(out->n - 1);
            out->at[i] = (int16_t)used++;
        }
    }
    check(out->n <= KV_MAX_GROUPS);
}

void kv_groups_make(struct kv_groups *out, const struct model_config *config, bool single)
{
    struct windows windows = {0};
    for (int i = 0; i < config->n_layers; i++)
        count_layer(&windows, config->window[i]);
    if (windows.n > KV_MAX_GROUPS)
        join_all(out, config, 0);
    else if (single || windows.n == 1)
        join_all(out, config, windows.window[0]);
    else
        spread(out, config, &windows, choose_layers_per_block(&windows, config->n_layers));
}

void kv_groups_keep(struct kv_groups *groups, int n_layers, struct span kept)
{
    int n_kept[KV_MAX_GROUPS] = {0};
    groups->layers_per_block = 0;
    for (int i = 0; i < n_layers; i++) {
        int *const n = &n_kept[groups->of_layer[i]];
        const bool stays = i >= kept.lo && i < kept.hi;
        groups->at[i] = stays ? (int16_t)(*n)++ : -1;
        if (*n > groups->layers_per_block)
            groups->layers_per_block = *n;
    }
}
