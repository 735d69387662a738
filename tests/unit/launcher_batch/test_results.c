#include "base/error.h"
#include "launcher/batch/lines.h"
#include "launcher/batch/marks.h"
#include "launcher/batch/results.h"
#include "runtime/options/options.h"
#include "tests/files.h"
#include "tests/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct place {
    struct folder folder;
    struct file_path out, errors, journal;
    struct results_settings settings;
};

static struct place make_place(void)
{
    struct place p = {.folder = folder_make()};
    p.out = folder_path(&p.folder, "out");
    p.errors = folder_path(&p.folder, "errors");
    p.journal = folder_path(&p.folder, "out.journal");
    return p;
}

static struct results_settings settings_of(const struct place *p, bool with_journal)
{
    return (struct results_settings){.output = p->out.text,
                                     .error_file = p->errors.text,
                                     .journal = with_journal ? p->journal.text : NULL,
                                     .sync_every_s = 1};
}

static json_t *marks_of(const char *input)
{
    return json_pack("{s:s,s:i}", "input", input, "begun", 5);
}

/* Opens, goes on or begins; the number of answers that were there. */
static int open_results(struct batch_results *out, const struct place *p, bool with_journal)
{
    struct error err = {0};
    const struct results_settings settings = settings_of(p, with_journal);
    json_t *marks = marks_of("a");
    CHECK(batch_results_open(out, &settings, &err));
    CHECK(batch_results_begin(out, marks, &err));
    json_decref(marks);
    return (int)out->n_found;
}

static void put(struct batch_results *results, int number)
{
    struct error err = {0};
    struct bytes line = {0};
    bytes_printf(&line, "answer %d", number);
    CHECK(batch_results_put(results, (uint64_t)number, number == 3, &line, &err));
    bytes_release(&line);
}

static void check_file(const struct file_path *path, const char *want)
{
    char text[256] = "";
    FILE *file = fopen(path->text, "r");
    CHECK(file != NULL);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    CHECK_STR(text, want);
}

static bool is_there(const struct file_path *path) { return access(path->text, F_OK) == 0; }

TEST(answers_come_in_any_order_and_are_written_in_theirs)
{
    static const int order[] = {2, 0, 4, 3, 1};
    for (int with_journal = 0; with_journal < 2; with_journal++) {
        struct batch_results results;
        struct error err = {0};
        struct place p = make_place();
        CHECK_EQ(open_results(&results, &p, with_journal), 0);
        for (int i = 0; i < 5; i++)
            put(&results, order[i]);
        CHECK(!is_there(&p.out)); /* whole, or not there */
        CHECK(batch_results_finish(&results, &err));
        batch_results_close(&results);
        check_file(&p.out, "answer 0\nanswer 1\nanswer 2\nanswer 4\n");
        check_file(&p.errors, "answer 3\n");
        CHECK(!is_there(&p.journal));
        folder_remove(&p.folder);
    }
}

TEST(an_answer_that_could_not_be_kept_does_not_count)
{
    struct batch_results results;
    struct error err = {0};
    struct bytes line = {0};
    struct place p = make_place();
    const int full = open("/dev/full", O_RDWR);
    if (full < 0)
        SKIP("/dev/full is missing");
    open_results(&results, &p, true);
    put(&results, 0);
    CHECK(dup2(full, results.log.fd) >= 0);
    close(full);
    bytes_add_text(&line, "answer 1");
    CHECK(!batch_results_put(&results, 1, false, &line, &err));
    CHECK_EQ(err.kind, ERROR_SYSTEM);
    CHECK_EQ(results.n_answered, 1);
    bytes_release(&line);
    batch_results_close(&results);
    folder_remove(&p.folder);
}

TEST(a_batch_goes_on_with_what_is_in_its_journal)
{
    struct batch_results results;
    struct error err = {0};
    struct place p = make_place();
    open_results(&results, &p, true);
    put(&results, 0);
    put(&results, 3);
    batch_results_close(&results);
    CHECK(is_there(&p.journal));
    CHECK(!is_there(&p.out));

    CHECK_EQ(open_results(&results, &p, true), 2);
    CHECK_EQ(results.n_failed, 1);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(batch_results_have(&results, (uint64_t)i), i == 0 || i == 3);
    put(&results, 2);
    put(&results, 1);
    CHECK(batch_results_finish(&results, &err));
    batch_results_close(&results);
    check_file(&p.out, "answer 0\nanswer 1\nanswer 2\n");
    check_file(&p.errors, "answer 3\n");
    folder_remove(&p.folder);
}

TEST(a_torn_answer_is_given_again)
{
    struct batch_results results;
    struct error err = {0};
    struct place p = make_place();
    open_results(&results, &p, true);
    put(&results, 0);
    put(&results, 1);
    const off_t end = (off_t)results.log.end;
    batch_results_close(&results);
    CHECK_EQ(truncate(p.journal.text, end - 3), 0);
    CHECK_EQ(open_results(&results, &p, true), 1);
    put(&results, 1);
    CHECK(batch_results_finish(&results, &err));
    batch_results_close(&results);
    check_file(&p.out, "answer 0\nanswer 1\n");
    folder_remove(&p.folder);
}

TEST(another_batch_is_refused_unless_it_is_to_begin_anew)
{
    struct batch_results results;
    struct place p = make_place();
    json_t *other = marks_of("b");
    for (int restart = 0; restart < 2; restart++) {
        struct error err = {0};
        struct results_settings settings = settings_of(&p, true);
        open_results(&results, &p, true);
        put(&results, 0);
        batch_results_close(&results);
        settings.restart = restart;
        CHECK(batch_results_open(&results, &settings, &err));
        CHECK_EQ(batch_results_check(&results, other, &err), restart);
        if (restart) {
            CHECK(batch_results_begin(&results, other, &err));
            CHECK_EQ(results.n_found, 0);
        } else
            CHECK(strstr(err.text, "the input has changed") != NULL);
        batch_results_close(&results);
    }
    json_decref(other);
    folder_remove(&p.folder);
}

TEST(an_output_that_cannot_be_written_is_told_at_once)
{
    struct batch_results results;
    struct error err = {0};
    struct place p = make_place();
    struct results_settings settings = settings_of(&p, true);
    settings.output = "/no/such/folder/out";
    CHECK(!batch_results_open(&results, &settings, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    batch_results_close(&results);
    folder_remove(&p.folder);
}

/* What the marks of two command lines differ in. */
static void check_marks(const char *word, const char *names)
{
    char model[] = SOURCE_DIR "/demo/model", given[64];
    char *plain[] = {model}, *more[] = {model, given};
    struct batch_lines lines = {.n_bytes = 5};
    struct options options[2];
    json_t *marks[2];
    struct error err = {0};
    snprintf(given, sizeof given, "%s", word);
    CHECK(options_parse(&options[0], COMMAND_BATCH, 1, plain, &err));
    CHECK(options_parse(&options[1], COMMAND_BATCH, 2, more, &err));
    for (int i = 0; i < 2; i++)
        CHECK(batch_marks_make(&marks[i], &options[i], model, &lines, "1.0", &err));
    CHECK_EQ(batch_marks_are_same(marks[0], marks[1], "j", &err), names == NULL);
    if (names != NULL)
        CHECK(strstr(err.text, names) != NULL);
    for (int i = 0; i < 2; i++) {
        json_decref(marks[i]);
        options_release(&options[i]);
    }
}

TEST(options_that_change_answers_are_marks_and_others_are_not)
{
    check_marks("--seed=7", "begun with --seed not given, and now it is \"7\"");
    check_marks("--dtype=float32", "--dtype");
    check_marks("--served-model-name=x", "--served-model-name");
    check_marks("--data-parallel-size=2", NULL);
    check_marks("--max-num-seqs=3", NULL);
}
