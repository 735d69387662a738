#include "runtime/text/replace.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

#include <string.h>

bool replace_all(const char *text, size_t n_bytes, const char *from, const char *to,
                 struct bytes *out)
{
    const size_t n_from = strlen(from), n_to = strlen(to);
    size_t done = 0;
    while (done < n_bytes) {
        const char *found = memmem(text + done, n_bytes - done, from, n_from);
        if (found == NULL)
            break;
        const size_t begin = (size_t)(found - text);
        if (!bytes_add(out, text + done, begin - done) || !bytes_add(out, to, n_to))
            return false;
        done = begin + n_from;
    }
    return bytes_add(out, text + done, n_bytes - done);
}

bool replace_parse(char **from, char **to, const json_t *stage, struct error *err)
{
    const json_t *pattern = json_object_get(stage, "pattern");
    const char *text = NULL, *content;
    if (!json_get_text(stage, "content", true, &content, err) ||
        !json_get_text(pattern, "String", false, &text, err))
        return false;
    if (text == NULL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "\"pattern\" is not supported: only {\"String\": …} is");
    if (*text == '\0')
        return error_set(err, ERROR_INPUT, "\"pattern\" is empty");
    *from = memory_copy_text(text);
    *to = memory_copy_text(content);
    return true;
}
