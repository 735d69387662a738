#include "base/error.h"
#include "launcher/batch/lines.h"
#include "tests/files.h"
#include "tests/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t interrupt;

static bool next(struct batch_lines *lines, struct batch_line *line)
{
    struct error err = {0};
    bool got;
    CHECK(batch_lines_next(lines, line, &got, &err));
    return got;
}

static void check_line(struct batch_lines *lines, const char *text, uint64_t line_number)
{
    struct batch_line line;
    char copy[64];
    CHECK(next(lines, &line));
    snprintf(copy, sizeof copy, "%.*s", (int)line.n_bytes, line.text);
    CHECK_STR(copy, text);
    CHECK_EQ(line.line, line_number);
}

TEST(each_line_is_a_request_and_blank_ones_are_none)
{
    const char text[] = "\xef\xbb\xbf{1}\n\n  \r\n{2}\r\n\t\n{3}";
    struct batch_lines lines;
    struct batch_line line;
    struct error err = {0};
    const struct folder folder = folder_make();
    const struct file_path path = folder_write(&folder, "in", text, sizeof text - 1);
    CHECK(batch_lines_open(&lines, path.text, &interrupt, &err));
    CHECK(lines.is_regular);
    CHECK_EQ(lines.n_requests, 3);
    CHECK_EQ(lines.n_bytes, sizeof text - 1);
    check_line(&lines, "{1}", 1);
    check_line(&lines, "{2}\r", 4);
    check_line(&lines, "{3}", 6);
    CHECK(!next(&lines, &line));
    CHECK_EQ(lines.n_given, 3);
    batch_lines_close(&lines);
    folder_remove(&folder);
}

TEST(a_file_without_requests_is_refused)
{
    struct batch_lines lines;
    const struct folder folder = folder_make();
    const struct file_path paths[] = {folder_write(&folder, "a", "", 0),
                                      folder_write(&folder, "b", "\n \n", 3),
                                      folder_path(&folder, "none"), folder_path(&folder, "")};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct error err = {0};
        CHECK(!batch_lines_open(&lines, paths[i].text, &interrupt, &err));
        CHECK_EQ(err.kind, ERROR_INPUT);
        batch_lines_close(&lines);
    }
    folder_remove(&folder);
}

TEST(a_line_that_is_too_long_is_told_and_the_next_one_is_read)
{
    const size_t longest = BATCH_MAX_LINE_BYTES, n = longest + (1 << 20);
    char *text = malloc(2 * longest + (3 << 20));
    struct batch_lines lines;
    struct batch_line line;
    struct error err = {0};
    const struct folder folder = folder_make();
    memset(text, 'x', n);
    text[n] = '\n';
    memset(text + n + 1, 'y', longest);
    memcpy(text + n + 1 + longest, "\nlast", 5);
    const struct file_path path = folder_write(&folder, "in", text, n + 1 + longest + 5);
    CHECK(batch_lines_open(&lines, path.text, &interrupt, &err));
    CHECK_EQ(lines.n_requests, 3);
    CHECK(next(&lines, &line));
    CHECK(line.is_too_long);
    CHECK_EQ(line.n_bytes, longest);
    CHECK(next(&lines, &line));
    CHECK(!line.is_too_long); /* as long as a line may be */
    CHECK_EQ(line.n_bytes, longest);
    CHECK_EQ(line.text[0], 'y');
    check_line(&lines, "last", 3);
    CHECK(!next(&lines, &line));
    free(text);
    batch_lines_close(&lines);
    folder_remove(&folder);
}

TEST(a_file_that_changes_while_it_is_read_is_refused)
{
    struct batch_lines lines;
    struct batch_line line;
    struct error err = {0};
    bool got;
    const struct folder folder = folder_make();
    struct file_path path = folder_write(&folder, "in", "{1}\n{2}\n", 8);
    CHECK(batch_lines_open(&lines, path.text, &interrupt, &err));
    path = folder_write(&folder, "in", "{1}\n{3}\n{4}\n", 12);
    CHECK(!batch_lines_next(&lines, &line, &got, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "changed") != NULL);
    batch_lines_close(&lines);
    folder_remove(&folder);
}

TEST(files_are_known_by_what_is_in_them)
{
    uint64_t hash[3];
    const char *const texts[] = {"{1}\n{2}\n", "{1}\n{2}\n", "{1}\n{3}\n"};
    const struct folder folder = folder_make();
    for (int i = 0; i < 3; i++) {
        struct batch_lines lines;
        struct error err = {0};
        const struct file_path path = folder_write(&folder, "in", texts[i], strlen(texts[i]));
        CHECK(batch_lines_open(&lines, path.text, &interrupt, &err));
        hash[i] = lines.hash[0] ^ lines.hash[1];
        batch_lines_close(&lines);
    }
    CHECK(hash[0] == hash[1]);
    CHECK(hash[0] != hash[2]);
    folder_remove(&folder);
}
