/* launcher/batch/journal.h: what a batch has answered so far, safe from whatever ends the program.
 *
 * A file that only grows: a line of text that says what it is, then records.
 *
 *   record: checksum u64 | number u64 | n_bytes u32 | kind u32 | n_bytes of payload
 *
 * The checksum (XXH3 of 64 bits) is over all of a record that follows it. The first record is what
 * the batch was begun with (marks.h), each other one the answer to a request, in the order in which
 * they came. Whatever does not check is the end: a record that was being written when the program
 * was killed or the machine lost power is cut off, and its request is answered again.
 *
 * Numbers are those of this machine. One process has it at a time (flock). A write that fails is
 * taken back: what is in the file stays whole.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;
struct error;

enum { BATCH_MAX_RECORD_BYTES = 1 << 30 };

enum batch_record_kind { RECORD_MARKS, RECORD_ANSWER, RECORD_ERROR /* an answer that is one */ };

struct batch_record {
    enum batch_record_kind kind;
    uint64_t number; /* of the request, from 0 */
    uint64_t at;     /* of the payload in the file */
    uint32_t n_bytes;
};

struct batch_journal {
    const char *path; /* borrowed */
    int fd;
    uint64_t end;          /* bytes that are whole; 0: nothing, not even the first line */
    int64_t sync_every_ns; /* 0: after each record */
    int64_t synced_ns;     /* clock_now_ns() */
    bool is_dirty;         /* there is something that the disk may not have */
};

/* Opens the file, or makes it, and reads what is at its front: `marks` is left empty where there is
 * none yet. ERROR_INPUT: the file is something else, or another process has it.
 * batch_journal_close() also after a failure. */
bool batch_journal_open(struct batch_journal *out, const char *path, double sync_every_s,
                        struct bytes *marks, struct error *err);
/* Empties it and writes its first record. */
bool batch_journal_begin(struct batch_journal *journal, const struct bytes *marks,
                         struct error *err);

/* The record that begins at *at (0: the first one), and moves *at behind it. *got false: there is
 * no whole one. */
bool batch_journal_next(const struct batch_journal *journal, uint64_t *at, struct batch_record *out,
                        bool *got, struct error *err);
/* The payload of a record, added to `out`. */
bool batch_journal_payload(const struct batch_journal *journal, const struct batch_record *record,
                           struct bytes *out, struct error *err);
/* Of the file, whole or not; 0 where the system does not say. */
uint64_t batch_journal_size(const struct batch_journal *journal);
/* Drops everything from `at` on; what comes next is appended there. */
bool batch_journal_cut(struct batch_journal *journal, uint64_t at, struct error *err);

bool batch_journal_append(struct batch_journal *journal, enum batch_record_kind kind,
                          uint64_t number, const char *text, size_t n_bytes, struct error *err);
/* To the disk, if it is time or `now`. */
bool batch_journal_sync(struct batch_journal *journal, bool now, struct error *err);
bool batch_journal_remove(struct batch_journal *journal, struct error *err);
void batch_journal_close(struct batch_journal *journal);
