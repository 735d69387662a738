/* Bytes as the source of a template: it is refused with an error, or it is rendered over a fixed
 * conversation, twice, with the same end. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const char variables[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"},"
    " {\"role\": \"user\", \"content\": \"a <b> \\u00e9\\u4f60\\ud83d\\ude00 {{ x }}\"},"
    " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\":"
    " {\"name\": \"f\", \"arguments\": {\"k\": [1, -2.5, true, null]}}}]}],"
    " \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\":"
    " {\"type\": \"object\", \"properties\": {\"k\": {\"type\": \"array\"}}}}}],"
    " \"n\": 3, \"d\": 0.5, \"s\": \"text\", \"l\": [3, 1, 2], \"e\": [],"
    " \"add_generation_prompt\": true, \"bos_token\": \"<s>\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct jinja_template *t = NULL;
    struct error err = {0};
    if (!jinja_compile(&t, (const char *)data, n_bytes, &err)) {
        check_error(&err);
        return 0;
    }
    json_t *users = json_loads(variables, 0, NULL);
    struct jinja_output first, second;
    check(users != NULL);
    const bool good = render_checked(t, users, &first);
    check(render_checked(t, users, &second) == good);
    check(first.text.len == second.text.len && first.n_users == second.n_users);
    check(first.text.len == 0 || memcmp(first.text.data, second.text.data, first.text.len) == 0);
    jinja_output_release(&first);
    jinja_output_release(&second);
    json_decref(users);
    jinja_destroy(t);
    return 0;
}
