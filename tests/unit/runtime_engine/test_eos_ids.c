#include "base/error.h"
#include "runtime/eos_ids.h"
#include "tests/files.h"
#include "tests/test.h"

#include <string.h>

static void write_text(const struct folder *folder, const char *name, const char *text)
{
    if (text != NULL)
        folder_write(folder, name, text, strlen(text));
}

/* Reads the ids of these two files. */
static bool read_ids(struct eos_ids *out, const char *generation, const char *config,
                     struct error *err)
{
    const struct folder folder = folder_make();
    write_text(&folder, "generation_config.json", generation);
    write_text(&folder, "config.json", config);
    *err = (struct error){0};
    const bool good = eos_ids_read(out, folder.path, 100, err);
    folder_remove(&folder);
    return good;
}

TEST(ids_are_a_number_or_a_list_of_the_generation_config_first)
{
    struct eos_ids ids;
    struct error err;
    CHECK(read_ids(&ids, "{\"eos_token_id\": [7, 9]}", "{\"eos_token_id\": 1}", &err));
    CHECK(ids.n == 2 && ids.id[0] == 7 && ids.id[1] == 9);
    CHECK(read_ids(&ids, "{\"temperature\": 0.5}", "{\"eos_token_id\": 1}", &err));
    CHECK(ids.n == 1 && ids.id[0] == 1);
    CHECK(read_ids(&ids, NULL, "{\"eos_token_id\": null}", &err));
    CHECK_EQ(ids.n, 0);
}

static void check_refused(const char *generation, const char *part)
{
    struct eos_ids ids;
    struct error err;
    CHECK(!read_ids(&ids, generation, NULL, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, part) == NULL || strstr(err.text, "generation_config.json") == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not say %s and the file", err.text, part);
}

TEST(wrong_ids_are_refused_with_file_and_key)
{
    check_refused("{\"eos_token_id\": 100}", "eos_token_id: 100");
    check_refused("{\"eos_token_id\": [-1]}", "eos_token_id: -1");
    check_refused("{\"eos_token_id\": \"</s>\"}", "eos_token_id: want");
    check_refused("[]", "want an object");
    check_refused("{", "line 1");
    char many[400] = "{\"eos_token_id\": [0";
    for (int i = 0; i < EOS_MAX_IDS; i++)
        strncat(many, ",1", sizeof many - strlen(many) - 1);
    strncat(many, "]}", sizeof many - strlen(many) - 1);
    check_refused(many, "more than 64");
}
