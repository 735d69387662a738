/* The file of chosen algorithms comes from outside: whatever is in it, the matmul is right. */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/cuda/lt_choices.h"
#include "tests/files.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

static const struct lt_shape shape = {DTYPE_BF16, 4096, 14336, 64, 16};
static const struct lt_algorithm algorithm = {{1, 2, 3, 0xfedcba9876543210u, 5, 6, 7, 8}};

static bool has(const char *path, const char *gpu, size_t version, const struct lt_shape *of)
{
    struct lt_choices *choices = lt_choices_open(path, gpu, version);
    const struct lt_algorithm *found = lt_choices_find(choices, of);
    const bool same = found != NULL && memcmp(found, &algorithm, sizeof algorithm) == 0;
    lt_choices_close(choices);
    return same;
}

static void write_two(const char *path)
{
    struct lt_shape second = shape;
    struct lt_choices *choices = lt_choices_open(path, "GPU of tests", 130000);
    second.dtype = DTYPE_F16;
    lt_choices_set(choices, &shape, &algorithm);
    lt_choices_set(choices, &second, &algorithm);
    lt_choices_close(choices);
}

TEST(rows_share_a_choice_in_steps_of_at_most_a_quarter)
{
    static const int pairs[][2] = {{1, 8},       {8, 8},      {33, 40},   {64, 64},
                                   {65, 80},     {128, 128},  {129, 160}, {1000, 1024},
                                   {1025, 1280}, {8192, 8192}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        CHECK_EQ(lt_bucket(pairs[i][0]), pairs[i][1]);
}

TEST(choices_of_algorithms_outlive_the_device)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "algorithms");
    struct lt_shape other = shape;
    write_two(path.text);
    CHECK(has(path.text, "GPU of tests", 130000, &shape));
    other.dtype = DTYPE_F16;
    CHECK(has(path.text, "GPU of tests", 130000, &other));
    other.n_tokens = 80;
    CHECK(!has(path.text, "GPU of tests", 130000, &other));
    folder_remove(&folder);
}

TEST(choices_made_for_another_gpu_or_library_are_not_used)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "algorithms");
    write_two(path.text);
    CHECK(!has(path.text, "another GPU", 130000, &shape));
    CHECK(!has(path.text, "GPU of tests", 130001, &shape));
    folder_remove(&folder);
}

TEST(no_damage_of_a_file_of_choices_gives_a_wrong_one)
{
    const struct folder folder = folder_make();
    struct file_path path = folder_path(&folder, "algorithms");
    struct error err = {0};
    char *text;
    size_t n_bytes;
    log_set(LOG_ERROR, 0); /* of hundreds of damaged lines */
    write_two(path.text);
    CHECK(file_read(&text, &n_bytes, path.text, LT_MAX_FILE_BYTES, &err));
    for (size_t i = 0; i < n_bytes; i++) {
        const char was = text[i];
        text[i] = (char)(was ^ (1 << i % 7));
        path = folder_write(&folder, "algorithms", text, n_bytes);
        struct lt_choices *choices = lt_choices_open(path.text, "GPU of tests", 130000);
        const struct lt_algorithm *found = lt_choices_find(choices, &shape);
        CHECK(found == NULL || memcmp(found, &algorithm, sizeof algorithm) == 0);
        lt_choices_close(choices);
        text[i] = was;
    }
    for (size_t n = 0; n < n_bytes; n += 7) { /* cut anywhere */
        path = folder_write(&folder, "algorithms", text, n);
        lt_choices_close(lt_choices_open(path.text, "GPU of tests", 130000));
    }
    log_set(LOG_WARN, 0);
    memory_free(text);
    folder_remove(&folder);
}

TEST(a_file_of_choices_that_cannot_be_written_is_no_failure)
{
    log_set(LOG_ERROR, 0); /* it is a warning */
    write_two("/nowhere/at/all");
    CHECK(!has("/nowhere/at/all", "GPU of tests", 130000, &shape));
    log_set(LOG_WARN, 0);
}
