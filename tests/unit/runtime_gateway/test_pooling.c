#include "runtime/gateway/pooling.h"

#include "base/error.h"
#include "runtime/options/options.h"
#include "tests/files.h"
#include "tests/test.h"

static bool read_head(struct pooling_head *head, const char *task, const char *pooling,
                      int n_labels, struct error *err)
{
    const struct folder folder = folder_make();
    const struct options options = {.task = task, .pooling = pooling};
    const char config[] = "{\"id2label\": {\"0\": \"bad\", \"1\": \"good\"}}";
    folder_write(&folder, "config.json", config, sizeof config - 1);
    *err = (struct error){0};
    const bool good = pooling_head_read(head, &options, folder.path, n_labels, err);
    folder_remove(&folder);
    return good;
}

TEST(the_task_is_what_the_model_has)
{
    static const struct {
        int n_labels;
        enum pooling_task task;
    } rows[] = {{0, TASK_EMBED}, {1, TASK_REWARD}, {2, TASK_CLASSIFY}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pooling_head head;
        struct error err;
        CHECK(read_head(&head, "auto", "auto", rows[i].n_labels, &err));
        CHECK_EQ(head.task, rows[i].task);
        CHECK_EQ(head.pooling, POOLING_LAST);
        pooling_head_release(&head);
    }
}

TEST(a_task_that_the_model_is_not_made_for_is_refused)
{
    struct pooling_head head;
    struct error err;
    CHECK(!read_head(&head, "embed", "auto", 2, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    pooling_head_release(&head);
    CHECK(!read_head(&head, "classify", "auto", 0, &err));
    pooling_head_release(&head);
    CHECK(!read_head(&head, "auto", "mean", 2, &err));
    pooling_head_release(&head);
}

TEST(names_of_labels_are_those_of_the_model_where_it_has_them)
{
    struct pooling_head head;
    struct error err;
    char buffer[24];
    CHECK(read_head(&head, "auto", "auto", 3, &err));
    CHECK_STR(pooling_label(&head, 1, buffer), "good");
    CHECK_STR(pooling_label(&head, 2, buffer), "LABEL_2");
    pooling_head_release(&head);
}

TEST(vectors_are_made_one_long)
{
    double value[] = {3, 4}, none[] = {0, 0};
    pooling_normalize(value, 2);
    CHECK(value[0] == 0.6 && value[1] == 0.8);
    pooling_normalize(none, 2);
    CHECK(none[0] == 0);
}

TEST(one_output_is_a_yes_and_several_are_one_of_them)
{
    double one[] = {0}, several[] = {1000, 1000, -1000};
    pooling_probabilities(one, 1);
    pooling_probabilities(several, 3);
    CHECK(one[0] == 0.5);
    CHECK(several[0] == 0.5 && several[1] == 0.5 && several[2] == 0);
}
