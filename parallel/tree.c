/* One walk of the tree answers everything: a node inside the run of a rank is one of its parts if
 * its parent is not inside, and one of its merges if it has children. All nodes that end at the
 * same leaf are nested, so the number of them is all that a postfix program needs. */
#include "parallel/tree.h"

#include "base/check.h"

#include <string.h>

enum {
    MAX_DEPTH = 6,    /* values on the stack of a sum over MAX_LEAVES leaves, and one to spare */
    SUM_COLUMNS = 256 /* added up at a time: the stack then stays in the first-level cache */
};

static bool is_inside(struct span node, struct span run)
{
    return run.lo <= node.lo && node.hi <= run.hi;
}

static bool is_apart(struct span a, struct span b) { return a.hi <= b.lo || b.hi <= a.lo; }

static bool is_power_of_two(int n) { return (n & (n - 1)) == 0; }

void tree_cut(int total, int n, int *end)
{
    check(total >= 0 && n > 0);
    int at = 0;
    for (int i = 0; i < n; i++) {
        at += total / n + (i < total % n ? 1 : 0);
        end[i] = at;
    }
}

struct span tree_run(int n_leaves, int n_ranks, int rank)
{
    check(0 < n_ranks && n_ranks <= n_leaves && n_leaves <= MAX_LEAVES);
    check(0 <= rank && rank < n_ranks);
    if (!is_power_of_two(n_ranks)) {
        int end[MAX_LEAVES];
        tree_cut(n_leaves, n_ranks, end);
        return (struct span){.lo = rank > 0 ? end[rank - 1] : 0, .hi = end[rank]};
    }
    struct span run = {.lo = 0, .hi = n_leaves};
    for (int ranks = n_ranks; ranks > 1; ranks /= 2) {
        if (rank % ranks < ranks / 2)
            run.hi = tree_mid(run);
        else
            run.lo = tree_mid(run);
    }
    return run;
}

static int add_parts(struct span node, struct span run, struct span *part, int n_parts)
{
    if (is_apart(node, run))
        return n_parts;
    if (is_inside(node, run)) {
        check(n_parts < MAX_PARTS);
        part[n_parts] = node;
        return n_parts + 1;
    }
    const int mid = tree_mid(node);
    n_parts = add_parts((struct span){node.lo, mid}, run, part, n_parts);
    return add_parts((struct span){mid, node.hi}, run, part, n_parts);
}

int tree_parts(int n_leaves, struct span run, struct span part[MAX_PARTS])
{
    check(0 <= run.lo && run.lo < run.hi && run.hi <= n_leaves && n_leaves <= MAX_LEAVES);
    return add_parts((struct span){0, n_leaves}, run, part, 0);
}

/* leaf[0] is leaf run.lo of the tree. */
static void add_merges(struct span node, struct span run, struct leaf *leaf)
{
    if (is_apart(node, run) || node.hi - node.lo == 1)
        return;
    const int mid = tree_mid(node);
    add_merges((struct span){node.lo, mid}, run, leaf);
    add_merges((struct span){mid, node.hi}, run, leaf);
    if (is_inside(node, run))
        leaf[node.hi - 1 - run.lo].n_merges++;
}

struct leaves tree_leaves(const int *k_end, int n_leaves, struct span run)
{
    struct span part[MAX_PARTS];
    struct leaves leaves = {
        .n_leaves = run.hi - run.lo,
        .n_parts = tree_parts(n_leaves, run, part),
    };
    const int k_begin = run.lo > 0 ? k_end[run.lo - 1] : 0;
    for (int i = 0; i < leaves.n_leaves; i++)
        leaves.leaf[i].k_end = k_end[run.lo + i] - k_begin;
    add_merges((struct span){0, n_leaves}, run, leaves.leaf);
    return leaves;
}

/* part[p] are all parts in order: adds up n_merges of the nodes that they make. */
static void join_parts(struct span node, const struct span *part, struct tree_layout *layout)
{
    int last = 0;
    while (part[last].hi < node.hi)
        last++;
    if (is_inside(node, part[last]))
        return;
    const int mid = tree_mid(node);
    join_parts((struct span){node.lo, mid}, part, layout);
    join_parts((struct span){mid, node.hi}, part, layout);
    layout->n_merges[last]++;
}

struct tree_layout tree_layout_make(int n_leaves, int n_ranks)
{
    struct tree_layout layout = {.n_leaves = n_leaves, .n_ranks = n_ranks};
    struct span part[MAX_LEAVES + MAX_PARTS]; /* room for the last rank, whatever it has */
    for (int rank = 0; rank < n_ranks; rank++) {
        const struct span run = tree_run(n_leaves, n_ranks, rank);
        const int n_parts = tree_parts(n_leaves, run, part + layout.n_parts);
        layout.first_part[rank] = layout.n_parts;
        layout.n_parts += n_parts;
        layout.most_parts = n_parts > layout.most_parts ? n_parts : layout.most_parts;
    }
    layout.first_part[n_ranks] = layout.n_parts;
    join_parts((struct span){0, n_leaves}, part, &layout);
    return layout;
}

/* `out` may be a or b. */
static void add(float *out, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

/* Columns [at, at + count) of tree_sum(). Only the last addition writes to `sum`, when nothing
 * is left to read: so `sum` may be a part. */
static void sum_columns(const struct tree_layout *layout, float *sum, const float *const *part,
                        size_t at, size_t count)
{
    float partial[MAX_DEPTH][SUM_COLUMNS];
    const float *stack[MAX_DEPTH];
    int n = 0, n_left = layout->n_parts - 1;
    for (int p = 0; p < layout->n_parts; p++) {
        stack[n++] = part[p] + at;
        for (int merge = 0; merge < layout->n_merges[p]; merge++) {
            n--;
            float *out = --n_left == 0 ? sum + at : partial[n - 1];
            add(out, stack[n - 1], stack[n], count);
            stack[n - 1] = out;
        }
    }
    check(n == 1 && n_left == 0);
}

void tree_sum(const struct tree_layout *layout, float *sum, const float *const *part, size_t count)
{
    if (layout->n_parts == 1) {
        if (sum != part[0] && count > 0)
            memcpy(sum, part[0], count * sizeof *sum);
        return;
    }
    for (size_t at = 0; at < count; at += SUM_COLUMNS) {
        const size_t left = count - at;
        sum_columns(layout, sum, part, at, left < SUM_COLUMNS ? left : SUM_COLUMNS);
    }
}
