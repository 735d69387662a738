/* The table: the files of rows one after the other. The order of --help and docs/options.md. */
#include "runtime/options/table.h"

#include "base/check.h"
#include "runtime/options/rows.h"

static const struct option_group *const groups[] = {
    &options_of_engine, &options_of_server,  &options_of_answer,
    &options_of_bench,  &options_of_program,
};
enum { N_GROUPS = sizeof groups / sizeof *groups };

int option_count(void)
{
    int n = 0;
    for (int i = 0; i < N_GROUPS; i++)
        n += groups[i]->n;
    return n;
}

const struct option *option_at(int number)
{
    int i = 0;
    while (number >= groups[i]->n) {
        number -= groups[i++]->n;
        check(i < N_GROUPS);
    }
    return &groups[i]->row[number];
}

int option_number(const struct option *option)
{
    int first = 0;
    for (int i = 0; i < N_GROUPS; first += groups[i++]->n)
        for (int k = 0; k < groups[i]->n; k++)
            if (&groups[i]->row[k] == option)
                return first + k;
    check(false); /* not of the table */
}
