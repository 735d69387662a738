/* Built from the sorted tokens: a node stands for a run of them that begin with the same bytes. */
#include "runtime/text/model/token_trie.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 8 };

struct key { /* the first bytes as a number: most comparisons need no more */
    uint64_t head;
    const char *text;
    uint32_t n_bytes;
    int32_t id;
};

static uint64_t head_of(const char *text, size_t n_bytes)
{
    uint64_t head = 0;
    for (size_t i = 0; i < KEY_BYTES; i++)
        head = head << 8 | (i < n_bytes ? (unsigned char)text[i] : 0);
    return head;
}

static int compare(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    const uint32_t n = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    const int order = memcmp(x->text, y->text, n);
    return order ? order : (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

/* All texts, each once. */
static bool collect(const struct vocabulary *v, struct key *keys, size_t *n_keys, struct error *err)
{
    *n_keys = 0;
    for (int32_t id = 0; id < v->n_ids; id++) {
        size_t n_bytes;
        const char *text = vocabulary_text(v, id, &n_bytes);
        if (text == NULL || n_bytes == 0 || vocabulary_find(v, text, n_bytes) != id)
            continue;
        if (n_bytes > TOKEN_TRIE_MAX_TOKEN_BYTES)
            return error_set(err, ERROR_INPUT,
                             "the token \"%.40s…\" has %zu bytes, at most %d are "
                             "supported",
                             text, n_bytes, TOKEN_TRIE_MAX_TOKEN_BYTES);
        keys[(*n_keys)++] = (struct key){head_of(text, n_bytes), text, (uint32_t)n_bytes, id};
    }
    qsort(keys, *n_keys, sizeof *keys, compare);
    return true;
}

struct task { /* a node to fill: the keys [begin, end), which share `depth` bytes */
    uint32_t node, begin, end, depth;
};

struct tasks {
    struct task *data;
    size_t n, capacity;
};

static void push(struct tasks *tasks, struct task task)
{
    if (tasks->n == tasks->capacity) {
        tasks->capacity = tasks->capacity ? tasks->capacity * 2 : 256;
        tasks->data = memory_resize(tasks->data, tasks->capacity, sizeof *tasks->data);
    }
    tasks->data[tasks->n++] = task;
}

static uint32_t new_nodes(struct token_trie *trie, size_t n)
{
    while (trie->capacity - trie->n_nodes < n) {
        trie->capacity = trie->capacity ? trie->capacity + trie->capacity / 2 : 1024;
        trie->nodes = memory_resize(trie->nodes, trie->capacity, sizeof *trie->nodes);
        trie->labels = memory_resize(trie->labels, trie->capacity, 1);
    }
    const uint32_t first = (uint32_t)trie->n_nodes;
    trie->n_nodes += n;
    return first;
}

static uint32_t shared_bytes(const struct key *first, const struct key *last)
{
    uint32_t n = 0;
    while (n < first->n_bytes && n < last->n_bytes && first->text[n] == last->text[n])
        n++;
    return n;
}

/* Where the run of keys with the same byte at `depth` ends. */
static uint32_t run_end(const struct key *keys, uint32_t begin, uint32_t end, uint32_t depth)
{
    const char byte = keys[begin].text[depth];
    uint32_t at = begin + 1;
    while (at < end && keys[at].text[depth] == byte)
        at++;
    return at;
}

static void fill(struct token_trie *trie, const struct key *keys, struct task task,
                 struct tasks *tasks)
{
    const struct key *first = &keys[task.begin];
    const uint32_t depth = shared_bytes(first, &keys[task.end - 1]);
    struct token_trie_node node = {
        .rest = (uint32_t)(first->text + task.depth - trie->vocabulary->records),
        .id = -1,
        .n_rest = (uint16_t)(depth - task.depth),
    };
    if (first->n_bytes == depth) { /* the shortest comes first, and each only once */
        node.id = first->id;
        task.begin++;
    }
    for (uint32_t at = task.begin; at < task.end; at = run_end(keys, at, task.end, depth))
        node.n_children++;
    node.children = new_nodes(trie, node.n_children);
    uint32_t child = node.children;
    for (uint32_t at = task.begin; at < task.end; child++) {
        const uint32_t end = run_end(keys, at, task.end, depth);
        trie->labels[child] = (unsigned char)keys[at].text[depth];
        push(tasks, (struct task){child, at, end, depth + 1});
        at = end;
    }
    trie->nodes[task.node] = node;
}

bool token_trie_build(struct token_trie *trie, const struct vocabulary *vocabulary,
                      struct error *err)
{
    *trie = (struct token_trie){.vocabulary = vocabulary};
    struct key *keys = memory_alloc((size_t)vocabulary->n_ids, sizeof *keys);
    size_t n_keys;
    const bool ok = collect(vocabulary, keys, &n_keys, err);
    if (ok) {
        struct tasks tasks = {0};
        trie->nodes = NULL;
        new_nodes(trie, 1);
        trie->labels[0] = 0;
        trie->nodes[0] = (struct token_trie_node){.id = -1};
        if (n_keys > 0)
            push(&tasks, (struct task){0, 0, (uint32_t)n_keys, 0});
        while (tasks.n > 0)
            fill(trie, keys, tasks.data[--tasks.n], &tasks);
        memory_free(tasks.data);
    }
    memory_free(keys);
    return ok;
}

void token_trie_release(struct token_trie *trie)
{
    memory_free(trie->nodes);
    memory_free(trie->labels);
    *trie = (struct token_trie){0};
}

bool token_trie_step(const struct token_trie *trie, struct token_trie_place *place,
                     unsigned char byte)
{
    const struct token_trie_node *node = &trie->nodes[place->node];
    if (place->n_rest < node->n_rest) {
        if ((unsigned char)trie->vocabulary->records[node->rest + place->n_rest] != byte)
            return false;
        place->n_rest++;
        return true;
    }
    const unsigned char *labels = trie->labels + node->children;
    const unsigned char *found = memchr(labels, byte, node->n_children);
    if (found == NULL)
        return false;
    *place = (struct token_trie_place){node->children + (uint32_t)(found - labels), 0};
    return true;
}

int32_t token_trie_id(const struct token_trie *trie, const struct token_trie_place *place)
{
    const struct token_trie_node *node = &trie->nodes[place->node];
    return place->n_rest == node->n_rest ? node->id : -1;
}
