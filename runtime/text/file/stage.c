#include "runtime/text/file/stage.h"

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

static bool unsupported(const char *name, const struct stage_type *types, struct error *err)
{
    char list[256] = "Sequence";
    size_t n = strlen(list);
    for (; types->name != NULL && n < sizeof list; types++)
        n += (size_t)snprintf(list + n, sizeof list - n, ", %s", types->name);
    return error_set(err, ERROR_UNSUPPORTED, "type \"%.60s\" is not supported, only %s", name,
                     list);
}

static bool parse_at(void *context, const json_t *value, const struct stage_type *types,
                     const char *list_key, int depth, struct error *err)
{
    const char *name;
    if (!json_get_text(value, "type", true, &name, err))
        return false;
    if (strcmp(name, "Sequence") != 0) {
        const struct stage_type *type = types;
        while (type->name != NULL && strcmp(type->name, name) != 0)
            type++;
        if (type->name == NULL)
            return unsupported(name, types, err);
        return type->parse(context, value, err) || error_in(err, "%s", name);
    }
    const json_t *list = json_object_get(value, list_key);
    if (!json_is_array(list))
        return error_set(err, ERROR_INPUT, "Sequence: \"%s\" is no array", list_key);
    if (depth == STAGE_MAX_DEPTH)
        return error_set(err, ERROR_INPUT, "sequences nested more than %d deep", STAGE_MAX_DEPTH);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!parse_at(context, json_array_get(list, i), types, list_key, depth + 1, err))
            return error_in(err, "\"%s\"[%zu]", list_key, i);
    return true;
}

bool stage_parse(void *context, const json_t *value, const struct stage_type *types,
                 const char *list_key, struct error *err)
{
    if (value == NULL || json_is_null(value))
        return true;
    return parse_at(context, value, types, list_key, 0, err);
}

bool stage_get_character(uint32_t *out, const json_t *stage, const char *key, struct error *err)
{
    const char *text;
    size_t end = 0;
    if (!json_get_text(stage, key, true, &text, err))
        return false;
    if (*text != '\0')
        *out = utf8_read(text, &end);
    return (*text != '\0' && text[end] == '\0') ||
           error_set(err, ERROR_INPUT, "\"%s\" is \"%.20s\", want one character", key, text);
}
