#include "runtime/text/ids.h"

#include "base/memory.h"

#include <string.h>

enum { FIRST_CAPACITY = 64 };

static void reserve(struct ids *ids, size_t n_more)
{
    if (n_more <= ids->capacity - ids->n)
        return;
    size_t capacity = ids->capacity ? ids->capacity : FIRST_CAPACITY;
    while (capacity - ids->n < n_more)
        capacity *= 2;
    ids->data = memory_resize(ids->data, capacity, sizeof *ids->data);
    ids->capacity = capacity;
}

void ids_add(struct ids *ids, int32_t id)
{
    reserve(ids, 1);
    ids->data[ids->n++] = id;
}

void ids_add_all(struct ids *ids, const int32_t *more, size_t n_more)
{
    if (n_more == 0)
        return;
    reserve(ids, n_more);
    memcpy(ids->data + ids->n, more, n_more * sizeof *more);
    ids->n += n_more;
}

void ids_clear(struct ids *ids) { ids->n = 0; }

void ids_release(struct ids *ids)
{
    memory_free(ids->data);
    *ids = (struct ids){0};
}
