/* runtime/text/ids.h: a growing list of token ids. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct ids { /* all zero is an empty list */
    int32_t *data;
    size_t n, capacity;
};

void ids_add(struct ids *ids, int32_t id);
void ids_add_all(struct ids *ids, const int32_t *more, size_t n_more);
void ids_clear(struct ids *ids);   /* empty, keeps the memory */
void ids_release(struct ids *ids); /* frees; empty again */
