#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "tests/files.h"
#include "tests/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(clock_goes_forward_and_sleep_lasts_as_long_as_asked)
{
    const int64_t before = clock_now_ns();
    system_sleep_ns(2000 * 1000);
    CHECK(clock_now_ns() - before >= 2000 * 1000);
    system_sleep_ns(0);
    system_sleep_ns(-1);
    CHECK(clock_wall_ms() > 1700000000000); /* after 2023 */
}

TEST(system_knows_its_size)
{
    CHECK(system_cpus() >= 1);
    CHECK_EQ(system_page_bytes() % 4096, 0);
    CHECK(system_available_bytes() > 1 << 20);
}

TEST(system_resident_bytes_follow_what_is_touched)
{
    const size_t n_bytes = 32 << 20;
    struct error err = {0};
    void *p;
    CHECK(memory_map(&p, n_bytes, &err));
    const int64_t before = system_resident_bytes();
    memset(p, 1, n_bytes);
    CHECK(system_resident_bytes() - before >= (int64_t)n_bytes / 2);
    memory_unmap(p, n_bytes);
}

TEST(a_timer_is_never_early)
{
    static const struct {
        int64_t ns, s, us;
    } want[] = {
        {-1, 0, 0}, {0, 0, 0}, {1, 0, 1}, {1000, 0, 1}, {999999001, 1, 0}, {2500000000, 2, 500000},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct timeval got = clock_timeval(want[i].ns);
        CHECK_EQ(got.tv_sec, want[i].s);
        CHECK_EQ(got.tv_usec, want[i].us);
    }
}

TEST(random_bytes_differ_from_call_to_call)
{
    unsigned char a[32] = {0}, b[32] = {0};
    struct error err = {0};
    CHECK(system_random(a, sizeof a, &err));
    CHECK(system_random(b, sizeof b, &err));
    CHECK(memcmp(a, b, sizeof a) != 0);
}

TEST(file_is_mapped_and_read_as_it_is)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_write(&folder, "weights", "ab\0cd", 5);
    struct error err = {0};
    struct file_map map;
    CHECK(file_exists(path.text));
    CHECK(file_map_open(&map, path.text, &err));
    CHECK_EQ(map.n_bytes, 5);
    CHECK(memcmp(map.data, "ab\0cd", 5) == 0);
    file_map_close(&map);
    CHECK(map.data == NULL);

    char *data;
    size_t n_bytes;
    CHECK(file_read(&data, &n_bytes, path.text, 5, &err)); /* exactly the maximum */
    CHECK_EQ(n_bytes, 5);
    CHECK(memcmp(data, "ab\0cd\0", 6) == 0);
    memory_free(data);
    folder_remove(&folder);
}

static void prefetch_past_the_end(void *context)
{
    const struct file_map *map = context;
    file_map_prefetch(map, map->data + 1, map->n_bytes);
}

TEST(file_is_prefetched_from_any_byte_but_not_past_its_end)
{
    const struct folder folder = folder_make();
    char contents[20000];
    memset(contents, 'w', sizeof contents);
    const struct file_path path = folder_write(&folder, "weights", contents, sizeof contents);
    struct error err = {0};
    struct file_map map;
    CHECK(file_map_open(&map, path.text, &err));
    file_map_prefetch(&map, map.data, map.n_bytes);
    file_map_prefetch(&map, map.data + 4097, 1);
    file_map_prefetch(&map, map.data + map.n_bytes, 0);
    CHECK(memcmp(map.data, contents, sizeof contents) == 0);
    CHECK_EQ(outcome_of(prefetch_past_the_end, &map), -SIGABRT);
    file_map_close(&map);
    folder_remove(&folder);
}

TEST(file_over_the_maximum_is_refused_before_it_is_read)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "large");
    folder_write(&folder, "large", "", 0);
    CHECK_EQ(truncate(path.text, (off_t)1 << 40), 0); /* all hole */
    struct error err = {0};
    char *data;
    size_t n_bytes;
    CHECK(!file_read(&data, &n_bytes, path.text, 1000, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, path.text) && strstr(err.text, "1000 bytes"));
    folder_remove(&folder);
}

TEST(file_without_a_size_is_read_to_its_end)
{
    struct error err = {0};
    char *data;
    size_t n_bytes;
    CHECK(file_read(&data, &n_bytes, "/proc/self/status", 1 << 20, &err)); /* stat says 0 bytes */
    CHECK(n_bytes > 100);
    CHECK_EQ(strlen(data), n_bytes);
    memory_free(data);
    CHECK(!file_read(&data, &n_bytes, "/proc/self/status", 10, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
}

TEST(file_of_no_bytes_is_no_error)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_write(&folder, "empty", NULL, 0);
    struct error err = {0};
    struct file_map map;
    CHECK(file_map_open(&map, path.text, &err));
    CHECK(map.data == NULL && map.n_bytes == 0);
    file_map_close(&map);
    char *data;
    size_t n_bytes;
    CHECK(file_read(&data, &n_bytes, path.text, 0, &err));
    CHECK_STR(data, "");
    memory_free(data);
    folder_remove(&folder);
}

static void check_refused(const char *path, const char *reason)
{
    struct file_map map;
    struct error err = {0};
    CHECK(!file_map_open(&map, path, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, path) && strstr(err.text, reason));

    char *data;
    size_t n_bytes;
    err = (struct error){0};
    CHECK(!file_read(&data, &n_bytes, path, 100, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, path) && strstr(err.text, reason));
}

TEST(file_that_is_none_is_refused_with_its_path_and_without_waiting)
{
    const struct folder folder = folder_make();
    const struct file_path missing = folder_path(&folder, "missing");
    const struct file_path fifo = folder_path(&folder, "fifo");
    CHECK(!file_exists(missing.text));
    check_refused(missing.text, "No such file");
    check_refused(folder.path, "a directory");
    CHECK_EQ(mkfifo(fifo.text, 0600), 0);
    check_refused(fifo.text, "no regular file"); /* nobody writes to it: open() must not wait */
    check_refused("/dev/zero", "no regular file");
    folder_remove(&folder);
}

static void open_without_a_free_descriptor(void *context)
{
    const struct rlimit none = {0};
    setrlimit(RLIMIT_NOFILE, &none);
    struct file_map map;
    struct error err = {0};
    if (file_map_open(&map, context, &err) || err.kind != ERROR_SYSTEM)
        _exit(1);
}

TEST(file_refused_for_want_of_descriptors_is_the_systems_fault)
{
    CHECK_EQ(outcome_of(open_without_a_free_descriptor, "/proc/self/status"), 0);
}

TEST(futex_returns_at_once_when_the_word_changed_and_in_time_when_not)
{
    uint32_t word = 7;
    CHECK(futex_wait(&word, 6, INT64_MAX, false));
    const int64_t deadline = clock_now_ns() + 3000 * 1000;
    while (futex_wait(&word, 7, deadline, true)) {
        CHECK(clock_now_ns() < deadline + 20LL * 1000 * 1000 * 1000);
    }
    CHECK(clock_now_ns() >= deadline);
    CHECK(!futex_wait(&word, 7, 0, false)); /* long passed */
    CHECK(!futex_wait(&word, 7, -5, false));
}

static void *wait_for_one(void *context)
{
    _Atomic uint32_t *word = context;
    while (atomic_load(word) == 0)
        futex_wait((const uint32_t *)word, 0, INT64_MAX, false);
    return NULL;
}

TEST(futex_wakes_a_thread_that_waits_for_ever)
{
    _Atomic uint32_t word = 0;
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, wait_for_one, &word), 0);
    system_sleep_ns(2000 * 1000); /* likely asleep by now; right in either case */
    atomic_store(&word, 1);
    futex_wake((const uint32_t *)&word, 1, false);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(clock_utc_is_the_calendar_of_a_moment)
{
    struct calendar_time t;
    clock_utc(&t, 951782400000 + 3723999); /* 2000-02-29, 01:02:03.999 */
    CHECK_EQ(t.year, 2000);
    CHECK_EQ(t.month, 2);
    CHECK_EQ(t.day, 29);
    CHECK_EQ(t.hour, 1);
    CHECK_EQ(t.minute, 2);
    CHECK_EQ(t.second, 3);
}
