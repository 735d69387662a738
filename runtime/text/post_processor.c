#include "runtime/text/post_processor.h"

#include "base/error.h"
#include "base/json.h"
#include "runtime/text/file/stage.h"

#include <string.h>

struct reader {
    struct post_processor *out;
    int32_t vocab;
    bool in_pieces; /* a template has put tokens around the text */
    bool has_pairs; /* a stage has said what belongs around two */
};

/* To the reference each token of a template is a text of its own, and what comes behind puts its
 * tokens around every one of them. No file in use does so. */
static bool check_whole(const struct reader *r, struct error *err)
{
    return !r->in_pieces ||
           error_set(err, ERROR_UNSUPPORTED, "not supported behind a TemplateProcessing");
}

static bool too_many(struct error *err)
{
    return error_set(err, ERROR_INPUT, "more than %d ids on one side of a text",
                     POST_PROCESSOR_MAX_IDS);
}

/* The ids of a special token of the template, to the end of `to`. */
static bool add_special(struct reader *r, const json_t *special_tokens, const char *name,
                        struct ids *to, struct error *err)
{
    const json_t *ids = json_object_get(json_object_get(special_tokens, name), "ids");
    if (!json_is_array(ids))
        return error_set(err, ERROR_INPUT, "\"special_tokens\" has no \"ids\" for \"%.40s\"", name);
    if (json_array_size(ids) > POST_PROCESSOR_MAX_IDS - to->n)
        return too_many(err);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= r->vocab)
            return error_set(err, ERROR_INPUT,
                             "\"special_tokens\": an id of \"%.40s\" is not in the vocabulary",
                             name);
        ids_add(to, (int32_t)json_integer_value(id));
    }
    return true;
}

/* What an earlier stage added stays inside. Empties `before`. */
static bool put_around(struct post_processor *p, struct ids *before, const struct ids *after,
                       struct error *err)
{
    if (p->before.n + before->n > POST_PROCESSOR_MAX_IDS ||
        p->after.n + after->n > POST_PROCESSOR_MAX_IDS)
        return too_many(err);
    ids_add_all(before, p->before.data, p->before.n);
    ids_add_all(&p->after, after->data, after->n);
    ids_release(&p->before);
    p->before = *before;
    *before = (struct ids){0};
    return true;
}

/* Takes over what stands before, between and after two texts. */
static void put_around_pair(struct reader *r, struct ids take[3])
{
    struct post_processor *p = r->out;
    p->no_pairs |= r->has_pairs;
    r->has_pairs = true;
    if (p->no_pairs)
        return;
    p->pair_before = take[0];
    p->pair_between = take[1];
    p->pair_after = take[2];
    take[0] = take[1] = take[2] = (struct ids){0};
}

static void release_pair(struct ids part[3])
{
    for (int i = 0; i < 3; i++)
        ids_release(&part[i]);
}

/* "pair" is as "single" below with a text B behind A. Few models read pairs, so what is wrong with
 * it is no error before somebody asks for one. */
static void parse_pair_template(struct reader *r, const json_t *value)
{
    const json_t *pair = json_object_get(value, "pair");
    const json_t *special_tokens = json_object_get(value, "special_tokens");
    struct error ignored = {0};
    struct ids part[3] = {0};
    int n_texts = 0;
    bool ok = json_is_array(pair);
    for (size_t i = 0; ok && i < json_array_size(pair); i++) {
        const json_t *piece = json_array_get(pair, i);
        const char *name, *want = n_texts == 0 ? "A" : "B";
        const json_t *text = json_object_get(piece, "Sequence");
        ok = json_get_text(text != NULL ? text : json_object_get(piece, "SpecialToken"), "id", true,
                           &name, &ignored);
        if (ok && text != NULL)
            ok = n_texts++ < 2 && strcmp(name, want) == 0;
        else if (ok)
            ok = add_special(r, special_tokens, name, &part[n_texts], &ignored);
    }
    r->out->no_pairs |= !ok || n_texts != 2;
    put_around_pair(r, part);
    release_pair(part);
}

/* "single" is a list of {"SpecialToken": {"id": "<s>"}} and, once, {"Sequence": {"id": "A"}}. */
static bool parse_template(void *context, const json_t *value, struct error *err)
{
    struct reader *r = context;
    const json_t *single = json_object_get(value, "single");
    const json_t *special_tokens = json_object_get(value, "special_tokens");
    if (!check_whole(r, err))
        return false;
    if (!json_is_array(single))
        return error_set(err, ERROR_INPUT, "\"single\" is no array");
    struct ids before = {0}, after = {0};
    int n_texts = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        const json_t *special = json_object_get(piece, "SpecialToken");
        const char *name;
        if (special == NULL) {
            n_texts += json_object_get(piece, "Sequence") != NULL;
            continue;
        }
        ok = json_get_text(special, "id", true, &name, err) &&
             add_special(r, special_tokens, name, n_texts ? &after : &before, err);
    }
    if (ok && n_texts != 1)
        ok = error_set(err, ERROR_INPUT, "\"single\" has the text %d times, want once", n_texts);
    r->in_pieces = before.n + after.n > 0;
    ok = ok && put_around(r->out, &before, &after, err);
    ids_release(&before);
    ids_release(&after);
    if (ok)
        parse_pair_template(r, value);
    return ok;
}

/* ["<s>", 0] */
static bool get_token(struct reader *r, const json_t *value, const char *key, struct ids *to,
                      struct error *err)
{
    const json_t *id = json_array_get(json_object_get(value, key), 1);
    if (!json_is_integer(id))
        return error_set(err, ERROR_INPUT, "\"%s\" is missing, want [token, id]", key);
    if (json_integer_value(id) < 0 || json_integer_value(id) >= r->vocab)
        return error_set(err, ERROR_INPUT, "the id of \"%s\" is not in the vocabulary", key);
    ids_add(to, (int32_t)json_integer_value(id));
    return true;
}

/* One token before a text, one behind; n_between of the latter between two texts. */
static bool parse_two_tokens(struct reader *r, const json_t *value, int n_between,
                             struct error *err)
{
    struct ids before = {0}, after = {0}, part[3] = {0};
    bool ok = check_whole(r, err) && get_token(r, value, "cls", &before, err) &&
              get_token(r, value, "sep", &after, err);
    if (ok) {
        ids_add_all(&part[0], before.data, before.n);
        for (int i = 0; i < n_between; i++)
            ids_add_all(&part[1], after.data, after.n);
        ids_add_all(&part[2], after.data, after.n);
        put_around_pair(r, part);
        ok = put_around(r->out, &before, &after, err);
    }
    ids_release(&before);
    ids_release(&after);
    release_pair(part);
    return ok;
}

static bool parse_bert(void *context, const json_t *value, struct error *err)
{
    return parse_two_tokens(context, value, 1, err);
}

static bool parse_roberta(void *context, const json_t *value, struct error *err)
{
    return parse_two_tokens(context, value, 2, err);
}

static bool parse_byte_level(void *context, const json_t *value, struct error *err)
{
    (void)context, (void)value, (void)err;
    return true;
}

bool post_processor_parse(struct post_processor *p, const json_t *value, int32_t vocab,
                          struct error *err)
{
    static const struct stage_type types[] = {
        {"BertProcessing", parse_bert},
        {"ByteLevel", parse_byte_level},
        {"RobertaProcessing", parse_roberta},
        {"TemplateProcessing", parse_template},
        {NULL, NULL},
    };
    *p = (struct post_processor){0};
    struct reader reader = {.out = p, .vocab = vocab};
    return stage_parse(&reader, value, types, "processors", err);
}

void post_processor_release(struct post_processor *p)
{
    ids_release(&p->before);
    ids_release(&p->after);
    ids_release(&p->pair_before);
    ids_release(&p->pair_between);
    ids_release(&p->pair_after);
}
