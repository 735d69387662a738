#include "runtime/jinja/values/from_json.h"

#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <string.h>

static bool text_from_json(struct run *r, const char *data, size_t n_bytes, bool user,
                           struct value *out)
{
    if (n_bytes > UINT32_MAX)
        return run_raise(r, LIMIT_EXCEEDED, "a text of %zu bytes", n_bytes);
    struct string *s = run_alloc(r, 1, sizeof *s);
    struct mark *mark = user && n_bytes > 0 ? run_alloc(r, 1, sizeof *mark) : NULL;
    if (s == NULL || (user && n_bytes > 0 && mark == NULL) || !run_step(r, n_bytes))
        return false;
    *s = (struct string){.data = data,
                         .n_bytes = (uint32_t)n_bytes,
                         .n_chars = (uint32_t)text_count_chars(data, n_bytes),
                         .marks = mark};
    if (mark != NULL) {
        *mark = (struct mark){0, (uint32_t)n_bytes};
        s->n_marks = 1;
    }
    *out = value_string(s);
    return true;
}

static bool array_from_json(struct run *r, const json_t *json, bool user, struct value *out)
{
    const size_t n = json_array_size(json);
    struct list *list = list_make(r, n);
    if (list == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct value item;
        if (!value_from_json(r, json_array_get(json, i), user, &item) || !list_add(r, list, item))
            return false;
    }
    *out = value_list(list);
    return true;
}

enum { PROBES_PER_KEY = 16, FREE_PROBES = 1024 };

/* Only keys that were chosen to collide take more probes than a few. There is no budget yet when
 * variables come in, and their steps are the measure of what came in: so probes are kept apart. */
static bool set_item(struct run *r, struct dict *dict, struct value key, struct value item,
                     size_t *n_probes)
{
    const size_t n_steps = r->n_steps;
    if (!dict_set(r, dict, key, item))
        return false;
    *n_probes += r->n_steps - n_steps - key.as.string->n_bytes / TEXT_BYTES_PER_STEP; /* its hash */
    r->n_steps = n_steps;
    return *n_probes <= FREE_PROBES + PROBES_PER_KEY * (size_t)dict->n ||
           run_raise(r, LIMIT_EXCEEDED, "an object whose keys were chosen to collide");
}

static bool object_from_json(struct run *r, const json_t *json, bool user, struct value *out)
{
    struct dict *dict = dict_make(r);
    size_t n_probes = 0;
    if (dict == NULL)
        return false;
    for (void *at = json_object_iter((json_t *)json); at != NULL;
         at = json_object_iter_next((json_t *)json, at)) {
        struct value key, item;
        const char *name = json_object_iter_key(at); /* JSON from outside has no NUL in it */
        if (!text_from_json(r, name, strlen(name), user, &key) ||
            !value_from_json(r, json_object_iter_value(at), user, &item) ||
            !set_item(r, dict, key, item, &n_probes))
            return false;
    }
    *out = value_dict(dict);
    return true;
}

static bool one_from_json(struct run *r, const json_t *json, bool user, struct value *out)
{
    switch (json_typeof(json)) {
    case JSON_NULL:
        *out = value_none();
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = value_bool(json_is_true(json));
        return true;
    case JSON_INTEGER:
        *out = value_int(json_integer_value(json));
        return true;
    case JSON_REAL:
        *out = value_float(json_real_value(json));
        return true;
    case JSON_STRING:
        return text_from_json(r, json_string_value(json), json_string_length(json), user, out);
    case JSON_ARRAY:
        return array_from_json(r, json, user, out);
    case JSON_OBJECT:
        return object_from_json(r, json, user, out);
    }
    return false;
}

bool value_from_json(struct run *r, const json_t *json, bool user, struct value *out)
{
    if (!run_step(r, 1) || !run_enter(r) || !one_from_json(r, json, user, out))
        return false;
    run_leave(r);
    return true;
}
