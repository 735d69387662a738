/* runtime/jinja/values/text_walk.h: the characters of a string one by one, with who wrote them. */
#pragma once
#include "base/utf8.h"
#include "runtime/jinja/values/value.h"

struct text_walk { /* {.string = s} begins at the beginning */
    const struct string *string;
    size_t at;     /* byte behind the last character */
    uint32_t mark; /* the first mark that ends behind the last character */
};

/* False at the end. */
static inline bool text_walk_next(struct text_walk *w, uint32_t *c, bool *user)
{
    const struct string *s = w->string;
    if (w->at == s->n_bytes)
        return false;
    while (w->mark < s->n_marks && s->marks[w->mark].end <= w->at)
        w->mark++;
    *user = w->mark < s->n_marks && s->marks[w->mark].begin <= w->at;
    *c = utf8_read(s->data, &w->at);
    return true;
}
