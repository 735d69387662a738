#include "launcher/batch/journal.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/system.h"
#include "launcher/batch/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

static const char MAGIC[] = "phalanx batch journal 1\n";
enum { MAGIC_BYTES = sizeof MAGIC - 1, PART_BYTES = 64 << 10 };

struct head { /* in the file, before a payload */
    uint64_t checksum, number;
    uint32_t n_bytes, kind;
};
_Static_assert(sizeof(struct head) == 24, "without holes");

/* ---- reading ---- */

/* *n_read: fewer than n only at the end of the file. */
static bool read_at(const struct batch_journal *journal, uint64_t at, void *out, size_t n,
                    size_t *n_read, struct error *err)
{
    *n_read = 0;
    while (*n_read < n) {
        const ssize_t got =
            pread(journal->fd, (char *)out + *n_read, n - *n_read, (off_t)(at + *n_read));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(err, "%s", journal->path);
        if (got == 0)
            return true;
        *n_read += (size_t)got;
    }
    return true;
}

static void begin_checksum(XXH3_state_t *state, const struct head *head)
{
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, &head->number, sizeof *head - sizeof head->checksum);
}

/* Whether the payload at `at` is there and is the one that was written. */
static bool check_payload(const struct batch_journal *journal, uint64_t at, const struct head *head,
                          bool *good, struct error *err)
{
    char part[PART_BYTES];
    XXH3_state_t state;
    begin_checksum(&state, head);
    for (uint32_t done = 0; done < head->n_bytes;) {
        const size_t left = head->n_bytes - done, n = left < sizeof part ? left : sizeof part;
        size_t n_read;
        if (!read_at(journal, at + done, part, n, &n_read, err))
            return false;
        *good = n_read == n;
        if (!*good)
            return true;
        XXH3_64bits_update(&state, part, n);
        done += (uint32_t)n;
    }
    *good = XXH3_64bits_digest(&state) == head->checksum;
    return true;
}

bool batch_journal_next(const struct batch_journal *journal, uint64_t *at, struct batch_record *out,
                        bool *got, struct error *err)
{
    struct head head;
    size_t n_read;
    const uint64_t begin = *at > 0 ? *at : MAGIC_BYTES;
    *got = false;
    if (!read_at(journal, begin, &head, sizeof head, &n_read, err))
        return false;
    if (n_read < sizeof head || head.n_bytes > BATCH_MAX_RECORD_BYTES || head.kind > RECORD_ERROR)
        return true;
    *out = (struct batch_record){.kind = (enum batch_record_kind)head.kind,
                                 .number = head.number,
                                 .at = begin + sizeof head,
                                 .n_bytes = head.n_bytes};
    if (!check_payload(journal, out->at, &head, got, err))
        return false;
    if (*got)
        *at = out->at + out->n_bytes;
    return true;
}

bool batch_journal_payload(const struct batch_journal *journal, const struct batch_record *record,
                           struct bytes *out, struct error *err)
{
    size_t n_read;
    bytes_reserve(out, record->n_bytes + 1);
    if (!read_at(journal, record->at, out->data + out->len, record->n_bytes, &n_read, err))
        return false;
    if (n_read < record->n_bytes)
        return error_set(err, ERROR_SYSTEM, "%s: it became shorter while it was read",
                         journal->path);
    out->len += n_read;
    out->data[out->len] = '\0';
    return true;
}

uint64_t batch_journal_size(const struct batch_journal *journal)
{
    struct stat about;
    return fstat(journal->fd, &about) == 0 ? (uint64_t)about.st_size : 0;
}

/* ---- writing ---- */

bool batch_journal_cut(struct batch_journal *journal, uint64_t at, struct error *err)
{
    if (ftruncate(journal->fd, (off_t)at) != 0)
        return error_errno(err, "%s", journal->path);
    journal->end = at;
    journal->is_dirty = true;
    return true;
}

static bool write_at(struct batch_journal *journal, uint64_t at, const void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        const ssize_t put =
            pwrite(journal->fd, (const char *)data + done, n - done, (off_t)(at + done));
        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0)
            done += (size_t)put;
    }
    return true;
}

bool batch_journal_append(struct batch_journal *journal, enum batch_record_kind kind,
                          uint64_t number, const char *text, size_t n_bytes, struct error *err)
{
    struct head head = {.number = number, .n_bytes = (uint32_t)n_bytes, .kind = kind};
    XXH3_state_t state;
    check(n_bytes <= BATCH_MAX_RECORD_BYTES);
    begin_checksum(&state, &head);
    XXH3_64bits_update(&state, text, n_bytes);
    head.checksum = XXH3_64bits_digest(&state);
    if (!write_at(journal, journal->end, &head, sizeof head) ||
        !write_at(journal, journal->end + sizeof head, text, n_bytes)) {
        error_errno(err, "%s", journal->path);
        struct error ignored = {0}; /* a torn end is recognised anyway */
        batch_journal_cut(journal, journal->end, &ignored);
        return false;
    }
    journal->end += sizeof head + n_bytes;
    journal->is_dirty = true;
    return batch_journal_sync(journal, false, err);
}

bool batch_journal_sync(struct batch_journal *journal, bool now, struct error *err)
{
    const int64_t now_ns = clock_now_ns();
    if (!journal->is_dirty || (!now && now_ns - journal->synced_ns < journal->sync_every_ns))
        return true;
    if (fdatasync(journal->fd) != 0)
        return error_errno(err, "%s: to the disk", journal->path);
    journal->synced_ns = now_ns;
    journal->is_dirty = false;
    return true;
}

bool batch_journal_begin(struct batch_journal *journal, const struct bytes *marks,
                         struct error *err)
{
    if (!batch_journal_cut(journal, 0, err))
        return false;
    if (!write_at(journal, 0, MAGIC, MAGIC_BYTES))
        return error_errno(err, "%s", journal->path);
    journal->end = MAGIC_BYTES;
    return batch_journal_append(journal, RECORD_MARKS, 0, marks->data, marks->len, err) &&
           batch_journal_sync(journal, true, err) && folder_sync(journal->path, err);
}

/* ---- open and close ---- */

/* What the file is: empty and a first line or record that was never whole are the same. */
static bool read_front(struct batch_journal *journal, struct bytes *marks, struct error *err)
{
    char magic[MAGIC_BYTES];
    size_t n_read;
    uint64_t at = 0;
    struct batch_record record;
    bool got;
    if (!read_at(journal, 0, magic, sizeof magic, &n_read, err))
        return false;
    if (memcmp(magic, MAGIC, n_read) != 0)
        return error_set(err, ERROR_INPUT,
                         "%s: no journal of a batch: name another file with --journal",
                         journal->path);
    if (!batch_journal_next(journal, &at, &record, &got, err))
        return false;
    if (!got || record.kind != RECORD_MARKS)
        return true;
    journal->end = at;
    return batch_journal_payload(journal, &record, marks, err);
}

bool batch_journal_open(struct batch_journal *out, const char *path, double sync_every_s,
                        struct bytes *marks, struct error *err)
{
    struct stat about;
    *out = (struct batch_journal){.path = path,
                                  .sync_every_ns = (int64_t)(sync_every_s * 1e9),
                                  .synced_ns = clock_now_ns(),
                                  .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)};
    if (out->fd < 0)
        return error_set(err, errno == ENOSPC || errno == EDQUOT ? ERROR_SYSTEM : ERROR_INPUT,
                         "%s: %s", path, strerror(errno));
    if (fstat(out->fd, &about) != 0)
        return error_errno(err, "%s", path);
    if (!S_ISREG(about.st_mode))
        return error_set(err, ERROR_INPUT, "%s: no regular file", path);
    if (flock(out->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? error_set(err, ERROR_INPUT, "%s: another batch is writing to it", path)
                   : error_errno(err, "%s", path);
    return read_front(out, marks, err);
}

bool batch_journal_remove(struct batch_journal *journal, struct error *err)
{
    return unlink(journal->path) == 0 || error_errno(err, "%s", journal->path);
}

void batch_journal_close(struct batch_journal *journal)
{
    if (journal->fd > 0)
        close(journal->fd);
    *journal = (struct batch_journal){0};
}
