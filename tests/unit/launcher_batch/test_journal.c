#include "base/bytes.h"
#include "base/error.h"
#include "launcher/batch/journal.h"
#include "tests/files.h"
#include "tests/test.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MARKS[] = "{\"input\":\"abc\"}";
static const char *const answers[] = {"first answer", "", "the third one"};
enum { N_ANSWERS = 3 };

static void begin(struct batch_journal *journal, const char *path)
{
    struct error err = {0};
    struct bytes marks = {0};
    CHECK(batch_journal_open(journal, path, 1, &marks, &err));
    CHECK_EQ(marks.len, 0);
    bytes_add_text(&marks, MARKS);
    CHECK(batch_journal_begin(journal, &marks, &err));
    bytes_release(&marks);
}

static void write_answers(const char *path)
{
    struct batch_journal journal;
    struct error err = {0};
    begin(&journal, path);
    for (int i = 0; i < N_ANSWERS; i++)
        CHECK(batch_journal_append(&journal, i == 1 ? RECORD_ERROR : RECORD_ANSWER,
                                   (uint64_t)(10 + i), answers[i], strlen(answers[i]), &err));
    batch_journal_close(&journal);
}

/* How many of the answers can be read, each the one that was written; -1: not even the marks. */
static int count_answers(const char *path, uint64_t *end)
{
    struct batch_journal journal;
    struct batch_record record;
    struct bytes text = {0};
    struct error err = {0};
    bool got;
    int n = -1;
    CHECK(batch_journal_open(&journal, path, 1, &text, &err));
    if (text.len > 0)
        CHECK_STR(text.data, MARKS);
    for (uint64_t at = 0;; n++) {
        CHECK(batch_journal_next(&journal, &at, &record, &got, &err));
        *end = at;
        if (!got)
            break;
        bytes_clear(&text);
        CHECK(batch_journal_payload(&journal, &record, &text, &err));
        if (n < 0) {
            CHECK_EQ(record.kind, RECORD_MARKS);
            continue;
        }
        CHECK_EQ(record.number, 10 + n);
        CHECK_EQ(record.kind, n == 1 ? RECORD_ERROR : RECORD_ANSWER);
        CHECK_STR(text.data, answers[n]);
    }
    bytes_release(&text);
    batch_journal_close(&journal);
    return n;
}

static size_t read_whole(char *out, size_t n, const char *path)
{
    const int fd = open(path, O_RDONLY);
    const ssize_t got = read(fd, out, n);
    close(fd);
    CHECK(got > 0 && (size_t)got < n);
    return (size_t)got;
}

TEST(what_was_written_is_read_again)
{
    uint64_t end;
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "j");
    write_answers(path.text);
    CHECK_EQ(count_answers(path.text, &end), N_ANSWERS);
    folder_remove(&folder);
}

TEST(a_journal_cut_at_any_byte_keeps_the_records_before)
{
    char whole[1024];
    uint64_t end;
    int last = -1;
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "j");
    write_answers(path.text);
    const size_t n = read_whole(whole, sizeof whole, path.text);
    for (size_t cut = 0; cut <= n; cut++) {
        const struct file_path torn = folder_write(&folder, "torn", whole, cut);
        const int left = count_answers(torn.text, &end);
        CHECK(left == last || left == last + 1); /* one more at most for each byte more */
        CHECK(end <= cut);
        last = left;
    }
    CHECK_EQ(last, N_ANSWERS);
    folder_remove(&folder);
}

TEST(a_journal_with_any_byte_changed_ends_before_it)
{
    char whole[1024];
    uint64_t end;
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "j");
    write_answers(path.text);
    const size_t n = read_whole(whole, sizeof whole, path.text);
    const size_t magic = strcspn(whole, "\n") + 1;
    for (size_t i = magic; i < n; i++) {
        whole[i] = (char)(whole[i] ^ 0x41);
        const struct file_path bad = folder_write(&folder, "bad", whole, n);
        CHECK(count_answers(bad.text, &end) < N_ANSWERS);
        CHECK(end <= i);
        whole[i] = (char)(whole[i] ^ 0x41);
    }
    folder_remove(&folder);
}

TEST(after_a_cut_new_answers_are_appended)
{
    char whole[1024];
    struct batch_journal journal;
    struct bytes marks = {0};
    struct error err = {0};
    uint64_t end;
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "j");
    write_answers(path.text);
    const size_t n = read_whole(whole, sizeof whole, path.text);
    const struct file_path torn = folder_write(&folder, "torn", whole, n - 1);
    CHECK_EQ(count_answers(torn.text, &end), N_ANSWERS - 1);
    CHECK(batch_journal_open(&journal, torn.text, 0, &marks, &err));
    CHECK(batch_journal_cut(&journal, end, &err));
    CHECK(batch_journal_append(&journal, RECORD_ANSWER, 12, answers[2], strlen(answers[2]), &err));
    CHECK(!journal.is_dirty); /* every 0 seconds is each time */
    batch_journal_close(&journal);
    bytes_release(&marks);
    CHECK_EQ(count_answers(torn.text, &end), N_ANSWERS);
    folder_remove(&folder);
}

TEST(a_file_of_the_user_is_no_journal_and_stays)
{
    char whole[64];
    struct batch_journal journal;
    struct bytes marks = {0};
    struct error err = {0};
    const struct folder folder = folder_make();
    const struct file_path path = folder_write(&folder, "thesis", "Chapter 1", 9);
    CHECK(!batch_journal_open(&journal, path.text, 1, &marks, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "no journal of a batch") != NULL);
    batch_journal_close(&journal);
    CHECK_EQ(read_whole(whole, sizeof whole, path.text), 9);
    folder_remove(&folder);
}

TEST(one_process_has_a_journal_at_a_time)
{
    struct batch_journal journal, other;
    struct bytes marks = {0};
    struct error err = {0};
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "j");
    begin(&journal, path.text);
    CHECK(!batch_journal_open(&other, path.text, 1, &marks, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "another batch") != NULL);
    batch_journal_close(&other);
    batch_journal_close(&journal);
    folder_remove(&folder);
}

/* In a process of its own, for the limit. Its exit status is the number of answers that fitted. */
static void fill_up(void *path)
{
    struct batch_journal journal;
    struct error err = {0};
    const struct rlimit limit = {.rlim_cur = 300, .rlim_max = 300};
    int n = 0;
    begin(&journal, path);
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    while (batch_journal_append(&journal, RECORD_ANSWER, (uint64_t)(10 + n), answers[0],
                                strlen(answers[0]), &err))
        n++;
    _exit(err.kind == ERROR_SYSTEM ? n : 100);
}

TEST(a_write_that_fails_is_taken_back)
{
    struct stat about;
    struct batch_journal journal;
    struct batch_record record;
    struct bytes marks = {0};
    struct error err = {0};
    bool got = true;
    int n = -1;
    const struct folder folder = folder_make();
    struct file_path path = folder_path(&folder, "j");
    const int n_written = outcome_of(fill_up, path.text);
    CHECK(n_written > 1 && n_written < 20);
    CHECK(batch_journal_open(&journal, path.text, 1, &marks, &err));
    uint64_t at = 0;
    while (got) {
        CHECK(batch_journal_next(&journal, &at, &record, &got, &err));
        n += got;
    }
    CHECK_EQ(n, n_written);
    CHECK_EQ(stat(path.text, &about), 0);
    CHECK_EQ((uint64_t)about.st_size, at); /* nothing is behind the last one */
    bytes_release(&marks);
    batch_journal_close(&journal);
    folder_remove(&folder);
}
