/* Bytes as the journal of a batch: it is refused, or it is read up to something that does not
 * check, and what is appended there is read again. */
#include "tests/fuzz/fuzz.h"

#include "base/bytes.h"
#include "launcher/batch/journal.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* The number of whole records, and where they end. */
static int count(const struct batch_journal *journal, uint64_t *end, struct bytes *text)
{
    struct batch_record record;
    struct error err = {0};
    bool got;
    int n = 0;
    for (*end = 0;; n++) {
        check(batch_journal_next(journal, end, &record, &got, &err));
        if (!got)
            return n;
        bytes_clear(text);
        check(batch_journal_payload(journal, &record, text, &err));
        check(text->len == record.n_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    char path[32];
    struct batch_journal journal;
    struct bytes text = {0};
    struct error err = {0};
    uint64_t end;
    const int fd = memfd_create("journal", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, data, n_bytes) == (ssize_t)n_bytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (batch_journal_open(&journal, path, 3600, &text, &err)) {
        const int n = count(&journal, &end, &text);
        if (end > 0) {
            check(batch_journal_cut(&journal, end, &err));
            check(batch_journal_append(&journal, RECORD_ANSWER, 3, "x", 1, &err));
            check(count(&journal, &end, &text) == n + 1);
        }
    } else
        check_error(&err);
    batch_journal_close(&journal);
    bytes_release(&text);
    close(fd);
    return 0;
}
