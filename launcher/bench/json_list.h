/* launcher/bench/json_list.h: the items of a file that is one JSON list of objects, one at a time:
 * such files have gigabytes, and a bench reads the first thousand items. Only the item that is
 * asked for is in memory. */
#pragma once
#include "base/bytes.h"

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct error;

struct json_list {
    const char *path; /* borrowed */
    FILE *file;
    const volatile sig_atomic_t *interrupt;
    struct bytes item;
    size_t n_items; /* begun */
};

/* ERROR_INPUT: no such file, or it is no list. */
bool json_list_open(struct json_list *out, const char *path, const volatile sig_atomic_t *interrupt,
                    struct error *err);
/* *item: a new reference; NULL at the end of the list. ERROR_INPUT names the file and the item. */
bool json_list_next(struct json_list *list, json_t **item, struct error *err);
void json_list_close(struct json_list *list); /* also after a failure to open */
