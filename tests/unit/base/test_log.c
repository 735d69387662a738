#include "base/log.h"
#include "base/system.h"
#include "tests/files.h"
#include "tests/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char logged[1 << 20];

/* "12:04:11.381 r0 info  engine: " -> what comes after the time */
static const char *after_time(const char *line)
{
    int hours, minutes, seconds, ms, n = 0;
    CHECK_EQ(sscanf(line, "%2d:%2d:%2d.%3d %n", &hours, &minutes, &seconds, &ms, &n), 4);
    CHECK_EQ(n, 13);
    CHECK(hours < 24 && minutes < 60 && seconds < 61);
    return line + n;
}

static void write_one(void *text) { log_write(LOG_WARN, "comm", "%s", (const char *)text); }

static const char *line_of(const char *text)
{
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", text);
    capture_stderr(logged, sizeof logged, write_one, copy);
    return after_time(logged);
}

TEST(log_line_has_time_rank_level_module_and_text)
{
    log_set(LOG_INFO, 3);
    CHECK_STR(line_of("rank 2 is late"), "r3 warn  comm: rank 2 is late\n");
    log_set(LOG_INFO, -1);
    CHECK_STR(line_of("x"), "gw warn  comm: x\n");
    log_set(LOG_INFO, 0);
}

TEST(log_escapes_what_could_move_a_cursor_or_forge_a_line)
{
    CHECK_STR(line_of("a\nb\r\tc\x1b[2J\x7f"), "r0 warn  comm: a\\nb\\r\\tc\\x1b[2J\\x7f\n");
    CHECK_STR(line_of("caf\xc3\xa9"), "r0 warn  comm: caf\xc3\xa9\n"); /* text stays text */
    CHECK(strstr(line_of("\xc2\x9b"), "\\x9b"));                       /* CSI, as UTF-8 writes it */
}

static void tell_one(void *text) { log_tell("phalanx", text); }
static void note_one(void *text) { log_note(LOG_INFO, "phalanx", text); }

TEST(log_tells_a_user_one_line_whatever_the_text)
{
    static char text[] = "config.json: \x1b[2J\nphalanx: all is well";
    capture_stderr(logged, sizeof logged, tell_one, text);
    CHECK_STR(logged, "phalanx: config.json: \\x1b[2J\\nphalanx: all is well\n");
}

TEST(log_cuts_a_long_line_and_says_so)
{
    char text[4000];
    const char fills[] = {'x', '\n'}; /* each escape is longer than its byte */
    for (int i = 0; i < 2; i++) {
        memset(text, fills[i], sizeof text);
        text[sizeof text - 1] = '\0';
        const char *line = line_of(text);
        const size_t n = strlen(line);
        CHECK(n > 1500 && n < 2048);
        CHECK_STR(line + n - 4, "...\n");
        CHECK(strchr(line, '\n') == line + n - 1);
    }
}

static void write_all_levels(void *context)
{
    (void)context;
    log_write(LOG_ERROR, "m", "e");
    log_write(LOG_WARN, "m", "w");
    log_write(LOG_INFO, "m", "i");
    log_write(LOG_DEBUG, "m", "d");
    log_write(LOG_TRACE, "m", "t");
}

static int lines_at(enum log_level most, int rank)
{
    log_set(most, rank);
    CHECK_EQ(log_level(), most);
    capture_stderr(logged, sizeof logged, write_all_levels, NULL);
    log_set(LOG_INFO, 0);
    int n = 0;
    for (const char *p = logged; *p; p++)
        n += *p == '\n';
    return n;
}

TEST(log_writes_up_to_its_level)
{
    CHECK_EQ(lines_at(LOG_ERROR, 0), 1);
    CHECK_EQ(lines_at(LOG_INFO, 0), 3);
    CHECK_EQ(lines_at(LOG_TRACE, 0), 5);
}

TEST(log_takes_info_from_rank_0_and_the_gateway_only)
{
    CHECK_EQ(lines_at(LOG_INFO, -1), 3);
    CHECK_EQ(lines_at(LOG_INFO, 1), 2);
    CHECK_EQ(lines_at(LOG_TRACE, 1), 4);
}

static const struct log_field fields[] = {
    {.name = "id", .text = "cmpl-1"}, {.name = "peer", .text = "a \"b\"\n"},
    {.name = "tokens", .number = 12}, {.name = "ms", .number = 1.25, .decimals = 1},
    {.name = "finish", .text = ""},
};

static void write_fields(void *context)
{
    (void)context;
    log_write_fields(LOG_WARN, "request", "ended", fields, 5);
}

TEST(log_fields_stand_behind_the_message)
{
    capture_stderr(logged, sizeof logged, write_fields, NULL);
    CHECK_STR(after_time(logged), "r0 warn  request: ended id=cmpl-1 peer=\"a \\\"b\\\"\\n\" "
                                  "tokens=12 ms=1.2 finish=\"\"\n");
}

/* A line as JSON without its time, which is of one length. */
static const char *json_after_time(void (*write)(void *context), void *context)
{
    static const char time[] = "{\"time\": \"2026-01-31T12:04:11.381Z\", ";
    log_set_format(LOG_JSON);
    capture_stderr(logged, sizeof logged, write, context);
    log_set_format(LOG_TEXT);
    int year, month, day, hour, minute, n = 0;
    CHECK_EQ(sscanf(logged, "{\"time\": \"%4d-%2d-%2dT%2d:%2d:%n", &year, &month, &day, &hour,
                    &minute, &n),
             5);
    CHECK(n > 0 && year > 2024 && month <= 12 && day <= 31 && hour < 24 && minute < 60);
    return logged + sizeof time - 1;
}

TEST(log_as_json_has_one_object_a_line)
{
    CHECK_STR(json_after_time(write_fields, NULL),
              "\"level\": \"warn\", \"rank\": \"r0\", \"module\": \"request\", "
              "\"message\": \"ended\", \"id\": \"cmpl-1\", \"peer\": \"a \\\"b\\\"\\u000a\", "
              "\"tokens\": 12, \"ms\": 1.2, \"finish\": \"\"}\n");
    CHECK_STR(json_after_time(tell_one, "no such file"),
              "\"level\": \"error\", \"rank\": \"r0\", \"module\": \"phalanx\", "
              "\"message\": \"no such file\"}\n");
    CHECK_STR(json_after_time(note_one, "it is ready"),
              "\"level\": \"info\", \"rank\": \"r0\", \"module\": \"phalanx\", "
              "\"message\": \"it is ready\"}\n");
}

TEST(log_as_json_is_json_whatever_the_text)
{
    char text[4000];
    memset(text, '"', sizeof text);
    text[sizeof text - 1] = '\0';
    const char *line = json_after_time(write_one, text);
    CHECK_STR(line + strlen(line) - 6, "...\"}\n");
    CHECK(strlen(line) < 2048);
    CHECK(strstr(json_after_time(write_one, "caf\xc3\xa9 \xff\xc2\x9b\xe2\x82"),
                 "\"caf\xc3\xa9 \\ufffd\\u009b\\ufffd\\ufffd\"}\n") != NULL);
}

static void log_to_nowhere(void *context)
{
    (void)context;
    close(STDERR_FILENO); /* so that write() fails with EBADF */
    errno = ENOSPC;
    log_write(LOG_ERROR, "m", "lost");
    _exit(errno == ENOSPC ? 0 : 1);
}

TEST(log_that_cannot_be_written_is_lost_and_errno_kept)
{
    CHECK_EQ(outcome_of(log_to_nowhere, NULL), 0);
}

static void log_to_who_does_not_read(void *context)
{
    static char all[1 << 20];
    int out[2], n_lines = 0, n_lost = 0;
    (void)context;
    CHECK(pipe(out) == 0 && dup2(out[1], STDERR_FILENO) == STDERR_FILENO);
    log_set_never_waits();
    for (int i = 0; i < 5000; i++)
        log_write(LOG_WARN, "m", "0123456789");
    log_tell("phalanx", "it ends"); /* neither does this wait for ever */
    size_t n = (size_t)read(out[0], all, sizeof all);
    log_write(LOG_WARN, "m", "again");
    n += (size_t)read(out[0], all + n, sizeof all - 1 - n);
    close(STDERR_FILENO); /* checks that fail have nowhere to say so */
    for (const char *line = strchr(all, '\n'); line != NULL; line = strchr(line + 1, '\n'))
        n_lines++;
    CHECK_EQ(all[n - 1], '\n');
    const char *told = strstr(all, "warn  log: ");
    CHECK(told != NULL && sscanf(told, "warn  log: %d lines are lost", &n_lost) == 1);
    CHECK(strstr(told, "warn  m: again\n") != NULL);
    CHECK_EQ(n_lines - 2 + n_lost, 5001); /* every line came, or was counted */
}

TEST(log_that_nobody_reads_is_lost_and_counted_by_who_never_waits)
{
    const int64_t begin_ns = clock_now_ns();
    CHECK_EQ(outcome_of(log_to_who_does_not_read, NULL), 0);
    CHECK(clock_now_ns() - begin_ns < 10000000000);
}

static void *read_slowly(void *context)
{
    const int *fd = context;
    char some[4096];
    size_t n_lines = 0;
    for (ssize_t n; (n = read(*fd, some, sizeof some)) > 0;) {
        for (ssize_t i = 0; i < n; i++)
            n_lines += some[i] == '\n';
        system_sleep_ns(1000000);
    }
    return (void *)n_lines;
}

static void log_to_who_reads_slowly(void *context)
{
    int out[2];
    pthread_t reader;
    void *n_lines = NULL;
    (void)context;
    CHECK(pipe(out) == 0 && dup2(out[1], STDERR_FILENO) == STDERR_FILENO);
    close(out[1]);
    CHECK_EQ(pthread_create(&reader, NULL, read_slowly, &out[0]), 0);
    log_set_never_waits();
    for (int i = 0; i < 5000; i++) /* more than the pipe has room for */
        log_write(LOG_WARN, "m", "0123456789");
    close(STDERR_FILENO);
    pthread_join(reader, &n_lines);
    if ((size_t)n_lines != 5000)
        _exit(1);
}

TEST(nothing_is_lost_to_who_reads_slowly)
{
    int n_tries =
        0; /* a reader may stand still for longer than it is waited for, but not each time */
    while (outcome_of(log_to_who_reads_slowly, NULL) != 0)
        CHECK(++n_tries < 5);
}

enum { WRITERS = 4, LINES_EACH = 500 };

static void *write_many(void *context)
{
    for (int i = 0; i < LINES_EACH; i++)
        log_write(LOG_WARN, "m", "%s", (const char *)context);
    return NULL;
}

static void write_from_threads(void *context)
{
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, write_many, context), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
}

TEST(log_lines_of_several_threads_do_not_mix)
{
    capture_stderr(logged, sizeof logged, write_from_threads, "0123456789");
    int n = 0;
    for (char *line = logged, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, n++) {
        *end = '\0';
        CHECK_STR(after_time(line), "r0 warn  m: 0123456789");
    }
    CHECK_EQ(n, WRITERS * LINES_EACH);
}
